package store

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// TestDescriptorsRunOut: an index that has to write a run while this process has no descriptor left waits for one; the
// store goes on, and the run is written when there are descriptors again.
func TestDescriptorsRunOut(t *testing.T) {
	m := newMaker(t)
	o := quiet(t)
	o.FlushEntries = 1 << 20 // nothing is flushed before the test says so
	s := m.filled(t.TempDir(), o, m.mixed(30))
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	var taken []*os.File
	restore := func() {
		for _, f := range taken {
			_ = f.Close()
		}
		taken = nil
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 256, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := os.Open("/dev/null")
		if err != nil {
			break
		}
		taken = append(taken, f)
	}
	s.index.mu.Lock()
	s.index.flushEntries = 1
	s.index.freeze()
	frozen := s.index.frozen != nil
	s.index.changed.Broadcast()
	s.index.mu.Unlock()
	time.Sleep(3 * descriptorPause)
	if !frozen || s.index.isFlushed() {
		t.Fatal("the index has nothing to flush, or has flushed it without a descriptor")
	}
	if _, err := s.Apply(nil); err != nil {
		t.Errorf("the store has ended: %v", err)
	}
	restore()
	for deadline := time.Now().Add(10 * time.Second); !s.index.isFlushed(); time.Sleep(descriptorPause) {
		if time.Now().After(deadline) {
			t.Fatal("no run was written within 10 s")
		}
	}
	if err := s.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// isFlushed reports whether no table waits to become a run.
func (x *index) isFlushed() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.frozen == nil
}
