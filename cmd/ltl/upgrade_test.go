package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/localnet"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// olderBuild is a commit whose program wrote the ledgers that networks have when they are upgraded to this one.
const olderBuild = "15e6812"

// writeGap is how long no write may succeed during an upgrade: a fail-over takes less than five seconds, and one
// more may begin in it on a machine that runs other tests as well.
const writeGap = 10 * time.Second

// upgraded is a network whose processes may run different builds: all start `program`, a file that is replaced
// between their starts.
type upgraded struct {
	*network
	t        *testing.T
	program  string
	con      *connection
	operator *client.Client
}

// startBuild starts a network of a build.
func startBuild(t *testing.T, build string) *upgraded {
	t.Helper()
	u := &upgraded{t: t, program: filepath.Join(t.TempDir(), "ltl")}
	u.install(build)
	u.network = startWith(t, u.program, t.TempDir(), "--restart")
	u.con = connectionTo(t, u.network, u.file(t))
	u.operator = openClient(t, u.con)
	return u
}

// install makes a build the one that processes start from now on. Running processes keep their file.
func (u *upgraded) install(build string) {
	u.t.Helper()
	raw, err := os.ReadFile(build)
	if err == nil {
		err = os.WriteFile(u.program+".new", raw, 0o700)
	}
	if err == nil {
		err = os.Rename(u.program+".new", u.program)
	}
	if err != nil {
		u.t.Fatal(err)
	}
}

// replace stops a process in order, starts it again with a build, and waits until it serves.
func (u *upgraded) replace(name, build string) {
	u.t.Helper()
	u.restart(name, build)
	await(u.t, name+" to serve", func() bool { return u.healthy() })
}

// restart stops a process in order and has it started again with a build.
func (u *upgraded) restart(name, build string) {
	u.t.Helper()
	u.install(build)
	installed, err := os.Stat(u.program)
	if err != nil {
		u.t.Fatal(err)
	}
	pid := pids(u.file(u.t))[name]
	// one that stopped by itself is started again, too
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
		u.t.Fatalf("stop %s (%d): %v", name, pid, err)
	}
	await(u.t, name+" to run the other build", func() bool {
		now := pids(u.file(u.t))[name]
		running, err := os.Stat(fmt.Sprintf("/proc/%d/exe", now))
		return err == nil && os.SameFile(installed, running)
	})
}

// healthy reports whether every node and endorser serves, none far behind.
func (u *upgraded) healthy() bool {
	rows := sessionOf(u.con, u.operator).statusOfAll(u.t.Context())
	if healthOf(rows) != nil {
		return false
	}
	newest := uint64(0)
	for _, r := range rows {
		newest = max(newest, r.Sequence)
	}
	for _, r := range rows {
		if r.Sequence+100 < newest {
			return false
		}
	}
	return true
}

// processes are all of a network, in the order in which docs/operate/upgrade.md upgrades them.
func (u *upgraded) processes() (names []string) {
	f := u.file(u.t)
	for _, n := range f.Nodes {
		names = append(names, n.ID)
	}
	for _, e := range f.Endorsers {
		names = append(names, "endorser-"+e.Organisation)
	}
	return append(names, "facade1")
}

// set writes a record as the administrator and returns the code that execution gave.
func (u *upgraded) set(id, value string) int32 {
	u.t.Helper()
	f := u.file(u.t)
	chain, admin := proofChain(u.t, f), account(u.t, f, localnet.RoleAdmin)
	ctx, cancel := context.WithTimeout(u.t.Context(), waitTimeout)
	defer cancel()
	result, err := u.operator.Submit(ctx, client.SetData(chain.BizChainID, admin.UID, keyOf(chain, admin, id), value))
	if err != nil {
		u.t.Fatalf("SetData: %v", err)
	}
	return result.GetCode()
}

// wantEqual: all copies have the same newest blocks.
func (u *upgraded) wantEqual() {
	u.t.Helper()
	settled(u.t, sessionOf(u.con, u.operator))
	rows := sessionOf(u.con, u.operator).statusOfAll(u.t.Context())
	for _, r := range rows {
		if r.Fault != "" || !reflect.DeepEqual(r.Chains, rows[0].Chains) {
			u.t.Errorf("%s has %+v (%s), %s has %+v", r.Peer, r.Chains, r.Fault, rows[0].Peer, rows[0].Chains)
		}
	}
}

// wantLog waits until a process's log has a text.
func (u *upgraded) wantLog(name, text string) {
	u.t.Helper()
	await(u.t, name+" to say "+text, func() bool {
		raw, err := os.ReadFile(filepath.Join(u.dir, "logs", name+".log"))
		return err == nil && strings.Contains(string(raw), text)
	})
}

// TestRollingUpgrade replaces the program of every process, one after the other, under load: a build that landed
// earlier by this one. One node goes back to the older build in between, as after an upgrade that is rolled back.
// Nothing is lost or written twice, all ledgers are equal, and writes pause no longer than a fail-over takes.
func TestRollingUpgrade(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector sees nothing of other processes; the run without -short has them")
	}
	older := buildCommit(t, olderBuild)
	u := startBuild(t, older)
	f := u.file(t)
	j := &journal{acknowledged: map[string]string{}, unknown: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	startHTTPCallers(t, ctx, &callers, f, j)
	startGRPCCallers(t, ctx, &callers, u.con, f, j)
	for i, name := range u.processes() {
		before := j.acks.Load()
		u.replace(name, binary)
		if i == 1 { // the mixed network of one older node and two newer ones is not the only one
			u.replace(name, older)
			u.replace(name, binary)
		}
		await(t, "acknowledged records", func() bool { return j.acks.Load() >= before+acksInBetween })
	}
	cancel()
	callers.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	t.Logf("%d records acknowledged, %d with an unknown outcome; the longest time without an acknowledgement was %s",
		len(j.acknowledged), len(j.unknown), j.longestGap.Round(time.Millisecond))
	if j.longestGap > writeGap {
		t.Errorf("no write succeeded for %s, more than %s", j.longestGap, writeGap)
	}
	u.wantEqual()
	checkCopies(t, sessionOf(u.con, u.operator), j)
	mustLTL(t, "audit", "--dir", u.dir, "--from", "node1")
	mustLTL(t, "audit", "--dir", u.dir, "--from", "org1")
}

// TestNewerRules: a program that does not know an entry of a newer one stops before it executes it, says which
// program it needs, and continues when it is started with that program. First an entry of the Raft log, then a
// version of the rules.
func TestNewerRules(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector sees nothing of other processes; the run without -short has them")
	}
	marker := filepath.Join(t.TempDir(), "new-entries")
	newer := buildNewer(t, marker)
	u := startBuild(t, newer)
	u.replace("node3", binary)
	u.replace("endorser-org3", binary)
	if code := u.set("1", "before"); code != rules.OK {
		t.Fatalf("a mixed network refuses a record with %d", code)
	}
	u.wantEqual()
	before := settled(t, sessionOf(u.con, u.operator))

	u.orderNewEntries(marker)
	if code := u.set("2", "in a newer entry"); code != rules.OK {
		t.Fatalf("the nodes that know the entry refuse it with %d", code)
	}
	u.wantLog("node3", "it has format version 2, this program knows version 1")
	u.wantPrefix("node3", before)
	u.replace("node3", newer)
	u.wantEqual()
	u.activate(newer)
}

// orderNewEntries has the leader write entries of the next format, after making sure that it is one that knows it.
func (u *upgraded) orderNewEntries(marker string) {
	u.t.Helper()
	for leaderOf(u.t, u.operator, u.file(u.t)) == "node3" {
		u.replace("node3", binary)
	}
	if err := os.WriteFile(marker, nil, 0o600); err != nil {
		u.t.Fatal(err)
	}
}

// wantPrefix audits a copy of a node's ledger while the node is stopped: it is whole, and ends where it did.
func (u *upgraded) wantPrefix(name string, blocks uint64) {
	u.t.Helper()
	dir := ""
	for _, n := range u.file(u.t).Nodes {
		if n.ID == name {
			dir = localnet.Path(u.dir, n.Dir)
		}
	}
	stopped := filepath.Join(u.t.TempDir(), "ledger")
	copyDir(u.t, filepath.Join(dir, "ledger"), stopped)
	var report struct{ Blocks uint64 }
	out := mustLTL(u.t, "audit", "--store", stopped, "--trust", localnet.Path(u.dir, u.file(u.t).Trust), "--output",
		"json")
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Blocks != blocks {
		u.t.Errorf("the ledger of %s, which stopped, has %d blocks (%v), want the %d from before", name, report.Blocks,
			err, blocks)
	}
}

// activate puts version 2 of the rules in force while one endorser does not know it.
func (u *upgraded) activate(newer string) {
	u.t.Helper()
	out, err := exec.CommandContext(u.t.Context(), newer, "rules", "activate", "2", "--dir", u.dir).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "endorser/org3 runs a program that knows the rules up to version 1") {
		u.t.Errorf("rules activate, while one endorser is old: %v, %s", err, out)
	}
	const value = "version 2 refuses this"
	if code := u.set("3", value); code != rules.OK {
		u.t.Errorf("a newer program under the older rules answers with %d", code)
	}
	u.decide(activation(2)) // the command would refuse
	if code := u.set("4", value); code != rules.Forbidden {
		u.t.Errorf("under version 2 of the rules the code is %d", code)
	}
	u.wantLog("endorser-org3",
		"this program knows version 1; start this process again with a program that knows version 2")
	u.replace("endorser-org3", newer)

	u.restart("node3", binary)
	u.wantLog("node3", "the ledger goes on under version 2 of the rules, this program knows version 1")
	u.replace("node3", newer)
	u.wantEqual()
	if out, err := exec.CommandContext(u.t.Context(), newer, "rules", "activate", "3", "--dir",
		u.dir).CombinedOutput(); err != nil {
		u.t.Errorf("rules activate, where every process knows it: %v, %s", err, out)
	}
	await(u.t, "version 3 to be in force everywhere", func() bool {
		for _, r := range sessionOf(u.con, u.operator).rulesOfAll(u.t.Context()) {
			if r.InForce != 3 || r.Known != 3 {
				return false
			}
		}
		return true
	})
	u.wantEqual()
	if said := refusedLTL(u.t, "audit", "--dir", u.dir, "--from", "node3"); !strings.Contains(said,
		"this program knows version 1") {
		u.t.Errorf("an older program's audit says %s", said)
	}
	if out, err := exec.CommandContext(u.t.Context(), newer, "audit", "--dir", u.dir, "--from",
		"node3").CombinedOutput(); err != nil {
		u.t.Errorf("the newer program's audit: %v, %s", err, out)
	}
}

// decide proposes a change as org1 and approves it as org1 and org2.
func (u *upgraded) decide(tx *ltlv1.Transaction) {
	u.t.Helper()
	prepared, err := proposal.Prepare(u.t.Context(), u.operator, tx)
	if err != nil {
		u.t.Fatal(err)
	}
	made := proposal.New(prepared, proposal.DefaultLife)
	other := *u.con
	other.identity = filepath.Join(u.dir, "pki", "operators", "org2")
	submit := func(c *client.Client, tx *ltlv1.Transaction) {
		u.t.Helper()
		if result, err := c.Submit(u.t.Context(), tx); err != nil || result.GetCode() != rules.OK {
			u.t.Fatal(result, err)
		}
	}
	submit(u.operator, made)
	id, err := client.TransactionID(made)
	if err != nil {
		u.t.Fatal(err)
	}
	submit(u.operator, proposal.Approve(u.con.trust.NetworkID(), id))
	submit(openClient(u.t, &other), proposal.Approve(u.con.trust.NetworkID(), id))
}

// buildCommit builds the program of an earlier commit, from the repository's history.
func buildCommit(t *testing.T, commit string) string {
	t.Helper()
	if out, err := exec.Command("git", "cat-file", "-e", commit+"^{commit}").CombinedOutput(); err != nil {
		if shallow, err := exec.Command("git", "rev-parse", "--is-shallow-repository").Output(); err == nil &&
			string(shallow) == "false\n" {
			t.Fatalf("commit %s is not of this history: name one that is, with the present rules", commit)
		}
		t.Skipf("the history with commit %s is not here (a source archive, or a shallow clone), so there is no older "+
			"build: %s", commit, out)
	}
	dir := t.TempDir()
	run := func(command string) {
		if out, err := exec.CommandContext(t.Context(), "sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
	run(fmt.Sprintf("git -C ../.. archive %s | tar -x -C '%s'", commit, dir))
	run(fmt.Sprintf("cd '%s' && CGO_ENABLED=0 go build -buildvcs=false -trimpath -o ltl ./cmd/ltl", dir))
	return filepath.Join(dir, "ltl")
}

// buildNewer builds this source as a later version would be: it knows version 2 of the rules, which refuses one
// value, version 3, and a format of Raft entries, which it writes once the marker exists.
func buildNewer(t *testing.T, marker string) string {
	t.Helper()
	dir := t.TempDir()
	replaced := map[string]string{}
	for file, changes := range map[string][]string{
		"internal/rules/version.go": {"const Version uint32 = 1", "const Version uint32 = 3"},
		"internal/rules/apply.go": {"	act := action{tx: tx", "	if v, err := VersionInForce(e); err != nil {\n		return 0, " +
			"\"\", err\n	} else if v >= 2 && tx.GetSetData().GetValue().GetBytes() == 22 {\n" +
			"		return Forbidden, \"\", nil\n	}\n	act := action{tx: tx"},
		"node/fsm.go": {
			"\"errors\"\n", "\"errors\"\n	\"os\"\n",
			"	b[0] = entryVersion\n", fmt.Sprintf("	b[0] = entryVersion\n	if _, err := os.Stat(%q); err == nil {\n		b[0] = "+
				"2\n	}\n", marker),
			"if b[0] != entryVersion {", "if b[0] != entryVersion && b[0] != 2 {",
		},
	} {
		path, err := filepath.Abs(filepath.Join("../..", file))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		source := string(raw)
		for i := 0; i < len(changes); i += 2 {
			if !strings.Contains(source, changes[i]) {
				t.Fatalf("%s has no %q any more: change this test's newer build", file, changes[i])
			}
			source = strings.Replace(source, changes[i], changes[i+1], 1)
		}
		replaced[path] = filepath.Join(dir, filepath.Base(file))
		if err := os.WriteFile(replaced[path], []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replaced})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "ltl")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-overlay",
		filepath.Join(dir, "overlay.json"), "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the newer program: %v\n%s", err, out)
	}
	return program
}
