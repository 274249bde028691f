package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"

	"ltl/internal/ledger"
)

// ErrSealed is returned, wrapped, for a sealed secret that does not open: another key, another AccessKey, or changed
// bytes.
var ErrSealed = errors.New("sealed AccessKey does not open")

// AccessKeySeal says what a sealed secret is bound to: it opens for nothing else.
type AccessKeySeal struct {
	Network                        ledger.Hash
	Organisation, AccessKeyID, UID string
	// Version is that of the AccessKey when the secret is sealed, AccessKeyInfo.sealed_version afterwards.
	Version uint64
}

func (s AccessKeySeal) data() []byte {
	return ledger.SealedData(s.Network, s.Organisation, s.AccessKeyID, s.UID, s.Version)
}

// Seal encrypts an AccessKey's secret under its organisation's sealing key with AES-256-GCM, in the form that
// ledger.ParseSealed reads. It returns an error for a secret that is too long.
func (s AccessKeySeal) Seal(key []byte, secret string) ([]byte, error) {
	gcm, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	id := ledger.SealKeyID(key)
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("nonce: %w", err)
	}
	sealed := append([]byte{ledger.SealedVersion}, id[:]...)
	sealed = gcm.Seal(append(sealed, nonce...), nonce, []byte(secret), s.data())
	if _, ok := ledger.ParseSealed(sealed); !ok {
		return nil, fmt.Errorf("a sealed secret has at most %d bytes, this one has %d", ledger.MaxSealed, len(sealed))
	}
	return sealed, nil
}

// Open opens what Seal made, with the key whose id it names. at is the index of that key. It returns ErrSealed, wrapped,
// when none of the keys opens it, or it is bound to something else.
func (s AccessKeySeal) Open(keys [][]byte, sealed []byte) (secret string, at int, err error) {
	parts, ok := ledger.ParseSealed(sealed)
	if !ok {
		return "", -1, fmt.Errorf("%w: %d bytes have not the form of one", ErrSealed, len(sealed))
	}
	for i, key := range keys {
		if ledger.SealKeyID(key) != parts.KeyID {
			continue
		}
		gcm, err := newGCM(key)
		if err != nil {
			return "", -1, err
		}
		secret, err := gcm.Open(nil, parts.Nonce, parts.Ciphertext, s.data())
		if err != nil {
			return "", -1, fmt.Errorf("%w: %q is not sealed for account %s of organisation %s, version %d", ErrSealed,
				s.AccessKeyID, s.UID, s.Organisation, s.Version)
		}
		return string(secret), i, nil
	}
	return "", -1, fmt.Errorf("%w: %q is sealed with the sealing key %x, which is not here", ErrSealed, s.AccessKeyID,
		parts.KeyID)
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
