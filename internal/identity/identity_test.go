package identity

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseTakesWhatStringGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Identity{
			Organisation: rapid.StringMatching(`[a-z0-9-]{1,32}`).Draw(t, "organisation"),
			Role:         rapid.SampledFrom(Roles()).Draw(t, "role"),
			Name:         rapid.StringMatching(`[A-Za-z0-9][A-Za-z0-9_.-]{0,63}`).Draw(t, "name"),
		}
		if want.Role == RoleEndorser {
			want.Name = want.Organisation
			if want.Name[0] == '-' {
				return // no name starts so
			}
		}
		got, err := Parse(want.String())
		if err != nil || got != want {
			t.Fatalf("Parse(%q) = %+v, %v", want, got, err)
		}
		// The certificate carries it as a URI; reading it must not change one character.
		u, err := url.Parse(want.URI())
		if err != nil || u.String() != want.URI() {
			t.Fatalf("URI %q became %q, %v", want.URI(), u, err)
		}
	})
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		"", "/", "//", "org1", "org1/node", "org1/node/", "org1/node/n1/", "/node/n1", "org1//n1", "org1/leader/n1", "org1/Node/n1",
		"Org1/node/n1", "org_1/node/n1", "org1/node/.", "org1/node/..", "org1/node/-n", "org1/node/n 1", "org1/node/n%31", "org1/node/n\x00",
		"org1/node/é", "org1/endorser/org2", "org1/endorser/e1", "ltl://org1/node/n1",
		strings.Repeat("a", MaxOrganisationID+1) + "/node/n1", "org1/node/" + strings.Repeat("a", MaxName+1),
	} {
		if id, err := Parse(s); !errors.Is(err, ErrIdentity) {
			t.Errorf("Parse(%q) = %+v, %v, want ErrIdentity", s, id, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"org1/node/n1", "o/endorser/o", "o/client/a.b-c_d", "o/client/a%20b", "//", "a/b/c/d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := Parse(s)
		if err != nil {
			if !errors.Is(err, ErrIdentity) {
				t.Fatalf("Parse(%q): %v is not ErrIdentity", s, err)
			}
			return
		}
		if id.String() != s {
			t.Fatalf("%q and %q are the same identity", s, id)
		}
	})
}

// TestSealingKeepsSecrets: a sealed secret opens for what it is bound to, and for nothing else: not for another
// AccessKey, account, organisation, network or version, and with no bit changed.
func TestSealingKeepsSecrets(t *testing.T) {
	key := make([]byte, SealingKeyLen)
	key[3] = 7
	keys := [][]byte{make([]byte, SealingKeyLen), key}
	rapid.Check(t, func(t *rapid.T) {
		seal := AccessKeySeal{
			Organisation: rapid.StringN(0, 32, -1).Draw(t, "organisation"), AccessKeyID: rapid.StringN(0, 40, -1).Draw(t, "id"),
			UID: rapid.StringN(0, 18, -1).Draw(t, "uid"), Version: rapid.Uint64().Draw(t, "version"),
		}
		secret := rapid.StringN(0, 80, -1).Draw(t, "secret")
		sealed, err := seal.Seal(key, secret)
		if err != nil {
			t.Fatal(err)
		}
		if got, at, err := seal.Open(keys, sealed); err != nil || got != secret || at != 1 {
			t.Fatalf("Open = %q, %d, %v, want %q", got, at, err, secret)
		}
		for what, change := range map[string]func(*AccessKeySeal){
			"AccessKey":    func(s *AccessKeySeal) { s.AccessKeyID += "x" },
			"account":      func(s *AccessKeySeal) { s.UID += "x" },
			"organisation": func(s *AccessKeySeal) { s.Organisation += "x" },
			"version":      func(s *AccessKeySeal) { s.Version++ },
			"network":      func(s *AccessKeySeal) { s.Network[5]++ },
		} {
			other := seal
			change(&other)
			if _, _, err := other.Open(keys, sealed); !errors.Is(err, ErrSealed) {
				t.Fatalf("opens for another %s: %v", what, err)
			}
		}
		bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
		sealed[bit/8] ^= 1 << (bit % 8)
		if _, _, err := seal.Open(keys, sealed); !errors.Is(err, ErrSealed) {
			t.Fatalf("opens with bit %d changed: %v", bit, err)
		}
	})
}

func TestSealingRefuses(t *testing.T) {
	key, other := make([]byte, SealingKeyLen), make([]byte, SealingKeyLen)
	other[0] = 1
	seal := AccessKeySeal{AccessKeyID: "id"}
	sealed, err := seal.Seal(key, "secret")
	if err != nil {
		t.Fatal(err)
	}
	again, err := seal.Seal(key, "secret")
	if err != nil || string(again) == string(sealed) {
		t.Errorf("sealing twice gives the same bytes (%v): the nonce is not fresh", err)
	}
	if _, _, err := seal.Open([][]byte{other}, sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("opens under another key: %v", err)
	}
	for n := range len(sealed) {
		if _, _, err := seal.Open([][]byte{key}, sealed[:n]); !errors.Is(err, ErrSealed) {
			t.Errorf("opens cut to %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := seal.Seal(make([]byte, n), "secret"); !errors.Is(err, ErrKeyFile) {
			t.Errorf("seals under a key of %d bytes: %v", n, err)
		}
	}
	if _, err := seal.Seal(key, string(make([]byte, 1024))); err == nil {
		t.Error("seals a secret that no node takes")
	}
}

func FuzzOpenSealed(f *testing.F) {
	key := make([]byte, SealingKeyLen)
	sealed, err := AccessKeySeal{AccessKeyID: "id"}.Seal(key, "secret")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("id", []byte{})
	f.Add("id", make([]byte, 37))
	f.Add("other", sealed)
	f.Fuzz(func(t *testing.T, id string, b []byte) {
		if secret, _, err := (AccessKeySeal{AccessKeyID: id}).Open([][]byte{key}, b); err == nil && secret != "secret" {
			t.Fatalf("forged %q: it was never sealed", secret)
		}
	})
}
