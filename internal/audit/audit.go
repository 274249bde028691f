// Package audit recomputes a whole ledger and returns the first thing that is wrong with it. It trusts the trust file
// and nothing else: every block is executed again, by the same rules as on the nodes, into a temporary store; links,
// roots, endorsements, policies, results and changes of state must all equal those of the copy under audit.
//
// A copy that leaves out its newest blocks is a correct prefix of the ledger. So the copy is compared with other
// nodes, as far as they answer: the report says how many blocks it lacks, and another block at the same height is an
// error. Each audit is independent; any number may run at the same time.
package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/store"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrWrong is returned, wrapped, when the ledger under audit is not what its own transactions and the trust file make
// of it.
var ErrWrong = errors.New("the ledger is wrong")

// Bounds on the blocks that are executed in one transaction of the temporary store; larger groups save nothing.
const (
	groupBlocks = 256
	groupBytes  = 4 << 20
)

// okResult is the result code of an accepted transaction.
const okResult = 200

// Chain is the summary of one chain.
type Chain struct {
	ID           string    `json:"chainId"`
	Height       uint64    `json:"height"`
	Transactions uint64    `json:"transactions"`
	Refused      uint64    `json:"refused"`
	BlockHash    string    `json:"blockHash"`
	Time         time.Time `json:"time"`
}

// Report is the result of an audit that found nothing wrong.
type Report struct {
	Source       string  `json:"source"`
	NetworkID    string  `json:"networkId"`
	Blocks       uint64  `json:"blocks"`
	Transactions uint64  `json:"transactions"`
	Chains       []Chain `json:"chains"`
	// Corrected is how often a record was declared wrong; Corrections are the first 1000, in order of execution.
	Corrected   uint64       `json:"corrected"`
	Corrections []Correction `json:"corrections,omitempty"`
	// Lacking is the number of blocks of which the audited directory lacks values that they commit to. The blocks are
	// right without them. It is 0 for a copy that was read over the network.
	Lacking int `json:"lacking,omitempty"`
	// Compared are the other nodes whose tips were read.
	Compared []Comparison  `json:"compared,omitempty"`
	Took     time.Duration `json:"tookNs"`
	// Continues is what the network's genesis says of its predecessor; nil where it has none. Succession checks that.
	Continues *Continues `json:"continues,omitempty"`
}

// auditor executes blocks into a temporary store. It is used by one goroutine.
type auditor struct {
	dir    string
	store  *store.Store
	trust  *identity.Trust
	began  time.Time
	counts map[string]*Chain
	// corrected counts the corrections; corrections are the first ones.
	corrected   uint64
	corrections []Correction

	// head is read when so many blocks were executed; nil for none.
	head *headReader

	seen    uint64         // blocks taken, including the genesis block
	pending []*ltlv1.Block // taken, and not executed yet
	bytes   int
}

func newAuditor(trust *identity.Trust) (_ *auditor, err error) {
	a := &auditor{trust: trust, began: time.Now(), counts: map[string]*Chain{}}
	if a.dir, err = os.MkdirTemp("", "ltl-audit-"); err != nil {
		return nil, fmt.Errorf("couldn't make a temporary store: %w", err)
	}
	silent := slog.New(slog.NewTextHandler(io.Discard, nil)) // every failure is returned as well
	a.store, err = store.Open(a.dir, store.Options{NoSync: true, Logger: silent, Fatal: func(error) {}})
	if err == nil {
		err = a.store.Init(trust.GenesisPayload())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("couldn't make a temporary store: %w", err), a.close())
	}
	return a, nil
}

func (a *auditor) close() error {
	var err error
	if a.store != nil {
		err = a.store.Close()
	}
	return errors.Join(err, os.RemoveAll(a.dir))
}

// take accepts the next block in order of sequence.
func (a *auditor) take(b *ltlv1.Block) error {
	a.seen++
	if a.seen == 1 {
		if err := a.genesis(b); err != nil {
			return err
		}
		return a.readHead()
	}
	a.pending = append(a.pending, b)
	a.bytes += proto.Size(b)
	if len(a.pending) >= groupBlocks || a.bytes >= groupBytes || a.head.isAt(a.seen) {
		if err := a.flush(); err != nil {
			return err
		}
		return a.readHead()
	}
	return nil
}

// genesis compares the first block with the genesis block of the trust file.
func (a *auditor) genesis(b *ltlv1.Block) error {
	want, err := a.store.BlockAt(0)
	if err != nil {
		return fmt.Errorf("couldn't read the genesis block: %w", err)
	}
	if !bytes.Equal(b.GetHeader(), want.GetHeader()) || !proto.Equal(b, want) {
		return fmt.Errorf("%w: its genesis block is not that of the trust file; the network is another one, or forged",
			ErrWrong)
	}
	a.count(b)
	return nil
}

// flush executes the pending blocks.
func (a *auditor) flush() error {
	if len(a.pending) == 0 {
		return nil
	}
	if err := a.store.Append(a.pending); err != nil {
		if errors.Is(err, verify.ErrBadBlock) {
			return fmt.Errorf("%w: %w", ErrWrong, err)
		}
		return fmt.Errorf("couldn't execute the blocks again: %w", err)
	}
	for _, b := range a.pending {
		a.count(b)
	}
	a.pending, a.bytes = a.pending[:0], 0
	return nil
}

func (a *auditor) count(b *ltlv1.Block) {
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		return // Append has parsed it already
	}
	c := a.counts[h.ChainID]
	if c == nil {
		c = &Chain{ID: h.ChainID}
		a.counts[h.ChainID] = c
	}
	a.noteCorrections(&h, b)
	for _, code := range b.GetResults() {
		c.Transactions++
		if code != okResult {
			c.Refused++
		}
	}
}

// report summarises the audit; no block may be pending.
func (a *auditor) report(source string) *Report {
	id := a.trust.NetworkID()
	r := &Report{Source: source, NetworkID: hex.EncodeToString(id[:]), Blocks: a.seen}
	for _, tip := range a.store.Tips() {
		c := Chain{ID: tip.ChainID}
		if counted := a.counts[tip.ChainID]; counted != nil {
			c = *counted
		}
		c.Height, c.BlockHash = tip.Header.Height, hex.EncodeToString(tip.Hash[:])
		c.Time = time.UnixMilli(tip.Header.TimeMs).UTC()
		r.Chains = append(r.Chains, c)
		r.Transactions += c.Transactions
	}
	r.Corrected, r.Corrections = a.corrected, a.corrections
	r.Continues = ContinuesOf(a.trust.Genesis())
	r.Took = time.Since(a.began)
	return r
}

// Peer audits the copy of a running node or endorser, up to its newest block at the time of the call, and compares it
// with others.
func Peer(ctx context.Context, peer ltlv1.LedgerClient, trust *identity.Trust, others ...Other) (_ *Report, err error) {
	a, err := newAuditor(trust)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	status, err := peer.Status(ctx, &ltlv1.StatusRequest{})
	if err != nil {
		return nil, fmt.Errorf("couldn't read the status: %w", err)
	}
	answers := Ask(ctx, others)
	until := status.GetSequence()
	var blocks uint64 // the tips may be newer than the sequence number in the same answer
	for _, c := range status.GetChains() {
		blocks += c.GetHeight() + 1
	}
	if err := a.follow(ctx, peer, max(until, blocks)); err != nil {
		return nil, err
	}
	if err := a.compareTips(status.GetChains()); err != nil {
		return nil, err
	}
	if fault := status.GetFault(); fault != "" {
		return nil, fmt.Errorf("%w, as its own process reports: %s", ErrWrong, fault)
	}
	compared, err := Compare(ctx, a.store, answers)
	if err != nil {
		return nil, err
	}
	report := a.report(status.GetId())
	report.Compared = compared
	return report, nil
}

// follow takes the peer's blocks until there are n.
func (a *auditor) follow(ctx context.Context, peer ltlv1.LedgerClient, n uint64) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := peer.Follow(ctx, &ltlv1.FollowRequest{})
	if err != nil {
		return fmt.Errorf("couldn't read the blocks: %w", err)
	}
	for a.seen < n {
		res, err := stream.Recv()
		if err != nil {
			return errors.Join(a.flush(), fmt.Errorf("couldn't read block %d of %d: %w", a.seen, n, err))
		}
		if res.GetSequence() != a.seen {
			return fmt.Errorf("%w: block number %d in the order of execution was sent as number %d",
				ErrWrong, a.seen, res.GetSequence())
		}
		if err := a.take(res.GetBlock()); err != nil {
			return err
		}
	}
	return a.flush()
}

// compareTips compares the tips in the peer's status with the blocks that it sent.
func (a *auditor) compareTips(chains []*ltlv1.ChainStatus) error {
	for _, c := range chains {
		hash, err := a.store.BlockHash(c.GetChainId(), c.GetHeight())
		if err != nil {
			return fmt.Errorf("%w: it claims height %d of chain %s and did not send that block",
				ErrWrong, c.GetHeight(), c.GetChainId())
		}
		if !bytes.Equal(hash[:], c.GetBlockHash()) {
			return fmt.Errorf("%w: it claims block hash %x at height %d of chain %s, and sent a block with hash %x",
				ErrWrong, c.GetBlockHash(), c.GetHeight(), c.GetChainId(), hash)
		}
	}
	return nil
}
