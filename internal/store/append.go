package store

import (
	"bytes"
	"errors"
	"fmt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Append re-executes blocks from a peer, in order of their sequence, and stores them if every byte of every header and every
// result agrees. Block 0 of a chain is made here with the system block that creates the chain; when it arrives, and when any
// block that is here already arrives again, it is compared. ErrBadBlock (wrapped) names chain, height and what differs; then
// none of the call's blocks is stored. The leader's time is taken from the header: execution only demands that it does not
// go back and judges endorsements by it. That two copies have the same times is known from comparing block hashes.
func (s *Store) Append(blocks []*ltlv1.Block) error {
	if err := s.alive(); err != nil {
		return err
	}
	if s.NetworkID() == (ledger.Hash{}) {
		return ErrNotInitialised
	}
	if len(blocks) == 0 {
		return nil
	}
	return s.change(func(w *writer) error {
		for _, b := range blocks {
			if err := w.appendBlock(b); err != nil {
				return err
			}
		}
		return nil
	})
}

// badBlock is an ErrBadBlock that names the block.
func badBlock(h *ledger.Header, format string, args ...any) error {
	return fmt.Errorf("%w: block %d of chain %s: %s", ErrBadBlock, h.Height, h.ChainID, fmt.Sprintf(format, args...))
}

func (w *writer) appendBlock(b *ltlv1.Block) error {
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadBlock, err)
	}
	if h.NetworkID != w.head.network {
		return badBlock(&h, "it is of network %x, not of %x", h.NetworkID, w.head.network)
	}
	for _, batch := range b.GetBatches() {
		if batch.GetChainId() != h.ChainID {
			return badBlock(&h, "it has a batch for chain %q", batch.GetChainId())
		}
	}
	tip, ok := w.tip(h.ChainID)
	if !ok {
		return badBlock(&h, "the system chain has not created this chain")
	}
	if h.Height <= tip.Header.Height {
		return w.compareStored(&h, b)
	}
	if h.Height > tip.Header.Height+1 {
		return badBlock(&h, "out of order: the chain is at height %d", tip.Header.Height)
	}
	in := w.input(tip, h.TimeMs, b.GetBatches())
	if h.SystemHeight != in.SystemHeight {
		return badBlock(&h, "it was made at system height %d, the order of blocks gives %d", h.SystemHeight, in.SystemHeight)
	}
	ex, err := rules.Execute(in, w, w.s.verify)
	if w.broken != nil {
		return fmt.Errorf("execute block %d of chain %s: %w", h.Height, h.ChainID, w.broken)
	}
	if errors.Is(err, rules.ErrNewerRules) { // nothing is wrong with the block
		return fmt.Errorf("block %d of chain %s: %w", h.Height, h.ChainID, err)
	}
	if err != nil {
		return badBlock(&h, "it cannot be executed: %v", err)
	}
	if err := compareExecuted(&h, b, ex); err != nil {
		return err
	}
	return w.put(ex)
}

// compareStored compares a block with the stored one of its height.
func (w *writer) compareStored(h *ledger.Header, b *ltlv1.Block) error {
	blocks, err := w.bucket(prefixBlocks + h.ChainID)
	if err != nil {
		return err
	}
	raw, err := readRaw(blocks, h.ChainID, h.Height, false)
	if err != nil {
		return err
	}
	if !bytes.Equal(raw, encodeBlock(b)) {
		return badBlock(h, "another block of this height is stored here")
	}
	return nil
}

// compareExecuted compares a block with what its batches execute to.
func compareExecuted(h *ledger.Header, b *ltlv1.Block, ex *rules.Executed) error {
	if ex.Block == nil || len(ex.Block.GetBatches()) != len(b.GetBatches()) {
		return badBlock(h, "it has batches that put nothing on the chain")
	}
	want, have := ex.Block.GetResults(), b.GetResults()
	if len(want) != len(have) {
		return badBlock(h, "it has %d results for %d transactions", len(have), len(want))
	}
	for i := range want {
		if want[i] != have[i] {
			return badBlock(h, "transaction %d has result %d, execution gives %d", i, have[i], want[i])
		}
	}
	if bytes.Equal(ex.Block.GetHeader(), b.GetHeader()) {
		return nil
	}
	e := &ex.Header
	for _, f := range []struct {
		name       string
		have, want any
	}{
		{"time", h.TimeMs, e.TimeMs},
		{"previous hash", h.Previous, e.Previous},
		{"count", h.Count, e.Count},
		{"transaction root", h.TxRoot, e.TxRoot},
		{"hash of batches", h.BatchesHash, e.BatchesHash},
		{"hash of writes", h.WritesHash, e.WritesHash},
		{"system height", h.SystemHeight, e.SystemHeight},
	} {
		if f.have != f.want {
			return badBlock(h, "its %s is %x, execution gives %x", f.name, f.have, f.want)
		}
	}
	return badBlock(h, "its header differs")
}
