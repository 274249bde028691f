package identity

import (
	"encoding/json"
	"path/filepath"
	"reflect"
	"testing"

	"ltl/internal/ledger"
	"ltl/test/testkit/offline"
)

// requests are one of each kind.
func requests() []*RecoveryRequest {
	network := make([]byte, 32)
	return []*RecoveryRequest{
		{NetworkID: network, Organisation: "org1", Number: 1, EndorserKey: offline.PublicKey("new"), Possession: make([]byte, 64)},
		{NetworkID: network, Organisation: "org1", Number: 2, Authority: offline.Authority("a", 1), RetireAuthorities: true,
			AuthorityPossession: make([]byte, 64)},
		{NetworkID: network, Organisation: "org1", Number: 3, RecoveryKey: offline.PublicKey("next")},
	}
}

// TestRecoveryRequest: a request is read as it was written, what is signed is what the rules verify, and requests that
// ask for something else, or for nothing, are refused.
func TestRecoveryRequest(t *testing.T) {
	key, public := offline.Key("recovery"), offline.PublicKey("recovery")
	for i, r := range requests() {
		r.Sign(key)
		path := filepath.Join(t.TempDir(), "request.json")
		if err := r.Save(path); err != nil {
			t.Fatal(err)
		}
		read, err := LoadRecoveryRequest(path)
		if err != nil || !reflect.DeepEqual(read, r) {
			t.Fatalf("request %d: %+v, %v", i, read, err)
		}
		if err := r.Save(path); err == nil {
			t.Error("a request was overwritten")
		}
		tx := read.Transaction()
		if m := tx.GetModifyOrganisation(); m != nil {
			err = ledger.VerifyNewRecoveryKey(public, m.GetRecoverySignature(), ledger.Hash{}, m.GetId(), 3, m.GetRecoveryKey())
		} else {
			a := tx.GetRecoverOrganisation()
			signed := ledger.Recovery{Organisation: a.GetId(), Number: a.GetNumber(), EndorserKey: a.GetEndorserKey(),
				Authority: a.GetAuthority(), RetireAuthorities: a.GetRetireAuthorities()}
			err = signed.Verify(public, a.GetSignature())
		}
		if err != nil {
			t.Errorf("request %d: %v", i, err)
		}
	}
	for what, spoil := range map[string]func(r *RecoveryRequest){
		"a short network":        func(r *RecoveryRequest) { r.NetworkID = r.NetworkID[1:] },
		"no organisation":        func(r *RecoveryRequest) { r.Organisation = "" },
		"nothing":                func(r *RecoveryRequest) { r.EndorserKey = nil },
		"two kinds":              func(r *RecoveryRequest) { r.RecoveryKey = r.EndorserKey },
		"a key of small order":   func(r *RecoveryRequest) { r.EndorserKey = make([]byte, 32) },
		"no authority to retire": func(r *RecoveryRequest) { r.RetireAuthorities = true },
		"a short signature":      func(r *RecoveryRequest) { r.Signature = make([]byte, 63) },
	} {
		r := requests()[0]
		spoil(r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseRecoveryRequest(b); err == nil {
			t.Errorf("%s was read", what)
		}
	}
}

// FuzzRecoveryRequest: what is read can be signed and sent.
func FuzzRecoveryRequest(f *testing.F) {
	for _, r := range requests() {
		b, err := json.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecoveryRequest(b)
		if err != nil {
			return
		}
		r.Sign(offline.Key("recovery"))
		if r.Transaction().GetAction() == nil || len(r.Signature) != 64 {
			t.Fatal(r)
		}
	})
}
