package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
)

// SignNewKey signs, with an organisation's new endorser key, that it takes the place of the key with the id former. So
// no organisation can enter a key that it does not hold.
func SignNewKey(key ed25519.PrivateKey, network Hash, organisation string, former [8]byte) []byte {
	return ed25519.Sign(key, newKeyBytes(network, organisation, former))
}

// VerifyNewKey checks a signature of SignNewKey. It returns ErrSignature when it is wrong.
func VerifyNewKey(key ed25519.PublicKey, signature []byte, network Hash, organisation string, former [8]byte) error {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, newKeyBytes(network, organisation, former), signature) {
		return ErrSignature
	}
	return nil
}

// newKeyBytes is what SignNewKey signs.
func newKeyBytes(network Hash, organisation string, former [8]byte) []byte {
	b := append([]byte(domainNewKey), network[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(organisation)))
	b = append(b, organisation...)
	return append(b, former[:]...)
}
