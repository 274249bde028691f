package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
)

// errStopping ends a merge when the store closes.
var errStopping = errors.New("store is closing")

// mergeLoop merges runs of the levels [from, to) until the index stops. Merges of different loops never use the same
// run: each level belongs to one loop, and a merged run joins the next level as its newest.
func (x *index) mergeLoop(from, to int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		var picked []runInfo
		for picked == nil && !x.stopped {
			if picked = pickMerge(x.manifest.runs, from, to); picked == nil {
				x.changed.Wait()
			}
		}
		if x.stopped {
			return
		}
		id := x.takeID()
		x.mu.Unlock()
		err := catchFault(func() error { return x.merge(picked, id) })
		if err != nil && !x.stopping.Load() {
			x.fail(fmt.Errorf("merge index runs: %w", err))
		}
		x.mu.Lock()
		if err != nil {
			return
		}
	}
}

// pickMerge returns the oldest runs of the lowest full level, newest first; nil when no level is full.
func pickMerge(runs []runInfo, from, to int) []runInfo {
	for level := from; level < to; level++ {
		end, n := 0, 0
		for i, r := range runs {
			if r.level == level {
				end = i + 1
				n++
			}
		}
		if n >= mergeFanIn {
			return runs[end-mergeFanIn : end : end]
		}
	}
	return nil
}

// merge writes the picked runs, newest first, as one of the next level.
func (x *index) merge(picked []runInfo, id uint64) error {
	total := uint64(0)
	cursors := make([]*runCursor, 0, len(picked))
	defer func() {
		for _, c := range cursors {
			_ = c.file.Close() // only read from
		}
	}()
	for _, info := range picked {
		c, err := x.openCursor(info)
		if err != nil {
			return err
		}
		cursors = append(cursors, c)
		total += info.entries
	}
	newest, oldest := picked[0], picked[len(picked)-1]
	w, err := newRunWriter(x.dir, id, total, oldest.from, newest.to, x.noSync)
	if err != nil {
		return err
	}
	if err := x.mergeInto(w, cursors); err != nil {
		w.abandon()
		return err
	}
	info, err := w.finish(min(newest.level+1, maxLevels))
	if err != nil {
		w.abandon()
		return err
	}
	x.at("merge: run named")
	return x.install(info, picked, nil)
}

// mergeInto writes the union of the cursors. Where several have a key, the value of the first, which is the newest, is
// kept.
func (x *index) mergeInto(w *runWriter, cursors []*runCursor) error {
	for n := 0; ; n++ {
		if n%pageEntries == 0 && x.stopping.Load() {
			return errStopping
		}
		var least *runCursor
		for _, c := range cursors {
			if c.done() {
				continue
			}
			if least == nil || bytes.Compare(c.key(), least.key()) < 0 {
				least = c
			}
		}
		if least == nil {
			return nil
		}
		key := indexKey(least.key())
		if err := w.add(key[:], least.value()); err != nil {
			return err
		}
		for _, c := range cursors {
			if !c.done() && bytes.Equal(c.key(), key[:]) {
				if err := c.next(); err != nil {
					return err
				}
			}
		}
	}
}

// cursorPages is how many pages a cursor reads at once.
const cursorPages = 32

// runCursor reads a run's entries in order, through a file of its own: a merge reads ahead, lookups do not.
type runCursor struct {
	run   *run
	file  *os.File
	buf   []byte
	left  uint32 // data pages not read yet
	next0 uint32 // the first of them
	pages []byte // pages read and not finished; the first is the current one
	n, i  int    // entries in the current page, and the current one
	count uint64
}

// openCursor opens a cursor on a run of the current version. Only the calling merge can replace that run.
func (x *index) openCursor(info runInfo) (*runCursor, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, r := range x.current.runs {
		if r.id == info.id {
			return newCursor(r)
		}
	}
	return nil, fmt.Errorf("BUG: no index run %016x", info.id)
}

func newCursor(r *run) (*runCursor, error) {
	f, err := openFile(r.path, os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: index run: %w", ErrCorrupt, err)
	}
	c := &runCursor{run: r, file: f, buf: make([]byte, cursorPages*pageSize), left: r.foot.dataPages}
	if err := c.load(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return c, nil
}

func (c *runCursor) done() bool    { return len(c.pages) == 0 }
func (c *runCursor) key() []byte   { return entryKey(c.pages, c.i) }
func (c *runCursor) value() []byte { return entryValue(c.pages, c.i) }

// load checks the current page, after reading more pages when there is none. At the end of the run no page is left.
func (c *runCursor) load() error {
	if len(c.pages) == 0 {
		if c.left == 0 {
			return c.finish()
		}
		n := min(c.left, cursorPages)
		at := int64(c.run.foot.filterPages+c.next0) * pageSize
		if _, err := c.file.ReadAt(c.buf[:int(n)*pageSize], at); err != nil {
			return fmt.Errorf("%w: read index run: %w", ErrCorrupt, err)
		}
		c.pages = c.buf[:int(n)*pageSize]
		c.left -= n
		c.next0 += n
	}
	number := c.run.foot.filterPages + c.next0 - uint32(len(c.pages)/pageSize)
	n, err := checkPage(c.pages[:pageSize], c.run.id, number, pageData)
	if err != nil {
		return err
	}
	if n == 0 {
		return fmt.Errorf("%w: page %d of index run %016x is empty", ErrCorrupt, number, c.run.id)
	}
	c.n, c.i = n, 0
	return nil
}

// finish checks that the run had as many entries as its footer says.
func (c *runCursor) finish() error {
	if c.count != c.run.foot.entries {
		return fmt.Errorf("%w: index run %016x has %d entries, its footer says %d",
			ErrCorrupt, c.run.id, c.count, c.run.foot.entries)
	}
	return nil
}

func (c *runCursor) next() error {
	c.count++
	if c.i++; c.i < c.n {
		return nil
	}
	c.pages = c.pages[pageSize:]
	return c.load()
}
