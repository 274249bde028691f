package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// opened are a store's openings as its reads give them: by sequence number and transaction.
func (s *Store) opened(t testing.TB) map[string]string {
	t.Helper()
	all := map[string]string{}
	for n := range s.Sequence() {
		found, err := s.openingsAt(n)
		if err != nil {
			t.Fatal(err)
		}
		for i, o := range found {
			all[fmt.Sprint(n, " ", i)] = string(o.GetOpenings()[0].GetValue())
		}
	}
	return all
}

// lacks are the heights of all blocks that a store notes as lacking openings, by chain.
func (s *Store) lacks(t testing.TB) map[string][]uint64 {
	t.Helper()
	all := map[string][]uint64{}
	for _, tip := range s.Tips() {
		heights, err := s.ListLacking(tip.ChainID, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		if len(heights) > 0 {
			all[tip.ChainID] = heights
		}
	}
	return all
}

// subset fails unless have is a part of want.
func subset(t testing.TB, want, have map[string]string) {
	t.Helper()
	for k, v := range have {
		if want[k] != v {
			t.Fatalf("openings %q are %q, want %q", k, v, want[k])
		}
	}
}

// A power cut takes from the newest file of openings what was not synced. The blocks stay, what is read is right or not
// there, and the entries that Raft gives again fill it in.
func TestOpeningsAfterPowerCut(t *testing.T) {
	m := newMaker(t)
	dir, o := t.TempDir(), quiet(t)
	entries := m.mixed(12)
	s := m.filled(dir, o, entries[:6])
	if err := s.SyncOpenings(); err != nil {
		t.Fatal(err)
	}
	kept, synced := s.opened(t), int(s.headNow().openings.offset)
	if _, err := s.Apply(entries[6:]); err != nil {
		t.Fatal(err)
	}
	truth, end := s.opened(t), int(s.headNow().openings.offset)
	if len(truth) <= len(kept) || len(kept) == 0 {
		t.Fatalf("%d openings, %d of them synced", len(truth), len(kept))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []struct {
		at    int
		zeros bool
	}{{synced, false}, {synced, true}, {synced + 5, true}, {(synced + end) / 2, false}, {(synced + end) / 2, true},
		{end - 1, false}, {end - 1, true}} {
		to := t.TempDir()
		copyDir(t, dir, to)
		path := filepath.Join(to, openingsName, segmentName(0))
		if err := os.Truncate(path, int64(cut.at)); err != nil {
			t.Fatal(err)
		}
		if cut.zeros { // the file's length was on disk, and its bytes were not
			if err := os.Truncate(path, int64(end)); err != nil {
				t.Fatal(err)
			}
		}
		c := openTest(t, to, o)
		have := c.opened(t)
		subset(t, truth, have)
		subset(t, have, kept)
		if len(have) == len(truth) || len(c.lacks(t)) == 0 {
			t.Fatalf("cut at %d: %d openings of %d, lacking %v", cut.at, len(have), len(truth), c.lacks(t))
		}
		if err := c.Verify(context.Background(), nil); err != nil {
			t.Fatalf("cut at %d: %v", cut.at, err)
		}
		if _, err := c.Apply(append(slices.Clone(m.setup), entries...)); err != nil {
			t.Fatal(err)
		}
		if have := c.opened(t); !maps.Equal(have, truth) || len(c.lacks(t)) > 0 {
			t.Fatalf("cut at %d, and entries applied again: %d openings of %d, lacking %v", cut.at, len(have), len(truth),
				c.lacks(t))
		}
		if err := c.Verify(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Damage of a file of openings is never served. A scrub finds it; what another copy has fills it in, checked against
// the commitments, and nothing of the damaged bytes is left.
func TestDamagedOpenings(t *testing.T) {
	m := newMaker(t)
	dir, o := t.TempDir(), quiet(t)
	entries := m.mixed(6)
	s, good := m.filled(dir, o, entries), m.filled(t.TempDir(), o, entries)
	truth, path := good.opened(t), filepath.Join(dir, openingsName, segmentName(0))
	clean, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(clean); at += 37 {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt([]byte{clean[at] ^ 0x10}, int64(at)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		subset(t, truth, s.opened(t))
	}
	if err := s.Verify(context.Background(), nil); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("Verify of damaged openings: %v", err)
	}
	if found := s.scrubbed(t); len(found) != 0 {
		t.Fatalf("damaged openings are damage of blocks: %v", found)
	}
	lacking := s.lacks(t)
	if len(lacking) == 0 {
		t.Fatal("the scrub has noted nothing as lacking")
	}
	for chain, heights := range lacking {
		for _, h := range heights {
			right, err := good.BlockOpenings(chain, h)
			if err != nil {
				t.Fatal(err)
			}
			for name, wrong := range falsified(right) {
				if n, err := s.PutOpenings(chain, []*ltlv1.BlockOpenings{{Height: h, Transactions: wrong}}); n > 0 || err != nil {
					t.Fatalf("%s: taken as complete: %v", name, err)
				}
			}
			subset(t, truth, s.opened(t))
			if n, err := s.PutOpenings(chain, []*ltlv1.BlockOpenings{{Height: h, Transactions: right}}); n != 1 || err != nil {
				t.Fatalf("the right openings of block %d: %d, %v", h, n, err)
			}
		}
	}
	if have := s.opened(t); !maps.Equal(have, truth) || len(s.lacks(t)) > 0 {
		t.Fatalf("%d openings of %d, lacking %v", len(have), len(truth), s.lacks(t))
	}
	if err := s.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if old := after[:len(clean)]; bytes.Contains(old, []byte("value 0")) { // it is in the first block
		t.Fatal("the damaged extents still hold a value")
	}
}

// falsified are variants of a block's openings of which none fits.
func falsified(right map[uint32]*ltlv1.Openings) map[string]map[uint32]*ltlv1.Openings {
	all := map[string]map[uint32]*ltlv1.Openings{"nothing": nil, "other transactions": {}}
	for i, o := range right {
		all["other transactions"][i+1000] = o
	}
	for name, change := range map[string]func(*ltlv1.Openings){
		"salt":   func(o *ltlv1.Openings) { o.Openings[0].Salt[3] ^= 1 },
		"value":  func(o *ltlv1.Openings) { o.Openings[0].Value[0] ^= 1 },
		"longer": func(o *ltlv1.Openings) { o.Openings[0].Value = append(o.Openings[0].Value, 'x') },
		"slot":   func(o *ltlv1.Openings) { o.Openings[0].Slot++ },
		"two":    func(o *ltlv1.Openings) { o.Openings = append(o.Openings, o.Openings[0]) },
		"none":   func(o *ltlv1.Openings) { o.Openings = nil },
		"more": func(o *ltlv1.Openings) {
			o.ProtoReflect().SetUnknown(protowire.AppendString(protowire.AppendTag(nil, 99, protowire.BytesType), "x"))
		},
		"more in one": func(o *ltlv1.Openings) {
			o.Openings[0].ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 99, protowire.VarintType), 1))
		},
	} {
		all[name] = map[uint32]*ltlv1.Openings{}
		for i, o := range right {
			all[name][i] = proto.CloneOf(o)
			change(all[name][i])
		}
	}
	return all
}

// While damaged openings are written again, each moment leaves on disk all that was good, whether the process is killed
// then or the power is cut.
func TestOpeningsWhileRepaired(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	s := m.filled(dir, quiet(t), []Entry{m.ordered(m.batch(m.set(0, "1", "one"), m.set(0, "2", "two"), m.set(0, "3", "three")))})
	path := filepath.Join(dir, openingsName, segmentName(0))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 0x10 // in the last of three
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	good := s.opened(t)
	var moments []string
	copied := func() {
		to := t.TempDir()
		copyDir(t, dir, to)
		moments = append(moments, to)
	}
	s.with.beforeCommit, s.with.hook = copied, func(string) { copied() }
	if found := s.scrubbed(t); len(found) != 0 {
		t.Fatal(found)
	}
	s.with.beforeCommit, s.with.hook = nil, nil
	if len(moments) < 2 {
		t.Fatalf("%d moments", len(moments))
	}
	for i, to := range moments {
		c := openTest(t, to, quiet(t))
		if have := c.opened(t); !maps.Equal(have, good) {
			t.Errorf("moment %d: %d openings of %d", i, len(have), len(good))
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What was written before the process was killed is made durable by the next sync after its start, not only noted so.
func TestSyncOpeningsAfterKill(t *testing.T) {
	m := newMaker(t)
	dir, killed := t.TempDir(), t.TempDir()
	m.filled(dir, quiet(t), m.mixed(6))
	copyDir(t, dir, killed)
	s := openTest(t, killed, quiet(t))
	if h := s.headNow(); h.durable == h.sequence || s.segments.file == nil {
		t.Fatalf("%d of %d blocks are durable, and the newest file is open: %v", h.durable, h.sequence, s.segments.file != nil)
	}
	if err := s.SyncOpenings(); err != nil {
		t.Fatal(err)
	}
}

// A leader that leaves openings out, or gives false ones, makes the same blocks: their openings are lacking.
func TestEntriesWithoutOpenings(t *testing.T) {
	m := newMaker(t)
	entries := m.mixed(6)
	honest := m.filled(t.TempDir(), quiet(t), entries)
	for name, change := range map[string]func(*ltlv1.Batch){
		"left out": func(b *ltlv1.Batch) { b.Openings = nil },
		"too few":  func(b *ltlv1.Batch) { b.Openings = b.Openings[:len(b.Openings)/2] },
		"false": func(b *ltlv1.Batch) {
			for _, o := range b.GetOpenings() {
				for _, one := range o.GetOpenings() {
					one.Value = []byte(strings.Repeat("f", len(one.GetValue())))
				}
			}
		},
	} {
		var lying []Entry
		for _, e := range entries {
			e.Entry = proto.CloneOf(e.Entry)
			for _, b := range e.Entry.GetBatches().GetBatches() {
				change(b)
			}
			lying = append(lying, e)
		}
		s := m.filled(t.TempDir(), quiet(t), lying)
		for _, tip := range honest.Tips() {
			if have, _ := s.Tip(tip.ChainID); have.Hash != tip.Hash {
				t.Fatalf("%s: chain %s has another tip", name, tip.ChainID)
			}
		}
		subset(t, honest.opened(t), s.opened(t))
		if len(s.lacks(t)) == 0 {
			t.Fatalf("%s: nothing is lacking", name)
		}
		if err := s.Verify(context.Background(), nil); err != nil {
			t.Fatalf("%s: what is lacking is no damage: %v", name, err)
		}
		for chain, heights := range s.lacks(t) {
			for _, h := range heights {
				right, err := honest.BlockOpenings(chain, h)
				if err != nil {
					t.Fatal(err)
				}
				if n, err := s.PutOpenings(chain, []*ltlv1.BlockOpenings{{Height: h, Transactions: right}}); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
		}
		if !maps.Equal(s.opened(t), honest.opened(t)) {
			t.Fatalf("%s: not all openings are filled in", name)
		}
	}
}

// A refused transaction leaves no value, and one that is ordered again brings none back.
func TestOpeningsOfRefused(t *testing.T) {
	m := newMaker(t)
	first := m.batch(m.set(0, "1", "kept"))
	refused := m.batch(m.set(0, "1", "refused"))
	s := m.filled(t.TempDir(), quiet(t), []Entry{m.ordered(first), m.ordered(refused), m.ordered(first, refused)})
	for k, v := range s.opened(t) {
		if v != "kept" {
			t.Errorf("openings %s: %q", k, v)
		}
	}
	if n := len(s.opened(t)); n != 1 || len(s.lacks(t)) > 0 {
		t.Fatalf("%d openings, lacking %v", n, s.lacks(t))
	}
}

// Files of openings are ended at their size; all are read after a restart, and files that no commit names are deleted.
func TestOpeningSegments(t *testing.T) {
	m := newMaker(t)
	dir, o := t.TempDir(), quiet(t)
	s, err := open(dir, o, seams{segmentBytes: 500})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	for _, e := range append(slices.Clone(m.setup), m.mixed(12)...) {
		if _, err := s.Apply([]Entry{e}); err != nil {
			t.Fatal(err)
		}
	}
	truth, head := s.opened(t), s.headNow()
	if head.openings.segment < 2 || head.durable == 0 {
		t.Fatalf("the newest file is number %d, %d blocks are durable", head.openings.segment, head.durable)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	stray := filepath.Join(dir, openingsName, segmentName(head.openings.segment+1))
	if err := os.WriteFile(stray, []byte("never committed"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = openTest(t, dir, o)
	if !maps.Equal(s.opened(t), truth) {
		t.Fatal("other openings after a restart")
	}
	if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("a file that no commit names: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, databaseName)); err != nil {
		t.Fatal(err)
	}
	for _, run := range must(filepath.Glob(filepath.Join(dir, indexName, "*"))) {
		if err := os.Remove(run); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(dir, o); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("openings without a database: %v", err)
	}
}

// A directory of another version is refused, with what to do.
func TestOtherFormat(t *testing.T) {
	sealed := (&head{}).encode()
	old := slices.Clone(sealed[:len(sealed)-crcLen])
	binary.BigEndian.PutUint32(old, formatVersion-1)
	_, err := parseHead(seal(placeHead, "", []byte(keyHead), old))
	if !errors.Is(err, ErrOtherFormat) || !strings.Contains(err.Error(), "move the directory away") {
		t.Fatal(err)
	}
}

// FuzzFrames reads files of openings in which anything may stand.
func FuzzFrames(f *testing.F) {
	good, err := appendFrame(nil, 7, 3, &ltlv1.Openings{Openings: []*ltlv1.Opening{{Slot: rules.SlotValue,
		Salt: make([]byte, 16), Value: []byte("value")}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(append(slices.Clone(good), good...))
	f.Add(make([]byte, 60))
	f.Fuzz(func(t *testing.T, b []byte) {
		size := 0
		whole, err := eachFrame(b, 7, func(_ uint32, body []byte) error {
			size += frameHeader + len(body)
			return nil
		})
		if err != nil || whole && size != len(b) || size > len(b) {
			t.Fatalf("%d of %d bytes, whole %v: %v", size, len(b), whole, err)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
