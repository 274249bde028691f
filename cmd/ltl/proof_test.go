package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/localnet"
)

// TestProof: from a record to its certificate, verified with nothing but the two files; a changed one is refused with
// the word of the check.
func TestProof(t *testing.T) {
	f := common.file(t)
	chain, admin := f.Chains[0], account(t, f, localnet.RoleAdmin)
	key := "0001_" + chain.BizChainCode + "_" + admin.DataTypeCode + "_proof-1"
	mustLTL(t, "call", "SetData", "--dir", common.dir, "ProductKey="+chain.BizChainCode, "Key="+key, "Value=paid 4711.00")
	dir := t.TempDir()
	file, trust := filepath.Join(dir, "record.json"), filepath.Join(dir, "trust.json")
	got := jsonOf[proofResult](t, "proof", "get", "--chain", chain.BizChainID, "--key", key, "--out", file)
	if got.Outcome != "valid" || got.Level != "witnessed" || got.Value != "paid 4711.00" || len(got.Signers) != 6 {
		t.Fatalf("ltl proof get: %+v", got)
	}
	raw, err := os.ReadFile(localnet.Path(common.dir, f.Trust))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(trust, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if said := mustLTL(t, "proof", "verify", file, "--trust", trust, "--language", "zh"); !strings.Contains(said, got.DataHash) ||
		!strings.Contains(said, "证书有效") {
		t.Errorf("ltl proof verify says %s", said)
	}
	if said := mustLTL(t, "proof", "show", file); !strings.Contains(said, "paid 4711.00") {
		t.Errorf("ltl proof show says %s", said)
	}
	certificate, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(dir, "changed.json")
	if err := os.WriteFile(changed, bytes.Replace(certificate, []byte(`"result":200`), []byte(`"result":201`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if said := refusedLTL(t, "proof", "verify", changed, "--trust", trust); !strings.Contains(said, "block-path") {
		t.Errorf("a changed certificate: %q", said)
	}
	mustLTL(t, "call", "SetData", "--dir", common.dir, "ProductKey="+chain.BizChainCode, "Key="+key+"b", "Value=later")
	later, same := filepath.Join(dir, "later.json"), filepath.Join(dir, "same.json")
	mustLTL(t, "proof", "get", "--dir", common.dir, "--chain", chain.BizChainID, "--key", key+"b", "--out", later)
	said := jsonOf[comparisonVerdict](t, "proof", "compare", later, file, "--out", same)
	if said.Outcome != "valid" || said.From != got.Size || said.To <= said.From {
		t.Errorf("ltl proof compare: %+v", said)
	}
	if text := mustLTL(t, "proof", "verify", same, "--trust", trust, "--language", "zh"); !strings.Contains(text, "同一历史") {
		t.Errorf("ltl proof verify says %s", text)
	}
	err = exec.Command(binary, "proof", "verify", filepath.Join(dir, "absent.json"), "--trust", trust).Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitUnreadable {
		t.Errorf("a file that is not there: %v", err)
	}
	if said := refusedLTL(t, "proof", "get", "--dir", common.dir, "--chain", chain.BizChainID, "--key", key+"x", "--out",
		changed); !strings.Contains(said, "no such record") {
		t.Errorf("no such record: %q", said)
	}
}

// TestProofOfMisbehaviour: a file that convicts a signer is checked with the trust file only, and a changed one
// convicts none.
func TestProofOfMisbehaviour(t *testing.T) {
	raw, err := os.ReadFile("../../docs/vectors/evidence/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Trust map[string]string
		Files []struct{ Name, File string }
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, trust := filepath.Join(dir, "lie.json"), filepath.Join(dir, "trust.json")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(trust, vectors.Trust["genesis"])
	for _, v := range vectors.Files {
		if v.Name != "two roots" {
			continue
		}
		write(file, v.File)
		if said := mustLTL(t, "proof", "verify", file, "--trust", trust); !strings.Contains(said, "node/node3 signed two histories") {
			t.Errorf("ltl proof verify says %s", said)
		}
		write(file, strings.Replace(v.File, "two-roots", "inconsistent", 1))
		if said := refusedLTL(t, "proof", "verify", file, "--trust", trust); !strings.Contains(said, "json") {
			t.Errorf("a changed file: %s", said)
		}
		return
	}
	t.Error("there is no such vector")
}
