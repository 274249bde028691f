package ledger

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"os"
	"testing"
)

func authorities(t testing.TB) (all [][]byte) {
	t.Helper()
	for _, name := range []string{"testdata/org1.ca.der", "testdata/org2.ca.der"} {
		der, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, der)
	}
	return all
}

// TestAuthorityKey: the key is that which the library for certificates finds, and changed bytes before it have none or
// the same.
func TestAuthorityKey(t *testing.T) {
	for _, der := range authorities(t) {
		certificate, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		key, ok := AuthorityKey(der)
		if !ok || !key.Equal(certificate.PublicKey) {
			t.Fatalf("key %x, %v", key, ok)
		}
		for what, bad := range map[string][]byte{
			"nothing":         nil,
			"a byte more":     append(bytes.Clone(der), 0),
			"a byte less":     der[:len(der)-1],
			"another tag":     append([]byte{0x31}, der[1:]...),
			"a longer size":   append([]byte{0x30, 0x83, 0}, der[2:]...),
			"small order":     bytes.Replace(der, key, make([]byte, 32), 1),
			"a key of x25519": bytes.Replace(der, []byte(ed25519KeyInfo), []byte(ed25519KeyInfo[:8]+"\x6e"+ed25519KeyInfo[9:]), 1),
		} {
			if key, ok := AuthorityKey(bad); ok {
				t.Errorf("%s: key %x", what, key)
			}
		}
	}
}

// FuzzAuthorityKey: where both this and the library for certificates find a key, it is one key.
func FuzzAuthorityKey(f *testing.F) {
	for _, der := range authorities(f) {
		f.Add(der)
		f.Add(der[:120])
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		key, ok := AuthorityKey(der)
		if ok && len(key) != ed25519.PublicKeySize {
			t.Fatalf("a key of %d bytes", len(key))
		}
		certificate, err := x509.ParseCertificate(der)
		if err != nil || !ok {
			return
		}
		if !key.Equal(certificate.PublicKey) {
			t.Fatalf("key %x, the library's %v", key, certificate.PublicKey)
		}
	})
}
