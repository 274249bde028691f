package client_test

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestLeaderMoves(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	f.leader.Store(2) // the old leader knows the new one
	r, err = c.Submit(t.Context(), record("a", "2"))
	wantOK(t, r, err)
	f.leader.Store(-1) // no node leads for a while
	go func() {
		time.Sleep(300 * time.Millisecond)
		f.leader.Store(1)
	}()
	r, err = c.Submit(t.Context(), record("a", "3"))
	wantOK(t, r, err)
	if f.stored() != 3 {
		t.Fatalf("%d stored, want 3", f.stored())
	}
}

// TestLostAnswer: the leader commits, and its answer never arrives.
func TestLostAnswer(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	lost := func(_ context.Context, n int32) error {
		if n <= 2 {
			f.leader.Store(1)
			return status.Error(codes.Unavailable, "connection reset")
		}
		return nil
	}
	f.nodes[0].after.Store(&lost)
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	if f.stored() != 1 {
		t.Fatalf("%d stored, want 1", f.stored())
	}
}

// TestHangingLeader: a leader that was paused does not answer; another leads in a newer term.
func TestHangingLeader(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	hang := func(ctx context.Context, _ int32) error {
		f.nodes[0].hang.Store(true)
		f.term.Store(2)
		f.leader.Store(1)
		<-ctx.Done()
		return ctx.Err()
	}
	f.nodes[0].before.Store(&hang)
	started := time.Now()
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	if took := time.Since(started); took > slow {
		t.Errorf("it took %v to move on", took)
	}
}
