package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client/proof"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// verifier checks what nodes answer, for Config.Verify. It trusts the keys of the trust file and those that the own
// organisation's endorser names, which executes the ledger itself; and of what a node answers only what these keys signed.
type verifier struct {
	c     *Client
	level proof.Level
	trust atomic.Pointer[proof.Trust]
	// caught counts the false answers.
	caught atomic.Uint64

	keysMu sync.Mutex
	keys   *identity.Trust // what trust is made of
	asked  time.Time       // when the endorser was last asked for keys

	mu     sync.Mutex
	chains map[string]*heldCheckpoint
}

// heldCheckpoint is the newest checkpoint of a chain that reached the level. It is replaced only by one of more blocks
// that continues it.
type heldCheckpoint struct {
	// lock is held while a newer one is collected. It is a channel, so that waiting ends with the context of the caller.
	lock   chan struct{}
	newest atomic.Pointer[signed]
}

func newVerifier(c *Client, t *identity.Trust) (*verifier, error) {
	if c.cfg.Verify == "" {
		return nil, nil
	}
	keys, err := t.Clone()
	if err != nil {
		return nil, err
	}
	v := &verifier{c: c, level: c.cfg.Verify, keys: keys, chains: map[string]*heldCheckpoint{}}
	return v, v.useKeys()
}

// useKeys makes the trust of the keys that are known.
func (v *verifier) useKeys() error {
	encoded, err := v.keys.Encode()
	if err != nil {
		return err
	}
	trust, err := proof.ParseTrust(encoded)
	if err == nil {
		v.trust.Store(trust)
	}
	return err
}

// learnKeys asks the own organisation's endorser for the keys of today, at most once in refreshPause.
func (v *verifier) learnKeys(ctx context.Context) {
	v.keysMu.Lock()
	defer v.keysMu.Unlock()
	own := v.c.peers.endorser(v.c.Organisation())
	if own == nil || time.Since(v.asked) < refreshPause {
		return
	}
	v.asked = time.Now()
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	keys, err := ltlv1.NewLedgerClient(own.conn).GetKeys(ctx, &ltlv1.GetKeysRequest{})
	if err == nil {
		v.keys.LearnKeys(keys)
		err = v.useKeys()
	}
	if err != nil {
		v.c.log.Warn("the own endorser does not say which keys sign checkpoints; those known before count", "error", err)
	}
}

// Caught is the number of answers that Config.Verify found to be false since the client was opened.
func (c *Client) Caught() uint64 {
	if c.verifier == nil {
		return 0
	}
	return c.verifier.caught.Load()
}

// verified is an answer with the checkpoint that it was checked against; nil where none was needed.
type verified[Out any] struct {
	out Out
	by  *proof.Checkpoint
}

// VerifiedRecord is GetRecord, with the checkpoint that the record was checked against. It is nil where Config.Verify is
// empty, and for an answer without a record.
func (l *Ledger) VerifiedRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse,
	*proof.Checkpoint, error) {
	if l.c.verifier == nil || l.peer != "" {
		out, err := read(ctx, l, ltlv1.LedgerClient.GetRecord, in)
		return out, nil, err
	}
	local := proto.CloneOf(in)
	local.Consistency = ltlv1.Consistency_CONSISTENCY_LOCAL
	out, err := readVerified(ctx, l.c, ltlv1.LedgerClient.GetRecord, in, local,
		in.GetConsistency() != ltlv1.Consistency_CONSISTENCY_LOCAL, answeredRecord)
	return out.out, out.by, err
}

// VerifiedPhaseRecord is GetPhaseRecord, with the checkpoint that the record was checked against, as for VerifiedRecord.
func (l *Ledger) VerifiedPhaseRecord(ctx context.Context, in *ltlv1.GetPhaseRecordRequest) (
	*ltlv1.GetPhaseRecordResponse, *proof.Checkpoint, error) {
	if l.c.verifier == nil || l.peer != "" {
		out, err := read(ctx, l, ltlv1.LedgerClient.GetPhaseRecord, in)
		return out, nil, err
	}
	local := proto.CloneOf(in)
	local.Consistency = ltlv1.Consistency_CONSISTENCY_LOCAL
	out, err := readVerified(ctx, l.c, ltlv1.LedgerClient.GetPhaseRecord, in, local,
		in.GetConsistency() != ltlv1.Consistency_CONSISTENCY_LOCAL, answeredPhase)
	return out.out, out.by, err
}

// coded is an answer with a result code.
type coded interface{ GetCode() int32 }

// readVerified is read with a check of each node's answer. The own organisation's endorser is asked first, with local:
// what its copy holds then, a node that reads linearizably must hold too. claimed says what an answer to in claims; nil
// where it names no record.
func readVerified[In any, Out coded](ctx context.Context, c *Client, call method[In, Out], in, local In, linear bool,
	claimed func(In, Out) *shownRecord,
) (verified[Out], error) {
	return readEach(ctx, c, func(ctx context.Context, node *peer) (verified[Out], error) {
		var known *shownRecord
		if linear {
			known = askOwn(ctx, c, call, local, claimed)
		}
		limited, cancel := context.WithTimeout(ctx, readTimeout)
		defer cancel()
		out, err := call(ltlv1.NewLedgerClient(node.conn), limited, in)
		if err != nil {
			return verified[Out]{}, err
		}
		var by *proof.Checkpoint
		made := claimed(in, out)
		switch {
		case made == nil && out.GetCode() == rules.OK:
			err = falseAnswer("it says that there is a record, and sends none")
		case made == nil && out.GetCode() == rules.NotFound && known != nil:
			err = falseAnswer("it says that there is no such record, and there is one")
		case made == nil:
			return verified[Out]{out: out}, nil
		case known != nil && known.after(made):
			err = falseAnswer("it answers with a record that is not the newest")
		case known != nil && known.at(made) && known.wrong && !made.wrong:
			err = falseAnswer("it does not say that the record was declared wrong")
		default:
			by, err = c.verifier.judge(ctx, node, made)
		}
		if what, ok := errors.AsType[falseAnswer](err); ok {
			c.verifier.caught.Add(1)
			c.log.Error("FAULT: a node gave a false answer; audit it", "node", node.name, "answer", string(what))
			err = fmt.Errorf("%w: node %s: %s; audit it", ErrFalseAnswer, node.name, string(what))
		} else if errors.Is(err, ErrUnverified) {
			c.log.Warn("a node's answer could not be verified, and another one is asked", "node", node.name, "error", err)
		}
		return verified[Out]{out, by}, err
	})
}

// askOwn is what the copy of the own organisation's endorser holds; nil where it does not answer or has no record.
func askOwn[In any, Out coded](ctx context.Context, c *Client, call method[In, Out], local In,
	claimed func(In, Out) *shownRecord) *shownRecord {
	own := c.peers.endorser(c.Organisation())
	if own == nil || !own.breaker.usable() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	out, err := call(ltlv1.NewLedgerClient(own.conn), ctx, local)
	if err != nil || out.GetCode() != rules.OK {
		return nil
	}
	return claimed(local, out)
}

// falseAnswer says in which way an answer is false. It has nothing of what was read.
type falseAnswer string

// Error implements error.
func (f falseAnswer) Error() string { return string(f) }

// judge checks what a node claims against what was signed. It returns a falseAnswer where the node is at fault.
func (v *verifier) judge(ctx context.Context, node *peer, c *shownRecord) (*proof.Checkpoint, error) {
	block, err := v.fetch(ctx, node, c)
	if err != nil {
		return nil, err
	}
	hash := ledger.BlockHash(block.GetHeader())
	header, err := ledger.ParseHeader(block.GetHeader())
	if err != nil || header.ChainID != c.chainID || header.Height != c.height ||
		!bytes.Equal(c.blockHash, hash[:]) || len(c.id) != len(hash) {
		return nil, falseAnswer("it sent another block than it named")
	}
	made, err := certify(block, int(c.index), ledger.Hash(c.id))
	if err == nil {
		err = show(made, ledger.Hash(c.id), openingsIn(block, int(c.index)), c.key, c.businessID)
	}
	if err != nil {
		return nil, falseAnswer("the block that it sent does not hold the record")
	}
	verdict, err := v.prove(ctx, node, made, &header)
	if err != nil {
		return nil, err
	}
	if what := c.differs(made, verdict, &header); what != "" {
		return nil, falseAnswer("the record has another " + what)
	}
	return verdict.Checkpoint, nil
}

// openingsIn returns the openings that stand beside a transaction of a block.
func openingsIn(b *ltlv1.Block, index int) *ltlv1.Openings {
	for _, batch := range b.GetBatches() {
		if index < len(batch.GetTransactions()) {
			if index < len(batch.GetOpenings()) {
				return batch.GetOpenings()[index]
			}
			return nil
		}
		index -= len(batch.GetTransactions())
	}
	return nil
}

// fetch asks a node for the block with the record.
func (v *verifier) fetch(ctx context.Context, node *peer, c *shownRecord) (*ltlv1.Block, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	stream, err := ltlv1.NewLedgerClient(node.conn).Blocks(ctx,
		&ltlv1.BlocksRequest{ChainId: c.chainID, FromHeight: c.height, Openings: true})
	if err != nil {
		return nil, err
	}
	in, err := stream.Recv()
	return in.GetBlock(), err
}

// prove adds the newest checkpoint that covers the block, and verifies the certificate. Where keys are missing it asks
// for those of today, once.
func (v *verifier) prove(ctx context.Context, node *peer, made *proof.Certificate, header *ledger.Header) (
	*proof.Verdict, error) {
	for again := false; ; again = true {
		held, err := v.covering(ctx, header)
		if err != nil {
			return nil, err
		}
		trust := v.trust.Load() // after covering, which may have learned of a restoration
		if err := v.addPath(ctx, node, made, held, trust); err != nil {
			return nil, err
		}
		file, err := made.Encode()
		if err != nil {
			return nil, err
		}
		verdict := proof.Verify(file, trust)
		word := ""
		switch f := verdict.Failure; {
		case f == nil && reaches(verdict.Level, v.level) && (again || header.SystemHeight <= trust.Height):
			return verdict, nil
		case f == nil && reaches(verdict.Level, v.level):
			word = "trust-older-than-record"
		case f == nil:
			word = "too few have signed"
		case f.Word == "key-unknown" || f.Word == "key-expired":
			word = f.Word
		default:
			return nil, falseAnswer("its proof does not verify: " + f.Word)
		}
		if again {
			return nil, fmt.Errorf("%w: %s; is the trust file up to date?", ErrUnverified, word)
		}
		v.learnKeys(ctx)
	}
}

// addPath adds the checkpoint and the way from the block to it. Any node may say the way, since it proves itself; the
// node that answered is asked first, and at fault where it says a wrong one.
func (v *verifier) addPath(ctx context.Context, node *peer, made *proof.Certificate, held *signed,
	trust *proof.Trust) error {
	made.Checkpoint, made.LogPath = held.text, nil
	header, err := ledger.ParseHeader(made.Block.Header)
	if err != nil {
		return err
	}
	in := &ltlv1.InclusionRequest{ChainId: header.ChainID, Height: header.Height, Size: held.checkpoint.Size}
	for _, p := range append([]*peer{node}, v.c.peers.all()...) {
		ctx, cancel := context.WithTimeout(ctx, readTimeout)
		out, err := ltlv1.NewEvidenceClient(p.conn).Inclusion(ctx, in)
		cancel()
		if err != nil {
			continue
		}
		made.LogPath = out.GetPath()
		if trust.Covers(made) {
			return nil
		}
		if p == node {
			return falseAnswer("its block is not in the history that was signed")
		}
	}
	return fmt.Errorf("%w: no node shows the way from the block to the checkpoint", ErrUnverified)
}
