package endorser_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ltl/endorser"
)

// Damage outside single blocks stops the signing, even if only the scrub has read it; the reason says what to
// do.
func TestDamagedCopyEndsSigning(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	r := w.start(dir, func(cfg *endorser.Config) { cfg.ScrubInterval = 50 * time.Millisecond })
	r.caughtUp()
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
	for at := 0; ; at++ { // in the genesis block too, which the nodes give again
		i := bytes.Index(content[at:], []byte("Org 3"))
		if i < 0 {
			break
		}
		at += i
		if _, err := f.WriteAt([]byte{content[at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(20 * time.Second)
	for code, _ := r.admin(t, "/readyz"); code != 503; code, _ = r.admin(t, "/readyz") {
		if time.Now().After(deadline) {
			t.Fatal("the damage is not found")
		}
		time.Sleep(20 * time.Millisecond)
	}
	r.wantStopped(t, "the copy is damaged")
	r.wantStopped(t, "move ledger.db and index out of its directory")
}
