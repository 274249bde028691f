package node

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/store"
)

const (
	// defaultHangLimit bounds one read or write. Raft keeps its lease while its disk hangs
	// (https://github.com/hashicorp/raft/issues/503), so the process has to end for the others to go on.
	defaultHangLimit = 10 * time.Second
	// defaultCacheBytes holds some seconds of a busy log: what followers that keep up read, and what is committed next.
	defaultCacheBytes = 32 << 20
	// defaultCheckLast bounds the entries that are read back at open.
	defaultCheckLast = 256
	// defaultInitialMmapSize avoids remapping a growing file, which waits for every reader. It is address space, not
	// memory.
	defaultInitialMmapSize = 1 << 30
	// entrySumBytes is the length of the checksum that follows an entry's extensions.
	entrySumBytes = 4
)

var (
	// errLogStopped is wrapped by every call after the first failure of a Raft log.
	errLogStopped = errors.New("node: raft log has stopped after a failure")
	// errLogCorrupt is wrapped when stored bytes are missing or are not what was written. It is never reported as
	// raft.ErrLogNotFound, because raft goes on without an entry that it does not find.
	errLogCorrupt = errors.New("node: raft log is corrupt")
	// errLogHangs is wrapped when a read or write took longer than the limit.
	errLogHangs = errors.New("node: raft log hangs")
)

// logOptions are the bounds and hooks of a Raft log. The zero value of each field means its default.
type logOptions struct {
	// fatal is called once when the disk failed, returned wrong bytes or hangs: the process must end. It may be called
	// inside a call by raft, so it must not wait for raft to shut down. Default: log and exit.
	fatal           func(error)
	logger          *slog.Logger  // default: slog.Default()
	cacheBytes      int           // newest entries kept in memory
	hangLimit       time.Duration // a write that takes longer is fatal
	noSync          bool          // simulation only
	initialMmapSize int           // bytes of the bbolt file that are mapped at open
	checkLast       int           // how many of the newest entries are read at open
	// minLast is the index that the log has to reach: the ledger's applied index, or 0 when the newest snapshot reaches
	// that.
	minLast uint64
}

func (o logOptions) withDefaults() logOptions {
	if o.logger == nil {
		o.logger = slog.Default()
	}
	if o.fatal == nil {
		logger := o.logger
		o.fatal = func(err error) {
			logger.Error("raft log failed, the process ends", "error", err)
			os.Exit(1)
		}
	}
	if o.cacheBytes == 0 {
		o.cacheBytes = defaultCacheBytes
	}
	if o.hangLimit == 0 {
		o.hangLimit = defaultHangLimit
	}
	if o.checkLast == 0 {
		o.checkLast = defaultCheckLast
	}
	if o.initialMmapSize == 0 {
		o.initialMmapSize = defaultInitialMmapSize
	}
	return o
}

// failStop remembers the first failure of a file. bbolt reports a failed fdatasync and commits the next transaction
// as if it had succeeded, so a write after a failure would build on data that may not be on disk.
type failStop struct {
	fatal     func(error)
	hangLimit time.Duration

	mu    sync.Mutex
	first error
}

// err returns nil until the file has failed, and then the error that every call returns.
func (f *failStop) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", errLogStopped, f.first)
}

// fail records the first failure, calls fatal for it, and returns err.
func (f *failStop) fail(err error) error {
	f.mu.Lock()
	first := f.first == nil
	if first {
		f.first = err
	}
	f.mu.Unlock()
	if first {
		f.fatal(err)
	}
	return err
}

// write runs a write under the watchdog. Its error or panic is final.
func (f *failStop) write(what string, fn func() error) error {
	if err := f.err(); err != nil {
		return err
	}
	if err := f.watched(what, fn); err != nil {
		return f.fail(fmt.Errorf("node: raft log: %s: %w", what, err))
	}
	return f.err() // a write that returns after the watchdog fired has not succeeded
}

// watched runs a read or a write under the watchdog: a hang is final, and a panic becomes an error.
func (f *failStop) watched(what string, fn func() error) error {
	hang := store.StartWatchdog(f.hangLimit, func() {
		_ = f.fail(fmt.Errorf("%w: %s takes longer than %v", errLogHangs, what, f.hangLimit))
	})
	defer hang.Stop()
	return shielded(fn)
}

// shielded turns a panic, or a fault in the memory map, into an error. bbolt does both on a damaged page.
func shielded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errLogCorrupt, r)
		}
	}()
	return fn()
}

// logStore is a raft.LogStore that stops at the first failure, verifies a checksum on each entry, and keeps the
// newest entries in memory.
//
// It has no gaps. Raft leaves a gap when the first entry after an installed snapshot is stored; the entries below it,
// which the snapshot replaced and which may be a lost branch, are deleted then. So an entry that is missing between
// the first and the last is damage. logStore is not a raft.MonotonicLogStore: see DESIGN.md, Snapshot conflicts.
type logStore struct {
	inner raft.LogStore
	stop  *failStop

	writing         sync.Mutex   // one write at a time, held without mu
	storedSinceDrop int          // bytes stored since the page cache was dropped; guarded by writing
	mapping         *fileMapping // nil: there is no file

	mu          sync.RWMutex
	first, last uint64 // 0, 0: empty
	deletions   uint64 // counts DeleteRange, so that a reader can distinguish a deleted entry from a lost one
	cache       entryCache
}

// newLogStore wraps any raft.LogStore.
func newLogStore(inner raft.LogStore, fatal func(error), o logOptions) (*logStore, error) {
	o.fatal = fatal
	o = o.withDefaults()
	return wrapLogStore(inner, &failStop{fatal: o.fatal, hangLimit: o.hangLimit}, o)
}

func wrapLogStore(inner raft.LogStore, stop *failStop, o logOptions) (*logStore, error) {
	s := &logStore{inner: inner, stop: stop, cache: entryCache{limit: o.cacheBytes}}
	err := shielded(func() (err error) {
		if s.first, err = inner.FirstIndex(); err != nil {
			return err
		}
		s.last, err = inner.LastIndex()
		return err
	})
	if err == nil && (s.first > s.last || s.first == 0 && s.last != 0) {
		err = fmt.Errorf("%w: first index %d, last index %d", errLogCorrupt, s.first, s.last)
	}
	if err != nil {
		return nil, fmt.Errorf("node: open raft log: %w", err)
	}
	return s, nil
}

// FirstIndex implements raft.LogStore.
func (s *logStore) FirstIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.first, s.stop.err()
}

// LastIndex implements raft.LogStore.
func (s *logStore) LastIndex() (uint64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.last, s.stop.err()
}

// GetLog implements raft.LogStore. It returns raft.ErrLogNotFound only for an index outside FirstIndex and LastIndex.
func (s *logStore) GetLog(index uint64, log *raft.Log) error {
	for {
		if err := s.stop.err(); err != nil {
			return err
		}
		s.mu.RLock()
		inside := s.first != 0 && index >= s.first && index <= s.last
		cached := s.cache.get(index)
		first, last, deletions := s.first, s.last, s.deletions
		s.mu.RUnlock()
		if !inside {
			return raft.ErrLogNotFound
		}
		if cached != nil {
			*log = *cached
			return nil
		}
		var stored raft.Log
		err := s.stop.watched("read", func() error { return s.inner.GetLog(index, &stored) })
		if err == nil {
			err = openEntry(&stored, index)
		}
		if err == nil {
			*log = stored
			return nil
		}
		s.mu.RLock()
		raced := s.deletions != deletions
		s.mu.RUnlock()
		if raced && errors.Is(err, raft.ErrLogNotFound) {
			continue
		}
		// Not wrapped: errors.Is must not find raft.ErrLogNotFound in it.
		return s.stop.fail(fmt.Errorf("%w: entry %d of %d to %d: %v", errLogCorrupt, index, first, last, err))
	}
}

// StoreLog implements raft.LogStore.
func (s *logStore) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return s.stop.err()
	}
	for i, l := range logs {
		if l.Index == 0 || l.Index != logs[0].Index+uint64(i) {
			return s.stop.fail(fmt.Errorf("node: raft log: raft stores entry %d as number %d after entry %d", l.Index, i,
				logs[0].Index))
		}
	}
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.RLock()
	first, last := s.first, s.last
	s.mu.RUnlock()
	if first != 0 && logs[0].Index > last+1 {
		if err := s.deleteRange(first, last); err != nil {
			return err
		}
		first = 0
	}
	if first != 0 && logs[0].Index <= last {
		return s.stop.fail(fmt.Errorf("node: raft log: raft stores entry %d over the entries up to %d", logs[0].Index, last))
	}
	err := s.stop.write("store", func() error { return s.inner.StoreLogs(sealEntries(logs)) })
	if err != nil {
		return err
	}
	for _, l := range logs {
		s.storedSinceDrop += len(l.Data)
	}
	if s.storedSinceDrop >= dropPageCacheEvery {
		s.storedSinceDrop = 0
		s.mapping.dropPageCache()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == 0 {
		s.first = logs[0].Index
	}
	s.last = logs[len(logs)-1].Index
	s.cache.add(logs)
	return nil
}

// DeleteRange implements raft.LogStore. The range must be a prefix or a suffix of the log, which is all that raft
// deletes.
func (s *logStore) DeleteRange(from, to uint64) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.deleteRange(from, to)
}

// deleteRange hides the entries before it deletes them. The caller holds writing.
func (s *logStore) deleteRange(from, to uint64) error {
	if err := s.stop.err(); err != nil {
		return err
	}
	s.mu.Lock()
	first, last := s.first, s.last
	if first == 0 || from > last || to < first || from > to {
		s.mu.Unlock()
		return nil
	}
	switch {
	case from <= first && to >= last:
		s.first, s.last = 0, 0
	case from <= first:
		s.first = to + 1
	case to >= last:
		s.last = from - 1
	default:
		s.mu.Unlock()
		return s.stop.fail(fmt.Errorf("node: raft log: raft deletes %d to %d out of %d to %d", from, to, first, last))
	}
	s.deletions++
	s.cache.keep(s.first, s.last)
	s.mu.Unlock()
	from, to = max(from, first), min(to, last)
	return s.stop.write("delete", func() error { return s.inner.DeleteRange(from, to) })
}

// sealEntries returns the entries with their checksum after the extensions. Before the data it would cost a copy of
// the data.
func sealEntries(logs []*raft.Log) []*raft.Log {
	sealed := make([]raft.Log, len(logs))
	out := make([]*raft.Log, len(logs))
	for i, l := range logs {
		sealed[i] = *l
		extensions := make([]byte, 0, len(l.Extensions)+entrySumBytes)
		extensions = append(extensions, l.Extensions...)
		sealed[i].Extensions = binary.BigEndian.AppendUint32(extensions, entrySum(l.Index, l.Term, l.Type, l.Data,
			l.Extensions))
		out[i] = &sealed[i]
	}
	return out
}

// openEntry removes the checksum from an entry that was stored under index, and verifies it.
func openEntry(l *raft.Log, index uint64) error {
	n := len(l.Extensions) - entrySumBytes
	if n < 0 {
		return errors.New("no checksum")
	}
	sum := binary.BigEndian.Uint32(l.Extensions[n:])
	if l.Extensions = l.Extensions[:n:n]; n == 0 {
		l.Extensions = nil
	}
	if l.Index != index || sum != entrySum(l.Index, l.Term, l.Type, l.Data, l.Extensions) {
		return fmt.Errorf("checksum of the entry that calls itself %d is wrong", l.Index)
	}
	return nil
}

// entrySum is CRC-32C over index, term, type, length of data, data and extensions.
func entrySum(index, term uint64, kind raft.LogType, data, extensions []byte) uint32 {
	var head [25]byte
	binary.BigEndian.PutUint64(head[0:], index)
	binary.BigEndian.PutUint64(head[8:], term)
	head[16] = byte(kind)
	binary.BigEndian.PutUint64(head[17:], uint64(len(data)))
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := crc32.Update(0, table, head[:])
	sum = crc32.Update(sum, table, data)
	return crc32.Update(sum, table, extensions)
}

// entryOverheadBytes is what an entry counts for in addition to its data.
const entryOverheadBytes = 128

// entryCache holds the newest entries without gaps, up to a number of bytes. raft.LogCache bounds the number of
// entries: with entries of 500 KB its usual 512 would take 250 MB.
type entryCache struct {
	limit   int
	bytes   int
	base    uint64 // index of entries[0]
	entries []*raft.Log
}

func entryBytes(l *raft.Log) int { return len(l.Data) + len(l.Extensions) + entryOverheadBytes }

func (c *entryCache) get(index uint64) *raft.Log {
	if index < c.base || index-c.base >= uint64(len(c.entries)) {
		return nil
	}
	return c.entries[index-c.base]
}

// add takes entries that were stored. It does not copy their data: raft does not change an entry after storing it.
func (c *entryCache) add(logs []*raft.Log) {
	if len(c.entries) == 0 || logs[0].Index != c.base+uint64(len(c.entries)) {
		c.entries, c.bytes, c.base = nil, 0, logs[0].Index
	}
	for _, l := range logs {
		entry := *l // a copy, because raft's struct is part of a larger one that would stay in memory with it
		c.entries = append(c.entries, &entry)
		c.bytes += entryBytes(l)
	}
	drop := 0
	for c.bytes > c.limit && drop < len(c.entries) {
		c.bytes -= entryBytes(c.entries[drop])
		drop++
	}
	c.dropFront(drop)
}

// keep drops the entries outside first and last.
func (c *entryCache) keep(first, last uint64) {
	if first == 0 || len(c.entries) == 0 || c.base > last || c.base+uint64(len(c.entries))-1 < first {
		c.entries, c.bytes, c.base = nil, 0, 0
		return
	}
	for n := len(c.entries); c.base+uint64(n)-1 > last; n = len(c.entries) {
		c.bytes -= entryBytes(c.entries[n-1])
		c.entries[n-1] = nil
		c.entries = c.entries[:n-1]
	}
	drop := 0
	for c.base+uint64(drop) < first {
		c.bytes -= entryBytes(c.entries[drop])
		drop++
	}
	c.dropFront(drop)
}

// dropFront drops the oldest n entries. append moves the rest to a new array when the old one is full.
func (c *entryCache) dropFront(n int) {
	clear(c.entries[:n])
	c.entries = c.entries[n:]
	c.base += uint64(n)
}
