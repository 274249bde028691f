package node

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"ltl/test/testkit/quick"
)

// announceTest is a pipeline to a receiver that agrees to everything and notes what it gets.
type announceTest struct {
	t    *testing.T
	a    *Transport
	p    raft.AppendPipeline
	mu   sync.Mutex
	seen []string
}

func newAnnounceTest(t *testing.T) *announceTest {
	x := &announceTest{t: t}
	var b *Transport
	x.a, b = newRaftTestNet(t).pair(nil)
	raftTestServe(t, b, func(r raft.RPC) {
		m := r.Command.(*raft.AppendEntriesRequest)
		x.mu.Lock()
		defer x.mu.Unlock()
		x.seen = append(x.seen, fmt.Sprintf("term %d after %d/%d: %d entries, commit %d", m.Term, m.PrevLogEntry, m.PrevLogTerm,
			len(m.Entries), m.LeaderCommitIndex))
	})
	var err error
	if x.p, err = x.a.AppendEntriesPipeline("B", "B"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.p.Close() })
	return x
}

// send sends an append as raft does.
func (x *announceTest) send(prev uint64, entries int, commit uint64) {
	x.t.Helper()
	if _, err := x.p.AppendEntries(&raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 3, PrevLogEntry: prev,
		PrevLogTerm: 1, Entries: raftTestEntries(int(prev)+1, entries, 10), LeaderCommitIndex: commit},
		&raft.AppendEntriesResponse{}); err != nil {
		x.t.Fatal(err)
	}
}

// answers takes n answers as raft does.
func (x *announceTest) answers(n int) {
	x.t.Helper()
	for range n {
		select {
		case f := <-x.p.Consumer():
			if f.Error() != nil || !f.Response().Success {
				x.t.Fatalf("%+v, %v", f.Response(), f.Error())
			}
		case <-time.After(raftTestPatience):
			x.t.Fatal("no answer")
		}
	}
}

// got waits until the receiver has what is wanted, and nothing else.
func (x *announceTest) got(want ...string) {
	x.t.Helper()
	var seen []string
	raftTestWait(x.t, "the receiver has everything", func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		seen = slices.Clone(x.seen)
		return len(seen) >= len(want)
	})
	if !slices.Equal(seen, want) {
		x.t.Fatalf("the receiver got %q, want %q", seen, want)
	}
}

// TestAnnounce: a follower that asks hears of a commit that it does not know once it has been sent the entry, under the
// term of the pipeline, and raft hears nothing of it.
func TestAnnounce(t *testing.T) {
	x := newAnnounceTest(t)
	x.send(4, 1, 4)
	x.answers(1)
	want := []string{"term 3 after 4/1: 1 entries, commit 4"}
	ask := func(index, term uint64) {
		x.a.Committed(index, term)
		x.a.Announce("A") // another follower asks
		x.a.Announce("B")
	}
	ask(5, 3)
	ask(5, 3)
	want = append(want, "term 3 after 5/3: 0 entries, commit 5")
	x.got(want...)
	ask(6, 4) // of a later term than this node's: it no longer leads
	x.send(5, 2, 5)
	ask(6, 3)
	want = append(want, "term 3 after 5/1: 2 entries, commit 5", "term 3 after 6/3: 0 entries, commit 6")
	x.got(want...)
	x.send(7, 0, 7)
	x.answers(2)
	ask(7, 3) // known already
	x.a.Committed(8, 3)
	x.a.Announce("B") // before the entry: the append that brings it is followed by the announcement
	x.waitAsked()
	x.send(7, 1, 7)
	x.answers(1)
	x.got(append(want, "term 3 after 7/1: 0 entries, commit 7", "term 3 after 7/1: 1 entries, commit 7",
		"term 3 after 8/3: 0 entries, commit 8")...)
	select {
	case f := <-x.p.Consumer():
		t.Errorf("raft gets the answer to an append that it did not send: %+v", f.Request())
	default:
	}
}

// waitAsked waits until the pipeline knows that it is asked for an entry that was not sent.
func (x *announceTest) waitAsked() {
	x.t.Helper()
	p := x.p.(*appendPipeline)
	raftTestWait(x.t, "the pipeline knows that it is asked", func() bool {
		p.sending.Lock()
		defer p.sending.Unlock()
		return p.asked
	})
}

// TestHeldAppends: an append that says nothing new is held back, and sent before entries that follow a pause, so that
// the follower's answer is not only the one that waits for its disk.
func TestHeldAppends(t *testing.T) {
	x := newAnnounceTest(t)
	x.send(5, 0, 5) // the first of a pipeline says that there is one
	x.answers(1)
	for range 3 {
		x.send(5, 0, 5)
	}
	x.send(5, 1, 5)
	x.answers(1)
	first := []string{"term 3 after 5/1: 0 entries, commit 5", "term 3 after 5/1: 1 entries, commit 5"}
	x.got(first...)
	x.send(6, 0, 5)
	time.Sleep(2 * staleContact)
	x.send(6, 0, 5)
	x.send(6, 1, 5)
	x.answers(2)
	first = append(first, "term 3 after 6/1: 0 entries, commit 5", "term 3 after 6/1: 1 entries, commit 5")
	x.got(first...)
	time.Sleep(idleAppend)
	x.send(7, 0, 5)
	x.answers(1)
	x.got(append(first, "term 3 after 7/1: 0 entries, commit 5")...)
}

// announcedBranch is a follower in term 4 whose log has entry 5 of term 2, and which knows entry 4 to be committed.
func announcedBranch(t *testing.T) (follower *raft.Raft, fsm *guardFSM, send func(raft.AppendEntriesRequest) bool) {
	_, transport := raft.NewInmemTransport("F")
	store, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
	cfg := raft.DefaultConfig()
	cfg.LocalID, cfg.LogOutput = "F", t.Output()
	cfg.HeartbeatTimeout, cfg.ElectionTimeout = time.Hour, time.Hour
	if err := raft.BootstrapCluster(cfg, store, store, snaps, transport, raft.Configuration{Servers: []raft.Server{
		{ID: "F", Address: "F"}, {ID: "L", Address: "L"}, {ID: "O", Address: "O"}}}); err != nil {
		t.Fatal(err)
	}
	fsm = &guardFSM{}
	follower, err := raft.NewRaft(cfg, fsm, store, store, snaps, transport)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = follower.Shutdown().Error() })
	_, leader := raft.NewInmemTransport("L")
	leader.Connect("F", transport)
	send = func(m raft.AppendEntriesRequest) bool {
		m.RPCHeader = raftTestHeader("L")
		var r raft.AppendEntriesResponse
		if err := leader.AppendEntries("F", "F", &m, &r); err != nil {
			t.Fatal(err)
		}
		return r.Success
	}
	entries := raftTestEntries(2, 3, 1)
	entries = append(entries, &raft.Log{Index: 5, Term: 2, Data: []byte("branch")})
	if !send(raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 1, PrevLogTerm: 1, Entries: entries, LeaderCommitIndex: 4}) {
		t.Fatal("the follower refuses the entries")
	}
	return follower, fsm, send
}

// TestAnnouncedBranch: what announce sends commits nothing on a follower that has another entry at that index, or that
// knows a later term; the same commit index in an append that names no entry would.
func TestAnnouncedBranch(t *testing.T) {
	f, _, send := announcedBranch(t)
	for _, c := range []struct {
		what string
		m    raft.AppendEntriesRequest
	}{
		{"of another entry", raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 5, PrevLogTerm: 3, LeaderCommitIndex: 5}},
		{"of an earlier term", raft.AppendEntriesRequest{Term: 3, PrevLogEntry: 5, PrevLogTerm: 2, LeaderCommitIndex: 5}},
		{"of an entry to come", raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 6, PrevLogTerm: 2, LeaderCommitIndex: 6}},
	} {
		if send(c.m) || f.CommitIndex() != 4 {
			t.Errorf("the announcement %s is taken, and the commit index is %d", c.what, f.CommitIndex())
		}
	}
	if !send(raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 5, PrevLogTerm: 2, LeaderCommitIndex: 5}) ||
		f.CommitIndex() != 5 {
		t.Errorf("the announcement of the follower's own entry is refused: commit index %d", f.CommitIndex())
	}
}

// TestAnnounceCluster: followers that ask have a lone write although raft itself would tell them in an hour.
func TestAnnounceCluster(t *testing.T) {
	quick.Skip(t)
	c := newRaftCluster(t, time.Hour)
	for i := range 5 { // raft opens its pipelines meanwhile
		c.apply(fmt.Sprintf("first-%d", i), "")
	}
	for i := range 20 {
		data := fmt.Sprintf("lone-%d", i)
		leader := c.nodes[c.apply(data, "")]
		for id := range c.nodes {
			leader.announce(id)
		}
		c.converged(data)
	}
}
