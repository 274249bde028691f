package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ltl/internal/localnet"
)

// rotation is a network whose keys, certificates and organisations change by commands, under load.
type rotation struct {
	t   *testing.T
	n   *network
	pki string
	j   *journal
}

// run runs a command on the network and waits until callers have written again.
func (r *rotation) run(args ...string) string {
	r.t.Helper()
	out := mustLTL(r.t, append(args, "--dir", r.n.dir, "--output", "json")...)
	r.goesOn(strings.Join(args[:2], " "))
	return out
}

func (r *rotation) goesOn(what string) {
	r.t.Helper()
	before := r.j.acks.Load()
	await(r.t, "writes after "+what, func() bool { return r.j.acks.Load() >= before+acksInBetween })
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	r.t.Logf("%s: the longest gap between writes was %v", what, r.j.longestGap.Round(time.Millisecond))
	r.j.longestGap = 0
}

// TestRotateEverything: with real processes and through the commands, while records are written over HTTP and gRPC,
// an organisation joins, becomes necessary for a policy, changes its key, and leaves; authority, certificates,
// sealing key and devices' key of others are replaced, and a client is revoked. No write fails, is lost or is
// executed twice.
func TestRotateEverything(t *testing.T) {
	if testing.Short() {
		t.Skip("the processes do not run under the race detector; test/testkit does the same in one that may")
	}
	dir := filepath.Join(t.TempDir(), "net")
	r := &rotation{t: t, n: start(t, dir), pki: filepath.Join(dir, "pki"),
		j: &journal{acknowledged: map[string]string{}, unknown: map[string]string{}}}
	f := r.n.file(t)
	con := connectionTo(t, r.n, f)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	startHTTPCallers(t, ctx, &callers, f, r.j)
	startGRPCCallers(t, ctx, &callers, con, f, r.j)
	r.goesOn("the start")

	retire := r.rotateAuthority(con)
	joined := r.join("org4")
	chain := proofChain(t, f).BizChainID
	r.run("chain", "modify", chain, "--organisations", "org1,org2,org3,org4", "--policy", "submitter & org(org4)")
	r.run("org", "rotate-endorser-key", "org4")
	r.run("org", "rotate-endorser-key", "org4", "--compromised")
	r.recover("org4")
	r.run("org", "modify", "org4", "--name", "Renamed Ltd")
	r.run("chain", "modify", chain, "--policy", "submitter & majority")
	r.run("org", "remove", "org4")
	joined()

	r.run("org", "rotate-endorser-key", "org2")
	r.rotateSealing(f.Accounts)
	r.revoke()
	retire()

	cancel()
	callers.Wait()
	if n := len(r.j.unknown); n > httpCallers+grpcCallers {
		t.Errorf("%d writes failed", n)
	}
	t.Logf("%d records acknowledged", len(r.j.acknowledged))
	operator := openClient(t, connectionTo(t, r.n, f))
	checkCopies(t, sessionOf(connectionTo(t, r.n, f), operator), r.j)
	for _, from := range []string{"node1", "node3", "org2"} {
		mustLTL(t, "audit", "--dir", dir, "--from", from)
	}
}

// recover gives an organisation a recovery key, another one, and with that one a new endorser key and authority.
func (r *rotation) recover(org string) {
	r.t.Helper()
	file := func(name string) string { return filepath.Join(r.n.dir, name+".key") }
	for i, name := range []string{"first", "second"} {
		var made struct{ RecoveryKey string }
		if err := json.Unmarshal([]byte(mustLTL(r.t, "org", "recovery-key", file(name), "--output", "json")), &made); err != nil {
			r.t.Fatal(err)
		}
		if info, err := os.Stat(file(name)); err != nil || info.Mode() != 0o600 {
			r.t.Fatal(info, err)
		}
		change := []string{"org", "modify", org, "--recovery-key", made.RecoveryKey}
		if i > 0 {
			if said := refusedLTL(r.t, append(change, "--dir", r.n.dir)...); !strings.Contains(said, "--former-recovery-key") {
				r.t.Errorf("a recovery key that the former one did not sign: %q", said)
			}
			change = append(change, "--former-recovery-key", file("first"))
		}
		r.run(change...)
	}
	endorser := filepath.Join(r.pki, "orgs", org, "endorser")
	if said := refusedLTL(r.t, "org", "recover", org, "--recovery-key", file("first"), "--endorser-dir", endorser,
		"--dir", r.n.dir); !strings.Contains(said, "not by the organisation's recovery key") {
		r.t.Errorf("recovered with a recovery key that was replaced: %q", said)
	}
	r.run("org", "recover", org, "--recovery-key", file("second"), "--endorser-dir", endorser,
		"--new-ca", filepath.Join(r.pki, "orgs", org, "second"))
}

// join makes an organisation, adds it and starts its endorser; the returned function stops the endorser.
func (r *rotation) join(id string) func() {
	r.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	mustLTL(r.t, "pki", "organisation", id, "--trust", filepath.Join(r.pki, "trust.json"), "--dir", r.pki,
		"--name", "Joiner Ltd", "--endorser", address)
	own := filepath.Join(r.pki, "orgs", id)
	r.run("org", "add", filepath.Join(own, "organisation.json"))
	var log bytes.Buffer
	cmd := exec.Command(binary, "endorser", "--trust", filepath.Join(r.pki, "trust.json"), "--identity",
		filepath.Join(own, "endorser"), "--dir", filepath.Join(r.n.dir, id), "--listen", address)
	cmd.Stderr, cmd.SysProcAttr = &log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.run("org", "accept", id)
	var once sync.Once
	stop := func() {
		once.Do(func() {
			if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
				r.t.Error(err)
			}
			if err := cmd.Wait(); err != nil || r.t.Failed() {
				r.t.Errorf("the joined endorser: %v\n%s", err, log.String())
			}
		})
	}
	r.t.Cleanup(stop)
	return stop
}

// rotateAuthority gives organisation 1 another authority and all its certificates new ones under that, without a
// restart. The returned function retires the former authority.
func (r *rotation) rotateAuthority(con *connection) (retire func()) {
	r.t.Helper()
	own := filepath.Join(r.pki, "orgs", "org1")
	former := jsonOfIn[orgRow](r.t, r.n.dir, "org", "show", "org1").Authorities
	fresh := filepath.Join(own, "second")
	r.run("org", "rotate-ca", "org1", "--out", fresh)
	dirs := []string{"renew", filepath.Join(r.pki, "operator"), filepath.Join(r.pki, "clients", "bench"),
		filepath.Join(r.pki, "facades", "facade1"), filepath.Join(own, "endorser")}
	for _, n := range con.trust.Genesis().GetNodes() {
		if n.GetOrganisation() == "org1" {
			dirs = append(dirs, filepath.Join(r.pki, "nodes", n.GetId()))
		}
	}
	mustLTL(r.t, append(append([]string{"pki"}, dirs...), "--ca", fresh)...)
	r.goesOn("renewing all of org1")
	renewed := time.Now()
	return func() {
		// facades read of the authority within six seconds; operators wait a minute
		time.Sleep(time.Until(renewed.Add(7 * time.Second)))
		r.run("org", "retire-ca", "org1", former[0])
		if now := jsonOfIn[orgRow](r.t, r.n.dir, "org", "show", "org1").Authorities; len(now) != 1 || now[0] == former[0] {
			r.t.Errorf("the authorities are %v, before they were %v", now, former)
		}
	}
}

// rotateSealing replaces the sealing key of each organisation with accounts, and that of an endorser's devices.
func (r *rotation) rotateSealing(accounts []localnet.Account) {
	r.t.Helper()
	read := func(path string) string {
		raw, err := os.ReadFile(filepath.Join(r.pki, path))
		if err != nil {
			r.t.Fatal(err)
		}
		return string(raw)
	}
	former, devices := read("facades/facade1/sealing.key"), read("orgs/org1/endorser/devices.key")
	of := map[string]int{}
	for _, a := range accounts {
		of[a.Organisation]++
	}
	for o, n := range of {
		out := r.run("account", "key", "reseal", "--organisation", o)
		if !strings.Contains(out, fmt.Sprintf("%q: %d", "resealed", n)) {
			r.t.Errorf("%d accounts of %s have AccessKeys, and reseal says %s", n, o, out)
		}
	}
	if now := read("facades/facade1/sealing.key"); now == former || now != read("operator/sealing.key") {
		r.t.Error("the facade's sealing key is not the operator's new one")
	}
	mustLTL(r.t, "pki", "renew-device-key", filepath.Join(r.pki, "orgs", "org1", "endorser"))
	await(r.t, "the endorser to take the devices' key",
		func() bool { return read("orgs/org1/endorser/devices.key") != devices })
}

// revoke revokes a client, which every process refuses then.
func (r *rotation) revoke() {
	r.t.Helper()
	thief := filepath.Join(r.t.TempDir(), "thief")
	mustLTL(r.t, "pki", "issue", "org2/client/thief", "--ca", filepath.Join(r.pki, "orgs", "org2"), "--out", thief)
	mustLTL(r.t, "chain", "list", "--trust", filepath.Join(r.pki, "trust.json"), "--identity", thief)
	r.run("cert", "revoke", thief)
	if rows := jsonOfIn[[]certRow](r.t, r.n.dir, "cert", "list"); len(rows) != 1 ||
		rows[0].Identity != "org2/client/thief" || rows[0].KeyOnly {
		r.t.Errorf("revoked: %+v", rows)
	}
	trust := connectionTo(r.t, r.n, r.n.file(r.t)).trust
	if m := trust.Height(); m == 0 {
		r.t.Error("the trust file was not brought up to date")
	}
	if said := refusedLTL(r.t, "chain", "list", "--trust", filepath.Join(r.pki, "trust.json"), "--identity",
		thief); !strings.Contains(said, "revoked") {
		r.t.Errorf("a revoked client: %q", said)
	}
}

// jsonOfIn is jsonOf on another network than the common one.
func jsonOfIn[T any](t *testing.T, dir string, args ...string) T {
	t.Helper()
	out := mustLTL(t, append(args, "--dir", dir, "--output", "json")...)
	var v T
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("ltl %s prints no JSON: %v\n%s", strings.Join(args, " "), err, out)
	}
	return v
}
