package bench

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"ltl/internal/localnet"
)

func TestQuantile(t *testing.T) {
	var sorted []time.Duration
	for i := 1; i <= 200; i++ {
		sorted = append(sorted, time.Duration(i)*time.Millisecond)
	}
	for _, c := range []struct{ q, want float64 }{{0.5, 100}, {0.95, 190}, {0.99, 198}, {1, 200}} {
		if got := quantile(sorted, c.q); got != c.want {
			t.Errorf("quantile %v of 1..200 ms is %v, want %v", c.q, got, c.want)
		}
	}
	if got := quantile(sorted[:1], 0.5); got != 1 {
		t.Errorf("quantile of one latency is %v, want 1", got)
	}
	if got := quantile(nil, 0.5); got != 0 {
		t.Errorf("quantile of nothing is %v, want 0", got)
	}
}

// TestClosedLoop: each caller has at most one call under way, all run, failures are counted apart and never as records.
func TestClosedLoop(t *testing.T) {
	defer goleak.VerifyNone(t)
	busy := make([]bool, 4)
	callers := make([]caller, len(busy))
	for i := range callers {
		callers[i] = func(ctx context.Context) error {
			if busy[i] {
				t.Error("a caller called again before its answer")
			}
			busy[i] = true
			defer func() { busy[i] = false }()
			timer := time.NewTimer(time.Millisecond)
			defer timer.Stop()
			<-timer.C
			if i == 0 {
				return errors.New("refused")
			}
			return nil
		}
	}
	l := closedLoop(t.Context(), &localnet.Network{}, callers, 200*time.Millisecond)
	if l.Callers != 4 || l.Records == 0 || l.Failed == 0 || l.FirstFailure != "refused" {
		t.Fatalf("the loop counted %+v", l)
	}
	if l.P50Ms < 1 || l.P99Ms < l.P50Ms || l.MaxMs < l.P99Ms {
		t.Errorf("latencies are out of order: %+v", l)
	}
	if l.total < int64(l.Records) {
		t.Errorf("%d records in all, and %d in the measured time", l.total, l.Records)
	}
}

func TestCeiling(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := filepath.Join(t.TempDir(), "raft")
	c, err := ceiling(t.Context(), Options{Duration: time.Second, Progress: io.Discard}, dir)
	if err != nil {
		t.Fatal(err)
	}
	if c.TransactionsPerSecond <= 0 || c.P50Ms <= 0 {
		t.Errorf("the ceiling is %+v", c)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ceiling left %s behind: %v", dir, err)
	}
	t.Logf("%+v", *c)
}
