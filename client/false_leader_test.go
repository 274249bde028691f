package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// hugeTerm is a term that no true leader has.
const hugeTerm = 1 << 62

// falseAnswers are what a node that says falsely that it leads may answer a batch with.
func falseAnswers(f *fake, self string) map[string]func(context.Context) error {
	refuse := func(code codes.Code) func(context.Context) error {
		return func(context.Context) error { return status.Error(code, "a lie") }
	}
	moved := func(to string) func(context.Context) error {
		return func(context.Context) error {
			st, err := status.New(codes.FailedPrecondition, "not the leader").WithDetails(&ltlv1.NotLeader{Leader: to})
			if err != nil {
				f.t.Error(err)
			}
			return st.Err()
		}
	}
	return map[string]func(context.Context) error{
		"nothing":       func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"unavailable":   refuse(codes.Unavailable),
		"denied":        refuse(codes.PermissionDenied),
		"overloaded":    refuse(codes.ResourceExhausted),
		"it leads":      moved(self),
		"none leads":    moved(""),
		"unknown leads": moved("n99"),
	}
}

// claimLeadership makes a node say that it leads, in a term that no other has.
func claimLeadership(n *fakeNode, submit func(context.Context) error) {
	lie := func(out *ltlv1.StatusResponse) { out.Role, out.Leader, out.Term = "leader", n.name(), hugeTerm }
	n.lie.Store(&lie)
	n.submit.Store(&submit)
}

// TestFalseLeader: a node that says falsely that it leads, in whichever term, is not asked while a node of another
// organisation names the true leader.
func TestFalseLeader(t *testing.T) {
	f := startFake(t, 3, "majority")
	for name, answer := range falseAnswers(f, "n3") {
		claimLeadership(f.nodes[2], answer)
		f.nodes[2].submits.Store(0)
		c := f.client(nil)
		r, err := c.Submit(t.Context(), record("a", name))
		wantOK(t, r, err)
		if n := f.nodes[2].submits.Load(); n != 0 {
			t.Errorf("%s: the node that lies got %d batches", name, n)
		}
	}
}

// TestFalseLeaderOfTwo: with two nodes no third says which of both claims is true. Both are tried in turn, and what
// the false one answers is not the end.
func TestFalseLeaderOfTwo(t *testing.T) {
	f := startFake(t, 2, "majority")
	for name, answer := range falseAnswers(f, "n2") {
		claimLeadership(f.nodes[1], answer)
		c := f.client(nil)
		for range 3 {
			started := time.Now()
			r, err := c.Submit(t.Context(), record("a", name))
			wantOK(t, r, err)
			if took := time.Since(started); took > 5*time.Second {
				t.Errorf("%s: it took %v", name, took)
			}
		}
	}
}

// TestLeaderAlone: a leader that no other node names, because the others are dead or there is none, is asked.
func TestLeaderAlone(t *testing.T) {
	f := startFake(t, 1, "any")
	r, err := f.client(nil).Submit(t.Context(), record("a", "one node"))
	wantOK(t, r, err)
	f = startFake(t, 3, "majority")
	f.nodes[1].server.Stop()
	f.nodes[2].server.Stop()
	r, err = f.client(nil).Submit(t.Context(), record("a", "two are dead"))
	wantOK(t, r, err)
}

// TestHugeTermOfAFollower: a node that names a huge term and does not lead keeps no client from the leader.
func TestHugeTermOfAFollower(t *testing.T) {
	f := startFake(t, 3, "majority")
	f.nodes[2].server.Stop() // so that the answer of the one that lies is waited for
	for _, role := range []string{"follower", "candidate"} {
		lie := func(out *ltlv1.StatusResponse) { out.Role, out.Leader, out.Term = role, "", hugeTerm }
		f.nodes[1].lie.Store(&lie)
		r, err := f.client(nil).Submit(t.Context(), record("a", role))
		wantOK(t, r, err)
	}
}

// TestStatusOfAnother: what a node says counts for itself, whatever name it gives.
func TestStatusOfAnother(t *testing.T) {
	f := startFake(t, 3, "majority")
	lie := func(out *ltlv1.StatusResponse) { out.Id, out.Role, out.Term = "org2/node/n2", "leader", hugeTerm }
	f.nodes[2].lie.Store(&lie)
	for range 10 {
		r, err := f.client(nil).Submit(t.Context(), record("a", "1"))
		wantOK(t, r, err)
	}
	if n := f.nodes[1].submits.Load(); n != 0 {
		t.Errorf("node n2, which does not lead, got %d batches because n3 says that it leads", n)
	}
}

// TestPromisedBlocks: a node that reports more blocks than there are does not make a proposal wait for them, whether a
// leader is known or not. Without one nothing is refused: the refusal may be out of date.
func TestPromisedBlocks(t *testing.T) {
	f := startFake(t, 3, "majority")
	for _, n := range f.nodes {
		n.sequence.Store(77)
	}
	lie := func(out *ltlv1.StatusResponse) { out.Sequence = 1 << 63 }
	f.nodes[2].lie.Store(&lie)
	for _, e := range f.endorsers {
		e.set(func(e *fakeEndorser) {
			e.verdict = func(in *ltlv1.EndorseRequest, _ *ltlv1.Transaction) int32 {
				if in.GetMinSequence() > 77 {
					t.Errorf("a proposal asks for block %d", in.GetMinSequence())
				}
				return rules.NotFound
			}
		})
	}
	for _, leader := range []int32{0, -1} {
		f.leader.Store(leader)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		r, err := f.client(nil).Submit(ctx, record("a", "1"))
		cancel()
		switch {
		case leader < 0 && !errors.Is(err, client.ErrUnavailable):
			t.Errorf("without a leader: %v %v, want ErrUnavailable", r, err)
		case leader >= 0 && (err != nil || r.GetCode() != rules.NotFound):
			t.Errorf("leader %d: %v %v, want %d", leader, r, err, rules.NotFound)
		}
	}
}

// TestRefusedBetweenLeaders: while no node leads, the nodes that are left may have fewer blocks than a caller was
// acknowledged. A refusal by endorsers that are no newer is not believed; the next leader says how new they must be.
func TestRefusedBetweenLeaders(t *testing.T) {
	f := startFake(t, 3, "majority")
	for i, n := range f.nodes {
		n.sequence.Store([]uint64{77, 77, 80}[i])
	}
	for _, e := range f.endorsers {
		e.set(func(e *fakeEndorser) {
			e.verdict = func(in *ltlv1.EndorseRequest, _ *ltlv1.Transaction) int32 {
				if in.GetMinSequence() < 80 {
					return rules.NotFound
				}
				return rules.OK
			}
		})
	}
	f.leader.Store(-1)
	time.AfterFunc(500*time.Millisecond, func() { f.leader.Store(2) })
	c := f.client(nil)
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
}

// TestFalseLeaderIsSlow: a true leader that takes long is not left for one that no other node names.
func TestFalseLeaderIsSlow(t *testing.T) {
	f := startFake(t, 3, "majority")
	slow := func(context.Context, int32) error { time.Sleep(2500 * time.Millisecond); return nil }
	f.nodes[0].before.Store(&slow)
	claimLeadership(f.nodes[2], func(context.Context) error { return status.Error(codes.Unavailable, "a lie") })
	r, err := f.client(nil).Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	if a, b := f.nodes[0].submits.Load(), f.nodes[2].submits.Load(); a != 1 || b != 0 {
		t.Errorf("the leader got the batch %d times and the liar %d times, want once and never", a, b)
	}
}

// TestRefusalOfTheLeader: what the only node that leads refuses is the caller's answer at once.
func TestRefusalOfTheLeader(t *testing.T) {
	f := startFake(t, 2, "majority")
	for code, want := range map[codes.Code]error{codes.ResourceExhausted: client.ErrOverloaded, codes.PermissionDenied: nil} {
		refuse := func(context.Context) error { return status.Error(code, "refused") }
		f.nodes[0].submit.Store(&refuse)
		started := time.Now()
		_, err := f.client(nil).Submit(t.Context(), record("a", "1"))
		if err == nil || want != nil && !errors.Is(err, want) || errors.Is(err, client.ErrUnavailable) {
			t.Errorf("%v: %v", code, err)
		}
		if took := time.Since(started); took > time.Second {
			t.Errorf("%v: it took %v", code, took)
		}
	}
}
