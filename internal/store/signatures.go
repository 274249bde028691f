package store

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"sync"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// maxSignatures bounds each of the two generations of Signatures: 32 bytes for an entry, plus the map's overhead.
const maxSignatures = 32 << 10

// Signatures remembers endorsements whose signature is valid, so that none is computed twice: a leader verifies them at
// admission and finds them here at execution, an endorser finds those that it made, and a statement that stands for
// several batches is verified once. Invalid ones are not remembered, so a flood of them cannot evict anything. It may be
// used concurrently.
type Signatures struct {
	mu           sync.Mutex
	young, old   map[ledger.Hash]struct{}
	hits, misses uint64
}

// NewSignatures returns an empty memory.
func NewSignatures() *Signatures { return &Signatures{young: map[ledger.Hash]struct{}{}} }

// Verify is a rules.Verify. It computes only signatures that are not remembered.
func (s *Signatures) Verify(key ed25519.PublicKey, e *ltlv1.Endorsement) error {
	id := endorsementID(key, e)
	s.mu.Lock()
	_, known := s.young[id]
	if !known {
		_, known = s.old[id]
	}
	if known {
		s.hits++
	} else {
		s.misses++
	}
	s.mu.Unlock()
	if known {
		return nil
	}
	if err := ledger.VerifyEndorsement(key, e); err != nil {
		return err
	}
	s.remember(id)
	return nil
}

// Made remembers a signature that this process has just made with the private key of key.
func (s *Signatures) Made(key ed25519.PublicKey, e *ltlv1.Endorsement) {
	s.remember(endorsementID(key, e))
}

func (s *Signatures) remember(id ledger.Hash) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.young) >= maxSignatures {
		s.old, s.young = s.young, make(map[ledger.Hash]struct{}, maxSignatures)
	}
	s.young[id] = struct{}{}
}

// Counts returns how many endorsements were remembered when they were verified, and how many signatures were computed.
func (s *Signatures) Counts() (hits, misses uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hits, s.misses
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
