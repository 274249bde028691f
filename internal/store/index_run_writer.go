package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
)

// runPath is the file of a run; runTemp is its name while it is written.
func runPath(dir string, id uint64) string { return filepath.Join(dir, fmt.Sprintf("%016x.run", id)) }

func runTemp(dir string, id uint64) string { return runPath(dir, id) + ".tmp" }

// writeBuffer is how many bytes of pages one write has.
const writeBuffer = 64 * pageSize

// runWriter writes a run file from entries in ascending order of key: filter pages first, then data, then the footer.
// Filter and data are written page by page, so memory does not grow with the run.
type runWriter struct {
	dir    string
	id     uint64
	file   *os.File
	noSync bool

	foot     footer
	filter   [pageSize]byte
	filterAt uint32 // number of the filter page being filled
	data     []byte // whole pages, the last one being filled
	dataAt   int64  // file offset of data
	inPage   int
	unsynced int
}

// newRunWriter creates the temporary file of a run of at most so many entries, at least one.
func newRunWriter(dir string, id uint64, entries uint64, from, to uint64, noSync bool) (*runWriter, error) {
	pages := (entries + filterKeys - 1) / filterKeys
	if pages == 0 || pages > 1<<30 {
		return nil, fmt.Errorf("index run of %d entries", entries)
	}
	f, err := openFile(runTemp(dir, id), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create index run: %w", err)
	}
	w := &runWriter{dir: dir, id: id, file: f, noSync: noSync, data: make([]byte, 0, writeBuffer),
		dataAt: int64(pages) * pageSize}
	w.foot = footer{filterPages: uint32(pages), from: from, to: to}
	return w, nil
}

// add appends one entry; keys must ascend.
func (w *runWriter) add(key, value []byte) error {
	k := indexKey(key)
	if w.foot.entries > 0 && bytes.Compare(key, w.foot.last[:]) <= 0 {
		return fmt.Errorf("BUG: index run %016x gets key %x after %x", w.id, key, w.foot.last)
	}
	if w.foot.entries == 0 {
		w.foot.first = k
	}
	w.foot.last = k
	w.foot.entries++
	for page := scale(k.prefix(), w.foot.filterPages); w.filterAt < page; {
		if err := w.flushFilter(); err != nil {
			return err
		}
	}
	filterAdd(w.filter[:], &k)
	if w.inPage == 0 {
		if len(w.data) == cap(w.data) {
			if err := w.flushData(); err != nil {
				return err
			}
		}
		w.data = w.data[:len(w.data)+pageSize]
		clear(w.data[len(w.data)-pageSize:])
	}
	page := w.data[len(w.data)-pageSize:]
	copy(entryKey(page, w.inPage), key)
	copy(entryValue(page, w.inPage), value)
	if w.inPage++; w.inPage == pageEntries {
		w.closePage()
	}
	return nil
}

// closePage seals the data page being filled.
func (w *runWriter) closePage() {
	sealPage(w.data[len(w.data)-pageSize:], w.id, w.foot.filterPages+w.foot.dataPages, w.inPage, pageData)
	w.foot.dataPages++
	w.inPage = 0
}

func (w *runWriter) flushFilter() error {
	sealPage(w.filter[:], w.id, w.filterAt, 0, pageFilter)
	if _, err := w.file.WriteAt(w.filter[:], int64(w.filterAt)*pageSize); err != nil {
		return fmt.Errorf("write index run: %w", err)
	}
	clear(w.filter[:])
	w.filterAt++
	return nil
}

func (w *runWriter) flushData() error {
	if _, err := w.file.WriteAt(w.data, w.dataAt); err != nil {
		return fmt.Errorf("write index run: %w", err)
	}
	w.dataAt += int64(len(w.data))
	w.unsynced += len(w.data)
	w.data = w.data[:0]
	if w.unsynced < syncEvery {
		return nil
	}
	w.unsynced = 0
	return w.sync()
}

func (w *runWriter) sync() error {
	if w.noSync {
		return nil
	}
	if err := w.file.Sync(); err != nil {
		return fmt.Errorf("sync index run: %w", err)
	}
	return nil
}

// finish writes the remaining pages and makes the file durable under its name. The run is in use only once the
// manifest names it.
func (w *runWriter) finish(level int) (runInfo, error) {
	if w.foot.entries == 0 {
		return runInfo{}, fmt.Errorf("BUG: index run %016x is empty", w.id)
	}
	if w.inPage > 0 {
		w.closePage()
	}
	for w.filterAt < w.foot.filterPages {
		if err := w.flushFilter(); err != nil {
			return runInfo{}, err
		}
	}
	if err := w.flushData(); err != nil {
		return runInfo{}, err
	}
	var page [pageSize]byte
	w.foot.encode(page[:])
	sealPage(page[:], w.id, w.foot.pages()-1, 0, pageFooter)
	if _, err := w.file.WriteAt(page[:], w.dataAt); err != nil {
		return runInfo{}, fmt.Errorf("write index run: %w", err)
	}
	if err := w.sync(); err != nil {
		return runInfo{}, err
	}
	if err := w.file.Close(); err != nil {
		return runInfo{}, fmt.Errorf("close index run: %w", err)
	}
	if err := os.Rename(runTemp(w.dir, w.id), runPath(w.dir, w.id)); err != nil {
		return runInfo{}, fmt.Errorf("name index run: %w", err)
	}
	if !w.noSync {
		if err := syncDir(w.dir); err != nil {
			return runInfo{}, err
		}
	}
	return runInfo{id: w.id, level: level, pages: w.foot.pages(), entries: w.foot.entries, from: w.foot.from,
		to:  w.foot.to,
		sum: binary.BigEndian.Uint32(page[pageSize-crcLen:])}, nil
}

// abandon removes an unfinished file. The manifest does not name it, so an error here costs only space.
func (w *runWriter) abandon() {
	_ = w.file.Close()
	_ = os.Remove(runTemp(w.dir, w.id))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := openFile(dir, os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	if err := d.Sync(); err != nil {
		_ = d.Close()
		return fmt.Errorf("sync directory: %w", err)
	}
	return d.Close()
}
