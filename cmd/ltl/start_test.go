package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/localnet"
)

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
