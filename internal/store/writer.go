package store

import (
	"bytes"
	"fmt"

	"go.etcd.io/bbolt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// writer is one group of changes in one database transaction. It is also the rules.View of the blocks that it
// executes: it sees the committed state and the effects of the blocks that it has put so far.
type writer struct {
	s    *Store
	tx   *bbolt.Tx
	head head
	// tips are the tips that changed.
	tips map[string]Tip
	// state caches the ordinary state that was read or written, per chain; nil for an absent key. There is no other
	// writer while the transaction is open, so the cache cannot go stale, and it ends with the transaction.
	state   map[string]map[string][]byte
	buckets map[string]*bbolt.Bucket
	// pending are the index entries of the blocks so far; order lists them for the journal, from the newest block's first.
	pending map[indexKey]indexValue
	order   []entry
	// frames are the openings of the blocks so far; they are written before the transaction commits.
	frames []byte
	// wiped are extents of openings that are overwritten after the commit, because they are damaged.
	wiped []extent
	// bytes is the size of the blocks so far.
	bytes int
	// broken is the first error of the view, which execution cannot distinguish from an error of its own.
	broken error
}

// change runs fn in one transaction with the head, and publishes what it did once it is durable.
func (s *Store) change(fn func(*writer) error) error {
	if err := s.alive(); err != nil {
		return err
	}
	s.index.waitRoom()
	s.writing.Lock()
	defer s.writing.Unlock()
	w := &writer{s: s, head: s.headNow(), tips: make(map[string]Tip), state: make(map[string]map[string][]byte),
		buckets: make(map[string]*bbolt.Bucket), pending: make(map[indexKey]indexValue)}
	err := s.update(func(tx *bbolt.Tx) error {
		w.tx = tx
		if err := fn(w); err != nil {
			return err
		}
		if err := w.flushFrames(); err != nil {
			return err
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyHead), w.head.encode())
	})
	if err != nil {
		return err
	}
	// This is after the point of no return: the group is on disk and is never undone. Tips come first, so that a reader
	// that finds an index entry finds its block; head comes last, so that a reader that waited for it finds everything.
	s.publish(w)
	if err := s.wipe(w.wiped); err != nil {
		return err
	}
	if s.sinceDrop += w.bytes; s.sinceDrop >= dropCacheEvery {
		s.sinceDrop = 0
		s.dropPageCache()
	}
	return nil
}

func (s *Store) publish(w *writer) {
	s.mu.Lock()
	for id, t := range w.tips {
		s.tips[id] = t
	}
	s.mu.Unlock()
	if w.head.sequence > 0 {
		s.index.publish(w.order, w.head.sequence)
	}
	s.mu.Lock()
	s.head = w.head
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
}

func (w *writer) tip(chainID string) (Tip, bool) {
	if t, ok := w.tips[chainID]; ok {
		return t, true
	}
	return w.s.Tip(chainID)
}

// bucket returns a bucket that must exist. Pages are filled completely, since most keys ascend.
func (w *writer) bucket(name string) (*bbolt.Bucket, error) {
	if b := w.buckets[name]; b != nil {
		return b, nil
	}
	b := w.tx.Bucket([]byte(name))
	if b == nil {
		return nil, fmt.Errorf("%w: bucket %q is missing", ErrCorrupt, name)
	}
	b.FillPercent = 1
	w.buckets[name] = b
	return b, nil
}

// Get implements rules.View. The result is valid until the transaction ends.
func (w *writer) Get(chainID string, key []byte) ([]byte, error) {
	v, err := w.get(chainID, key)
	if err != nil {
		return nil, w.fail(err)
	}
	return v, nil
}

func (w *writer) get(chainID string, key []byte) ([]byte, error) {
	if indexed(key) {
		k := hashKey(chainID, key)
		v, ok := w.pending[k]
		if !ok {
			var err error
			if v, ok, err = w.s.index.get(k); err != nil || !ok {
				return nil, err
			}
		}
		return v[:], nil
	}
	if _, ok := w.tip(chainID); !ok || len(key) == 0 {
		return nil, nil
	}
	return w.getState(chainID, key)
}

// getState reads ordinary state of a chain that exists.
func (w *writer) getState(chainID string, key []byte) ([]byte, error) {
	cache := w.state[chainID]
	if cache == nil {
		cache = make(map[string][]byte)
		w.state[chainID] = cache
	}
	if v, ok := cache[string(key)]; ok {
		return v, nil
	}
	b, err := w.bucket(prefixState + chainID)
	if err != nil {
		return nil, err
	}
	var v []byte
	if sealed := b.Get(key); sealed == nil {
		if err := checkAbsent(b, chainID, key); err != nil {
			return nil, err
		}
	} else if v, err = unseal(placeState, chainID, key, sealed); err != nil {
		return nil, err
	}
	cache[string(key)] = v
	return v, nil
}

// Scan implements rules.Reader, over ordinary state after the blocks so far. The slices that fn gets are valid until
// the transaction ends; fn must not write.
func (w *writer) Scan(chainID string, prefix []byte, fn func(key, value []byte) error) error {
	if len(prefix) == 0 || indexed(prefix) {
		return fmt.Errorf("BUG: scan of prefix %q: only ordinary state can be scanned", prefix)
	}
	if _, ok := w.tip(chainID); !ok {
		return nil
	}
	b, err := w.bucket(prefixState + chainID)
	if err != nil {
		return w.fail(err)
	}
	c := b.Cursor()
	for k, sealed := c.Seek(prefix); k != nil && bytes.HasPrefix(k, prefix); k, sealed = c.Next() {
		v, err := unseal(placeState, chainID, k, sealed)
		if err != nil {
			return w.fail(err)
		}
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// fail keeps the first error of the view.
func (w *writer) fail(err error) error {
	if w.broken == nil {
		w.broken = err
	}
	return err
}

// put stores an executed block and everything that it changed, then block 0 of the chains that it created.
func (w *writer) put(ex *rules.Executed) error {
	h := &ex.Header
	tip, known := w.tip(h.ChainID)
	if known != (h.Height > 0) || (known && h.Height != tip.Header.Height+1) {
		return fmt.Errorf("BUG: block %d of chain %s on top of height %d", h.Height, h.ChainID, tip.Header.Height)
	}
	if h.Sequence != w.head.sequence {
		return fmt.Errorf("BUG: block %d of chain %s with sequence %d after %d blocks", h.Height, h.ChainID, h.Sequence,
			w.head.sequence)
	}
	if !known {
		for _, prefix := range []string{prefixBlocks, prefixState} {
			if _, err := w.tx.CreateBucket([]byte(prefix + h.ChainID)); err != nil {
				return fmt.Errorf("create chain %s: %w", h.ChainID, err)
			}
		}
	}
	w.tips[h.ChainID] = Tip{ChainID: h.ChainID, Header: *h, Hash: ex.Hash}
	if err := w.putBlock(ex); err != nil {
		return fmt.Errorf("put block %d of chain %s: %w", h.Height, h.ChainID, err)
	}
	for _, id := range ex.NewChains {
		if err := w.put(rules.ChainBlock0(h, id, w.head.sequence)); err != nil {
			return err
		}
	}
	return nil
}

// putBlock writes the block, its sequence number, its changes of state and its journal record.
func (w *writer) putBlock(ex *rules.Executed) error {
	h := &ex.Header
	blocks, err := w.bucket(prefixBlocks + h.ChainID)
	if err != nil {
		return err
	}
	encoded := encodeBlock(ex.Block)
	w.bytes += len(encoded)
	if err := putParts(blocks, placeBlock, h.ChainID, h.Height, encoded, blockPart); err != nil {
		return err
	}
	sequences, err := w.bucket(bucketSequence)
	if err != nil {
		return err
	}
	number := key64(w.head.sequence)
	if err := sequences.Put(number, place{h.ChainID, h.Height}.encode(number)); err != nil {
		return err
	}
	start := len(w.order)
	for _, change := range ex.Writes {
		if err := w.putWrite(h.ChainID, change); err != nil {
			return err
		}
	}
	if err := w.putOpenings(ex); err != nil {
		return err
	}
	journal, err := w.bucket(bucketJournal)
	if err != nil {
		return err
	}
	if err := putParts(journal, placeJournal, "", w.head.sequence, encodeJournal(w.order[start:]),
		journalPart); err != nil {
		return err
	}
	log := w.head.log()
	log.Add(h)
	w.head.sequence, w.head.reference, w.head.corrected = log.Sequence, log.ReferenceMs, log.Corrected
	return nil
}

// putWrite puts one change of state: into the index if the key is looked up by hash, else into the chain's bucket.
func (w *writer) putWrite(chainID string, change ledger.Write) error {
	if indexed(change.Key) {
		if len(change.Value) != valueLen {
			return fmt.Errorf("BUG: indexed key %q has a value of %d bytes", change.Key, len(change.Value))
		}
		e := entry{hashKey(chainID, change.Key), indexValue(change.Value)}
		w.pending[e.key] = e.value
		w.order = append(w.order, e)
		return nil
	}
	old, err := w.getState(chainID, change.Key)
	if err != nil {
		return err
	}
	if old != nil {
		w.head.state.sub(item(chainID, change.Key, old))
	}
	w.head.state.add(item(chainID, change.Key, change.Value))
	b, err := w.bucket(prefixState + chainID)
	if err != nil {
		return err
	}
	// The bucket keeps the slice until the commit, and the view returns it: it must not be shared, and never nil.
	sealed := seal(placeState, chainID, change.Key, change.Value)
	w.state[chainID][string(change.Key)] = sealed[:len(change.Value):len(change.Value)]
	return b.Put(bytes.Clone(change.Key), sealed)
}
