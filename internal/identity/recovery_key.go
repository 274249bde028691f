package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
)

// CreateRecoveryKey makes an organisation's recovery key in a file of its own, which must not exist yet, and returns
// its public part. The file is meant to be taken off the machine.
func CreateRecoveryKey(path string) (ed25519.PublicKey, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return public, writeKey(path, key)
}
