package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/audit"
	"ltl/internal/backup"
	"ltl/internal/localnet"
	"ltl/internal/rules"
)

// backupKills is how often a backup is killed before it may end.
const backupKills = 6

// TestBackup: `ltl backup` killed repeatedly ends in a copy that an audit without the network passes, with the
// AccessKeys; the next run adds what is new, also from an organisation's endorser; a changed byte is detected.
func TestBackup(t *testing.T) {
	f := common.file(t)
	chain, admin := proofChain(t, f), account(t, f, localnet.RoleAdmin)
	writer := openClient(t, connectionTo(t, common, f))
	write := func(from, to int) {
		for i := from; i < to; i++ {
			key, value := keyOf(chain, admin, fmt.Sprintf("backup%d", i)), fmt.Sprintf("to be backed up %04d", i)
			r, err := writer.Submit(t.Context(), client.SetData(chain.BizChainID, admin.UID, key, value))
			if err != nil || r.GetCode() != rules.OK {
				t.Fatalf("record %d: %v, %v", i, r, err)
			}
		}
	}
	write(0, 300)
	out := filepath.Join(t.TempDir(), "backup")
	for range backupKills {
		killBackup(t, out)
	}
	first := jsonOf[backup.Report](t, "backup", "--out", out)
	if first.Blocks < 300 || first.AccessKeys == nil || first.AccessKeys.Count < 5 || len(first.ComparedWith) != 2 {
		t.Errorf("the report is %+v", first)
	}
	trust := filepath.Join(common.dir, "pki", "trust.json")
	mustLTL(t, "audit", "--store", out, "--trust", trust)
	write(300, 320)
	second := jsonOf[backup.Report](t, "backup", "--out", out, "--from", "org2", "--no-access-keys")
	if second.Blocks != first.Blocks+second.Added || !strings.Contains(second.Source, "org2/endorser") ||
		second.AccessKeys.Version != first.AccessKeys.Version {
		t.Errorf("after %+v the second run reports %+v", first, second)
	}
	if said := mustLTL(t, "backup", "--dir", common.dir, "--out", out); !strings.Contains(said, "Compared with") ||
		!strings.Contains(said, "sealed AccessKeys") {
		t.Errorf("the table is\n%s", said)
	}
	if checked := jsonOf[audit.Report](t, "audit", "--store", out); checked.Blocks < first.Blocks+20 {
		t.Errorf("%d blocks pass the audit, of %d and 20 more", checked.Blocks, first.Blocks)
	}
	if said := refusedLTL(t, "backup", "--dir", common.dir, "--out", common.dir); !strings.Contains(said, "no backup") {
		t.Errorf("a directory with something else: %q", said)
	}
	damageBackup(t, out, trust)
}

// killBackup starts a run and kills it a moment after its ledger appeared.
func killBackup(t *testing.T, out string) {
	t.Helper()
	cmd := exec.Command(binary, "backup", "--dir", common.dir, "--out", out)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, "the backup's ledger", func() bool {
		_, err := os.Stat(filepath.Join(out, "ledger", "ledger.db"))
		return err == nil
	})
	time.Sleep(rand.N(60 * time.Millisecond)) // any moment will do
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	t.Logf("killed: %v", cmd.Wait())
}

// damageBackup changes a record, and then the manifest.
func damageBackup(t *testing.T, out, trust string) {
	t.Helper()
	for file, change := range map[string][2]string{
		"ledger/ledger.db":  {"backup123", "backup124"},
		backup.ManifestName: {`"height": `, `"height": 1`},
	} {
		damaged := filepath.Join(t.TempDir(), "damaged")
		copyDir(t, out, damaged)
		path := filepath.Join(damaged, file)
		raw, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(raw, []byte(change[0])) {
			t.Fatalf("%s holds no %q: %v", file, change[0], err)
		}
		if err := os.WriteFile(path, bytes.ReplaceAll(raw, []byte(change[0]), []byte(change[1])), 0o600); err != nil {
			t.Fatal(err)
		}
		if said := refusedLTL(t, "audit", "--store", damaged, "--trust", trust); !strings.Contains(said, "wrong") &&
			!strings.Contains(said, "damaged") {
			t.Errorf("the audit with a changed %s says %q", file, said)
		}
	}
}
