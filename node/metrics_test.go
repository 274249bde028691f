package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"google.golang.org/grpc"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestCommitIsMeasuredByStep: one write is seen once by each histogram, and its parts are no longer than the whole.
func TestCommitIsMeasuredByStep(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		before, _ := seen(t, l, "ltl_commit_seconds")
		l.handle.set(100 * time.Millisecond)
		if _, err := l.submit(l.world.batch(l.world.chain, l.world.record(rand.New(rand.NewPCG(3, 3)), "x"))); err != nil {
			t.Fatal(err)
		}
		commits, whole := seen(t, l, "ltl_commit_seconds")
		if commits != before+1 || whole < 0.1 {
			t.Errorf("%d commits of %v s after one more, on a disk of 100 ms; there were %d", commits, whole, before)
		}
		waits, queued := seen(t, l, "ltl_queue_seconds")
		executions, executing := seen(t, l, "ltl_execute_seconds")
		if waits != commits || executions == 0 || queued+executing > whole {
			t.Errorf("%d waits of %v s and %d executions of %v s are no part of %d commits of %v s", waits, queued, executions,
				executing, commits, whole)
		}
		if leaders := value(t, l, "ltl_raft_leader_changes_total").GetCounter().GetValue(); leaders != 1 {
			t.Errorf("%v leaders after one election", leaders)
		}
	})
}

// seen is how many observations a histogram has, and their sum.
func seen(t *testing.T, l *lone, name string) (uint64, float64) {
	t.Helper()
	h := value(t, l, name).GetHistogram()
	return h.GetSampleCount(), h.GetSampleSum()
}

// value reads a metric without labels.
func value(t *testing.T, l *lone, name string) *dto.Metric {
	t.Helper()
	families, err := l.dependencies.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0]
		}
	}
	t.Fatalf("there is no metric %s", name)
	return nil
}

// errEnough ends a watch.
var errEnough = errors.New("enough")

// heard is a stream that takes so many messages.
type heard struct {
	grpc.ServerStream
	ctx  context.Context
	want int
	got  []*ltlv1.SealedKey
}

func (h *heard) Context() context.Context { return h.ctx }

func (h *heard) Send(m *ltlv1.WatchSealedResponse) error {
	if h.got = append(h.got, m.GetSealed()); len(h.got) == h.want {
		return errEnough
	}
	return nil
}

// TestWatchSaysThatNothingChanged: a watch without changes gets an empty message after each pulse.
func TestWatchSaysThatNothingChanged(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		stream := &heard{ctx: t.Context(), want: 4}
		began := time.Now()
		err := (&operatorService{r: l.replica, pulse: watchPulse}).WatchSealed(&ltlv1.WatchSealedRequest{}, stream)
		if !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
		for _, k := range stream.got {
			if k != nil {
				t.Errorf("got %v of a network without AccessKeys", k)
			}
		}
		if took := time.Since(began).Round(time.Second); took != 3*watchPulse {
			t.Errorf("four messages took %v, want one now and three a pulse apart", took)
		}
	})
}
