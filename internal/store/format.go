package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/verify"
)

// Buckets. The blocks and the state of a chain have a bucket each, named by a prefix and the chain's id.
const (
	bucketMeta        = "meta"
	bucketSequence    = "sequence"
	bucketJournal     = "journal"
	bucketKeys        = "keys"
	bucketKeyVersions = "keyversions"
	bucketOpenings    = "openings"
	bucketLacking     = "lacking"
	prefixBlocks      = "blocks/"
	prefixState       = "state/"

	keyHead     = "head"
	keyManifest = "manifest"
)

// Places are part of the checksums, so that a value is valid only at the place where it was written.
const (
	placeHead       = 'h'
	placeManifest   = 'm'
	placeSequence   = 'q'
	placeJournal    = 'j'
	placeBlock      = 'b'
	placeState      = 's'
	placeKey        = 'a'
	placeKeyVersion = 'v'
	placeOpenings   = 'o'
	placeLacking    = 'l'
)

const crcLen = 4

// castagnoli is the table of CRC-32C, which processors compute in hardware. It is never changed.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum binds a value to its place, chain and key.
func checksum(place byte, chainID string, key, value []byte) uint32 {
	var scratch [64]byte
	b := append(scratch[:0], place, byte(len(chainID)))
	b = append(b, chainID...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	sum := crc32.Update(0, castagnoli, b)
	sum = crc32.Update(sum, castagnoli, key)
	return crc32.Update(sum, castagnoli, value)
}

// seal returns the value followed by its checksum.
func seal(place byte, chainID string, key, value []byte) []byte {
	b := make([]byte, 0, len(value)+crcLen)
	b = append(b, value...)
	return binary.BigEndian.AppendUint32(b, checksum(place, chainID, key, value))
}

// unseal checks and removes the checksum. The result aliases sealed.
func unseal(place byte, chainID string, key, sealed []byte) ([]byte, error) {
	n := len(sealed) - crcLen
	if n < 0 || binary.BigEndian.Uint32(sealed[n:]) != checksum(place, chainID, key, sealed[:n]) {
		return nil, fmt.Errorf("%w: checksum of %c %q %q", ErrCorrupt, place, chainID, key)
	}
	return sealed[:n:n], nil
}

// digest is the sum modulo 2^256 of the hashes of all items that must be stored. It does not depend on their order; a
// lost or changed item changes it.
type digest [4]uint64

// item hashes one key and value; the lengths make the encoding unambiguous.
func item(chainID string, key, value []byte) digest {
	var scratch [512]byte
	b := append(scratch[:0], byte(len(chainID)))
	b = append(b, chainID...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(key)))
	b = append(b, key...)
	b = append(b, value...)
	return parseDigest(sha256.Sum256(b))
}

func parseDigest(h [32]byte) digest {
	var d digest
	for i := range d {
		d[i] = binary.BigEndian.Uint64(h[8*i:])
	}
	return d
}

func (d *digest) add(o digest) {
	var carry uint64
	for i := 3; i >= 0; i-- {
		d[i], carry = bits.Add64(d[i], o[i], carry)
	}
}

func (d *digest) sub(o digest) {
	var borrow uint64
	for i := 3; i >= 0; i-- {
		d[i], borrow = bits.Sub64(d[i], o[i], borrow)
	}
}

// head is the one record that every commit rewrites.
type head struct {
	network    ledger.Hash
	sequence   uint64
	applied    uint64
	keyVersion uint64
	// reference is the network's reference time in the newest block, in milliseconds; corrected is the newest correction
	// of the network's time.
	reference int64
	corrected rules.TimeCorrection
	// openings is where the next opening is written. Those of all blocks before the sequence number durable have been
	// synced.
	openings position
	durable  uint64
	// state covers all ordinary state and all AccessKeys.
	state digest
}

const headLen = 4 + 32 + 8*8 + 32

// log is what the blocks executed so far leave behind.
func (h *head) log() verify.Log {
	return verify.Log{Sequence: h.sequence, ReferenceMs: h.reference, Corrected: h.corrected}
}

func (h *head) encode() []byte {
	b := make([]byte, 0, headLen+crcLen)
	b = binary.BigEndian.AppendUint32(b, formatVersion)
	b = append(b, h.network[:]...)
	b = binary.BigEndian.AppendUint64(b, h.sequence)
	b = binary.BigEndian.AppendUint64(b, h.applied)
	b = binary.BigEndian.AppendUint64(b, h.keyVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(h.reference))
	b = binary.BigEndian.AppendUint64(b, h.corrected.Height)
	b = binary.BigEndian.AppendUint64(b, uint64(h.corrected.ToMs))
	b = binary.BigEndian.AppendUint32(b, h.openings.segment)
	b = binary.BigEndian.AppendUint32(b, h.openings.offset)
	b = binary.BigEndian.AppendUint64(b, h.durable)
	for _, w := range h.state {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	return seal(placeHead, "", []byte(keyHead), b)
}

func parseHead(sealed []byte) (head, error) {
	b, err := unseal(placeHead, "", []byte(keyHead), sealed)
	if err != nil {
		return head{}, err
	}
	if len(b) >= 4 {
		if v := binary.BigEndian.Uint32(b); v != formatVersion {
			return head{}, fmt.Errorf("%w: it has format %d, this program reads %d", ErrOtherFormat, v, formatVersion)
		}
	}
	if len(b) != headLen {
		return head{}, fmt.Errorf("%w: head record of %d bytes", ErrCorrupt, len(b))
	}
	var h head
	h.network = ledger.Hash(b[4:36])
	h.sequence = binary.BigEndian.Uint64(b[36:])
	h.applied = binary.BigEndian.Uint64(b[44:])
	h.keyVersion = binary.BigEndian.Uint64(b[52:])
	h.reference = int64(binary.BigEndian.Uint64(b[60:]))
	h.corrected.Height = binary.BigEndian.Uint64(b[68:])
	h.corrected.ToMs = int64(binary.BigEndian.Uint64(b[76:]))
	h.openings = position{binary.BigEndian.Uint32(b[84:]), binary.BigEndian.Uint32(b[88:])}
	h.durable = binary.BigEndian.Uint64(b[92:])
	h.state = parseDigest([32]byte(b[100:132]))
	return h, nil
}

func key64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func partKey(n uint64, part int) []byte {
	b := make([]byte, 0, partKeyLen)
	b = binary.BigEndian.AppendUint64(b, n)
	return binary.BigEndian.AppendUint16(b, uint16(part))
}

// place is the block that a sequence number points to.
type place struct {
	chainID string
	height  uint64
}

func (p place) encode(sequence []byte) []byte {
	b := make([]byte, 0, ledger.ChainIDLen+8)
	b = append(b, p.chainID...)
	b = binary.BigEndian.AppendUint64(b, p.height)
	return seal(placeSequence, "", sequence, b)
}

func parsePlace(sequence, sealed []byte) (place, error) {
	b, err := unseal(placeSequence, "", sequence, sealed)
	if err != nil {
		return place{}, err
	}
	if len(b) != ledger.ChainIDLen+8 || !ledger.ValidChainID(string(b[:ledger.ChainIDLen])) {
		return place{}, fmt.Errorf("%w: sequence record of %d bytes", ErrCorrupt, len(b))
	}
	return place{chainID: string(b[:ledger.ChainIDLen]), height: binary.BigEndian.Uint64(b[ledger.ChainIDLen:])}, nil
}
