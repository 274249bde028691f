package node

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
)

// follower is one raft that is told what to do by hand, as a leader L would.
type follower struct {
	t      *testing.T
	raft   *raft.Raft
	leader *simPort
	peers  raft.Configuration
}

// idleFSM executes nothing.
type idleFSM struct{}

func (idleFSM) Apply(*raft.Log) any { return nil }
func (idleFSM) Snapshot() (raft.FSMSnapshot, error) {
	return &pointerSnapshot{encoded: []byte("x")}, nil
}
func (idleFSM) Restore(r io.ReadCloser) error { return r.Close() }

// runFollower starts a follower whose timers never run out. Its snapshots are read by nobody.
func runFollower(t *testing.T, fn func(f *follower)) {
	synctest.Test(t, func(t *testing.T) {
		net, h := newSimNet(), &simHandle{disk: newSimDisk()}
		logs, err := newLogStore(h, func(err error) { t.Error(err) }, logOptions{logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		snaps, err := raft.NewFileSnapshotStoreWithLogger(t.TempDir(), retainedSnapshots, newHCLog(quiet()))
		if err != nil {
			t.Fatal(err)
		}
		f := &follower{t: t, peers: raft.Configuration{Servers: []raft.Server{{ID: "F", Address: "F"}, {ID: "L", Address: "L"}, {ID: "M", Address: "M"}}}}
		c := raft.DefaultConfig()
		c.LocalID, c.Logger, c.HeartbeatTimeout, c.ElectionTimeout, c.TrailingLogs = "F", newHCLog(quiet()), time.Hour, time.Hour, 100
		c.SnapshotInterval = time.Hour
		port := net.port("F", func(uint64, uint64) {})
		f.leader = net.port("L", func(uint64, uint64) {})
		if err := raft.BootstrapCluster(c, logs, &simStable{h}, snaps, nil, f.peers); err != nil {
			t.Fatal(err)
		}
		port.installed = func(uint64, uint64) {
			if again, err := afterSnapshotInstall(logs, snaps); again || err != nil {
				t.Errorf("after an install: %v, %v", again, err)
			}
		}
		if f.raft, err = raft.NewRaft(c, idleFSM{}, &snapshotLog{logs, snaps}, &simStable{h}, snaps, port); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := f.raft.Shutdown().Error(); err != nil {
				t.Error(err)
			}
			_, _ = port.Close(), f.leader.Close()
			time.Sleep(time.Hour)
		}()
		fn(f)
	})
}

func (f *follower) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("L"), Addr: []byte("L")}
}

func (f *follower) install(index, term uint64) {
	f.t.Helper()
	var out raft.InstallSnapshotResponse
	err := f.leader.InstallSnapshot("F", "F", &raft.InstallSnapshotRequest{
		RPCHeader: f.header(), SnapshotVersion: raft.SnapshotVersionMax, Term: 3, Leader: []byte("L"), LastLogIndex: index, LastLogTerm: term,
		Configuration: raft.EncodeConfiguration(f.peers), ConfigurationIndex: 1, Size: 1,
	}, &out, bytes.NewReader([]byte("x")))
	if err != nil || !out.Success {
		f.t.Fatalf("install at %d: %+v, %v", index, out, err)
	}
}

// add sends the entries behind prev up to last, all of term 3 and committed, and returns whether they were taken.
func (f *follower) add(prev, prevTerm, last uint64) bool {
	f.t.Helper()
	in := &raft.AppendEntriesRequest{RPCHeader: f.header(), Term: 3, Leader: []byte("L"), PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: last}
	for i := prev + 1; i <= last; i++ {
		in.Entries = append(in.Entries, &raft.Log{Index: i, Term: 3, Type: raft.LogCommand, Data: []byte("x")})
	}
	var out raft.AppendEntriesResponse
	if err := f.leader.AppendEntries("F", "F", in, &out); err != nil {
		f.t.Fatal(err)
	}
	return out.Success
}

// TestLostAnswerAfterSnapshot: the leader installs a snapshot, appends behind it, does not get the answer, and begins again behind
// the snapshot. Raft by itself refuses that for ever.
func TestLostAnswerAfterSnapshot(t *testing.T) {
	runFollower(t, func(f *follower) {
		f.install(10, 2)
		for range 2 {
			if !f.add(10, 2, 15) {
				t.Fatal("the entries behind the snapshot are refused")
			}
		}
		if f.add(10, 1, 15) {
			t.Error("another term at the snapshot's index is taken")
		}
	})
}

// TestLostAnswerAfterOwnSnapshot: as before, but meanwhile the follower has made a newer snapshot of its own, while the leader still
// begins behind its older one.
func TestLostAnswerAfterOwnSnapshot(t *testing.T) {
	runFollower(t, func(f *follower) {
		f.install(10, 2)
		if !f.add(10, 2, 15) {
			t.Fatal("the entries behind the snapshot are refused")
		}
		time.Sleep(time.Second)
		if err := f.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		if !f.add(10, 2, 15) {
			t.Error("the entries behind the leader's snapshot are refused")
		}
		f.install(10, 2) // what raft's leader does then
		if !f.add(10, 2, 18) {
			t.Error("and refused again after the snapshot came once more: this goes on for ever")
		}
	})
}
