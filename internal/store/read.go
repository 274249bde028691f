package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

var _ rules.Reader = (*Store)(nil)

// view runs fn in one short read transaction. A panic of bbolt or a fault of the disk becomes ErrCorrupt.
func (s *Store) view(fn func(*bbolt.Tx) error) error {
	if err := s.alive(); err != nil {
		return err
	}
	err := catchFault(func() error { return s.db.View(fn) })
	if errors.Is(err, errDatabaseClosed) {
		return ErrClosed
	}
	s.suspect(err)
	return err
}

// readRaw reads an encoded block that must exist; with first only its first part, which holds the header.
func readRaw(blocks *bbolt.Bucket, chainID string, height uint64, first bool) ([]byte, error) {
	if blocks == nil {
		return nil, fmt.Errorf("%w: the blocks of chain %s are missing", ErrCorrupt, chainID)
	}
	raw, err := getParts(blocks, placeBlock, chainID, height, first)
	return raw, absent(err, "block %d of chain %s", height, chainID)
}

// readHeader reads a block's header and hash without the rest of the block.
func readHeader(blocks *bbolt.Bucket, chainID string, height uint64) (ledger.Header, ledger.Hash, error) {
	raw, err := readRaw(blocks, chainID, height, true)
	if err != nil {
		return ledger.Header{}, ledger.Hash{}, err
	}
	b, err := rawHeader(raw)
	if err != nil {
		return ledger.Header{}, ledger.Hash{}, err
	}
	h, err := checkHeader(chainID, height, b)
	return h, ledger.BlockHash(b), err
}

// readBlock reads a block that must exist.
func readBlock(tx *bbolt.Tx, p place) (*ltlv1.Block, ledger.Header, error) {
	raw, err := readRaw(tx.Bucket([]byte(prefixBlocks+p.chainID)), p.chainID, p.height, false)
	if err != nil {
		return nil, ledger.Header{}, err
	}
	return decodeBlock(p.chainID, p.height, raw)
}

// Block returns a block; ErrNotFound beyond the tip, ErrCorrupt (wrapped) when its bytes fail their checksum.
func (s *Store) Block(chainID string, height uint64) (*ltlv1.Block, error) {
	b, _, err := s.block(chainID, height)
	return b, err
}

func (s *Store) block(chainID string, height uint64) (b *ltlv1.Block, h ledger.Header, err error) {
	if err := s.alive(); err != nil {
		return nil, ledger.Header{}, err
	}
	if tip, ok := s.Tip(chainID); !ok || height > tip.Header.Height {
		return nil, ledger.Header{}, fmt.Errorf("%w: block %d of chain %s", ErrNotFound, height, chainID)
	}
	err = s.view(func(tx *bbolt.Tx) error {
		b, h, err = readBlock(tx, place{chainID, height})
		return err
	})
	if err != nil {
		return nil, ledger.Header{}, err
	}
	return b, h, nil
}

// BlockHash returns the hash of a block, without reading more than its header; ErrNotFound beyond the tip.
func (s *Store) BlockHash(chainID string, height uint64) (hash ledger.Hash, err error) {
	if err := s.alive(); err != nil {
		return ledger.Hash{}, err
	}
	tip, ok := s.Tip(chainID)
	if !ok || height > tip.Header.Height {
		return ledger.Hash{}, fmt.Errorf("%w: block %d of chain %s", ErrNotFound, height, chainID)
	}
	if height == tip.Header.Height {
		return tip.Hash, nil
	}
	err = s.view(func(tx *bbolt.Tx) error {
		_, hash, err = readHeader(tx.Bucket([]byte(prefixBlocks+chainID)), chainID, height)
		return err
	})
	return hash, err
}

// BlockAt returns the block with a sequence number; ErrNotFound when there is none yet.
func (s *Store) BlockAt(sequence uint64) (b *ltlv1.Block, err error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	if sequence >= s.Sequence() {
		return nil, fmt.Errorf("%w: sequence %d", ErrNotFound, sequence)
	}
	err = s.view(func(tx *bbolt.Tx) error {
		p, err := readPlace(tx, sequence)
		if err != nil {
			return err
		}
		b, _, err = readBlock(tx, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

func readPlace(tx *bbolt.Tx, sequence uint64) (place, error) {
	key := key64(sequence)
	sealed := tx.Bucket([]byte(bucketSequence)).Get(key)
	if sealed == nil {
		return place{}, fmt.Errorf("%w: sequence record %d is missing", ErrCorrupt, sequence)
	}
	return parsePlace(key, sealed)
}

// Transaction returns one transaction of a block with its result, its batch (transactions and endorsements), and the
// block's header and hash.
func (s *Store) Transaction(chainID string, height uint64, index uint32) (
	payload []byte, result int32, batch *ltlv1.Batch, header ledger.Header, hash ledger.Hash, err error,
) {
	b, h, err := s.block(chainID, height)
	if err != nil {
		return nil, 0, nil, ledger.Header{}, ledger.Hash{}, err
	}
	at := int(index)
	for _, batch := range b.GetBatches() {
		n := len(batch.GetTransactions())
		if at < n {
			return batch.GetTransactions()[at], b.GetResults()[index], batch, h, ledger.BlockHash(b.GetHeader()), nil
		}
		at -= n
	}
	err = fmt.Errorf("%w: transaction %d of block %d of chain %s", ErrNotFound, index, height, chainID)
	return nil, 0, nil, ledger.Header{}, ledger.Hash{}, err
}

// indexed reports whether a key is of the classes that are looked up by hash; the others are ordinary state.
func indexed(key []byte) bool { return len(key) > 0 && key[0] >= 'A' && key[0] <= 'Z' }

// Get reads a key of state; nil, nil when it is absent. It implements rules.View. The caller owns the result.
func (s *Store) Get(chainID string, key []byte) (value []byte, err error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	if len(key) == 0 {
		return nil, nil
	}
	if indexed(key) {
		err := catchFault(func() error {
			v, ok, err := s.index.get(hashKey(chainID, key))
			if ok {
				value = v[:]
			}
			return err
		})
		s.suspect(err)
		return value, err
	}
	err = s.view(func(tx *bbolt.Tx) error {
		v, err := s.readState(tx, chainID, key)
		value = bytes.Clone(v)
		return err
	})
	return value, err
}

// readState reads a key of ordinary state; the result is valid until the transaction ends.
func (s *Store) readState(tx *bbolt.Tx, chainID string, key []byte) ([]byte, error) {
	b, err := s.stateBucket(tx, chainID)
	if b == nil || err != nil {
		return nil, err
	}
	sealed := b.Get(key)
	if sealed == nil {
		return nil, checkAbsent(b, chainID, key)
	}
	return unseal(placeState, chainID, key, sealed)
}

// checkAbsent checks the neighbours of the place where an absent key of state would be. A damaged key reads as absent;
// but then it is next to that place and fails its checksum, and under a damaged branch the neighbours are in the wrong
// order.
func checkAbsent(b *bbolt.Bucket, chainID string, key []byte) error {
	c := b.Cursor()
	above, sealed := c.Seek(key)
	if above != nil {
		if _, err := unseal(placeState, chainID, above, sealed); err != nil {
			return err
		}
	}
	below, sealed := c.Prev()
	if above == nil {
		below, sealed = c.Last()
	}
	if below != nil {
		if _, err := unseal(placeState, chainID, below, sealed); err != nil {
			return err
		}
	}
	if (above != nil && bytes.Compare(above, key) <= 0) || (below != nil && bytes.Compare(below, key) >= 0) {
		return fmt.Errorf("%w: state of chain %s is not in order around %q", ErrCorrupt, chainID, key)
	}
	return nil
}

// stateBucket returns nil for a chain that does not exist.
func (s *Store) stateBucket(tx *bbolt.Tx, chainID string) (*bbolt.Bucket, error) {
	b := tx.Bucket([]byte(prefixState + chainID))
	if b == nil {
		if _, ok := s.Tip(chainID); ok {
			return nil, fmt.Errorf("%w: the state of chain %s is missing", ErrCorrupt, chainID)
		}
	}
	return b, nil
}

// Scan calls fn for each key of state with the prefix, in order. It implements rules.Reader. It reads in pages, so
// that no transaction stays open: changes made meanwhile may be seen or not. fn owns the slices that it gets.
func (s *Store) Scan(chainID string, prefix []byte, fn func(key, value []byte) error) error {
	if len(prefix) == 0 || indexed(prefix) {
		return fmt.Errorf("scan of prefix %q: only ordinary state can be scanned", prefix)
	}
	type pair struct{ key, value []byte }
	from, done := bytes.Clone(prefix), false
	for !done {
		var page []pair
		err := s.view(func(tx *bbolt.Tx) error {
			page, done = page[:0], true
			b, err := s.stateBucket(tx, chainID)
			if b == nil || err != nil {
				return err
			}
			if b.Get(from) == nil {
				if err := checkAbsent(b, chainID, from); err != nil {
					return err
				}
			}
			c := b.Cursor()
			size := 0
			for k, sealed := c.Seek(from); k != nil; k, sealed = c.Next() {
				// The key after the last is checked too: it may be a damaged key with the prefix.
				v, err := unseal(placeState, chainID, k, sealed)
				if err != nil {
					return err
				}
				if !bytes.HasPrefix(k, prefix) {
					return nil
				}
				page = append(page, pair{bytes.Clone(k), bytes.Clone(v)})
				if size += len(k) + len(v); len(page) == scanKeys || size >= scanBytes {
					done = false
					return nil
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, p := range page {
			if err := fn(p.key, p.value); err != nil {
				return err
			}
		}
		if len(page) > 0 {
			from = append(page[len(page)-1].key[:len(page[len(page)-1].key):len(page[len(page)-1].key)], 0)
		}
	}
	return nil
}

// checkAccessKeys reads all AccessKeys, adds them to the digest and checks that the versions name each of them once.
func checkAccessKeys(tx *bbolt.Tx, h *head, sum *digest) error {
	keys, versions := 0, 0
	b := tx.Bucket([]byte(bucketKeys))
	err := b.ForEach(func(id, sealed []byte) error {
		v, err := unseal(placeKey, "", id, sealed)
		if err == nil {
			keys++
			sum.add(item("", id, v))
		}
		return err
	})
	if err != nil {
		return err
	}
	newest := uint64(0)
	err = tx.Bucket([]byte(bucketKeyVersions)).ForEach(func(version, sealed []byte) error {
		if len(version) != 8 {
			return fmt.Errorf("%w: AccessKey version %x", ErrCorrupt, version)
		}
		newest = binary.BigEndian.Uint64(version)
		versions++
		_, err := readAccessKey(tx, version, sealed)
		return err
	})
	if err == nil && (keys != versions || newest != h.keyVersion) {
		err = fmt.Errorf("%w: %d AccessKeys with %d versions up to %d, the head says %d",
			ErrCorrupt, keys, versions, newest, h.keyVersion)
	}
	return err
}
