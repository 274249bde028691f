package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

const (
	databaseName = "ledger.db"
	lockName     = "lock"
	indexName    = "index"
	openingsName = "openings"
)

// seams are the parts that tests replace; the zero value is for production.
type seams struct {
	openFile func(string, int, os.FileMode) (*os.File, error)
	hook     func(point string)
	filters  int64
	// beforeCommit runs before a commit, within its commitLimit.
	beforeCommit func()
	commitLimit  time.Duration
	segmentBytes uint32
}

// Open opens the store in dir, creating it if absent. It checks the structure of the whole database file, all ordinary
// state, the newest blocks and the footers and filters of the index; Verify checks the rest. It refuses a ledger under
// rules that this program does not know: rules.ErrNewerRules. Background work starts here and ends in Close.
func Open(dir string, o Options) (*Store, error) { return open(dir, o, seams{filters: filterBudget}) }

func open(dir string, o Options, with seams) (_ *Store, err error) {
	s := &Store{with: with, log: o.Logger, fatal: o.Fatal, verify: o.Verify, stop: make(chan struct{}),
		changed: make(chan struct{}), suspects: make(chan struct{}, 1)}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.fatal == nil {
		s.fatal = func(error) { os.Exit(1) } // fail has logged it
	}
	if s.verify == nil {
		s.verify = ledger.VerifyEndorsement
	}
	if o.FlushEntries <= 0 {
		o.FlushEntries = defaultFlushEntries
	}
	s.segments = &segments{dir: filepath.Join(dir, openingsName), size: segmentBytes, noSync: o.NoSync}
	if with.segmentBytes > 0 {
		s.segments.size = with.segmentBytes
	}
	if s.lock, err = lockDir(dir); err != nil {
		return nil, err
	}
	err = catchFault(func() error {
		if err := prepare(dir, o, with); err != nil {
			return err
		}
		if s.db, err = bbolt.Open(filepath.Join(dir, databaseName), 0o600, boltOptions(o, with)); err != nil {
			return fmt.Errorf("open database: %w", err)
		}
		return s.load(dir, o, with)
	})
	if err != nil {
		if s.db != nil {
			err = errors.Join(err, s.db.Close())
		}
		return nil, errors.Join(fmt.Errorf("open store %s: %w", dir, err), s.lock.Close())
	}
	s.log.Info("store opened", "dir", dir, "chains", len(s.tips), "sequence", s.head.sequence, "applied", s.head.applied,
		"runs", len(s.index.manifest.runs))
	s.dropPageCache() // the checks above have read the whole file
	s.index.start()
	return s, nil
}

func boltOptions(o Options, with seams) *bbolt.Options {
	return &bbolt.Options{Timeout: lockTimeout, NoFreelistSync: true, FreelistType: bbolt.FreelistMapType,
		InitialMmapSize: initialMmap,
		PageSize:        pageSize, NoSync: o.NoSync, NoGrowSync: false, NoStatistics: true, OpenFile: with.openFile}
}

// lockDir makes the directory and takes its lock, which ends with the process at the latest.
func lockDir(dir string) (*os.File, error) {
	for _, name := range []string{indexName, openingsName} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("make store directory: %w", err)
		}
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("store %s is in use by another process: %w", dir, err)
	}
	return f, nil
}

// prepare checks the database file before bbolt opens it, or makes a new one. A new one gets its name only when it is
// complete. So a bad file is never replaced by a new one, and neither is a missing one when there is an index.
func prepare(dir string, o Options, with seams) error {
	path := filepath.Join(dir, databaseName)
	_, err := os.Stat(path)
	if err == nil {
		return CheckDatabase(path)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("look for database: %w", err)
	}
	for _, of := range []struct {
		name string
		is   func(string) bool
	}{{indexName, isRunFile}, {openingsName, isSegmentFile}} {
		names, err := os.ReadDir(filepath.Join(dir, of.name))
		if err != nil {
			return fmt.Errorf("read the directory of the %s: %w", of.name, err)
		}
		for _, n := range names {
			if of.is(n.Name()) {
				return fmt.Errorf("%w: %s is missing, but its %s exist", ErrCorrupt, path, of.name)
			}
		}
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove unfinished database: %w", err)
	}
	if err := create(fresh, o); err != nil {
		return fmt.Errorf("create database: %w", err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return fmt.Errorf("name database: %w", err)
	}
	if o.NoSync {
		return nil
	}
	return errors.Join(syncDir(dir), syncDir(filepath.Dir(dir)))
}

// create makes a database with empty buckets.
func create(path string, o Options) error {
	db, err := bbolt.Open(path, 0o600, boltOptions(o, seams{}))
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{bucketMeta, bucketSequence, bucketJournal, bucketKeys, bucketKeyVersions,
			bucketOpenings, bucketLacking} {
			if _, err := tx.CreateBucket([]byte(name)); err != nil {
				return err
			}
		}
		meta := tx.Bucket([]byte(bucketMeta))
		if err := meta.Put([]byte(keyHead), (&head{}).encode()); err != nil {
			return err
		}
		return meta.Put([]byte(keyManifest), (&manifest{next: 1}).encode())
	})
	return errors.Join(err, db.Close())
}

// load reads and checks the data that the store keeps in memory.
func (s *Store) load(dir string, o Options, with seams) error {
	var m manifest
	var journal []entry
	err := s.db.View(func(tx *bbolt.Tx) (err error) {
		if err = checkBuckets(tx); err != nil {
			return err
		}
		meta := tx.Bucket([]byte(bucketMeta))
		if s.head, err = parseHead(meta.Get([]byte(keyHead))); err != nil {
			return err
		}
		if m, err = parseManifest(meta.Get([]byte(keyManifest))); err != nil {
			return err
		}
		if s.tips, err = loadTips(tx, &s.head); err != nil {
			return err
		}
		if err = checkState(tx, &s.head); err != nil {
			return err
		}
		if err = s.checkRecent(tx); err != nil {
			return err
		}
		journal, err = loadJournal(tx, m.flushed, s.head.sequence)
		return err
	})
	if err != nil {
		return err
	}
	s.index, err = openIndex(filepath.Join(dir, indexName), m, journal, s.head.sequence,
		indexOptions{flushEntries: o.FlushEntries,
			noSync: o.NoSync, filters: with.filters, update: s.update, fail: s.fail, hook: with.hook})
	if err != nil {
		return err
	}
	if _, err = rules.KnownVersion(s); err != nil {
		return err
	}
	return s.loadOpenings()
}

// checkBuckets checks that every bucket that must exist does, those of chains in pairs, and that there are no others.
func checkBuckets(tx *bbolt.Tx) error {
	fixed := 0
	err := tx.ForEach(func(raw []byte, _ *bbolt.Bucket) error {
		name := string(raw)
		switch name {
		case bucketMeta, bucketSequence, bucketJournal, bucketKeys, bucketKeyVersions, bucketOpenings, bucketLacking:
			fixed++
			return nil
		}
		id, ok := strings.CutPrefix(name, prefixBlocks)
		if !ok {
			id, ok = strings.CutPrefix(name, prefixState)
		}
		if !ok || !ledger.ValidChainID(id) || tx.Bucket([]byte(prefixBlocks+id)) == nil ||
			tx.Bucket([]byte(prefixState+id)) == nil {
			return fmt.Errorf("%w: bucket %q", ErrCorrupt, name)
		}
		return nil
	})
	if err == nil && fixed != 7 {
		err = fmt.Errorf("%w: a bucket is missing", ErrCorrupt)
	}
	return err
}

// loadTips reads the newest block of every chain. Heights have no gaps, so the number of all blocks must be the
// sequence.
func loadTips(tx *bbolt.Tx, h *head) (map[string]Tip, error) {
	tips := make(map[string]Tip)
	total := uint64(0)
	err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		id, ok := strings.CutPrefix(string(name), prefixBlocks)
		if !ok {
			return nil
		}
		k, _ := b.Cursor().Last()
		if len(k) != partKeyLen {
			return fmt.Errorf("%w: newest block of chain %s", ErrCorrupt, id)
		}
		height := binary.BigEndian.Uint64(k)
		header, hash, err := readHeader(b, id, height)
		if err != nil {
			return err
		}
		tips[id] = Tip{ChainID: id, Header: header, Hash: hash}
		total += height + 1
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, ok := tips[ledger.SystemChain]; total != h.sequence || ok != (total > 0) ||
		(h.network == ledger.Hash{}) != (total == 0) {
		return nil, fmt.Errorf("%w: the chains have %d blocks, the head counts %d", ErrCorrupt, total, h.sequence)
	}
	return tips, nil
}

// checkState reads all ordinary state and all AccessKeys and compares their digest with the head's.
func checkState(tx *bbolt.Tx, h *head) error {
	var sum digest
	err := tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
		id, ok := strings.CutPrefix(string(name), prefixState)
		if !ok {
			return nil
		}
		return b.ForEach(func(k, sealed []byte) error {
			v, err := unseal(placeState, id, k, sealed)
			if err == nil {
				sum.add(item(id, k, v))
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	if err := checkAccessKeys(tx, h, &sum); err != nil {
		return err
	}
	if sum != h.state {
		return fmt.Errorf("%w: the state does not have the digest that was stored with it", ErrCorrupt)
	}
	return nil
}

// checkRecent reads the newest blocks and checks that each is where its sequence number points and extends the one
// below. Damage of a block's own bytes does not make the other blocks unusable: it is reported to Suspects, and reads
// of that block return ErrCorrupt.
func (s *Store) checkRecent(tx *bbolt.Tx) error {
	seq := tx.Bucket([]byte(bucketSequence))
	k, _ := seq.Cursor().Last()
	if n := s.head.sequence; (n == 0) != (k == nil) || (n > 0 && (len(k) != 8 || binary.BigEndian.Uint64(k) != n-1)) {
		return fmt.Errorf("%w: the newest sequence record is not number %d", ErrCorrupt, n)
	}
	for n := s.head.sequence; n > 0 && n+recentBlocks > s.head.sequence; n-- {
		p, err := parsePlace(key64(n-1), seq.Get(key64(n-1)))
		if err != nil {
			return err
		}
		if _, _, err := readBlock(tx, p); err != nil {
			s.log.Error("a stored block is damaged", "chain", p.chainID, "height", p.height, "error", err)
			s.suspect(err)
			continue
		}
		if err := s.checkBelow(tx, p); err != nil {
			return err
		}
	}
	for id, tip := range s.tips {
		if tip.Header.NetworkID != s.head.network {
			return fmt.Errorf("%w: chain %s is of another network", ErrCorrupt, id)
		}
		if err := s.checkBelow(tx, place{id, tip.Header.Height}); err != nil {
			return err
		}
	}
	return nil
}

// checkBelow checks that a block extends the block below, if that can be read.
func (s *Store) checkBelow(tx *bbolt.Tx, p place) error {
	blocks := tx.Bucket([]byte(prefixBlocks + p.chainID))
	h, _, err := readHeader(blocks, p.chainID, p.height)
	if err != nil {
		return err
	}
	below := ledger.Hash{}
	if p.height > 0 {
		if _, below, err = readHeader(blocks, p.chainID, p.height-1); err != nil {
			s.suspect(err)
			return nil
		}
	}
	if h.Previous != below {
		return fmt.Errorf("%w: block %d of chain %s does not extend the block below", ErrCorrupt, p.height, p.chainID)
	}
	return nil
}

// loadJournal reads the index entries of the blocks [from, to).
func loadJournal(tx *bbolt.Tx, from, to uint64) ([]entry, error) {
	if from > to {
		return nil, fmt.Errorf("%w: the index is ahead of the blocks", ErrCorrupt)
	}
	b := tx.Bucket([]byte(bucketJournal))
	if k, _ := b.Cursor().First(); k != nil && (len(k) != partKeyLen || binary.BigEndian.Uint64(k) != from) {
		return nil, fmt.Errorf("%w: the journal does not begin at sequence %d", ErrCorrupt, from)
	}
	var all []entry
	for n := from; n < to; n++ {
		raw, err := getParts(b, placeJournal, "", n, false)
		if err != nil {
			return nil, absent(err, "journal record %d", n)
		}
		entries, err := parseJournal(raw)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
	}
	return all, nil
}

// absent turns errNoValue, for a value that must exist, into ErrCorrupt.
func absent(err error, format string, args ...any) error {
	if errors.Is(err, errNoValue) {
		return fmt.Errorf("%w: %s is missing", ErrCorrupt, fmt.Sprintf(format, args...))
	}
	return err
}
