package node

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

var errSimDisk = errors.New("simulated disk: input/output error")

// simDisk is what survives a crash: entries, term and vote.
type simDisk struct {
	mu          sync.Mutex
	first, last uint64
	logs        map[uint64]raft.Log
	numbers     map[string]uint64
	values      map[string][]byte
}

func newSimDisk() *simDisk {
	return &simDisk{logs: make(map[uint64]raft.Log), numbers: make(map[string]uint64), values: make(map[string][]byte)}
}

// simHandle is the disk as one run of a node sees it. After a crash nothing that it writes arrives.
type simHandle struct {
	disk *simDisk

	mu     sync.Mutex
	dead   bool
	broken bool          // the next write fails, and the process ends with it
	slow   time.Duration // each write takes so long
	rng    *rand.Rand
}

func (h *simHandle) kill() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.dead = true
}

func (h *simHandle) set(slow time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slow = slow
}

func (h *simHandle) breakNow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.broken = true
}

// begin waits as long as a write takes and decides its outcome: whether it arrives, and which error the caller gets.
// A write that a crash cuts off arrives whole or not at all, as a transaction of bbolt does.
func (h *simHandle) begin() (arrives bool, err error) {
	h.mu.Lock()
	dead, slow := h.dead, h.slow
	h.mu.Unlock()
	if dead {
		return false, errSimDisk
	}
	if slow > 0 {
		time.Sleep(slow)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.dead {
		return h.rng.IntN(2) == 0, errSimDisk
	}
	if h.broken {
		h.dead = true
		return h.rng.IntN(2) == 0, errSimDisk
	}
	return true, nil
}

func (h *simHandle) isDead() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}

func (h *simHandle) FirstIndex() (uint64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.disk.first, nil
}

func (h *simHandle) LastIndex() (uint64, error) {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	return h.disk.last, nil
}

func (h *simHandle) GetLog(index uint64, log *raft.Log) error {
	h.disk.mu.Lock()
	defer h.disk.mu.Unlock()
	l, ok := h.disk.logs[index]
	if !ok {
		return raft.ErrLogNotFound
	}
	*log = l
	return nil
}

func (h *simHandle) StoreLog(l *raft.Log) error { return h.StoreLogs([]*raft.Log{l}) }

// StoreLogs is called by the fail-stop wrapper; simSlow has waited and decided before it.
func (h *simHandle) StoreLogs(logs []*raft.Log) error {
	d := h.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range logs {
		d.logs[l.Index] = *l
		if d.first == 0 {
			d.first = l.Index
		}
		d.last = max(d.last, l.Index)
	}
	return nil
}

func (h *simHandle) DeleteRange(from, to uint64) error {
	if h.isDead() {
		return errSimDisk
	}
	d := h.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := from; i <= to; i++ {
		delete(d.logs, i)
	}
	switch {
	case from <= d.first && to >= d.last:
		d.first, d.last = 0, 0
	case from <= d.first:
		d.first = to + 1
	case to >= d.last:
		d.last = from - 1
	}
	return nil
}

// simSlow is in front of the fail-stop wrapper, so that a slow write sleeps while no lock is held: inside synctest time
// does not pass for a goroutine that waits for a lock.
type simSlow struct {
	*logStore
	h     *simHandle
	fatal func(error)
}

// GetLog finds every entry in a dead process. Raft panics where it deleted a branch and the write of the other one
// failed; a real process ends by its fatal error then.
func (s *simSlow) GetLog(index uint64, log *raft.Log) error {
	err := s.logStore.GetLog(index, log)
	if errors.Is(err, raft.ErrLogNotFound) && s.h.isDead() {
		*log = raft.Log{Index: index, Type: raft.LogNoop}
		return nil
	}
	return err
}

func (s *simSlow) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s *simSlow) StoreLogs(logs []*raft.Log) error {
	arrives, err := s.h.begin()
	if arrives {
		if err := s.logStore.StoreLogs(logs); err != nil {
			return err
		}
	}
	if err != nil {
		s.fatal(err)
	}
	return err
}

// simStable is term and vote. Once the process is dead its writes succeed and go nowhere: raft panics on an error
// here, and a dead process has no say any more.
type simStable struct{ h *simHandle }

func (s *simStable) live() bool { return !s.h.isDead() }

func (s *simStable) Set(key, value []byte) error {
	if live := s.live(); live {
		s.h.disk.mu.Lock()
		defer s.h.disk.mu.Unlock()
		s.h.disk.values[string(key)] = append([]byte(nil), value...)
	}
	return nil
}

func (s *simStable) Get(key []byte) ([]byte, error) {
	s.h.disk.mu.Lock()
	defer s.h.disk.mu.Unlock()
	v, ok := s.h.disk.values[string(key)]
	if !ok {
		return nil, errors.New("not found")
	}
	return v, nil
}

func (s *simStable) SetUint64(key []byte, value uint64) error {
	if live := s.live(); live {
		s.h.disk.mu.Lock()
		defer s.h.disk.mu.Unlock()
		s.h.disk.numbers[string(key)] = value
	}
	return nil
}

func (s *simStable) GetUint64(key []byte) (uint64, error) {
	s.h.disk.mu.Lock()
	defer s.h.disk.mu.Unlock()
	v, ok := s.h.disk.numbers[string(key)]
	if !ok {
		return 0, errors.New("not found")
	}
	return v, nil
}
