package facade

import (
	"hash/maphash"
	"strings"
	"sync"
)

const inflightShards = 32

// inflight counts the writes under way through this facade, by Key and by Key with BusinessId.
type inflight struct {
	seed   maphash.Seed
	shards [inflightShards]struct {
		mu     sync.Mutex
		counts map[string]int
	}
}

func newInflight() *inflight {
	f := &inflight{seed: maphash.MakeSeed()}
	for i := range f.shards {
		f.shards[i].counts = map[string]int{}
	}
	return f
}

// recordName names one record of a Key; a Key itself never contains a zero byte.
func recordName(key, businessID string) string {
	if businessID == "" {
		return key
	}
	return key + "\x00" + strings.ToLower(businessID)
}

func (f *inflight) add(name string, n int) {
	s := &f.shards[maphash.String(f.seed, name)%inflightShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counts[name] += n; s.counts[name] == 0 {
		delete(s.counts, name)
	}
}

// begin notes a write; the caller ends it with end and the same arguments.
func (f *inflight) begin(key, businessID string) {
	f.add(key, 1)
	if businessID != "" {
		f.add(recordName(key, businessID), 1)
	}
}

func (f *inflight) end(key, businessID string) {
	f.add(key, -1)
	if businessID != "" {
		f.add(recordName(key, businessID), -1)
	}
}

// pending reports whether a write of the Key, or of that one BusinessId under it, is under way.
func (f *inflight) pending(key, businessID string) bool {
	name := recordName(key, businessID)
	s := &f.shards[maphash.String(f.seed, name)%inflightShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[name] > 0
}
