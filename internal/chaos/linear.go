package chaos

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// keyTimeout bounds the search over the calls of one Key.
const keyTimeout = 30 * time.Second

// record is the newest record of a Key, and the ones before it; nil is a Key that is not there.
type record struct {
	before         *record
	n              int
	business, data string
	set            bool   // the Key was written by SetData, so that nothing can be attached
	sum            uint64 // of all records of the Key
}

func (r *record) count() int {
	if r == nil {
		return 0
	}
	return r.n
}

// find returns the record with a BusinessId.
func (r *record) find(business string) *record {
	for ; r != nil; r = r.before {
		if r.business == business {
			return r
		}
	}
	return nil
}

// add returns the Key with one record more.
func (r *record) add(o *Op) *record {
	h := fnv.New64a()
	if r != nil {
		fmt.Fprintf(h, "%x", r.sum)
	}
	fmt.Fprintf(h, "\x00%s\x00%s\x00%s", o.Action, o.BusinessID, o.Value)
	return &record{before: r, n: r.count() + 1, business: o.BusinessID, data: o.Value, set: o.Action == SetData, sum: h.Sum64()}
}

// values are all values, the oldest first.
func (r *record) values() []string {
	var out []string
	for ; r != nil; r = r.before {
		out = append(out, r.data)
	}
	slices.Reverse(out)
	return out
}

// step says whether a call may have had its outcome on a Key, and what the Key is afterwards. It is what docs/api.md promises, for one Key.
func step(r *record, o *Op) (bool, *record) {
	there := r.count() > 0
	if o.Action == Attach {
		there = r != nil && (r.set || o.BusinessID != "" && r.find(o.BusinessID) != nil)
	}
	if o.writes() {
		switch o.Outcome {
		case OK:
			return !there, r.add(o)
		case Exists:
			if there {
				return true, r
			}
			return o.Attempts > 1, r.add(o) // an attempt before the one that was answered
		default: // unknown: it happens at some time, or not before the end
			if there {
				return true, r
			}
			return true, r.add(o)
		}
	}
	found := r
	if o.BusinessID != "" {
		found = r.find(o.BusinessID)
	}
	switch o.Action {
	case GetData:
		if o.Outcome == Absent {
			return found == nil, r
		}
		return found != nil && len(o.Read) == 1 && o.Read[0] == found.data, r
	case Count:
		return o.Number == r.count(), r
	case List:
		return slices.Equal(o.Read, r.values()), r
	}
	return true, r
}

// model is the specification of one Key for porcupine.
func model() porcupine.Model {
	return porcupine.Model{
		Init: func() any { return (*record)(nil) },
		Step: func(state, input, _ any) (bool, any) { return step(state.(*record), input.(*Op)) },
		Equal: func(a, b any) bool {
			x, y := a.(*record), b.(*record)
			return x == y || x != nil && y != nil && x.n == y.n && x.sum == y.sum
		},
		Hash: func(state any) uint64 {
			if r := state.(*record); r != nil {
				return r.sum
			}
			return 0
		},
	}
}

// Linearizable checks that the calls of each Key happened at some moment between call and return each, one after the other. A write with an unknown
// outcome may have happened at any time after its call; one that is not on the chain at the end, as written says, never did. It returns how many calls
// of how many Keys it looked at, and what is wrong.
func Linearizable(ops []*Op, written func(*Op) bool) (calls, keys int, wrong []string) {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range ops {
		end := o.Return
		if o.Outcome == Unknown || o.Outcome == Wrong {
			if !o.writes() || !written(o) {
				continue
			}
			end = math.MaxInt64
			unknown := *o
			unknown.Outcome = Unknown
			o = &unknown
		}
		if o.Action == ChainInfo {
			continue // what it says is held against the chain itself
		}
		byKey[o.Key] = append(byKey[o.Key], porcupine.Operation{ClientId: o.Client, Input: o, Call: o.Call, Return: end})
		calls++
	}
	m := model()
	for _, key := range sortedKeys(byKey) {
		switch porcupine.CheckOperationsTimeout(m, byKey[key], keyTimeout) {
		case porcupine.Illegal:
			wrong = append(wrong, fmt.Sprintf("the %d calls of Key %s have no order that explains their answers", len(byKey[key]), key))
		case porcupine.Unknown:
			wrong = append(wrong, fmt.Sprintf("the %d calls of Key %s were not judged in %s", len(byKey[key]), key, keyTimeout))
		}
	}
	return calls, len(byKey), wrong
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
