package rules

import (
	"errors"
	"fmt"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrInvariant is returned, wrapped, for an input that a correct caller cannot have. The caller must stop executing.
var ErrInvariant = errors.New("broken invariant")

// Execute computes one block. An error means a broken invariant, a failed View, or ErrNewerRules, never a bad
// transaction.
//
// A batch whose transactions are all known already is left out of the block. In any other batch a known transaction
// is in the block as Duplicate, while Results holds its first result. A chain that does not exist gets no block; its
// transactions are NotFound. A transaction that ends as Duplicate, Malformed, NotEndorsed, EndorsementExpired or
// NotEntitled writes nothing, and the same bytes may be ordered again. The same holds for ClocksDisagree and
// TooFewClocks, which are for all of a batch. Every other result uses up its id and its nonce.
//
// The block's time comes from the clocks of the batches' votes and is computed before any transaction is executed.
func Execute(in Input, view View, verify Verify) (*Executed, error) {
	return execute(clockRule(), in, view, verify)
}

// execute is Execute with bounds for the clocks, so that a test can show what other bounds would break.
func execute(bounds clockBounds, in Input, view View, verify Verify) (*Executed, error) {
	count := 0
	for _, b := range in.Batches {
		if b.GetChainId() != in.ChainID {
			return nil, fmt.Errorf("%w: a batch for chain %q in a block of chain %q", ErrInvariant, b.GetChainId(), in.ChainID)
		}
		count += len(b.GetTransactions())
	}
	if in.Height == 0 {
		return nil, fmt.Errorf("%w: block 0 of chain %q is not made by execution", ErrInvariant, in.ChainID)
	}
	e := newExec(&in, view, count)
	found, err := e.open()
	if err != nil {
		return nil, err
	}
	if !found {
		return &Executed{Results: refuseAll(&in, NotFound)}, nil
	}
	e.bounds = bounds
	x := &block{exec: e, verify: verify, referenceMs: in.PreviousReferenceMs, done: &Executed{Block: &ltlv1.Block{}}}
	x.done.IDs = make([]ledger.Hash, 0, count)
	x.done.Block.Results = make([]int32, 0, count)
	x.outcomes = make([]ledger.Outcome, 0, count)
	batches, err := x.candidates(in.Batches)
	if err != nil {
		return nil, err
	}
	if err := x.setTime(batches); err != nil {
		return nil, err
	}
	for i := range batches {
		if err := x.add(&batches[i]); err != nil {
			return nil, err
		}
	}
	return x.finish(), nil
}

// open looks up the chain to execute; false when it does not exist. It returns ErrNewerRules under rules that this
// program does not know.
func (e *exec) open() (bool, error) {
	if _, err := KnownVersion(e.view); err != nil {
		return false, err
	}
	if e.in.ChainID != ledger.SystemChain {
		var err error
		if e.chain, err = GetChain(e.view, e.in.ChainID); e.chain == nil || err != nil {
			return false, err
		}
		e.closed, err = ChainClosed(e.view, e.chain)
		return true, err
	}
	n, err := GetNetwork(e.view)
	if err == nil && n == nil {
		err = fmt.Errorf("%w: the system chain has no genesis", ErrInvariant)
	}
	return err == nil, err
}

// refuseAll gives every transaction of every batch the same code.
func refuseAll(in *Input, code int32) [][]*ltlv1.Result {
	all := make([][]*ltlv1.Result, len(in.Batches))
	for i, b := range in.Batches {
		for range b.GetTransactions() {
			all[i] = append(all[i], &ltlv1.Result{Code: code, ChainId: in.ChainID})
		}
	}
	return all
}

// block is a block while it is made.
type block struct {
	*exec
	verify Verify
	// referenceMs is the network's reference time after the block.
	referenceMs int64

	done     *Executed
	outcomes []ledger.Outcome
	hashes   []ledger.Hash // of the batches
	fresh    []*ltlv1.Result
	// committed are the values that the transaction which is executed commits to, once it has succeeded.
	committed []*ltlv1.Value
}

// add executes one batch.
func (x *block) add(c *candidate) error {
	b, ids, results, set := c.batch, c.ids, c.results, c.set
	payloads := b.GetTransactions()
	x.done.Results = append(x.done.Results, results)
	if !c.fresh {
		if x.repeats(c) {
			return nil
		}
	}
	if x.chain == nil && len(x.hashes) > 0 { // an earlier batch may have changed a key or the organisations
		var err error
		if set, err = x.newEndorsementSet(b, c.root, x.verify); err != nil {
			return err
		}
	}
	x.medianMs = set.date.medianMs
	set.settle(x.bounds, x.timeMs, x.in.PreviousReferenceMs)
	x.done.IDs = append(x.done.IDs, ids...)
	oversize := batchBytes(b) > MaxBatch
	made := make([]ltlv1.Result, len(payloads))
	for i, p := range payloads {
		code, err := x.one(p, ids[i], i, set, oversize, &results[i], &made[i])
		if err != nil {
			return err
		}
		x.done.Block.Results = append(x.done.Block.Results, code)
		x.done.Committed, x.committed = append(x.done.Committed, x.committed), nil
		x.outcomes = append(x.outcomes, ledger.Outcome{ID: ids[i], Code: code, BatchRoot: c.root})
	}
	x.done.Block.Batches = append(x.done.Block.Batches, b)
	x.hashes = append(x.hashes, ledger.BatchHash(c.root, len(payloads), b.GetEndorsements()))
	return nil
}

// repeats fills in the results of a batch whose transactions are all on the chain, or were executed earlier in this
// block. It reports false, and fills in nothing, when one was not.
func (x *block) repeats(c *candidate) bool {
	for i, id := range c.ids {
		if c.results[i] == nil && x.txs[id] == nil {
			return false
		}
	}
	for i, id := range c.ids {
		if c.results[i] == nil {
			c.results[i] = x.txs[id]
		}
	}
	return true
}

// one executes transaction i of a batch, fills in its result unless it is known already, and returns its code in the
// block.
func (x *block) one(payload []byte, id ledger.Hash, i int, set *endorsementSet, oversize bool, result **ltlv1.Result,
	made *ltlv1.Result) (int32, error) {
	if *result == nil {
		if first, ok := x.txs[id]; ok { // earlier in this block
			*result = first
		}
	}
	if *result != nil {
		return Duplicate, nil
	}
	index := uint32(len(x.done.Block.Results))
	code, output, err := x.decide(payload, id, i, index, set, oversize)
	if err != nil {
		return 0, err
	}
	made.Code, made.Output = code, output
	made.ChainId, made.BlockHeight, made.TransactionIndex = x.in.ChainID, x.in.Height, index
	*result = made
	x.fresh = append(x.fresh, made)
	if Recorded(code) {
		x.txs[id] = made
	}
	switch {
	case code == ClocksDisagree || code == TooFewClocks:
		made.Reason = set.reason(code)
	case code == NotEntitled || code == NotEndorsed || code != OK && Recorded(code): // it was set beside the code
		made.Reason = x.reason
	}
	return code, nil
}

// decide checks form and endorsements, then runs the rules.
func (x *block) decide(payload []byte, id ledger.Hash, i int, index uint32, set *endorsementSet,
	oversize bool) (code int32, output string, err error) {
	tx, form := x.decode(payload)
	if tx == nil || oversize {
		return Malformed, "", nil
	}
	if code, err := x.endorsed(set, i, tx); code != OK || err != nil {
		return code, "", err
	}
	code, output, err = x.run(tx, form, id, index)
	if code == OK {
		x.committed = Committed(tx)
	}
	return code, output, err
}

// decode returns nil for bytes that are not a transaction for this chain. form is the code of its envelope.
func (e *exec) decode(payload []byte) (tx *ltlv1.Transaction, form int32) {
	tx, err := Decode(payload)
	if err != nil || tx.GetChainId() != e.in.ChainID {
		return nil, Malformed
	}
	if form = checkEnvelope(tx); form == Malformed {
		return nil, form
	}
	return tx, form
}

func batchBytes(b *ltlv1.Batch) (n int) {
	for _, p := range b.GetTransactions() {
		n += len(p)
	}
	return n
}

// known returns the first result of a transaction that was executed before; nil when it was not.
func (e *exec) known(payload []byte, id ledger.Hash) (*ltlv1.Result, error) {
	if first, ok := e.txs[id]; ok {
		return first, nil
	}
	l, found, err := e.find(appendTransactionKey(e.key[:0], id))
	if !found || err != nil {
		return nil, err
	}
	r := &ltlv1.Result{Code: l.Code(), ChainId: e.in.ChainID, BlockHeight: l.Height, TransactionIndex: l.Index}
	if r.Code == OK {
		r.Output, err = e.outputOf(payload, id)
	}
	return r, err
}

// outputOf returns the output of a transaction that succeeded.
func (e *exec) outputOf(payload []byte, id ledger.Hash) (string, error) {
	tx, err := Decode(payload)
	if err != nil {
		return "", fmt.Errorf("%w: transaction %x succeeded, but does not decode: %w", ErrInvariant, id, err)
	}
	if k := kindOf(tx); k != nil && k.output != nil {
		return k.output(tx, id), nil
	}
	b, err := e.view.Get(e.in.ChainID, []byte(outputKey(id)))
	return string(b), err
}

// finish computes the header.
func (x *block) finish() *Executed {
	done := x.done
	if len(done.Block.Batches) == 0 {
		done.Block = nil
		return done
	}
	x.flush()
	done.Writes, done.NewChains = x.writes, x.newChains
	if x.correctedMs != 0 {
		x.referenceMs = x.correctedMs
	}
	done.seal(x.in, x.timeMs, x.referenceMs, x.outcomes, x.hashes)
	for _, r := range x.fresh {
		r.TimeMs, r.BlockHash = done.Header.TimeMs, done.Hash[:]
	}
	return done
}

// seal fills in header and hash of a block whose batches and writes are complete.
func (done *Executed) seal(in *Input, timeMs, referenceMs int64, outcomes []ledger.Outcome, batches []ledger.Hash) {
	system := in.SystemHeight
	if in.ChainID == ledger.SystemChain {
		system = in.Height
	}
	done.Header = ledger.Header{
		NetworkID: in.NetworkID, ChainID: in.ChainID, Height: in.Height, TimeMs: timeMs, Previous: in.Previous,
		Count: uint32(len(outcomes)), TxRoot: ledger.TransactionsRoot(outcomes), BatchesHash: ledger.BatchesHash(batches),
		WritesHash: ledger.WritesHash(done.Writes), SystemHeight: system,
		Sequence: in.Sequence, ReferenceMs: referenceMs,
	}
	done.Block.Header = done.Header.Encode()
	done.Hash = ledger.BlockHash(done.Block.Header)
}
