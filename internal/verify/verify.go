// Package verify says whether a block is right. It is pure: it reads state through the rules.View that it is given,
// stores nothing, and has no clock. All functions may be called concurrently, as long as the view may be.
//
// A block is right when three checks pass. Each needs more than the one before:
//
//   - Order, Link: the block extends the blocks before it: network, sequence, height, previous hash, time, reference
//     time, system height. This needs headers only.
//   - Content: the header's count and roots are those of the batches and results in the block. This needs the block.
//   - Execute: the rules make the same block, to the byte, of the same batches: endorsements, policies, results, state
//     changes. This needs the state below the block.
//
// So a block's time and the network's reference time are checked too: they follow from the clocks that the endorsing
// organisations signed.
package verify

import (
	"bytes"
	"errors"
	"fmt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrBadBlock is wrapped by every error that says that a block is not right. The text names the chain, the height and
// what differs.
var ErrBadBlock = errors.New("bad block")

// Bad returns an ErrBadBlock that names the block.
func Bad(h *ledger.Header, format string, args ...any) error {
	return fmt.Errorf("%w: block %d of chain %s: %s", ErrBadBlock, h.Height, h.ChainID, fmt.Sprintf(format, args...))
}

// Header parses a block's header and checks what needs no other block: that the header has the right form, and that
// every batch is of the header's chain.
func Header(b *ltlv1.Block) (ledger.Header, error) {
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		return ledger.Header{}, fmt.Errorf("%w: %w", ErrBadBlock, err)
	}
	for _, batch := range b.GetBatches() {
		if batch.GetChainId() != h.ChainID {
			return ledger.Header{}, Bad(&h, "it has a batch for chain %q", batch.GetChainId())
		}
	}
	return h, nil
}

// Content checks that the header's count and roots are those of the block's batches and results. each, unless nil, is
// called with every transaction, its index in the block and its result code; an error of each ends the check.
func Content(h *ledger.Header, b *ltlv1.Block, each func(id ledger.Hash, index uint32, code int32) error) error {
	total := 0
	for _, batch := range b.GetBatches() {
		total += len(batch.GetTransactions())
	}
	if total != len(b.GetResults()) || total != int(h.Count) {
		return Bad(h, "it has %d transactions, %d results and a header that counts %d", total, len(b.GetResults()), h.Count)
	}
	outcomes := make([]ledger.Outcome, 0, total)
	hashes := make([]ledger.Hash, 0, len(b.GetBatches()))
	for _, batch := range b.GetBatches() {
		ids := make([]ledger.Hash, len(batch.GetTransactions()))
		for i, payload := range batch.GetTransactions() {
			ids[i] = ledger.TransactionID(payload)
		}
		root := ledger.BatchRoot(ids)
		hashes = append(hashes, ledger.BatchHash(root, len(ids), batch.GetEndorsements()))
		for _, id := range ids {
			code := b.GetResults()[len(outcomes)]
			if each != nil {
				if err := each(id, uint32(len(outcomes)), code); err != nil {
					return err
				}
			}
			outcomes = append(outcomes, ledger.Outcome{ID: id, Code: code, BatchRoot: root})
		}
	}
	if root := ledger.TransactionsRoot(outcomes); root != h.TxRoot {
		return Bad(h, "its transaction root is %x, its transactions and results give %x", h.TxRoot, root)
	}
	if hash := ledger.BatchesHash(hashes); hash != h.BatchesHash {
		return Bad(h, "its hash of batches is %x, its batches give %x", h.BatchesHash, hash)
	}
	return nil
}

// Is checks that b is the block with a known hash: the header has the hash, and the content is the header's. Nothing
// more is needed where the hash comes from a block that was verified before.
func Is(b *ltlv1.Block, hash ledger.Hash) error {
	h, err := Header(b)
	if err != nil {
		return err
	}
	if got := ledger.BlockHash(b.GetHeader()); got != hash {
		return Bad(&h, "it has hash %x, not %x", got, hash)
	}
	return Content(&h, b, nil)
}

// Execute executes a block's batches on the state below it and checks that the rules make the same block: every result
// and every byte of the header. in is what the chain gives, as Next returns it; Execute takes the batches from the
// block. It returns what is to be stored.
//
// Every error wraps ErrBadBlock, except rules.ErrNewerRules: nothing is wrong with the block then. Execution cannot
// tell a view that failed from a block that cannot be executed; the caller asks its view first.
func Execute(
	h *ledger.Header, b *ltlv1.Block, in rules.Input, view rules.View, check rules.Verify,
) (*rules.Executed, error) {
	if err := Link(h, &in); err != nil {
		return nil, err
	}
	in.Batches = b.GetBatches()
	made, err := rules.Execute(in, view, check)
	if errors.Is(err, rules.ErrNewerRules) {
		return nil, fmt.Errorf("block %d of chain %s: %w", h.Height, h.ChainID, err)
	}
	if err != nil {
		return nil, Bad(h, "it cannot be executed: %v", err)
	}
	if err := compare(h, b, made); err != nil {
		return nil, err
	}
	return made, nil
}

// compare compares a block with what its batches execute to.
func compare(h *ledger.Header, b *ltlv1.Block, made *rules.Executed) error {
	if made.Block == nil || len(made.Block.GetBatches()) != len(b.GetBatches()) {
		return Bad(h, "it has batches that put nothing on the chain")
	}
	want, have := made.Block.GetResults(), b.GetResults()
	if len(want) != len(have) {
		return Bad(h, "it has %d results for %d transactions", len(have), len(want))
	}
	for i := range want {
		if want[i] != have[i] {
			return Bad(h, "transaction %d has result %d, execution gives %d", i, have[i], want[i])
		}
	}
	if bytes.Equal(made.Block.GetHeader(), b.GetHeader()) {
		return nil
	}
	e := &made.Header
	for _, f := range []struct {
		name       string
		have, want any
	}{
		{"count", h.Count, e.Count},
		{"transaction root", h.TxRoot, e.TxRoot},
		{"hash of batches", h.BatchesHash, e.BatchesHash},
		{"hash of writes", h.WritesHash, e.WritesHash},
	} {
		if f.have != f.want {
			return Bad(h, "its %s is %x, execution gives %x", f.name, f.have, f.want)
		}
	}
	if h.TimeMs != e.TimeMs {
		return Bad(h, "its time is %d ms, execution gives %d ms", h.TimeMs, e.TimeMs)
	}
	if h.ReferenceMs != e.ReferenceMs {
		return Bad(h, "its reference time is %d ms, execution gives %d ms", h.ReferenceMs, e.ReferenceMs)
	}
	return Bad(h, "its header differs from the one that execution makes")
}
