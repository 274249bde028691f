package rules

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// ticks is a Tick that the organisation's endorser submits.
func (w *world) ticks(org string) *ltlv1.Transaction {
	tx := w.plain(org, &ltlv1.Transaction_Tick{Tick: &ltlv1.Tick{}})
	tx.Submitter = fmt.Sprintf("%s/endorser/%[1]s", org)
	return tx
}

// TestTick: on a network that was idle for days a Tick ends what was signed and kept back. It writes nothing but its own
// result.
func TestTick(t *testing.T) {
	w := newWorld(t)
	kept := w.batch(w.chain.ID, [][]byte{marshal(t, w.record("kept"))}, organisations()...)
	w.now += 3 * dayMs
	if got := w.codes(kept); got[0] != OK {
		t.Fatalf("on an idle network: %d", got[0])
	}
	x := w.execute(ledger.SystemChain, w.clocked([]*ltlv1.Transaction{w.ticks("o1")}, clockOf{"o1", 0}, clockOf{"o3", 0}))
	if r := x.Results[0][0]; r.GetCode() != OK || x.Header.ReferenceMs != w.now || len(x.Writes) != 1 {
		t.Fatalf("%v, reference %+d, %d writes", r, x.Header.ReferenceMs-w.now, len(x.Writes))
	}
	w.commit(ledger.SystemChain, x)
	if got := w.codes(kept); got[0] != EndorsementExpired {
		t.Errorf("after the Tick: %d", got[0])
	}
	w.must(w.record("next"))
}

// TestTickRefusals: who makes no Tick, and when there is none.
func TestTickRefusals(t *testing.T) {
	w := newWorld(t)
	w.must(w.record("first"))
	tooEarly := fmt.Sprintf(reasonTickEarly, MinTickMs/1000)
	w.refused("at once", w.ticks("o1"), Conflict, tooEarly)
	w.now = w.referenceMs + MinTickMs - 1
	w.refused("before a minute", w.ticks("o1"), Conflict, tooEarly)
	w.now++
	w.want("after a minute", w.ticks("o2"), OK)
	w.want("by an operator", w.plain("o1", &ltlv1.Transaction_Tick{Tick: &ltlv1.Tick{}}), Forbidden)
	w.want("by an endorser of no organisation", w.ticks("o9"), NotEndorsed)
	other := w.ticks("o1")
	other.Action = account("1000000000000091", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)
	w.want("something else by an endorser", other, Forbidden)
	for _, by := range [][]clockOf{{{"o1", 0}}, {{"o2", 0}}} {
		if got := w.codes(w.clocked([]*ltlv1.Transaction{w.ticks("o1")}, by...)); got[0] != NotEndorsed {
			t.Errorf("endorsed by %v: %d", by, got[0])
		}
	}
	record := w.record("an endorser's")
	record.Submitter = "o1/endorser/o1"
	w.want("a record by an endorser", record, NotEntitled)
}

// tick has the honest organisations write a Tick where one of them signed what was kept back for so long that they know.
func (m *clockModel) tick() {
	var due bool
	for _, b := range m.withheld {
		clock, honest := m.latestHonest(b)
		due = due || honest && m.truth-clock > m.lifeMs+2*noiseMs && m.referenceMs-clock <= m.lifeMs
	}
	honest := m.honest()
	if !due || !isMajority(len(honest), m.n) || m.truth-m.referenceMs < MinTickMs+noiseMs {
		return
	}
	b := m.onSystem(m.ticks(modelOrganisation(honest[0])), m.sign(honest, 0))
	x, err := execute(m.clockBounds, m.input(ledger.SystemChain, b), m.state,
		func(ed25519.PublicKey, *ltlv1.Endorsement) error { return nil })
	if err != nil || x.Results[0][0].GetCode() != OK {
		m.t.Fatal(x, err)
	}
	m.commit(ledger.SystemChain, x)
}

// onSystem is a batch of the system chain with these votes.
func (m *clockModel) onSystem(tx *ltlv1.Transaction, votes []clockVote) *ltlv1.Batch {
	b := &ltlv1.Batch{ChainId: ledger.SystemChain, Transactions: [][]byte{marshal(m.t, tx)}}
	m.vote(b, votes)
	return b
}

// latestHonest is the latest clock of honest organisations in a batch; false where none signed it.
func (m *clockModel) latestHonest(b *ltlv1.Batch) (clock int64, signed bool) {
	for _, e := range b.GetEndorsements() {
		s, err := ledger.ParseStatement(e.GetStatement())
		if err != nil {
			m.t.Fatal(err)
		}
		for _, i := range m.honest() {
			if s.Organisation == modelOrganisation(i) {
				clock, signed = max(clock, s.ClockMs), true
			}
		}
	}
	return clock, signed
}

// backdated is by how much the oldest batch with an honest signature was behind the truth when it was written, with the
// leader on the side of those who keep batches back.
func backdated(t testing.TB, n, liars, policy int, ticks bool, runs uint64) (worst int64) {
	for seed := range runs {
		m := newClockModel(t, clockRule(), seed, n, liars, policy, false)
		m.written = func(b *ltlv1.Batch) {
			if clock, honest := m.latestHonest(b); honest {
				worst = max(worst, m.truth-clock)
			}
		}
		m.ticking = ticks
		for range 40 {
			m.step()
		}
	}
	return worst
}

// TestTickBoundsBackdating: with Ticks nothing that an honest organisation signed is written more than four minutes later,
// however idle the network and whichever node leads: the life of an endorsement, a minute for a Tick, and a minute by which a
// dishonest clock beside it may be ahead. Without Ticks it is days; and where the honest are no majority there is none.
func TestTickBoundsBackdating(t *testing.T) {
	const bound = EndorsementLifeMs + MinTickMs + MaxClockSpreadMs + 2*noiseMs
	for _, x := range []struct{ n, liars, policy int }{{3, 1, 1}, {3, 1, 2}, {5, 2, 3}, {3, 1, 3}, {5, 2, 1}} {
		if worst := backdated(t, x.n, x.liars, x.policy, true, 40); worst > bound {
			t.Errorf("%+v with Ticks: %d s", x, worst/1000)
		}
		if worst := backdated(t, x.n, x.liars, x.policy, false, 40); worst < dayMs {
			t.Errorf("%+v without Ticks: only %d s, so the test shows nothing", x, worst/1000)
		}
	}
	if worst := backdated(t, 2, 1, 2, true, 40); worst < dayMs {
		t.Errorf("two organisations: only %d s", worst/1000)
	}
}
