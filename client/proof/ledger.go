package proof

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
)

// Sizes of docs/bytes.md.
const (
	headerVersion    = 2
	headerLen        = 221
	statementVersion = 2
	statementFixed   = 94
	maxOrganisation  = 32
	maxLeaves        = 64
	maxBatch         = 1024
	// EndorsementLifeMs is how far the time of a block may be after the clock of an endorsement that counts in it.
	EndorsementLifeMs = 120_000
	// clockSpreadMs is how far apart the clocks of one batch may be.
	clockSpreadMs = 60_000
)

var errForm = errors.New("it does not have its form")

// Header is a block header; docs/bytes.md, section "Block header".
type Header struct {
	NetworkID    Hash
	Chain        string
	Height       uint64
	TimeMs       int64
	Count        uint32
	SystemHeight uint64
	Sequence     uint64
	ReferenceMs  int64
	// Hash is the block's hash, the leaf hash of the header in the log of its chain.
	Hash Hash

	transactionsRoot Hash
}

func parseHeader(b []byte) (*Header, error) {
	if len(b) != headerLen || b[0] != headerVersion {
		return nil, errForm
	}
	f := fixed{b[1:]}
	h := &Header{NetworkID: f.hash(), Chain: string(f.bytes(len(systemChain))), Height: f.uint64(),
		TimeMs: int64(f.uint64()), Hash: hashOf(byte(0), b)}
	f.hash() // the block below
	h.Count, h.transactionsRoot = f.uint32(), f.hash()
	f.hash() // batches hash
	f.hash() // writes hash
	h.SystemHeight, h.Sequence, h.ReferenceMs = f.uint64(), f.uint64(), int64(f.uint64())
	if !validChain(h.Chain) || h.TimeMs < 0 || h.ReferenceMs < 0 {
		return nil, errForm
	}
	return h, nil
}

// statement is what an organisation signed; docs/bytes.md, section "Endorsement".
type statement struct {
	networkID    Hash
	root         Hash
	leaves       uint32
	systemHeight uint64
	clockMs      int64
	keyID        [8]byte
	organisation string
}

func parseStatement(b []byte) (*statement, error) {
	if len(b) < statementFixed || b[0] != statementVersion {
		return nil, errForm
	}
	f := fixed{b[1:]}
	s := &statement{networkID: f.hash(), root: f.hash(), leaves: f.uint32(), systemHeight: f.uint64(),
		clockMs: int64(f.uint64()), keyID: [8]byte(f.bytes(8))}
	n := int(f.bytes(1)[0])
	s.organisation = string(f.rest)
	if n == 0 || n > maxOrganisation || n != len(f.rest) || s.leaves == 0 || s.leaves > maxLeaves || s.clockMs < 0 {
		return nil, errForm
	}
	return s, nil
}

// leafHash is the hash of the leaf that stands for a batch in the tree of a statement.
func (e *Endorsement) leafHash(chain string, batchRoot Hash, count uint32) Hash {
	return hashOf(byte(0), domainBatchLeaf, chain, batchRoot[:], binary.BigEndian.AppendUint32(nil, count),
		binary.BigEndian.AppendUint64(nil, e.Height), byte(e.Flags), e.Bitmap)
}

// rightBitmap reports whether a bitmap has its one form for so many transactions.
func rightBitmap(bitmap []byte, count uint32) bool {
	if len(bitmap) != int(count+7)/8 {
		return false
	}
	spare := count % 8
	return spare == 0 || bitmap[count/8]<<spare == 0
}

func accepts(bitmap []byte, i uint64) bool {
	return i/8 < uint64(len(bitmap)) && bitmap[i/8]&(0x80>>(i%8)) != 0
}

// outcomeHash is the leaf hash of a transaction under the transactions root of its block.
func outcomeHash(id Hash, code int32, batchRoot Hash) Hash {
	return hashOf(byte(0), id[:], binary.BigEndian.AppendUint32(nil, uint32(code)), batchRoot[:])
}

// fold computes the root of an RFC 6962 tree from a leaf hash and its path; false when the path does not have exactly
// the length that index and size give it.
func fold(leaf Hash, index, size uint64, path []byte) (Hash, bool) {
	if index >= size || len(path)%len(leaf) != 0 || len(path) > 63*len(leaf) {
		return Hash{}, false
	}
	var siblings [][]byte
	for ; len(path) > 0; path = path[len(leaf):] {
		siblings = append(siblings, path[:len(leaf)])
	}
	root, err := proof.RootFromInclusionProof(rfc6962.DefaultHasher, index, size, leaf[:], siblings)
	if err != nil {
		return Hash{}, false
	}
	return Hash(root), true
}

func validSignature(key ed25519.PublicKey, statement, signature []byte) bool {
	return len(key) == ed25519.PublicKeySize &&
		ed25519.Verify(key, append([]byte(domainEndorsement), statement...), signature)
}
