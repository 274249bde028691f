package node

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ltl/internal/rules"
	"ltl/internal/skew"
)

// TestWithheldBatchIsRefused: a leader does not order what was signed long ago by the clocks of the nodes. With fewer
// than two others there is no telling which clock is wrong, and it does.
func TestWithheldBatchIsRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		what    string
		afterMs int64
		heard   int
		want    int32
	}{
		{"at the bound", rules.EndorsementLifeMs, skew.Enough, rules.OK},
		{"above it", rules.EndorsementLifeMs + 1, skew.Enough, rules.EndorsementExpired},
		{"above it, one clock heard", rules.EndorsementLifeMs + 1, skew.Enough - 1, rules.OK},
		{"the clocks of the nodes are behind", -1 << 40, skew.Enough, rules.OK},
	} {
		runLone(t, func(t *testing.T, l *lone) {
			l.replica.clock = func() (int64, int) { return endorsedMs + c.afterMs, c.heard }
			results, err := l.submit(l.world.batch(l.world.chain, l.world.record(rng, "a")))
			if err != nil || results[0].GetCode() != c.want {
				t.Errorf("%s: %v, %v", c.what, results, err)
			}
			if c.want != rules.OK && !strings.Contains(results[0].GetReason(), "2m0.001s behind those of the nodes") {
				t.Errorf("%s: %q", c.what, results[0].GetReason())
			}
		})
	}
}

func TestGenesisTime(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := checkGenesisTime(now.Add(2*time.Minute).UnixMilli(), now); err != nil {
		t.Error(err)
	}
	err := checkGenesisTime(now.Add(30*24*time.Hour).UnixMilli(), now)
	if err == nil || !strings.Contains(err.Error(), "2026-01-31T00:00:00Z") ||
		!strings.Contains(err.Error(), "2026-01-01T00:00:00Z") {
		t.Errorf("%v, want both clocks named", err)
	}
}
