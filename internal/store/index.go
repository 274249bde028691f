package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"
)

// hashKey is the key under which the index holds a state key of a chain. Chain ids all have one length.
func hashKey(chainID string, key []byte) indexKey {
	var scratch [256]byte
	b := append(scratch[:0], chainID...)
	h := sha256.Sum256(append(b, key...))
	return indexKey(h[:entryKeyLen])
}

// table is a part of the index in memory: the entries of the blocks [from, to).
type table struct {
	entries  map[indexKey]indexValue
	from, to uint64
}

// version is a set of runs, newest first. Lookups hold a reference while they read.
type version struct {
	runs []*run
	refs atomic.Int32
}

func newVersion(runs []*run) *version {
	v := &version{runs: runs}
	v.refs.Store(1)
	for _, r := range runs {
		r.refs.Add(1)
	}
	return v
}

func (v *version) release() {
	if v.refs.Add(-1) > 0 {
		return
	}
	for _, r := range v.runs {
		r.release()
	}
}

// index finds the newest value of a hashed key: first in the tables in memory, then in the runs, newest first. publish
// adds entries after their blocks are committed; until a run holds them they are in the journal bucket too.
type index struct {
	dir          string
	flushEntries int
	noSync       bool
	// update runs a function in one durable database transaction; fail ends the store; hook is nil outside tests.
	update func(func(*bbolt.Tx) error) error
	fail   func(error)
	hook   func(point string)

	wg       sync.WaitGroup
	stopping atomic.Bool

	// installing is held while the manifest changes; mu is never held across a commit.
	installing sync.Mutex

	mu      sync.RWMutex
	changed *sync.Cond // on mu: a table was frozen, runs changed, or the index stops
	active  *table
	frozen  *table // being flushed; nil when there is none
	current *version
	// manifest is the committed one, except for next, which counts ids that were taken.
	manifest manifest
	// filters is the memory left for filters, in bytes.
	filters int64
	stopped bool
}

// openIndex opens the runs of the manifest, removes files that it does not name, and takes the journal's entries, which
// are those of the blocks [manifest.flushed, sequence).
func openIndex(dir string, m manifest, journal []entry, sequence uint64, o indexOptions) (*index, error) {
	x := &index{dir: dir, manifest: m, flushEntries: o.flushEntries, noSync: o.noSync, filters: o.filters,
		update: o.update, fail: o.fail, hook: o.hook}
	x.changed = sync.NewCond(&x.mu)
	x.active = &table{entries: make(map[indexKey]indexValue, len(journal)), from: m.flushed, to: sequence}
	for _, e := range journal {
		x.active.entries[e.key] = e.value
	}
	runs := make([]*run, len(m.runs))
	for i, info := range m.runs { // newest first: small runs have the first claim on memory for filters
		r, err := openRun(dir, info, x.claimFilter(info.entries))
		if err != nil {
			newVersion(runs[:i]).release()
			return nil, err
		}
		runs[i] = r
	}
	x.current = newVersion(runs)
	if err := removeOrphans(dir, m); err != nil {
		x.current.release()
		return nil, err
	}
	return x, nil
}

// indexOptions are the settings and functions that the store passes to its index.
type indexOptions struct {
	flushEntries int
	noSync       bool
	filters      int64
	update       func(func(*bbolt.Tx) error) error
	fail         func(error)
	hook         func(point string)
}

// claimFilter reports whether the filter of a run of so many entries fits in memory, and reserves the memory.
func (x *index) claimFilter(entries uint64) bool {
	size := filterSize(entries)
	if size > x.filters {
		return false
	}
	x.filters -= size
	return true
}

// filterSize is about the memory that the filter of a run of so many entries takes.
func filterSize(entries uint64) int64 { return int64(entries/filterKeys+1) * pageSize }

// removeOrphans deletes the files of runs that the manifest does not name: those of a flush or merge that did not
// reach its commit, and those that a merge replaced. Other files stay.
func removeOrphans(dir string, m manifest) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read index directory: %w", err)
	}
	known := make(map[string]bool, len(m.runs))
	for _, r := range m.runs {
		known[filepath.Base(runPath(dir, r.id))] = true
	}
	for _, n := range names {
		if name := n.Name(); isRunFile(name) && !known[name] {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return fmt.Errorf("remove orphan: %w", err)
			}
		}
	}
	return nil
}

func isRunFile(name string) bool {
	return strings.HasSuffix(name, ".run") || strings.HasSuffix(name, ".run.tmp")
}

// start begins flushing and merging in the background.
func (x *index) start() {
	x.wg.Go(x.flushLoop)
	x.wg.Go(func() { x.mergeLoop(0, smallLevels) })
	x.wg.Go(func() { x.mergeLoop(smallLevels, maxLevels+1) })
}

// stop ends the background work and waits for it; lookups fail from then on.
func (x *index) stop() {
	x.halt()
	x.wg.Wait()
	x.mu.Lock()
	v := x.current
	x.current = nil
	x.mu.Unlock()
	if v != nil {
		v.release()
	}
}

// halt ends the background work without waiting for it.
func (x *index) halt() {
	x.stopping.Store(true)
	x.mu.Lock()
	x.stopped = true
	x.changed.Broadcast()
	x.mu.Unlock()
}

// get looks a key up. It may fault on a broken disk, see catchFault.
func (x *index) get(k indexKey) (indexValue, bool, error) {
	x.mu.RLock()
	if v, ok := x.active.entries[k]; ok {
		x.mu.RUnlock()
		return v, true, nil
	}
	if x.frozen != nil {
		if v, ok := x.frozen.entries[k]; ok {
			x.mu.RUnlock()
			return v, true, nil
		}
	}
	v := x.current
	if v == nil {
		x.mu.RUnlock()
		return indexValue{}, false, ErrClosed
	}
	v.refs.Add(1) // as acquire does, under the same lock: entries that left the tables are in this version
	x.mu.RUnlock()
	defer v.release()
	for _, r := range v.runs {
		value, ok, err := r.get(&k)
		if err != nil || ok {
			return value, ok, err
		}
	}
	return indexValue{}, false, nil
}

// acquire adds a reference to the runs; the caller releases it.
func (x *index) acquire() (*version, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if x.current == nil {
		return nil, ErrClosed
	}
	x.current.refs.Add(1)
	return x.current, nil
}

// waitRoom waits while the tables in memory are full, that is while the disk cannot keep up.
func (x *index) waitRoom() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.stopped && x.frozen != nil && len(x.active.entries) >= roomFactor*x.flushEntries {
		x.changed.Wait()
	}
}

// publish adds the entries of blocks that are committed, up to the sequence number.
func (x *index) publish(entries []entry, to uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range entries {
		x.active.entries[entries[i].key] = entries[i].value
	}
	x.active.to = to
	x.freeze()
}

// freeze passes the active table to the flusher when it is full. The caller holds mu.
func (x *index) freeze() {
	if x.frozen != nil || len(x.active.entries) < x.flushEntries {
		return
	}
	x.frozen = x.active
	x.active = &table{entries: make(map[indexKey]indexValue, x.flushEntries), from: x.frozen.to, to: x.frozen.to}
	x.changed.Broadcast()
}

func (x *index) flushLoop() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		for !x.stopped && (x.frozen == nil || x.countLevel(0) >= maxFreshRuns) {
			x.changed.Wait()
		}
		if x.stopped {
			return
		}
		t, id := x.frozen, x.takeID()
		x.mu.Unlock()
		err := catchFault(func() error { return x.flush(t, id) })
		if err != nil && !x.stopping.Load() {
			x.fail(fmt.Errorf("flush index: %w", err))
		}
		x.mu.Lock()
		if err != nil {
			return
		}
	}
}

// takeID returns the id of a new run. The caller holds mu.
func (x *index) takeID() uint64 {
	id := x.manifest.next
	x.manifest.next++
	return id
}

// countLevel counts the runs of a level. The caller holds mu.
func (x *index) countLevel(level int) int {
	n := 0
	for _, r := range x.manifest.runs {
		if r.level == level {
			n++
		}
	}
	return n
}

// flush writes a frozen table as a run of level 0 and drops its part of the journal.
func (x *index) flush(t *table, id uint64) error {
	sorted := sortEntries(t.entries)
	w, err := newRunWriter(x.dir, id, uint64(len(sorted)), t.from, t.to, x.noSync)
	if err != nil {
		return err
	}
	for i := range sorted {
		if err := w.add(sorted[i].key[:], sorted[i].value[:]); err != nil {
			w.abandon()
			return err
		}
	}
	info, err := w.finish(0)
	if err != nil {
		w.abandon()
		return err
	}
	x.at("flush: run named")
	return x.install(info, nil, t)
}

// sortEntries returns the entries in the order of their keys. Keys are hashes, so after a counting sort by their first
// two bytes few comparisons remain.
func sortEntries(entries map[indexKey]indexValue) []entry {
	starts := make([]int, 1<<16+1)
	for k := range entries {
		starts[int(binary.BigEndian.Uint16(k[:]))+1]++
	}
	for i := 1; i < len(starts); i++ {
		starts[i] += starts[i-1]
	}
	next := slices.Clone(starts)
	sorted := make([]entry, len(entries))
	for k, v := range entries {
		at := &next[binary.BigEndian.Uint16(k[:])]
		sorted[*at] = entry{k, v}
		*at++
	}
	for i := range len(starts) - 1 {
		if same := sorted[starts[i]:starts[i+1]]; len(same) > 1 {
			slices.SortFunc(same, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })
		}
	}
	return sorted
}

func (x *index) at(point string) {
	if x.hook != nil {
		x.hook(point)
	}
}

// install commits a manifest with the new run in the place of the runs that it replaces, then lets lookups use it. If
// t is not nil, the run is that table's: it becomes the newest, and the journal up to its end is dropped in the same
// transaction.
func (x *index) install(info runInfo, replaced []runInfo, t *table) error {
	x.installing.Lock()
	defer x.installing.Unlock()
	x.mu.Lock()
	keep := x.claimFilter(info.entries)
	next := manifest{flushed: x.manifest.flushed, next: x.manifest.next,
		runs: replaceRuns(x.manifest.runs, info, replaced)}
	x.mu.Unlock()
	if t != nil {
		next.flushed = t.to
	}
	opened, err := openRun(x.dir, info, keep)
	if err != nil {
		return err
	}
	if err := x.update(func(tx *bbolt.Tx) error {
		if t != nil {
			if err := dropJournal(tx, t.to); err != nil {
				return err
			}
		}
		return tx.Bucket([]byte(bucketMeta)).Put([]byte(keyManifest), next.encode())
	}); err != nil {
		newVersion([]*run{opened}).release()
		return err
	}
	x.at("manifest committed")

	x.mu.Lock()
	old := x.current
	byID := map[uint64]*run{info.id: opened}
	for _, r := range old.runs {
		byID[r.id] = r
	}
	runs := make([]*run, len(next.runs))
	for i, r := range next.runs {
		runs[i] = byID[r.id]
	}
	for _, r := range replaced {
		gone := byID[r.id]
		gone.doomed.Store(true)
		if gone.filter != nil {
			x.filters += filterSize(gone.entries)
		}
	}
	x.current = newVersion(runs)
	x.manifest.runs, x.manifest.flushed = next.runs, next.flushed
	if t != nil {
		x.frozen = nil
		x.freeze()
	}
	x.changed.Broadcast()
	x.mu.Unlock()
	old.release()
	return nil
}

// replaceRuns returns the runs with the new one in the place of the replaced ones, or in front when there are none.
func replaceRuns(runs []runInfo, info runInfo, replaced []runInfo) []runInfo {
	if len(replaced) == 0 {
		return append([]runInfo{info}, runs...)
	}
	at := slices.IndexFunc(runs, func(r runInfo) bool { return r.id == replaced[0].id })
	return slices.Replace(slices.Clone(runs), at, at+len(replaced), info)
}

// encodeJournal is the journal record of one block.
func encodeJournal(entries []entry) []byte {
	b := make([]byte, 0, 4+len(entries)*entryLen)
	b = binary.BigEndian.AppendUint32(b, uint32(len(entries)))
	for i := range entries {
		b = append(b, entries[i].key[:]...)
		b = append(b, entries[i].value[:]...)
	}
	return b
}

func parseJournal(b []byte) ([]entry, error) {
	if len(b) < 4 || len(b) != 4+int(binary.BigEndian.Uint32(b))*entryLen {
		return nil, fmt.Errorf("%w: journal record of %d bytes", ErrCorrupt, len(b))
	}
	entries := make([]entry, 0, len(b)/entryLen)
	for b = b[4:]; len(b) > 0; b = b[entryLen:] {
		entries = append(entries, entry{indexKey(b), indexValue(b[entryKeyLen:])})
	}
	return entries, nil
}

// dropJournal removes the journal records of the blocks below the sequence number.
func dropJournal(tx *bbolt.Tx, to uint64) error {
	b := tx.Bucket([]byte(bucketJournal))
	b.FillPercent = 1
	var keys [][]byte
	c := b.Cursor()
	for k, _ := c.First(); k != nil && binary.BigEndian.Uint64(k) < to; k, _ = c.Next() {
		keys = append(keys, k)
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}
