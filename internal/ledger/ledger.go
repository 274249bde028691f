// Package ledger defines the bytes of a chain: how transactions, batches, endorsements, writes and block headers are
// hashed and signed. docs/bytes.md specifies the same for independent verifiers.
//
// Everything here is pure: no clock, no randomness, no I/O, no state. All functions may be called concurrently.
// Hashes cover the bytes that were sent; nothing is encoded again in order to be checked.
package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"

	ltlv1 "ltl/proto/ltl/v1"
)

// Hash is a SHA-256 value.
type Hash [sha256.Size]byte

// SystemChain is the identifier of the chain that holds organisations, nodes, accounts and chains.
const SystemChain = "0000000000000000"

// ChainIDLen is the length of a chain identifier in bytes; each is a decimal digit.
const ChainIDLen = 16

// Domain prefixes of everything that is hashed or signed; each ends in a zero byte.
const (
	domainTransaction    = "ltl/tx/v1\x00"
	domainGenesis        = "ltl/genesis/v1\x00"
	domainBatch          = "ltl/batch/v1\x00"
	domainBatches        = "ltl/batches/v1\x00"
	domainWrites         = "ltl/writes/v1\x00"
	domainEndorsement    = "ltl/endorsement/v2\x00"
	domainBatchLeaf      = "ltl/batchleaf/v2\x00"
	domainKey            = "ltl/key/v1\x00"
	domainNewKey         = "ltl/newkey/v1\x00"
	domainAuthority      = "ltl/newauthority/v1\x00"
	domainNewNode        = "ltl/newnode/v1\x00"
	domainAccept         = "ltl/accept/v1\x00"
	domainRecover        = "ltl/recover/v1\x00"
	domainNewRecoveryKey = "ltl/newrecovery/v1\x00"
	domainDeviceKey      = "ltl/devicekey/v1\x00"
	domainHeads          = "ltl/heads/v1\x00"
	domainSucceed        = "ltl/succeed/v1\x00"
	domainValue          = "ltl/value/v1\x00"
)

// ErrMalformed is returned, wrapped, for bytes that do not follow the layout.
var ErrMalformed = errors.New("malformed")

// TransactionID is SHA-256 over the domain prefix and the payload bytes; the API calls it transactionHash.
func TransactionID(payload []byte) Hash { return sum(domainTransaction, payload) }

// NetworkID is the id of a network: a hash of the payload of its genesis transaction.
func NetworkID(genesisPayload []byte) Hash { return sum(domainGenesis, genesisPayload) }

// KeyID returns the id of an Ed25519 public key: the first 8 bytes of its hash.
func KeyID(publicKey []byte) [8]byte {
	h := sum(domainKey, publicKey)
	return [8]byte(h[:8])
}

// DataHash is the SHA-256 of the UTF-8 bytes of a stored value, without a prefix, so that it can be recomputed with
// any tool.
func DataHash(value string) Hash { return sha256.Sum256([]byte(value)) }

// BatchRoot is the RFC 6962 root over the transaction ids of a batch.
func BatchRoot(ids []Hash) Hash {
	return merkleRoot(len(ids), func(i int, leaf []byte) []byte { return append(leaf, ids[i][:]...) })
}

// Outcome is a transaction with its result: a leaf under a block's transaction root.
type Outcome struct {
	ID        Hash
	Code      int32
	BatchRoot Hash
}

// OutcomeLeaf is the content of a transaction's leaf: id, result code (big-endian two's complement), batch root; 68
// bytes.
func OutcomeLeaf(dst []byte, o Outcome) []byte {
	dst = append(dst, o.ID[:]...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(o.Code))
	return append(dst, o.BatchRoot[:]...)
}

// TransactionsRoot is the RFC 6962 root over the outcomes of a block's transactions, in their order.
func TransactionsRoot(outcomes []Outcome) Hash {
	return merkleRoot(len(outcomes), func(i int, leaf []byte) []byte { return OutcomeLeaf(leaf, outcomes[i]) })
}

// merkleRoot is the RFC 6962 root of n leaves; leaf appends the content of leaf i to a scratch slice and returns it.
//
// It is computed here and not by the library that makes proofs, because every record is hashed by it twice on every
// node and endorser: a fixed stack saves a third of the time of executing a block (rules, BenchmarkExecute). A test
// compares it with the library.
func merkleRoot(n int, leaf func(i int, dst []byte) []byte) Hash {
	if n == 0 {
		return sha256.Sum256(nil)
	}
	// subtrees are the complete subtrees without a right neighbour so far, the largest first. Bit k of the number of
	// leaves says whether there is one of 2^k leaves, so 64 are enough for any n.
	var subtrees [64]Hash
	depth := 0
	join := func() {
		var node [1 + 2*sha256.Size]byte
		node[0] = nodePrefix
		copy(node[1:], subtrees[depth-2][:])
		copy(node[1+sha256.Size:], subtrees[depth-1][:])
		depth--
		subtrees[depth-1] = sha256.Sum256(node[:])
	}
	scratch := make([]byte, 0, 128)
	for i := range n {
		scratch = leaf(i, append(scratch[:0], leafPrefix))
		subtrees[depth] = sha256.Sum256(scratch)
		depth++
		for size := i + 1; size%2 == 0; size /= 2 {
			join()
		}
	}
	for depth > 1 {
		join()
	}
	return subtrees[0]
}

// BatchHash covers a batch as it was ordered: its root, its size, and every endorsement with its signature.
func BatchHash(root Hash, count int, endorsements []*ltlv1.Endorsement) Hash {
	h := newHash(domainBatch)
	h.Write(root[:])
	writeUint32(h, count)
	writeUint32(h, len(endorsements))
	for _, e := range endorsements {
		writeBytes(h, e.GetStatement())
		writeBytes(h, e.GetSignature())
		writeUint32(h, int(e.GetIndex()))
		writeBytes(h, e.GetPath())
		writeUint64(h, e.GetHeight())
		writeUint32(h, int(e.GetFlags()))
		writeBytes(h, e.GetBitmap())
	}
	return Hash(h.Sum(nil))
}

// BatchesHash covers a block's batches in their order.
func BatchesHash(batches []Hash) Hash {
	h := newHash(domainBatches)
	writeUint32(h, len(batches))
	for _, b := range batches {
		h.Write(b[:])
	}
	return Hash(h.Sum(nil))
}

// Write is one change of state: the key and its new value.
type Write struct{ Key, Value []byte }

// WriteLeaf is the content of a write's leaf: key and value, each after its length.
func WriteLeaf(dst []byte, w Write) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(w.Key)))
	dst = append(dst, w.Key...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(w.Value)))
	return append(dst, w.Value...)
}

// WritesHash covers the state changes of a block: each key once, in the order in which it was first written, with its
// final value. It binds their number to the RFC 6962 root over them, so that a single write can be proved.
func WritesHash(writes []Write) Hash {
	root := merkleRoot(len(writes), func(i int, leaf []byte) []byte { return WriteLeaf(leaf, writes[i]) })
	h := newHash(domainWrites)
	writeUint32(h, len(writes))
	h.Write(root[:])
	return Hash(h.Sum(nil))
}

// ValidChainID reports whether id is 16 decimal digits.
func ValidChainID(id string) bool {
	if len(id) != ChainIDLen {
		return false
	}
	for i := range len(id) {
		if id[i] < '0' || id[i] > '9' {
			return false
		}
	}
	return true
}

// ValidID reports whether s is 1 to limit characters of a-z, 0-9 and "-": the form of the ids of organisations and
// nodes.
func ValidID(s string, limit int) bool {
	if s == "" || len(s) > limit {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func sum(domain string, b []byte) Hash {
	var scratch [1024]byte // most payloads fit: no allocation
	return sha256.Sum256(append(append(scratch[:0], domain...), b...))
}

func newHash(domain string) hash.Hash {
	h := sha256.New()
	h.Write([]byte(domain))
	return h
}

// writeUint32 hashes a length. Lengths are bounded far below 2^32 before anything is hashed.
func writeUint32(h hash.Hash, n int) {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	h.Write(b[:])
}

func writeUint64(h hash.Hash, n uint64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	h.Write(b[:])
}

func writeBytes(h hash.Hash, b []byte) {
	writeUint32(h, len(b))
	h.Write(b)
}
