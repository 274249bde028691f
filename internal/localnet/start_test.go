package localnet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

const (
	scriptReady = "echo ready; exec sleep 100"
	scriptFails = "echo the disk is on fire >&2; exit 3"
	scriptSlow  = "exec sleep 100"
)

// scripted makes programs named after their roles: "node fails" runs scriptFails in the role of a node.
func scripted(words ...string) []program {
	scripts := map[string]string{"ready": scriptReady, "fails": scriptFails, "slow": scriptSlow}
	var programs []program
	for i, w := range words {
		role, behaviour, _ := strings.Cut(w, " ")
		p := shell(fmt.Sprintf("%s%d", role, i), scripts[behaviour])
		p.role, p.admin = role, p.name
		programs = append(programs, p)
	}
	return programs
}

// TestStartMost: a network starts as long as more than half of each role serve; the error of the others names
// their reason.
func TestStartMost(t *testing.T) {
	for _, c := range []struct {
		words  []string
		failed []string // nil when it must not start
	}{
		{[]string{"node ready", "node ready", "node ready", "endorser ready", "facade ready"}, []string{}},
		{[]string{"node ready", "node fails", "node ready", "endorser ready", "facade ready"}, []string{"node1"}},
		{[]string{"node ready", "node slow", "node ready", "endorser fails", "endorser ready", "endorser ready",
			"facade ready"}, []string{"endorser3", "node1"}},
		{[]string{"node fails", "node fails", "node ready", "endorser ready", "facade ready"}, nil},
		{[]string{"node ready", "node fails", "endorser ready", "facade ready"}, nil},
		{[]string{"node ready", "endorser ready", "facade fails"}, nil},
		{[]string{"node slow", "node slow", "node fails", "endorser fails", "facade ready"}, nil},
	} {
		t.Run(strings.Join(c.words, ","), func(t *testing.T) {
			defer goleak.VerifyNone(t)
			children, _ := newTestChildren(t, false)
			defer children.stop()
			ready := func(_ context.Context, name string) error {
				if strings.Contains(tail(children.logPath(name)), "ready") {
					return nil
				}
				return errors.New("not yet")
			}
			failed, err := children.startMost(t.Context(), scripted(c.words...), ready, 100*time.Millisecond)
			if c.failed == nil {
				if err == nil || !strings.Contains(err.Error(), "the disk is on fire") {
					t.Errorf("%v, want an error that says why", err)
				}
				return
			}
			if got := slices.Sorted(maps.Keys(failed)); err != nil || !slices.Equal(got, c.failed) {
				t.Fatalf("%v did not start, %v; want %v", got, err, c.failed)
			}
			for name, why := range failed {
				if slow := strings.Contains(why.Error(), "not ready yet"); !slow &&
					!strings.Contains(why.Error(), "the disk is on fire") {
					t.Errorf("%s: %v does not say why", name, why)
				}
			}
		})
	}
}

// TestStartMostInTime: with no process ready the caller's time is the bound.
func TestStartMostInTime(t *testing.T) {
	defer goleak.VerifyNone(t)
	children, _ := newTestChildren(t, false)
	defer children.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	never := func(context.Context, string) error { return errors.New("not yet") }
	if _, err := children.startMost(ctx, scripted("node slow", "facade slow"), never, time.Hour); err == nil ||
		!strings.Contains(err.Error(), "node0 was not ready in time (not yet)") {
		t.Errorf("no process ready: %v", err)
	}
}
