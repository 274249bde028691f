package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"
)

// indexWorld drives an index alone: its own bbolt file with journal and manifest, as the store keeps them.
type indexWorld struct {
	dir string
	db  *bbolt.DB
	x   *index
	seq uint64
	// filters is the memory for filters; 0 makes every lookup read them from the mapped file.
	filters int64
	flush   int
}

func (w *indexWorld) open(t testing.TB) {
	t.Helper()
	var err error
	if w.db, err = bbolt.Open(filepath.Join(w.dir, "db"), 0o600, &bbolt.Options{NoSync: true}); err != nil {
		t.Fatal(err)
	}
	var m manifest
	var journal []entry
	err = w.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucketIfNotExists([]byte(bucketMeta))
		if err != nil {
			return err
		}
		if _, err := tx.CreateBucketIfNotExists([]byte(bucketJournal)); err != nil {
			return err
		}
		if meta.Get([]byte(keyManifest)) == nil {
			if err := meta.Put([]byte(keyManifest), (&manifest{next: 1}).encode()); err != nil {
				return err
			}
		}
		if m, err = parseManifest(meta.Get([]byte(keyManifest))); err != nil {
			return err
		}
		journal, err = loadJournal(tx, m.flushed, w.seq)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	w.x, err = openIndex(w.dir, m, journal, w.seq,
		indexOptions{flushEntries: w.flush, noSync: true, filters: w.filters, update: w.db.Update,
			fail: func(err error) { t.Errorf("index failed: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	w.x.start()
}

func (w *indexWorld) close() {
	w.x.stop()
	_ = w.db.Close()
}

// add is one block's worth of entries.
func (w *indexWorld) add(t testing.TB, entries []entry) {
	t.Helper()
	w.x.waitRoom()
	err := w.db.Update(func(tx *bbolt.Tx) error {
		return putParts(tx.Bucket([]byte(bucketJournal)), placeJournal, "", w.seq, encodeJournal(entries), journalPart)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.seq++
	w.x.publish(entries, w.seq)
}

func (w *indexWorld) settle() { (&Store{index: w.x}).settled() }

func testKey(n int) indexKey {
	return hashKey("0000000000000000", binary.BigEndian.AppendUint64(nil, uint64(n)))
}

func testValue(n int) indexValue {
	var v indexValue
	binary.BigEndian.PutUint64(v[:], uint64(n))
	return v
}

// The index answers as a map does, through flushes, merges and restarts, with filters in memory or not.
func TestIndexIsAMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		w := &indexWorld{dir: dir, flush: rapid.IntRange(1, 300).Draw(rt, "flush"),
			filters: rapid.SampledFrom([]int64{0, 2 * pageSize, 1 << 30}).Draw(rt, "filters")}
		w.open(t)
		defer func() { w.close() }()
		keys := rapid.SampledFrom([]int{10, 1000, 100000}).Draw(rt, "keys")
		model := make(map[indexKey]indexValue)
		n := 0
		rt.Repeat(map[string]func(*rapid.T){
			"block": func(rt *rapid.T) {
				var entries []entry
				for range rapid.IntRange(0, 400).Draw(rt, "size") {
					n++
					e := entry{testKey(rapid.IntRange(0, keys).Draw(rt, "key")), testValue(n)}
					entries = append(entries, e)
					model[e.key] = e.value
				}
				w.add(t, entries)
			},
			"restart": func(*rapid.T) {
				w.close()
				w.open(t)
			},
			"settle": func(*rapid.T) { w.settle() },
			"": func(rt *rapid.T) {
				for range 20 {
					k := testKey(rapid.IntRange(0, keys).Draw(rt, "looked up"))
					v, ok, err := w.x.get(k)
					want, has := model[k]
					if err != nil || ok != has || v != want {
						rt.Fatalf("get: %x %v %v, want %x %v", v, ok, err, want, has)
					}
				}
			},
		})
		for k, want := range model {
			if v, ok, err := w.x.get(k); err != nil || !ok || v != want {
				rt.Fatalf("at the end: %x %v %v, want %x", v, ok, err, want)
			}
		}
	})
}

// Many flushes leave few runs, no file besides those of the manifest, and every key found.
func TestMergesBoundRuns(t *testing.T) {
	w := &indexWorld{dir: t.TempDir(), flush: 500, filters: 3 * pageSize}
	w.open(t)
	defer w.close()
	const blocks, size = 400, 250
	for b := range blocks {
		entries := make([]entry, size)
		for i := range entries {
			entries[i] = entry{testKey(b*size + i), testValue(b*size + i)}
		}
		w.add(t, entries)
	}
	w.settle()
	perLevel := make(map[int]int)
	total := uint64(0)
	for _, r := range w.x.manifest.runs {
		perLevel[r.level]++
		total += r.entries
		if perLevel[r.level] >= mergeFanIn {
			t.Fatalf("runs per level: %v", perLevel)
		}
	}
	if w.x.manifest.runs[0].level > w.x.manifest.runs[len(w.x.manifest.runs)-1].level || len(perLevel) < 2 {
		t.Fatalf("runs per level: %v", perLevel)
	}
	if total+uint64(len(w.x.active.entries)) != blocks*size {
		t.Fatalf("%d entries in runs, %d in memory, want %d", total, len(w.x.active.entries), blocks*size)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "*.run*"))
	if err != nil || len(files) != len(w.x.manifest.runs) {
		t.Fatalf("%d files for %d runs: %v", len(files), len(w.x.manifest.runs), err)
	}
	for i := range blocks * size {
		if v, ok, err := w.x.get(testKey(i)); err != nil || !ok || v != testValue(i) {
			t.Fatalf("key %d: %x %v %v", i, v, ok, err)
		}
	}
	misses := 0
	for i := range 10000 {
		k := testKey(-1 - i)
		if _, ok, err := w.x.get(k); ok || err != nil {
			t.Fatal(ok, err)
		}
		for _, r := range w.x.current.runs {
			if has, _ := r.mayHold(&k); has {
				misses++
			}
		}
	}
	if limit := 10000 * len(w.x.current.runs) / 50; misses > limit {
		t.Errorf("filters let %d absent keys through, want below %d", misses, limit)
	}
}

// writeRun makes one run file of the sorted entries.
func writeRun(t testing.TB, dir string, id uint64, entries []entry) runInfo {
	t.Helper()
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.key[:], b.key[:]) })
	w, err := newRunWriter(dir, id, uint64(len(entries)), 0, 1, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		if err := w.add(entries[i].key[:], entries[i].value[:]); err != nil {
			t.Fatal(err)
		}
	}
	info, err := w.finish(0)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// Keys that are anything but uniform are still found: guessing gives way to halving.
func TestSkewedRun(t *testing.T) {
	dir := t.TempDir()
	want := make(map[indexKey]indexValue)
	for i := range 5000 {
		var k indexKey
		binary.BigEndian.PutUint64(k[:], 1<<63+uint64(i*i*i))
		binary.BigEndian.PutUint64(k[8:], uint64(i)*0x9e3779b97f4a7c15)
		want[k] = testValue(i)
	}
	want[indexKey{}] = testValue(1)
	var entries []entry
	for k, v := range want {
		entries = append(entries, entry{k, v})
	}
	r, err := openRun(dir, writeRun(t, dir, 1, entries), true)
	if err != nil {
		t.Fatal(err)
	}
	defer newVersion([]*run{r}).release()
	for k, v := range want {
		if got, ok, err := r.get(&k); err != nil || !ok || got != v {
			t.Fatal(got, ok, err)
		}
		k[19] ^= 1
		if _, has := want[k]; !has {
			if _, ok, err := r.get(&k); ok || err != nil {
				t.Fatal(ok, err)
			}
		}
	}
}

// Every flip of a bit in a run is an error of what reads that page, or changes nothing.
func TestRunFlips(t *testing.T) {
	dir := t.TempDir()
	want := make(map[indexKey]indexValue)
	var entries []entry
	for i := range 700 {
		want[testKey(i)] = testValue(i)
		entries = append(entries, entry{testKey(i), testValue(i)})
	}
	info := writeRun(t, dir, 1, entries)
	clean, err := os.ReadFile(runPath(dir, 1))
	if err != nil {
		t.Fatal(err)
	}
	read := func(keep bool) error {
		r, err := openRun(dir, info, keep)
		if err != nil {
			return err
		}
		defer newVersion([]*run{r}).release()
		for k, v := range want {
			if got, ok, err := r.get(&k); err != nil {
				return err
			} else if !ok || got != v {
				t.Fatal("silently wrong")
			}
		}
		return nil
	}
	if err := errors.Join(read(true), read(false)); err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(clean); at += 37 {
		flipped := bytes.Clone(clean)
		flipped[at] ^= 1 << (at % 8)
		if err := os.WriteFile(runPath(dir, 1), flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(at%2 == 0); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("flip at %d: %v", at, err)
		}
	}
	for _, size := range []int{0, 1, len(clean) - pageSize, len(clean) - 1, len(clean) + 1, len(clean) + pageSize} {
		if err := os.WriteFile(runPath(dir, 1), append(clean[:min(size, len(clean)):min(size, len(clean))],
			make([]byte, max(0, size-len(clean)))...), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := read(true); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
	if err := os.Remove(runPath(dir, 1)); err != nil {
		t.Fatal(err)
	}
	if err := read(true); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
}

func TestManifestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := manifest{next: 1 << 40}
		for n := rapid.IntRange(0, 20).Draw(t, "runs"); n > 0; n-- {
			to := m.flushed + rapid.Uint64Range(0, 1000).Draw(t, "blocks")
			m.runs = append([]runInfo{{id: uint64(n), level: n % 3, pages: uint32(n), entries: uint64(n), from: m.flushed,
				to: to, sum: uint32(n) * 77}}, m.runs...)
			m.flushed = to
		}
		sealed := m.encode()
		got, err := parseManifest(sealed)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(m) {
			t.Fatal(got, m, err)
		}
		at := rapid.IntRange(0, len(sealed)-1).Draw(t, "flipped")
		sealed[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, err := parseManifest(sealed); !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

// FuzzRunFile opens arbitrary bytes as a run, with a footer checksum that the manifest agrees with, and reads all of
// it.
func FuzzRunFile(f *testing.F) {
	dir := f.TempDir()
	var entries []entry
	for i := range 300 {
		entries = append(entries, entry{testKey(i), testValue(i)})
	}
	info := writeRun(f, dir, 1, entries)
	clean, err := os.ReadFile(runPath(dir, 1))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{0, 0, 0, 0}, uint8(0), true)
	f.Add([]byte{0, 16, 0, 1}, uint8(1), false)
	f.Fuzz(func(t *testing.T, changes []byte, cut uint8, repair bool) {
		b := patch(clean, changes)
		b = b[:len(b)-int(cut)%4*(pageSize/2)]
		if repair { // give every page the checksum of its content, so that what lies behind the checksums is tried too
			for i := 0; (i+1)*pageSize <= len(b); i++ {
				p := b[i*pageSize : (i+1)*pageSize]
				kind := p[14]
				sealPage(p, 1, uint32(i), int(binary.BigEndian.Uint16(p[12:])), kind)
			}
		}
		if err := os.WriteFile(runPath(dir, 1), b, 0o600); err != nil {
			t.Fatal(err)
		}
		info := info
		info.pages = uint32(len(b) / pageSize)
		if len(b) >= pageSize {
			info.sum = binary.BigEndian.Uint32(b[(len(b)/pageSize)*pageSize-crcLen:])
		}
		err := catchFault(func() error {
			r, err := openRun(dir, info, len(b)%2 == 0)
			if err != nil {
				return err
			}
			defer newVersion([]*run{r}).release()
			for i := range 300 {
				k := testKey(i)
				if _, _, err := r.get(&k); err != nil {
					return err
				}
			}
			return r.verify(func(int) error { return nil })
		})
		if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
		if err != nil && bytes.Contains([]byte(err.Error()), []byte("panic")) {
			t.Fatal(err)
		}
	})
}
