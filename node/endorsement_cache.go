package node

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxCachedEndorsements bounds each of the two generations of the cache: 32 bytes for an entry, plus the map's
// overhead.
const maxCachedEndorsements = 32 << 10

// endorsementCache remembers endorsements whose signature is valid: the leader verifies them at admission and finds
// them here at execution. Invalid ones are not remembered, so a flood of them cannot evict anything.
type endorsementCache struct {
	mu           sync.Mutex
	young, old   map[ledger.Hash]struct{}
	hits, misses uint64
	check        func(key ed25519.PublicKey, e *ltlv1.Endorsement) error
}

func newEndorsementCache() *endorsementCache {
	return &endorsementCache{young: make(map[ledger.Hash]struct{}), check: ledger.VerifyEndorsement}
}

// verify is a rules.Verify.
func (v *endorsementCache) verify(key ed25519.PublicKey, e *ltlv1.Endorsement) error {
	id := endorsementID(key, e)
	v.mu.Lock()
	_, known := v.young[id]
	if !known {
		_, known = v.old[id]
	}
	if known {
		v.hits++
	} else {
		v.misses++
	}
	v.mu.Unlock()
	if known {
		return nil
	}
	if err := v.check(key, e); err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.young) >= maxCachedEndorsements {
		v.old, v.young = v.young, make(map[ledger.Hash]struct{}, maxCachedEndorsements)
	}
	v.young[id] = struct{}{}
	return nil
}

// endorsementID hashes statement, signature and key, each after its length, so that no two endorsements have the same
// id.
func endorsementID(key ed25519.PublicKey, e *ltlv1.Endorsement) ledger.Hash {
	h := sha256.New()
	var length [4]byte
	for _, b := range [][]byte{e.GetStatement(), e.GetSignature(), key} {
		binary.BigEndian.PutUint32(length[:], uint32(len(b)))
		h.Write(length[:])
		h.Write(b)
	}
	return ledger.Hash(h.Sum(nil))
}

// counts returns how many endorsements were found in the cache, and how many signatures were verified.
func (v *endorsementCache) counts() (hits, misses uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.hits, v.misses
}
