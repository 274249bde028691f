package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"ltl/internal/localnet"
)

// TestUpContract: the contract with other tools. A network starts, describes itself, continues after a restart with the
// same ledger, and leaves no process behind.
func TestUpContract(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	n := start(t, dir)
	first := n.file(t)
	checkNetworkFile(t, dir, first)
	running := pids(first)
	for name, pid := range running {
		if !alive(pid) {
			t.Errorf("%s does not run as %d", name, pid)
		}
	}
	// The printed first call works as it is printed.
	for line := range strings.Lines(n.said()) {
		if words := strings.Fields(line); len(words) > 2 && words[1] == "call" {
			mustLTL(t, words[1:]...)
		}
	}
	if said := refusedLTL(t, "up", "--dir", dir, "--http", "127.0.0.1:0"); !strings.Contains(said, "another") {
		t.Errorf("a second start on a directory in use says %q", said)
	}
	con := connectionTo(t, n, first)
	settled(t, sessionOf(con, openClient(t, con))) // a copy that is behind would not hold the record
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	for name, pid := range running {
		if alive(pid) {
			t.Errorf("%s (%d) outlived SIGTERM", name, pid)
		}
	}

	auditStopped(t, dir, first)

	second := start(t, dir).file(t)
	if !reflect.DeepEqual(first.Accounts, second.Accounts) || !reflect.DeepEqual(first.Chains, second.Chains) ||
		first.Endpoint != second.Endpoint {
		t.Errorf("the second start describes another network: %+v, was %+v", second, first)
	}
	chain, admin := proofChain(t, second), account(t, second, localnet.RoleAdmin)
	out := mustLTL(t, "call", "GetData", "--dir", dir, "ProductKey="+chain.BizChainCode, "Key="+keyOf(chain, admin, "1"))
	if !strings.Contains(out, `"hello"`) {
		t.Errorf("the record of the first start reads %s", out)
	}
}

// auditStopped audits a stopped node and a stopped endorser; a copy with one changed record does not pass.
func auditStopped(t *testing.T, dir string, f *localnet.Network) {
	t.Helper()
	for _, data := range []string{f.Nodes[0].Dir, f.Endorsers[1].Dir} {
		mustLTL(t, "audit", "--store", data, "--trust", f.Trust)
		damaged := filepath.Join(t.TempDir(), "copy")
		copyDir(t, data, damaged)
		changed := 0
		for _, path := range []string{filepath.Join(damaged, "ledger.db"), filepath.Join(damaged, "ledger", "ledger.db")} {
			if raw, err := os.ReadFile(path); err == nil {
				key, other := []byte("_00000000000000000000000000000001"), []byte("_00000000000000000000000000000002")
				changed += bytes.Count(raw, key)
				if err := os.WriteFile(path, bytes.ReplaceAll(raw, key, other), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		if changed == 0 {
			t.Fatal("the record is not in the database")
		}
		if said := refusedLTL(t, "audit", "--store", damaged, "--dir", dir); !strings.Contains(said, "the ledger is wrong") {
			t.Errorf("the audit of a damaged ledger says %q", said)
		}
	}
}

// checkNetworkFile compares network.json with the contract, field by field.
func checkNetworkFile(t *testing.T, dir string, f *localnet.Network) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, localnet.NetworkFile))
	if err != nil {
		t.Fatal(err)
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(raw, &top); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"endpoint", "console", "region", "chains", "accounts", "nodes", "endorsers", "facades", "trust",
		"operator"} {
		if len(top[name]) == 0 {
			t.Errorf("network.json lacks %s", name)
		}
	}
	checkConsole(t, dir, f)
	var roles []string
	for _, a := range f.Accounts {
		roles = append(roles, a.Role)
		if (a.DataTypeCode != "") != (a.Role != localnet.RoleNone) {
			t.Errorf("account %s with role %s has the type code %q", a.Name, a.Role, a.DataTypeCode)
		}
	}
	if got := strings.Join(roles, " "); got != "ADMIN MEMBER NONE NONE NONE" {
		t.Errorf("the accounts are %s", got)
	}
	if len(f.Chains) != 2 || f.Chains[0].Service != "proof" || f.Chains[1].Service != "collaboration" {
		t.Errorf("the chains are %+v", f.Chains)
	}
	if len(f.Nodes) != 3 || len(f.Endorsers) != 3 || len(f.Facades) != 1 || f.Region != "cn-shanghai" {
		t.Errorf("the network is %+v", f)
	}
	for _, path := range []string{f.Trust, f.Operator, f.Nodes[0].Dir, f.Endorsers[0].Dir} {
		if _, err := os.Stat(localnet.Path(dir, path)); err != nil {
			t.Errorf("network.json names a path that is not there: %v", err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, localnet.NetworkFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("network.json holds secrets and has mode %v, %v", info.Mode(), err)
	}
}

// TestKilledChildStaysDown: without --restart a killed process stays dead, the others keep serving; and when ltl up
// itself is killed, no child survives it.
func TestKilledChildStaysDown(t *testing.T) {
	n := start(t, t.TempDir(), "--nodes", "3", "--orgs", "3")
	f := n.file(t)
	chain, admin := proofChain(t, f), account(t, f, localnet.RoleAdmin)
	write := func(id string) bool {
		_, _, err := ltlCommand(t, "call", "SetData", "--dir", n.dir, "ProductKey="+chain.BizChainCode,
			"Key="+keyOf(chain, admin, id), "Value=v")
		return err == nil
	}
	victim := f.Nodes[1].PID
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(f.Endorsers[2].PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	id := 0
	await(t, "a write with one node and one endorser down", func() bool { id++; return write(strings.Repeat("x", id)) })
	if alive(victim) {
		t.Error("the killed node still runs")
	}
	if said := refusedLTL(t, "status", "--dir", n.dir); !strings.Contains(said, "well") {
		t.Errorf("status says %q", said)
	}
	await(t, "a line about it", func() bool { return strings.Contains(n.said(), "stays down") })
	rest := pids(f)
	if err := n.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of all children", func() bool {
		for pid := range maps.Values(rest) {
			if alive(pid) {
				return false
			}
		}
		return true
	})
	<-n.ended
	n.ended <- nil // the cleanup's stop finds nothing to complain about
}

// TestFirstStartCutOff kills the first start at several moments. The start that completes makes one set of
// accounts and chains, however often it was interrupted.
func TestFirstStartCutOff(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	for _, after := range []time.Duration{150, 700, 1500, 2100, 2500, 2900} {
		cmd := exec.Command(binary, "up", "--dir", dir, "--http", "127.0.0.1:0")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(after * time.Millisecond)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			t.Fatal("a killed process ended well")
		}
	}
	start(t, dir)
	var accounts []accountRow
	var chains []chainRow
	for command, rows := range map[string]any{"account": &accounts, "chain": &chains} {
		if err := json.Unmarshal([]byte(mustLTL(t, command, "list", "--dir", dir, "--output", "json")), rows); err != nil {
			t.Fatal(err)
		}
	}
	if len(accounts) != 5 || len(chains) != 2 {
		t.Errorf("after starts that were cut off there are the accounts %+v and the chains %+v", accounts, chains)
	}
	if _, err := os.Stat(filepath.Join(dir, "setup.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the plan of the set-up is still there: %v", err)
	}
}

// TestUpRefuses: impossible options are refused with a sentence, and change nothing.
func TestUpRefuses(t *testing.T) {
	for name, args := range map[string][]string{
		"no port":        {"--http", "127.0.0.1"},
		"odd port":       {"--http", "127.0.0.1:99999"},
		"no nodes":       {"--nodes", "-1"},
		"too many nodes": {"--nodes", "100"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "net")
			refusedLTL(t, append([]string{"up", "--dir", dir}, args...)...)
			// the lock, and a place for logs
			if made, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(made) > 2 {
				t.Errorf("it left %v behind, %v", made, err)
			}
		})
	}
	t.Run("another size than it has", func(t *testing.T) {
		dir := t.TempDir()
		mustLTL(t, "pki", "create", "--dir", filepath.Join(dir, "pki"), "--org", "o1,One,127.0.0.1:1", "--node",
			"n1,o1,127.0.0.1:2")
		if said := refusedLTL(t, "up", "--dir", dir, "--nodes", "3"); !strings.Contains(said, "1 nodes") {
			t.Errorf("it says %q", said)
		}
	})
}

// TestUpWithoutOneNode: a network starts without a node that cannot start, logs which and why, and serves;
// without a majority it fails.
func TestUpWithoutOneNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	if err := start(t, dir, "--nodes", "3", "--orgs", "1").stop(); err != nil {
		t.Fatal(err)
	}
	spoil := func(node string) {
		path := filepath.Join(dir, "nodes", node)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("a file where the directory was"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	spoil("node2")
	n := start(t, dir)
	about := ""
	for line := range strings.Lines(n.said()) {
		if strings.Contains(line, "could not start") {
			about += line
		}
	}
	if strings.Count(about, "\n") != 1 || !strings.Contains(about, "process=node2") ||
		!strings.Contains(about, "not a directory") {
		t.Errorf("about what did not start it says %q", about)
	}
	f := n.file(t)
	chain, admin := proofChain(t, f), account(t, f, localnet.RoleAdmin)
	mustLTL(t, "call", "SetData", "--dir", dir, "ProductKey="+chain.BizChainCode, "Key="+keyOf(chain, admin, "1"),
		"Value=without node2")
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	spoil("node3")
	_, said, err := ltlCommand(t, "up", "--dir", dir, "--http", "127.0.0.1:0")
	_, why, _ := strings.Cut(said, "ltl: too few processes started")
	if err == nil || !strings.Contains(why, "node3 ended") || !strings.Contains(why, "not a directory") ||
		strings.Count(why, "\n") != 1 {
		t.Errorf("without a majority it ends with %v and says %q", err, said)
	}
}

// checkConsole opens the console at the address in network.json, and signs in with a link that `ltl console link` prints.
func checkConsole(t *testing.T, dir string, f *localnet.Network) {
	t.Helper()
	res, err := http.Get(f.Console + "sign-in")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK || f.Console != f.Endpoint+"/console/" {
		t.Errorf("the console %s answers %s", f.Console, res.Status)
	}
	link := strings.TrimSpace(mustLTL(t, "console", "link", "--dir", dir, "--role", "member"))
	_, fragment, _ := strings.Cut(link, "#")
	if strings.Contains(link, account(t, f, localnet.RoleMember).AccessKeySecret) {
		t.Error("the link has the secret in it")
	}
	once := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for i, want := range []int{http.StatusSeeOther, http.StatusForbidden} {
		res, err := once.Post(f.Console+"sign-in", "application/x-www-form-urlencoded", strings.NewReader(fragment))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("use %d of the link %s: %s, want %d", i+1, link, res.Status, want)
		}
	}
}
