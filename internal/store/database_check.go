package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
	"syscall"
)

// The parts of bbolt's format that must be right before bbolt may read them. bbolt trusts its pages: a wrong page
// number makes it loop, panic in a goroutine where no recover is possible, or silently use the meta page of the commit
// before.
const (
	boltMagic       = 0xED0CDAED
	boltVersion     = 2
	boltBranch      = 0x01
	boltLeaf        = 0x02
	boltBucketFlag  = 0x01
	boltMetaLen     = 64
	boltNoFreelist  = ^uint64(0)
	boltHeader      = 16
	boltElement     = 16
	boltBucketLen   = 16
	maxBucketDepth  = 2 // the root bucket and the buckets in it
	maxBranchLevels = 32
)

// boltChecker walks the pages of a database file and checks that every page is reached once at most, that it is of the
// kind that its parent says, and that its keys are in order.
type boltChecker struct {
	data    []byte
	pages   uint64 // pages in use
	reached []uint64
}

// CheckDatabase checks the structure of a database file that no process has open. Both meta pages must be good and one
// commit apart: bbolt writes them in turn, each within one sector, so a bad one is damage and not the effect of a
// crash, and using the other would lose a commit. An error wraps ErrCorrupt, or is that of opening the file.
func CheckDatabase(path string) error {
	return catchFault(func() error { return withPages(path, checkPages) })
}

// checkMetas checks the two meta pages alone, without the tree.
func checkMetas(path string) error {
	return withPages(path, func(data []byte) error { _, err := newestMeta(data); return err })
}

// withPages maps a database file for fn.
func withPages(path string, fn func(data []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	defer f.Close() // only read from
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open database: %w", err)
	}
	if st.Size() < 2*pageSize {
		return fmt.Errorf("%w: database of %d bytes", ErrCorrupt, st.Size())
	}
	data, err := syscall.Mmap(int(f.Fd()), 0, int(st.Size()), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map database: %w", err)
	}
	defer func() { _ = syscall.Munmap(data) }()
	return fn(data)
}

func boltCorrupt(page uint64, format string, args ...any) error {
	return fmt.Errorf("%w: database page %d: %s", ErrCorrupt, page, fmt.Sprintf(format, args...))
}

// boltMeta is the part of a meta page that the check needs.
type boltMeta struct{ root, pages, txid uint64 }

func parseMeta(data []byte, page uint64) (boltMeta, error) {
	b := data[page*pageSize+boltHeader:][:boltMetaLen]
	sum := fnv.New64a()
	sum.Write(b[:boltMetaLen-8])
	n := binary.NativeEndian
	if n.Uint32(b) != boltMagic || n.Uint32(b[4:]) != boltVersion || n.Uint32(b[8:]) != pageSize ||
		n.Uint64(b[56:]) != sum.Sum64() {
		return boltMeta{}, boltCorrupt(page, "meta page fails its checksum")
	}
	m := boltMeta{root: n.Uint64(b[16:]), pages: n.Uint64(b[40:]), txid: n.Uint64(b[48:])}
	if n.Uint64(b[32:]) != boltNoFreelist && m.txid > 1 {
		return boltMeta{}, boltCorrupt(page, "it has a stored free list")
	}
	if m.txid%2 != page {
		return boltMeta{}, boltCorrupt(page, "meta page of commit %d", m.txid)
	}
	return m, nil
}

// newestMeta checks both meta pages and returns the newer one.
func newestMeta(data []byte) (boltMeta, error) {
	m0, err := parseMeta(data, 0)
	if err != nil {
		return boltMeta{}, err
	}
	m1, err := parseMeta(data, 1)
	if err != nil {
		return boltMeta{}, err
	}
	newest, older := m0, m1
	if m1.txid > m0.txid {
		newest, older = m1, m0
	}
	if newest.txid-older.txid != 1 {
		return boltMeta{}, boltCorrupt(0, "the meta pages are of commits %d and %d", m0.txid, m1.txid)
	}
	if newest.pages < 2 || newest.pages > uint64(len(data))/pageSize {
		return boltMeta{}, boltCorrupt(0, "%d pages in use, but the file has %d bytes", newest.pages, len(data))
	}
	return newest, nil
}

func checkPages(data []byte) error {
	newest, err := newestMeta(data)
	if err != nil {
		return err
	}
	c := &boltChecker{data: data, pages: newest.pages, reached: make([]uint64, newest.pages/64+1)}
	_, _, err = c.tree(newest.root, 1, 0)
	return err
}

// reach records that a page and its overflow are in use, and returns their bytes.
func (c *boltChecker) reach(page uint64) ([]byte, error) {
	if page < 2 || page >= c.pages {
		return nil, boltCorrupt(page, "it is outside the %d pages in use", c.pages)
	}
	head := c.data[page*pageSize:]
	overflow := uint64(binary.NativeEndian.Uint32(head[12:]))
	if id := binary.NativeEndian.Uint64(head); id != page || page+overflow >= c.pages {
		return nil, boltCorrupt(page, "it says it is page %d with %d more", id, overflow)
	}
	for p := page; p <= page+overflow; p++ {
		if c.reached[p/64]&(1<<(p%64)) != 0 {
			return nil, boltCorrupt(p, "it is used twice")
		}
		c.reached[p/64] |= 1 << (p % 64)
	}
	return head[:(overflow+1)*pageSize], nil
}

// tree checks the tree under a page and returns its first and last key; nil for an empty root.
func (c *boltChecker) tree(page uint64, depth, level int) (first, last []byte, err error) {
	b, err := c.reach(page)
	if err != nil {
		return nil, nil, err
	}
	if level > maxBranchLevels {
		return nil, nil, boltCorrupt(page, "the tree is too deep")
	}
	if flags := binary.NativeEndian.Uint16(b[8:]); flags == boltLeaf {
		return c.leaf(page, b, depth, level == 0)
	} else if flags != boltBranch {
		return nil, nil, boltCorrupt(page, "it has type %#x", flags)
	}
	count := int(binary.NativeEndian.Uint16(b[10:]))
	if count == 0 {
		return nil, nil, boltCorrupt(page, "a branch without children")
	}
	for i := range count {
		e, err := element(page, b, i, count)
		if err != nil {
			return nil, nil, err
		}
		key, _, err := slice(page, b, boltHeader+i*boltElement, e, binary.NativeEndian.Uint32(e[4:]), 0)
		if err != nil {
			return nil, nil, err
		}
		lo, hi, err := c.tree(binary.NativeEndian.Uint64(e[8:]), depth, level+1)
		if err != nil {
			return nil, nil, err
		}
		if bytes.Compare(lo, key) < 0 || (i > 0 && bytes.Compare(last, key) >= 0) {
			return nil, nil, boltCorrupt(page, "child %d does not lie where its key says", i)
		}
		if i == 0 {
			first = key
		}
		last = hi
	}
	return first, last, nil
}

// leaf checks the elements of a leaf, and the trees of the buckets in it.
func (c *boltChecker) leaf(page uint64, b []byte, depth int, mayBeEmpty bool) (first, last []byte, err error) {
	count := int(binary.NativeEndian.Uint16(b[10:]))
	if count == 0 && !mayBeEmpty {
		return nil, nil, boltCorrupt(page, "an empty leaf")
	}
	for i := range count {
		e, err := element(page, b, i, count)
		if err != nil {
			return nil, nil, err
		}
		n := binary.NativeEndian
		key, value, err := slice(page, b, boltHeader+i*boltElement, e[4:], n.Uint32(e[8:]), n.Uint32(e[12:]))
		if err != nil {
			return nil, nil, err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 {
			return nil, nil, boltCorrupt(page, "its keys are not in order")
		}
		if i == 0 {
			first = key
		}
		last = key
		// All values of the root bucket are buckets, and no others are.
		switch flags := n.Uint32(e); {
		case flags == boltBucketFlag && depth < maxBucketDepth:
			err = c.bucket(page, value, depth+1)
		case flags != 0 || depth < maxBucketDepth:
			err = boltCorrupt(page, "an element of type %#x", flags)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return first, last, nil
}

// bucket checks a bucket's value: the number of its root page, or the page itself when it is small.
func (c *boltChecker) bucket(page uint64, value []byte, depth int) error {
	if len(value) < boltBucketLen {
		return boltCorrupt(page, "a bucket of %d bytes", len(value))
	}
	if root := binary.NativeEndian.Uint64(value); root != 0 {
		_, _, err := c.tree(root, depth, 0)
		return err
	}
	inline := value[boltBucketLen:]
	if len(inline) < boltHeader || binary.NativeEndian.Uint16(inline[8:]) != boltLeaf {
		return boltCorrupt(page, "a bucket within it is no leaf")
	}
	_, _, err := c.leaf(page, inline, depth, true)
	return err
}

// element returns the fixed part of element i of a page.
func element(page uint64, b []byte, i, count int) ([]byte, error) {
	if boltHeader+count*boltElement > len(b) {
		return nil, boltCorrupt(page, "it has %d elements in %d bytes", count, len(b))
	}
	return b[boltHeader+i*boltElement:][:boltElement], nil
}

// slice returns key and value of the element at; pos begins with their place relative to it.
func slice(page uint64, b []byte, at int, pos []byte, keyLen, valueLen uint32) (key, value []byte, err error) {
	start := uint64(at) + uint64(binary.NativeEndian.Uint32(pos))
	end := start + uint64(keyLen) + uint64(valueLen)
	if keyLen == 0 || start > uint64(len(b)) || end > uint64(len(b)) {
		return nil, nil, boltCorrupt(page, "a key or value reaches beyond it")
	}
	return b[start : start+uint64(keyLen)], b[start+uint64(keyLen) : end], nil
}
