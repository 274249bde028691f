package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
)

// Head is the newest block of a chain.
type Head struct {
	ChainID string
	Height  uint64
	Hash    Hash
}

// HeadsHash is the hash over the newest blocks of all chains, in ascending order of their ids. With the hashes below
// them it fixes every block of a ledger.
func HeadsHash(heads []Head) Hash {
	root := merkleRoot(len(heads), func(i int, leaf []byte) []byte {
		leaf = append(leaf, heads[i].ChainID...)
		leaf = binary.BigEndian.AppendUint64(leaf, heads[i].Height)
		return append(leaf, heads[i].Hash[:]...)
	})
	return sum(domainHeads, append(binary.BigEndian.AppendUint32(nil, uint32(len(heads))), root[:]...))
}

// Succession is what an organisation signs, with a key from a network whose majority is silent for good, in order to go
// on in a new network.
type Succession struct {
	// Predecessor is the network that is continued.
	Predecessor  Hash
	Organisation string
	// Genesis is the payload of the new network's genesis transaction, without the signatures of successions.
	Genesis []byte
}

// Sign signs the succession.
func (s *Succession) Sign(key ed25519.PrivateKey) []byte { return ed25519.Sign(key, s.bytes()) }

// Verify checks a signature of Sign. It returns ErrSignature when it is wrong.
func (s *Succession) Verify(key ed25519.PublicKey, signature []byte) error {
	return verifyText(key, s.bytes(), signature)
}

func (s *Succession) bytes() []byte {
	b := append([]byte(domainSucceed), s.Predecessor[:]...)
	b = appendLong(b, []byte(s.Organisation))
	return appendLong(b, s.Genesis)
}
