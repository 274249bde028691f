package backup

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/audit"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestResume: what was stored before a run was interrupted is not fetched again, by the same source or another, and is
// no backup until a run has ended.
func TestResume(t *testing.T) {
	f := newFixture(t)
	f.write(600)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	broken := &source{LedgerClient: f.nodes[0].Ledger, sent: func(r *ltlv1.FollowResponse) error {
		if r.GetSequence() == 400 {
			cancel()
			return context.Canceled
		}
		return nil
	}}
	if _, err := Run(ctx, f.config(dir, broken)); !errors.Is(err, context.Canceled) ||
		!strings.Contains(err.Error(), "400 blocks") {
		t.Fatalf("an interrupted run ends with %v", err)
	}
	if _, err := Check(dir); !errors.Is(err, ErrUnfinished) {
		t.Errorf("an interrupted first run passes for a backup: %v", err)
	}
	whole := &source{LedgerClient: f.nodes[1].Ledger}
	cfg := f.config(dir, whole)
	cfg.Source.Name, cfg.Others = f.nodes[1].Name, f.nodes
	r, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if whole.from != 400 || r.Added != r.Blocks-400 {
		t.Errorf("the second run begins at %d: %+v", whole.from, r)
	}
	f.passes(r)
}

// TestRejectInterrupted: whatever step a crash interrupts while blocks are thrown away, the next run ends it.
func TestRejectInterrupted(t *testing.T) {
	f := newFixture(t)
	f.write(10)
	base := t.TempDir()
	had := f.run(base)
	f.write(10)
	more := filepath.Join(t.TempDir(), "more") // the same with blocks that are to be rejected
	if err := os.CopyFS(more, os.DirFS(base)); err != nil {
		t.Fatal(err)
	}
	f.run(more)
	for name, steps := range map[string][][2]string{
		"nothing done":      {{more, ledgerName}},
		"half filled":       {{more, ledgerName}, {"", "ledger.new"}},
		"old one set aside": {{more, "ledger.old"}, {base, "ledger.new"}},
		"replaced":          {{more, "ledger.old"}, {base, ledgerName}},
		"old one removed":   {{base, ledgerName}},
	} {
		dir := t.TempDir()
		m := had.Manifest
		m.Rejected = rejectedReason
		if err := m.save(dir); err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			to := filepath.Join(dir, s[1])
			err := os.Mkdir(to, 0o700)
			if s[0] != "" {
				err = os.CopyFS(to, os.DirFS(filepath.Join(s[0], ledgerName)))
			}
			if err != nil && !errors.Is(err, os.ErrExist) {
				t.Fatal(err)
			}
		}
		cfg := f.config(dir, nil)
		cfg.Source = audit.Other{}
		cfg.Others = nil // no node to copy from: only the rollback is done
		if _, err := Run(t.Context(), cfg); err == nil {
			t.Errorf("%s: a run without a source succeeds", name)
		}
		left, err := os.ReadDir(dir)
		if err != nil || len(left) != 3 {
			t.Errorf("%s: it leaves %v, %v", name, left, err)
		}
		had.Dir = dir
		f.passes(had)
		f.passes(f.run(dir))
	}
}

// TestFlippedByte: an audit and the check of the manifest together notice each flipped byte that means something.
func TestFlippedByte(t *testing.T) {
	f := newFixture(t)
	f.write(30)
	base := t.TempDir()
	had := f.run(base)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	noticed := map[string]int{}
	flip := func(name, file string) {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, file)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if name == "record" { // bbolt leaves old pages behind: every copy of the Key is changed, as the newest is among them
			text := strings.ReplaceAll(string(raw), "_00000000000000000000000000000017", "_00000000000000000000000000000016")
			raw = []byte(text)
		} else {
			at := random.IntN(len(raw))
			for raw[at] == 0 {
				at = random.IntN(len(raw))
			}
			raw[at] ^= 1 << random.IntN(8)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		m, err := Check(dir)
		if err == nil {
			_, err = audit.Stored(t.Context(), dir, f.trust)
		}
		if err != nil {
			noticed[name]++
			return
		}
		if m.Blocks != had.Blocks || m.Checksum != had.Checksum || name == "record" {
			t.Errorf("%s: a flipped byte passes: %+v", name, m)
		}
	}
	flip("record", "ledger/ledger.db")
	for range 20 {
		flip("ledger", "ledger/ledger.db")
		flip("manifest", ManifestName)
	}
	t.Logf("noticed: %v; the others hit bytes that mean nothing", noticed)
	if noticed["record"] != 1 || noticed["ledger"] == 0 || noticed["manifest"] < 10 {
		t.Errorf("noticed: %v", noticed)
	}
}

// TestRefused: nothing is copied into a directory that holds something else, into the backup of another network, or
// into one that has fewer blocks than its manifest says; two runs at a time are refused.
func TestRefused(t *testing.T) {
	f := newFixture(t)
	f.write(3)
	strange := t.TempDir()
	if err := os.WriteFile(filepath.Join(strange, "ledger.db"), []byte("someone's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), f.config(strange, nil)); !errors.Is(err, ErrNoBackup) {
		t.Errorf("a directory with something else: %v", err)
	}
	dir := t.TempDir()
	r := f.run(dir)
	lock, err := lockDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), f.config(dir, nil)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("two runs at a time: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	m := r.Manifest
	m.NetworkID = strings.Repeat("0", 64)
	if err := m.save(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), f.config(dir, nil)); err == nil || !strings.Contains(err.Error(), "network") {
		t.Errorf("another network's backup: %v", err)
	}
	m = r.Manifest
	m.Blocks++
	if err := m.save(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), f.config(dir, nil)); !errors.Is(err, ErrDamaged) {
		t.Errorf("fewer blocks than it had: %v", err)
	}
	if _, err := Check(dir); !errors.Is(err, ErrDamaged) {
		t.Errorf("an audit of it: %v", err)
	}
}
