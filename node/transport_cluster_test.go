package node

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	"google.golang.org/grpc"

	"ltl/test/testkit/quick"
)

// clusterNode is a real raft over our transport and our log.
type clusterNode struct {
	id     raft.ServerID
	log    *raftLog
	fsm    *guardFSM
	raft   *raft.Raft
	server *grpc.Server
	// announce tells a follower of the newest commit.
	announce func(raft.ServerID)
}

type raftCluster struct {
	t     *testing.T
	net   *raftTestNet
	dir   string
	snaps map[raft.ServerID]*raft.InmemSnapshotStore
	nodes map[raft.ServerID]*clusterNode
	// commitTimeout is raft's own.
	commitTimeout time.Duration
	timers        timers
}

var clusterIDs = []raft.ServerID{"n1", "n2", "n3"}

func newRaftCluster(t *testing.T, commitTimeout time.Duration) *raftCluster {
	return newRaftClusterWith(t, commitTimeout, chosenTimers)
}

func newRaftClusterWith(t *testing.T, commitTimeout time.Duration, tm timers) *raftCluster {
	c := &raftCluster{timers: tm, t: t, net: newRaftTestNet(t), dir: t.TempDir(), snaps: map[raft.ServerID]*raft.InmemSnapshotStore{},
		nodes: map[raft.ServerID]*clusterNode{}, commitTimeout: commitTimeout}
	t.Cleanup(func() {
		for id := range c.nodes {
			c.stop(id)
		}
	})
	for _, id := range clusterIDs {
		c.snaps[id] = raft.NewInmemSnapshotStore()
		c.start(id)
	}
	return c
}

func (c *raftCluster) start(id raft.ServerID) {
	o := logTestOptions(c.t)
	n := &clusterNode{id: id, fsm: &guardFSM{}}
	var err error
	if n.log, err = openLog(filepath.Join(c.dir, string(id)), o); err != nil {
		c.t.Fatal(err)
	}
	var server *RaftServer
	server, n.server = c.net.listen(id)
	var started atomic.Pointer[raft.Raft]
	config := c.net.config(id)
	config.Heartbeat = c.timers.heartbeat
	config.Raft = func() RaftView {
		r := started.Load()
		if r == nil {
			return RaftView{}
		}
		v := RaftView{Term: r.CurrentTerm(), Contact: r.LastContact(),
			Voter: func(id raft.ServerID) bool { return slices.Contains(clusterIDs, id) }}
		_, v.Leader = r.LeaderWithID()
		return v
	}
	transport := NewTransport(config)
	server.Use(transport)
	n.fsm.committed, n.announce = server.committed, server.announce
	cfg := raft.DefaultConfig()
	cfg.CommitTimeout = c.commitTimeout
	cfg.LocalID = id
	cfg.HeartbeatTimeout, cfg.ElectionTimeout, cfg.LeaderLeaseTimeout = c.timers.heartbeat, c.timers.heartbeat,
		c.timers.lease
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Off})
	if has, err := raft.HasExistingState(n.log, n.log.stable, c.snaps[id]); err != nil {
		c.t.Fatal(err)
	} else if !has {
		var servers raft.Configuration
		for _, s := range clusterIDs {
			servers.Servers = append(servers.Servers, raft.Server{ID: s, Address: raft.ServerAddress(s)})
		}
		if err := raft.BootstrapCluster(cfg, n.log, n.log.stable, c.snaps[id], transport, servers); err != nil {
			c.t.Fatal(err)
		}
	}
	if _, err := repairConflictingLog(n.log, c.snaps[id]); err != nil {
		c.t.Fatal(err)
	}
	if n.raft, err = raft.NewRaft(cfg, n.fsm, n.log, n.log.stable, c.snaps[id], transport); err != nil {
		c.t.Fatal(err)
	}
	started.Store(n.raft)
	c.nodes[id] = n
}

func (c *raftCluster) stop(id raft.ServerID) {
	n := c.nodes[id]
	delete(c.nodes, id)
	n.server.Stop()
	if err := errors.Join(n.raft.Shutdown().Error(), n.log.Close()); err != nil {
		c.t.Error(err)
	}
}

// apply writes through the leader, unless that is not, and returns when the entry is committed.
func (c *raftCluster) apply(data string, not raft.ServerID) raft.ServerID {
	for end := time.Now().Add(raftTestPatience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		for id, n := range c.nodes {
			if id != not && n.raft.State() == raft.Leader && n.raft.Apply([]byte(data), time.Second).Error() == nil {
				return id
			}
		}
	}
	c.t.Fatalf("no leader applied %q", data)
	return ""
}

func (c *raftCluster) converged(want string) {
	for id, n := range c.nodes {
		raftTestWait(c.t, fmt.Sprintf("%s has everything", id), func() bool { return strings.HasSuffix(n.fsm.seen(), want) })
	}
	var seen []string
	for _, n := range c.nodes {
		seen = append(seen, n.fsm.seen())
	}
	if slices.Sort(seen); len(slices.Compact(seen)) != 1 {
		c.t.Fatalf("the nodes applied different entries:\n%s", strings.Join(seen, "\n"))
	}
}

// Three nodes over real connections: the leader is killed and comes back, then the next one is cut off and healed. What
// was acknowledged is everywhere, in one order.
func TestRaftCluster(t *testing.T) {
	quick.Skip(t)
	c := newRaftCluster(t, defaultCommitTimeout)
	var acknowledged []string
	write := func(phase string, count int, not raft.ServerID) (leader raft.ServerID) {
		for i := range count {
			data := fmt.Sprintf("%s-%d", phase, i)
			leader = c.apply(data, not)
			acknowledged = append(acknowledged, data)
		}
		return leader
	}
	leader := write("first", 50, "")
	c.converged("first-49")

	start := time.Now()
	c.stop(leader)
	write("killed", 1, "")
	t.Logf("fail-over after a kill: %v", time.Since(start).Round(time.Millisecond))
	write("without", 50, "")
	c.start(leader)
	c.converged("without-49")

	old := write("again", 1, "")
	c.net.isolate(old, true)
	start = time.Now()
	lost := c.nodes[old].raft.Apply([]byte("lost"), 0)
	write("cut", 1, old)
	t.Logf("fail-over after a cut: %v", time.Since(start).Round(time.Millisecond))
	write("apart", 50, old)
	if err := lost.Error(); err == nil {
		t.Error("a node that was cut off acknowledged an entry")
	}
	c.net.isolate(old, false)
	start = time.Now()
	c.converged("apart-49")
	t.Logf("caught up %v after healing", time.Since(start).Round(time.Millisecond))
	write("last", 5, "")
	c.converged("last-4")
	for _, data := range acknowledged {
		for id, n := range c.nodes {
			if !slices.Contains(strings.Fields(n.fsm.seen()), data) {
				t.Errorf("%s lost %s", id, data)
			}
		}
	}
}

// BenchmarkPipeline sends entries of 200 KB through a pipeline to a receiver that agrees at once.
func BenchmarkPipeline(b *testing.B) {
	const size = 200 << 10
	n := newRaftTestNet(b)
	sender, receiver := n.pair(nil)
	raftTestServe(b, receiver, nil)
	p, err := sender.AppendEntriesPipeline("B", "B")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	entry := raftTestEntries(1, 1, size)[0]
	b.SetBytes(size)
	b.ReportAllocs()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case f := <-p.Consumer():
				if err := f.Error(); err != nil {
					b.Error(err)
				}
			case <-stop:
				return
			}
		}
	}()
	defer func() { close(stop); <-done }()
	for b.Loop() {
		if _, err := p.AppendEntries(&raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1,
			Entries: []*raft.Log{entry}}, &raft.AppendEntriesResponse{}); err != nil {
			b.Fatal(err)
		}
	}
}
