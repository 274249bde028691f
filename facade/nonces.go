package facade

import (
	"hash/maphash"
	"sync"
	"time"
)

const (
	nonceShards = 16
	// noncesPerShard is the size at which a shard's younger generation becomes the older one; two generations are kept.
	noncesPerShard = maxNonces / nonceShards / 2
	// nonceLife is how long a nonce is remembered at least, unless so many others came since: a timestamp may lie the window
	// ahead of the clock and counts until the window behind it.
	nonceLife = 2 * timestampWindow
)

// nonces remembers which (AccessKeyId, SignatureNonce) were used. It holds maxNonces at most and then forgets the oldest: a replay
// older than that finds the write refused by the ledger, which forgets none. Entries are 64-bit keyed hashes, so that a false
// refusal takes a collision of one in 2^43 at the fullest.
type nonces struct {
	seed maphash.Seed
	// limit is the size at which a shard's young generation becomes the old one.
	limit  int
	shards [nonceShards]nonceShard
}

type nonceShard struct {
	mu sync.Mutex
	// young takes new entries since began; old is the generation before.
	young, old map[uint64]struct{}
	began      time.Time
}

func newNonces() *nonces {
	n := &nonces{seed: maphash.MakeSeed(), limit: noncesPerShard}
	for i := range n.shards {
		n.shards[i].young = map[uint64]struct{}{}
		n.shards[i].old = map[uint64]struct{}{}
	}
	return n
}

// use records a pair; false says that it was used before.
func (n *nonces) use(accessKeyID, nonce string, now time.Time) bool {
	var h maphash.Hash
	h.SetSeed(n.seed)
	_, _ = h.WriteString(accessKeyID) // neither write can fail
	_ = h.WriteByte(0)
	_, _ = h.WriteString(nonce)
	sum := h.Sum64()
	s := &n.shards[sum%nonceShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := now.Sub(s.began); age > nonceLife || len(s.young) >= n.limit {
		s.young, s.old = s.old, s.young
		clear(s.young)
		s.began = now
	}
	if _, ok := s.young[sum]; ok {
		return false
	}
	if _, ok := s.old[sum]; ok {
		return false
	}
	s.young[sum] = struct{}{}
	return true
}
