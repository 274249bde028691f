package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
)

// SignAcceptance signs, with an invited organisation's endorser key, that it accepts the invitation that lapses at the
// block time lapsesMs. So an organisation is a member by the will of who holds its key, and each invitation is accepted by a signature of its own.
func SignAcceptance(key ed25519.PrivateKey, network Hash, organisation string, lapsesMs int64) []byte {
	return ed25519.Sign(key, acceptanceBytes(network, organisation, lapsesMs))
}

// VerifyAcceptance checks a signature of SignAcceptance. It returns ErrSignature when it is wrong.
func VerifyAcceptance(key ed25519.PublicKey, signature []byte, network Hash, organisation string, lapsesMs int64) error {
	return verifyText(key, acceptanceBytes(network, organisation, lapsesMs), signature)
}

func acceptanceBytes(network Hash, organisation string, lapsesMs int64) []byte {
	b := append([]byte(domainAccept), network[:]...)
	b = appendLong(b, []byte(organisation))
	return binary.BigEndian.AppendUint64(b, uint64(lapsesMs))
}
