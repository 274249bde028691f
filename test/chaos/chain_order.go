package chaos

import (
	"slices"

	"github.com/anishathalye/porcupine"
)

// explained decides whether the calls of one Key happened one after the other, in the order that the chain has, each
// between its call and its return. It is for histories that porcupine does not judge in time: the order of the writes
// is known, so that the rest needs no search. Every call gets the earliest place among the writes at which its answer
// was right and which is not before that of a call that had ended. If any order explains the answers, these places do:
// a later place for one call leaves the others no more room.
func explained(calls []porcupine.Operation) bool {
	states, ok := prefixes(calls)
	if !ok {
		return false
	}
	calls = slices.Clone(calls)
	slices.SortFunc(calls, func(a, b porcupine.Operation) int { return int(min(1, max(-1, a.Call-b.Call))) })
	places := make([]int, len(calls)) // of a read the number of writes before it, twice; of a write one more
	for i, c := range calls {
		from := 0
		for j := range i {
			if calls[j].Return < c.Call {
				from = max(from, places[j])
			}
		}
		places[i] = earliest(c.Input.(*placed), states, from)
		if places[i] < 0 {
			return false
		}
	}
	return true
}

// earliest is the first place for a call that is not before from; -1 if there is none.
func earliest(p *placed, states []*record, from int) int {
	if p.at != anyPlace {
		place := 2*p.at + 1
		if legal, _ := outcome(states[p.at], p.Op); !legal || place < from {
			return -1
		}
		return place
	}
	for n := (from + 1) / 2; n < len(states); n++ {
		if legal, next := outcome(states[n], p.Op); legal && next == states[n] {
			return 2 * n
		}
	}
	return -1
}

// prefixes are the Key after each number of its writes; false when the calls do not tell all of them.
func prefixes(calls []porcupine.Operation) ([]*record, bool) {
	writes := map[int]*Op{}
	for _, c := range calls {
		if p := c.Input.(*placed); p.at != anyPlace {
			if writes[p.at] != nil {
				return nil, false
			}
			writes[p.at] = p.Op
		}
	}
	states := []*record{nil}
	for n := range len(writes) {
		if writes[n] == nil {
			return nil, false
		}
		states = append(states, states[n].add(writes[n]))
	}
	return states, true
}
