package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestParseErrors: what cannot be read is refused with the number of its line and a word on what is wrong.
func TestParseErrors(t *testing.T) {
	for _, c := range []struct{ line, says string }{
		{"mix kill leader for 2s", "no number"},
		{"mix 0 kill leader for 2s", "no number from 1"},
		{"mix 1", "a fault is an action"},
		{"mix", "wants a weight"},
		{"at", "wants a time"},
		{"at soon kill leader for 2s", "no duration"},
		{"at -1s kill leader for 2s", "no duration"},
		{"at 10s kill leader", "how long it lasts"},
		{"at 10s kill leader for 5s..2s", "ends before it begins"},
		{"at 10s kill leader for 5s..", "no duration"},
		{"at 10s burn leader for 5s", "is no fault"},
		{"at 10s kill king for 5s", "is no target"},
		{"at 10s kill rest for 5s", "is no target"},
		{"at 10s kill node0 for 5s", "is no target"},
		{"at 10s kill node01 for 5s", "is no target"},
		{"at 10s kill leader leader for 5s", "one target"},
		{"at 10s kill leader and for 5s", "between two actions"},
		{"at 10s partition leader rest for 5s", "two sides"},
		{"at 10s partition leader > rest for 5s", "two sides"},
		{"at 10s partition rest | rest for 5s", "one side at most"},
		{"at 10s lose 30 nodes for 5s", "percent"},
		{"at 10s lose 100% nodes for 5s", "no number from 1 to 99"},
		{"at 10s limit 30 nodes for 5s", "kilobytes"},
		{"at 10s descriptors 1 nodes for 5s", "no number"},
		{"at 10s memory 8 node for 5s", "megabytes"},
		{"at 10s flood leader for 5s", "no number"},
		{"at 10s flood 5 leader for 5s", "no target"},
		{"at 10s flood for 5s", "wants a number"},
		{"at 10s kill node and kill node and kill node and kill node and kill node for 5s", "at most 4"},
		{"nodes 3 4", "one value"},
		{"nodes 100", "no number"},
		{"duration 48h", "no duration"},
		{"sometimes kill leader", "begins no line"},
	} {
		_, err := Parse("# a comment\n\n" + c.line + "\nmix 1 kill node for 1s\n")
		if !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), "line 3:") ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v; want line 3 and %q", c.line, err, c.says)
		}
	}
	if _, err := Parse("# nothing\nnodes 3\n"); !errors.Is(err, ErrScenario) ||
		!strings.Contains(err.Error(), "no fault") {
		t.Errorf("a scenario without a fault: %v", err)
	}
}

// TestScenariosOfTheRepository: every scenario that is built in can be read, and resolved in a network of its size.
func TestScenariosOfTheRepository(t *testing.T) {
	for _, name := range Names() {
		s, err := Open(name)
		if err != nil {
			t.Error(err)
			continue
		}
		cast := NewProcesses("", "", s).Cast()
		cast.Leader = cast.Nodes[0]
		for _, f := range allFaults(s) {
			for _, a := range f.Actions {
				if err := resolvable(&cast, a); err != nil {
					t.Errorf("%s: %s: %v", name, a, err)
				}
			}
		}
	}
	if len(Names()) < 5 {
		t.Errorf("only %q are built in", Names())
	}
	path := filepath.Join(t.TempDir(), "own.chaos")
	if err := os.WriteFile(path, []byte("mix 1 kill node for 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err != nil {
		t.Error(err)
	}
	if _, err := Open("nowhere"); err == nil || !strings.Contains(err.Error(), "mixed") {
		t.Errorf("a scenario that is nowhere: %v; want the names of those there are", err)
	}
}

func allFaults(s *Scenario) []Fault {
	var all []Fault
	for _, step := range s.Steps {
		all = append(all, step.Fault)
	}
	for _, w := range s.Mix {
		all = append(all, w.Fault)
	}
	return all
}

func resolvable(cast *Cast, a Action) error {
	r := seeded(1)
	switch a.Verb {
	case Flood:
		return nil
	case Partition, Block:
		_, _, err := cast.sides(a, r)
		return err
	}
	_, err := cast.resolve(a.Left, r)
	return err
}

// scenarios draws any scenario that can be written.
func scenarios() *rapid.Generator[*Scenario] {
	span := rapid.Custom(func(t *rapid.T) Span {
		low := rapid.Int64Range(0, int64(time.Minute)).Draw(t, "min")
		return Span{time.Duration(low), time.Duration(rapid.Int64Range(low, int64(time.Hour)).Draw(t, "max"))}
	})
	targets := []string{"leader", "follower", "followers", "node", "nodes", "majority", "minority", "endorser",
		"endorsers", "facade", "facades", "all", "node2", "endorser-org1", "facade1"}
	action := rapid.Custom(func(t *rapid.T) Action {
		a := Action{Verb: rapid.SampledFrom([]Verb{Kill, Pause, Stutter, Isolate, Partition, Block, Swizzle, Lose, Limit,
			Reset, Descriptors, Memory, Clock, Creep, Flood}).Draw(t, "verb")}
		if a.Verb != Flood {
			a.Left = rapid.SampledFrom(targets).Draw(t, "left")
		}
		switch a.Verb {
		case Partition, Block:
			a.Right = rapid.SampledFrom(append(targets, "rest")).Draw(t, "right")
			if rapid.Bool().Draw(t, "swapped") {
				a.Left, a.Right = a.Right, a.Left
			}
		case Lose:
			a.Amount = rapid.IntRange(1, 99).Draw(t, "percent")
		case Limit, Descriptors, Memory:
			a.Amount = rapid.IntRange(minFiles, maxFiles).Draw(t, "amount")
		case Clock, Creep:
			a.Amount = rapid.IntRange(-86_400, 86_400).Draw(t, "seconds")
		case Flood:
			a.Amount = rapid.IntRange(1, maxFlood).Draw(t, "callers")
		}
		return a
	})
	fault := rapid.Custom(func(t *rapid.T) Fault {
		return Fault{Actions: rapid.SliceOfN(action, 1, maxActions).Draw(t, "actions"), For: span.Draw(t, "for")}
	})
	return rapid.Custom(func(t *rapid.T) *Scenario {
		s := defaults()
		s.Nodes = rapid.IntRange(1, maxNodes).Draw(t, "nodes")
		s.Clients = rapid.IntRange(1, maxClients).Draw(t, "clients")
		s.Rate = rapid.IntRange(1, maxRate).Draw(t, "rate")
		s.Duration = time.Duration(rapid.Int64Range(0, int64(maxDuration)).Draw(t, "duration"))
		s.Gap = span.Draw(t, "gap")
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			s.Steps = append(s.Steps, Step{time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "at")),
				fault.Draw(t, "fault")})
		}
		for range rapid.IntRange(1, 4).Draw(t, "mix") {
			s.Mix = append(s.Mix, Weighted{rapid.IntRange(1, maxWeight).Draw(t, "weight"), fault.Draw(t, "fault")})
		}
		return &s
	})
}

// TestRoundTrip: a scenario that is written and read is the same.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := scenarios().Draw(t, "scenario")
		got, err := Parse(want.String())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%s\nis read as\n%s (%v)", want, got, err)
		}
	})
}

// FuzzParse: the parser survives anything, and what it takes can be written and read again.
func FuzzParse(f *testing.F) {
	f.Add("mix 4 kill leader for 2s..10s\nat 10s partition leader | rest for 8s # both ways")
	f.Add("nodes 5\nat 1s lose 30% all and kill follower for 3s")
	for _, name := range Names() {
		raw, err := builtIn.ReadFile("scenarios/" + name + extension)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse(text)
		if err != nil {
			if !errors.Is(err, ErrScenario) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		again, err := Parse(s.String())
		if err != nil || !reflect.DeepEqual(s, again) {
			t.Errorf("%q is read as\n%s, and that as\n%s (%v)", text, s, again, err)
		}
	})
}

// TestSameSeedSameSchedule: the schedule is a function of scenario and seed; another seed gives another one.
func TestSameSeedSameSchedule(t *testing.T) {
	const events = 50
	schedule := func(s *Scenario, seed uint64) string {
		var b strings.Builder
		for _, e := range s.Stepped(seed) {
			fmt.Fprintln(&b, e)
		}
		n := 0
		for e := range s.Mixed(seed) {
			fmt.Fprintln(&b, e)
			if n++; n == events {
				break
			}
		}
		return b.String()
	}
	rapid.Check(t, func(t *rapid.T) {
		s, seed := scenarios().Draw(t, "scenario"), rapid.Uint64().Draw(t, "seed")
		first := schedule(s, seed)
		if second := schedule(s, seed); first != second {
			t.Fatalf("the same seed gives\n%s\nand\n%s", first, second)
		}
		if first == schedule(s, seed+1) {
			t.Fatalf("two seeds give the same schedule:\n%s", first)
		}
	})
}

// TestDrawnWithinBounds: gaps and durations lie in their spans, weights are followed, steps are in order.
func TestDrawnWithinBounds(t *testing.T) {
	s, err := Parse("gap 1s..2s\nat 9s kill node for 1s\nat 3s kill node for 1s\nmix 9 kill leader for 2s..4s\nmix 1 pause leader for 5s\n")
	if err != nil {
		t.Fatal(err)
	}
	kills, n := 0, 0
	for e := range s.Mixed(1) {
		if e.Gap < time.Second || e.Gap > 2*time.Second {
			t.Fatalf("the gap of %s is out of its span", e)
		}
		if low, high := e.Fault.For.Min, e.Fault.For.Max; e.For < low || e.For > high {
			t.Fatalf("the duration of %s is out of its span", e)
		}
		if e.Fault.Actions[0].Verb == Kill {
			kills++
		}
		if n++; n == 1000 {
			break
		}
	}
	if kills < 850 || kills > 950 {
		t.Errorf("of 1000 faults %d are kills, want about 900", kills)
	}
	if steps := s.Stepped(1); steps[0].At != 3*time.Second || steps[1].At != 9*time.Second {
		t.Errorf("steps come as %v", steps)
	}
}

// TestResolve: targets are the processes that their words mean.
func TestResolve(t *testing.T) {
	cast := &Cast{Nodes: []string{"node1", "node2", "node3"}, Endorsers: []string{"endorser-org1", "endorser-org2"},
		Facades: []string{"facade1"}, Leader: "node2"}
	rapid.Check(t, func(t *rapid.T) {
		r := seeded(rapid.Uint64().Draw(t, "seed"))
		for target, size := range map[string]int{
			"leader": 1, "follower": 1, "followers": 2, "node": 1, "nodes": 3, "majority": 2, "minority": 1, "endorser": 1,
			"endorsers": 2, "facade": 1, "facades": 1, "all": 6, "node3": 1,
		} {
			names, err := cast.resolve(target, r)
			if err != nil || len(names) != size {
				t.Fatalf("%s is %q (%v), want %d", target, names, err, size)
			}
			if target == "leader" && names[0] != "node2" || strings.HasPrefix(target, "follower") &&
				strings.Contains(strings.Join(names, ""), "node2") {
				t.Fatalf("%s is %q while node2 leads", target, names)
			}
		}
		for _, sides := range [][2]string{{"leader", "rest"}, {"rest", "leader"}, {"majority", "minority"},
			{"leader", "follower"}, {"node", "node"}, {"nodes", "rest"}, {"leader", "leader"}} {
			left, right, err := cast.sides(Action{Verb: Partition, Left: sides[0], Right: sides[1]}, r)
			if sides == [2]string{"leader", "leader"} && err == nil && right[0] != "node2" {
				continue // some other node: the leader is on the left
			}
			if err != nil || len(left) == 0 || len(right) == 0 {
				t.Fatalf("%v is %q and %q: %v", sides, left, right, err)
			}
			for _, l := range left {
				if strings.Contains(strings.Join(right, " "), l) {
					t.Fatalf("%v: %s is on both sides, %q and %q", sides, l, left, right)
				}
			}
		}
	})
	if _, err := cast.resolve("node9", seeded(1)); err == nil {
		t.Error("there is no node9")
	}
}
