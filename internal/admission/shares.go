// Package admission bounds what callers can take from a process before it knows whether to trust them, and what each
// trusted caller can take from the others: connections, handshakes, bytes of messages, places in queues.
package admission

import "sync"

// Shares is an amount of a resource that callers take from and give back. Each caller has a part of it at most, and so
// has each group of callers, so that no caller leaves the others without any. Groups that take their parts together
// could; each group can therefore also have a small amount of its own, beside what all share. It may be used
// concurrently.
type Shares struct {
	total, caller, group, own int64

	mu      sync.Mutex
	used    int64
	shared  int64 // what groups have taken beyond their own
	callers map[string]int64
	groups  map[string]int64
}

// NewShares returns an amount of which a caller can have perCaller and a group perGroup at the same time. All groups
// share total, and each has own beside it: at most total and own for each group are taken.
func NewShares(total, perCaller, perGroup, own int64) *Shares {
	return &Shares{total: total, caller: perCaller, group: perGroup, own: own, callers: map[string]int64{},
		groups: map[string]int64{}}
}

// Take takes n for a caller of a group and reports whether it has them. It never waits.
func (s *Shares) Take(caller, group string, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	has := s.groups[group]
	more := s.beyond(has+n) - s.beyond(has)
	if more > 0 && s.shared+more > s.total || s.callers[caller]+n > s.caller || has+n > s.group {
		return false
	}
	s.used += n
	s.shared += more
	s.callers[caller] += n
	s.groups[group] += n
	return true
}

// Give gives back n of what Take has taken.
func (s *Shares) Give(caller, group string, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	has := s.groups[group]
	s.shared -= s.beyond(has) - s.beyond(has-n)
	s.used -= n
	less(s.callers, caller, n)
	less(s.groups, group, n)
}

// beyond is what of n that a group has is taken from what all share.
func (s *Shares) beyond(n int64) int64 { return max(0, n-s.own) }

// less subtracts n and forgets a name that has nothing left: names come from outside.
func less(of map[string]int64, name string, n int64) {
	if left := of[name] - n; left > 0 {
		of[name] = left
	} else {
		delete(of, name)
	}
}

// Used is what is taken at present, by all callers together.
func (s *Shares) Used() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}
