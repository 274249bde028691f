package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"go.etcd.io/bbolt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// openingsSound reports whether the openings of a block's successful transactions are here, or the block is noted as
// lacking some, and nothing of them is damaged. It returns how many bytes were read, too.
func (s *Store) openingsSound(tx *bbolt.Tx, p place, sequence uint64, b *ltlv1.Block) (
	sound bool, read int, err error,
) {
	all, err := readExtents(tx, sequence)
	if err != nil {
		return false, 0, err
	}
	for _, e := range all {
		read += int(e.length)
	}
	found, damaged, err := s.segments.collect(sequence, all)
	if err != nil || len(damaged) > 0 {
		return false, read, err
	}
	committed, err := committedIn(b)
	if err != nil {
		return false, read, err
	}
	for i := range committed {
		if found[i] == nil {
			return tx.Bucket([]byte(bucketLacking)).Get(lackingKey(p.chainID, p.height)) != nil, read, nil
		}
	}
	return true, read, nil
}

// repairOpenings reads the openings of a block. If some are damaged, it keeps what is good and notes the block as
// lacking the rest; it reports whether it lacks any then.
func (s *Store) repairOpenings(sequence uint64) (lacks bool, err error) {
	var all []extent
	var p place
	err = s.view(func(tx *bbolt.Tx) (err error) {
		if all, err = readExtents(tx, sequence); err == nil && len(all) > 0 {
			p, err = readPlace(tx, sequence)
		}
		return err
	})
	if err != nil || len(all) == 0 {
		return false, err
	}
	_, damaged, err := s.segments.collect(sequence, all)
	if err != nil || len(damaged) == 0 {
		return false, err
	}
	complete, err := s.PutOpenings(p.chainID, []*ltlv1.BlockOpenings{{Height: p.height}})
	return complete == 0, err
}

// checkOpeningKeys reads what says where openings are and where some are lacking.
func checkOpeningKeys(tx *bbolt.Tx, sequence uint64) error {
	last := []byte(nil)
	err := tx.Bucket([]byte(bucketOpenings)).ForEach(func(k, sealed []byte) error {
		_, err := parseExtents(k, sealed)
		if err == nil && (len(k) != 8 || binary.BigEndian.Uint64(k) >= sequence || bytes.Compare(last, k) >= 0) {
			err = fmt.Errorf("%w: openings at the key %x", ErrCorrupt, k)
		}
		last = bytes.Clone(k)
		return err
	})
	if err != nil {
		return err
	}
	return tx.Bucket([]byte(bucketLacking)).ForEach(func(k, sealed []byte) error {
		_, err := unseal(placeLacking, "", k, sealed)
		return err
	})
}

// loadOpenings prepares the segment files, and notes as lacking what a power cut took from them: of blocks that were
// not made durable since.
func (s *Store) loadOpenings() error {
	if err := s.segments.discard(s.head.openings); err != nil {
		return err
	}
	if s.head.durable < s.head.sequence { // the next sync is of what was written before this start, too
		if err := s.segments.open(s.head.openings.segment); err != nil {
			return err
		}
	}
	for n := s.head.durable; n < s.head.sequence; n++ {
		lacks, err := s.repairOpenings(n)
		if err != nil {
			return err
		}
		if lacks {
			s.tookOpenings = true
			s.log.Warn("openings that were not yet on disk are lost here; they are taken from the Raft log or fetched from "+
				"other processes", "sequence", n)
		}
	}
	return nil
}

// offer stores openings of entries that were executed before, if Open found some lost: Raft gives these entries again
// after a start.
func (s *Store) offer(entries []Entry) error {
	if !s.tookOpenings {
		return nil
	}
	for _, e := range entries {
		for _, b := range e.Entry.GetBatches().GetBatches() {
			if err := s.offerBatch(b); err != nil {
				return err
			}
		}
	}
	return nil
}

// offerBatch stores the openings of a batch's transactions whose blocks lack some.
func (s *Store) offerBatch(b *ltlv1.Batch) error {
	given := map[uint64]*ltlv1.BlockOpenings{}
	for i, payload := range b.GetTransactions()[:min(len(b.GetTransactions()), len(b.GetOpenings()))] {
		if len(b.GetOpenings()[i].GetOpenings()) == 0 {
			continue
		}
		at, err := rules.Locate(s, b.GetChainId(), rules.TransactionKey(ledger.TransactionID(payload)))
		if err != nil {
			return err
		}
		if at == nil { // it was refused with a code that is not recorded
			continue
		}
		if given[at.Height] == nil {
			given[at.Height] = &ltlv1.BlockOpenings{Height: at.Height, Transactions: map[uint32]*ltlv1.Openings{}}
		}
		given[at.Height].Transactions[at.Index] = b.GetOpenings()[i]
	}
	for height, g := range given {
		lacking, err := s.ListLacking(b.GetChainId(), height, 1)
		if err != nil {
			return err
		}
		if len(lacking) == 0 || lacking[0] != height {
			continue
		}
		if _, err := s.PutOpenings(b.GetChainId(), []*ltlv1.BlockOpenings{g}); err != nil {
			return err
		}
	}
	return nil
}
