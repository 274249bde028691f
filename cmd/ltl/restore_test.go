package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
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
	recordsRestoration(t, again, j, copies)
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

// recordsRestoration shows that every process names a restoration that is not recorded, that no checkpoint is signed
// meanwhile, and that recording it ends both.
func recordsRestoration(t *testing.T, n *network, j *journal, copies []string) {
	t.Helper()
	const unrecorded = "have not recorded that yet"
	await(t, "all to say that the restoration is not recorded", func() bool {
		out, _, err := ltlCommand(t, "status", "--dir", n.dir)
		return err != nil && strings.Count(out, unrecorded) == len(copies)
	})
	const recordedMetric, unrecordedMetric = "ltl_restoration_unrecorded 0\n", "ltl_restoration_unrecorded 1\n"
	await(t, "the facade's metrics to say so too", func() bool {
		return strings.Contains(facadeMetrics(t, n), unrecordedMetric)
	})
	trust := filepath.Join(n.dir, "pki", "trust.json")
	record := filepath.Join(t.TempDir(), "record.json")
	var key string
	for key = range j.acknowledged {
		break
	}
	get := []string{"proof", "get", "--dir", n.dir, "--chain", proofChain(t, n.file(t)).BizChainID, "--key", key, "--out", record}
	if _, said, err := ltlCommand(t, get...); err != nil || !strings.Contains(said, unrecorded) {
		t.Errorf("a certificate before the restoration is recorded: %v, %s", err, said)
	}
	if said := mustLTL(t, "proof", "verify", record, "--trust", trust); !strings.Contains(said, "not-certified") {
		t.Errorf("a certificate before the restoration is recorded: %s", said)
	}
	said := mustLTL(t, "network", "record-restoration", "--reason", "all disks failed", "--dir", n.dir)
	if !strings.Contains(said, "restoration 1 is recorded") {
		t.Errorf("recorded: %s", said)
	}
	mustLTL(t, "trust", "update", "--dir", n.dir)
	await(t, "all to be well", func() bool {
		_, _, err := ltlCommand(t, "status", "--dir", n.dir)
		return err == nil
	})
	await(t, "the facade's metrics to be well too", func() bool {
		return strings.Contains(facadeMetrics(t, n), recordedMetric)
	})
	mustLTL(t, get...)
	mustLTL(t, "proof", "verify", record, "--trust", trust, "--strict")
	if file, err := os.ReadFile(record); err != nil || !strings.Contains(string(file), "/r1\\n") {
		t.Errorf("the checkpoint does not name the restoration: %v, %s", err, file)
	}
	if said := refusedLTL(t, "network", "record-restoration", "--reason", "again", "--dir", n.dir); !strings.Contains(said,
		"recorded already") {
		t.Errorf("recorded again: %s", said)
	}
}

// facadeMetrics returns the metrics of the facade that `ltl up` starts.
func facadeMetrics(t *testing.T, n *network) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(n.dir, "ports.json"))
	if err != nil {
		t.Fatal(err)
	}
	var ports struct{ Admin map[string]string }
	if err := json.Unmarshal(raw, &ports); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get("http://" + ports.Admin["facade1"] + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	return string(text)
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
