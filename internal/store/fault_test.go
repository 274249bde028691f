package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// A process that dies after any step, or between any two steps of a flush or merge, leaves a store that opens at a
// whole prefix: everything up to the applied index, nothing after it.
func TestRestartAnywhere(t *testing.T) {
	m := newMaker(t)
	entries := m.mixed(24)
	dir := t.TempDir()
	copies := make(map[string]string) // directory → what was being done
	truth := make(map[uint64]map[string]string)
	var s *Store
	var mu sync.Mutex
	save := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		to := t.TempDir()
		copyDir(t, dir, to)
		copies[to] = what
	}
	o := quiet(t)
	o.FlushEntries = 9
	points := make(map[string]int)
	s, err := open(dir, o, seams{hook: func(point string) {
		if points[point]++; points[point]%3 != 1 { // every third, for time
			return
		}
		if point != "manifest committed" { // there it is held already; nothing else writes: the test waits
			s.index.installing.Lock()
			defer s.index.installing.Unlock()
		}
		save(point)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	for i, e := range append(append([]Entry(nil), m.setup...), entries...) {
		if _, err := s.Apply([]Entry{e}); err != nil {
			t.Fatal(err)
		}
		s.settled()
		truth[e.Index] = s.contents(t)
		save(fmt.Sprint("after step ", i))
	}
	if len(points) != 4 {
		t.Fatalf("points passed: %v", points)
	}
	for to, what := range copies {
		c, err := Open(to, o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := c.Verify(context.Background(), nil); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if diff := equalContents(truth[c.AppliedIndex()], c.contents(t)); diff != "" {
			t.Fatalf("%s: %s", what, diff)
		}
		c.settled()
		files, _ := filepath.Glob(filepath.Join(to, indexName, "*"))
		if len(files) != len(c.index.manifest.runs) {
			t.Fatalf("%s: %d files for %d runs", what, len(files), len(c.index.manifest.runs))
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// victim is a closed store with runs, and what it must serve.
func victim(t *testing.T) (dir string, o Options, truth map[string]string) {
	m := newMaker(t)
	dir = t.TempDir()
	o = quiet(t)
	o.FlushEntries = 26
	s := m.filled(dir, o, nil)
	for _, e := range append(m.mixed(23), m.entry(m.set(0, "last-but-one", "value")), m.entry(m.set(0, "last", "value"))) {
		if _, err := s.Apply([]Entry{e}); err != nil {
			t.Fatal(err)
		}
		s.settled() // so that the files are the same every time
	}
	truth = s.contents(t)
	if len(s.index.manifest.runs) < 2 || len(s.index.active.entries) == 0 {
		t.Fatalf("%d runs, %d entries in memory", len(s.index.manifest.runs), len(s.index.active.entries))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, o, truth
}

// examine opens the store, verifies it and reads everything. An error is a finding; what is served without one must be
// true.
func examine(dir string, o Options, truth map[string]string, filters int64) (lie string, finding error) {
	s, err := open(dir, o, seams{filters: filters})
	if err != nil {
		return "", err
	}
	defer s.Close()
	verified := s.Verify(context.Background(), nil)
	c, err := s.readAll()
	if err == nil { // what the reads served without error must be true even where Verify finds more
		lie = equalContents(truth, c)
	}
	return lie, errors.Join(verified, err)
}

// A flipped bit anywhere in any file is reported, or changes nothing that is served.
func TestByteFlips(t *testing.T) {
	dir, o, truth := victim(t)
	step := 613
	if testing.Short() {
		step = 4099
	}
	files, err := filepath.Glob(filepath.Join(dir, indexName, "*.run"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range append(files, filepath.Join(dir, databaseName)) {
		clean, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		used := len(bytes.TrimRight(clean, "\x00"))
		found, harmless := 0, 0
		for at := 7; at < used; at += step + at%97 {
			lie, finding := flipped(t, path, at, clean[at]^(1<<(at%8)), clean[at],
				func() (string, error) { return examine(dir, o, truth, int64(at%2)<<30) })
			switch {
			case lie != "":
				t.Errorf("flip at %d of %s: served silently: %s", at, path, lie)
			case finding != nil:
				found++
			default:
				harmless++
			}
			if finding != nil && !errors.Is(finding, ErrCorrupt) {
				t.Errorf("flip at %d of %s: %v", at, path, finding)
			}
		}
		t.Logf("%s: %d bytes, %d flips found, %d harmless", filepath.Base(path), used, found, harmless)
		if found == 0 {
			t.Error("nothing was found")
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(clean, after) {
			t.Fatal("reading changed the file", err)
		}
	}
	if lie, finding := examine(dir, o, truth, 0); finding != nil || lie != "" {
		t.Fatal(finding, lie)
	}
}

// flipped runs fn while one byte of a file is changed.
func flipped(t *testing.T, path string, at int, bad, good byte, fn func() (string, error)) (string, error) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{bad}, int64(at)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if _, err := f.WriteAt([]byte{good}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}()
	return fn()
}

// A file that is cut, empty or missing is never replaced by a new one.
func TestMissingFiles(t *testing.T) {
	dir, o, truth := victim(t)
	runs, _ := filepath.Glob(filepath.Join(dir, indexName, "*.run"))
	for _, path := range []string{filepath.Join(dir, databaseName), runs[0]} {
		clean, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int{-1, 0, 100, pageSize, len(clean) / 2 / pageSize * pageSize,
			len(bytes.TrimRight(clean, "\x00")) - pageSize} {
			if size < 0 {
				err = os.Remove(path)
			} else {
				err = os.Truncate(path, int64(size))
			}
			if err != nil {
				t.Fatal(err)
			}
			lie, finding := examine(dir, o, truth, 0)
			if !errors.Is(finding, ErrCorrupt) && !(finding == nil && lie == "" && size > len(clean)/4) {
				t.Errorf("%s cut to %d: %v %s", path, size, finding, lie)
			}
			if err := os.WriteFile(path, clean, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lie, finding := examine(dir, o, truth, 0); finding != nil || lie != "" {
		t.Fatal(finding, lie)
	}
}

// Damage under a running store is reported by the reads that meet it, and by them only.
func TestDamageWhileRunning(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	s := m.filled(dir, quiet(t), []Entry{m.entry(m.set(0, "the-first-record", "value")),
		m.entry(m.set(0, "2", "the second value"))})
	path := filepath.Join(dir, databaseName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	id := m.chains[0].ID
	tip, _ := s.Tip(id)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for at := 0; ; at++ { // every copy of it, in old pages too
		i := bytes.Index(b[at:], []byte("the-first-record"))
		if i < 0 {
			break
		}
		at += i
		if _, err := f.WriteAt([]byte("X"), int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Block(id, tip.Header.Height-1); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
	if _, err := s.Block(id, tip.Header.Height); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(context.Background(), nil); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
}

// brokenDisk swaps what the database's descriptor points at, as in the disk that goes away under an open file.
type brokenDisk struct {
	file  *os.File
	saved int
}

func (d *brokenDisk) open(name string, flag int, mode os.FileMode) (*os.File, error) {
	f, err := os.OpenFile(name, flag, mode)
	d.file = f
	return f, err
}

func (d *brokenDisk) breakWith(t *testing.T, path string, flag int) {
	t.Helper()
	fd := int(d.file.Fd())
	var err error
	if d.saved, err = unix.Dup(fd); err != nil {
		t.Fatal(err)
	}
	bad, err := unix.Open(path, flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(bad)
	if err := unix.Dup3(bad, fd, 0); err != nil {
		t.Fatal(err)
	}
}

func (d *brokenDisk) heal(t *testing.T) {
	t.Helper()
	if err := unix.Dup3(d.saved, int(d.file.Fd()), 0); err != nil {
		t.Fatal(err)
	}
	unix.Close(d.saved)
}

// After the first failed write or sync nothing is served, also when the disk is well again; Fatal is called once.
func TestFailStop(t *testing.T) {
	for _, c := range []struct {
		name, path string
		flag       int
	}{{"disk full", "/dev/full", unix.O_RDWR}, {"bad descriptor", "/etc/hostname", unix.O_RDONLY}} {
		t.Run(c.name, func(t *testing.T) {
			m := newMaker(t)
			dir := t.TempDir()
			var calls atomic.Int32
			o := expectFatal(t, &calls)
			o.NoSync = false
			d := &brokenDisk{}
			s, err := open(dir, o, seams{openFile: d.open})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.Init(m.genesis); err != nil {
				t.Fatal(err)
			}
			m.applyAll(s, nil)
			truth := s.contents(t)
			waiting := make(chan error, 1)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			go func() { waiting <- s.WaitSequence(ctx, 1<<40) }()
			d.breakWith(t, c.path, c.flag)
			e := m.entry(m.set(0, "1", "lost"))
			visible := make(chan error, 1)
			go func() { visible <- s.WaitApplied(ctx, e.Index) }()
			if _, err := s.Apply([]Entry{e}); !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
			d.heal(t)
			if err := <-waiting; !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
			if err := <-visible; !errors.Is(err, ErrFailed) {
				t.Fatalf("what was not committed was visible: %v", err)
			}
			expectDead(t, m, s)
			if calls.Load() != 1 {
				t.Fatalf("Fatal was called %d times", calls.Load())
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			again := openTest(t, dir, quiet(t))
			if diff := equalContents(truth, again.contents(t)); diff != "" {
				t.Fatal(diff)
			}
			if _, err := again.Apply([]Entry{e}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A commit that takes too long ends the store, while it hangs: no call waits for a disk that does not answer. When it
// comes back after all, it is no success.
func TestHangingCommit(t *testing.T) {
	m := newMaker(t)
	var calls atomic.Int32
	o := expectFatal(t, &calls)
	hang, failed := make(chan struct{}), make(chan struct{})
	fatal := o.Fatal
	o.Fatal = func(err error) { fatal(err); close(failed) }
	var hanging atomic.Bool
	s, err := open(t.TempDir(), o, seams{commitLimit: 200 * time.Millisecond, beforeCommit: func() {
		if hanging.Load() {
			<-hang
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	m.applyAll(s, nil)
	hanging.Store(true)
	applied := make(chan error, 1)
	go func() {
		_, err := s.Apply([]Entry{m.entry(m.set(0, "1", "late"))})
		applied <- err
	}()
	select {
	case <-failed:
	case <-time.After(10 * time.Second):
		t.Error("a hanging commit is waited for")
	}
	if _, err := s.Block(ledger.SystemChain, 0); !errors.Is(err, ErrFailed) && !t.Failed() {
		t.Errorf("a read while the disk hangs: %v", err)
	}
	close(hang)
	if err := <-applied; !errors.Is(err, ErrFailed) {
		t.Errorf("the commit that came back: %v", err)
	}
}

// expectDead calls everything on a failed store.
func expectDead(t *testing.T, m *maker, s *Store) {
	t.Helper()
	_, apply := s.Apply([]Entry{m.entry(m.set(0, "2", "lost too"))})
	_, state := s.Get(ledger.SystemChain, []byte("g"))
	_, located := s.Get(ledger.SystemChain, []byte("T"))
	_, block := s.Block(ledger.SystemChain, 0)
	_, at := s.BlockAt(0)
	_, _, _, _, _, transaction := s.Transaction(ledger.SystemChain, 0, 0)
	_, _, keys := s.AccessKeys(0, 1)
	for name, err := range map[string]error{"Apply": apply, "Get": state, "Get indexed": located, "Block": block,
		"BlockAt": at, "Transaction": transaction, "AccessKeys": keys,
		"Append": s.Append(nil), "Init": s.Init(m.genesis), "SetApplied": s.SetApplied(1), "RestoreAccessKeys": s.RestoreAccessKeys(nil),
		"Scan": s.Scan(ledger.SystemChain, []byte("o"), nil), "Verify": s.Verify(context.Background(),
			nil), "WaitApplied": s.WaitApplied(context.Background(), 0)} {
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s on a failed store: %v", name, err)
		}
	}
}

// An index that cannot be written is the end too, though the blocks could still be.
func TestFailStopOfIndex(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	var calls atomic.Int32
	o := expectFatal(t, &calls)
	o.FlushEntries = 8
	s := m.filled(dir, o, nil)
	s.settled()
	if err := os.RemoveAll(filepath.Join(dir, indexName)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if _, err := s.Apply([]Entry{m.entry(m.set(0, fmt.Sprint(i), "value"))}); err != nil {
			if !errors.Is(err, ErrFailed) {
				t.Fatal(err)
			}
			break
		}
	}
	<-s.stop
	expectDead(t, m, s)
	if err := s.Close(); err != nil || calls.Load() != 1 {
		t.Fatal(calls.Load(), err)
	}
}

// What cannot be executed is not skipped.
func TestUnknownEntryIsFatal(t *testing.T) {
	m := newMaker(t)
	for name, e := range map[string]Entry{"nil": {Index: 1 << 20}, "out of order": {}} {
		var calls atomic.Int32
		s := m.filled(t.TempDir(), expectFatal(t, &calls), nil)
		group := []Entry{e}
		if name == "out of order" {
			a, b := m.entry(m.set(0, "1", "one")), m.entry(m.set(0, "2", "two"))
			a.Index = b.Index + 1
			group = []Entry{a, b, {Index: a.Index + 1}}
		}
		if _, err := s.Apply(group); !errors.Is(err, ErrFailed) || calls.Load() != 1 {
			t.Fatal(name, err, calls.Load())
		}
	}
}

// Readers beside a writer, flushes and merges: what the index finds is there, and never moves.
func TestConcurrentReads(t *testing.T) {
	m := newMaker(t)
	o := quiet(t)
	o.FlushEntries = 20
	s := m.filled(t.TempDir(), o, nil)
	const blocks = 150
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	id := m.chains[0].ID
	keys := make([]string, blocks)
	for i := range keys {
		keys[i] = m.key(0, fmt.Sprint(i))
	}
	for range 3 {
		wg.Go(func() {
			seen := make(map[string]rules.Locator)
			for i := 0; ctx.Err() == nil; i++ {
				k := keys[i%blocks]
				l, err := rules.Locate(s, id, rules.NewestKey(k))
				if err != nil {
					t.Error(err)
					return
				}
				if before, ok := seen[k]; l == nil && ok || l != nil && ok && before != *l {
					t.Errorf("%s moved from %v to %v", k, before, l)
					return
				}
				if l == nil {
					continue
				}
				seen[k] = *l
				payload, code, _, _, _, err := s.Transaction(id, l.Height, l.Index)
				if err != nil || code != rules.OK || !bytes.Contains(payload, []byte(k)) {
					t.Error("what the index finds is not there:", code, err)
					return
				}
			}
		})
	}
	for i := range blocks {
		n := s.Sequence()
		if _, err := s.Apply([]Entry{m.entry(m.set(0, fmt.Sprint(i), "value"))}); err != nil {
			t.Fatal(err)
		}
		if l, err := rules.Locate(s, id, rules.NewestKey(keys[i])); l == nil || err != nil || s.Sequence() != n+1 {
			t.Fatal("what was applied is not found", err)
		}
	}
	cancel()
	wg.Wait()
}

// The store works in a bubble of testing/synctest and leaves nothing behind in it.
func TestSynctest(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		o := quiet(t)
		o.FlushEntries = 8
		s, err := Open(dir, o)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Init(m.genesis); err != nil {
			t.Fatal(err)
		}
		for _, e := range append(append([]Entry(nil), m.setup...), m.entry(m.set(0, "1", "one"))) {
			if _, err := s.Apply([]Entry{e}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if len(s.index.manifest.runs) == 0 {
			t.Fatal("nothing was flushed")
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
