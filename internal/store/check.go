package store

import (
	"context"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/verify"
)

// Verify reads everything that is stored and checks it: every block's checksum, link, order, time and roots, that the
// index finds every transaction, every page of the index, and the digest of the state. It does not execute the
// transactions; Append to an empty store does. progress, if not nil, is called with the number of blocks that are
// done. Blocks that are made meanwhile are not read.
func (s *Store) Verify(ctx context.Context, progress func(done, total uint64)) error {
	total := s.Sequence()
	c, err := newChecker(s)
	if err != nil {
		return err
	}
	final := s.Tips()
	for n := range total {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.view(func(tx *bbolt.Tx) error { return c.block(tx, n) }); err != nil {
			return fmt.Errorf("sequence %d: %w", n, err)
		}
		if progress != nil {
			progress(n+1, total)
		}
	}
	for _, t := range final {
		if last, _ := c.order.Tip(t.ChainID); last.Hash != t.Hash && s.Sequence() == total {
			return fmt.Errorf("%w: chain %s does not end in its tip", ErrCorrupt, t.ChainID)
		}
	}
	if err := s.verifyIndex(func(int) error { return ctx.Err() }); err != nil {
		return err
	}
	return s.verifyState()
}

// verifyState reads all ordinary state and the AccessKeys, in one transaction: state is small compared with the blocks.
func (s *Store) verifyState() error {
	return s.view(func(tx *bbolt.Tx) error {
		h, err := parseHead(tx.Bucket([]byte(bucketMeta)).Get([]byte(keyHead)))
		if err != nil {
			return err
		}
		if err := errors.Join(checkBuckets(tx), checkOpeningKeys(tx, h.sequence)); err != nil {
			return err
		}
		return checkState(tx, &h)
	})
}

// checker checks stored blocks in their order of execution.
type checker struct {
	s     *Store
	order *verify.Order
	// bytes counts what was read.
	bytes int
}

// newChecker returns a checker of the blocks that there are. It returns an error when the state cannot be read, which says
// where the time was corrected.
func newChecker(s *Store) (*checker, error) {
	corrections, err := rules.ListTimeCorrections(s)
	if err != nil {
		return nil, err
	}
	return &checker{s: s, order: verify.NewOrder(s.NetworkID(), corrections)}, nil
}

// blockError is damage of one block's own bytes.
type blockError struct {
	place
	err error
}

// Error says what is damaged.
func (e *blockError) Error() string { return e.err.Error() }

// Unwrap is the damage without its place.
func (e *blockError) Unwrap() error { return e.err }

// block checks the block with a sequence number against the blocks before it.
func (c *checker) block(tx *bbolt.Tx, sequence uint64) error {
	p, err := readPlace(tx, sequence)
	if err != nil {
		return err
	}
	if due := c.order.Due(p.chainID).Height; p.height != due {
		return fmt.Errorf("%w: block %d of chain %s comes where block %d is due", ErrCorrupt, p.height, p.chainID, due)
	}
	b, h, err := readBlock(tx, p)
	if err != nil {
		c.order.AddUnread(p.chainID)
		return &blockError{p, err}
	}
	c.bytes += proto.Size(b)
	if err := c.order.Add(&h, ledger.BlockHash(b.GetHeader())); err != nil {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	err = verify.Content(&h, b, func(id ledger.Hash, index uint32,
		code int32) error {
		return c.located(&h, id, index, code)
	})
	if errors.Is(err, verify.ErrBadBlock) {
		return fmt.Errorf("%w: %v", ErrCorrupt, err)
	}
	if err != nil {
		return err
	}
	sound, read, err := c.s.openingsSound(tx, p, sequence, b)
	c.bytes += read
	if err == nil && !sound {
		err = fmt.Errorf("%w: openings of block %d of chain %s", ErrCorrupt, p.height, p.chainID)
	}
	return err
}

// located checks that the index finds a transaction where it is. The index has no transaction that left the state
// unchanged.
func (c *checker) located(h *ledger.Header, id ledger.Hash, index uint32, code int32) error {
	if !rules.Recorded(code) {
		return nil
	}
	l, err := rules.Locate(c.s, h.ChainID, rules.TransactionKey(id))
	if err != nil {
		return err
	}
	if l == nil || l.Height != h.Height || l.Index != index || l.Code() != code {
		return fmt.Errorf("%w: the index does not find transaction %d of block %d of chain %s",
			ErrCorrupt, index, h.Height, h.ChainID)
	}
	return nil
}

// verifyIndex reads every page of every run. It calls pace with the number of bytes that it read; an error of pace
// ends it.
func (s *Store) verifyIndex(pace func(bytes int) error) error {
	v, err := s.index.acquire()
	if err != nil {
		return err
	}
	defer v.release()
	for _, r := range v.runs {
		if err := catchFault(func() error { return r.verify(pace) }); err != nil {
			return err
		}
	}
	return nil
}

// verify reads a whole run and checks its pages, that its keys ascend, and that its filter holds all of them.
func (r *run) verify(pace func(bytes int) error) error {
	for i := range r.foot.filterPages {
		if _, err := checkPage(r.page(i), r.id, i, pageFilter); err != nil {
			return err
		}
	}
	c, err := newCursor(r)
	if err != nil {
		return err
	}
	defer func() { _ = c.file.Close() }() // only read from
	const stride = 1 << 14
	var last indexKey
	for n := uint64(0); !c.done(); n++ {
		if n%stride == 0 {
			if err := pace(stride * entryLen); err != nil {
				return err
			}
		}
		k := indexKey(c.key())
		if n > 0 && string(k[:]) <= string(last[:]) {
			return fmt.Errorf("%w: keys of index run %016x are not in order", ErrCorrupt, r.id)
		}
		if ok, err := r.mayHold(&k); err != nil || !ok {
			return errors.Join(err, fmt.Errorf("%w: the filter of index run %016x hides a key", ErrCorrupt, r.id))
		}
		last = k
		if err := c.next(); err != nil {
			return err
		}
	}
	if last != r.foot.last {
		return fmt.Errorf("%w: index run %016x does not end in its last key", ErrCorrupt, r.id)
	}
	return nil
}
