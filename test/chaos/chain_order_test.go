package chaos

import (
	"math"
	"testing"

	"github.com/anishathalye/porcupine"
	"pgregory.net/rapid"
)

// TestExplainedAgreesWithPorcupine draws histories of one Key, right and wrong ones, and holds both judgements against
// one another.
func TestExplainedAgreesWithPorcupine(t *testing.T) {
	right, wrong := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		calls := drawHistory(rt)
		want := porcupine.CheckOperations(model(), calls)
		if got := explained(calls); got != want {
			for _, c := range calls {
				rt.Logf("%d to %d, place %d: %s", c.Call, c.Return, c.Input.(*placed).at, describe(c.Input.(*placed).Op))
			}
			rt.Fatalf("explained says %v, porcupine %v", got, want)
		}
		if want {
			right++
		} else {
			wrong++
		}
	})
	if right == 0 || wrong == 0 {
		t.Errorf("%d right and %d wrong histories were drawn: this tests nothing", right, wrong)
	}
}

// drawHistory draws writes in the order of the chain and reads that mostly tell a state there was.
func drawHistory(rt *rapid.T) []porcupine.Operation {
	var calls []porcupine.Operation
	var state *record
	add := func(o *Op, at int) {
		o.Key = "k"
		o.Call = int64(rapid.IntRange(0, 40).Draw(rt, "call"))
		o.Return = o.Call + int64(rapid.IntRange(1, 25).Draw(rt, "takes"))
		end := o.Return
		if o.Outcome == Unknown {
			end = math.MaxInt64
		}
		calls = append(calls, porcupine.Operation{ClientId: len(calls), Input: &placed{o, at}, Call: o.Call, Return: end})
	}
	writes := rapid.IntRange(0, 4).Draw(rt, "writes")
	states := []*record{nil}
	for n := range writes {
		o := &Op{Action: Attach, Value: string(rune('a' + n)),
			Outcome: rapid.SampledFrom([]Outcome{OK, OK, Unknown}).Draw(rt, "outcome"), Attempts: 1}
		state = state.add(o)
		states = append(states, state)
		add(o, n)
	}
	for range rapid.IntRange(0, 4).Draw(rt, "reads") {
		s := rapid.SampledFrom(states).Draw(rt, "state")
		switch {
		case rapid.Bool().Draw(rt, "count"):
			add(&Op{Action: Count, Outcome: OK, Number: s.count()}, anyPlace)
		case s == nil:
			add(&Op{Action: GetData, Outcome: Absent}, anyPlace)
		default:
			add(&Op{Action: GetData, Outcome: OK, Read: []string{s.data}}, anyPlace)
		}
	}
	return calls
}
