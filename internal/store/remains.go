package store

import (
	"fmt"
	"path/filepath"

	"go.etcd.io/bbolt"

	ltlv1 "ltl/proto/ltl/v1"
)

// Remains are what can still be read of a damaged store: what it had executed, and those of its blocks that are good. Whoever rebuilds
// a ledger executes the blocks again, so nothing else of it is needed.
type Remains struct {
	// Applied is the newest Raft entry that it had executed, and Sequence the number of its blocks.
	Applied, Sequence uint64

	db    *bbolt.DB
	sound bool // the tree of pages can be followed
}

// OpenRemains opens what is left of the store in dir, for reading. It fails when not even what was executed can be read. Nobody else may
// have the store open.
func OpenRemains(dir string) (*Remains, error) {
	r := &Remains{}
	path := filepath.Join(dir, databaseName)
	err := guard(func() (err error) {
		if err := checkMetas(path); err != nil {
			return err
		}
		r.sound = CheckDatabase(path) == nil
		if r.db, err = bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout, PageSize: pageSize}); err != nil {
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
		return nil, fmt.Errorf("read what is left of store %s: %w", dir, err)
	}
	return r, nil
}

// BlockAt returns the block with a sequence number. An error says that it cannot be read; it never wraps ErrCorrupt, because nothing
// else was to be expected.
func (r *Remains) BlockAt(sequence uint64) (b *ltlv1.Block, err error) {
	if !r.sound || sequence >= r.Sequence {
		return nil, fmt.Errorf("sequence %d: it cannot be read from what is left", sequence)
	}
	err = guard(func() error {
		return r.db.View(func(tx *bbolt.Tx) error {
			p, err := readPlace(tx, sequence)
			if err != nil {
				return err
			}
			b, _, err = readBlock(tx, p)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("sequence %d: %v", sequence, err)
	}
	return b, nil
}

// Close closes the files.
func (r *Remains) Close() error {
	if r.db == nil {
		return nil
	}
	return r.db.Close()
}
