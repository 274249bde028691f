package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TestRestore loses the disks of all nodes at once. A backup is refused as the source while an endorser has more;
// from the endorser's copy the network continues with every acknowledged record, its AccessKeys come from the backup,
// and a node that survived with its old directory is refused.
func TestRestore(t *testing.T) {
	n := start(t, t.TempDir())
	f := n.file(t)
	j := &journal{acknowledged: map[string]string{}, unknown: map[string]string{}}
	writeFor(t, n, j)
	backup := filepath.Join(t.TempDir(), "backup")
	mustLTL(t, "backup", "--dir", n.dir, "--out", backup)
	writeFor(t, n, j)
	con := connectionTo(t, n, f)
	settled(t, sessionOf(con, openClient(t, con))) // endorsers follow a moment later
	lost := filepath.Join(n.dir, "lost")
	for _, node := range f.Nodes {
		if err := syscall.Kill(node.PID, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, node.ID+" to be gone", func() bool { return !alive(node.PID) })
	}
	if err := os.Rename(filepath.Join(n.dir, "nodes"), lost); err != nil {
		t.Fatal(err)
	}
	restore := func(id, from string, more ...string) []string {
		return append([]string{"restore", "--from", from, "--dir", filepath.Join(n.dir, "nodes", id), "--identity",
			filepath.Join(n.dir, "pki", "nodes", id),
			"--trust", filepath.Join(n.dir, "pki", "trust.json")}, more...)
	}
	if said := refusedLTL(t, restore("node1", backup)...); !strings.Contains(said, "a newer copy exists") ||
		!strings.Contains(said, "the endorser of org2 has") {
		t.Errorf("restoring from an older copy: %s", said)
	}
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(n.dir, "nodes")); err != nil {
		t.Fatal(err)
	}
	var epochs []string
	for _, node := range f.Nodes {
		out := mustLTL(t, restore(node.ID, filepath.Join(n.dir, "endorsers", "org1"), "--access-keys-from", backup)...)
		epochs = append(epochs, out[strings.Index(out, "restore epoch"):])
		refusedLTL(t, restore(node.ID, backup, "--accept-loss")...) // the directory is not empty
	}
	if epochs[0] != epochs[1] || epochs[0] != epochs[2] {
		t.Errorf("the nodes have different restore epochs: %q", epochs)
	}

	again := start(t, n.dir)
	writeFor(t, again, j)
	con = connectionTo(t, again, again.file(t))
	copies := []string{"node1", "node2", "node3", "org1", "org2", "org3"}
	checkCopies(t, sessionOf(con, openClient(t, con)), j, copies...)
	for _, from := range copies {
		mustLTL(t, "audit", "--dir", n.dir, "--from", from)
	}
	survivor := nodeAt(t, again, "node3", again.file(t).Nodes[2].GRPC)
	pid := again.file(t).Nodes[2].PID
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "node3 to be gone", func() bool { return !alive(pid) })
	err := errors.Join(os.Rename(survivor.dir(), survivor.dir()+".new"),
		os.Rename(filepath.Join(lost, "node3"), survivor.dir()))
	if err != nil {
		t.Fatal(err)
	}
	survivor.stopsSaying("belongs to another restore epoch of the network")
}

// writeFor writes through SDK and client library until some records were acknowledged.
func writeFor(t *testing.T, n *network, j *journal) {
	t.Helper()
	f := n.file(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	round := &journal{acknowledged: map[string]string{}, unknown: map[string]string{}}
	startHTTPCallersNamed(t, ctx, &callers, f, round, fmt.Sprintf("r%d", len(j.acknowledged)))
	await(t, "acknowledged records", func() bool { return round.acks.Load() >= 3*acksInBetween })
	cancel()
	callers.Wait()
	for key, value := range round.acknowledged {
		j.acknowledged[key] = value
	}
	for key, value := range round.unknown {
		j.unknown[key] = value
	}
}
