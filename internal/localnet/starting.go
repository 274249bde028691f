package localnet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// straggling is how long a network that could serve waits for those of its processes that are not ready yet.
const straggling = 10 * time.Second

// errNotReady is why a process that runs is left to get ready by itself.
var errNotReady = errors.New("it runs, but is not ready yet")

// startAll starts every process and waits until they are ready. Those that cannot start, or take longer than the others, are named
// in the log and left alone: it fails only when of some role (node, endorser, facade) half or more do not serve, since nothing could be
// written then.
func (n *network) startAll(ctx context.Context) error {
	programs := n.programs()
	failed, err := n.children.startMost(ctx, programs, isReady, straggling)
	if err != nil {
		return err
	}
	for _, p := range programs {
		if why := failed[p.name]; why != nil {
			n.Logger.Error("a process could not start; the network runs without it", "process", p.name, "why", why)
		}
	}
	return nil
}

// outcome is what became of the start of one process; err is nil when it is ready.
type outcome struct {
	program
	err error
}

// startMost runs the programs and waits until each is ready or cannot start; once more than half of each role are ready, not longer
// than patience. It returns why the others are not, or an error that tells it when the ready ones are too few.
func (c *children) startMost(ctx context.Context, programs []program, ready func(ctx context.Context, admin string) error, patience time.Duration) (map[string]error, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	outcomes := make(chan outcome, len(programs)) // room for all: whoever waits for one ends, whether it is read or not
	for _, p := range programs {
		ch, err := c.run(p)
		if err != nil {
			outcomes <- outcome{p, err}
			continue
		}
		go func() { outcomes <- outcome{p, c.waitReady(ctx, ch, ready)} }()
	}
	failed, tally := map[string]error{}, newTally(programs)
	var patient *time.Timer
	for range programs {
		o := <-outcomes
		if o.err != nil {
			failed[o.name] = o.err
		}
		tally.count(o)
		if tally.lost() { // the rest cannot help any more
			cancel(errNotReady)
		}
		if patient == nil && tally.won() {
			patient = time.AfterFunc(patience, func() { cancel(errNotReady) })
			defer patient.Stop()
		}
	}
	if !tally.won() {
		return nil, tooFew(programs, failed)
	}
	return failed, nil
}

// tooFew says which processes did not start, and why: those first whose own fault it is.
func tooFew(programs []program, failed map[string]error) error {
	var own, waiting []string
	for _, p := range programs {
		switch err := failed[p.name]; {
		case err == nil:
		case errors.Is(err, errNotReady):
			waiting = append(waiting, p.name)
		default:
			own = append(own, err.Error())
		}
	}
	if len(waiting) > 0 {
		own = append(own, "not ready yet: "+strings.Join(waiting, ", "))
	}
	return fmt.Errorf("too few processes started for the network to serve: %s", strings.Join(own, "; "))
}

// tally counts the outcomes of each role.
type tally struct{ all, ready, failed map[string]int }

func newTally(programs []program) *tally {
	t := &tally{all: map[string]int{}, ready: map[string]int{}, failed: map[string]int{}}
	for _, p := range programs {
		t.all[p.role]++
	}
	return t
}

func (t *tally) count(o outcome) {
	if o.err == nil {
		t.ready[o.role]++
	} else {
		t.failed[o.role]++
	}
}

// won reports whether more than half of each role are ready.
func (t *tally) won() bool {
	for role, all := range t.all {
		if 2*t.ready[role] <= all {
			return false
		}
	}
	return true
}

// lost reports whether that cannot be any more.
func (t *tally) lost() bool {
	for role, all := range t.all {
		if 2*(all-t.failed[role]) <= all {
			return true
		}
	}
	return false
}

// waitReady waits until a child answers that it is ready. It fails when the child ends for good meanwhile, with its last word.
func (c *children) waitReady(ctx context.Context, ch *child, ready func(ctx context.Context, admin string) error) error {
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		last := ready(ctx, ch.admin)
		if last == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ch.done:
			return fmt.Errorf("%s ended; the last line of %s: %s", ch.name, c.logPath(ch.name), lastLine(c.logPath(ch.name)))
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready in time (%w); its log is %s: %w", ch.name, last, c.logPath(ch.name), context.Cause(ctx))
		}
	}
}
