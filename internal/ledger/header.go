package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// HeaderLen is the length of an encoded block header in bytes.
const HeaderLen = 1 + 32 + ChainIDLen + 8 + 8 + 32 + 4 + 32 + 32 + 32 + 8 + 8 + 8

const headerVersion = 2

// Header is a block header. Encode returns its fixed big-endian layout; see docs/bytes.md, section "Block header".
type Header struct {
	NetworkID Hash
	ChainID   string
	// Height counts the blocks of the chain from 0, without gaps. Block 0 of a business chain holds no transaction.
	Height uint64
	// TimeMs is the block's time in milliseconds since 1970: the latest that its batches give it by the clocks of their
	// endorsements, or that of the block below, whichever is later.
	TimeMs int64
	// Previous is the hash of the block below; zero at height 0.
	Previous Hash
	// Count is the number of transactions.
	Count uint32
	// TxRoot is TransactionsRoot over the block's outcomes.
	TxRoot Hash
	// BatchesHash covers the endorsed batches.
	BatchesHash Hash
	// WritesHash covers the changes of state.
	WritesHash Hash
	// SystemHeight is the height of the system chain whose state was in force: keys, policies and accounts are those of
	// it. On the system chain itself it is the block's own height.
	SystemHeight uint64
	// Sequence is the number of blocks, over all chains, that were executed before this one.
	Sequence uint64
	// ReferenceMs is the network's reference time in milliseconds since 1970; it never goes backwards from one sequence
	// number to the next.
	ReferenceMs int64
}

// Encode returns the HeaderLen bytes of h. ChainID must be valid.
func (h *Header) Encode() []byte {
	b := make([]byte, 0, HeaderLen)
	b = append(b, headerVersion)
	b = append(b, h.NetworkID[:]...)
	b = append(b, h.ChainID...)
	b = binary.BigEndian.AppendUint64(b, h.Height)
	b = binary.BigEndian.AppendUint64(b, uint64(h.TimeMs))
	b = append(b, h.Previous[:]...)
	b = binary.BigEndian.AppendUint32(b, h.Count)
	b = append(b, h.TxRoot[:]...)
	b = append(b, h.BatchesHash[:]...)
	b = append(b, h.WritesHash[:]...)
	b = binary.BigEndian.AppendUint64(b, h.SystemHeight)
	b = binary.BigEndian.AppendUint64(b, h.Sequence)
	return binary.BigEndian.AppendUint64(b, uint64(h.ReferenceMs))
}

// ParseHeader reads an encoded header. It returns ErrMalformed, wrapped, for any other length, version or chain id.
func ParseHeader(b []byte) (Header, error) {
	if len(b) != HeaderLen {
		return Header{}, fmt.Errorf("%w: block header of %d bytes, want %d", ErrMalformed, len(b), HeaderLen)
	}
	if b[0] != headerVersion {
		return Header{}, fmt.Errorf("%w: block header version %d, want %d", ErrMalformed, b[0], headerVersion)
	}
	var h Header
	b = b[1:]
	take := func(n int) []byte {
		v := b[:n]
		b = b[n:]
		return v
	}
	h.NetworkID = Hash(take(32))
	h.ChainID = string(take(ChainIDLen))
	h.Height = binary.BigEndian.Uint64(take(8))
	h.TimeMs = int64(binary.BigEndian.Uint64(take(8)))
	h.Previous = Hash(take(32))
	h.Count = binary.BigEndian.Uint32(take(4))
	h.TxRoot = Hash(take(32))
	h.BatchesHash = Hash(take(32))
	h.WritesHash = Hash(take(32))
	h.SystemHeight = binary.BigEndian.Uint64(take(8))
	h.Sequence = binary.BigEndian.Uint64(take(8))
	h.ReferenceMs = int64(binary.BigEndian.Uint64(take(8)))
	if !ValidChainID(h.ChainID) {
		return Header{}, fmt.Errorf("%w: chain id %q in a block header", ErrMalformed, h.ChainID)
	}
	if h.TimeMs < 0 || h.ReferenceMs < 0 {
		return Header{}, fmt.Errorf("%w: negative time in a block header", ErrMalformed)
	}
	return h, nil
}

// BlockHash is SHA-256(00 ‖ header). It is also the RFC 6962 leaf hash in the log of the chain's headers.
func BlockHash(header []byte) Hash {
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(header)
	return Hash(h.Sum(nil))
}
