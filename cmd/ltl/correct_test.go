package main

import (
	"encoding/json"
	"path/filepath"
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
	report := jsonOf[audit.Report](t, "audit")
	for deadline := time.Now().Add(20 * time.Second); report.Corrected < 3 && time.Now().Before(deadline); {
		time.Sleep(200 * time.Millisecond) // the node may be some blocks behind
		report = jsonOf[audit.Report](t, "audit")
	}
	if report.Corrected < 3 || uint64(len(report.Corrections)) != report.Corrected {
		t.Errorf("the audit reports %d corrections and lists %+v", report.Corrected, report.Corrections)
	}
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
