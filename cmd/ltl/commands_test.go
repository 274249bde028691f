package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ltl/internal/audit"
	"ltl/internal/bench"
	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
)

// jsonOf runs a subcommand with --output json on the common network and decodes what it prints.
func jsonOf[T any](t *testing.T, args ...string) T {
	t.Helper()
	out := mustLTL(t, append(args, "--dir", common.dir, "--output", "json")...)
	var v T
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("ltl %s prints no JSON: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}

// TestOperatorsDay: an operator makes an account, gives it an AccessKey and a chain, adds a member, and disables the
// key.
func TestOperatorsDay(t *testing.T) {
	created := jsonOf[map[string]string](t, "account", "create", "operators-day", "--organisation", "org3")
	uid := created["uid"]
	found := false
	for _, a := range jsonOf[[]accountRow](t, "account", "list") {
		found = found || a.UID == uid && a.Name == "operators-day" && a.Organisation == "org3" && a.Type == "ram"
	}
	if !found {
		t.Fatalf("the new account %q is not in the list", uid)
	}
	chain := jsonOf[map[string]string](t, "chain", "create", "operators-chain", "--administrator", uid)["bizChainId"]
	if row := jsonOf[chainRow](t, "chain", "show", chain); row.Name != "operators-chain" || row.Administrator != uid ||
		len(row.Organisations) != 3 {
		t.Errorf("the new chain is %+v", row)
	}
	f := common.file(t)
	guest := account(t, f, localnet.RoleNone)
	// The network's operator is org1's, and may not act for an account of org3; org3's own operator may.
	if said := refusedLTL(t, "member", "add", chain, guest.UID, "--dir", common.dir); !strings.Contains(said, "1007") {
		t.Errorf("org1's operator adding a member in the name of org3's account: %q", said)
	}
	operator := filepath.Join(t.TempDir(), "org3-operator")
	mustLTL(t, "pki", "issue", "org3/operator/ops", "--ca", filepath.Join(common.dir, "pki", "orgs", "org3"), "--out",
		operator)
	if m := jsonOf[map[string]string](t, "member", "add", chain, guest.UID, "--identity",
		operator); len(m["memberId"]) != 16 {
		t.Errorf("the new member is %v", m)
	}
	first := jsonOf[keyResult](t, "account", "key", "create", uid)
	second := jsonOf[keyResult](t, "account", "key", "create", uid)
	if said := refusedLTL(t, "account", "key", "create", uid, "--dir", common.dir); !strings.Contains(said,
		"disable one") {
		t.Errorf("a third AccessKey: %q", said)
	}
	call := func(k keyResult) error {
		file := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(file, []byte(k.AccessKeySecret+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := ltlCommand(t, "call", "ListProofChain", "--endpoint", f.Endpoint, "--access-key-id", k.AccessKeyID,
			"--access-key-secret-file", file, "Num=1", "Size=10")
		return err
	}
	await(t, "the new AccessKeys at the facade", func() bool { return call(first) == nil && call(second) == nil })
	mustLTL(t, "account", "key", "disable", first.AccessKeyID, "--dir", common.dir)
	listed := jsonOf[[]keyResult](t, "account", "key", "list", uid)
	for _, k := range listed {
		if k.AccessKeySecret != "" || k.UID != uid || k.Disabled != (k.AccessKeyID == first.AccessKeyID) || !k.Disabled &&
			k.AccessKeyID != second.AccessKeyID {
			t.Errorf("the list of AccessKeys shows %+v", k)
		}
	}
	if all := jsonOf[[]keyResult](t, "account", "key", "list"); len(listed) != 2 ||
		len(all) < len(listed)+len(f.Accounts) {
		t.Errorf("%d AccessKeys of the account, %d in all", len(listed), len(all))
	}
	await(t, "the disabled AccessKey to be refused", func() bool { return call(first) != nil })
	if err := call(second); err != nil {
		t.Errorf("the other AccessKey is refused too: %v", err)
	}
}

func TestReadingCommands(t *testing.T) {
	if rows := jsonOf[[]orgRow](t, "org", "list"); len(rows) != 3 || rows[0].ID != "org1" {
		t.Errorf("organisations: %+v", rows)
	}
	if rows := jsonOf[[]nodeRow](t, "node", "list"); len(rows) != 3 || rows[2].ID != "node3" {
		t.Errorf("nodes: %+v", rows)
	}
	leaders := 0
	rows := jsonOf[[]statusRow](t, "status")
	for _, r := range rows {
		if r.Role == "leader" {
			leaders++
		}
	}
	if len(rows) != 6 || leaders != 1 {
		t.Errorf("status: %d leaders in %+v", leaders, rows)
	}
	for _, from := range []string{"node2", "org3"} {
		if r := jsonOf[audit.Report](t, "audit", "--from", from); r.Blocks == 0 || len(r.Chains) < 3 {
			t.Errorf("audit of %s: %+v", from, r)
		}
	}
	if out := mustLTL(t, "call", "ListProofChain", "--dir", common.dir, "Num=1", "Size=1",
		"Format=XML"); !strings.HasPrefix(out, "<?xml") || !strings.Contains(out, "<Success>true</Success>") {
		t.Errorf("an answer in XML: %q", out)
	}
	if out := mustLTL(t, "chain"); !strings.Contains(out, "create") { // a group alone tells what it holds
		t.Errorf("chain: %q", out)
	}
	if out := mustLTL(t, "version"); !strings.Contains(out, version) {
		t.Errorf("version: %q", out)
	}
}

// TestClocksOfStatus: status names the clock that is wrong, be it a process's or this machine's, and a ledger that is
// ahead of the clocks.
func TestClocksOfStatus(t *testing.T) {
	answers := func(ahead ...time.Duration) (all []answer) {
		for i, d := range ahead {
			all = append(all, answer{peer: fmt.Sprintf("node%d", i+1), organisation: fmt.Sprintf("org%d", i+1), ahead: d, status: &ltlv1.StatusResponse{Role: "leader",
				ClockMs: time.Now().Add(d).UnixMilli()}})
		}
		return append(all, answer{peer: "endorser/org1", err: errors.New("gone")})
	}
	show := func(all []answer) (string, error) {
		var out strings.Builder
		rows := statusRowsOf(all, "org1")
		statusTable(&out, rows)
		clockNotes(&out, all, "org1")
		return out.String(), healthOf(rows)
	}
	out, err := show(answers(0, -2*time.Hour, 300*time.Millisecond))
	if !strings.Contains(err.Error(), "node2") || strings.Contains(err.Error(), "node1") ||
		!strings.Contains(out, "its clock is 2h0m0s behind, compared with the median of 4 clocks") ||
		strings.Contains(out, "this machine") || strings.Contains(out, "newest block") {
		t.Errorf("a clock behind: %v\n%s", err, out)
	}
	out, err = show(answers(time.Hour, time.Hour, time.Hour))
	if strings.Contains(err.Error(), "node") || !strings.Contains(out, "this machine is 1h0m0s behind") {
		t.Errorf("the own clock behind: %v\n%s", err, out)
	}
	if out, err = show(answers(time.Hour)); strings.Contains(err.Error(), "node") || strings.Contains(out, "its clock") {
		t.Errorf("of two clocks one is called wrong: %v\n%s", err, out)
	}
	crowd := answers(0, 20*time.Minute, 20*time.Minute, 20*time.Minute, 0)
	for i := range 3 { // one organisation has added nodes
		crowd[i+1].organisation = "org2"
	}
	out, err = show(crowd)
	if strings.Contains(out, "this machine") || strings.Contains(err.Error(), "node1") || !strings.Contains(err.Error(), "node2, node3, node4") ||
		!strings.Contains(out, "compared with the median of 4 clocks") {
		t.Errorf("an organisation outvotes the others with its nodes: %v\n%s", err, out)
	}
	all := answers(0, 0, 0)
	all[0].status.NetworkMs, all[1].status.NetworkMs, all[2].status.NetworkMs = time.Now().Add(time.Hour).UnixMilli(), 1, 1
	if out, _ = show(all); strings.Contains(out, "network's time") {
		t.Errorf("one organisation says that the time is ahead:\n%s", out)
	}
	all[1].status.NetworkMs = time.Now().Add(time.Hour + time.Second).UnixMilli()
	if out, _ = show(all); !strings.Contains(out, "The network's time is 1h0m") || !strings.Contains(out, "correct-time") {
		t.Errorf("a ledger that is ahead:\n%s", out)
	}
}

// TestHealth: status names every process that is not well, and says when no node leads.
func TestHealth(t *testing.T) {
	well := []statusRow{{Peer: "node1", Role: "follower"}, {Peer: "node2", Role: "leader"},
		{Peer: "endorser/org1", Role: "endorser"}}
	if err := healthOf(well); err != nil {
		t.Errorf("a well network: %v", err)
	}
	down := append([]statusRow{{Peer: "node3", Fault: "gone"}}, well...)
	if err := healthOf(down); !errors.Is(err, errUnhealthy) || err.Error() != "not well: node3" {
		t.Errorf("with a node down: %v", err)
	}
	if err := healthOf(down[:2]); !errors.Is(err, errUnhealthy) || err.Error() != "not well: node3, no node leads" {
		t.Errorf("without a leader: %v", err)
	}
}

// TestRefusals: a command that cannot do its work says why in one sentence and fails.
func TestRefusals(t *testing.T) {
	dir := common.dir
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"status"}, "which network"},
		{[]string{"status", "--dir", filepath.Join(t.TempDir(), "nothing")}, "no network"},
		{[]string{"status", "--dir", dir, "--output", "xml"}, "json or table"},
		{[]string{"audit", "--dir", dir, "--from", "unknown"}, "no node"},
		{[]string{"audit", "--dir", dir, "--store", t.TempDir()}, "no ledger"},
		{[]string{"audit", "--dir", dir, "--store", filepath.Join(dir, "nodes", "node1")}, "in use"},
		{[]string{"chain", "show", "nothing", "--dir", dir}, "no chain"},
		{[]string{"chain", "create", "orphan", "--dir", dir}, "administrator"},
		{[]string{"member", "add", "1234567890123456", "1", "--dir", dir}, "no chain"},
		{[]string{"account", "key", "create", "1", "--dir", dir}, "no account"},
		{[]string{"account", "key", "disable", "LTAInothing", "--dir", dir}, "no AccessKey"},
		{[]string{"chain", "lst", "--dir", dir}, "unknown command"},
		{[]string{"account", "key", "crate", "--dir", dir}, "unknown command"},
		{[]string{"up", "--dir", dir, "--http", "127.0.0.1:0"}, "another `ltl up`"},
		{[]string{"call", "SetData", "--dir", dir, "odd"}, "NAME=VALUE"},
		{[]string{"call", "ListProofChain", "--dir", dir, "Num=0", "Size=1", "Format=XML"}, "status 200, code 400: Num"},
		{[]string{"call", "ListProofChain", "--dir", dir, "Size=1", "Format=XML"}, "status 400, code MissingNum"},
		{[]string{"call", "NoSuchAction", "--dir", dir}, "InvalidAction.NotFound"},
		{[]string{"call", "GetData"}, "which facade"},
		{[]string{"pki", "create", "--dir", t.TempDir(), "--org", "one"}, "ID,NAME,HOST:PORT"},
		{[]string{"node", "--dir", "d", "--listen", "127.0.0.1:0", "--trust", filepath.Join(dir, "pki", "trust.json"),
			"--identity", filepath.Join(dir, "pki", "operator")}, "a node's is needed"},
	} {
		if said := refusedLTL(t, c.args...); !strings.Contains(said, c.want) ||
			strings.Count(strings.TrimSpace(said), "\n") > 0 {
			t.Errorf("ltl %s says %q, want one line with %q", strings.Join(c.args, " "), said, c.want)
		}
	}
}

func TestBenchCommand(t *testing.T) {
	r := jsonOf[bench.Report](t, "bench", "--callers", "8", "--duration", "1s", "--grpc", "--http")
	for name, l := range map[string]*bench.Load{"gRPC": r.GRPC, "gRPC, lone": r.GRPCLone, "HTTP": r.HTTP,
		"HTTP, lone": r.HTTPLone} {
		if l == nil || l.Records == 0 || l.Failed != 0 || l.P50Ms <= 0 || l.P99Ms < l.P50Ms || len(l.CPUMicros) != 8 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	own := jsonOf[map[string]any](t, "bench", "--clients", "4", "--duration", "1s", "--grpc")
	load, ok := own["grpc"].(map[string]any)
	if !ok || load["clients"] != 4.0 || load["callers"] != 4.0 || load["failed"] != 0.0 ||
		load["recordsPerSecond"].(float64) <= 0 {
		t.Errorf("four clients of their own: %v", own)
	}
	if cpu, ok := load["cpuMicrosPerRecord"].(map[string]any); !ok || len(cpu) != 8 || cpu["node1"].(float64) < 0 ||
		cpu["bench"].(float64) <= 0 {
		t.Errorf("CPU by process: %v", load["cpuMicrosPerRecord"])
	}
	if r.Raft != nil || len(r.Processes) != 7 || r.Processes[0].RSSBytes == 0 || r.DiskBytesPerRecord <= 0 {
		t.Errorf("the report is %+v", r)
	}
}
