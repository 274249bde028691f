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

// signKeyPattern matches the signing keys after the first. An endorser's signing keys are in the directory of its
// certificate: sign.key, the first one, and sign-ID.key for each that a rotation made, where ID is the id of the key
// in hexadecimal digits, as in endorsement statements.
const signKeyPattern = "sign-*.key"

// SignKeys reads all signing keys in the directory of the certificate; there may be none.
func (c *Credentials) SignKeys() ([]ed25519.PrivateKey, error) { return SignKeysIn(c.dir) }

// SignKeysIn reads all signing keys in a directory; there may be none.
func SignKeysIn(dir string) ([]ed25519.PrivateKey, error) {
	paths, err := filepath.Glob(filepath.Join(dir, signKeyPattern))
	if err != nil {
		return nil, fmt.Errorf("signing keys: %w", err)
	}
	if hasFirstSignKey(dir) {
		paths = append([]string{filepath.Join(dir, signKeyFile)}, paths...)
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

// HasFirstSignKey reports whether there is a sign.key in the directory of the certificate.
func (c *Credentials) HasFirstSignKey() bool { return hasFirstSignKey(c.dir) }

func hasFirstSignKey(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, signKeyFile))
	return err == nil
}

// CreateFirstSignKey makes sign.key, with which a node or an endorser signs, in the directory of its certificate,
// which must not have one yet.
func CreateFirstSignKey(dir string) (ed25519.PublicKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return public, writeKey(filepath.Join(dir, signKeyFile), key)
}

// CreateSignKey makes one more signing key in an endorser's directory and returns it.
func CreateSignKey(dir string) (ed25519.PrivateKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	id := ledger.KeyID(public)
	path := filepath.Join(dir, "sign-"+hex.EncodeToString(id[:])+".key")
	if err := writeKey(path, key); err != nil {
		return nil, err
	}
	return key, syncDir(dir)
}
