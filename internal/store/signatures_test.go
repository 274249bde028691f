package store

import (
	"crypto/ed25519"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestSignatures: a signature that was made or verified here is not computed again, and only that very one: another
// key, statement or signature is verified, and refused where it is wrong. The memory is bounded.
func TestSignatures(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(height uint64) *ltlv1.Endorsement {
		s := ledger.Endorsement{ChainID: ledger.SystemChain, Count: 1, Height: height, KeyID: ledger.KeyID(public),
			Organisation: "org1", Accepted: ledger.Bitmap([]bool{true})}
		return s.Sign(key)
	}
	own := NewSignatures()
	mine, foreign := sign(1), sign(2)
	own.Made(public, mine)
	for what, c := range map[string]struct {
		key  ed25519.PublicKey
		e    *ltlv1.Endorsement
		met  uint64
		good bool
	}{
		"own":                     {public, mine, 1, true},
		"by the key, not made":    {public, foreign, 0, true},
		"another's key":           {other, mine, 0, false},
		"another statement":       {public, &ltlv1.Endorsement{Statement: foreign.GetStatement(), Signature: mine.GetSignature()}, 0, false},
		"another signature":       {public, &ltlv1.Endorsement{Statement: mine.GetStatement(), Signature: foreign.GetSignature()}, 0, false},
		"a short key":             {public[1:], mine, 0, false},
		"bytes moved to its left": {public, &ltlv1.Endorsement{Statement: append(proto.Clone(mine).(*ltlv1.Endorsement).GetStatement(), mine.GetSignature()[0]), Signature: mine.GetSignature()[1:]}, 0, false},
	} {
		before := own.hits
		err := own.Verify(c.key, c.e)
		if c.good && err != nil || !c.good && !errors.Is(err, ledger.ErrSignature) || own.hits-before != c.met {
			t.Errorf("%s: %v, %d found", what, err, own.hits-before)
		}
	}
	for i := range uint64(2*maxSignatures + 10) {
		own.Made(public, &ltlv1.Endorsement{Statement: []byte{byte(i), byte(i >> 8), byte(i >> 16)}})
	}
	if n := len(own.young) + len(own.old); n > 2*maxSignatures {
		t.Errorf("%d signatures are remembered", n)
	}
}

// BenchmarkSignatures compares the verification of a signature with the memory of it.
func BenchmarkSignatures(b *testing.B) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	s := ledger.Endorsement{ChainID: ledger.SystemChain, Count: 500, KeyID: ledger.KeyID(public), Organisation: "org1",
		Accepted: ledger.Bitmap(make([]bool, 500))}
	e := s.Sign(key)
	own := NewSignatures()
	for _, name := range []string{"computed", "remembered"} {
		if name == "remembered" {
			own.Made(public, e)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := own.Verify(public, e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
