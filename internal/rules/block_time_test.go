package rules

import (
	"fmt"
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// clocked is a batch on the chain of its transactions whose organisations state these clocks after w.now, in order.
func (w *world) clocked(txs []*ltlv1.Transaction, clocks ...clockOf) *ltlv1.Batch {
	w.t.Helper()
	b := &ltlv1.Batch{ChainId: txs[0].GetChainId()}
	for _, tx := range txs {
		b.Transactions = append(b.Transactions, marshal(w.t, tx))
	}
	for _, c := range clocks {
		s := w.statement(b, c.organisation)
		s.ClockMs += c.afterMs
		b.Endorsements = append(b.Endorsements, s.Sign(w.keys[c.organisation]))
	}
	return b
}

type clockOf struct {
	organisation string
	afterMs      int64
}

// onPolicy is a world whose chain has the policy.
func onPolicy(t *testing.T, policy string) *world {
	w := newWorld(t)
	w.chain.Policy = policy
	w.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(prefixChain + w.chain.ID), Value: w.chain.encode()}})
	return w
}

func (w *world) record(id string) *ltlv1.Transaction { return w.tx(m1UID, set(w.key(m1UID, id), "v")) }

// TestBlockTime: what the clocks of one batch make of its block's time and of the reference time.
func TestBlockTime(t *testing.T) {
	const hour = 3_600_000
	for _, c := range []struct {
		what            string
		clocks          []clockOf
		code            int32
		time, reference int64 // after startMs
	}{
		{"all", []clockOf{{"o1", hour + 7}, {"o2", hour}, {"o3", hour + 3}}, OK, hour + 3, hour + 3},
		{"a majority, of two the earlier", []clockOf{{"o1", hour + 7}, {"o2", hour}}, OK, hour, hour},
		{"clocks at the bound", []clockOf{{"o1", hour + MaxClockSpreadMs}, {"o2", hour}}, OK, hour, hour},
		{"clocks above it", []clockOf{{"o1", hour + MaxClockSpreadMs + 1}, {"o2", hour}}, ClocksDisagree, 0, 0},
		{"one near the reference", []clockOf{{"o1", MaxClockAheadMs}}, OK, MaxClockAheadMs, 0},
		{"one further ahead", []clockOf{{"o1", MaxClockAheadMs + 1}}, TooFewClocks, 0, 0},
		{"one twice", []clockOf{{"o1", hour}, {"o1", hour}}, TooFewClocks, 0, 0},
		{"a majority that is behind", []clockOf{{"o1", -EndorsementLifeMs}, {"o2", -EndorsementLifeMs}}, OK, 0, 0},
		{"further behind", []clockOf{{"o1", -EndorsementLifeMs - 1}, {"o2", -EndorsementLifeMs - 1}}, EndorsementExpired, 0, 0},
		{"none", nil, NotEndorsed, 0, 0},
	} {
		w := onPolicy(t, "any")
		x := w.execute(w.chain.ID, w.clocked([]*ltlv1.Transaction{w.record("id")}, c.clocks...))
		code, h := x.Results[0][0].GetCode(), x.Header
		if code != c.code || h.TimeMs != startMs+c.time || h.ReferenceMs != startMs+c.reference {
			t.Errorf("%s: %d, time %+d, reference %+d; want %d, %+d, %+d", c.what, code, h.TimeMs-startMs,
				h.ReferenceMs-startMs, c.code, c.time, c.reference)
		}
		if got := w.codes(w.clocked([]*ltlv1.Transaction{w.record("id")}, c.clocks...)); got[0] != c.code {
			t.Errorf("%s, as a block: %d", c.what, got[0])
		}
	}
}

// TestTimeBeforeExecution: a block's time does not depend on the order of its batches, and holds for all of them.
func TestTimeBeforeExecution(t *testing.T) {
	for _, swap := range []bool{false, true} {
		w := onPolicy(t, "any")
		late := w.clocked([]*ltlv1.Transaction{w.record("late")}, clockOf{"o1", 100_000}, clockOf{"o2", 100_000})
		early := w.clocked([]*ltlv1.Transaction{w.record("early")}, clockOf{"o1", -20_001})
		batches := []*ltlv1.Batch{late, early}
		if swap {
			batches = []*ltlv1.Batch{early, late}
		}
		x := w.execute(w.chain.ID, batches...)
		for i, b := range batches {
			want := map[*ltlv1.Batch]int32{late: OK, early: EndorsementExpired}[b]
			if got := x.Results[i][0].GetCode(); got != want || x.Header.TimeMs != startMs+100_000 {
				t.Errorf("%d, want %d; time %+d", got, want, x.Header.TimeMs-startMs)
			}
		}
	}
}

// TestRepeatedBatchGivesNoTime: neither a batch that is on the chain already nor one that repeats a transaction of an
// earlier batch of its block dates the block.
func TestRepeatedBatchGivesNoTime(t *testing.T) {
	w := newWorld(t)
	all := func(ms int64) []clockOf { return []clockOf{{"o1", ms}, {"o2", ms}, {"o3", ms}} }
	known := w.record("known")
	w.must(known)
	fresh := w.record("fresh")
	x := w.execute(w.chain.ID, w.clocked([]*ltlv1.Transaction{known}, all(9000)...),
		w.clocked([]*ltlv1.Transaction{fresh}, all(1000)...), w.clocked([]*ltlv1.Transaction{fresh, known}, all(8000)...))
	if x.Header.TimeMs != startMs+1000 || x.Header.ReferenceMs != startMs+1000 || len(x.Block.GetBatches()) != 1 ||
		x.Results[2][0].GetCode() != OK || x.Results[2][1].GetCode() != OK {
		t.Errorf("time %+d, %d batches, %v", x.Header.TimeMs-startMs, len(x.Block.GetBatches()), x.Results)
	}
	// Where the earlier one is refused, the later one is not left out, and its clock is ahead of the block.
	x = w.execute(w.chain.ID, w.clocked([]*ltlv1.Transaction{fresh}, clockOf{"o1", 1000}),
		w.clocked([]*ltlv1.Transaction{fresh}, all(8000)...))
	if x.Header.TimeMs != startMs+1000 || !equal(x.Block.GetResults(), []int32{NotEndorsed, EndorsementExpired}) {
		t.Errorf("time %+d, %v", x.Header.TimeMs-startMs, x.Block.GetResults())
	}
	// One new transaction is enough: the batch is in the block whatever becomes of the others.
	x = w.execute(w.chain.ID, w.clocked([]*ltlv1.Transaction{fresh}, all(1000)...),
		w.clocked([]*ltlv1.Transaction{fresh, w.record("more")}, all(8000)...))
	if x.Header.TimeMs != startMs+8000 || !equal(x.Block.GetResults(), []int32{OK, Duplicate, OK}) {
		t.Errorf("time %+d, %v", x.Header.TimeMs-startMs, x.Block.GetResults())
	}
}

// TestVoteThatAcceptsNothing: an organisation that refuses everything gives no clock.
func TestVoteThatAcceptsNothing(t *testing.T) {
	w := onPolicy(t, "any")
	b := w.clocked([]*ltlv1.Transaction{w.record("id")}, clockOf{"o1", 0}, clockOf{"o2", 0})
	s := w.statement(b, "o3")
	s.ClockMs, s.Accepted = startMs+3_600_000, []byte{0}
	b.Endorsements = append(b.Endorsements, s.Sign(w.keys["o3"]))
	if got := w.codes(b); got[0] != OK {
		t.Errorf("%d", got[0])
	}
}

// TestSystemTimeStands: on the system chain too few organisations are enough, and date the block near the reference.
func TestSystemTimeStands(t *testing.T) {
	w := bare(t)
	tx := w.operator(account(rootUID, "o1", ltlv1.AccountType_ACCOUNT_TYPE_ROOT))
	x := w.execute(ledger.SystemChain, w.clocked([]*ltlv1.Transaction{tx}, clockOf{"o1", 30 * dayMs}))
	if x.Results[0][0].GetCode() != OK || x.Header.TimeMs != startMs+MaxClockAheadMs || x.Header.ReferenceMs != startMs {
		t.Errorf("%v, time %+d, reference %+d", x.Results[0], x.Header.TimeMs-startMs, x.Header.ReferenceMs-startMs)
	}
}

// TestOwnChainMovesNoReference: an organisation dates the chain on which it is alone, and neither the network nor
// another chain.
func TestOwnChainMovesNoReference(t *testing.T) {
	w := newWorld(t)
	own := &ltlv1.CreateChain{Name: "own", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: freeUID,
		Organisations: []string{"o2"}, Policy: "any"}
	r := w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: own}))
	tx := w.txOn(r[0].GetOutput(), freeUID, member(m1UID))
	tx.Submitter = "o2/client/c"
	x := w.execute(tx.ChainId, w.clocked([]*ltlv1.Transaction{tx}, clockOf{"o2", 30 * dayMs}))
	if x.Results[0][0].GetCode() != OK || x.Header.TimeMs != startMs+30*dayMs || x.Header.ReferenceMs != startMs {
		t.Fatalf("%v, time %+d, reference %+d", x.Results[0], x.Header.TimeMs-startMs, x.Header.ReferenceMs-startMs)
	}
	w.commit(tx.ChainId, x)
	for _, o := range []string{"o1", "o3"} {
		in := w.input(w.chain.ID)
		if in.IsAhead(w.now) {
			t.Errorf("%s refuses to sign on the chain that all share", o)
		}
	}
	if got := w.must(w.record("next")); got[0].GetTimeMs() != startMs {
		t.Errorf("the other chain is at %+d", got[0].GetTimeMs()-startMs)
	}
}

// TestLiarAloneStopsNothing: with policy "any" one organisation may state any clock; an honest write follows at once.
func TestLiarAloneStopsNothing(t *testing.T) {
	for _, lie := range []int64{-30 * dayMs, 60_000, MaxClockAheadMs, MaxClockSpreadMs + MaxClockAheadMs, 30 * dayMs} {
		w := onPolicy(t, "any")
		w.commit(w.chain.ID, w.execute(w.chain.ID, w.clocked([]*ltlv1.Transaction{w.record("lie")}, clockOf{"o2", lie})))
		w.now += 1000
		in := w.input(w.chain.ID)
		if in.IsAhead(w.now) {
			t.Errorf("a lie of %+d ms: honest endorsers refuse to sign", lie)
		}
		if got := w.codes(w.clocked([]*ltlv1.Transaction{w.record("next")}, clockOf{"o1", 0}, clockOf{"o3", 0})); got[0] != OK {
			t.Errorf("a lie of %+d ms: then %d", lie, got[0])
		}
	}
}

// TestWithheldStatement: what was signed and kept for days is refused as soon as a majority has moved the reference
// time, on whichever chain it did.
func TestWithheldStatement(t *testing.T) {
	w := newWorld(t)
	kept := w.batch(w.chain.ID, [][]byte{marshal(t, w.record("kept"))}, organisations()...)
	w.now += 3 * dayMs
	w.must(w.operator(account("1000000000000099", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))
	if got := w.codes(kept); got[0] != EndorsementExpired {
		t.Errorf("%d", got[0])
	}
}

// TestClockReasons: the sentence names whose clock is wrong, or who is silent.
func TestClockReasons(t *testing.T) {
	for _, c := range []struct {
		clocks []clockOf
		want   string
	}{
		{[]clockOf{{"o1", 1}, {"o2", 7_200_001}, {"o3", 0}},
			"clock of o2's endorser is 7201 seconds from that of o3's, and 60 are allowed: set the clock of o2's endorser"},
		{[]clockOf{{"o1", 0}, {"o2", 1}, {"o3", -7_200_000}}, "clock of o3's endorser is 7201 seconds from that of o2's"},
		{[]clockOf{{"o1", 0}, {"o2", -61_000}}, "clocks of the endorsers of o2 and o1 are 61 seconds apart, and 60 are allowed"},
		{[]clockOf{{"o2", 31_000}}, "Only 1 of the chain's 3 organisations endorsed this, 31 seconds after the network's " +
			"reference time. More than half must; these did not: o1, o3."},
	} {
		w := onPolicy(t, "any")
		in := w.input(w.chain.ID, w.values.Open(w.clocked([]*ltlv1.Transaction{w.record("id"), w.record("more")}, c.clocks...)))
		a, err := Admit(in, w.state, ledger.VerifyEndorsement)
		x, failed := Execute(in, w.state, ledger.VerifyEndorsement)
		if err != nil || failed != nil || !strings.Contains(a.Reasons[1], c.want) || x.Results[0][1].GetReason() != a.Reasons[1] {
			t.Errorf("%v: %q, %q; %v, %v", c.clocks, a.Reasons, x.Results[0][1].GetReason(), err, failed)
		}
	}
}

// TestKeyReplacedInTheBlock: a batch is judged by the keys that the batches before it left, its time by those before
// the block.
func TestKeyReplacedInTheBlock(t *testing.T) {
	w := bare(t)
	next := offline.Key("next key of o1")
	rotate := &ltlv1.ModifyOrganisation{Id: "o1", EndorserKey: offline.PublicKey("next key of o1"), Compromised: true,
		Possession: ledger.SignNewKey(next, w.id, "o1", ledger.KeyID(offline.PublicKey("o1")))}
	first := w.clocked([]*ltlv1.Transaction{w.operator(&ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: rotate})},
		clockOf{"o1", 0}, clockOf{"o2", 0})
	second := w.clocked([]*ltlv1.Transaction{w.operator(account(rootUID, "o1", ltlv1.AccountType_ACCOUNT_TYPE_ROOT))},
		clockOf{"o1", 500}, clockOf{"o2", 500})
	x := w.execute(ledger.SystemChain, first, second)
	if !equal(x.Block.GetResults(), []int32{OK, NotEndorsed}) || x.Header.TimeMs != startMs+500 {
		t.Errorf("%v, time %+d", x.Block.GetResults(), x.Header.TimeMs-startMs)
	}
}

// TestManyBatchesOneTime: the latest of many batches dates the block.
func TestManyBatchesOneTime(t *testing.T) {
	w := newWorld(t)
	var batches []*ltlv1.Batch
	for i := range int64(20) {
		batches = append(batches, w.clocked([]*ltlv1.Transaction{w.record(fmt.Sprint(i))}, clockOf{"o1", i * 7 % 20},
			clockOf{"o2", i * 7 % 20}))
	}
	if x := w.execute(w.chain.ID, batches...); x.Header.TimeMs != startMs+19 {
		t.Errorf("time %+d", x.Header.TimeMs-startMs)
	}
}
