package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ltl/internal/localnet"
)

// succession is a network of three organisations of which two are lost for ever, with a record and its certificate.
type succession struct {
	t              *testing.T
	old            string
	file           *localnet.Network
	key, value     string
	certificate    string
	trust, copied  string
	next, nextPKI  string
	genesis        string
	newTrust       string
	endorserOfOrg1 string
}

func newSuccession(t *testing.T) *succession {
	t.Helper()
	old := filepath.Join(t.TempDir(), "old")
	n := start(t, old, "--nodes", "3", "--orgs", "3")
	f := n.file(t)
	s := &succession{t: t, old: old, file: f, value: "before", certificate: filepath.Join(t.TempDir(), "record.json"),
		trust: filepath.Join(old, "pki", "trust.json"), copied: filepath.Join(old, "endorsers", "org1"),
		next: filepath.Join(t.TempDir(), "next"), genesis: filepath.Join(t.TempDir(), "genesis.json"),
		endorserOfOrg1: filepath.Join(old, "pki", "orgs", "org1", "endorser")}
	s.nextPKI = filepath.Join(s.next, "pki")
	s.newTrust = filepath.Join(s.nextPKI, "trust.json")
	chain, admin := proofChain(t, f), account(t, f, localnet.RoleAdmin)
	s.key = keyOf(chain, admin, "1")
	mustLTL(t, "call", "SetData", "--dir", old, "ProductKey="+chain.BizChainCode, "Key="+s.key, "Value="+s.value)
	mustLTL(t, "proof", "get", "--dir", old, "--chain", chain.BizChainID, "--key", s.key, "--out", s.certificate)
	con := connectionTo(t, n, f)
	settled(t, sessionOf(con, openClient(t, con)))
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	for _, lost := range []string{"endorsers/org2", "endorsers/org3", "nodes/node2", "nodes/node3", "pki/orgs/org2", "pki/orgs/org3",
		"pki/operators"} {
		if err := os.RemoveAll(filepath.Join(old, lost)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// freeAddress is an address of this machine that no process listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// TestSucceed: two of three organisations are lost for ever, and the third goes on in a network of its own that names the
// old one. Old certificates and copies stay what they were under the old trust file, and count for nothing under the new
// one.
func TestSucceed(t *testing.T) {
	s := newSuccession(t)
	s.drafts()
	s.signs()
	s.compares()
	s.keepsTheOld()

	next := start(t, s.next)
	f := next.file(t)
	chain, admin := proofChain(t, f), account(t, f, localnet.RoleAdmin)
	mustLTL(t, "call", "SetData", "--dir", s.next, "ProductKey="+chain.BizChainCode, "Key="+keyOf(chain, admin, "1"), "Value=after")
	if said := mustLTL(t, "audit", "--dir", s.next); !strings.Contains(said, "By its genesis it continues network") {
		t.Errorf("the audit of the new network: %s", said)
	}
	// An operator of the old network is none of the new one.
	said := refusedLTL(t, "status", "--trust", s.newTrust, "--identity", filepath.Join(s.old, "pki", "operator"))
	if !strings.Contains(said, "certificate") {
		t.Errorf("with an old certificate: %s", said)
	}
}

func (s *succession) drafts() {
	t := s.t
	mustLTL(t, "network", "succeed", "describe", "org1", "--name", "First Ltd", "--endorser", freeAddress(t), "--node",
		"node1,"+freeAddress(t), "--pki", s.nextPKI)
	draft := []string{"network", "succeed", "draft", "--store", s.copied, "--trust", s.trust, "--from",
		filepath.Join(s.nextPKI, "continuing.json"), "--out", s.genesis, "--network"}
	if said := refusedLTL(t, append(draft, "ltl-local")...); !strings.Contains(said, "name of the old network") {
		t.Errorf("a draft with the old name: %s", said)
	}
	said := mustLTL(t, append(draft, "ltl-next")...)
	if !strings.Contains(said, "org2, org3") || !strings.Contains(said, "has not signed") {
		t.Errorf("the draft: %s", said)
	}
}

func (s *succession) signs() {
	t := s.t
	sign := []string{"network", "succeed", "sign", s.genesis, "--store", s.copied, "--trust", s.trust, "--pki", s.nextPKI}
	if said := refusedLTL(t, append(sign, "--recovery-key", filepath.Join(s.endorserOfOrg1, "sign.key"))...); !strings.Contains(said,
		"not the recovery key") {
		t.Errorf("signing with a key that is no recovery key: %s", said)
	}
	if said := refusedLTL(t, append(sign, "--identity", filepath.Join(s.old, "pki", "nodes", "node1"))...); !strings.Contains(said,
		"has no key that the old ledger has") {
		t.Errorf("signing with a node's key: %s", said)
	}
	sign = append(sign, "--identity", s.endorserOfOrg1)
	said := refusedLTL(t, sign...)
	_, digits, _ := strings.Cut(strings.TrimSpace(said), "--confirm ")
	if len(digits) != confirmDigits {
		t.Fatalf("signing unseen: %s", said)
	}
	if said := refusedLTL(t, append(sign, "--confirm", digits[:11]+"g")...); !strings.Contains(said, "nothing was signed") {
		t.Errorf("signing something else: %s", said)
	}
	if _, err := os.Stat(s.newTrust); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a trust file before a signature: %v", err)
	}
	if said := mustLTL(t, append(sign, "--confirm", digits)...); !strings.Contains(said, "network id") {
		t.Errorf("the signed genesis: %s", said)
	}
}

// compares compares the new trust file with the old ledger.
func (s *succession) compares() {
	t := s.t
	if said := mustLTL(t, "trust", "show", "--trust", s.newTrust); !strings.Contains(said, "not compared") {
		t.Errorf("without the old ledger: %s", said)
	}
	show := []string{"trust", "show", "--trust", s.newTrust, "--predecessor-trust", s.trust, "--predecessor"}
	said := mustLTL(t, append(show, s.copied)...)
	for _, want := range []string{"org2, org3", "with its endorser key of the old network", "the old ledger has these blocks"} {
		if !strings.Contains(said, want) {
			t.Errorf("compared with the old ledger it does not say %q: %s", want, said)
		}
	}
	if said := mustLTL(t, "trust", "show", "--trust", s.trust); strings.Contains(said, "continues") {
		t.Errorf("the old trust file: %s", said)
	}
	raw, err := os.ReadFile(s.newTrust)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(t.TempDir(), "trust.json")
	if err := os.WriteFile(forged, bytes.Replace(raw, []byte("org1"), []byte("org2"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	refusedLTL(t, "trust", "show", "--trust", forged)
}

// keepsTheOld: certificates, copies and reads of the old network stay what they were.
func (s *succession) keepsTheOld() {
	t := s.t
	if said := mustLTL(t, "proof", "verify", s.certificate, "--trust", s.trust); !strings.Contains(said, "The certificate is valid.") {
		t.Errorf("the old certificate under the old trust file: %s", said)
	}
	if said := refusedLTL(t, "proof", "verify", s.certificate, "--trust", s.newTrust); !strings.Contains(said, "continues") {
		t.Errorf("the old certificate under the new trust file: %s", said)
	}
	mustLTL(t, "audit", "--store", s.copied, "--trust", s.trust)
	if said := refusedLTL(t, "audit", "--store", s.copied, "--trust", s.newTrust); !strings.Contains(said, "is another one, or forged") {
		t.Errorf("the old ledger under the new trust file: %s", said)
	}

	home, http := filepath.Join(s.old, "nodes", "reader"), freeAddress(t)
	pki := filepath.Join(s.old, "pki")
	mustLTL(t, "restore", "--from", s.copied, "--access-keys-from", filepath.Join(s.old, "nodes", "node1"), "--dir", home, "--identity",
		filepath.Join(pki, "nodes", "node1"), "--trust", s.trust, "--voters", "node1")
	s.runs("node", "--dir", home, "--identity", filepath.Join(pki, "nodes", "node1"), "--listen", s.file.Nodes[0].GRPC)
	s.runs("endorser", "--dir", s.copied, "--identity", s.endorserOfOrg1, "--listen", s.file.Endorsers[0].GRPC)
	s.runs("facade", "--identity", filepath.Join(pki, "facades", "facade1"), "--listen", http)
	admin := account(t, s.file, localnet.RoleAdmin)
	call := func(action string, params ...string) (string, error) {
		out, errs, err := ltlCommand(t, append([]string{"call", action, "--endpoint", "http://" + http, "--access-key-id",
			admin.AccessKeyID, "--access-key-secret", admin.AccessKeySecret}, params...)...)
		return out + errs, err
	}
	var said string
	await(t, "the old record to be read", func() (ok bool) {
		var err error
		said, err = call("GetBlockChainInfo", "ProductKey="+proofChain(t, s.file).BizChainCode, "Key="+s.key)
		return err == nil && strings.Contains(said, "transactionHash")
	})
	if said, err := call("SetData", "ProductKey="+proofChain(t, s.file).BizChainCode, "Key="+s.key+"x", "Value=x"); err == nil &&
		strings.Contains(said, `"Code":200`) {
		t.Errorf("a write to the old network: %s", said)
	}
}

// runs runs a process of the old network until the test ends.
func (s *succession) runs(args ...string) {
	s.t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(binary, append(args, "--trust", s.trust)...)
	cmd.Stderr, cmd.SysProcAttr = &log, &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
		if s.t.Failed() {
			s.t.Logf("%s: %s", args[0], log.String())
		}
	})
}
