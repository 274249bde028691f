package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// lackingKey is the key of a block in the bucket of those that lack openings.
func lackingKey(chainID string, height uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte(chainID), height)
}

// fits reports whether openings are exactly those of a transaction, each by its commitment, and hold nothing else.
func fits(chainID string, committed []*ltlv1.Value, o *ltlv1.Openings) bool {
	if len(o.GetOpenings()) != len(committed) || rules.UnknownInOpenings(o) {
		return false
	}
	for i, v := range committed {
		if one := o.GetOpenings()[i]; one.GetSlot() != uint32(i) || !rules.Opens(chainID, v, one) {
			return false
		}
	}
	return true
}

// putOpenings keeps the openings that came with an executed block's batches, of transactions that succeeded. What the
// batches lack, or what does not fit its commitment, is noted as lacking: execution never reads an opening, so the
// block stands.
func (w *writer) putOpenings(ex *rules.Executed) error {
	h, given, lacks, i := &ex.Header, map[uint32]*ltlv1.Openings{}, false, 0
	for _, b := range ex.Block.GetBatches() {
		for j := range b.GetTransactions() {
			if i < len(ex.Committed) && len(ex.Committed[i]) > 0 {
				if j < len(b.GetOpenings()) && fits(h.ChainID, ex.Committed[i], b.GetOpenings()[j]) {
					given[uint32(i)] = b.GetOpenings()[j]
				} else {
					lacks = true
				}
			}
			i++
		}
	}
	if lacks {
		if err := w.lack(h.ChainID, h.Height, h.Sequence); err != nil {
			return err
		}
	}
	if len(given) == 0 {
		return nil
	}
	return w.setOpenings(h.Sequence, nil, given)
}

// lack notes that openings of a block are not here.
func (w *writer) lack(chainID string, height, sequence uint64) error {
	b, err := w.bucket(bucketLacking)
	if err != nil {
		return err
	}
	key := lackingKey(chainID, height)
	return b.Put(key, seal(placeLacking, "", key, key64(sequence)))
}

// setOpenings appends openings to the group's frames, and notes where they will be. before are the extents that the
// block keeps.
func (w *writer) setOpenings(sequence uint64, before []extent, given map[uint32]*ltlv1.Openings) error {
	key := key64(sequence)
	b, err := w.bucket(bucketOpenings)
	if err != nil {
		return err
	}
	if len(given) == 0 && len(before) == 0 {
		return b.Delete(key)
	}
	if len(given) == 0 {
		return nil
	}
	if len(w.frames) == 0 {
		if err := w.roomForFrames(); err != nil {
			return err
		}
	}
	start := len(w.frames)
	for _, i := range slices.Sorted(maps.Keys(given)) {
		var err error
		if w.frames, err = appendFrame(w.frames, sequence, i, given[i]); err != nil {
			return err
		}
	}
	at := extent{position{w.head.openings.segment, w.head.openings.offset + uint32(start)}, uint32(len(w.frames) - start)}
	return b.Put(key, seal(placeOpenings, "", key, appendExtents(nil, append(before, at))))
}

// roomForFrames begins the next file when the newest is full. The files before the newest are durable.
func (w *writer) roomForFrames() error {
	if w.head.openings.offset < w.s.segments.size {
		return nil
	}
	if err := w.s.segments.close(); err != nil {
		return err
	}
	w.head.openings = position{w.head.openings.segment + 1, 0}
	w.head.durable = w.s.headNow().sequence
	return nil
}

// flushFrames writes the group's frames. It does not wait for the disk: the Raft log has the openings of a node until
// its next snapshot, which SyncOpenings comes before, and other copies fetch what a power cut took. Open finds that.
func (w *writer) flushFrames() error {
	if len(w.frames) > 0 {
		if err := w.s.segments.write(w.head.openings, w.frames); err != nil {
			return err
		}
		w.head.openings.offset += uint32(len(w.frames))
		w.s.passed("openings written")
	}
	if len(w.wiped) > 0 { // what is written again is overwritten where it was, after the commit
		return w.s.segments.sync()
	}
	return nil
}

// wipe overwrites extents that no key names any more. A crash before it leaves bytes that are never read.
func (s *Store) wipe(extents []extent) error {
	for _, e := range extents {
		if err := s.segments.wipe(e); err != nil {
			s.fail(err)
			return err
		}
	}
	return nil
}

// passed tells tests how far a change is.
func (s *Store) passed(point string) {
	if s.with.hook != nil {
		s.with.hook(point)
	}
}

// SyncOpenings makes all openings that are stored durable.
func (s *Store) SyncOpenings() error {
	if h := s.headNow(); h.durable == h.sequence {
		return s.alive()
	}
	return s.change(func(w *writer) error {
		if err := s.segments.sync(); err != nil {
			return err
		}
		w.head.durable = w.head.sequence
		return nil
	})
}

// readExtents returns where the openings of a block are; none for a block without openings. A damaged key reads as
// absent, and is found as in checkAbsent: by the neighbours of its place.
func readExtents(tx *bbolt.Tx, sequence uint64) ([]extent, error) {
	key := key64(sequence)
	c := tx.Bucket([]byte(bucketOpenings)).Cursor()
	above, sealed := c.Seek(key)
	if bytes.Equal(above, key) {
		return parseExtents(key, sealed)
	}
	if above != nil {
		if _, err := parseExtents(above, sealed); err != nil {
			return nil, err
		}
	}
	below, sealed := c.Prev()
	if above == nil {
		below, sealed = c.Last()
	}
	if below == nil {
		return nil, nil
	}
	if _, err := parseExtents(below, sealed); err != nil {
		return nil, err
	}
	if bytes.Compare(below, key) >= 0 || above != nil && bytes.Compare(above, key) <= 0 {
		return nil, fmt.Errorf("%w: the places of openings are not in order around sequence %d", ErrCorrupt, sequence)
	}
	return nil, nil
}

// openingsAt reads the openings of a block by transaction. Damage is reported to Suspects; what is damaged is as if it
// were not here.
func (s *Store) openingsAt(sequence uint64) (found map[uint32]*ltlv1.Openings, err error) {
	var all []extent
	err = s.view(func(tx *bbolt.Tx) (err error) {
		all, err = readExtents(tx, sequence)
		return err
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	found, damaged, err := s.segments.collect(sequence, all)
	if err == nil && len(damaged) > 0 {
		s.suspect(fmt.Errorf("%w: openings of sequence %d", ErrCorrupt, sequence))
	}
	return found, err
}

// Openings returns the openings of a transaction of a block; nil when none are stored here: it has none, it was
// refused, or they are lacking. They fit the commitments.
func (s *Store) Openings(header *ledger.Header, index uint32) (*ltlv1.Openings, error) {
	found, err := s.openingsAt(header.Sequence)
	return found[index], err
}

// BlockOpenings returns the openings of a block by the index of their transaction, as far as they are stored here;
// ErrNotFound beyond the tip.
func (s *Store) BlockOpenings(chainID string, height uint64) (map[uint32]*ltlv1.Openings, error) {
	_, h, err := s.block(chainID, height)
	if err != nil {
		return nil, err
	}
	return s.openingsAt(h.Sequence)
}

// AddOpenings fills in the openings of a block's batches, as far as they are stored here.
func (s *Store) AddOpenings(b *ltlv1.Block) error {
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		return err
	}
	found, err := s.openingsAt(h.Sequence)
	if err == nil {
		join(b, found)
	}
	return err
}

// join puts the openings of a block by transaction into its batches.
func join(b *ltlv1.Block, found map[uint32]*ltlv1.Openings) {
	if len(found) == 0 {
		return
	}
	i := uint32(0)
	for _, batch := range b.GetBatches() {
		batch.Openings = make([]*ltlv1.Openings, len(batch.GetTransactions()))
		for j := range batch.Openings {
			if batch.Openings[j] = found[i]; found[i] == nil {
				batch.Openings[j] = &ltlv1.Openings{}
			}
			i++
		}
	}
}

// ListLacking returns the heights of a chain's blocks, from a height on, of which openings are not here.
func (s *Store) ListLacking(chainID string, from uint64, limit int) (heights []uint64, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte(bucketLacking)).Cursor()
		for k, sealed := c.Seek(lackingKey(chainID, from)); k != nil && len(heights) < limit; k, sealed = c.Next() {
			if _, err := unseal(placeLacking, "", k, sealed); err != nil {
				return err
			}
			if string(k[:len(k)-8]) != chainID {
				return nil
			}
			heights = append(heights, binary.BigEndian.Uint64(k[len(k)-8:]))
		}
		return nil
	})
	return heights, err
}

// PutOpenings stores openings of blocks that were lacking. Those that do not fit their commitments are left out: the
// giver need not be trusted. It returns how many of the blocks lack no more.
func (s *Store) PutOpenings(chainID string, given []*ltlv1.BlockOpenings) (complete int, err error) {
	blocks := make([]openedBlock, len(given))
	for i, g := range given {
		b, h, err := s.block(chainID, g.GetHeight())
		if err != nil {
			return 0, err
		}
		committed, err := committedIn(b)
		if err != nil {
			return 0, err
		}
		blocks[i] = openedBlock{place{chainID, h.Height}, h.Sequence, committed, g.GetTransactions()}
	}
	err = s.change(func(w *writer) error {
		complete = 0
		for i := range blocks {
			whole, err := w.fillIn(&blocks[i])
			if err != nil {
				return err
			}
			if whole {
				complete++
			}
		}
		return nil
	})
	return complete, err
}

// openedBlock is a block whose openings are filled in.
type openedBlock struct {
	place
	sequence  uint64
	committed map[uint32][]*ltlv1.Value
	given     map[uint32]*ltlv1.Openings
}

// fillIn adds what fits to the openings of a block, and reports whether it lacks no more.
func (w *writer) fillIn(b *openedBlock) (whole bool, err error) {
	before, err := readExtents(w.tx, b.sequence)
	if err != nil {
		return false, err
	}
	have, damaged, err := w.s.segments.collect(b.sequence, before)
	if err != nil {
		return false, err
	}
	if len(damaged) > 0 { // what is good is written again, so that nothing of the damaged extents is left behind
		w.wiped, before = append(w.wiped, before...), nil
	}
	whole = true
	add := map[uint32]*ltlv1.Openings{}
	for i, values := range b.committed {
		switch {
		case have[i] != nil && before != nil:
		case have[i] != nil:
			add[i] = have[i]
		case fits(b.chainID, values, b.given[i]):
			add[i] = b.given[i]
		default:
			whole = false
		}
	}
	if len(add) > 0 || len(damaged) > 0 {
		if err := w.setOpenings(b.sequence, before, add); err != nil {
			return false, err
		}
	}
	if len(add) > 0 {
		w.head.durable = min(w.head.durable, b.sequence) // until the next sync, Open looks at this block again
	}
	if !whole {
		return false, w.lack(b.chainID, b.height, b.sequence)
	}
	lacking, err := w.bucket(bucketLacking)
	if err != nil {
		return false, err
	}
	return true, lacking.Delete(lackingKey(b.chainID, b.height))
}

// committedIn returns the values that a block's successful transactions commit to, by transaction.
func committedIn(b *ltlv1.Block) (map[uint32][]*ltlv1.Value, error) {
	all, i := map[uint32][]*ltlv1.Value{}, uint32(0)
	for _, batch := range b.GetBatches() {
		for _, payload := range batch.GetTransactions() {
			if b.GetResults()[i] == rules.OK {
				tx, err := rules.Decode(payload)
				if err != nil {
					return nil, fmt.Errorf("%w: transaction %d succeeded and cannot be decoded: %w", ErrCorrupt, i, err)
				}
				if values := rules.Committed(tx); len(values) > 0 {
					all[i] = values
				}
			}
			i++
		}
	}
	return all, nil
}
