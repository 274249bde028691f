package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
)

// runInfo is the manifest's entry of a run.
type runInfo struct {
	id       uint64
	level    int
	pages    uint32
	entries  uint64
	from, to uint64
	// sum is the checksum of the footer page.
	sum uint32
}

const runInfoLen = 8 + 1 + 4 + 8 + 8 + 8 + 4

// manifest names the runs, newest first, and the first sequence number whose index entries are in none of them.
type manifest struct {
	flushed uint64
	next    uint64 // id of the next run
	runs    []runInfo
}

func (m *manifest) encode() []byte {
	b := make([]byte, 0, 20+len(m.runs)*runInfoLen)
	b = binary.BigEndian.AppendUint64(b, m.flushed)
	b = binary.BigEndian.AppendUint64(b, m.next)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.runs)))
	for _, r := range m.runs {
		b = binary.BigEndian.AppendUint64(b, r.id)
		b = append(b, byte(r.level))
		b = binary.BigEndian.AppendUint32(b, r.pages)
		b = binary.BigEndian.AppendUint64(b, r.entries)
		b = binary.BigEndian.AppendUint64(b, r.from)
		b = binary.BigEndian.AppendUint64(b, r.to)
		b = binary.BigEndian.AppendUint32(b, r.sum)
	}
	return seal(placeManifest, "", []byte(keyManifest), b)
}

func parseManifest(sealed []byte) (manifest, error) {
	b, err := unseal(placeManifest, "", []byte(keyManifest), sealed)
	if err != nil {
		return manifest{}, err
	}
	if len(b) < 20 || len(b) != 20+int(binary.BigEndian.Uint32(b[16:]))*runInfoLen {
		return manifest{}, fmt.Errorf("%w: manifest of %d bytes", ErrCorrupt, len(b))
	}
	m := manifest{flushed: binary.BigEndian.Uint64(b), next: binary.BigEndian.Uint64(b[8:])}
	end := m.flushed
	for b = b[20:]; len(b) > 0; b = b[runInfoLen:] {
		r := runInfo{id: binary.BigEndian.Uint64(b), level: int(b[8]), pages: binary.BigEndian.Uint32(b[9:]),
			entries: binary.BigEndian.Uint64(b[13:]),
			from:    binary.BigEndian.Uint64(b[21:]), to: binary.BigEndian.Uint64(b[29:]), sum: binary.BigEndian.Uint32(b[37:])}
		if r.to != end || r.from > r.to || r.level > maxLevels || r.id >= m.next {
			return manifest{}, fmt.Errorf("%w: manifest entry of run %016x", ErrCorrupt, r.id)
		}
		end = r.from
		m.runs = append(m.runs, r)
	}
	if end != 0 {
		return manifest{}, fmt.Errorf("%w: manifest begins at sequence %d", ErrCorrupt, end)
	}
	return m, nil
}

// run is an open run file, mapped. It is unmapped when the last version that holds it is released.
type run struct {
	runInfo
	path string
	foot footer
	data []byte
	// filter is a checked copy of the filter pages, or nil when memory for filters is used up.
	filter []byte
	refs   atomic.Int32
	// doomed is set on a run that a merge replaced: its file is removed with the last release.
	doomed atomic.Bool
}

// openRun opens the file of a run; reading its footer and filter may fault, see catchFault.
func openRun(dir string, info runInfo, keepFilter bool) (*run, error) {
	r := &run{runInfo: info, path: runPath(dir, info.id)}
	f, err := openFile(r.path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: index run: %w", ErrCorrupt, err)
	}
	defer f.Close() // the mapping stays
	st, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("index run: %w", err)
	}
	size := int64(info.pages) * pageSize
	if st.Size() != size || size == 0 {
		return nil, fmt.Errorf("%w: index run %016x has %d bytes, the manifest says %d", ErrCorrupt, info.id, st.Size(), size)
	}
	if r.data, err = syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED); err != nil {
		return nil, fmt.Errorf("map index run: %w", err)
	}
	if err := r.load(keepFilter); err != nil {
		_ = syscall.Munmap(r.data)
		return nil, err
	}
	return r, nil
}

func (r *run) load(keepFilter bool) error {
	last := r.pages - 1
	p := r.page(last)
	if _, err := checkPage(p, r.id, last, pageFooter); err != nil {
		return err
	}
	foot, err := parseFooter(p, r.pages)
	if err != nil {
		return err
	}
	if binary.BigEndian.Uint32(p[pageSize-crcLen:]) != r.sum || foot.entries != r.entries || foot.from != r.from ||
		foot.to != r.to {
		return fmt.Errorf("%w: index run %016x is not the file that the manifest names", ErrCorrupt, r.id)
	}
	r.foot = foot
	_ = syscall.Madvise(r.data, syscall.MADV_RANDOM) // advice only
	if !keepFilter {
		return nil
	}
	for i := range foot.filterPages {
		if _, err := checkPage(r.page(i), r.id, i, pageFilter); err != nil {
			return err
		}
	}
	r.filter = bytes.Clone(r.data[:int(foot.filterPages)*pageSize])
	return nil
}

func (r *run) page(i uint32) []byte { return r.data[int(i)*pageSize : (int(i)+1)*pageSize] }

// dataPage returns data page i, checked, with its number of entries.
func (r *run) dataPage(i uint32) ([]byte, int, error) {
	number := r.foot.filterPages + i
	p := r.page(number)
	n, err := checkPage(p, r.id, number, pageData)
	if err == nil && n == 0 {
		err = fmt.Errorf("%w: page %d of index run %016x is empty", ErrCorrupt, number, r.id)
	}
	return p, n, err
}

func (r *run) mayHold(k *indexKey) (bool, error) {
	i := scale(k.prefix(), r.foot.filterPages)
	if r.filter != nil {
		return filterHas(r.filter[int(i)*pageSize:], k), nil
	}
	p := r.page(i)
	if _, err := checkPage(p, r.id, i, pageFilter); err != nil {
		return false, err
	}
	return filterHas(p, k), nil
}

// get looks a key up. Keys are uniform, so the first guess of the page is close, however large the run is.
func (r *run) get(k *indexKey) (indexValue, bool, error) {
	if bytes.Compare(k[:], r.foot.first[:]) < 0 || bytes.Compare(k[:], r.foot.last[:]) > 0 {
		return indexValue{}, false, nil
	}
	if ok, err := r.mayHold(k); err != nil || !ok {
		return indexValue{}, false, err
	}
	lo, hi := uint32(0), r.foot.dataPages
	loKey, hiKey := r.foot.first.prefix(), r.foot.last.prefix()
	for try := 0; lo < hi; try++ {
		at := (lo + hi) / 2
		if try < interpolations {
			at = guess(lo, hi, loKey, hiKey, k.prefix())
		}
		p, n, err := r.dataPage(at)
		if err != nil {
			return indexValue{}, false, err
		}
		if bytes.Compare(k[:], entryKey(p, 0)) < 0 {
			hi = at
			hiKey = binary.BigEndian.Uint64(entryKey(p, 0))
			continue
		}
		if bytes.Compare(k[:], entryKey(p, n-1)) > 0 {
			lo = at + 1
			loKey = binary.BigEndian.Uint64(entryKey(p, n-1))
			continue
		}
		i, found := searchPage(p, n, k)
		if !found {
			return indexValue{}, false, nil
		}
		return indexValue(entryValue(p, i)), true, nil
	}
	return indexValue{}, false, nil
}

// guess interpolates the page of a key between lo and hi, whose bounds are loKey and hiKey.
func guess(lo, hi uint32, loKey, hiKey, key uint64) uint32 {
	if key <= loKey || hiKey <= loKey {
		return lo
	}
	if key >= hiKey {
		return hi - 1
	}
	part := float64(key-loKey) / float64(hiKey-loKey)
	return min(lo+uint32(part*float64(hi-lo)), hi-1)
}

// release drops one reference.
func (r *run) release() {
	if r.refs.Add(-1) > 0 {
		return
	}
	_ = syscall.Munmap(r.data)
	if r.doomed.Load() {
		_ = os.Remove(r.path) // after an error the next Open removes it
	}
}
