package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"ltl/internal/ledger"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// Damage is a place where the stored bytes are not those that were written.
type Damage struct {
	// ChainID and Height name the block whose bytes are damaged. ChainID is empty for any other damage: of state, index,
	// or the structure of the database. Such damage is not repaired in place: a new ledger is made by executing all
	// blocks again.
	ChainID string
	Height  uint64
	// Err says what is wrong; it wraps ErrCorrupt.
	Err error
}

// Scrub reads everything that is stored and checks it as Verify does, but goes on after damage, and calls found for
// each damage. It calls pace with about the number of bytes read since the last call; pace may wait, and an error of
// pace ends the scrub. Scrub returns that error, or why the store cannot be read at all (ErrFailed, ErrClosed); damage
// is no error.
//
// Pages in the system's page cache are read from there. A fault of the disk is found once the page has left the cache.
func (s *Store) Scrub(ctx context.Context, pace func(bytes int) error, found func(Damage)) error {
	total := s.Sequence()
	c, err := newChecker(s)
	if err != nil { // the state is damaged, which no block repairs
		return report(err, "state", found)
	}
	mapped := 0
	for n := range total {
		if err := ctx.Err(); err != nil {
			return err
		}
		lacks, err := s.repairOpenings(n)
		if err := report(err, fmt.Sprint("openings of sequence ", n), found); err != nil {
			return err
		}
		if lacks {
			s.log.Error("stored openings are damaged; they are fetched again", "sequence", n)
		}
		err = s.view(func(tx *bbolt.Tx) error { return c.block(tx, n) })
		if err := report(err, fmt.Sprint("sequence ", n), found); err != nil {
			return err
		}
		read := c.bytes
		c.bytes = 0
		if mapped += read; mapped >= dropCacheEvery {
			mapped = 0
			s.dropPageCache()
		}
		if err := pace(read); err != nil {
			return err
		}
	}
	var ended error
	defer s.dropPageCache()
	err = s.verifyIndex(func(read int) error {
		ended = errors.Join(ctx.Err(), pace(read))
		return ended
	})
	if ended != nil {
		return ended
	}
	if err := report(err, "index", found); err != nil {
		return err
	}
	return report(s.verifyState(), "state", found)
}

// report passes damage to found and returns every other error.
func report(err error, where string, found func(Damage)) error {
	if err == nil || !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFailed) {
		return err
	}
	d := Damage{Err: fmt.Errorf("%s: %w", where, err)}
	if b := (*blockError)(nil); errors.As(err, &b) {
		d.ChainID, d.Height = b.chainID, b.height
	}
	found(d)
	return nil
}

// Suspects returns a channel that gets a value when a read has met damage since the last value was taken. A scrub is
// due then.
func (s *Store) Suspects() <-chan struct{} { return s.suspects }

// suspect records that a read met damage.
func (s *Store) suspect(err error) {
	if !errors.Is(err, ErrCorrupt) {
		return
	}
	select {
	case s.suspects <- struct{}{}:
	default: // recorded already
	}
}

// RepairBlock replaces the bytes of a damaged block by those of another copy. The copy need not be trusted: the header
// must have the hash that the block above names, or that of the chain's tip, and batches and results must be the
// header's; else the error is verify.ErrBadBlock, wrapped. Of several damaged blocks above one another the upper ones
// must be repaired first. ErrCorrupt, wrapped, says that more than the block's own bytes is damaged, and that nothing
// was written.
func (s *Store) RepairBlock(b *ltlv1.Block) error {
	h, err := verify.Header(b)
	if err != nil {
		return err
	}
	encoded := encodeBlock(b)
	if err := s.checkRepair(&h, b, len(encoded)); err != nil {
		return err
	}
	err = s.change(func(w *writer) error {
		blocks, err := w.bucket(prefixBlocks + h.ChainID)
		if err != nil {
			return err
		}
		return putParts(blocks, placeBlock, h.ChainID, h.Height, encoded, blockPart)
	})
	if err != nil {
		return err
	}
	if _, err := s.Block(h.ChainID, h.Height); err != nil {
		return fmt.Errorf("block %d of chain %s was written again: %w", h.Height, h.ChainID, err)
	}
	return nil
}

// checkRepair checks that b is the block of its height, and that the keys of its parts are undamaged.
func (s *Store) checkRepair(h *ledger.Header, b *ltlv1.Block, size int) error {
	tip, ok := s.Tip(h.ChainID)
	if !ok || h.Height > tip.Header.Height {
		return verify.Bad(h, "this ledger has no block of this height")
	}
	return s.view(func(tx *bbolt.Tx) error {
		blocks := tx.Bucket([]byte(prefixBlocks + h.ChainID))
		want := tip.Hash
		if h.Height < tip.Header.Height {
			above, _, err := readHeader(blocks, h.ChainID, h.Height+1)
			if err != nil {
				return err
			}
			want = above.Previous
		}
		if err := verify.Is(b, want); err != nil {
			return err
		}
		return checkKeys(blocks, h, size)
	})
}

// checkKeys checks that the keys of a block's parts exist, and no others. A damaged key is damage of the tree: writing
// the right one would leave the wrong one in place.
func checkKeys(blocks *bbolt.Bucket, h *ledger.Header, size int) error {
	if blocks == nil {
		return fmt.Errorf("%w: the blocks of chain %s are missing", ErrCorrupt, h.ChainID)
	}
	c := blocks.Cursor()
	k, _ := c.Seek(partKey(h.Height, 0))
	parts := (max(size, 1) + blockPart - 1) / blockPart
	for part := range parts {
		if !bytes.Equal(k, partKey(h.Height, part)) {
			return fmt.Errorf("%w: the key of part %d of block %d of chain %s is damaged", ErrCorrupt, part, h.Height, h.ChainID)
		}
		k, _ = c.Next()
	}
	if next := partKey(h.Height+1, 0); k != nil && !bytes.Equal(k, next) {
		return fmt.Errorf("%w: the key after block %d of chain %s is damaged", ErrCorrupt, h.Height, h.ChainID)
	}
	return nil
}
