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

func TestSealingKeepsSecrets(t *testing.T) {
	key := make([]byte, SealingKeyLen)
	key[3] = 7
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringN(0, 40, -1).Draw(t, "id")
		secret := rapid.StringN(0, 80, -1).Draw(t, "secret")
		sealed, err := Seal(key, id, secret)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Unseal(key, id, sealed); err != nil || got != secret {
			t.Fatalf("Unseal = %q, %v, want %q", got, err, secret)
		}
		if _, err := Unseal(key, id+"x", sealed); !errors.Is(err, ErrSealed) {
			t.Fatalf("opens under another AccessKey: %v", err)
		}
		bit := rapid.IntRange(0, len(sealed)*8-1).Draw(t, "bit")
		sealed[bit/8] ^= 1 << (bit % 8)
		if _, err := Unseal(key, id, sealed); !errors.Is(err, ErrSealed) {
			t.Fatalf("opens with bit %d changed: %v", bit, err)
		}
	})
}

func TestSealingRefuses(t *testing.T) {
	key, other := make([]byte, SealingKeyLen), make([]byte, SealingKeyLen)
	other[0] = 1
	sealed, err := Seal(key, "id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	again, err := Seal(key, "id", "secret")
	if err != nil || string(again) == string(sealed) {
		t.Errorf("sealing twice gives the same bytes (%v): the nonce is not fresh", err)
	}
	if _, err := Unseal(other, "id", sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("opens under another key: %v", err)
	}
	for n := range len(sealed) {
		if _, err := Unseal(key, "id", sealed[:n]); !errors.Is(err, ErrSealed) {
			t.Errorf("opens cut to %d bytes: %v", n, err)
		}
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := Seal(make([]byte, n), "id", "secret"); !errors.Is(err, ErrKeyFile) {
			t.Errorf("seals under a key of %d bytes: %v", n, err)
		}
		if _, err := Unseal(make([]byte, n), "id", sealed); !errors.Is(err, ErrKeyFile) {
			t.Errorf("unseals under a key of %d bytes: %v", n, err)
		}
	}
}

func FuzzUnseal(f *testing.F) {
	key := make([]byte, SealingKeyLen)
	f.Add("id", []byte{})
	f.Add("id", make([]byte, 12))
	f.Add("id", make([]byte, 28))
	f.Fuzz(func(t *testing.T, id string, sealed []byte) {
		if secret, err := Unseal(key, id, sealed); err == nil {
			t.Fatalf("forged %q: it was never sealed", secret)
		}
	})
}
