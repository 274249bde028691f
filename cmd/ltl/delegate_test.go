package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDelegateWithKeys: a facade of org1 that has no copy of org2's new sealing key refuses org2's callers, gets the key in a
// sealed file, and answers them then without a restart.
func TestDelegateWithKeys(t *testing.T) {
	n := start(t, filepath.Join(t.TempDir(), "net"), "--nodes", "1", "--orgs", "2")
	pki, files := filepath.Join(n.dir, "pki"), t.TempDir()
	facade, trust := filepath.Join(pki, "facades", "facade1"), filepath.Join(pki, "trust.json")
	uid := jsonOfIn[map[string]string](t, n.dir, "account", "create", "caller", "--organisation", "org2")["uid"]
	key := jsonOfIn[keyResult](t, n.dir, "account", "key", "create", uid)
	secret, elsewhere := filepath.Join(files, "secret"), filepath.Join(files, "facade")
	if err := os.WriteFile(secret, []byte(key.AccessKeySecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	answer := func() string { // the account is on no chain, so that the best answer is code -339
		_, said, err := ltlCommand(t, "call", "ListProofChain", "--endpoint", n.file(t).Endpoint, "--access-key-id", key.AccessKeyID,
			"--access-key-secret-file", secret, "Num=1", "Size=10")
		if err == nil {
			t.Error("an account without a chain lists chains")
		}
		return said
	}
	await(t, "the new AccessKey at the facade", func() bool { return strings.Contains(answer(), "code -339") })
	if err := os.CopyFS(elsewhere, os.DirFS(facade)); err != nil { // so that reseal does not bring the key to the facade
		t.Fatal(err)
	}
	for _, secret := range []string{"tls.key", "sealing.key", "sealing-org2.key"} {
		if err := os.Chmod(filepath.Join(elsewhere, secret), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustLTL(t, "account", "key", "reseal", "--organisation", "org2", "--facade-dir", elsewhere, "--dir", n.dir)
	await(t, "the facade to refuse what it cannot open", func() bool { return strings.Contains(answer(), "InvalidAccessKeyId") })
	mustLTL(t, "pki", "transfer-key", facade, "--trust", trust)
	public, sealed := filepath.Join(facade, "transfer.json"), filepath.Join(files, "keys.json")
	delegate := func(of string) []string {
		return []string{"org", "delegate", of, "--organisation", "org2", "--facade-key", public, "--export", sealed, "--dir", n.dir}
	}
	if said := refusedLTL(t, delegate("org1/facade/other")...); !strings.Contains(said, "which you do not name") {
		t.Errorf("keys for a facade that is not delegated to: %q", said)
	}
	mustLTL(t, delegate("org1/facade/facade1")...)
	mustLTL(t, "pki", "import-sealing", facade, sealed, "--trust", trust)
	await(t, "the facade to answer a caller of org2", func() bool { return strings.Contains(answer(), "code -339") })
}
