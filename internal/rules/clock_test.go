package rules

import (
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
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

// clockModel is a network with one chain, on which some organisations sign whatever clock suits them and a client and a
// leader work with them. The rules execute its batches; only signatures are left out. Honest clocks are at most noiseMs
// off.
type clockModel struct {
	clockBounds
	*world
	rand             *rand.Rand
	n, liars, policy int // organisations, the first of which lie, and how many must endorse
	honestLeader     bool
	ticking          bool // honest organisations write Ticks
	err              []int64
	truth            int64 // the true time
	withheld         []*ltlv1.Batch
	written          func(*ltlv1.Batch) // hears of each batch whose endorsements were enough; nil for none
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

func newClockModel(t testing.TB, c clockBounds, seed uint64, n, liars, policy int, honestLeader bool) *clockModel {
	m := &clockModel{clockBounds: c, rand: rand.New(rand.NewPCG(seed, 1)), n: n, liars: liars, policy: policy,
		honestLeader: honestLeader, truth: startMs + 30*dayMs}
	var all []string
	for i := range n {
		all = append(all, modelOrganisation(i))
		m.err = append(m.err, m.rand.Int64N(2*noiseMs+1)-noiseMs)
	}
	genesis := offline.Genesis(all...)
	genesis.CreatedMs = m.truth
	m.world = bareOf(t, offline.GenesisPayload(t, genesis))
	m.world.now = m.truth
	chain := &Chain{ID: "1234567890123456", Code: "0123456789abcdef", Policy: fmt.Sprint(policy, "-of"), Organisations: all,
		Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF}
	m.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(prefixChain + chain.ID), Value: chain.encode()}})
	system := m.tips[ledger.SystemChain]
	m.world.chain = chain
	m.commit(chain.ID, ChainBlock0(&ledger.Header{NetworkID: m.id, Height: system.height, TimeMs: system.timeMs,
		ReferenceMs: m.referenceMs}, chain.ID, m.sequence))
	return m
}

func modelOrganisation(i int) string { return fmt.Sprint("o", i+1) }

// time is that of the chain's newest block.
func (m *clockModel) time() int64 { return m.tips[m.chain.ID].timeMs }

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
		switch clock := m.truth + m.err[i]; {
		case i < m.liars:
			votes = append(votes, clockVote{i, lie})
		case !m.isAhead(clock, m.time(), m.referenceMs):
			votes = append(votes, clockVote{i, clock})
		}
	}
	return votes
}

// batch is a new batch with these votes, by a client of the first that gave one.
func (m *clockModel) batch(votes []clockVote) *ltlv1.Batch {
	tx := offline.Values{}.Commit(m.tx(m1UID, set("key", "v")))
	if len(votes) > 0 {
		tx.Submitter = modelOrganisation(votes[0].by) + "/client/c"
	}
	b := &ltlv1.Batch{ChainId: m.chain.ID, Transactions: [][]byte{marshal(m.t, tx)}}
	m.vote(b, votes)
	return b
}

func (m *clockModel) vote(b *ltlv1.Batch, votes []clockVote) {
	for _, v := range votes {
		o := modelOrganisation(v.by)
		s := offline.Statement(m.id, b, o, offline.PublicKey(o), v.clock)
		b.Endorsements = append(b.Endorsements, s.Sign(modelKey))
	}
}

// modelKey signs all statements of the model, which does not verify them.
var modelKey = offline.Key("model")

// order executes a batch and reports whether its endorsements were enough. With commit it is written.
func (m *clockModel) order(b *ltlv1.Batch, commit bool) bool {
	in := m.input(m.chain.ID, b)
	verify := func(ed25519.PublicKey, *ltlv1.Endorsement) error { return nil }
	if m.honestLeader {
		a, err := Admit(in, m.state, verify)
		if err != nil {
			m.t.Fatal(err)
		}
		if m.truth-a.ClockMs > m.lifeMs {
			return false
		}
	}
	x, err := execute(m.clockBounds, in, m.state, verify)
	if err != nil {
		m.t.Fatal(err)
	}
	if x.Block == nil {
		return true // it was written before
	}
	if commit {
		m.commit(m.chain.ID, x)
		m.trace = append(m.trace, fmt.Sprintf("%+d ms: %d votes, result %d, time %+d, reference %+d", m.truth-startMs-30*dayMs,
			len(b.GetEndorsements()), x.Block.GetResults()[0], m.time()-m.truth, m.referenceMs-m.truth))
	}
	enough := x.Block.GetResults()[0] == UnknownUID // the account does not exist: the rules ran
	if enough && commit && m.written != nil {
		m.written(b)
	}
	return enough
}

// step lets some time pass and then an honest client or the liars act.
func (m *clockModel) step() {
	pick := func(of ...int64) int64 { return of[m.rand.IntN(len(of))] }
	m.truth += pick(50, 1000, 10_000, 50_000, 61_000, 119_000, 130_000, 3_600_000, dayMs)
	if m.ticking {
		m.tick()
	}
	switch a := m.rand.IntN(100); {
	case a < 30:
		m.order(m.batch(m.sign(m.honest(), 0)), true)
	case a < 80 && m.liars > 0:
		base := pick(m.truth, m.time(), m.referenceMs, m.truth-noiseMs, m.truth+noiseMs)
		lie := max(0, base+pick(-30*dayMs, -7_200_000, -120_000, -m.spreadMs, 0, m.spreadMs, m.aheadMs, m.spreadMs+m.aheadMs,
			m.lifeMs-1, 7_200_000, 30*dayMs))
		signers := m.honest()
		m.rand.Shuffle(len(signers), func(i, j int) { signers[i], signers[j] = signers[j], signers[i] })
		signers = signers[:m.rand.IntN(len(signers)+1)]
		for i := range m.liars {
			signers = append(signers, i)
		}
		if b := m.batch(m.sign(signers, lie)); m.rand.IntN(5) < 2 {
			m.withheld = append(m.withheld, b)
		} else {
			m.order(b, true)
		}
	case len(m.withheld) > 0:
		m.order(m.withheld[m.rand.IntN(len(m.withheld))], true)
	}
}

// check returns what the model must not do: date a block ahead of the truth by more than the bounds, or refuse honest
// organisations that are enough for the policy and a majority.
func (m *clockModel) check() error {
	if ahead := max(m.time(), m.referenceMs) - m.truth; ahead > m.spreadMs+m.aheadMs+noiseMs {
		return fmt.Errorf("the ledger is %d ms ahead", ahead)
	}
	honest := m.honest()
	if !isMajority(len(honest), m.n) || len(honest) < m.policy {
		return nil
	}
	if !m.order(m.batch(m.sign(honest, 0)), false) {
		return fmt.Errorf("an honest write is refused; the ledger is %+d ms ahead", max(m.time(), m.referenceMs)-m.truth)
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
	late := m.truth + m.spreadMs - noiseMs
	if need > 0 {
		late = votes[need-1].clock + m.spreadMs
	}
	for i := range m.liars {
		votes = append(votes, clockVote{i, late})
	}
	m.order(m.batch(votes), true)
	var alone []clockVote
	for i := range m.liars {
		alone = append(alone, clockVote{i, m.referenceMs + m.aheadMs})
	}
	m.order(m.batch(alone), true)
}

// clockRuns runs the model many times; it returns the first thing that went wrong.
func clockRuns(t testing.TB, c clockBounds, runs uint64) error {
	for _, x := range []struct{ n, liars, policy int }{
		{1, 0, 1}, {3, 1, 1}, {5, 2, 1}, {2, 1, 2}, {3, 1, 2}, {5, 2, 3}, {3, 1, 3}, {7, 3, 1}, {3, 0, 2},
	} {
		for seed := range runs {
			m := newClockModel(t, c, seed, x.n, x.liars, x.policy, seed%2 == 0)
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
	if err := clockRuns(t, clockRule(), 25); err != nil {
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
		if err := clockRuns(t, c, 40); err == nil {
			t.Errorf("%s: nothing went wrong", what)
		}
	}
}
