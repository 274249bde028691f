package ledger

import (
	"crypto/sha256"
	"encoding/binary"
)

// A sealed secret of an AccessKey is its version byte, the sealing key's id, the nonce, and the AES-256-GCM ciphertext.
const (
	// SealedVersion is the first byte.
	SealedVersion = 2
	// SealKeyIDLen and SealNonceLen are the lengths of a sealing key's id and of the nonce, in bytes.
	SealKeyIDLen = 8
	SealNonceLen = 12
	// sealTagLen is the length of what AES-GCM adds to a secret.
	sealTagLen = 16
	// MaxSealed is the length of the longest sealed secret, in bytes.
	MaxSealed = 1024
)

// Sealed is a sealed secret, taken apart. Its fields alias the bytes that it was read from.
type Sealed struct {
	KeyID             [SealKeyIDLen]byte
	Nonce, Ciphertext []byte
}

// ParseSealed takes a sealed secret apart; false for bytes that cannot be one. It verifies nothing.
func ParseSealed(b []byte) (Sealed, bool) {
	const head = 1 + SealKeyIDLen + SealNonceLen
	if len(b) < head+sealTagLen || len(b) > MaxSealed || b[0] != SealedVersion {
		return Sealed{}, false
	}
	return Sealed{[SealKeyIDLen]byte(b[1:]), b[1+SealKeyIDLen : head], b[head:]}, true
}

// SealedCommitment is the commitment of the ledger to a sealed secret.
func SealedCommitment(sealed []byte) Hash {
	h := sha256.New()
	h.Write([]byte("ltl/accesskey/v1\x00"))
	h.Write(sealed)
	return Hash(h.Sum(nil))
}

// SealKeyID is the id of a sealing key; it does not reveal the key.
func SealKeyID(key []byte) [SealKeyIDLen]byte {
	h := sha256.New()
	h.Write([]byte("ltl/sealkey/v1\x00"))
	h.Write(key)
	return [SealKeyIDLen]byte(h.Sum(nil))
}

// SealedData is the additional data of a sealed secret: it opens for no other AccessKey, account, organisation, network
// or version. version is that of the AccessKey when it was sealed.
func SealedData(network Hash, organisation, id, uid string, version uint64) []byte {
	b := append([]byte("ltl/seal/v2\x00"), network[:]...)
	for _, s := range []string{organisation, id, uid} {
		b = appendLong(b, []byte(s))
	}
	return binary.BigEndian.AppendUint64(b, version)
}
