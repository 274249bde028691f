package store

import (
	"bytes"
	"fmt"

	"ltl/internal/ledger"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// Append executes blocks from a peer again, in order of their sequence, and stores them if every byte of every header
// and every result agrees (package verify). Block 0 of a chain is made with the system block that creates the chain. A
// block that is stored already is compared with the stored one. After an error that wraps verify.ErrBadBlock none of
// the call's blocks is stored.
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

func (w *writer) appendBlock(b *ltlv1.Block) error {
	h, err := verify.Header(b)
	if err != nil {
		return err
	}
	tip, ok := w.tip(h.ChainID)
	if !ok {
		return verify.Bad(&h, "the system chain has not created this chain")
	}
	if h.Height <= tip.Header.Height {
		return w.compareStored(&h, b)
	}
	made, err := verify.Execute(&h, b, w.next(tip), w, w.s.verify)
	if w.broken != nil {
		return fmt.Errorf("execute block %d of chain %s: %w", h.Height, h.ChainID, w.broken)
	}
	if err != nil {
		return err
	}
	return w.put(made)
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
		return verify.Bad(h, "another block of this height is stored here")
	}
	return nil
}
