package checkpoint

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ltl/internal/ledger"
)

// TestCosignAfterRestoration: until a restoration is recorded nothing is signed, nor given out again. Afterwards the
// origin names it, what was lost may be signed again under it, and a copy that contradicts what was kept is refused, as
// is one from before the restoration.
func TestCosignAfterRestoration(t *testing.T) {
	c := &copyOfLedger{blocks: 10}
	s := open(t, filepath.Join(t.TempDir(), Directory), true, c)
	now := time.Now()
	s.now = func() time.Time { now = now.Add(signEvery); return now }
	sign := func(size uint64) (*body, error) {
		note, err := s.Cosign(t.Context(), chain, size)
		if err != nil {
			return nil, err
		}
		return parseBody(note)
	}
	first, err := sign(8)
	if err != nil {
		t.Fatal(err)
	}
	c.restore(0, 5)
	c.blocks, c.unrecorded = 12, fmt.Errorf("%w: as is said", ErrUnrecorded)
	for _, size := range []uint64{5, 8} {
		if b, err := sign(size); !errors.Is(err, ErrUnrecorded) {
			t.Errorf("%d blocks before it is recorded: %v, %v", size, b, err)
		}
	}
	c.restored, c.unrecorded = Restored{1, 5}, nil
	again, err := sign(8)
	if err != nil || again.origin != Origin(ledger.Hash{}, chain, 1) || again.root == first.root || s.Fault() != "" {
		t.Fatalf("after it is recorded: %+v, %v, fault %q", again, err, s.Fault())
	}
	if !strings.HasSuffix(again.origin, chain+"/r1") || first.origin != Origin(ledger.Hash{}, chain, 0) {
		t.Errorf("origins %q and %q", first.origin, again.origin)
	}
	c.restored = Restored{}
	if b, err := sign(9); !errors.Is(err, ErrFork) || s.Fault() == "" {
		t.Errorf("a copy from before the restoration: %+v, %v", b, err)
	}
	c.restored = Restored{4, 9} // of which the first eight were signed
	if b, err := sign(9); err != nil || numberOf(b.origin) != 4 {
		t.Errorf("after the next restoration: %+v, %v", b, err)
	}
	c.kept = append(c.kept[:3:3], 9, 9, 9, 9, 9, 9)
	c.restored = Restored{5, 9}
	fresh := open(t, s.latch.dir+"x", true, c) // no tree in memory
	fresh.latch.held, fresh.now = s.latch.held, s.now
	if _, err := fresh.Cosign(t.Context(), chain, 9); !errors.Is(err, ErrFork) {
		t.Errorf("a copy with another block among those that were kept: %v", err)
	}
}
