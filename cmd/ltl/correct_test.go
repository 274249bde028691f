package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ltl/client/proof"
	"ltl/internal/audit"
	"ltl/internal/localnet"
)

// TestCorrect: an operator corrects a record in its account's name, or the administrator's, and readers are shown it.
func TestCorrect(t *testing.T) {
	f := common.file(t)
	chain, member, admin := proofChain(t, f), account(t, f, localnet.RoleMember), account(t, f, localnet.RoleAdmin)
	single, right := keyOf(chain, member, "correct1"), keyOf(chain, member, "correct2")
	call := func(action string, pairs ...string) map[string]any {
		t.Helper()
		args := append([]string{"call", action, "--dir", common.dir, "--role", "MEMBER", "ProductKey=" + chain.BizChainCode},
			pairs...)
		var out map[string]any
		if err := json.Unmarshal([]byte(mustLTL(t, args...)), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	info := func(key string) map[string]any {
		t.Helper()
		var inner map[string]map[string]any
		if err := json.Unmarshal([]byte(call("GetBlockChainInfo", "Key="+key)["Data"].(string)), &inner); err != nil {
			t.Fatal(err)
		}
		return inner["blockChainInfo"]
	}
	call("SetData", "Key="+single, "Value=12.5")
	wrong := info(single)["transactionHash"].(string)
	correct := []string{"correct", wrong, "--value", "21.5", "--reason", "digits swapped"}
	if said := refusedLTL(t, append(correct, "--dir", common.dir)...); !strings.Contains(said, "--key") {
		t.Errorf("under the Key of a SetData: %q", said)
	}
	row := jsonOf[correctedRow](t, append(correct, "--key", right)...)
	if row.Key != right || row.Wrong != wrong || row.ByAdministrator || len(row.BusinessID) != 16 || row.BlockHeight == 0 {
		t.Errorf("%+v", row)
	}
	if got := info(single); got["correctedBy"] != info(right)["transactionHash"] || got["correctedReason"] != "digits swapped" {
		t.Errorf("the wrong record says %v", got)
	}
	file := filepath.Join(t.TempDir(), "record.json")
	mustLTL(t, "proof", "get", "--dir", common.dir, "--transaction", info(right)["transactionHash"].(string), "--out", file)
	for _, said := range []string{
		mustLTL(t, "proof", "verify", file, "--trust", filepath.Join(common.dir, "pki", "trust.json"), "--output", "json"),
		mustLTL(t, "proof", "show", file, "--output", "json"),
	} {
		var out struct{ Corrects *proof.SaidCorrection }
		err := json.Unmarshal([]byte(said), &out)
		want := proof.SaidCorrection{TransactionHash: wrong, Key: single, Reason: "digits swapped"}
		if err != nil || out.Corrects == nil || *out.Corrects != want {
			t.Errorf("the certificate of the correction: %v, %s", err, said)
		}
	}
	again := []string{"correct", info(right)["transactionHash"].(string), "--value", "21.6", "--reason", "rounded"}
	if row := jsonOf[correctedRow](t, again...); row.Key != right {
		t.Errorf("a correction of a correction: %+v", row)
	}
	byAdmin := append(again, "--administrator")
	if said := refusedLTL(t, append(byAdmin, "--dir", common.dir)...); !strings.Contains(said, "type code") {
		t.Errorf("no Key of the administrator's: %q", said)
	}
	if row := jsonOf[correctedRow](t, append(byAdmin, "--key", keyOf(chain, admin, "correct3"))...); !row.ByAdministrator {
		t.Errorf("by the administrator: %+v", row)
	}
	auditedCorrections(t, chain.BizChainID, 3)
	out := mustLTL(t, "audit", "--dir", common.dir)
	for _, want := range []string{"by its owner: " + wrong, "by the chain's administrator: ", "digits swapped"} {
		if !strings.Contains(out, want) {
			t.Errorf("the audit does not say %q:\n%s", want, out)
		}
	}
	for _, c := range []struct{ hash, want string }{{"abc", "64 hexadecimal"}, {strings.Repeat("0", 64), "no record"}} {
		if said := refusedLTL(t, "correct", c.hash, "--value", "1", "--reason", "x", "--dir", common.dir); !strings.Contains(said,
			c.want) {
			t.Errorf("%s: %q, want %q", c.hash, said, c.want)
		}
	}
}

// TestCorrectPhase: the same on a collaboration chain, where a transaction holds several records.
func TestCorrectPhase(t *testing.T) {
	chain := collaborationChain(t)
	call := func(action string, pairs ...string) map[string]any {
		t.Helper()
		var out map[string]any
		said := mustLTL(t, append([]string{"call", action, "--dir", common.dir, "BizChainId=" + chain.BizChainID}, pairs...)...)
		if err := json.Unmarshal([]byte(said), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	group := "PhaseGroupId=" + call("CreateMPCoSPhaseGroup", "Name=corrections")["Data"].(string)
	phase := "PhaseId=" + call("CreateMPCoSPhase", "Name=weighing", group)["Data"].(string)
	read := func(key, seq string) map[string]any {
		t.Helper()
		return call("DescribeMPCoSPhaseInfo", group, phase, "DataKey="+key, "DataSeq="+seq)["Data"].(map[string]any)
	}
	call("BatchUploadMPCoSPhaseTextInfo", group, phase,
		`PhaseDataList=[{"dataKey":"net","phaseData":"12","dataSeq":"a"},{"dataKey":"gross","phaseData":"21","dataSeq":"a"}]`)
	wrong := read("gross", "a")["TransactionHash"].(string)
	correct := []string{"correct", wrong, "--value", "12", "--reason", "digits swapped"}
	for _, item := range [][]string{nil, {"--item", "2"}} {
		said := refusedLTL(t, append(append(correct, item...), "--dir", common.dir)...)
		if !strings.Contains(said, "--item which is wrong, 0 to 1") {
			t.Errorf("%v of two records: %q", item, said)
		}
	}
	row := jsonOf[correctedRow](t, append(correct, "--item", "1", "--business-id", "b")...)
	if !strings.HasSuffix(row.Key, "_gross") || row.BusinessID != "b" || row.Wrong != wrong || row.ByAdministrator {
		t.Errorf("%+v", row)
	}
	right := read("gross", "b")
	if right["Corrects"] != wrong || right["CorrectsDataSeq"] != "a" || right["DataValue"] != "12" {
		t.Errorf("the new record says %v", right)
	}
	if got := read("gross", "a"); got["CorrectedBy"] != right["TransactionHash"] || got["CorrectedDataSeq"] != "b" ||
		got["CorrectedReason"] != "digits swapped" || got["CorrectedByAdministrator"] != "false" {
		t.Errorf("the wrong record says %v", got)
	}
	if _, declared := read("net", "a")["CorrectedBy"]; declared {
		t.Error("the other record of the upload is declared wrong too")
	}
	again := []string{"correct", right["TransactionHash"].(string), "--value", "21", "--reason", "it was right",
		"--administrator", "--key", "weight"}
	if row := jsonOf[correctedRow](t, again...); !row.ByAdministrator || !strings.HasSuffix(row.Key, "_weight") ||
		len(row.BusinessID) != 64 {
		t.Errorf("by the administrator: %+v", row)
	}
	file := filepath.Join(t.TempDir(), "record.json")
	mustLTL(t, "proof", "get", "--dir", common.dir, "--transaction", read("weight", "")["TransactionHash"].(string), "--key",
		"weight", "--out", file)
	said := mustLTL(t, "proof", "verify", file, "--trust", filepath.Join(common.dir, "pki", "trust.json"))
	if !strings.Contains(said, "in the name of the chain's administrator") {
		t.Errorf("its certificate says %q", said)
	}
	for _, c := range auditedCorrections(t, chain.BizChainID, 2) {
		if first := c.Wrong == wrong; first == c.ByAdministrator || !strings.HasSuffix(c.Key, "_gross") ||
			first != (c.BusinessID == "a") {
			t.Errorf("the audit says %+v", c)
		}
	}
}

// auditedCorrections are those that the audit lists of a chain, which are n. The node may be some blocks behind.
func auditedCorrections(t *testing.T, chain string, n int) []audit.Correction {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		report := jsonOf[audit.Report](t, "audit")
		if uint64(len(report.Corrections)) != report.Corrected {
			t.Fatalf("the audit reports %d corrections and lists %+v", report.Corrected, report.Corrections)
		}
		of := slices.DeleteFunc(report.Corrections, func(c audit.Correction) bool { return c.ChainID != chain })
		if len(of) == n {
			return of
		}
		if time.Now().After(deadline) {
			t.Fatalf("the audit lists %+v, want %d of chain %s", of, n, chain)
		}
	}
}
