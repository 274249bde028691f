package chaos

import (
	"cmp"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// streams keep what is drawn for different purposes apart, so that more of one does not shift the other.
const (
	streamMix    = 1
	streamSteps  = 2
	streamPick   = 3
	streamLoad   = 4
	streamHonest = 5
)

// Event is a fault with everything drawn that can be before the network is looked at. Who leads is known only then;
// Pick decides the rest.
type Event struct {
	// Gap is the time since the network recovered from the event before, At that since the load began; an event of a mix
	// has a Gap, a step At.
	Gap, At time.Duration
	For     time.Duration
	Fault   Fault
	Pick    uint64
}

// String says all that was drawn.
func (e Event) String() string {
	return fmt.Sprintf("+%s @%s %s for %s pick %x", e.Gap, e.At, e.Fault.Name(), e.For, e.Pick)
}

// Mixed draws the faults of the mix, without end; nothing when there is no mix. The same seed gives the same ones.
func (s *Scenario) Mixed(seed uint64) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		total := 0
		for _, w := range s.Mix {
			total += w.Weight
		}
		if total == 0 {
			return
		}
		r := rand.New(rand.NewPCG(seed, streamMix))
		for {
			at := r.IntN(total)
			i := 0
			for at >= s.Mix[i].Weight {
				at -= s.Mix[i].Weight
				i++
			}
			f := s.Mix[i].Fault
			if !yield(Event{Gap: s.Gap.draw(r), For: f.For.draw(r), Fault: f, Pick: r.Uint64()}) {
				return
			}
		}
	}
}

// Stepped draws the durations of the steps, and returns them in order of time. The same seed gives the same ones.
func (s *Scenario) Stepped(seed uint64) []Event {
	r := rand.New(rand.NewPCG(seed, streamSteps))
	var events []Event
	for _, step := range s.Steps {
		events = append(events, Event{At: step.At, For: step.Fault.For.draw(r), Fault: step.Fault, Pick: r.Uint64()})
	}
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	return events
}

func (s Span) draw(r *rand.Rand) time.Duration {
	return s.Min + time.Duration(r.Int64N(int64(s.Max-s.Min)+1))
}

// Cast is the processes of a network by role, and the one that leads now.
type Cast struct {
	Nodes, Endorsers, Facades []string
	// Leader is empty while no node leads.
	Leader string

	// size is how many nodes the network has, where Nodes are only those on one side; 0 when they are all.
	size int
}

// all are the names of all processes.
func (c *Cast) all() []string { return slices.Concat(c.Nodes, c.Endorsers, c.Facades) }

// resolve says which processes a target means now. While no node leads, the leader is any node.
func (c *Cast) resolve(target string, r *rand.Rand) ([]string, error) {
	leader := c.Leader
	if leader == "" {
		leader = c.Nodes[r.IntN(len(c.Nodes))]
	}
	followers := slices.DeleteFunc(slices.Clone(c.Nodes), func(n string) bool { return n == leader })
	size := max(c.size, len(c.Nodes))
	majority := size/2 + 1
	switch target {
	case "leader":
		return []string{leader}, nil
	case "follower":
		return some(followers, 1, r)
	case "followers":
		return followers, nil
	case "node":
		return some(c.Nodes, 1, r)
	case "nodes":
		return c.Nodes, nil
	case "majority":
		return some(c.Nodes, majority, r)
	case "minority":
		return some(c.Nodes, size-majority, r)
	case "endorser":
		return some(c.Endorsers, 1, r)
	case "endorsers":
		return c.Endorsers, nil
	case "facade":
		return some(c.Facades, 1, r)
	case "facades":
		return c.Facades, nil
	case "all":
		return c.all(), nil
	}
	if slices.Contains(c.all(), target) {
		return []string{target}, nil
	}
	return nil, fmt.Errorf("this network has no %s", target)
}

// some draws n of the names, in their own order.
func some(names []string, n int, r *rand.Rand) ([]string, error) {
	if n < 1 || n > len(names) {
		return nil, fmt.Errorf("%d of %d processes cannot be chosen; the network is too small for this fault", n, len(names))
	}
	chosen := r.Perm(len(names))[:n]
	slices.Sort(chosen)
	var out []string
	for _, i := range chosen {
		out = append(out, names[i])
	}
	return out, nil
}

// sides says which processes the two sides of an action are; rest means all processes that are not on the other side,
// and no process is on both.
func (c *Cast) sides(a Action, r *rand.Rand) (left, right []string, err error) {
	if a.Left == "rest" {
		right, left, err = c.sides(Action{Left: a.Right, Right: a.Left}, r)
		return left, right, err
	}
	if left, err = c.resolve(a.Left, r); err != nil {
		return nil, nil, err
	}
	others := *c
	others.size = len(c.Nodes)
	without := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(left, n) })
	}
	others.Nodes, others.Endorsers, others.Facades = without(c.Nodes), without(c.Endorsers), without(c.Facades)
	if a.Right == "rest" {
		return left, others.all(), nil
	}
	if len(others.Nodes) == 0 || slices.Contains(left, others.Leader) {
		others.Leader = ""
	}
	if len(others.Nodes) == 0 {
		others.Nodes = c.Nodes // resolve needs a leader of some node
	}
	right, err = others.resolve(a.Right, r)
	right = without(right)
	if err == nil && len(right) == 0 {
		err = fmt.Errorf("no process is left for the other side of %s", a)
	}
	return left, right, err
}

// seeded is a source for what one event draws.
func seeded(pick uint64) *rand.Rand { return rand.New(rand.NewPCG(pick, streamPick)) }
