package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRecoverOffline: an organisation gets another endorser key, and another recovery key, with a recovery key that is
// never in the same directory as a trust file or a certificate, nor used by a process that has a network.
func TestRecoverOffline(t *testing.T) {
	n := start(t, filepath.Join(t.TempDir(), "net"), "--nodes", "1", "--orgs", "2")
	offline, online := t.TempDir(), t.TempDir()
	with := func(args ...string) []string { return append(args, "--dir", n.dir) }
	file := func(name string) string { return filepath.Join(online, name) }
	sign := func(request, key, signed string) {
		t.Helper()
		b, err := os.ReadFile(file(request))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(offline, request), b, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(binary, "org", "sign-recovery", request, "--recovery-key", key, "--out", signed)
		cmd.Dir, cmd.Env = offline, []string{"HOME=" + offline}
		if os.Geteuid() == 0 { // a network of its own, with nothing in it
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "org2") {
			t.Fatalf("sign-recovery: %v\n%s", err, out)
		}
		if b, err = os.ReadFile(filepath.Join(offline, signed)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file(signed), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	public := func(name string) string {
		t.Helper()
		var made struct{ RecoveryKey string }
		out := mustLTL(t, "org", "recovery-key", filepath.Join(offline, name), "--output", "json")
		if err := json.Unmarshal([]byte(out), &made); err != nil {
			t.Fatal(err)
		}
		return made.RecoveryKey
	}
	mustLTL(t, with("org", "modify", "org2", "--recovery-key", public("recovery.key"))...)
	public("stranger.key")

	endorser := filepath.Join(n.dir, "pki", "orgs", "org2", "endorser")
	mustLTL(t, with("org", "recover", "org2", "--endorser-dir", endorser, "--out", file("request"))...)
	if said := refusedLTL(t, with("org", "recover", "org2", "--from", file("request"))...); !strings.Contains(said, "not signed") {
		t.Errorf("a request that is not signed: %q", said)
	}
	sign("request", "stranger.key", "strange")
	if said := refusedLTL(t, with("org", "recover", "org2", "--from", file("strange"))...); !strings.Contains(said, "not by the organisation's recovery key") {
		t.Errorf("what a stranger signed: %q", said)
	}
	sign("request", "recovery.key", "signed")
	if said := refusedLTL(t, with("org", "recover", "org1", "--from", file("signed"))...); !strings.Contains(said, "not for org1") {
		t.Errorf("what was signed for another organisation: %q", said)
	}
	mustLTL(t, with("org", "recover", "org2", "--from", file("signed"))...)
	mustLTL(t, with("account", "create", "after", "--organisation", "org2")...) // with the new key
	if said := refusedLTL(t, with("org", "recover", "org2", "--from", file("signed"))...); !strings.Contains(said, "number 2") {
		t.Errorf("the same again: %q", said)
	}

	mustLTL(t, with("org", "modify", "org2", "--recovery-key", public("next.key"), "--out", file("change"))...)
	sign("change", "recovery.key", "changed")
	if said := refusedLTL(t, with("org", "recover", "org2", "--from", file("changed"))...); !strings.Contains(said, "ltl org modify") {
		t.Errorf("another recovery key, sent as a recovery: %q", said)
	}
	mustLTL(t, with("org", "modify", "org2", "--from", file("changed"))...)
	mustLTL(t, with("org", "recover", "org2", "--endorser-dir", endorser, "--out", file("second"))...)
	sign("second", "next.key", "second-signed")
	mustLTL(t, with("org", "recover", "org2", "--from", file("second-signed"))...)
}
