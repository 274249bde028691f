package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
)

// Recovery is what an organisation's recovery key signs in order to give the organisation another endorser key or
// another certificate authority.
type Recovery struct {
	Network      Hash
	Organisation string
	// Number is that of the signature, counted from 1 over all that the organisation's recovery keys signed. So none
	// counts twice.
	Number uint32
	// EndorserKey is the new endorser key, Authority the DER of the new certificate authority; empty for none.
	EndorserKey, Authority []byte
	// RetireAuthorities is set when the organisation's other authorities are retired.
	RetireAuthorities bool
}

// Sign signs the recovery.
func (r *Recovery) Sign(key ed25519.PrivateKey) []byte { return ed25519.Sign(key, r.bytes()) }

// Verify checks a signature of Sign. It returns ErrSignature when it is wrong.
func (r *Recovery) Verify(key ed25519.PublicKey, signature []byte) error {
	return verifyText(key, r.bytes(), signature)
}

func (r *Recovery) bytes() []byte {
	b := append([]byte(domainRecover), r.Network[:]...)
	b = appendLong(b, []byte(r.Organisation))
	b = binary.BigEndian.AppendUint32(b, r.Number)
	b = appendLong(b, r.EndorserKey)
	b = appendLong(b, r.Authority)
	if r.RetireAuthorities {
		return append(b, 1)
	}
	return append(b, 0)
}

// SignNewRecoveryKey signs, with an organisation's recovery key, that another one takes its place. number is that of
// the signature, as in Recovery.
func SignNewRecoveryKey(key ed25519.PrivateKey, network Hash, organisation string, number uint32, fresh []byte) []byte {
	return ed25519.Sign(key, newRecoveryKeyBytes(network, organisation, number, fresh))
}

// VerifyNewRecoveryKey checks a signature of SignNewRecoveryKey. It returns ErrSignature when it is wrong.
func VerifyNewRecoveryKey(key ed25519.PublicKey, signature []byte, network Hash, organisation string, number uint32,
	fresh []byte) error {
	return verifyText(key, newRecoveryKeyBytes(network, organisation, number, fresh), signature)
}

func newRecoveryKeyBytes(network Hash, organisation string, number uint32, fresh []byte) []byte {
	b := append([]byte(domainNewRecoveryKey), network[:]...)
	b = appendLong(b, []byte(organisation))
	b = binary.BigEndian.AppendUint32(b, number)
	return append(b, fresh...)
}

func appendLong(b, v []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

func verifyText(key ed25519.PublicKey, text, signature []byte) error {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, text, signature) {
		return ErrSignature
	}
	return nil
}
