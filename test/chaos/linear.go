package chaos

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// keyTimeout bounds the search over the calls of one Key.
const keyTimeout = 10 * time.Second

// maxDrawn is of how many Keys a page is written.
const maxDrawn = 3

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
	return &record{before: r, n: r.count() + 1, business: o.BusinessID, data: o.Value, set: o.Action == SetData,
		sum: h.Sum64()}
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

// placed is a call; a write has its place among the records that its Key has on the chain in the end, or anyPlace.
type placed struct {
	*Op
	at int
}

const anyPlace = -1

// step says whether a call may have had its outcome on a Key, and what the Key is afterwards. It is what docs/api.md
// promises, for one Key. Writes have to take effect in the order that the chain has: that is more than linearizability
// asks, and leaves a search over many writes that were under way together, each of which may or may not have come
// first, with one to try.
func step(r *record, p *placed) (bool, *record) {
	legal, next := outcome(r, p.Op)
	if next != r && p.at != anyPlace && r.count() != p.at {
		return false, r
	}
	return legal, next
}

// outcome is step for any order.
func outcome(r *record, o *Op) (bool, *record) {
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
		Step: func(state, input, _ any) (bool, any) { return step(state.(*record), input.(*placed)) },
		Equal: func(a, b any) bool {
			x, y := a.(*record), b.(*record)
			return x == y || x != nil && y != nil && x.n == y.n && x.sum == y.sum
		},
		DescribeOperation: func(input, _ any) string { return describe(input.(*placed).Op) },
		DescribeState:     func(state any) string { return fmt.Sprintf("%q", state.(*record).values()) },
		Hash: func(state any) uint64 {
			if r := state.(*record); r != nil {
				return r.sum
			}
			return 0
		},
	}
}

// describe is a call in a few words.
func describe(o *Op) string {
	said := string(o.Outcome)
	switch {
	case o.Action == Count && o.Outcome == OK:
		said = fmt.Sprint(o.Number)
	case !o.writes() && o.Outcome == OK:
		said = fmt.Sprintf("%q", o.Read)
	}
	asked := fmt.Sprintf("%.8s %s", o.BusinessID, o.Value)
	if o.Node != "" {
		asked += "at " + o.Node
	}
	return fmt.Sprintf("call %d: %s(%s) %s", o.ID, o.Action, strings.TrimSpace(asked), said)
}

// Unordered is a Key whose calls have no order that explains their answers, or were not judged in time.
type Unordered struct {
	Key    string
	Judged bool
	calls  []porcupine.Operation
	info   porcupine.LinearizationInfo
}

// String says what is wrong.
func (u *Unordered) String() string {
	if !u.Judged {
		return fmt.Sprintf("the %d calls of Key %s were not judged in %s", len(u.calls), u.Key, keyTimeout)
	}
	return fmt.Sprintf("the %d calls of Key %s have no order that explains their answers", len(u.calls), u.Key)
}

// draw writes a page that shows the calls over time, and how far they could be ordered.
func (u *Unordered) draw(path string) error {
	if err := porcupine.VisualizePath(model(), u.info, path); err != nil {
		return fmt.Errorf("couldn't draw the calls of Key %s: %w", u.Key, err)
	}
	return nil
}

// Linearizable checks that the calls of each Key happened at some moment between call and return each, one after the
// other. A write with an unknown outcome may have happened at any time after its call; one that is not on the chain at
// the end never did. place tells whether a write is there, and its place among the records of its Key. It returns how
// many calls of how many Keys it looked at, and what is wrong.
func Linearizable(ops []*Op, place func(*Op) (at int, written bool)) (calls, keys int, wrong []*Unordered) {
	byKey := map[string][]porcupine.Operation{}
	for _, o := range ops {
		end, at, written := o.Return, anyPlace, false
		if o.writes() {
			at, written = place(o)
		}
		if o.Outcome == Unknown || o.Outcome == Wrong {
			if !written {
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
		byKey[o.Key] = append(byKey[o.Key], porcupine.Operation{ClientId: o.Client, Input: &placed{o, at}, Call: o.Call,
			Return: end})
		calls++
	}
	m := model()
	for _, key := range sortedKeys(byKey) {
		result := porcupine.CheckOperationsTimeout(m, byKey[key], keyTimeout)
		if result == porcupine.Ok || result == porcupine.Unknown && explained(byKey[key]) {
			continue
		}
		u := &Unordered{Key: key, Judged: result == porcupine.Illegal, calls: byKey[key]}
		if len(wrong) < maxDrawn {
			_, u.info = porcupine.CheckOperationsVerbose(m, byKey[key], keyTimeout)
		}
		wrong = append(wrong, u)
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
