package store

import (
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	ltlv1 "ltl/proto/ltl/v1"
)

// Salvage is what can still be read of a damaged store: how far it had executed, and those of its blocks that are
// good. A new ledger is made by executing the blocks again, so nothing else is needed.
type Salvage struct {
	// Applied is the newest Raft entry that the store had executed, and Sequence the number of its blocks.
	Applied, Sequence uint64

	db       *bbolt.DB
	segments *segments
	// sound is set when the tree of pages can be followed; without it no block can be read.
	sound bool
}

// OpenDamaged opens a damaged store in dir for reading. It fails when not even the head record can be read. No other
// process may have the store open.
func OpenDamaged(dir string) (*Salvage, error) {
	r := &Salvage{segments: &segments{dir: filepath.Join(dir, openingsName)}}
	path := filepath.Join(dir, databaseName)
	err := catchFault(func() (err error) {
		if err := checkMetas(path); err != nil {
			return err
		}
		r.sound = CheckDatabase(path) == nil
		if r.db, err = bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout,
			PageSize: pageSize}); err != nil {
			return err
		}
		return r.db.View(func(tx *bbolt.Tx) error {
			meta := tx.Bucket([]byte(bucketMeta))
			if meta == nil {
				return fmt.Errorf("%w: a bucket is missing", ErrCorrupt)
			}
			h, err := parseHead(meta.Get([]byte(keyHead)))
			r.Applied, r.Sequence = h.applied, h.sequence
			return err
		})
	})
	if err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("salvage store %s: %w", dir, err)
	}
	return r, nil
}

// BlockAt returns the block with a sequence number, and those of its openings that are good. An error says that the
// block cannot be read. It never wraps ErrCorrupt: damage is expected here, and is no reason to stop.
func (r *Salvage) BlockAt(sequence uint64) (b *ltlv1.Block, err error) {
	if !r.sound || sequence >= r.Sequence {
		return nil, fmt.Errorf("sequence %d cannot be salvaged", sequence)
	}
	err = catchFault(func() error {
		return r.db.View(func(tx *bbolt.Tx) error {
			p, err := readPlace(tx, sequence)
			if err != nil {
				return err
			}
			if b, _, err = readBlock(tx, p); err != nil {
				return err
			}
			all, err := readExtents(tx, sequence)
			if err != nil {
				return err
			}
			found, _, err := r.segments.collect(sequence, all)
			join(b, found)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("sequence %d: %v", sequence, err)
	}
	return b, nil
}

// Close closes the files.
func (r *Salvage) Close() error {
	if r.db == nil {
		return nil
	}
	return r.db.Close()
}
