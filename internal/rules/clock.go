package rules

import "slices"

// The bounds of the time rule; docs/bytes.md, section "Time". A block's time comes from the clocks that the endorsing
// organisations state, never from the clock of a node. That MaxClockSpreadMs + MaxClockAheadMs is less than
// EndorsementLifeMs keeps a chain writable: dishonest organisations can date a block ahead by the first two together at
// most, and an endorser whose clock is right refuses to sign only when the ledger is ahead of it by more than the third.
// The 30 seconds between are left for honest clocks that differ and for the way to the leader.
const (
	// MaxClockSpreadMs is how far apart the clocks of one batch may be.
	MaxClockSpreadMs = 60_000
	// MaxClockAheadMs is how far a batch that half of the chain's organisations or fewer endorsed may be ahead of the
	// network's reference time.
	MaxClockAheadMs = 30_000
	// EndorsementLifeMs is how long an endorsement counts, from the clock that it states.
	EndorsementLifeMs = 120_000
)

// clockBounds are the bounds as values, so that a test can show what other values would break.
type clockBounds struct{ spreadMs, aheadMs, lifeMs int64 }

// clockRule returns the bounds that are in force.
func clockRule() clockBounds {
	return clockBounds{MaxClockSpreadMs, MaxClockAheadMs, EndorsementLifeMs}
}

// batchDate says what the clocks of a batch's votes make of its time.
type batchDate struct {
	// code is dated; clocksDisagree or tooFewClocks when nothing of the batch may be executed.
	code dateCode
	// medianMs is the lower median of the clocks. timeMs is what the batch gives to its block's time; it is below
	// medianMs only on a chain whose time stands.
	medianMs, timeMs int64
	// first and last are the positions of the earliest and the latest clock.
	first, last int
}

// dateCode is the outcome of dating a batch.
type dateCode uint8

const (
	// undated: there is no clock at all.
	undated dateCode = iota
	dated
	// clocksDisagree: the clocks are further apart than the bound.
	clocksDisagree
	// tooFewClocks: half of the chain's organisations or fewer are ahead of the reference time by more than the bound.
	tooFewClocks
)

// date computes the time of a batch from the clocks of its votes, one for each organisation. organisations is the
// number of the chain's, referenceMs the network's reference time below the block. Where stands is set, a batch that is
// too far ahead is given the latest allowed time instead of being refused.
func (c clockBounds) date(clocks []int64, organisations int, referenceMs int64, stands bool) batchDate {
	if len(clocks) == 0 {
		return batchDate{}
	}
	d := batchDate{code: dated}
	for i, ms := range clocks {
		if ms < clocks[d.first] {
			d.first = i
		}
		if ms > clocks[d.last] {
			d.last = i
		}
	}
	if clocks[d.last]-clocks[d.first] > c.spreadMs {
		d.code = clocksDisagree
		return d
	}
	d.medianMs = LowerMedian(clocks)
	d.timeMs = d.medianMs
	if isMajority(len(clocks), organisations) || d.medianMs <= referenceMs+c.aheadMs {
		return d
	}
	if !stands {
		d.code = tooFewClocks
		return d
	}
	d.timeMs = referenceMs + c.aheadMs
	return d
}

// counts reports whether an endorsement that states the clock counts in a block of the given time.
func (c clockBounds) counts(clockMs, timeMs, referenceMs int64) bool {
	return max(timeMs, referenceMs)-clockMs <= c.lifeMs
}

// isAhead reports whether the ledger is so far ahead of an endorser's clock that its endorsement would not count.
func (c clockBounds) isAhead(clockMs, timeMs, referenceMs int64) bool {
	return !c.counts(clockMs, timeMs, referenceMs)
}

// IsAhead reports whether the ledger is so far ahead of a clock that an endorsement that states it would not count in
// the next block. With an honest majority in the network it means that the clock is slow.
func (in *Input) IsAhead(clockMs int64) bool {
	return clockRule().isAhead(clockMs, in.PreviousTimeMs, in.PreviousReferenceMs)
}

// LowerMedian returns the middle one of at least one clock; of an even number the earlier of the two. It does not
// change clocks.
func LowerMedian(clocks []int64) int64 {
	sorted := slices.Sorted(slices.Values(clocks))
	return sorted[(len(sorted)-1)/2]
}

// isMajority reports whether n is more than half of all.
func isMajority(n, all int) bool { return 2*n > all }
