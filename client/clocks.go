package client

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ltl/internal/policy"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// An endorsement states the clock of its organisation. The ledger takes a batch only when the clocks of its votes are
// close together, and dates it by them only when more than half of the chain's organisations voted, or when it is near
// the network's reference time (docs/bytes.md, section "Time"). So the client waits a little for a majority, and leaves
// out votes whose clock is far from the others.

// dated reports whether the votes that agree on the time are enough for all submissions that all votes together are
// enough for, and more than half of the chain's. Then further votes change nothing.
func (v *voteCount) dated() bool {
	var ordered bool
	agreeing := v.agreeing(time.Time{})
	for i := range v.submissions {
		if v.complete(i, v.signed[i]) {
			ordered = true
			if !v.complete(i, v.signed[i]&agreeing) {
				return false
			}
		}
	}
	return !ordered || 2*agreeing.Len() > len(v.chain.organisations)
}

// agreeing returns the organisations whose clocks are close enough together that completes the most submissions; of
// equally good ones the largest, and of equally large ones that which is nearest to now.
func (v *voteCount) agreeing(now time.Time) policy.Set {
	var best policy.Set
	var bestCount int
	var bestOff time.Duration
	for _, first := range v.votes {
		if first.endorsement == nil {
			continue
		}
		var set policy.Set
		for o, one := range v.votes {
			apart := one.clockMs - first.clockMs
			if one.endorsement != nil && apart >= 0 && apart <= rules.MaxClockSpreadMs {
				set = set.With(o)
			}
		}
		count := 0
		for i := range v.submissions {
			if v.complete(i, v.signed[i]&set) {
				count++
			}
		}
		off := now.Sub(time.UnixMilli(first.clockMs)).Abs()
		better := count > bestCount || count == bestCount && (set.Len() > best.Len() ||
			set.Len() == best.Len() && off < bestOff)
		if best == 0 || better {
			best, bestCount, bestOff = set, count, off
		}
	}
	return best
}

// dropClocks takes back the votes whose clock is too far from the others'. now decides where as many votes say one time
// as say another.
func (v *voteCount) dropClocks(now time.Time) {
	agreeing := v.agreeing(now)
	var clocks []int64
	for o, one := range v.votes {
		if agreeing.Has(o) {
			clocks = append(clocks, one.clockMs)
		}
	}
	for o := range v.votes {
		one := &v.votes[o]
		if one.endorsement == nil || agreeing.Has(o) {
			continue
		}
		for i := range v.submissions {
			v.signed[i] = v.signed[i].Without(o)
		}
		v.endorsements = slices.DeleteFunc(v.endorsements, func(e *ltlv1.Endorsement) bool { return e == one.endorsement })
		one.endorsement, one.err = nil, oddClock{one.clockMs - rules.LowerMedian(clocks), v.names(agreeing)}
	}
}

// oddClock is why a vote was left out: its clock is aheadMs ahead of the others'.
type oddClock struct {
	aheadMs int64
	others  []string
}

// Error names the organisations with the other clocks.
func (c oddClock) Error() string {
	ahead, word := time.Duration(c.aheadMs)*time.Millisecond, "ahead of"
	if ahead < 0 {
		ahead, word = -ahead, "behind"
	}
	return fmt.Sprintf("the clock of its endorser is %v %s those of %s, and %v is allowed: the wrong one must be set", ahead,
		word, strings.Join(c.others, ", "), rules.MaxClockSpreadMs*time.Millisecond)
}

// names returns the organisations of a set.
func (v *voteCount) names(set policy.Set) (names []string) {
	for o, name := range v.chain.organisations {
		if set.Has(o) {
			names = append(names, name)
		}
	}
	return names
}
