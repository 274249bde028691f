package identity_test

import (
	"os"
	"path/filepath"
	"testing"

	"ltl/internal/identity"
)

// TestByteOrderMarks: a mark that an editor put before the trust file, a certificate or a key does no harm.
func TestByteOrderMarks(t *testing.T) {
	f := start(t)
	for _, name := range []string{"trust.json", "clients/bench/tls.pem", "clients/bench/tls.key"} {
		path := filepath.Join(f.dir, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append([]byte("\ufeff"), raw...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust, err := identity.LoadTrust(filepath.Join(f.dir, "trust.json"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.LoadCredentials(filepath.Join(f.dir, "clients/bench"), trust); err != nil {
		t.Error(err)
	}
}
