package checkpoint

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"ltl/internal/ledger"
)

const chain = "0000000000000042"

// copyOfLedger is a ledger that can be set back and replaced, as disks are.
type copyOfLedger struct {
	fork   byte
	blocks uint64
	// forkedAt is the height from which the blocks are those of the fork.
	forkedAt uint64
	timeMs   int64
	// kept are the forks of the blocks that restorations kept.
	kept     []byte
	restored Restored
	// unrecorded is why nothing is signed.
	unrecorded error
}

// forkOf is the fork that a block belongs to.
func (c *copyOfLedger) forkOf(height uint64) byte {
	switch {
	case height < uint64(len(c.kept)):
		return c.kept[height]
	case height >= c.forkedAt:
		return c.fork
	}
	return 0
}

// restore sets the ledger back to so many blocks and goes on with others.
func (c *copyOfLedger) restore(number uint32, blocks uint64) {
	var kept []byte
	for h := range blocks {
		kept = append(kept, c.forkOf(h))
	}
	c.fork++
	c.kept, c.forkedAt, c.blocks, c.restored = kept, blocks, blocks, Restored{number, blocks}
}

func (c *copyOfLedger) source() Source {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return Source{
		Chain: func(id string) (Chain, bool) { return Chain{c.blocks, c.timeMs}, id == chain && c.blocks > 0 },
		BlockHash: func(_ string, height uint64) (ledger.Hash, error) {
			return leafHash(c.forkOf(height), height), nil
		},
		Sequence: func(_ string, height uint64) (uint64, error) { return height, nil },
		Restored: func() (Restored, error) { return c.restored, c.unrecorded },
		Key:      func() (string, ed25519.PrivateKey, error) { return NodeName(ledger.Hash{}, "n1"), key, nil },
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func open(t *testing.T, dir string, fresh bool, c *copyOfLedger) *Signer {
	t.Helper()
	s := Open(dir, fresh, c.source(), quiet())
	t.Cleanup(func() { s.Close() })
	return s
}

func sizeOf(t *testing.T, note []byte) uint64 {
	t.Helper()
	b, err := parseBody(note)
	if err != nil {
		t.Fatal(err)
	}
	return b.size
}

// stopped is the value of the metric ltl_checkpoints_stopped.
func stopped(t *testing.T, s *Signer) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.Collectors()...)
	all, err := registry.Gather()
	if err != nil || len(all) != 2 || all[0].GetName() != "ltl_checkpoints_stopped" {
		t.Fatal(all, err)
	}
	return all[0].GetMetric()[0].GetGauge().GetValue()
}

// TestCosign: a signer signs what it has, gives out again what it signed, and at most one new size a second.
func TestCosign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &copyOfLedger{blocks: 10}
		s := open(t, filepath.Join(t.TempDir(), Directory), true, c)
		if _, err := s.Cosign(t.Context(), chain, 11); !errors.Is(err, ErrBehind) {
			t.Errorf("more than there is: %v", err)
		}
		if _, err := s.Cosign(t.Context(), "0000000000000043", 1); !errors.Is(err, ErrBehind) {
			t.Errorf("another chain: %v", err)
		}
		first, err := s.Cosign(t.Context(), chain, 7)
		if err != nil || sizeOf(t, first) != 7 {
			t.Fatalf("%q %v", first, err)
		}
		began := time.Now()
		for _, want := range []uint64{3, 7} { // it has signed seven, and signs nothing smaller
			if again, err := s.Cosign(t.Context(), chain, want); err != nil || string(again) != string(first) {
				t.Errorf("%d: %q %v", want, again, err)
			}
		}
		if time.Since(began) != 0 {
			t.Error("what was signed is not given out at once")
		}
		done := make(chan uint64)
		for _, size := range []uint64{8, 10} {
			go func() {
				note, err := s.Cosign(context.Background(), chain, size)
				if err != nil {
					t.Error(err)
				}
				done <- sizeOf(t, note)
			}()
		}
		if a, b := <-done, <-done; a != 10 || b != 10 || time.Since(began) < signEvery {
			t.Errorf("sizes %d and %d after %v: one signature serves all that wait", a, b, time.Since(began))
		}
		c.blocks = 12
		time.Sleep(signEvery)
		c.timeMs = time.Now().Add(ahead + time.Millisecond).UnixMilli()
		if _, err := s.Cosign(t.Context(), chain, 11); !errors.Is(err, ErrClock) {
			t.Errorf("a block of the future: %v", err)
		}
	})
}

// TestLatchLost: without its memory a signer with a ledger signs nothing, nor with a damaged one, nor beside another
// process; with a directory that an operator made it does.
func TestLatchLost(t *testing.T) {
	c := &copyOfLedger{blocks: 10}
	dir := filepath.Join(t.TempDir(), Directory)
	sign := func(s *Signer, size uint64) error {
		_, err := s.Cosign(t.Context(), chain, size)
		return err
	}
	s := open(t, dir, false, c)
	if err := sign(s, 5); !errors.Is(err, ErrLatchLost) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("without a directory: %v", err)
	}
	if stopped(t, s) != 1 || s.Fault() != "" {
		t.Errorf("without a directory the metric is %v, the fault %q", stopped(t, s), s.Fault())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, false, c)
	if err := sign(s, 5); err != nil {
		t.Fatalf("with a directory: %v", err)
	}
	if stopped(t, s) != 0 {
		t.Error("the metric says that it does not sign")
	}
	if err := sign(open(t, dir, false, c), 6); !errors.Is(err, ErrLatchLost) {
		t.Fatalf("beside another process: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, chain)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 8 * len(good) {
		bad := append([]byte(nil), good...)
		bad[i/8] ^= 1 << (i % 8)
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, false, c)
		if err := sign(s, 6); !errors.Is(err, ErrLatchLost) {
			t.Fatalf("with bit %d flipped: %v", i, err)
		}
		s.Close()
	}
}

// TestNeverTwoRoots runs seeded schedules of what happens to a signer: it is killed and started, killed while it
// remembers, its ledger is set back, replaced by a fork, or restored with a record of that, a second process starts
// beside it, and its ledger is one from before the record again. Whatever it gives out, no size of an origin gets two
// roots, and what it gives out is on disk.
func TestNeverTwoRoots(t *testing.T) {
	schedules := uint64(10_000)
	if testing.Short() {
		schedules = 500
	}
	root, err := os.MkdirTemp("/dev/shm", "signed") // memory: syncs cost nothing there
	if err != nil {
		root = t.TempDir()
	}
	defer os.RemoveAll(root)
	forks, restored := 0, 0
	for seed := range schedules {
		h := &schedule{t: t, seed: seed, random: rand.New(rand.NewPCG(seed, 7)), ledger: &copyOfLedger{blocks: 1},
			dir: filepath.Join(root, fmt.Sprint(seed)), roots: map[string]string{}, newest: map[string]uint64{}, signed: map[string][]byte{}}
		h.run()
		forks += h.refused
		restored += h.restored
		os.RemoveAll(h.dir)
	}
	if forks == 0 || restored == 0 {
		t.Errorf("%d forks were refused, %d checkpoints signed after a restoration: nothing was shown", forks, restored)
	}
}

type schedule struct {
	t       *testing.T
	seed    uint64
	random  *rand.Rand
	ledger  *copyOfLedger
	dir     string
	signer  *Signer
	roots   map[string]string // what was given out, by origin and size
	refused int
	signed  map[string][]byte // the forks of the blocks of the newest, by origin
	newest  map[string]uint64 // the largest size that was given out, by origin
	// restored counts what was signed after a restoration.
	restored int
}

func (h *schedule) run() {
	h.start(true)
	for range 12 {
		switch h.random.IntN(11) {
		case 0:
			h.restart()
		case 1: // the ledger is set back, as by a restored disk, and continues as it was
			h.ledger.blocks = 1 + h.random.Uint64N(h.ledger.blocks)
			h.restart()
		case 2: // the ledger is set back and continues with other blocks
			at := h.ledger.restored
			h.ledger.restore(0, 1+h.random.Uint64N(h.ledger.blocks))
			h.ledger.restored = at
			h.ledger.blocks += h.random.Uint64N(20)
			h.restart()
		case 3: // another process beside it
			second := Open(filepath.Join(h.dir, Directory), false, h.ledger.source(), quiet())
			second.now = h.signer.now
			if _, err := second.Cosign(h.t.Context(), chain, h.ledger.blocks); err == nil {
				h.t.Fatalf("seed %d: a second process signs", h.seed)
			}
			second.Close()
		case 4: // killed after it wrote, before it renamed
			h.signer.Close()
			if err := os.WriteFile(filepath.Join(h.dir, Directory, chain+".new"), []byte("half"), 0o600); err != nil {
				h.t.Fatal(err)
			}
			h.start(false)
		case 5: // restored, and recorded
			h.ledger.restore(h.ledger.restored.Number+1+h.random.Uint32N(2), 1+h.random.Uint64N(h.ledger.blocks))
			h.ledger.blocks += 1 + h.random.Uint64N(20)
			h.restart()
		case 6: // another copy, from before the last restoration
			before := *h.ledger
			h.ledger.restored.Number -= min(1, h.ledger.restored.Number)
			h.restart()
			h.ask()
			*h.ledger = before
			h.restart()
		default:
			h.ledger.blocks += h.random.Uint64N(9)
			h.ask()
		}
	}
	h.signer.Close()
}

func (h *schedule) restart() {
	h.signer.Close()
	h.start(false)
}

func (h *schedule) start(fresh bool) {
	if fresh {
		if err := os.Mkdir(h.dir, 0o700); err != nil {
			h.t.Fatal(err)
		}
	}
	h.signer = Open(filepath.Join(h.dir, Directory), fresh, h.ledger.source(), quiet())
	now := time.Now()
	h.signer.now = func() time.Time { now = now.Add(signEvery); return now }
}

func (h *schedule) ask() {
	size := 1 + h.random.Uint64N(h.ledger.blocks)
	note, err := h.signer.Cosign(h.t.Context(), chain, size)
	if errors.Is(err, ErrFork) {
		h.refused++
		if h.signer.Fault() != err.Error() || stopped(h.t, h.signer) != 1 {
			h.t.Fatalf("seed %d: the fault is %q, the error %v", h.seed, h.signer.Fault(), err)
		}
		return
	}
	if err != nil {
		h.t.Fatalf("seed %d: %v", h.seed, err)
	}
	b, err := parseBody(note)
	if err != nil {
		h.t.Fatal(err)
	}
	text, place := b.text(), fmt.Sprint(b.origin, b.size)
	if before, ok := h.roots[place]; ok && before != text {
		h.t.Fatalf("seed %d: two roots for %d blocks:\n%s%s", h.seed, b.size, before, text)
	}
	if h.roots[place] == "" { // a new one: what it is of must go on from what was signed under this origin
		blocks := make([]byte, b.size)
		for i := range blocks {
			blocks[i] = h.ledger.forkOf(uint64(i))
		}
		if before := h.signed[b.origin]; !bytes.HasPrefix(blocks, before) {
			h.t.Fatalf("seed %d: %s of %d blocks contradicts that of %d", h.seed, b.origin, b.size, len(before))
		}
		h.signed[b.origin] = blocks
	}
	h.roots[place] = text
	h.newest[b.origin] = max(h.newest[b.origin], b.size)
	stored, err := readHeld(filepath.Join(h.dir, Directory, chain))
	if err != nil || stored.size != h.newest[b.origin] || stored.origin != b.origin {
		h.t.Fatalf("seed %d: it gave out %d blocks, on disk are %v, %v", h.seed, h.newest[b.origin], stored, err)
	}
	if h.ledger.restored.Number > 0 {
		h.restored++
	}
}
