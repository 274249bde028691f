// Package proof reads certificates of records and verifies them offline, against a network's trust file and nothing
// else. docs/evidence.md specifies the files and the order of the checks.
//
// The package imports neither the network nor the rest of this module, so that a program can verify without becoming
// part of a network. It has no state and no clock. All functions may be called concurrently.
package proof

import (
	"crypto/sha256"
	"encoding/binary"
)

// Hash is a SHA-256 value.
type Hash [sha256.Size]byte

// Domain prefixes of docs/bytes.md.
const (
	domainTransaction = "ltl/tx/v1\x00"
	domainGenesis     = "ltl/genesis/v1\x00"
	domainEndorsement = "ltl/endorsement/v2\x00"
	domainBatchLeaf   = "ltl/batchleaf/v2\x00"
	domainKey         = "ltl/key/v1\x00"
)

// systemChain is the identifier of the chain that holds organisations, nodes, accounts and chains.
const systemChain = "0000000000000000"

// resultOK is the code of a transaction that was executed with success.
const resultOK = 200

// TransactionID is the id of a transaction with these payload bytes; the LTL API calls it transactionHash.
func TransactionID(payload []byte) Hash { return hashOf(domainTransaction, payload) }

// keyID is the id of an Ed25519 public key.
func keyID(public []byte) [8]byte {
	h := hashOf(domainKey, public)
	return [8]byte(h[:8])
}

func hashOf(parts ...any) Hash {
	h := sha256.New()
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			h.Write([]byte(p))
		case []byte:
			h.Write(p)
		case byte:
			h.Write([]byte{p})
		case uint32:
			h.Write(binary.BigEndian.AppendUint32(nil, p))
		}
	}
	return Hash(h.Sum(nil))
}

// fixed reads the fixed layouts of docs/bytes.md. The caller has checked the length.
type fixed struct{ rest []byte }

func (f *fixed) bytes(n int) []byte {
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fixed) hash() Hash     { return Hash(f.bytes(sha256.Size)) }
func (f *fixed) uint32() uint32 { return binary.BigEndian.Uint32(f.bytes(4)) }
func (f *fixed) uint64() uint64 { return binary.BigEndian.Uint64(f.bytes(8)) }
