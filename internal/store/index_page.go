package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
)

// Every page of a run file is pageSize bytes: run id (8), page number in the file (4), number of entries (2), kind (1),
// zero (1); the content; CRC-32C over all before it. So a page is good only in its own place of its own file.
const (
	pageHeader   = 16
	pageContent  = pageSize - pageHeader - crcLen
	entryKeyLen  = 20
	entryLen     = entryKeyLen + valueLen
	valueLen     = 16
	pageEntries  = pageContent / entryLen
	pageFilter   = 'f'
	pageData     = 'd'
	pageFooter   = 'e'
	footerMagic  = "LTLRUN01"
	footerLength = 8 + 8 + 4 + 4 + 8 + 8 + 2*entryKeyLen
)

// indexKey is the first 20 bytes of SHA-256 over chain id and key; indexValue is the encoded rules.Locator.
type (
	indexKey   [entryKeyLen]byte
	indexValue [valueLen]byte
)

// entry is one line of the index.
type entry struct {
	key   indexKey
	value indexValue
}

// prefix is the part of a key from which its place in a run is guessed; keys are hashes, so it is uniform.
func (k *indexKey) prefix() uint64 { return binary.BigEndian.Uint64(k[:]) }

// sealPage writes header and checksum of a page whose content is complete.
func sealPage(p []byte, run uint64, number uint32, entries int, kind byte) {
	binary.BigEndian.PutUint64(p, run)
	binary.BigEndian.PutUint32(p[8:], number)
	binary.BigEndian.PutUint16(p[12:], uint16(entries))
	p[14], p[15] = kind, 0
	binary.BigEndian.PutUint32(p[pageSize-crcLen:], crc32.Checksum(p[:pageSize-crcLen], castagnoli))
}

// checkPage verifies a page and returns its number of entries.
func checkPage(p []byte, run uint64, number uint32, kind byte) (int, error) {
	if binary.BigEndian.Uint32(p[pageSize-crcLen:]) != crc32.Checksum(p[:pageSize-crcLen], castagnoli) {
		return 0, fmt.Errorf("%w: checksum of page %d of index run %016x", ErrCorrupt, number, run)
	}
	n := int(binary.BigEndian.Uint16(p[12:]))
	if binary.BigEndian.Uint64(p) != run || binary.BigEndian.Uint32(p[8:]) != number || p[14] != kind || n > pageEntries {
		return 0, fmt.Errorf("%w: page %d of index run %016x belongs elsewhere", ErrCorrupt, number, run)
	}
	return n, nil
}

// entryKey and entryValue slice entry i out of a data page.
func entryKey(p []byte, i int) []byte {
	at := pageHeader + i*entryLen
	return p[at : at+entryKeyLen]
}

func entryValue(p []byte, i int) []byte {
	at := pageHeader + i*entryLen + entryKeyLen
	return p[at : at+valueLen]
}

// searchPage finds the first of n entries that is not below the key.
func searchPage(p []byte, n int, k *indexKey) (int, bool) {
	lo, hi := 0, n
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		switch c := bytes.Compare(entryKey(p, mid), k[:]); {
		case c == 0:
			return mid, true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return lo, false
}

// The filter of a run is a Bloom filter split into pages. A key's page follows from its prefix, so pages fill in the
// order of the keys and a run of any size is written with one page of filter in memory.
const (
	filterBits   = pageContent * 8
	filterHashes = 7
	// filterKeys is the number of keys per filter page: ten bits for each, so that one absent key in a hundred passes.
	filterKeys = filterBits / 10
)

// scale maps a prefix evenly to [0, n).
func scale(prefix uint64, n uint32) uint32 {
	hi, _ := bits.Mul64(prefix, uint64(n))
	return uint32(hi)
}

// filterStep returns the two hashes of double hashing, from bytes of the key that the prefix does not use.
func filterStep(k *indexKey) (at, step uint32) {
	return binary.BigEndian.Uint32(k[8:]), binary.BigEndian.Uint32(k[12:]) | 1
}

func filterAdd(p []byte, k *indexKey) {
	at, step := filterStep(k)
	for range filterHashes {
		bit := at % filterBits
		p[pageHeader+bit/8] |= 1 << (bit % 8)
		at += step
	}
}

func filterHas(p []byte, k *indexKey) bool {
	at, step := filterStep(k)
	for range filterHashes {
		bit := at % filterBits
		if p[pageHeader+bit/8]&(1<<(bit%8)) == 0 {
			return false
		}
		at += step
	}
	return true
}

// footer is the last page of a run. The manifest holds its checksum, so that it names this file and no other.
type footer struct {
	entries     uint64
	dataPages   uint32
	filterPages uint32
	// from and to are the sequence numbers of the blocks whose entries the run holds: [from, to).
	from, to    uint64
	first, last indexKey
}

func (f *footer) pages() uint32 { return f.filterPages + f.dataPages + 1 }

func (f *footer) encode(p []byte) {
	b := append(p[:pageHeader], footerMagic...)
	b = binary.BigEndian.AppendUint64(b, f.entries)
	b = binary.BigEndian.AppendUint32(b, f.dataPages)
	b = binary.BigEndian.AppendUint32(b, f.filterPages)
	b = binary.BigEndian.AppendUint64(b, f.from)
	b = binary.BigEndian.AppendUint64(b, f.to)
	b = append(b, f.first[:]...)
	_ = append(b, f.last[:]...)
}

// parseFooter reads the footer of a file of so many pages; the page's checksum was good.
func parseFooter(p []byte, pages uint32) (footer, error) {
	b := p[pageHeader : pageHeader+footerLength]
	var f footer
	f.entries = binary.BigEndian.Uint64(b[8:])
	f.dataPages = binary.BigEndian.Uint32(b[16:])
	f.filterPages = binary.BigEndian.Uint32(b[20:])
	f.from = binary.BigEndian.Uint64(b[24:])
	f.to = binary.BigEndian.Uint64(b[32:])
	f.first = indexKey(b[40:])
	f.last = indexKey(b[40+entryKeyLen:])
	total := uint64(f.dataPages) + uint64(f.filterPages) + 1
	if string(b[:8]) != footerMagic || total != uint64(pages) || f.dataPages == 0 || f.filterPages == 0 ||
		f.entries == 0 || f.from > f.to ||
		f.entries > uint64(f.dataPages)*pageEntries || f.entries <= uint64(f.dataPages-1)*pageEntries ||
		bytes.Compare(f.first[:], f.last[:]) > 0 {
		return footer{}, fmt.Errorf("%w: footer of an index run", ErrCorrupt)
	}
	return f, nil
}
