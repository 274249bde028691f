package ledger

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"testing"
)

// TestSuccessionSignature: a signature counts for its predecessor, organisation, genesis and key alone.
func TestSuccessionSignature(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	public := key.Public().(ed25519.PublicKey)
	s := Succession{Predecessor: sha256.Sum256([]byte("old")), Organisation: "org1", Genesis: []byte("genesis")}
	signature := s.Sign(key)
	if err := s.Verify(public, signature); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(*Succession){
		"predecessor":  func(s *Succession) { s.Predecessor[0] ^= 1 },
		"organisation": func(s *Succession) { s.Organisation = "org2" },
		"genesis":      func(s *Succession) { s.Genesis = []byte("genesiS") },
		"the border":   func(s *Succession) { s.Organisation, s.Genesis = "org1g", []byte("enesis") },
	} {
		other := s
		change(&other)
		if err := other.Verify(public, signature); !errors.Is(err, ErrSignature) {
			t.Errorf("another %s: %v", what, err)
		}
	}
	if err := s.Verify(public[1:], signature); !errors.Is(err, ErrSignature) {
		t.Errorf("a short key: %v", err)
	}
}

// TestHeadsHash: every part of every head changes the hash, and so does their number.
func TestHeadsHash(t *testing.T) {
	heads := []Head{{SystemChain, 3, sha256.Sum256([]byte("a"))}, {"0000000000000042", 7, sha256.Sum256([]byte("b"))}}
	seen := map[Hash]string{HeadsHash(heads): "the heads"}
	for what, other := range map[string][]Head{
		"a chain less":   heads[:1],
		"no chain":       nil,
		"another order":  {heads[1], heads[0]},
		"another chain":  {heads[0], {"0000000000000043", 7, heads[1].Hash}},
		"another height": {heads[0], {heads[1].ChainID, 8, heads[1].Hash}},
		"another block":  {heads[0], {heads[1].ChainID, 7, heads[0].Hash}},
	} {
		h := HeadsHash(other)
		if same, known := seen[h]; known {
			t.Errorf("%s has the hash of %s", what, same)
		}
		seen[h] = what
	}
}
