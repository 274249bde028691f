package endorser_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ltl/endorser"
	ltlv1 "ltl/proto/ltl/v1"
)

// Damage outside single blocks stops the signing, even if only the scrub has read it; the reason says what to
// do.
func TestDamagedCopyEndsSigning(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	r := w.start(dir, func(cfg *endorser.Config) { cfg.ScrubInterval = 50 * time.Millisecond })
	r.caughtUp()
	damage(t, dir, "Org 3") // in the genesis block too, which the nodes give again
	deadline := time.Now().Add(20 * time.Second)
	for code, _ := r.admin(t, "/readyz"); code != 503; code, _ = r.admin(t, "/readyz") {
		if time.Now().After(deadline) {
			t.Fatal("the damage is not found")
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.wantStopped(t, "the copy is damaged")
	r.wantStopped(t, "move ledger.db, index and openings out of its directory")
}

// TestDamagedBlockIsNoFork: nodes that report the height of a damaged block, which an endorser compares with its copy,
// do not end the signing. The block is repaired from one of them.
func TestDamagedBlockIsNoFork(t *testing.T) {
	w := newWorld(t)
	w.order(w.attach("the-damaged-record", "value"))
	w.order(w.attach("b", "the newest value"))
	dir := t.TempDir()
	r := w.start(dir, nil)
	r.caughtUp()
	damage(t, dir, "the-damaged-record")
	for _, n := range w.nodes {
		n.set(func(l *liar) { l.below = w.chainID })
	}
	waitFor(t, "the repair", func() bool { return strings.Contains(r.log.String(), "repaired from another copy") })
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("c", "1")}}
	if out, err := r.facade().Endorse(t.Context(), in); err != nil || out.GetEndorsement() == nil {
		t.Errorf("%v %v", out, err)
	}
}

// damage flips a bit of every stored copy of a text in an endorser's ledger.
func damage(t *testing.T, dir, text string) {
	t.Helper()
	path := filepath.Join(dir, "ledger.db")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := false
	for at := 0; ; at++ {
		i := bytes.Index(content[at:], []byte(text))
		if i < 0 {
			break
		}
		at, found = at+i, true
		if _, err := f.WriteAt([]byte{content[at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	if !found {
		t.Fatalf("%q is not in %s", text, path)
	}
}
