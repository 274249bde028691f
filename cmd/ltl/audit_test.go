package main

import (
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/audit"
)

// TestAuditCompares: an audit names every other node and how far the copy is behind it; without an identity it
// contacts no process.
func TestAuditCompares(t *testing.T) {
	for from, want := range map[string]string{"node2": "node1 node3", "org3": "node1 node2 node3"} {
		var names []string
		for _, c := range jsonOf[audit.Report](t, "audit", "--from", from).Compared {
			if c.Error != "" || c.Behind > 100 { // others may be writing
				t.Errorf("audit of %s: %+v", from, c)
			}
			names = append(names, c.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("audit of %s compares with %q, want %q", from, got, want)
		}
	}
	if out := mustLTL(t, "audit", "--dir", common.dir); !strings.Contains(out, "COMPARED WITH") ||
		!strings.Contains(out, "blocks") {
		t.Errorf("the table is\n%s", out)
	}
	trust := filepath.Join(common.dir, "pki", "trust.json")
	said := refusedLTL(t, "audit", "--store", t.TempDir(), "--trust", trust)
	if !strings.Contains(said, "no ledger") {
		t.Errorf("it says %q", said)
	}
}

// TestAuditQuotesReasons: a member cannot write a line of the audit's own into its report.
func TestAuditQuotesReasons(t *testing.T) {
	var out strings.Builder
	correctionTable(&out, &audit.Report{Corrected: 1, Corrections: []audit.Correction{{Reason: "读数错误\x1b[2K\nnode2\t0 blocks"}}})
	if got := out.String(); strings.Count(got, "\n") != 3 || strings.ContainsAny(got, "\x1b\t") || !strings.Contains(got, "读数错误") {
		t.Errorf("%q", got)
	}
}
