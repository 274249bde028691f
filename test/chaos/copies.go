package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/grpc"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/localnet"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/chaos/liar"
)

// How long copies may take to become equal after the load, and to be read.
const (
	settleBudget = 60 * time.Second
	readBudget   = 10 * time.Minute
	statusBudget = time.Second
)

// keptBack is how long a statement lives by the ledger's time; docs/bytes.md.
const keptBack = 2 * time.Minute

// Record is an accepted record of a ledger.
type Record struct {
	Chain       string
	Height      uint64
	BlockHash   string
	Transaction string // its id
	BusinessID  string
	Value       string
	Attached    bool
	// Apart says that the record is not the callers', and was judged by itself.
	Apart bool
}

// Ledger is what all copies have in common, in a form in which records can be found.
type Ledger struct {
	// Records are the accepted records of each Key, in order of execution.
	Records map[string][]Record
	// Blocks is the hash of each block, Digests the digest of each block's whole content, in order of execution.
	Blocks  []BlockID
	Digests [][sha256.Size]byte
	// Transactions counts how often each transaction id was accepted.
	Transactions map[string]int

	// Kept are the accepted transactions whose submitter's organisation signed longer before the block's time than
	// statements live.
	Kept []string

	consent *consent // judges every accepted transaction; nil when no organisation is malicious
}

// BlockID is a block by its place and its hash.
type BlockID struct {
	Chain  string
	Height uint64
	Hash   string
}

func newLedger() *Ledger {
	return &Ledger{Records: map[string][]Record{}, Transactions: map[string]int{}}
}

// add takes the next block; with records, its records too.
func (l *Ledger) add(b *ltlv1.Block, records bool) error {
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		return fmt.Errorf("block %d cannot be read: %w", len(l.Blocks), err)
	}
	hash := ledger.BlockHash(b.GetHeader())
	id := BlockID{Chain: h.ChainID, Height: h.Height, Hash: hex.EncodeToString(hash[:])}
	l.Blocks = append(l.Blocks, id)
	if l.consent != nil {
		l.consent.blocks++
	}
	digest, results := sha256.New(), b.GetResults()
	digest.Write(b.GetHeader())
	for _, batch := range b.GetBatches() {
		for i, payload := range batch.GetTransactions() {
			if len(results) == 0 {
				return fmt.Errorf("block %d has fewer results than transactions", len(l.Blocks)-1)
			}
			code := results[0]
			results = results[1:]
			digest.Write(binary.BigEndian.AppendUint32(nil, uint32(len(payload))))
			digest.Write(payload)
			digest.Write(binary.BigEndian.AppendUint32(nil, uint32(code)))
			if records && code == rules.OK {
				var openings *ltlv1.Openings
				if i < len(batch.GetOpenings()) {
					openings = batch.GetOpenings()[i]
				}
				if err := l.accept(id, payload, openings); err != nil {
					return err
				}
				if err := l.age(id, h.TimeMs, payload, batch); err != nil {
					return err
				}
			}
		}
	}
	l.Digests = append(l.Digests, [sha256.Size]byte(digest.Sum(nil)))
	return nil
}

// age notes a transaction whose endorsement by the submitter's organisation was kept back: votes for a correction of the
// time are the only ones that do not expire, and no run has one.
func (l *Ledger) age(at BlockID, timeMs int64, payload []byte, batch *ltlv1.Batch) error {
	tx, err := rules.Decode(payload)
	if err != nil {
		return err
	}
	signed := int64(math.MinInt64)
	for _, e := range batch.GetEndorsements() {
		s, err := ledger.ParseStatement(e.GetStatement())
		if err == nil && s.Organisation == organisationOf(tx.GetSubmitter()) {
			signed = max(signed, s.ClockMs)
		}
	}
	kept := time.Duration(timeMs-signed) * time.Millisecond
	if signed != math.MinInt64 && kept > keptBack { // policies are what I6 looks at
		l.Kept = append(l.Kept, fmt.Sprintf("%s at height %d of chain %s was signed %v before", tx.GetSubmitter(), at.Height,
			at.Chain, kept))
	}
	return nil
}

// accept notes an accepted transaction with its openings.
func (l *Ledger) accept(at BlockID, payload []byte, openings *ltlv1.Openings) error {
	tx, err := rules.Decode(payload)
	if err != nil {
		return fmt.Errorf("a transaction at height %d of chain %s cannot be read: %w", at.Height, at.Chain, err)
	}
	if code, reason := rules.CheckOpenings(tx, openings); code != rules.OK {
		return fmt.Errorf("a transaction at height %d of chain %s: %s", at.Height, at.Chain, reason)
	}
	tx.Openings = openings
	sum := ledger.TransactionID(payload)
	id := hex.EncodeToString(sum[:])
	l.Transactions[id]++
	apart := false
	if l.consent != nil {
		apart = l.consent.see(at, id, tx)
	}
	r := Record{Chain: at.Chain, Height: at.Height, BlockHash: at.Hash, Transaction: id, Apart: apart}
	key := ""
	switch {
	case tx.GetSetData() != nil:
		key = tx.GetSetData().GetKey()
	case tx.GetAttachData() != nil:
		a := tx.GetAttachData()
		key, r.BusinessID, r.Attached = a.GetKey(), a.GetBusinessId(), true
	default:
		return nil
	}
	r.Value, _ = client.ValueOf(tx)
	l.Records[key] = append(l.Records[key], r)
	return nil
}

// has reports whether a write is there.
func (l *Ledger) has(o *Op) bool {
	_, there := l.place(o)
	return there
}

// place is the place of a write among the records of its Key. Where the caller gave no BusinessId, the ledger's own is
// as good.
func (l *Ledger) place(o *Op) (at int, there bool) {
	for i, r := range l.Records[o.Key] {
		if r.Attached == (o.Action == Attach) && (r.BusinessID == o.BusinessID || o.BusinessID == "") && r.Value == o.Value {
			return i, true
		}
	}
	return anyPlace, false
}

// peers asks nodes and endorsers as the operator.
type peers struct {
	conns map[string]*grpc.ClientConn
}

// dialPeers makes a connection to each node and endorser.
func dialPeers(in Injector) (*peers, *localnet.Network, error) {
	network, err := localnet.Load(in.Dir())
	if err != nil {
		return nil, nil, err
	}
	trust, err := identity.LoadTrust(localnet.Path(in.Dir(), network.Trust))
	if err != nil {
		return nil, nil, err
	}
	credentials, err := identity.LoadCredentials(filepath.Dir(localnet.Path(in.Dir(), network.Operator)), trust)
	if err != nil {
		return nil, nil, err
	}
	p := &peers{conns: map[string]*grpc.ClientConn{}}
	cast := in.Cast()
	for _, name := range append(append([]string(nil), cast.Nodes...), cast.Endorsers...) {
		role := identity.RoleNode
		if strings.HasPrefix(name, "endorser") {
			role = identity.RoleEndorser
		}
		dial := grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return in.Dial(ctx, name) })
		conn, err := grpc.NewClient("passthrough:///"+name, append(credentials.DialOptions(role, auditName(name)), dial)...)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("couldn't connect to %s: %w", name, err), p.close())
		}
		p.conns[name] = conn
	}
	return p, network, nil
}

func (p *peers) close() error {
	var errs []error
	for _, c := range p.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// status asks one process; it answers within a second or not at all.
func (p *peers) status(ctx context.Context, name string) (*ltlv1.StatusResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, statusBudget)
	defer cancel()
	return ltlv1.NewLedgerClient(p.conns[name]).Status(liar.Truthful(ctx), &ltlv1.StatusRequest{})
}

// settled waits until every copy has the same number of blocks and none has a fault, and returns that number.
func (p *peers) settled(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, settleBudget)
	defer cancel()
	for {
		sequence, last := uint64(0), ""
		for _, name := range sortedKeys(p.conns) {
			s, err := p.status(ctx, name)
			switch {
			case err != nil:
				last = fmt.Sprintf("%s: %v", name, err)
			case s.GetFault() != "":
				last = fmt.Sprintf("%s: %s", name, s.GetFault())
			case sequence != 0 && s.GetSequence() != sequence:
				last = fmt.Sprintf("%s has %d blocks, another copy has %d", name, s.GetSequence(), sequence)
			default:
				sequence = s.GetSequence()
			}
		}
		if last == "" {
			return sequence, nil
		}
		if wait(ctx, lookEvery) != nil {
			return 0, fmt.Errorf("the copies were not equal %s after the load: %s", settleBudget, last)
		}
	}
}

// awaitOpenings waits until a copy has the values of all records of its first n blocks: after faults it may have to fetch
// some.
func (p *peers) awaitOpenings(ctx context.Context, name string, n uint64) error {
	for {
		missing, err := p.missingOpenings(ctx, name, n)
		if missing == 0 || err != nil {
			return err
		}
		if wait(ctx, lookEvery) != nil {
			return fmt.Errorf("%s lacks the values of %d records", name, missing)
		}
	}
}

func (p *peers) missingOpenings(ctx context.Context, name string, n uint64) (missing int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := ltlv1.NewLedgerClient(p.conns[name]).Follow(ctx, &ltlv1.FollowRequest{Openings: true})
	if err != nil {
		return 0, fmt.Errorf("couldn't read the blocks of %s: %w", name, err)
	}
	for i := range n {
		res, err := stream.Recv()
		if err != nil {
			return 0, fmt.Errorf("couldn't read block %d of %s: %w", i, name, err)
		}
		results := res.GetBlock().GetResults()
		for _, batch := range res.GetBlock().GetBatches() {
			for at, payload := range batch.GetTransactions() {
				code := rules.Malformed
				if len(results) > 0 {
					code, results = results[0], results[1:]
				}
				tx, err := rules.Decode(payload)
				if code == rules.OK && err == nil && rules.CommittedValue(tx) != nil &&
					(at >= len(batch.GetOpenings()) || len(batch.GetOpenings()[at].GetOpenings()) == 0) {
					missing++
				}
			}
		}
	}
	return missing, nil
}

// read reads the first n blocks of a copy.
func (p *peers) read(ctx context.Context, name string, n uint64, records bool, c *consent) (*Ledger, error) {
	ctx, cancel := context.WithTimeout(ctx, readBudget)
	defer cancel()
	if records {
		if err := p.awaitOpenings(ctx, name, n); err != nil {
			return nil, err
		}
	}
	stream, err := ltlv1.NewLedgerClient(p.conns[name]).Follow(ctx, &ltlv1.FollowRequest{Openings: records})
	if err != nil {
		return nil, fmt.Errorf("couldn't read the blocks of %s: %w", name, err)
	}
	l := newLedger()
	l.consent = c
	for range n {
		res, err := stream.Recv()
		if err != nil {
			return nil, fmt.Errorf("couldn't read block %d of %s: %w", len(l.Blocks), name, err)
		}
		if err := l.add(res.GetBlock(), records); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return l, nil
}
