package rules

import (
	"fmt"
	"slices"
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// candidate is a batch of a block before any of the block's transactions is executed.
type candidate struct {
	batch *ltlv1.Batch
	ids   []ledger.Hash
	// results has the first result of each transaction that is on the chain already.
	results []*ltlv1.Result
	// known is set when all of them are; then the rest is not set, and the batch is not in the block.
	known bool
	// fresh is set when a transaction is neither on the chain nor in an earlier batch of the block. Then the batch is in
	// the block whatever execution makes of the earlier ones. Only such a batch may give the block its time.
	fresh bool
	root  ledger.Hash
	set   *endorsementSet
}

// candidates looks at all batches before the first is executed.
func (x *block) candidates(batches []*ltlv1.Batch) ([]candidate, error) {
	var seen map[ledger.Hash]struct{}
	if len(batches) > 1 {
		seen = make(map[ledger.Hash]struct{}, x.expected)
	}
	all := make([]candidate, len(batches))
	ids := make([]ledger.Hash, 0, x.expected)
	for i, b := range batches {
		c := &all[i]
		c.batch, c.known = b, true
		c.results = make([]*ltlv1.Result, len(b.GetTransactions()))
		start := len(ids)
		for j, p := range b.GetTransactions() {
			id := ledger.TransactionID(p)
			ids = append(ids, id)
			first, err := x.known(p, id)
			if err != nil {
				return nil, err
			}
			c.results[j] = first
			if first == nil {
				_, before := seen[id]
				c.known, c.fresh = false, c.fresh || !before
			}
		}
		if c.ids = ids[start:len(ids):len(ids)]; c.known {
			continue
		}
		if seen != nil {
			for _, id := range c.ids {
				seen[id] = struct{}{}
			}
		}
		c.root = ledger.BatchRoot(c.ids)
		var err error
		if c.set, err = x.newEndorsementSet(b, c.root, x.verify); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// setTime computes the block's time and the network's reference time after it from the clocks of the batches' votes.
func (x *block) setTime(batches []candidate) error {
	var active []string
	for i := range batches {
		c := &batches[i]
		if !c.fresh || c.set.date.code != dated {
			continue
		}
		x.timeMs = max(x.timeMs, c.set.date.timeMs)
		if active == nil {
			n, err := x.network()
			if err != nil {
				return err
			}
			active = n.Organisations
		}
		if c.set.hasMajority(active) {
			x.referenceMs = max(x.referenceMs, c.set.date.timeMs)
		}
	}
	return nil
}

// hasMajority reports whether more than half of the network's active organisations voted. Only they move the reference
// time: a chain of its own would otherwise let one organisation date the network.
func (s *endorsementSet) hasMajority(active []string) bool {
	n := 0
	for _, v := range s.votes {
		if slices.Contains(active, v.endorsement.Organisation) {
			n++
		}
	}
	return isMajority(n, len(active))
}

// settle decides what the clocks of the votes mean in a block of the given time: which votes count, and whether any
// transaction of the batch may be executed at all.
func (s *endorsementSet) settle(c clockBounds, timeMs, referenceMs int64) {
	switch {
	case s.date.code == clocksDisagree:
		s.refusal = ClocksDisagree
	case s.date.code == tooFewClocks:
		s.refusal = TooFewClocks
	case s.date.code == dated && s.date.timeMs > timeMs:
		// It gave the block no time, because it repeats an earlier batch or because its votes changed in this block.
		s.refusal = EndorsementExpired
	}
	for i := range s.votes {
		v := &s.votes[i]
		v.timely = c.counts(v.endorsement.ClockMs, timeMs, referenceMs)
	}
	s.referenceMs = referenceMs
}

// reason explains a refusal because of the clocks; empty for any other code.
func (s *endorsementSet) reason(code int32) string {
	switch code {
	case ClocksDisagree:
		first, last := s.votes[s.date.first].endorsement, s.votes[s.date.last].endorsement
		apart := seconds(last.ClockMs - first.ClockMs)
		if odd, other := s.oddClock(); odd != "" {
			return fmt.Sprintf(reasonOddClock, odd, apart, other, MaxClockSpreadMs/1000, odd, odd)
		}
		return fmt.Sprintf(reasonTwoClocks, first.Organisation, last.Organisation, apart, MaxClockSpreadMs/1000)
	case TooFewClocks:
		var silent []string
		for _, o := range s.organisations {
			if !slices.ContainsFunc(s.votes, func(v vote) bool { return v.endorsement.Organisation == o }) {
				silent = append(silent, o)
			}
		}
		return fmt.Sprintf(reasonTooFewClocks, len(s.votes), len(s.organisations),
			seconds(s.date.medianMs-s.referenceMs), strings.Join(silent, ", "))
	}
	return ""
}

// oddClock returns whose clock is furthest from the median of three or more, and the organisation at the other end;
// empty where there is no telling.
func (s *endorsementSet) oddClock() (odd, other string) {
	if len(s.votes) < 3 {
		return "", ""
	}
	clocks := make([]int64, len(s.votes))
	for i, v := range s.votes {
		clocks[i] = v.endorsement.ClockMs
	}
	first, last, median := s.votes[s.date.first].endorsement, s.votes[s.date.last].endorsement, LowerMedian(clocks)
	switch before, after := median-first.ClockMs, last.ClockMs-median; {
	case before > after:
		return first.Organisation, last.Organisation
	case after > before:
		return last.Organisation, first.Organisation
	}
	return "", ""
}

// seconds rounds milliseconds up, so that what is above a bound is also above it in words.
func seconds(ms int64) int64 { return (ms + 999) / 1000 }
