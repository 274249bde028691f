package client

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"testing"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// FuzzVerify: whatever an endorser answers, only what it signed counts. The seeds are a valid answer and small changes
// of it.
func FuzzVerify(f *testing.F) {
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public := key.Public().(ed25519.PublicKey)
	c := &Client{network: &network{id: ledger.Hash{1}}}
	ch := &chain{id: "1000000000000001", organisations: []string{"a"}, keys: []ed25519.PublicKey{public}}
	in := &ltlv1.EndorseRequest{ChainId: ch.id, Transactions: [][]byte{[]byte("one"), []byte("two"), []byte("three")}}
	var ids []ledger.Hash
	for _, p := range in.GetTransactions() {
		ids = append(ids, ledger.TransactionID(p))
	}
	root := ledger.BatchRoot(ids)
	sound := (&ledger.Endorsement{
		NetworkID: ledger.Hash{1}, ChainID: ch.id, Root: root, Count: 3, ClockMs: 5, KeyID: ledger.KeyID(public), Organisation: "a",
		Accepted: []byte{0xa0},
	}).Sign(key)
	f.Add(sound.GetStatement(), sound.GetSignature(), int32(200), int32(403), int32(200))
	f.Add(sound.GetStatement(), sound.GetSignature(), int32(200), int32(200), int32(200))
	f.Add(sound.GetStatement()[:50], sound.GetSignature(), int32(200), int32(403), int32(200))
	f.Add(sound.GetStatement(), []byte(nil), int32(0), int32(0), int32(0))
	f.Fuzz(func(t *testing.T, statement, signature []byte, a, b, d int32) {
		out := &ltlv1.EndorseResponse{Endorsement: &ltlv1.Endorsement{Statement: statement, Signature: signature,
			Bitmap: sound.GetBitmap()}, Codes: []int32{a, b, d}}
		accepted, clockMs, err := c.verify(t.Context(), ch, 0, in, out, root)
		signed := bytes.Equal(statement, sound.GetStatement()) && bytes.Equal(signature, sound.GetSignature())
		if (err == nil) != (signed && b != rules.OK) {
			t.Fatalf("signed is %v, error %v", signed, err)
		}
		if err == nil && (fmt.Sprint(accepted) != "[true false true]" || clockMs != 5) {
			t.Fatalf("accepted %v", accepted)
		}
	})
}
