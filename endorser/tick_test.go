package endorser

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// tickWorld is a network of one ledger, with a clock that the test moves.
type tickWorld struct {
	*ticks
	clock, reference int64
	now              time.Time
	on               map[ledger.Hash]bool // what is on the ledger
	asked            int
	outcome          tickOutcome
	place            int
}

const tickStartMs = 1_800_000_000_000

func newTickWorld() *tickWorld {
	w := &tickWorld{clock: tickStartMs, reference: tickStartMs, now: time.Now(), on: map[ledger.Hash]bool{}, outcome: tickOrdered}
	w.ticks = &ticks{
		unseen: &unseen{}, onLedger: func(_ string, id ledger.Hash) (bool, error) { return w.on[id], nil },
		clockMs: func() int64 { return w.clock }, referenceMs: func() int64 { return w.reference },
		turn: func() int { return w.place }, note: func(tickOutcome, error) {},
		ask: func(context.Context) (tickOutcome, error) {
			if w.asked++; w.outcome == tickOrdered {
				w.reference = w.clock
			}
			return w.outcome, nil
		},
	}
	return w
}

// signs notes a signature of now and returns the id of its transaction.
func (w *tickWorld) signs(name string) ledger.Hash {
	id := ledger.TransactionID([]byte(name))
	w.unseen.add(signedBatch{clockMs: w.clock, chainID: "1234567890123456", ids: []ledger.Hash{id}})
	return id
}

// pass lets time pass in steps of a second.
func (w *tickWorld) pass(t *testing.T, d time.Duration) {
	t.Helper()
	for range int(d / time.Second) {
		w.clock, w.now = w.clock+1000, w.now.Add(time.Second)
		if err := w.step(t.Context(), w.now); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTickOnlyWhenNeeded: an idle network with nothing kept back has no Tick, nor one on which others write.
func TestTickOnlyWhenNeeded(t *testing.T) {
	w := newTickWorld()
	w.pass(t, time.Hour)
	w.on[w.signs("written")] = true
	w.pass(t, time.Hour)
	for range 60 {
		w.signs("kept while others write")
		w.reference = w.clock
		w.pass(t, 30*time.Second)
	}
	if w.asked != 0 {
		t.Errorf("%d Ticks", w.asked)
	}
	w.pass(t, 2*time.Hour) // a Tick ends what was signed more than two minutes before it
	if w.asked < 1 || w.asked > 3 || w.withheldFor() != 0 {
		t.Errorf("%d Ticks for what was kept back, %v", w.asked, w.withheldFor())
	}
}

// TestTickAfterWithholding: one Tick follows a signature that was kept back, two minutes and a little after it; the
// organisations that come later in the order wait, so that its Tick is the only one.
func TestTickAfterWithholding(t *testing.T) {
	for place := range 3 {
		w := newTickWorld()
		w.place = place
		w.pass(t, 10*time.Minute)
		w.signs("kept")
		wait := rules.EndorsementLifeMs*time.Millisecond + tickGrace + time.Duration(place)*tickStagger
		w.pass(t, wait-time.Second)
		if w.asked != 0 {
			t.Errorf("place %d: %d Ticks too early", place, w.asked)
		}
		w.pass(t, 2*time.Second)
		if w.asked != 1 {
			t.Errorf("place %d: %d Ticks", place, w.asked)
		}
		w.pass(t, 24*time.Hour)
		if w.asked != 1 {
			t.Errorf("place %d: %d Ticks for one signature", place, w.asked)
		}
	}
}

// TestTickAtMostOneAMinute: while a Tick does not come about it is asked for once a minute.
func TestTickAtMostOneAMinute(t *testing.T) {
	w := newTickWorld()
	w.outcome = tickUnendorsed
	w.signs("kept")
	w.pass(t, time.Hour)
	if w.asked < 55 || w.asked > 60 {
		t.Errorf("%d requests in an hour", w.asked)
	}
	if w.censored(w.now) != 0 {
		t.Error("too few endorsers count as censorship")
	}
}

// TestTickCensored: nodes that order no endorsed Tick for five minutes are a fault, whatever they answer, until the
// ledger shows one or others have moved the reference time.
func TestTickCensored(t *testing.T) {
	for _, answer := range []tickOutcome{tickUnordered, "said to be ordered"} {
		w := newTickWorld()
		w.outcome = answer
		w.signs("kept")
		w.pass(t, rules.EndorsementLifeMs*time.Millisecond+tickGrace+censoredAfter-2*time.Second)
		if d := w.censored(w.now); d != 0 {
			t.Errorf("%s: already after %v", answer, d)
		}
		w.pass(t, 5*time.Second)
		if d := w.censored(w.now); d < censoredAfter {
			t.Errorf("%s: %v", answer, d)
		}
		if w.withheldFor() < censoredAfter {
			t.Errorf("%s: withheld for %v", answer, w.withheldFor())
		}
		w.reference = w.clock
		w.pass(t, time.Second)
		if d := w.censored(w.now); d != 0 || w.withheldFor() != 0 {
			t.Errorf("%s: %v, %v after the reference time has moved", answer, d, w.withheldFor())
		}
	}
}

// TestTickAfterStart: an endorser does not know what it signed before it was started, and has one Tick end all of it.
func TestTickAfterStart(t *testing.T) {
	w := newTickWorld()
	w.pass(t, time.Hour)
	w.unseen.startedAt(w.clock)
	w.pass(t, 24*time.Hour)
	if w.asked != 1 {
		t.Errorf("%d Ticks", w.asked)
	}
}

// TestTickWhileAhead: what was kept back while the network's time was ahead is not forgotten, because the time may be
// corrected.
func TestTickWhileAhead(t *testing.T) {
	w := newTickWorld()
	w.reference += 30 * 24 * time.Hour.Milliseconds()
	w.pass(t, time.Minute)
	w.signs("kept")
	w.pass(t, 30*time.Second)
	if w.asked != 0 {
		t.Error("a Tick while the time is ahead")
	}
	w.reference = tickStartMs
	w.pass(t, 5*time.Minute)
	if w.asked != 1 {
		t.Errorf("%d Ticks", w.asked)
	}
}

// TestUnseenIsBounded: what does not fit is forgotten, and counts as kept back.
func TestUnseenIsBounded(t *testing.T) {
	var u unseen
	for i := range int64(maxUnseen + 10) {
		u.add(signedBatch{clockMs: i + 1, ids: []ledger.Hash{ledger.TransactionID(fmt.Append(nil, i))}})
	}
	if len(u.batches) != maxUnseen || u.count != maxUnseen || u.forgottenMs != 10 {
		t.Errorf("%d batches, %d transactions, forgotten up to %d", len(u.batches), u.count, u.forgottenMs)
	}
	on := func(string, ledger.Hash) (bool, error) { return true, nil }
	if first, err := u.withheldMs(0, 1<<40, on); first != 10 || err != nil || u.count != 0 || u.batches != nil {
		t.Errorf("%d, %v; %d transactions are left", first, err, u.count)
	}
	if first, err := u.withheldMs(10, 1<<40, on); first != 0 || err != nil {
		t.Errorf("expired: %d, %v", first, err)
	}
	u.add(signedBatch{clockMs: 20, ids: []ledger.Hash{{1}}})
	broken := errors.New("broken")
	if _, err := u.withheldMs(0, 30, func(string, ledger.Hash) (bool, error) { return false, broken }); !errors.Is(err, broken) {
		t.Error(err)
	}
}

// TestTogether: of clocks that do not agree the largest group stands.
func TestTogether(t *testing.T) {
	votes := func(clocks ...int64) (all []tickVote) {
		for _, ms := range clocks {
			v := tickVote{clockMs: ms}
			if ms != 0 {
				v.by = &ltlv1.Endorsement{Index: uint32(ms / 1000)}
			}
			all = append(all, v)
		}
		return all
	}
	for _, c := range []struct {
		clocks []int64
		want   int
	}{
		{nil, 0}, {[]int64{0, 0}, 0}, {[]int64{5000}, 1}, {[]int64{5000, 65_000}, 2}, {[]int64{5000, 65_001}, 1},
		{[]int64{9_000_000, 5000, 6000, 0}, 2}, {[]int64{100_000, 40_000, 70_000, 161_000}, 3},
	} {
		if got := together(votes(c.clocks...)); len(got) != c.want {
			t.Errorf("%v: %v", c.clocks, got)
		}
	}
}
