package node

import (
	"context"
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/quick"
)

// TestTermGuard: a peer raises the term up to a bound that grows with the time, and a bounded number of times; what others do, and terms that
// this node has reached, cost it nothing.
func TestTermGuard(t *testing.T) {
	own, started := uint64(0), false
	g := newTermGuard(func() RaftView {
		if !started {
			return RaftView{}
		}
		return RaftView{Term: own, Voter: func(raft.ServerID) bool { return true }}
	}, time.Hour)
	if err := g.allow("n2", 1); !errors.Is(err, errTermRefused) {
		t.Errorf("before raft has started: %v", err)
	}
	if started = true; g.allow("n1", 1) != nil {
		t.Error("a new directory takes no term")
	}
	own = 5
	for _, term := range []uint64{latestTerm(time.Now().Add(time.Minute)), math.MaxUint64} {
		if err := g.allow("n2", term); !errors.Is(err, errTermRefused) {
			t.Errorf("term %d at term %d: %v", term, own, err)
		}
	}
	for i := range termRaises {
		for range 3 { // the messages of one election
			if err := g.allow("n2", own+1); err != nil {
				t.Fatalf("raise %d: %v", i, err)
			}
		}
		own++
	}
	if err := g.allow("n2", own+1); !errors.Is(err, errTermRefused) {
		t.Errorf("one more: %v", err)
	}
	if err := errors.Join(g.allow("n3", latestTerm(time.Now())), g.allow("n2", own), g.answer("n2", own+1, own+1)); err != nil {
		t.Error(err)
	}
	if err := g.answer("n2", own, own+1); !errors.Is(err, errTermRefused) {
		t.Errorf("an answer: %v", err)
	}
	g.now = func() time.Time { return time.Now().Add(g.every) }
	if err := g.allow("n2", own+1); err != nil {
		t.Errorf("later: %v", err)
	}
	own++
	if err := g.allow("n2", own+1); !errors.Is(err, errTermRefused) {
		t.Errorf("a second time later: %v", err)
	}
}

// TestElectionsByTwoPeers: a node that alone can be elected, stands without pause, and needs two peers that began to count
// at different times, is elected once in each window.
func TestElectionsByTwoPeers(t *testing.T) {
	const heartbeat = time.Second
	now := time.Unix(1_800_000_000, 0)
	terms := [2]uint64{1, 1}
	var peers [2]*termGuard
	for i := range peers {
		peers[i] = newTermGuard(func() RaftView {
			return RaftView{Term: terms[i], Voter: func(raft.ServerID) bool { return true }}
		}, heartbeat)
		peers[i].now = func() time.Time { return now }
	}
	term, elected := uint64(1), 0
	stand := func(ask ...int) (votes int) {
		term++
		for _, i := range ask {
			if peers[i].claim("x", term, false) == nil {
				terms[i], votes = term, votes+1
			}
		}
		return votes
	}
	stand(0) // the second one starts later
	now = now.Add(8 * heartbeat)
	const windows = 100
	for begin := now; now.Sub(begin) < windows*termRaiseEvery*heartbeat; now = now.Add(3 * heartbeat / 2) {
		if stand(0, 1) == 2 {
			elected++
		}
	}
	if elected < windows {
		t.Errorf("elected %d times in %d windows", elected, windows)
	}
}

// TestOneLeaderATerm: only the leader of a term sends what a leader sends, and a node without a vote raises no term
// while there is a leader or one may be elected.
func TestOneLeaderATerm(t *testing.T) {
	now := RaftView{Term: 5, Leader: "n1", Voter: func(id raft.ServerID) bool { return id != "learner" }}
	g := newTermGuard(func() RaftView { return now }, time.Hour)
	check := func(what string, peer raft.ServerID, term uint64, leads, taken bool) {
		t.Helper()
		if err := g.claim(peer, term, leads); (err == nil) != taken || err != nil && !errors.Is(err, errTermRefused) {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("the leader", "n1", 5, true, true)
	check("another voter in the same term", "n2", 5, true, false)
	check("a learner in the same term", "learner", 5, true, false)
	check("a candidate that is late", "n2", 5, false, true)
	check("the leader of the next term", "n2", 6, true, true)
	check("a learner leads in the next term", "learner", 6, true, false)
	check("a learner stands for the next term", "learner", 6, false, false)
	if err := g.answer("learner", 5, 6); !errors.Is(err, errTermRefused) {
		t.Errorf("a learner answers with the next term: %v", err)
	}
	now.Leader = ""
	check("a learner while one may be elected", "learner", 6, true, false)
	check("a voter that was elected", "n2", 6, true, true)
	now.Contact, g.started = time.Now().Add(-leaderless*time.Hour), time.Time{}
	check("a learner that got its vote while this node was away", "learner", 6, true, true)
	g.started = time.Now()
	check("a learner when this node has just started", "learner", 7, true, false)
}

// termLiar is a voter that answers every question about a term with a later one.
type termLiar struct {
	ltlv1.UnimplementedRaftTransportServer
	step uint64
}

func (l *termLiar) header() *ltlv1.RaftHeader {
	return &ltlv1.RaftHeader{ProtocolVersion: int64(raft.ProtocolVersionMax), Id: []byte("n3"), Address: []byte("n3")}
}

func (l *termLiar) RequestVote(_ context.Context, m *ltlv1.RequestVoteRequest) (*ltlv1.RequestVoteResponse, error) {
	return &ltlv1.RequestVoteResponse{Header: l.header(), Term: m.GetTerm() + l.step}, nil
}

func (l *termLiar) RequestPreVote(_ context.Context,
	m *ltlv1.RequestPreVoteRequest) (*ltlv1.RequestPreVoteResponse, error) {
	return &ltlv1.RequestPreVoteResponse{Header: l.header(), Term: m.GetTerm() + l.step}, nil
}

func (l *termLiar) AppendEntries(_ context.Context,
	m *ltlv1.AppendEntriesRequest) (*ltlv1.AppendEntriesResponse, error) {
	return &ltlv1.AppendEntriesResponse{Header: l.header(), Term: m.GetTerm() + l.step}, nil
}

// push sends a node every message by which a peer raises its term, and returns how often one was not refused.
func (l *termLiar) push(ctx context.Context, c ltlv1.RaftTransportClient, term uint64) (taken int) {
	h := l.header()
	_, vote := c.RequestVote(ctx, &ltlv1.RequestVoteRequest{Header: h, Term: term, Candidate: h.Id, LeadershipTransfer: true})
	_, lead := c.AppendEntries(ctx, &ltlv1.AppendEntriesRequest{Header: h, Term: term, Leader: h.Id})
	for _, err := range []error{vote, lead} {
		if err == nil {
			taken++
		}
	}
	return taken
}

// TestJumpedTerm: terms to which a voter brings one node at once, and not the others, keep none apart: the others follow
// when that voter is gone, and a new node does.
func TestJumpedTerm(t *testing.T) {
	quick.Skip(t)
	c := newRaftClusterWith(t, defaultCommitTimeout, timers{500 * time.Millisecond, 480 * time.Millisecond})
	c.apply("before", "")
	conn, err := c.net.dial("n3", "n1")
	if err != nil {
		t.Fatal(err)
	}
	liar := (&termLiar{}).header()
	for _, term := range []uint64{1 << 20, 3 << 20, latestTerm(time.Now())} {
		if _, err := ltlv1.NewRaftTransportClient(conn).RequestVote(t.Context(), &ltlv1.RequestVoteRequest{Header: liar,
			Term: term, Candidate: liar.Id, LeadershipTransfer: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	c.stop("n3")
	c.apply("after", "")
	fresh := newTermGuard(func() RaftView { return RaftView{Voter: func(raft.ServerID) bool { return true }} }, time.Hour)
	if err := fresh.claim("n1", c.nodes["n1"].raft.CurrentTerm(), true); err != nil {
		t.Errorf("a new node follows no leader: %v", err)
	}
	for id := range c.nodes {
		c.stop(id)
	}
}

// TestOneLiarPushesTerms: a voter that claims ever later terms, as a candidate, as a leader and in every answer,
// keeps two others from leading only for a while, and the last term of all is not taken.
func TestOneLiarPushesTerms(t *testing.T) {
	quick.Skip(t)
	for _, step := range []uint64{1, math.MaxUint64 >> 1} {
		c := newRaftClusterWith(t, defaultCommitTimeout, timers{500 * time.Millisecond, 480 * time.Millisecond})
		c.apply("before", "")
		c.stop("n3")
		c.apply("without", "")
		server := c.net.listenWith("n3", &termLiar{step: step})
		ctx, stop := context.WithCancel(t.Context())
		begin := make(chan struct{})
		var lying sync.WaitGroup
		for _, to := range []raft.ServerID{"n1", "n2"} {
			conn, err := c.net.dial("n3", to)
			if err != nil {
				t.Fatal(err)
			}
			r, liar := c.nodes[to].raft, &termLiar{step: step}
			client := ltlv1.NewRaftTransportClient(conn)
			if _, err := client.TimeoutNow(ctx, &ltlv1.TimeoutNowRequest{Header: liar.header()}); status.Code(err) !=
				codes.PermissionDenied {
				t.Errorf("one that does not lead asks %s to stand for election: %v", to, err)
			}
			lying.Go(func() {
				<-begin
				for ctx.Err() == nil {
					liar.push(ctx, client, r.CurrentTerm()+step)
				}
				_ = conn.Close()
			})
		}
		close(begin)
		for _, data := range []string{"a", "b", "c"} {
			c.apply(data, "")
		}
		c.converged("c")
		stop()
		lying.Wait()
		for _, id := range []raft.ServerID{"n1", "n2"} {
			if term := c.nodes[id].raft.CurrentTerm(); term > 1000 {
				t.Errorf("step %d: %s is at term %d", step, id, term)
			}
		}
		server.Stop()
		for id := range c.nodes {
			c.stop(id)
		}
	}
}
