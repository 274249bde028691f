package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ltl/client/proof"
	"ltl/internal/localnet"
)

// TestExport: an export has every record once, in the order of the chain, goes on where it stopped, and can be imported
// to another chain.
func TestExport(t *testing.T) {
	chain, other := sharedChain(t, "export"), sharedChain(t, "exportcopy")
	values := []string{"plain", "with, comma", "with \"quotes\"", "of two\nlines", " blanks ", "数值 21.5 °C", "=1+1"}
	var text strings.Builder
	for i := range 40 {
		fmt.Fprintf(&text, "{\"id\":\"r%d\",\"value\":%q}\n", i%30, values[i%len(values)])
	}
	importedFrom(t, 0, writeFile(t, "a.jsonl", text.String()), "--chain", chain, "--history")
	importedFrom(t, 0, writeFile(t, "b.jsonl", "{\"id\":\"once\",\"value\":\"single\"}\n"), "--chain", chain)
	rows := exported(t, chain)
	if len(rows) != 41 || rows[40].Value != "single" || rows[40].BusinessID != "" || len(rows[0].BusinessID) != 64 ||
		len(rows[0].Endorsers) == 0 || rows[0].Account == "" || rows[40].ID != "once" || len(rows[0].DataHash) != 64 {
		t.Fatalf("%d rows, the last is %+v", len(rows), rows[len(rows)-1])
	}
	for i := range rows[1:] {
		if !rows[i+1].place().after(rows[i].place()) || rows[i+1].TimeMs < rows[i].TimeMs {
			t.Errorf("row %d is not behind row %d", i+1, i)
		}
	}
	for _, name := range []string{"whole.csv", "whole.jsonl"} {
		path := filepath.Join(t.TempDir(), name)
		args := []string{"export", "--dir", common.dir, "--chain", chain, "--out", path}
		mustLTL(t, args...)
		if said := refusedLTL(t, args...); !strings.Contains(said, "--resume") {
			t.Errorf("the file exists: %q", said)
		}
		whole := cutEverywhere(t, path)
		if err := os.WriteFile(path, whole[:2*len(whole)/3], 0o644); err != nil {
			t.Fatal(err)
		}
		mustLTL(t, append(args, "--resume")...)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%s differs after it went on: %v\n%s", name, err, got)
		}
		precious := writeFile(t, "precious"+filepath.Ext(path), "a file of another kind, without a line feed")
		into := append(args[:len(args)-1:len(args)-1], precious, "--resume")
		if said := refusedLTL(t, into...); !strings.Contains(said, "nothing in it was changed") {
			t.Errorf("another file: %q", said)
		}
		if left, err := os.ReadFile(precious); err != nil || len(left) == 0 {
			t.Errorf("another file was emptied: %v", err)
		}
		wrong := append(args, "--resume", "--account", "100000000000000009")
		if said := refusedLTL(t, wrong...); !strings.Contains(said, "no export that this one goes on with") {
			t.Errorf("with other options: %q", said)
		}
		importedFrom(t, 0, path, "--chain", other)
	}
	var was, is []string
	for _, r := range rows {
		was = append(was, r.Value)
	}
	for _, r := range exported(t, other) {
		is = append(is, r.Value)
	}
	slices.Sort(was)
	slices.Sort(is)
	if !slices.Equal(was, is) {
		t.Errorf("the copy has %q, want %q", is, was)
	}
	at := rows[20]
	moment := time.UnixMilli(at.TimeMs).UTC().Format(time.RFC3339Nano)
	got := exported(t, chain, "--from", moment, "--to", moment, "--account", at.Account)
	if len(got) == 0 || slices.ContainsFunc(got, func(r exportRow) bool { return r.TimeMs != at.TimeMs }) {
		t.Errorf("at %s: %+v", moment, got)
	}
	if got := exported(t, chain, "--account", account(t, common.file(t), localnet.RoleMember).UID); len(got) != 0 {
		t.Errorf("of another account: %+v", got)
	}
}

// cutEverywhere cuts an export off at every byte: what is resumed is its whole rows and nothing else. It returns the
// content of the export.
func cutEverywhere(t *testing.T, path string) []byte {
	t.Helper()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	format, err := formatOf("", path)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(t.TempDir(), "cut")
	resumed := func(n int) (left int64, rows int) {
		if err := os.WriteFile(cut, whole[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		e, err := createExport(cut, format, true)
		if err != nil {
			t.Fatal(err)
		}
		defer e.file.Close()
		if err := e.resume(func(*exportRow) error { return nil }); err != nil {
			t.Fatalf("cut at %d: %v", n, err)
		}
		info, err := e.file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info.Size(), e.rows
	}
	end, all := resumed(len(whole))
	if end != int64(len(whole)) || all == 0 {
		t.Fatalf("%d of %d bytes are whole rows", end, len(whole))
	}
	before, rows := int64(0), 0
	for n := 0; n < len(whole); n += 1 + n/300 { // every byte of the first rows, then fewer
		left, have := resumed(n)
		header := int64(0)
		if format == formatCSV {
			header = int64(bytes.IndexByte(whole, '\n') + 1)
		}
		if left > max(int64(n), header) || left < before || have < rows || left > header && whole[left-1] != '\n' ||
			int64(n)-left > 2000 {
			t.Fatalf("cut at %d, %d bytes with %d rows are left, after %d with %d", n, left, have, before, rows)
		}
		before, rows = left, have
	}
	return whole
}

// TestExportProofs: an export of a collaboration chain has each record of an upload of several, with a certificate that
// verifies.
func TestExportProofs(t *testing.T) {
	chain := collaborationChain(t)
	call := func(action string, pairs ...string) string {
		t.Helper()
		args := append([]string{"call", action, "--dir", common.dir, "BizChainId=" + chain.BizChainID}, pairs...)
		_, data, _ := strings.Cut(mustLTL(t, args...), "\"Data\": \"")
		data, _, _ = strings.Cut(data, "\"")
		return data
	}
	group := call("CreateMPCoSPhaseGroup", "Name=exported")
	phase := call("CreateMPCoSPhase", "PhaseGroupId="+group, "Name=exported")
	call("BatchUploadMPCoSPhaseTextInfo", "PhaseGroupId="+group, "PhaseId="+phase,
		`PhaseDataList=[{"dataKey":"export-1","phaseData":"first"},`+
			`{"dataKey":"export-2","phaseData":"second","dataSeq":"2"}]`)
	proofs := filepath.Join(t.TempDir(), "certificates")
	rows := exported(t, chain.BizChainID, "--proofs", proofs)
	rows = slices.DeleteFunc(rows, func(r exportRow) bool { return r.PhaseID != phase })
	if len(rows) != 2 || rows[0].Value != "first" || rows[1].Value != "second" || rows[1].BusinessID != "2" ||
		rows[1].Item != 1 || rows[0].PhaseGroupID != group || !strings.HasSuffix(rows[0].Key, "_export-1") {
		t.Fatalf("%+v", rows)
	}
	for _, r := range rows {
		out := mustLTL(t, "proof", "verify", filepath.Join(proofs, fmt.Sprintf("%s-%d.json", r.TransactionHash, r.Item)),
			"--trust", filepath.Join(common.dir, "pki", "trust.json"), "--output", "json")
		if !strings.Contains(out, fmt.Sprintf("\"value\": %q", r.Value)) || strings.Contains(out, string(proof.Refused)) {
			t.Errorf("the certificate of %q: %s", r.Value, out)
		}
	}
}
