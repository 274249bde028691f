package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// TestNotarise: digests of files are recorded once, and check tells a file that was recorded from any other, offline.
func TestNotarise(t *testing.T) {
	chain := sharedChain(t, "notarised")
	large := writeFile(t, "large.bin", strings.Repeat("0123456789", 300_000))
	empty := writeFile(t, "empty", "")
	report, copied := writeFile(t, "report.txt", "21.5"), writeFile(t, "copy.txt", "21.5")
	path := filepath.Join(t.TempDir(), "manifest.json")
	args := []string{"notarise", report, large, "--dir", common.dir, "--chain", chain, "--manifest", path}
	mustLTL(t, args...)
	first, err := readManifest(path)
	if err != nil || len(first.Files) != 2 || first.Files[1].Size != 3_000_000 {
		t.Fatalf("%v, %+v", err, first)
	}
	// Again, with a file more, and one whose content is in the manifest.
	mustLTL(t, append(args, empty, copied)...)
	m, err := readManifest(path)
	if err != nil || len(m.Files) != 3 || !bytes.Equal(m.Files[0].Certificate, first.Files[0].Certificate) {
		t.Fatalf("%v, %+v", err, m)
	}
	// Without the manifest the same records are found.
	args[len(args)-1] = filepath.Join(t.TempDir(), "again.json")
	mustLTL(t, args...)
	if n := len(exported(t, chain)); n != 3 {
		t.Errorf("the chain has %d records, want 3", n)
	}
	trust := []string{"--trust", filepath.Join(common.dir, "pki", "trust.json"), "--manifest"}
	check := func(manifest string, files ...string) []string {
		return append(append(append([]string{"check"}, files...), trust...), manifest)
	}
	var rows []checkedFile
	out := mustLTL(t, append(check(path, copied, large, empty), "--output", "json")...)
	if err := json.Unmarshal([]byte(out), &rows); err != nil || len(rows) != 3 || rows[0].Chain != chain ||
		rows[0].TimeMs == 0 || rows[0].Account != m.Account {
		t.Errorf("%v: %s", err, out)
	}
	changed := writeFile(t, "report.txt", "21.6")
	if out, said, err := ltlCommand(t, check(path, report, changed)...); err == nil ||
		!strings.Contains(said, "1 of 2 files") || !strings.Contains(out, "not that of any file in the manifest") {
		t.Errorf("a changed file: %v\n%s%s", err, out, said)
	}
	m.Files[0].Certificate, m.Files[1].Certificate = m.Files[1].Certificate, m.Files[0].Certificate
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if out, _, err := ltlCommand(t, check(writeFile(t, "swapped.json", string(raw)), report)...); err == nil ||
		!strings.Contains(out, "of another record") {
		t.Errorf("the certificate of another file: %v\n%s", err, out)
	}
	raw = bytes.ReplaceAll(raw, []byte(m.Files[0].SHA256), []byte(strings.Repeat("0", 64)))
	if out, _, err := ltlCommand(t, check(writeFile(t, "empty.json", string(raw)), report)...); err == nil {
		t.Errorf("a manifest without the file: %s", out)
	}
	// A holder of the manifest takes the checkpoint out of it, and states any time: the header is then signed by no process.
	forged, err := readManifest(path)
	if err != nil {
		t.Fatal(err)
	}
	var certificate map[string]json.RawMessage
	if err := json.Unmarshal(forged.Files[0].Certificate, &certificate); err != nil {
		t.Fatal(err)
	}
	delete(certificate, "checkpoint")
	delete(certificate, "log")
	if forged.Files[0].Certificate, err = json.Marshal(certificate); err != nil {
		t.Fatal(err)
	}
	notCertified, err := json.Marshal(forged)
	if err != nil {
		t.Fatal(err)
	}
	if out, _, err := ltlCommand(t, check(writeFile(t, "forged.json", string(notCertified)), report)...); err == nil ||
		!strings.Contains(out, "does not show that the record is on the ledger") {
		t.Errorf("a certificate without a checkpoint: %v\n%s", err, out)
	}
	if _, _, err := ltlCommand(t, append(check(path, report), "--account", "1000000000000001")...); err == nil {
		t.Error("the files of another account than was asked for")
	}
	lock, err := lockManifest(path)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	args[len(args)-1] = path
	if _, said, err := ltlCommand(t, args...); err == nil || !strings.Contains(said, "another ltl notarise writes") {
		t.Errorf("two runs with one manifest: %v %s", err, said)
	}
}
