package scrub

import (
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newScrubber scrubs a store with the given sources. Damage that is not that of single blocks goes to the returned
// list.
func newScrubber(s *store.Store, sources ...Source) (*Scrubber, *[]error) {
	var damaged []error
	return New(Config{Store: s, Interval: time.Hour, Sources: func() []Source { return sources },
		Damaged: func(err error) { damaged = append(damaged, err) }, Logger: quiet()}), &damaged
}

// round scrubs once and repairs what it can.
func (s *Scrubber) round(t *testing.T) {
	t.Helper()
	if err := s.scrub(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.repair(t.Context())
}

// sameBlocks checks that two stores hold the same blocks.
func sameBlocks(t *testing.T, have, want *store.Store) {
	t.Helper()
	if have.Sequence() != want.Sequence() {
		t.Fatalf("%d blocks, want %d", have.Sequence(), want.Sequence())
	}
	for n := range want.Sequence() {
		a, err := have.BlockAt(n)
		if err != nil {
			t.Errorf("sequence %d: %v", n, err)
			continue
		}
		if b, err := want.BlockAt(n); err != nil || !proto.Equal(a, b) {
			t.Errorf("sequence %d: another block, %v", n, err)
		}
	}
	if err := have.Verify(t.Context(), nil); err != nil {
		t.Errorf("the repaired ledger is not right: %v", err)
	}
}

// TestSoundLedger: a scrub of a sound ledger finds nothing, asks no source, and writes nothing.
func TestSoundLedger(t *testing.T) {
	s, dir := newLedger(t, "account")
	good, _ := newLedger(t, "account")
	source, served := newSource(t, "good", good, nil)
	scrubber, damaged := newScrubber(s, source)
	before := settled(t, dir)
	scrubber.round(t)
	if !maps.Equal(before, fileSums(t, dir)) {
		t.Error("the scrub changed files of a sound ledger")
	}
	if f := scrubber.Fault(); f != "" || len(*damaged) > 0 || served.asked.Load() > 0 {
		t.Errorf("fault %q, damage %v, %d blocks fetched", f, *damaged, served.asked.Load())
	}
	if n := valueOf(t, scrubber.metrics.scrubs); n != 1 {
		t.Errorf("%v scrubs are counted", n)
	}
}

// settled returns the checksums of a ledger's files once its index is not flushed or merged any more.
func settled(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	last := fileSums(t, dir)
	for range 500 {
		time.Sleep(10 * time.Millisecond)
		now := fileSums(t, dir)
		if maps.Equal(last, now) {
			return now
		}
		last = now
	}
	t.Fatal("the index does not come to rest")
	return nil
}

// TestBlocksAreRepaired: each damaged block is found and written again from another copy, also the tip and neighbours,
// and no other block is fetched or written.
func TestBlocksAreRepaired(t *testing.T) {
	s, dir := newLedger(t, "account")
	good, _ := newLedger(t, "account")
	source, served := newSource(t, "good", good, nil)
	scrubber, damaged := newScrubber(s, source)
	wounded := []uint64{2, 5, 6, 7, blocks}
	for _, h := range wounded {
		damageBlock(t, dir, h)
		if _, err := s.Block(ledger.SystemChain, h); !errors.Is(err, store.ErrCorrupt) {
			t.Fatalf("block %d is damaged and read with %v", h, err)
		}
	}
	scrubber.round(t)
	if f := scrubber.Fault(); f != "" || len(*damaged) > 0 {
		t.Errorf("fault %q, damage %v", f, *damaged)
	}
	if n := int(served.asked.Load()); n != len(wounded) {
		t.Errorf("%d blocks were fetched, %d are damaged", n, len(wounded))
	}
	found, repaired := valueOf(t, scrubber.metrics.damages), valueOf(t, scrubber.metrics.repaired)
	if int(found) != len(wounded) || int(repaired) != len(wounded) {
		t.Errorf("%v damages found and %v blocks repaired, want %d", found, repaired, len(wounded))
	}
	sameBlocks(t, s, good)
	scrubber.round(t)
	if n := int(valueOf(t, scrubber.metrics.damages)); n != len(wounded) {
		t.Errorf("the second scrub finds %d damages", n-len(wounded))
	}
}

// TestLyingSources: nothing that a source gives is stored but the very block that is damaged. The next source is
// asked, and without a right one the damage stays known and the bytes stay as they are.
func TestLyingSources(t *testing.T) {
	s, dir := newLedger(t, "account")
	good, _ := newLedger(t, "account")
	other, _ := newLedger(t, "accounT")
	liars := map[string]func(b *ltlv1.Block) *ltlv1.Block{
		"no answer":           func(*ltlv1.Block) *ltlv1.Block { return nil },
		"an empty block":      func(*ltlv1.Block) *ltlv1.Block { return &ltlv1.Block{} },
		"a header alone":      func(b *ltlv1.Block) *ltlv1.Block { return &ltlv1.Block{Header: b.GetHeader()} },
		"another time":        func(b *ltlv1.Block) *ltlv1.Block { return retimed(t, b) },
		"another result":      func(b *ltlv1.Block) *ltlv1.Block { b.Results[0]++; return b },
		"another transaction": func(b *ltlv1.Block) *ltlv1.Block { b.Batches[0].Transactions[0][20] ^= 1; return b },
		"another signature":   func(b *ltlv1.Block) *ltlv1.Block { b.Batches[0].Endorsements[0].Signature[7] ^= 1; return b },
		"no endorsements":     func(b *ltlv1.Block) *ltlv1.Block { b.Batches[0].Endorsements = nil; return b },
	}
	const height = 4
	damageBlock(t, dir, height)
	before := settled(t, dir)
	var sources []Source
	for name, alter := range liars {
		source, _ := newSource(t, "liar", good, alter)
		source.Name = name
		sources = append(sources, source)
	}
	history, _ := newSource(t, "another history", other, nil)
	short, _ := newSource(t, "a short copy", shortLedger(t), nil)
	sources = append(sources, history, short)
	for _, source := range sources {
		scrubber, damaged := newScrubber(s, source)
		scrubber.round(t)
		want := "block 4 of chain " + ledger.SystemChain + " is damaged"
		if f := scrubber.Fault(); !strings.Contains(f, want) || len(*damaged) > 0 {
			t.Errorf("%s: fault %q, damage %v", source.Name, f, *damaged)
		}
		if n := valueOf(t, scrubber.metrics.unrepaired); n != 1 {
			t.Errorf("%s: %v damages are known", source.Name, n)
		}
	}
	if !maps.Equal(before, fileSums(t, dir)) {
		t.Error("a lying source changed the ledger's files")
	}
	right, _ := newSource(t, "good", good, nil)
	scrubber, _ := newScrubber(s, append(sources, right)...)
	scrubber.round(t)
	if f := scrubber.Fault(); f != "" {
		t.Errorf("with a right source behind the liars: %s", f)
	}
	sameBlocks(t, s, good)
}

// retimed is the block with another time in its header.
func retimed(t *testing.T, b *ltlv1.Block) *ltlv1.Block {
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		t.Error(err)
		return b
	}
	h.TimeMs++
	b.Header = h.Encode()
	return b
}

// shortLedger has the genesis block alone.
func shortLedger(t *testing.T) *store.Store {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{NoSync: true, Logger: quiet(),
		Fatal: func(err error) { t.Error("Fatal:", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if err := s.Init(genesis(t)); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNoSource: without another copy the damage is named, and a source that comes later repairs it without another
// scrub.
func TestNoSource(t *testing.T) {
	s, dir := newLedger(t, "account")
	good, _ := newLedger(t, "account")
	source, _ := newSource(t, "good", good, nil)
	var sources []Source
	scrubber := New(Config{Store: s, Sources: func() []Source { return sources }, Logger: quiet(),
		Damaged: func(err error) { t.Error("Damaged:", err) }})
	for h := uint64(1); h <= 5; h++ {
		damageBlock(t, dir, h)
	}
	scrubber.round(t)
	if f := scrubber.Fault(); !strings.Contains(f, "block 5 of chain") || !strings.Contains(f, "and 2 more blocks") {
		t.Errorf("fault %q", f)
	}
	sources = []Source{source}
	scrubber.repair(t.Context())
	if f := scrubber.Fault(); f != "" {
		t.Errorf("fault %q", f)
	}
	sameBlocks(t, s, good)
}

// TestUpperBlockStaysDamaged: a block below one that cannot be repaired waits for it. It is not taken for damage of
// the tree.
func TestUpperBlockStaysDamaged(t *testing.T) {
	s, dir := newLedger(t, "account")
	good, _ := newLedger(t, "account")
	withheld := uint64(7)
	source, served := newSource(t, "good", good, func(b *ltlv1.Block) *ltlv1.Block {
		if h, err := ledger.ParseHeader(b.GetHeader()); err != nil || h.Height == withheld {
			return nil
		}
		return b
	})
	damageBlock(t, dir, 6)
	damageBlock(t, dir, 7)
	scrubber, damaged := newScrubber(s, source)
	scrubber.round(t)
	if n := valueOf(t, scrubber.metrics.unrepaired); n != 2 || len(*damaged) > 0 {
		t.Errorf("%v damages are known, want 2; %v", n, *damaged)
	}
	withheld = 0
	if served.asked.Load() == 0 {
		t.Error("the source was not asked")
	}
	scrubber.repair(t.Context())
	if f := scrubber.Fault(); f != "" {
		t.Errorf("fault %q", f)
	}
	sameBlocks(t, s, good)
}

// TestOtherDamage: damage of state, index and the tree of pages is found and reported to the owner; it is not repaired
// in place, and blocks that are damaged at the same time still are.
func TestOtherDamage(t *testing.T) {
	treeKey := func(height uint64) []byte { // the key of a block's first part, and the first bytes of the part
		key := append(binary.BigEndian.AppendUint64(nil, height), 0, 0)
		return append(key, 1, 0x0a, ledger.HeaderLen&0x7f|0x80, ledger.HeaderLen>>7)
	}
	for name, damage := range map[string]func(dir string){
		"state value": func(dir string) { flip(t, filepath.Join(dir, "ledger.db"), []byte("o/o1"), 4) },
		"state key":   func(dir string) { flip(t, filepath.Join(dir, "ledger.db"), []byte("o/o1"), 3) },
		"index":       func(dir string) { damageIndex(t, dir) },
		"tree":        func(dir string) { flip(t, filepath.Join(dir, "ledger.db"), treeKey(8), 6) },
	} {
		t.Run(name, func(t *testing.T) {
			s, dir := newLedger(t, "account")
			good, _ := newLedger(t, "account")
			source, _ := newSource(t, "good", good, nil)
			scrubber, damaged := newScrubber(s, source)
			settled(t, dir)
			damage(dir)
			damageBlock(t, dir, 3)
			scrubber.round(t)
			if len(*damaged) != 1 || !errors.Is((*damaged)[0], store.ErrCorrupt) {
				t.Errorf("reported: %v", *damaged)
			}
			if f := scrubber.Fault(); !strings.Contains(f, "the ledger is damaged") || strings.Contains(f, "block 3 of") {
				t.Errorf("fault %q", f)
			}
			if _, err := s.Block(ledger.SystemChain, 3); err != nil {
				t.Errorf("the damaged block was not repaired: %v", err)
			}
		})
	}
}

// damageIndex flips one bit of every data page of the index.
func damageIndex(t *testing.T, dir string) {
	t.Helper()
	const page, kindAt = 4096, 14
	names, err := filepath.Glob(filepath.Join(dir, "index", "*.run"))
	if err != nil || len(names) == 0 {
		t.Fatalf("there is no run of the index: %v", err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(content); at += page {
			if content[at+kindAt] == 'd' {
				if _, err := f.WriteAt([]byte{content[at+40] ^ 1}, int64(at+40)); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = f.Close()
	}
}

// TestRun: a read that meets damage begins a scrub at once, long before the interval ends, and Run ends with its
// context.
func TestRun(t *testing.T) {
	s, dir := newLedger(t, "account")
	good, _ := newLedger(t, "account")
	source, _ := newSource(t, "good", good, nil)
	scrubber, _ := newScrubber(s, source)
	damageBlock(t, dir, 9)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		scrubber.Run(ctx)
		close(done)
	}()
	if _, err := s.Block(ledger.SystemChain, 9); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("the damaged block is read with %v", err)
	}
	waitFor(t, "the repair", func() bool { return valueOf(t, scrubber.metrics.repaired) == 1 })
	if _, err := s.Block(ledger.SystemChain, 9); err != nil {
		t.Errorf("after the repair: %v", err)
	}
	cancel()
	<-done
}

// TestRunEndsWithTheStore: a store that is closed under the scrubber ends it, without a report of damage.
func TestRunEndsWithTheStore(t *testing.T) {
	s, _ := newLedger(t, "account")
	scrubber := New(Config{Store: s, Interval: time.Millisecond, Sources: func() []Source { return nil }, Logger: quiet(),
		Damaged: func(err error) { t.Error("Damaged:", err) }})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		scrubber.Run(t.Context())
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("Run goes on without a store")
	}
	if f := scrubber.Fault(); f != "" {
		t.Errorf("fault %q", f)
	}
}

// valueOf is the value of a metric.
func valueOf(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 {
		t.Fatalf("%d metrics: %v", len(families), err)
	}
	m := families[0].GetMetric()[0]
	return m.GetCounter().GetValue() + m.GetGauge().GetValue() // one of the two
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 1000 {
		if condition() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited ten seconds for %s", what)
}

// TestPace: a scrub reads no more than bytesPerSecond, in pieces of any size, and a pause ends with the context.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, piece := range []int{1, 1000, paceBytes, 5 << 20} {
			began, read := time.Now(), 0
			pace := pacer(t.Context())
			for read < 10*bytesPerSecond {
				if err := pace(piece); err != nil {
					t.Fatal(err)
				}
				read += piece
				if piece == 1 && read > 4*paceBytes {
					break
				}
			}
			took := time.Since(began)
			ideal := time.Duration(read) * time.Second / bytesPerSecond
			if over := ideal - took; over > time.Second/20 || took > ideal {
				t.Errorf("pieces of %d bytes: %d bytes took %v, want %v", piece, read, took, ideal)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := pacer(ctx)(100 * bytesPerSecond); !errors.Is(err, context.DeadlineExceeded) ||
			time.Since(began) != time.Second {
			t.Errorf("a pause of 100 s under a context of 1 s: %v after %v", err, time.Since(began))
		}
	})
}
