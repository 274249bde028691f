package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestLowerMedian(t *testing.T) {
	for want, clocks := range map[int64][]int64{
		5: {5}, 3: {9, 3}, 4: {9, 4, 1}, 2: {8, 7, 2, 1}, 6: {9, 6, 8, 1, 2}, 0: {0, 0, 7},
	} {
		given := slices.Clone(clocks)
		if got := LowerMedian(clocks); got != want || !slices.Equal(given, clocks) {
			t.Errorf("%v: %d, want %d; now %v", given, got, want, clocks)
		}
	}
}

func TestDate(t *testing.T) {
	c := clockBounds{spreadMs: 60, aheadMs: 30, lifeMs: 120}
	for _, x := range []struct {
		what      string
		clocks    []int64
		all       int
		reference int64
		stands    bool
		want      batchDate
	}{
		{"no clock", nil, 3, 0, false, batchDate{code: undated}},
		{"a majority sets the time", []int64{1030, 1000}, 3, 0, false, batchDate{dated, 1000, 1000, 1, 0}},
		{"spread at the bound", []int64{1000, 1060}, 3, 0, false, batchDate{dated, 1000, 1000, 0, 1}},
		{"spread above it", []int64{1061, 1000, 1001}, 3, 1000, false, batchDate{clocksDisagree, 0, 0, 1, 0}},
		{"half is no majority", []int64{1000, 1000}, 4, 0, false, batchDate{tooFewClocks, 1000, 1000, 0, 0}},
		{"half is no majority, time stands", []int64{1000, 1000}, 4, 900, true, batchDate{dated, 1000, 930, 0, 0}},
		{"alone at the bound", []int64{1000}, 3, 970, false, batchDate{dated, 1000, 1000, 0, 0}},
		{"alone above it", []int64{1000}, 3, 969, false, batchDate{tooFewClocks, 1000, 1000, 0, 0}},
		{"alone and behind", []int64{1000}, 3, 5000, true, batchDate{dated, 1000, 1000, 0, 0}},
		{"the only one", []int64{1000}, 1, 0, false, batchDate{dated, 1000, 1000, 0, 0}},
	} {
		if got := c.date(x.clocks, x.all, x.reference, x.stands); got != x.want {
			t.Errorf("%s: %+v, want %+v", x.what, got, x.want)
		}
	}
	for _, x := range []struct {
		clock, time, reference int64
		want                   bool
	}{{880, 1000, 0, true}, {879, 1000, 0, false}, {880, 0, 1000, true}, {879, 0, 1000, false}, {5000, 0, 0, true}} {
		if c.counts(x.clock, x.time, x.reference) != x.want || c.isAhead(x.clock, x.time, x.reference) == x.want {
			t.Errorf("clock %d, time %d, reference %d: counts is %v", x.clock, x.time, x.reference, !x.want)
		}
	}
}

// TestBoundsKeepAChainWritable: the inequality that the bounds rest on.
func TestBoundsKeepAChainWritable(t *testing.T) {
	if MaxClockSpreadMs+MaxClockAheadMs >= EndorsementLifeMs {
		t.Error("the clocks of dishonest organisations can stop a chain")
	}
}

// clockModel is a network of one chain, on which some organisations sign whatever clock suits them and a client and a
// leader work with them. Its time is computed by the functions that execution uses. Honest clocks are at most noiseMs
// off.
type clockModel struct {
	clockBounds
	rand             *rand.Rand
	n, liars, policy int // organisations, the first of which lie, and how many must endorse
	honestLeader     bool
	err              []int64
	now, time, ref   int64
	withheld         [][]clockVote
	trace            []string
}

// clockVote is an endorsement in the model.
type clockVote struct {
	by    int
	clock int64
}

const (
	noiseMs = 2_000
	dayMs   = 86_400_000
)

func newClockModel(c clockBounds, seed uint64, n, liars, policy int, honestLeader bool) *clockModel {
	m := &clockModel{clockBounds: c, rand: rand.New(rand.NewPCG(seed, 1)), n: n, liars: liars, policy: policy,
		honestLeader: honestLeader, now: 30 * dayMs}
	for range n {
		m.err = append(m.err, m.rand.Int64N(2*noiseMs+1)-noiseMs)
	}
	m.time, m.ref = m.now, m.now // the genesis block
	return m
}

func (m *clockModel) honest() []int {
	var all []int
	for i := m.liars; i < m.n; i++ {
		all = append(all, i)
	}
	return all
}

// sign returns the endorsements of the organisations; a liar states the given clock, an honest one its own, unless it
// refuses.
func (m *clockModel) sign(by []int, lie int64) (votes []clockVote) {
	for _, i := range by {
		switch clock := m.now + m.err[i]; {
		case i < m.liars:
			votes = append(votes, clockVote{i, lie})
		case !m.isAhead(clock, m.time, m.ref):
			votes = append(votes, clockVote{i, clock})
		}
	}
	return votes
}

// order executes a batch with these votes and reports whether it was written.
func (m *clockModel) order(votes []clockVote) bool {
	var clocks []int64
	for _, v := range votes {
		clocks = append(clocks, v.clock)
	}
	d := m.date(clocks, m.n, m.ref, false)
	if d.code != dated || m.honestLeader && m.now-d.medianMs > m.lifeMs {
		return false
	}
	due := max(m.time, d.timeMs)
	count := 0
	for _, v := range votes {
		if m.counts(v.clock, due, m.ref) {
			count++
		}
	}
	m.time = due // the block is made, whatever becomes of its transactions
	if isMajority(len(votes), m.n) {
		m.ref = max(m.ref, d.timeMs)
	}
	m.trace = append(m.trace, fmt.Sprintf("%+d ms: votes %v, time %+d, reference %+d", m.now-30*dayMs, votes,
		m.time-m.now, m.ref-m.now))
	return count >= m.policy
}

// step lets some time pass and then an honest client or the liars act.
func (m *clockModel) step() {
	pick := func(of ...int64) int64 { return of[m.rand.IntN(len(of))] }
	m.now += pick(50, 1000, 10_000, 50_000, 61_000, 119_000, 130_000, 3_600_000, dayMs)
	switch a := m.rand.IntN(100); {
	case a < 30:
		m.order(m.sign(m.honest(), 0))
	case a < 80 && m.liars > 0:
		base := pick(m.now, m.time, m.ref, m.now-noiseMs, m.now+noiseMs)
		lie := max(0, base+pick(-30*dayMs, -7_200_000, -120_000, -m.spreadMs, 0, m.spreadMs, m.aheadMs, m.spreadMs+m.aheadMs,
			m.lifeMs-1, 7_200_000, 30*dayMs))
		signers := m.honest()
		m.rand.Shuffle(len(signers), func(i, j int) { signers[i], signers[j] = signers[j], signers[i] })
		signers = signers[:m.rand.IntN(len(signers)+1)]
		for i := range m.liars {
			signers = append(signers, i)
		}
		if votes := m.sign(signers, lie); m.rand.IntN(5) < 2 {
			m.withheld = append(m.withheld, votes)
		} else {
			m.order(votes)
		}
	case len(m.withheld) > 0:
		m.order(m.withheld[m.rand.IntN(len(m.withheld))])
	}
}

// check returns what the model must not do: date a block ahead of the truth by more than the bounds, or refuse honest
// organisations that are enough for the policy and a majority.
func (m *clockModel) check() error {
	if ahead := max(m.time, m.ref) - m.now; ahead > m.spreadMs+m.aheadMs+noiseMs {
		return fmt.Errorf("the ledger is %d ms ahead", ahead)
	}
	after := *m
	after.honestLeader = true
	honest := m.honest()
	if !isMajority(len(honest), m.n) || len(honest) < m.policy {
		return nil
	}
	if !after.order(after.sign(honest, 0)) {
		return fmt.Errorf("an honest write is refused; the ledger is %+d ms ahead", max(m.time, m.ref)-m.now)
	}
	return nil
}

// climb is the worst that liars can do at once: a batch with the smallest majority dated as late as the spread allows,
// then one by themselves as late as the reference allows.
func (m *clockModel) climb() {
	honest := m.honest()
	slices.SortFunc(honest, func(a, b int) int { return int(m.err[b] - m.err[a]) })
	need := m.n/2 + 1 - m.liars
	if need < 0 || m.liars == 0 {
		return
	}
	votes := m.sign(honest[:need], 0)
	late := m.now + m.spreadMs - noiseMs
	if need > 0 {
		late = votes[need-1].clock + m.spreadMs
	}
	for i := range m.liars {
		votes = append(votes, clockVote{i, late})
	}
	m.order(votes)
	m.order(m.sign(nil, 0))
	var alone []clockVote
	for i := range m.liars {
		alone = append(alone, clockVote{i, m.ref + m.aheadMs})
	}
	m.order(alone)
}

// clockRuns runs the model many times; it returns the first thing that went wrong.
func clockRuns(c clockBounds, runs uint64) error {
	for _, x := range []struct{ n, liars, policy int }{
		{1, 0, 1}, {3, 1, 1}, {5, 2, 1}, {2, 1, 2}, {3, 1, 2}, {5, 2, 3}, {3, 1, 3}, {7, 3, 1}, {3, 0, 2}, {64, 31, 1},
	} {
		for seed := range runs {
			m := newClockModel(c, seed, x.n, x.liars, x.policy, seed%2 == 0)
			for range 30 {
				m.step()
				if m.rand.IntN(8) == 0 {
					m.climb()
				}
				if err := m.check(); err != nil {
					return fmt.Errorf("%+v, seed %d: %w\n%s", x, seed, err, strings.Join(m.trace, "\n"))
				}
			}
		}
	}
	return nil
}

// TestNoClockDecides: whatever clocks fewer than half of the organisations state, with a leader and a client on their
// side, the ledger is never further ahead than the bounds and the others can write at once.
func TestNoClockDecides(t *testing.T) {
	if err := clockRuns(clockRule(), 200); err != nil {
		t.Error(err)
	}
}

// TestOtherBoundsFail: the same runs find what is wrong with bounds that leave no room, so the test above can fail.
func TestOtherBoundsFail(t *testing.T) {
	for what, c := range map[string]clockBounds{
		"a batch of few may be 60 s ahead": {60_000, 60_000, 120_000},
		"clocks may be 100 s apart":        {100_000, 30_000, 120_000},
		"endorsements live for 90 s":       {60_000, 30_000, 90_000},
	} {
		if err := clockRuns(c, 200); err == nil {
			t.Errorf("%s: nothing went wrong", what)
		}
	}
}
