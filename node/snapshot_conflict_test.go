package node

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// guardFSM remembers what was applied.
type guardFSM struct {
	mu      sync.Mutex
	applied []string
	// committed is nil where it is not needed.
	committed func(index, term uint64)
}

func (f *guardFSM) Apply(l *raft.Log) any {
	if f.committed != nil {
		f.committed(l.Index, l.Term)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = append(f.applied, string(l.Data))
	return nil
}

func (f *guardFSM) seen() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return string(bytes.Join(guardBytes(f.applied), []byte(" ")))
}

func guardBytes(s []string) (out [][]byte) {
	for _, v := range s {
		out = append(out, []byte(v))
	}
	return out
}

func (f *guardFSM) Snapshot() (raft.FSMSnapshot, error) { return guardSnapshot{}, nil }

func (f *guardFSM) Restore(r io.ReadCloser) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

type guardSnapshot struct{}

func (guardSnapshot) Persist(s raft.SnapshotSink) error { return s.Close() }
func (guardSnapshot) Release()                          {}

// guardNode is a follower F behind our transport, driven by hand through the transport of a leader L.
type guardNode struct {
	t         *testing.T
	net       *raftTestNet
	server    *RaftServer
	leader    *Transport
	transport *Transport
	inner     *raft.InmemStore
	logs      raft.LogStore
	snaps     *raft.InmemSnapshotStore
	fsm       *guardFSM
	raft      *raft.Raft
	installed chan bool // what afterSnapshotInstall said
}

var guardServers = []raft.Server{{ID: "F", Address: "F"}, {ID: "L", Address: "L"}, {ID: "M", Address: "M"}}

// newGuardNode starts F. wrapped puts our log store around the plain one.
func newGuardNode(t *testing.T, wrapped bool) *guardNode {
	n := newRaftTestNet(t)
	g := &guardNode{t: t, net: n, inner: raft.NewInmemStore(), snaps: raft.NewInmemSnapshotStore(), fsm: &guardFSM{},
		installed: make(chan bool, 100)}
	g.logs = g.inner
	if wrapped {
		s, err := newLogStore(g.inner, func(err error) { t.Errorf("fatal: %v", err) }, logOptions{})
		if err != nil {
			t.Fatal(err)
		}
		g.logs = s
	}
	g.server, _ = n.listen("F")
	g.leader = NewTransport(n.config("L"))
	t.Cleanup(func() { _ = g.leader.Close() })
	if err := raft.BootstrapCluster(g.raftConfig(), g.logs, g.inner, g.snaps, g.newTransport(),
		raft.Configuration{Servers: guardServers}); err != nil {
		t.Fatal(err)
	}
	g.start()
	t.Cleanup(func() { g.stop() })
	return g
}

func (g *guardNode) raftConfig() *raft.Config {
	cfg := raft.DefaultConfig()
	cfg.LocalID, cfg.HeartbeatTimeout, cfg.ElectionTimeout = "F", time.Hour, time.Hour
	cfg.MaxAppendEntries = 4 // fewer than the entries of a lost branch
	cfg.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Off})
	return cfg
}

// empty starts a node that has nothing.
func (g *guardNode) empty(id raft.ServerID) *guardFSM {
	server, _ := g.net.listen(id)
	transport := NewTransport(g.net.config(id))
	server.Use(transport)
	cfg := g.raftConfig()
	cfg.LocalID = id
	store, fsm := raft.NewInmemStore(), &guardFSM{}
	r, err := raft.NewRaft(cfg, fsm, store, store, raft.NewInmemSnapshotStore(), transport)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = r.Shutdown().Error() })
	return fsm
}

func (g *guardNode) newTransport() *Transport {
	cfg := g.net.config("F")
	cfg.OnSnapshotInstalled = func(uint64, uint64) {
		restart, err := afterSnapshotInstall(g.logs, g.snaps)
		if err != nil {
			g.t.Error(err)
		}
		g.installed <- restart
	}
	g.transport = NewTransport(cfg)
	g.server.Use(g.transport)
	return g.transport
}

func (g *guardNode) start() {
	r, err := raft.NewRaft(g.raftConfig(), g.fsm, g.logs, g.inner, g.snaps, g.transport)
	if err != nil {
		g.t.Fatal(err)
	}
	g.raft = r
}

func (g *guardNode) stop() {
	if err := g.raft.Shutdown().Error(); err != nil { // closes the transport too
		g.t.Error(err)
	}
}

// restart is what a node does when the guard asks for it; the gRPC server keeps running.
func (g *guardNode) restart() {
	g.stop()
	g.newTransport()
	repaired, err := repairConflictingLog(g.logs, g.snaps)
	if err != nil || !repaired {
		g.t.Fatalf("repaired %v, %v", repaired, err)
	}
	g.start()
}

func (g *guardNode) append(term, prev, prevTerm, commit uint64, entries []*raft.Log) bool {
	var resp raft.AppendEntriesResponse
	request := &raft.AppendEntriesRequest{RPCHeader: raftTestHeader("L"), Term: term, Leader: []byte("L"),
		PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: commit, Entries: entries}
	if err := g.leader.AppendEntries("F", "F", request, &resp); err != nil {
		g.t.Fatal(err)
	}
	return resp.Success
}

func (g *guardNode) install(term, index, indexTerm uint64) (restart bool) {
	data := []byte("state")
	request := &raft.InstallSnapshotRequest{RPCHeader: raftTestHeader("L"), SnapshotVersion: 1, Term: term,
		Leader: []byte("L"), LastLogIndex: index, LastLogTerm: indexTerm,
		Configuration: raft.EncodeConfiguration(raft.Configuration{Servers: guardServers}), ConfigurationIndex: 1,
		Size: int64(len(data))}
	var resp raft.InstallSnapshotResponse
	if err := g.leader.InstallSnapshot("F", "F", request, &resp, bytes.NewReader(data)); err != nil || !resp.Success {
		g.t.Fatalf("install: %+v, %v", resp, err)
	}
	return <-g.installed
}

func guardEntries(from, to, term uint64, data string) (out []*raft.Log) {
	for i := from; i <= to; i++ {
		out = append(out, &raft.Log{Index: i, Term: term, Type: raft.LogCommand, Data: []byte(data)})
	}
	return out
}

func TestCheckSnapshotTerm(t *testing.T) {
	for _, c := range []struct {
		name               string
		first, last, term  uint64 // of the log; last 0: empty
		index, indexTerm   uint64 // of the snapshot; 0: none
		conflict, repaired bool
	}{
		{"no snapshot", 1, 20, 1, 0, 0, false, false},
		{"empty log", 0, 0, 0, 10, 2, false, false},
		{"same term", 1, 20, 2, 10, 2, false, false},
		{"log begins after the snapshot", 11, 20, 2, 10, 2, false, false},
		{"other term inside", 1, 20, 1, 10, 2, true, true},
		{"other term at the end", 1, 10, 1, 10, 2, true, true},
		{"log ends below", 1, 9, 1, 10, 2, false, true},
	} {
		logs, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		if c.last > 0 {
			if err := logs.StoreLogs(guardEntries(c.first, c.last, c.term, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if c.index > 0 {
			_, transport := raft.NewInmemTransport("F")
			sink, err := snaps.Create(1, c.index, c.indexTerm, raft.Configuration{Servers: guardServers}, 1, transport)
			if err != nil {
				t.Fatal(err)
			}
			_ = sink.Close()
		}
		conflict, err := checkSnapshotTerm(logs, snaps)
		if err != nil || conflict != c.conflict {
			t.Errorf("%s: conflict %v, %v", c.name, conflict, err)
		}
		repaired, err := repairConflictingLog(logs, snaps)
		if err != nil || repaired != c.repaired {
			t.Errorf("%s: repaired %v, %v", c.name, repaired, err)
		}
		if last, _ := logs.LastIndex(); c.repaired != (last == 0) && c.last > 0 {
			t.Errorf("%s: log ends at %d", c.name, last)
		}
		if again, err := repairConflictingLog(logs, snaps); again || err != nil {
			t.Errorf("%s: repaired twice, %v", c.name, err)
		}
	}
}

// raft calls a store monotonic when it has the method, and then makes the defect worse.
func TestLogStoreIsNotMonotonic(t *testing.T) {
	var s raft.LogStore = &logStore{}
	if _, ok := s.(raft.MonotonicLogStore); ok {
		t.Fatal("logStore is a raft.MonotonicLogStore")
	}
	s = &raftLog{}
	if _, ok := s.(raft.MonotonicLogStore); ok {
		t.Fatal("raftLog is a raft.MonotonicLogStore")
	}
}

// TestCheckCovered: a snapshot that cannot be read is not listed; a log whose beginning it held is then no log to
// start from.
func TestCheckCovered(t *testing.T) {
	for _, c := range []struct {
		first, last, snapshot uint64
		ok                    bool
	}{
		{0, 0, 0, true}, {1, 5, 0, true}, {0, 0, 9, true}, {3, 9, 5, true}, {3, 9, 2, true}, {1, 1, 9, true},
		{2, 5, 0, false}, {5, 9, 0, false}, {5, 9, 3, false},
	} {
		logs, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		if c.first > 0 {
			if err := logs.StoreLogs(guardEntries(c.first, c.last, 1, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if c.snapshot > 0 {
			sink, err := snaps.Create(raft.SnapshotVersionMax, c.snapshot, 1, raft.Configuration{}, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkCovered(logs, snaps); (err == nil) != c.ok || err != nil && !errors.Is(err, errLogCorrupt) {
			t.Errorf("entries %d to %d with a snapshot at %d: %v", c.first, c.last, c.snapshot, err)
		}
	}
}
