package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"time"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"

	"ltl/internal/store"
)

// lockTimeout bounds the wait for another process that has the file open.
const lockTimeout = 2 * time.Second

// openLimit bounds opening the file. bbolt reads all pages of the tree, and loops forever on a damaged page that
// leads back to itself.
const openLimit = 2 * time.Minute

// currentTermKey is the key under which hashicorp/raft keeps its term.
const currentTermKey = "CurrentTerm"

// raftLog is an open Raft log: the entries, and the term and vote in the same file.
type raftLog struct {
	*logStore
	stable *stableStore
	bolt   *raftboltdb.BoltStore
}

// openLog opens or creates the log at path, and reads what a start depends on: the first and the newest entries, the
// term, and that the log reaches what was executed. It does not read all entries, because a start must not take
// longer the longer a log is kept. Other entries are verified whenever they are read; the newest are those that a
// restart executes and that decide a vote.
func openLog(path string, o logOptions) (_ *raftLog, err error) {
	o = o.withDefaults()
	hang := store.StartWatchdog(openLimit, func() {
		o.fatal(fmt.Errorf("%w: opening %s takes longer than %v", errLogHangs, path, openLimit))
	})
	defer hang.Stop()
	// Before bbolt opens it: on pages that contradict one another or lie beyond the end of the file, bbolt fails in ways
	// that recover cannot catch.
	if info, err := os.Stat(path); err == nil && info.Size() > 0 {
		if err := store.CheckDatabase(path); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", errLogCorrupt, path, err)
		}
	}
	var bolt *raftboltdb.BoltStore
	err = shielded(func() (err error) {
		bolt, err = raftboltdb.New(raftboltdb.Options{
			Path:   path,
			NoSync: o.noSync,
			BoltOptions: &bbolt.Options{
				Timeout: lockTimeout,
				// The list of free pages is rebuilt at open instead of written by each commit.
				NoFreelistSync:  true,
				FreelistType:    bbolt.FreelistMapType,
				InitialMmapSize: o.initialMmapSize,
			},
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("node: open raft log %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, bolt.Close())
		}
	}()
	// Until the log is open, a failure is an error for the caller and does not end the process.
	stop := &failStop{fatal: func(error) {}, hangLimit: o.hangLimit}
	logs, err := wrapLogStore(bolt, stop, o)
	if err != nil {
		return nil, err
	}
	l := &raftLog{logStore: logs, stable: &stableStore{inner: bolt, stop: stop}, bolt: bolt}
	if err := l.check(o); err != nil {
		return nil, fmt.Errorf("node: raft log %s: %w", path, err)
	}
	stop.fatal = o.fatal
	l.mapping = findMapping(path, o.initialMmapSize)
	l.mapping.dropPageCache() // opening read all pages of the tree
	return l, nil
}

// check reads the first and the last checkLast entries. A log whose tail is missing reads without an error, so it is
// also compared with what is known from elsewhere: the term in the same file, and the ledger's applied index.
func (l *raftLog) check(o logOptions) error {
	if l.last < o.minLast {
		return fmt.Errorf("%w: it ends at %d, but entry %d was applied", errLogCorrupt, l.last, o.minLast)
	}
	if l.first == 0 {
		return nil
	}
	var entry raft.Log
	if err := l.GetLog(l.first, &entry); err != nil {
		return err
	}
	from := l.first
	if count := uint64(o.checkLast); l.last-l.first >= count {
		from = l.last - count + 1
	}
	for index := from; index <= l.last; index++ {
		before := entry.Term
		if err := l.GetLog(index, &entry); err != nil {
			return err
		}
		if entry.Term < before {
			return fmt.Errorf("%w: entry %d has term %d after term %d", errLogCorrupt, index, entry.Term, before)
		}
	}
	term, err := l.stable.GetUint64([]byte(currentTermKey))
	if err != nil {
		return fmt.Errorf("%w: there are entries, but the term cannot be read: %w", errLogCorrupt, err)
	}
	if term < entry.Term {
		return fmt.Errorf("%w: the newest entry has term %d, but the term is %d", errLogCorrupt, entry.Term, term)
	}
	return nil
}

// Close closes the file. Raft has ended before, so no call waits for the lock.
func (l *raftLog) Close() error {
	l.writing.Lock() // the mapping ends: its pages must not be dropped any more
	defer l.writing.Unlock()
	l.mapping = nil
	if err := l.bolt.Close(); err != nil {
		return fmt.Errorf("node: close raft log: %w", err)
	}
	return nil
}

// uint64Bytes is the length of a stored number.
const uint64Bytes = 8

// stableStore is a raft.StableStore for raft's term and vote. It stops together with the log of the same file. Each
// value has a checksum: a damaged vote that reads as another vote would allow a second vote in the same term.
type stableStore struct {
	inner raft.StableStore
	stop  *failStop
}

// Set implements raft.StableStore.
func (s *stableStore) Set(key, value []byte) error {
	sealed := make([]byte, 0, len(value)+entrySumBytes)
	sealed = append(sealed, value...)
	sealed = binary.BigEndian.AppendUint32(sealed, stableSum(key, value))
	return s.stop.write("set "+string(key), func() error { return s.inner.Set(key, sealed) })
}

// Get implements raft.StableStore. Raft recognises a missing key by the text of raftboltdb.ErrKeyNotFound.
func (s *stableStore) Get(key []byte) ([]byte, error) {
	if err := s.stop.err(); err != nil {
		return nil, err
	}
	var sealed []byte
	err := s.stop.watched("get "+string(key), func() (err error) {
		sealed, err = s.inner.Get(key)
		return err
	})
	if isKeyNotFound(err) {
		return nil, raftboltdb.ErrKeyNotFound
	}
	if err != nil {
		return nil, s.stop.fail(fmt.Errorf("node: raft log: get %s: %w", key, err))
	}
	n := len(sealed) - entrySumBytes
	if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != stableSum(key, sealed[:n]) {
		return nil, s.stop.fail(fmt.Errorf("%w: checksum of %s is wrong", errLogCorrupt, key))
	}
	return sealed[:n:n], nil
}

// isKeyNotFound recognises the missing key of raftboltdb and of raft.InmemStore, which has no sentinel error.
func isKeyNotFound(err error) bool {
	return err != nil && (errors.Is(err, raftboltdb.ErrKeyNotFound) || err.Error() == raftboltdb.ErrKeyNotFound.Error())
}

// SetUint64 implements raft.StableStore.
func (s *stableStore) SetUint64(key []byte, value uint64) error {
	return s.Set(key, binary.BigEndian.AppendUint64(nil, value))
}

// GetUint64 implements raft.StableStore.
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	value, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != uint64Bytes {
		return 0, s.stop.fail(fmt.Errorf("%w: %s has %d bytes", errLogCorrupt, key, len(value)))
	}
	return binary.BigEndian.Uint64(value), nil
}

// stableSum is CRC-32C over length of the key, key and value.
func stableSum(key, value []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, binary.BigEndian.AppendUint32(nil, uint32(len(key))))
	sum = crc32.Update(sum, table, key)
	return crc32.Update(sum, table, value)
}
