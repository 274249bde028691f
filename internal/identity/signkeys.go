package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"ltl/internal/ledger"
)

// An endorser's signing keys lie beside its certificate: sign.key, the first one, and sign-ID.key for each that a rotation made, where ID
// is the id of the key in hexadecimal digits, as in endorsement statements.
const signKeyPattern = "sign-*.key"

// SignKeys reads all signing keys beside the certificate. A directory without any gives none.
func (c *Credentials) SignKeys() ([]ed25519.PrivateKey, error) {
	paths, err := filepath.Glob(filepath.Join(c.dir, signKeyPattern))
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if c.HasFirstSignKey() {
		paths = append([]string{filepath.Join(c.dir, signKeyFile)}, paths...)
	}
	var keys []ed25519.PrivateKey
	for _, path := range paths {
		key, err := LoadKey(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// HasFirstSignKey reports whether there is a sign.key beside the certificate.
func (c *Credentials) HasFirstSignKey() bool {
	_, err := os.Stat(filepath.Join(c.dir, signKeyFile))
	return err == nil
}

// CreateSignKey makes one more signing key in an endorser's directory and returns its public key and where it is.
func CreateSignKey(dir string) (ed25519.PublicKey, string, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, "", fmt.Errorf("generate key: %w", err)
	}
	id := ledger.KeyID(public)
	path := filepath.Join(dir, "sign-"+hex.EncodeToString(id[:])+".key")
	if err := writeKey(path, key); err != nil {
		return nil, "", err
	}
	return public, path, syncDir(dir)
}
