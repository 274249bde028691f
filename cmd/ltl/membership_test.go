package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/localnet"
)

// extraNode is a node that the test itself runs beside `ltl up`.
type extraNode struct {
	t    *testing.T
	n    *network
	id   string
	args []string
	cmd  *exec.Cmd
	log  string
}

// prepareNode makes keys and directory of a node that is to join, as its organisation does.
func prepareNode(t *testing.T, n *network, id, organisation string) *extraNode {
	t.Helper()
	keys, dir := filepath.Join(n.dir, "pki", "nodes", id), filepath.Join(n.dir, "nodes", id)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	mustLTL(t, "pki", "issue", organisation+"/node/"+id, "--ca", filepath.Join(n.dir, "pki", "orgs", organisation),
		"--out", keys)
	mustLTL(t, "node", "prepare", "--dir", dir, "--identity", keys, "--trust", filepath.Join(n.dir, "pki", "trust.json"),
		"--address", address)
	return nodeAt(t, n, id, address)
}

// nodeAt is a node whose keys and directory exist.
func nodeAt(t *testing.T, n *network, id, address string) *extraNode {
	x := &extraNode{t: t, n: n, id: id, log: filepath.Join(n.dir, "logs", id+".extra.log")}
	x.args = []string{"node", "--dir", x.dir(), "--identity", filepath.Join(n.dir, "pki", "nodes", id),
		"--trust", filepath.Join(n.dir, "pki", "trust.json"), "--listen", address}
	t.Cleanup(x.kill)
	return x
}

func (x *extraNode) dir() string  { return filepath.Join(x.n.dir, "nodes", x.id) }
func (x *extraNode) file() string { return filepath.Join(x.dir(), "node.json") }

func (x *extraNode) start() {
	x.t.Helper()
	log, err := os.OpenFile(x.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		x.t.Fatal(err)
	}
	defer log.Close()
	x.cmd = exec.Command(binary, x.args...)
	x.cmd.Stderr = log
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := x.cmd.Start(); err != nil {
		x.t.Fatal(err)
	}
}

// kill kills the process if it runs.
func (x *extraNode) kill() {
	if x.cmd != nil && x.cmd.ProcessState == nil {
		_ = x.cmd.Process.Kill() // it may have ended by itself
		_ = x.cmd.Wait()
	}
}

// stopsSaying starts the node and waits until it ends by itself with a sentence.
func (x *extraNode) stopsSaying(sentence string) {
	x.t.Helper()
	x.start()
	ended := make(chan error, 1)
	go func() { ended <- x.cmd.Wait() }()
	select {
	case err := <-ended:
		if err == nil {
			x.t.Errorf("node %s ends without an error", x.id)
		}
	case <-time.After(waitTimeout):
		x.t.Fatalf("node %s still runs after %s, want it to stop saying %q", x.id, waitTimeout, sentence)
	}
	raw, err := os.ReadFile(x.log)
	if err != nil {
		x.t.Fatal(err)
	}
	if !strings.Contains(string(raw), sentence) {
		x.t.Errorf("node %s stopped without saying %q:\n%s", x.id, sentence, raw[max(0, len(raw)-1500):])
	}
}

// memberships are the nodes of the network with their membership on the ledger and in Raft.
func memberships(t *testing.T, n *network) map[string]string {
	t.Helper()
	var rows []nodeRow
	if err := json.Unmarshal([]byte(mustLTL(t, "node", "list", "--dir", n.dir, "--output", "json")), &rows); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, r := range rows {
		found[r.ID] = r.Membership + "/" + r.Raft
	}
	return found
}

func wantMemberships(t *testing.T, n *network, want map[string]string) {
	t.Helper()
	got := memberships(t, n)
	for id, membership := range want {
		if got[id] != membership {
			t.Errorf("node %s is %q, want %q", id, got[id], membership)
		}
	}
	if len(got) != len(want) {
		t.Errorf("the network has nodes %v, want %v", got, want)
	}
}

// TestMembershipUnderLoad changes the nodes of a network while it is written to: one is added as a learner, promoted,
// demoted and promoted again; one loses its disk, is refused under its old id, and is replaced; one is restored from
// a copy and is refused; the leader is removed. No acknowledged record is lost or twice, on any copy, and each change
// is one transaction.
func TestMembershipUnderLoad(t *testing.T) {
	n := start(t, t.TempDir())
	f := n.file(t)
	con := connectionTo(t, n, f)
	j := &journal{acknowledged: map[string]string{}, unknown: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var callers sync.WaitGroup
	startHTTPCallers(t, ctx, &callers, f, j)
	startGRPCCallers(t, ctx, &callers, con, f, j)
	operator := openClient(t, con)
	goOn := func() {
		t.Helper()
		before := j.acks.Load()
		await(t, "acknowledged records", func() bool { return j.acks.Load() >= before+acksInBetween })
	}
	goOn()

	node4 := prepareNode(t, n, "node4", "org1")
	node4.start()
	mustLTL(t, "node", "add", node4.file(), "--learner", "--dir", n.dir)
	wantMemberships(t, n, map[string]string{"node1": "voter/voter", "node2": "voter/voter", "node3": "voter/voter",
		"node4": "learner/learner"})
	goOn()
	for _, change := range []string{"promote", "demote", "promote"} {
		mustLTL(t, "node", change, "node4", "--dir", n.dir)
		goOn()
	}

	// The disk of a node is lost.
	leader := leaderOf(t, operator, f)
	lost := f.Nodes[0].ID
	if lost == leader {
		lost = f.Nodes[1].ID
	}
	lose(t, n, f, lost)
	goOn()
	node5 := prepareNode(t, n, "node5", strings.Replace(lost, "node", "org", 1)) // of the same organisation
	node5.start()
	mustLTL(t, "node", "replace", lost, node5.file(), "--dir", n.dir)
	goOn()

	// A directory is restored from a copy.
	node4.kill()
	old := filepath.Join(t.TempDir(), "old")
	copyDir(t, node4.dir(), old)
	node4.start()
	goOn()
	caughtUp(t, operator, "node4")
	time.Sleep(2 * time.Second) // it tells the others once a second
	node4.kill()
	if err := os.RemoveAll(node4.dir()); err != nil {
		t.Fatal(err)
	}
	copyDir(t, old, node4.dir())
	node4.stopsSaying("this node's directory is older than what this node has told its peers")
	goOn()

	mustLTL(t, "node", "remove", "node4", "--dir", n.dir)
	node6 := prepareNode(t, n, "node6", "org3")
	node6.start()
	mustLTL(t, "node", "add", node6.file(), "--dir", n.dir)
	leader = leaderNow(t, n)
	mustLTL(t, "node", "remove", leader, "--dir", n.dir)
	goOn()
	want := map[string]string{"node5": "voter/voter", "node6": "voter/voter"}
	for _, node := range f.Nodes {
		if node.ID != lost && node.ID != leader {
			want[node.ID] = "voter/voter"
		}
	}
	delete(want, leader)
	wantMemberships(t, n, want)
	cancel()
	callers.Wait()
	t.Logf("%d records acknowledged, %d with an unknown outcome; the longest time without an acknowledgement was %s",
		len(j.acknowledged), len(j.unknown), j.longestGap.Round(time.Millisecond))
	var copies []string
	for id := range want {
		copies = append(copies, id)
	}
	copies = append(copies, "org1", "org2", "org3")
	checkCopies(t, sessionOf(con, openClient(t, con)), j, copies...)
	for _, from := range copies {
		mustLTL(t, "audit", "--dir", n.dir, "--from", from)
	}
}

// lose kills a node, moves its directory away, and checks that it is refused under its old id.
func lose(t *testing.T, n *network, f *localnet.Network, id string) {
	t.Helper()
	if err := syscall.Kill(pids(f)[id], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, node := range f.Nodes {
		if node.ID == id {
			x := nodeAt(t, n, id, node.GRPC)
			await(t, "the killed node to be gone", func() bool { return !alive(pids(f)[id]) })
			if err := os.Rename(x.dir(), filepath.Join(n.dir, id+".lost")); err != nil {
				t.Fatal(err)
			}
			x.stopsSaying("this node's directory is not the one that its peers know")
		}
	}
}

// caughtUp waits until a node has executed what the others have executed at the call.
func caughtUp(t *testing.T, c *client.Client, id string) {
	t.Helper()
	sequence := func(peer string) uint64 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		st, err := c.Ledger().Status(ctx, peer)
		if err != nil {
			return 0
		}
		return st.GetSequence()
	}
	want := sequence("endorser/org1")
	await(t, id+" to catch up", func() bool { return sequence(id) >= want })
}

// leaderNow is the id of the node that leads.
func leaderNow(t *testing.T, n *network) string {
	t.Helper()
	var leader string
	await(t, "a leader", func() bool {
		var rows []statusRow
		out, _, _ := ltlCommand(t, "status", "--dir", n.dir, "--output", "json") // it fails while something is wrong
		if json.Unmarshal([]byte(out), &rows) != nil {
			return false
		}
		for _, r := range rows {
			if r.Role == roleLeader {
				leader = r.Peer
			}
		}
		return leader != ""
	})
	return leader
}
