package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// An entry's blocks, state, index and applied index reach the disk together: one commit a group, however many entries
// it has.
func TestOneCommitAGroup(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	commits := func() (id int) {
		if err := s.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
			t.Fatal(err)
		}
		return id
	}
	for n := 1; n <= 3; n++ {
		before := commits()
		if _, err := s.Apply(m.mixed(n)); err != nil {
			t.Fatal(err)
		}
		if got := commits() - before; got != 1 {
			t.Errorf("a group of %d entries takes %d commits", n, got)
		}
	}
}

// tamper changes the database of a closed store, with valid checksums and a sound structure.
func tamper(t *testing.T, dir string, change func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(dir, databaseName), 0o600, boltOptions(quiet(t), seams{}))
	if err != nil {
		t.Fatal(err)
	}
	// Two commits: the meta pages must be one apart.
	if err := errors.Join(db.Update(change), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestLostStateIsDamage(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	s := m.filled(dir, quiet(t), m.mixed(4))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, dir, func(tx *bbolt.Tx) error {
		k, _ := tx.Bucket([]byte(prefixState + m.chains[0].ID)).Cursor().Last()
		return tx.Bucket([]byte(prefixState + m.chains[0].ID)).Delete(bytes.Clone(k))
	})
	if again, err := Open(dir, quiet(t)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a store that lost a key of state opens with %v", err)
		if err == nil {
			_ = again.Close()
		}
	}
}

func TestLostBlockIsDamage(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), m.mixed(12))
	id := m.chains[0].ID
	err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte(prefixBlocks + id)).Delete(partKey(2, 0)) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Block(id, 2); !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrNotFound) {
		t.Errorf("a block that is gone is read with %v", err)
	}
	if _, err := s.Block(id, 2000); !errors.Is(err, ErrNotFound) {
		t.Errorf("a block that never was is read with %v", err)
	}
	found := s.scrubbed(t)
	if len(found) != 1 || found[0].ChainID != id || found[0].Height != 2 {
		t.Errorf("a scrub finds %v", found)
	}
}

// A block whose checksums are right but that does not stand on the one below is found by Verify and by Scrub.
func TestVerifyFindsABrokenLink(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), m.mixed(12))
	id := m.chains[0].ID
	b, err := s.Block(id, 2)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	h.Previous[5] ^= 1
	b.Header = h.Encode()
	err = s.db.Update(func(tx *bbolt.Tx) error {
		return putParts(tx.Bucket([]byte(prefixBlocks+id)), placeBlock, id, 2, encodeBlock(b), blockPart)
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(context.Background(), nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("Verify: %v", err)
	}
	if found := s.scrubbed(t); len(found) == 0 || found[0].ChainID != "" {
		t.Errorf("Scrub: %v", found)
	}
}

// scrubbed is what a scrub finds.
func (s *Store) scrubbed(t *testing.T) (found []Damage) {
	t.Helper()
	if err := s.Scrub(t.Context(), func(int) error { return nil },
		func(d Damage) { found = append(found, d) }); err != nil {
		t.Fatal(err)
	}
	return found
}

// flip changes one bit of the first place where the file holds text, as a disk might under a running process.
func flip(t *testing.T, path, text string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flipped := 0
	for at := 0; ; at++ { // every copy of it, in pages of older commits too
		i := bytes.Index(content[at:], []byte(text))
		if i < 0 {
			break
		}
		at += i
		if _, err := f.WriteAt([]byte{content[at] ^ 4}, int64(at)); err != nil {
			t.Fatal(err)
		}
		flipped++
	}
	if flipped == 0 {
		t.Fatalf("%q is not in %s", text, path)
	}
}

// A scrub names exactly the damaged blocks, and they are repaired from another copy: by the very block and by nothing
// else.
func TestScrubAndRepair(t *testing.T) {
	m := newMaker(t)
	var entries []Entry
	for i := range 9 {
		entries = append(entries, m.entry(m.set(0, fmt.Sprintf("the-record-%d", i), "value")))
	}
	var big []*ltlv1.Transaction // a block of several parts
	for i := range 400 {
		big = append(big, m.set(0, fmt.Sprintf("the-record-9-%d", i), "value"))
	}
	entries = append(entries, m.entry(big...), m.entry(m.set(0, "last", "end")))
	dir, o := t.TempDir(), quiet(t)
	s := m.filled(dir, o, entries)
	good := m.filled(t.TempDir(), o, entries)
	truth := good.contents(t)
	id := m.chains[0].ID
	tip, _ := s.Tip(id)
	height := func(i int) uint64 { return tip.Header.Height - 10 + uint64(i) }
	if found := s.scrubbed(t); len(found) != 0 {
		t.Fatalf("before any damage: %v", found)
	}
	for _, i := range []int{2, 5, 6, 9} {
		flip(t, filepath.Join(dir, databaseName), fmt.Sprintf("the-record-%d", i))
	}
	var heights []uint64
	for _, d := range s.scrubbed(t) {
		if d.ChainID != id || !errors.Is(d.Err, ErrCorrupt) {
			t.Errorf("found %+v", d)
		}
		heights = append(heights, d.Height)
	}
	if want := []uint64{height(2), height(5), height(6), height(9)}; !slices.Equal(heights, want) {
		t.Fatalf("found damage at %v, want %v", heights, want)
	}
	of := func(h uint64) *ltlv1.Block {
		b, err := good.Block(id, h)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	refuseRepairs(t, s, of, height)
	if err := s.RepairBlock(of(height(5))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a block below a damaged one is repaired: %v", err)
	}
	slices.Reverse(heights)
	for _, h := range heights {
		if err := s.RepairBlock(of(h)); err != nil {
			t.Errorf("repair block %d: %v", h, err)
		}
	}
	if found := s.scrubbed(t); len(found) != 0 {
		t.Fatalf("after the repair: %v", found)
	}
	if diff := equalContents(truth, s.contents(t)); diff != "" {
		t.Fatal(diff)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, dir, o)
	if err := again.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := equalContents(truth, again.contents(t)); diff != "" {
		t.Fatal(diff)
	}
}

// refuseRepairs offers everything but the right block.
func refuseRepairs(t *testing.T, s *Store, of func(uint64) *ltlv1.Block, height func(int) uint64) {
	t.Helper()
	wrong := map[string]*ltlv1.Block{
		"no block": {}, "another history": of(height(2)), "another result": of(height(2)), "another transaction": of(height(2)),
		"no results": of(height(2)), "another endorsement": of(height(2)), "another chain": of(height(2)),
	}
	h, err := ledger.ParseHeader(wrong["another history"].GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	h.TimeMs++
	wrong["another history"].Header = h.Encode()
	wrong["another result"].Results[0]++
	wrong["another transaction"].Batches[0].Transactions[0][30] ^= 1
	wrong["no results"].Results = nil
	wrong["another endorsement"].Batches[0].Endorsements[0].Signature[3] ^= 1
	wrong["another chain"].Batches[0].ChainId = ledger.SystemChain
	for name, b := range wrong {
		if err := s.RepairBlock(b); !errors.Is(err, verify.ErrBadBlock) {
			t.Errorf("%s: %v", name, err)
		}
	}
	above := proto.CloneOf(of(height(10)))
	h, err = ledger.ParseHeader(above.GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	h.Height++
	above.Header = h.Encode()
	if err := s.RepairBlock(above); !errors.Is(err, verify.ErrBadBlock) {
		t.Errorf("a block above the tip: %v", err)
	}
}

// Any bit of the file of a running store may flip: a scrub finds it or it changes nothing that is served; what it
// calls a damaged block is repaired, or the repair says that more is damaged and writes nothing. A lie is served in no
// case.
func TestScrubOfFlippedBytes(t *testing.T) {
	dir, o, truth := victim(t)
	good := openTest(t, dir, o)
	broken := t.TempDir()
	path := filepath.Join(broken, databaseName)
	clean, err := os.ReadFile(filepath.Join(dir, databaseName))
	if err != nil {
		t.Fatal(err)
	}
	step, blocks, others, repaired := 2741, 0, 0, 0
	if testing.Short() {
		step = 9973
	}
	o.Fatal = func(error) {} // a commit may meet damage too
	for at := 4*pageSize + 11; at < len(bytes.TrimRight(clean, "\x00")); at += step {
		if err := os.RemoveAll(broken); err != nil {
			t.Fatal(err)
		}
		copyDir(t, dir, broken)
		s, err := Open(broken, o)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{clean[at] ^ 1<<(at%8)}, int64(at)); err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		found := s.scrubbed(t)
		for _, d := range found {
			if d.ChainID == "" {
				others++
				continue
			}
			blocks++
			b, err := good.Block(d.ChainID, d.Height)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.RepairBlock(b); err == nil {
				repaired++
			} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrFailed) {
				t.Errorf("flip at %d: repair: %v", at, err)
			}
		}
		if c, err := s.readAll(); err == nil {
			if diff := equalContents(truth, c); diff != "" {
				t.Errorf("flip at %d, found %v: served silently: %s", at, found, diff)
			}
		} else if len(found) == 0 {
			t.Errorf("flip at %d: a scrub finds nothing, reading meets %v", at, err)
		}
		_ = s.Close()
	}
	t.Logf("%d damaged blocks found, %d of them repaired in place, %d damages of something else", blocks, repaired, others)
	if !testing.Short() && (repaired == 0 || others == 0) { // a few flips need not meet everything
		t.Error("one kind of damage did not happen")
	}
}

// A damaged key of state is not an absent one: reads of it, and scans over it, meet damage though no scrub has been
// there.
func TestDamagedKeyIsNotAbsent(t *testing.T) {
	m := newMaker(t)
	for bit := range 8 {
		dir := t.TempDir()
		s := m.filled(dir, quiet(t), nil)
		key := "o/o2" // an organisation's
		if v, err := s.Get(ledger.SystemChain, []byte(key)); v == nil || err != nil {
			t.Fatalf("there is no %q: %v", key, err)
		}
		path := filepath.Join(dir, databaseName)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; ; at++ { // keys lie behind one another's values
			i := bytes.Index(content[at:], []byte(key))
			if i < 0 {
				break
			}
			at += i
			if _, err := f.WriteAt([]byte{content[at] ^ 1<<bit}, int64(at)); err != nil {
				t.Fatal(err)
			}
		}
		_ = f.Close()
		if v, err := s.Get(ledger.SystemChain, []byte(key)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("bit %d of the key is damaged: Get: %q, %v", bit, v, err)
		}
		if err := s.Scan(ledger.SystemChain, []byte("o/"), func(k, v []byte) error { return nil }); !errors.Is(err,
			ErrCorrupt) {
			t.Errorf("bit %d of the key is damaged: Scan: %v", bit, err)
		}
		_ = s.Close()
	}
}
