package node

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"
)

// logTestOptions fail the test when the log fails.
func logTestOptions(t interface{ Errorf(string, ...any) }) logOptions {
	return logOptions{noSync: true, initialMmapSize: 1 << 20, fatal: func(err error) { t.Errorf("fatal: %v", err) }}
}

// logOracle is a log and the map that it has to behave as.
type logOracle struct {
	path              string
	options           logOptions
	log               *raftLog
	entries           map[uint64]raft.Log
	first, last, term uint64
}

// The log behaves as a map without gaps, over restarts, whatever is stored and deleted, and whatever the cache holds.
func TestLogStoreAgainstOracle(t *testing.T) {
	dir, round := t.TempDir(), 0
	rapid.Check(t, func(t *rapid.T) {
		round++
		m := &logOracle{path: filepath.Join(dir, fmt.Sprint(round)), options: logTestOptions(t),
			entries: map[uint64]raft.Log{}, term: 1}
		m.options.cacheBytes = rapid.SampledFrom([]int{1, 3000, 1 << 20}).Draw(t, "cache")
		var err error
		if m.log, err = openLog(m.path, m.options); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = m.log.Close(); _ = os.Remove(m.path) }()
		t.Repeat(map[string]func(*rapid.T){
			"store":         m.store,
			"delete prefix": func(t *rapid.T) { m.delete(t, true) },
			"delete suffix": func(t *rapid.T) { m.delete(t, false) },
			"delete nothing": func(t *rapid.T) {
				if err := m.log.DeleteRange(m.last+1, m.last+5); err != nil {
					t.Fatal(err)
				}
			},
			"restart": func(t *rapid.T) {
				if err := m.log.Close(); err != nil {
					t.Fatal(err)
				}
				if m.log, err = openLog(m.path, m.options); err != nil {
					t.Fatal(err)
				}
			},
			"": m.compare,
		})
	})
}

// store appends entries, sometimes after a gap, as raft does after a snapshot.
func (m *logOracle) store(t *rapid.T) {
	next := m.last + 1
	if rapid.IntRange(0, 9).Draw(t, "gap?") == 0 {
		next += rapid.Uint64Range(1, 50).Draw(t, "gap")
		m.first, m.entries = 0, map[uint64]raft.Log{}
	}
	m.term += rapid.Uint64Range(0, 1).Draw(t, "term")
	var logs []*raft.Log
	for range rapid.IntRange(1, 20).Draw(t, "count") {
		e := raft.Log{Index: next, Term: m.term, Type: rapid.SampledFrom([]raft.LogType{raft.LogCommand,
			raft.LogNoop}).Draw(t, "type"),
			Data:       bytes.Repeat([]byte{byte(next)}, rapid.SampledFrom([]int{0, 1, 900, 5000}).Draw(t, "size")),
			AppendedAt: time.Unix(0, int64(next)).UTC()}
		if rapid.Bool().Draw(t, "extended") {
			e.Extensions = []byte{1, 2, byte(next)}
		}
		if m.first == 0 {
			m.first = next
		}
		m.entries[next], m.last = e, next
		logs, next = append(logs, &e), next+1
	}
	if err := errors.Join(m.log.stable.SetUint64([]byte(currentTermKey), m.term), m.log.StoreLogs(logs)); err != nil {
		t.Fatal(err)
	}
}

func (m *logOracle) delete(t *rapid.T, prefix bool) {
	if m.first == 0 {
		t.Skip("empty")
	}
	at := rapid.Uint64Range(m.first, m.last).Draw(t, "at")
	from, to := at, m.last
	if prefix {
		from, to = rapid.SampledFrom([]uint64{0, m.first}).Draw(t, "from"), at
	}
	if err := m.log.DeleteRange(from, to); err != nil {
		t.Fatal(err)
	}
	for i := from; i <= to; i++ {
		delete(m.entries, i)
	}
	if prefix {
		m.first = to + 1
	} else {
		m.last = from - 1
	}
	if len(m.entries) == 0 {
		m.first, m.last = 0, 0
	}
}

func (m *logOracle) compare(t *rapid.T) {
	f, err1 := m.log.FirstIndex()
	l, err2 := m.log.LastIndex()
	if f != m.first || l != m.last || err1 != nil || err2 != nil {
		t.Fatalf("bounds %d %d (%v %v), want %d %d", f, l, err1, err2, m.first, m.last)
	}
	for i := max(m.first, 1) - 1; i <= m.last+1; i++ {
		var e raft.Log
		err := m.log.GetLog(i, &e)
		want, ok := m.entries[i]
		if ok != (err == nil) || !ok && !errors.Is(err, raft.ErrLogNotFound) {
			t.Fatalf("entry %d: %v", i, err)
		}
		if ok && (e.Index != i || e.Term != want.Term || e.Type != want.Type || !bytes.Equal(e.Data, want.Data) ||
			!bytes.Equal(e.Extensions, want.Extensions) || !e.AppendedAt.Equal(want.AppendedAt)) {
			t.Fatalf("entry %d is %+v, want %+v", i, e, want)
		}
	}
	if size := cachedBytes(&m.log.cache); size != m.log.cache.bytes || size > m.options.cacheBytes {
		t.Fatalf("cache of %d bytes counts %d, limit %d", size, m.log.cache.bytes, m.options.cacheBytes)
	}
}

func cachedBytes(c *entryCache) (n int) {
	for _, e := range c.entries {
		n += entryBytes(e)
	}
	return n
}

func TestStableStore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, err := openLog(path, logTestOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.stable.Get([]byte("k")); err == nil || err.Error() != "not found" { // raft compares the text
		t.Fatal(err)
	}
	if _, err := l.stable.GetUint64([]byte("k")); err == nil || err.Error() != "not found" {
		t.Fatal(err)
	}
	if err := errors.Join(l.stable.Set([]byte("k"), []byte("value")), l.stable.Set([]byte("empty"), nil),
		l.stable.SetUint64([]byte("n"), 1<<63+5), l.Close()); err != nil {
		t.Fatal(err)
	}
	if l, err = openLog(path, logTestOptions(t)); err != nil {
		t.Fatal(err)
	}
	v, err1 := l.stable.Get([]byte("k"))
	e, err2 := l.stable.Get([]byte("empty"))
	n, err3 := l.stable.GetUint64([]byte("n"))
	if string(v) != "value" || len(e) != 0 || n != 1<<63+5 || errors.Join(err1, err2, err3) != nil {
		t.Fatal(v, e, n, err1, err2, err3)
	}
	// A value under another key, or changed, is noticed.
	sealed, err := l.bolt.Get([]byte("k"))
	if err != nil {
		t.Fatal(err)
	}
	sealed[0] ^= 1
	var fatal []error
	l.stop.fatal = func(err error) { fatal = append(fatal, err) }
	if err := l.bolt.Set([]byte("k"), sealed); err != nil {
		t.Fatal(err)
	}
	if _, err := l.stable.Get([]byte("k")); !errors.Is(err, errLogCorrupt) || len(fatal) != 1 {
		t.Fatal(err, fatal)
	}
	if err := l.stable.SetUint64([]byte("n"), 1); !errors.Is(err, errLogStopped) {
		t.Fatal(err)
	}
	_ = l.Close()
}

// faultyStore fails, hangs or forgets on command.
type faultyStore struct {
	raft.LogStore
	fail  atomic.Bool
	hang  chan struct{}
	calls atomic.Int64
}

func (s *faultyStore) StoreLogs(l []*raft.Log) error {
	s.calls.Add(1)
	if s.hang != nil {
		<-s.hang
	}
	if s.fail.Load() {
		return errors.New("fdatasync: input/output error")
	}
	return s.LogStore.StoreLogs(l)
}

func (s *faultyStore) DeleteRange(a, b uint64) error {
	s.calls.Add(1)
	if s.fail.Load() {
		return errors.New("fdatasync: input/output error")
	}
	return s.LogStore.DeleteRange(a, b)
}

// After the first failure nothing is written or read any more, even when the disk is well again, and fatal was called
// once.
func TestLogStoreFailsStop(t *testing.T) {
	for name, op := range map[string]func(*logStore) error{
		"store":  func(s *logStore) error { return s.StoreLogs(raftTestEntries(4, 2, 5)) },
		"delete": func(s *logStore) error { return s.DeleteRange(2, 3) },
		"gap":    func(s *logStore) error { return s.StoreLog(raftTestEntries(9, 1, 5)[0]) },
		"overwrite": func(s *logStore) error {
			return s.StoreLogs(raftTestEntries(3, 2, 5))
		},
		"hole": func(s *logStore) error { return s.DeleteRange(2, 2) },
		"disorder": func(s *logStore) error {
			return s.StoreLogs([]*raft.Log{{Index: 4, Term: 1}, {Index: 6, Term: 1}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inner := &faultyStore{LogStore: raft.NewInmemStore()}
			var fatal []error
			s, err := newLogStore(inner, func(err error) { fatal = append(fatal, err) }, logOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.StoreLogs(raftTestEntries(1, 3, 5)); err != nil {
				t.Fatal(err)
			}
			inner.fail.Store(true)
			if err := op(s); err == nil || errors.Is(err, errLogStopped) {
				t.Fatal(err)
			}
			inner.fail.Store(false)
			calls := inner.calls.Load()
			_, errFirst := s.FirstIndex()
			_, errLast := s.LastIndex()
			for _, err := range []error{s.StoreLogs(raftTestEntries(4, 1, 5)), s.DeleteRange(1, 1), s.GetLog(1, &raft.Log{}),
				errFirst, errLast} {
				if !errors.Is(err, errLogStopped) {
					t.Errorf("after the failure: %v", err)
				}
			}
			if len(fatal) != 1 || inner.calls.Load() != calls {
				t.Fatalf("fatal called with %v, %d calls after the failure", fatal, inner.calls.Load()-calls)
			}
		})
	}
}

// A disk that neither works nor fails ends the process after the limit; a slow one does not.
func TestLogStoreWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &faultyStore{LogStore: raft.NewInmemStore(), hang: make(chan struct{})}
		var fatal atomic.Pointer[error]
		s, err := newLogStore(inner, func(err error) { fatal.Store(&err) }, logOptions{hangLimit: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		stored := make(chan error)
		go func() { stored <- s.StoreLogs(raftTestEntries(1, 1, 5)) }()
		time.Sleep(9 * time.Second)
		inner.hang <- struct{}{}
		if err := <-stored; err != nil || fatal.Load() != nil {
			t.Fatalf("slow write: %v", err)
		}
		start := time.Now()
		go func() { stored <- s.StoreLogs(raftTestEntries(2, 1, 5)) }()
		for fatal.Load() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		if d := time.Since(start); d > 10*time.Second+20*time.Millisecond || !errors.Is(*fatal.Load(), errLogHangs) {
			t.Fatalf("fatal after %v: %v", d, *fatal.Load())
		}
		inner.hang <- struct{}{}
		if err := <-stored; !errors.Is(err, errLogStopped) {
			t.Fatalf("a write that came back too late: %v", err)
		}
	})
}

// Damage of every kind is corruption and never an absent entry.
func TestLogStoreCorruptIsNotAbsent(t *testing.T) {
	for name, damage := range map[string]func(*raft.InmemStore, *raft.Log) error{
		"missing": func(s *raft.InmemStore, e *raft.Log) error { return s.DeleteRange(e.Index, e.Index) },
		"data": func(s *raft.InmemStore, e *raft.Log) error {
			e.Data = append(slices.Clone(e.Data), 'x')
			return s.StoreLog(e)
		},
		"term":        func(s *raft.InmemStore, e *raft.Log) error { e.Term++; return s.StoreLog(e) },
		"type":        func(s *raft.InmemStore, e *raft.Log) error { e.Type = raft.LogNoop; return s.StoreLog(e) },
		"no checksum": func(s *raft.InmemStore, e *raft.Log) error { e.Extensions = nil; return s.StoreLog(e) },
		"extensions": func(s *raft.InmemStore, e *raft.Log) error {
			e.Extensions = append([]byte{0}, e.Extensions...)
			return s.StoreLog(e)
		},
		"another entry": func(s *raft.InmemStore, e *raft.Log) error {
			var other raft.Log
			if err := s.GetLog(e.Index+1, &other); err != nil {
				return err
			}
			other.Index = e.Index
			return s.StoreLog(&other)
		},
	} {
		inner := raft.NewInmemStore()
		var fatal []error
		s, err := newLogStore(inner, func(err error) { fatal = append(fatal, err) }, logOptions{cacheBytes: 1})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.StoreLogs(raftTestEntries(1, 5, 5)); err != nil {
			t.Fatal(err)
		}
		var stored, e raft.Log
		if err := inner.GetLog(3, &stored); err != nil {
			t.Fatal(err)
		}
		if err := damage(inner, &stored); err != nil {
			t.Fatal(err)
		}
		if err := s.GetLog(3, &e); !errors.Is(err, errLogCorrupt) || errors.Is(err, raft.ErrLogNotFound) || len(fatal) != 1 {
			t.Errorf("%s: %v, fatal %v", name, err, fatal)
		}
	}
}

// A log that ends below what was executed has lost its tail, however well it reads.
func TestLostTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	o := logOptions{fatal: func(err error) { t.Errorf("fatal: %v", err) }}
	for minLast, want := range map[uint64]error{0: nil, 5: nil, 6: errLogCorrupt} {
		l, err := openLog(path, logOptions{fatal: o.fatal})
		if err != nil {
			t.Fatal(err)
		}
		if l.last == 0 {
			err = errors.Join(l.stable.SetUint64([]byte(currentTermKey), 5), l.StoreLogs(raftTestEntries(1, 5, 5)))
		}
		if err := errors.Join(err, l.Close()); err != nil {
			t.Fatal(err)
		}
		o.minLast = minLast
		l, err = openLog(path, o)
		if !errors.Is(err, want) {
			t.Errorf("a log up to entry 5, of which %d was executed: %v", minLast, err)
		}
		if err == nil {
			_ = l.Close()
		}
	}
}

// Readers beside a writer that truncates and rewrites the tail see entries or their absence, never corruption.
func TestLogStoreConcurrentReaders(t *testing.T) {
	s, err := newLogStore(raft.NewInmemStore(), func(err error) { t.Errorf("fatal: %v", err) }, logOptions{cacheBytes: 1})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for i := uint64(1); ; i = i%60 + 1 {
				select {
				case <-stop:
					return
				default:
				}
				var e raft.Log
				if err := s.GetLog(i, &e); err == nil && e.Index != i || err != nil && !errors.Is(err, raft.ErrLogNotFound) {
					t.Errorf("entry %d: %+v, %v", i, e, err)
					return
				}
			}
		}()
	}
	for round := range 300 {
		err := errors.Join(s.StoreLogs(raftTestEntries(1, 50, 10)), s.DeleteRange(20, 50),
			s.StoreLogs(raftTestEntries(20, 40, 10)), s.DeleteRange(1, 30), s.DeleteRange(31, 59))
		if err != nil {
			t.Fatal(round, err)
		}
	}
	close(stop)
	readers.Wait()
}
