package rules

import (
	"encoding/hex"
	"fmt"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

func setBack(toMs int64) *ltlv1.Transaction_CorrectTime {
	return &ltlv1.Transaction_CorrectTime{CorrectTime: &ltlv1.CorrectTime{ToMs: toMs}}
}

// leap writes with all clocks 30 days ahead, on the system chain and the proof chain, and sets them right again.
func (w *world) leap() {
	w.t.Helper()
	w.now += 30 * dayMs
	w.must(w.operator(account(fmt.Sprint(1000000000001000+w.nonce), "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))
	w.must(w.record(fmt.Sprint("future", w.nonce)))
	w.now -= 30*dayMs - 60_000
}

// correction is a proposal that expires by the network's time.
func (w *world) setsBack(org string, toMs int64) *ltlv1.Transaction {
	tx := w.proposal(org, setBack(toMs))
	tx.GetPropose().ExpiryMs = max(w.now, w.referenceMs) + dayMs
	return tx
}

// id is that of a proposal, which must be recorded.
func (w *world) recorded(r *ltlv1.Result) []byte {
	w.t.Helper()
	id, err := hex.DecodeString(r.GetOutput())
	if r.GetCode() != OK || err != nil || len(id) != 32 {
		w.t.Fatal(r, err)
	}
	return id
}

// TestCorrectTime: after all clocks were wrong and are right again, nothing counts until most organisations have set the
// time back; then each chain goes on from there once, and never goes back again.
func TestCorrectTime(t *testing.T) {
	w := newWorld(t)
	w.leap()
	far := w.referenceMs
	if got := w.codes(w.clocked([]*ltlv1.Transaction{w.record("now")}, clockOf{"o1", 0}, clockOf{"o2", 0}, clockOf{"o3", 0})); got[0] != EndorsementExpired {
		t.Fatalf("a record by right clocks while the time is ahead: %d", got[0])
	}
	in := w.input(w.chain.ID)
	if !in.IsAhead(w.now) {
		t.Fatal("endorsers sign although the ledger is ahead")
	}
	to := w.now
	id := w.recorded(w.alone(w.setsBack("o1", to)))
	w.now += 3_600_000
	w.says(w.approval("o1", id), "open 1 of 2, asked: o2 o3")
	if w.referenceMs != far {
		t.Fatalf("one vote moved the reference time to %+d", w.referenceMs-to)
	}
	w.says(w.approval("o3", id), "executed")
	system := w.tips[ledger.SystemChain].header
	if system.ReferenceMs != to || system.TimeMs != far {
		t.Errorf("reference %+d, time %+d", system.ReferenceMs-to, system.TimeMs-far)
	}
	all, err := ListTimeCorrections(w.state)
	if err != nil || len(all) != 1 || all[0] != (TimeCorrection{system.Height, to}) {
		t.Errorf("%v, %v", all, err)
	}
	for _, chain := range []string{w.chain.ID, ledger.SystemChain} {
		in := w.input(chain)
		if in.IsAhead(w.now) || in.PreviousTimeMs != to || in.PreviousReferenceMs != to {
			t.Errorf("chain %s goes on from %+d, reference %+d", chain, in.PreviousTimeMs-to, in.PreviousReferenceMs-to)
		}
	}
	if r := w.must(w.record("now"))[0]; r.GetTimeMs() != w.now {
		t.Errorf("a record at %+d", r.GetTimeMs()-w.now)
	}
	w.must(w.operator(account("1000000000000097", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))
	// Once: a clock that is behind now gives its block the time of the block below.
	if r := w.alone(w.plain("o1", account("1000000000000096", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM))); r.GetCode() != OK {
		t.Fatal(r)
	}
	before := w.tips[w.chain.ID].timeMs
	w.now -= 30_000
	if r := w.must(w.record("later"))[0]; r.GetTimeMs() != before {
		t.Errorf("the time went back by %d ms again", before-r.GetTimeMs())
	}
}

// TestChainsThatSleep: a chain goes on from the newest correction at its next block, also one that was idle through
// several, and one that the block of the correction created.
func TestChainsThatSleep(t *testing.T) {
	for _, c := range []struct {
		what                string
		corrected           TimeCorrection
		chain               string
		height, system, was int64
		want                int64
	}{
		{"none", TimeCorrection{}, "1234567890123456", 4, 7, 900, 900},
		{"none, a chain of the genesis", TimeCorrection{}, ledger.SystemChain, 0, 0, 900, 900},
		{"below it", TimeCorrection{8, 500}, "1234567890123456", 4, 7, 900, 500},
		{"idle since long before", TimeCorrection{8, 500}, "1234567890123456", 4, 1, 300, 500},
		{"above it", TimeCorrection{8, 500}, "1234567890123456", 4, 8, 900, 900},
		{"created with it", TimeCorrection{8, 500}, "1234567890123456", 0, 8, 900, 500},
		{"created after it", TimeCorrection{8, 500}, "1234567890123456", 0, 9, 900, 900},
		{"the system chain's own", TimeCorrection{8, 500}, ledger.SystemChain, 8, 8, 900, 500},
		{"the system chain's next", TimeCorrection{8, 500}, ledger.SystemChain, 9, 9, 900, 900},
	} {
		h := ledger.Header{ChainID: c.chain, Height: uint64(c.height), SystemHeight: uint64(c.system), TimeMs: c.was}
		if got := c.corrected.Floor(&h); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}

// TestTimeCorrectionsValue: the value of the state, as docs/bytes.md has it.
func TestTimeCorrectionsValue(t *testing.T) {
	b := encodeTimeCorrections([]TimeCorrection{{2, 3}, {4, 5}})
	if got := hex.EncodeToString(b); got != "01"+"00000002"+"0000000000000002"+"0000000000000003"+"0000000000000004"+"0000000000000005" {
		t.Error(got)
	}
	if all, err := parseTimeCorrections(b); err != nil || len(*all) != 2 || (*all)[1] != (TimeCorrection{4, 5}) {
		t.Error(all, err)
	}
	if _, err := parseTimeCorrections(b[:len(b)-1]); err == nil {
		t.Error("a value that is cut off is taken")
	}
}

// TestCorrectTimeRefusals: what is no correction, and who makes none.
func TestCorrectTimeRefusals(t *testing.T) {
	w := newWorld(t)
	w.must(w.record("first"))
	w.refused("directly", w.plain("o1", setBack(w.now-1)), Forbidden, reasonProposal)
	w.want("no time", w.setsBack("o1", 0), OutOfRange)
	w.want("beyond all times", w.setsBack("o1", maxTimeMs+1), OutOfRange)
	w.refused("the present", w.setsBack("o1", w.referenceMs), Conflict, reasonTimeNotAhead)
	w.leap()
	w.refused("after the clocks", w.setsBack("o1", w.now+MaxClockSpreadMs+1), OutOfRange, reasonCorrectionTime)
	w.refused("long before them", w.setsBack("o1", w.now-MaxCorrectionAgeMs-1), OutOfRange, reasonCorrectionTime)
	w.want("a minute after", w.setsBack("o1", w.now+MaxClockSpreadMs), OK)
	w.want("ten minutes before", w.setsBack("o1", w.now-MaxCorrectionAgeMs), OK)
	first := w.recorded(w.alone(w.setsBack("o1", w.now)))
	second := w.recorded(w.alone(w.setsBack("o2", w.now+1)))
	w.says(w.approval("o1", first), "open 1 of 2, asked: o2 o3")
	w.says(w.approval("o1", second), "open 1 of 2, asked: o2 o3")
	w.says(w.approval("o2", first), "executed")
	w.says(w.approval("o2", second), "stale") // it rests on the corrections before
	w.says(w.rejection("o2", w.recorded(w.alone(w.proposal("o2", w.joins("o9"))))), "open 0 of 2, asked: o1 o3")
	many := make([]TimeCorrection, MaxTimeCorrections)
	w.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(keyTimeCorrections), Value: encodeTimeCorrections(many)}})
	w.leap()
	w.refused("one too many", w.setsBack("o1", w.now), QuotaExceeded, reasonTimeCorrections)
}

// TestOnlyCorrectionsDoNotExpire: while the ledger is ahead, nothing else is executed by the endorsements of right
// clocks, and not by keys that were replaced.
func TestOnlyCorrectionsDoNotExpire(t *testing.T) {
	w := newWorld(t)
	other := w.proposed("o1", w.joins("o9"))
	next := offline.Key("next key of o1")
	former := w.keys["o1"]
	statement := func(tx *ltlv1.Transaction, height uint64) *ltlv1.Batch {
		b := &ltlv1.Batch{ChainId: ledger.SystemChain, Transactions: [][]byte{marshal(t, tx)}}
		s := w.statement(b, "o1")
		s.SystemHeight, s.Height = height, height
		b.Endorsements = []*ltlv1.Endorsement{s.Sign(w.keys["o1"])}
		return b
	}
	height := w.tips[ledger.SystemChain].height
	w.leap()
	w.now += 30 * dayMs
	w.must(w.operator(w.rotation("o1", "next key of o1", false)))
	w.now -= 30 * dayMs
	propose := w.setsBack("o1", w.now)
	w.keys["o1"] = former
	if got := w.codes(statement(propose, height)); got[0] != EndorsementExpired {
		t.Errorf("by the former key: %d", got[0])
	}
	w.keys["o1"] = next
	now := w.tips[ledger.SystemChain].height
	for what, tx := range map[string]*ltlv1.Transaction{
		"an account":           w.plain("o1", account("1000000000000091", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)),
		"a vote on another":    w.approval("o1", other),
		"a rejection of it":    w.rejection("o1", other),
		"another proposal":     w.proposal("o1", w.joins("o8")),
		"a vote on no":         w.approval("o1", make([]byte, 32)),
		"a vote without an id": w.approval("o1", nil),
	} {
		if got := w.codes(statement(tx, now)); got[0] != EndorsementExpired {
			t.Errorf("%s: %d", what, got[0])
		}
		if about, err := CorrectsTime(w.state, [][]byte{marshal(t, tx)}); about || err != nil {
			t.Errorf("%s: %v, %v", what, about, err)
		}
	}
	id := w.recorded(w.alone(propose))
	about, err := CorrectsTime(w.state, [][]byte{marshal(t, w.approval("o1", id)), marshal(t, w.withdrawal("o1", id))})
	if !about || err != nil {
		t.Errorf("votes on a correction: %v, %v", about, err)
	}
	w.says(w.withdrawal("o1", id), "withdrawn")
	if about, err := CorrectsTime(w.state, [][]byte{marshal(t, w.approval("o1", id))}); about || err != nil {
		t.Errorf("a vote on one that is closed: %v, %v", about, err)
	}
}

// TestFormerKeyAfterCorrection: a key that was replaced while the time was ahead ends as if it had been right.
func TestFormerKeyAfterCorrection(t *testing.T) {
	w := newWorld(t)
	w.now += 30 * dayMs
	former := w.keys["o1"]
	height := w.tips[ledger.SystemChain].height
	w.must(w.operator(w.rotation("o1", "next key of o1", false)))
	w.now -= 30 * dayMs
	to := w.now
	id := w.recorded(w.alone(w.setsBack("o2", to)))
	w.says(w.approval("o2", id), "open 1 of 2, asked: o1 o3")
	w.says(w.approval("o3", id), "executed")
	for _, c := range []struct {
		clock int64
		want  int32
	}{{to, OK}, {to + 1, NotEndorsed}} {
		b := &ltlv1.Batch{ChainId: ledger.SystemChain, Transactions: [][]byte{marshal(t,
			w.plain("o1", account("1000000000000091", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))}}
		s := w.statement(b, "o1")
		s.SystemHeight, s.Height, s.ClockMs = height, height, c.clock
		b.Endorsements = []*ltlv1.Endorsement{s.Sign(former)}
		if got := w.codes(b); got[0] != c.want {
			t.Errorf("a clock %+d after the correction: %d, want %d", c.clock-to, got[0], c.want)
		}
	}
}

// TestTimeStands: a chain that its organisations decided to have dated by the reference time takes what few endorse.
func TestTimeStands(t *testing.T) {
	w := newWorld(t)
	lone := func(id string) *Executed {
		return w.execute(w.chain.ID, w.clocked([]*ltlv1.Transaction{w.record(id)}, clockOf{"o1", 3_600_000}))
	}
	w.must(w.operator(w.repolicy("any")))
	if code := lone("refused").Results[0][0].GetCode(); code != TooFewClocks {
		t.Fatalf("before: %d", code)
	}
	stand := changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, TimeStands: new(true)})
	w.refused("by the owner alone", w.plain("o1", stand), Forbidden, reasonProposal)
	w.must(w.operator(stand))
	x := lone("taken")
	if r := x.Results[0][0]; r.GetCode() != OK || r.GetTimeMs() != w.referenceMs+MaxClockAheadMs ||
		x.Header.ReferenceMs != w.referenceMs {
		t.Errorf("%v: time %+d, reference %+d", r, r.GetTimeMs()-w.referenceMs, x.Header.ReferenceMs-w.referenceMs)
	}
	c, err := GetChain(w.state, w.chain.ID)
	if err != nil || !c.TimeStands {
		t.Fatal(c, err)
	}
	w.must(w.operator(changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, TimeStands: new(false)})))
	if code := lone("refused.again").Results[0][0].GetCode(); code != TooFewClocks {
		t.Errorf("after: %d", code)
	}
	w.want("no change is the owner's act", w.plain("o1", changed(&ltlv1.ModifyChain{ChainId: w.chain.ID,
		TimeStands: new(false)})), OK)
}

func mustCorrections(t interface{ Fatal(...any) }, w *world) []TimeCorrection {
	all, err := ListTimeCorrections(w.state)
	if err != nil {
		t.Fatal(err)
	}
	return all
}
