package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// ErrSealed is returned, wrapped, for a sealed secret that does not open: another key, another AccessKey, or changed
// bytes.
var ErrSealed = errors.New("sealed AccessKey does not open")

// Seal encrypts an AccessKey's secret under the facades' key with AES-256-GCM: a random nonce of 12 bytes, then the
// ciphertext. accessKeyID is bound to it, so that the secret of one AccessKey cannot be stored under another.
func Seal(key []byte, accessKeyID, secret string) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	return gcm.Seal(nonce, nonce, []byte(secret), []byte(accessKeyID)), nil
}

// Unseal opens what Seal made for the same accessKeyID. It returns ErrSealed, wrapped, for anything else.
func Unseal(key []byte, accessKeyID string, sealed []byte) (string, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return "", err
	}
	if len(sealed) < gcm.NonceSize() {
		return "", fmt.Errorf("%w: %d bytes", ErrSealed, len(sealed))
	}
	nonce, ciphertext := sealed[:gcm.NonceSize()], sealed[gcm.NonceSize():]
	secret, err := gcm.Open(nil, nonce, ciphertext, []byte(accessKeyID))
	if err != nil {
		return "", fmt.Errorf("%w: AccessKey %q", ErrSealed, accessKeyID)
	}
	return string(secret), nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	if len(key) != SealingKeyLen {
		return nil, fmt.Errorf("%w: sealing key of %d bytes, want %d", ErrKeyFile, len(key), SealingKeyLen)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return gcm, nil
}
