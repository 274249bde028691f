package client_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// slow is far more than a write takes that does not wait for a silent process, also on a busy machine, and less than one
// that is given up.
const slow = 5 * time.Second

// TestOddClockIsLeftOut: an endorser whose clock is wrong changes nothing where the others are enough. Where its
// endorsement is needed the error says whose clock it is, and right again it takes part at once.
func TestOddClockIsLeftOut(t *testing.T) {
	for _, skew := range []time.Duration{2 * time.Minute, -15 * time.Minute, 30 * 24 * time.Hour} {
		for odd := 1; odd < 3; odd++ {
			f := startFake(t, 3, "majority")
			f.endorsers[odd].set(func(e *fakeEndorser) { e.skew = skew })
			c := f.client(nil)
			started := time.Now()
			r, err := c.Submit(t.Context(), record("a", "1"))
			wantOK(t, r, err)
			if took := time.Since(started); took > slow {
				t.Errorf("%v, organisation %d: the write took %v", skew, odd, took)
			}
		}
		f := startFake(t, 3, "majority")
		f.endorsers[0].set(func(e *fakeEndorser) { e.skew = skew })
		_, err := f.client(nil).Submit(t.Context(), record("a", "1"))
		if !errors.Is(err, client.ErrClock) || !strings.Contains(err.Error(), "org1 (the clock of its endorser is") {
			t.Errorf("%v: %v, want ErrClock that names org1's clock", skew, err)
		}
		f = startFake(t, 3, "all")
		f.endorsers[1].set(func(e *fakeEndorser) { e.skew = skew })
		c := f.client(nil)
		_, err = c.Submit(t.Context(), record("a", "1"))
		if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "org2 (the clock of its endorser is") ||
			!strings.Contains(err.Error(), "those of org1, org3") || !errors.Is(err, client.ErrClock) {
			t.Errorf("%v: %v, want ErrClock that names org2's clock", skew, err)
		}
		f.endorsers[1].set(func(e *fakeEndorser) { e.skew = 0 })
		started := time.Now()
		r, err := c.Submit(t.Context(), record("a", "1"))
		wantOK(t, r, err)
		if took := time.Since(started); took > slow {
			t.Errorf("%v: after the clock was set the write took %v", skew, took)
		}
	}
}

// TestMajorityDates: where one endorsement is enough, more are waited for until a majority dates the batch; what does
// not answer is not waited for long.
func TestMajorityDates(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	for i := range 5 {
		r, err := c.Submit(t.Context(), record("a", fmt.Sprint(i)))
		wantOK(t, r, err)
		if n := len(f.lastBatch().GetEndorsements()); n < 2 {
			t.Errorf("a batch was ordered with %d endorsements", n)
		}
	}
	f.endorsers[1].server.Stop()
	f.endorsers[2].server.Stop()
	started := time.Now()
	r, err := c.Submit(t.Context(), record("a", "one endorser"))
	wantOK(t, r, err)
	if took := time.Since(started); took > slow {
		t.Errorf("with one endorser left the write took %v", took)
	}
}

// TestTooFewClocks: the leader's answer that too few organisations signed is acted on once; then the caller gets it with
// its reason.
func TestTooFewClocks(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	f.mu.Lock()
	f.refusal = &ltlv1.Result{Code: rules.TooFewClocks, Reason: "these did not: org2"}
	f.mu.Unlock()
	r, err := c.Submit(t.Context(), record("a", "1"))
	if err != nil || r.GetCode() != client.CodeTooFewClocks || r.GetReason() != "these did not: org2" {
		t.Errorf("%v, %v", r, err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused != 2 {
		t.Errorf("the batch was sent %d times, want 2", f.refused)
	}
}

// TestVoteThatAcceptsNothing: a statement that accepts nothing is no vote for the ledger. It does not take the place of
// the majority that dates a batch, nor does its clock stand against those of votes.
func TestVoteThatAcceptsNothing(t *testing.T) {
	f := startFake(t, 3, "any")
	empty := func(skew time.Duration) func(*ltlv1.Endorsement, *ltlv1.EndorseResponse, *ledger.Endorsement) {
		return func(e *ltlv1.Endorsement, out *ltlv1.EndorseResponse, st *ledger.Endorsement) {
			st.Accepted, st.ClockMs = ledger.Bitmap([]bool{false}), time.Now().Add(skew).UnixMilli()
			out.Codes[0] = rules.Malformed
			proto.Reset(e)
			proto.Merge(e, st.Sign(f.endorsers[1].key))
		}
	}
	for _, skew := range []time.Duration{0, 30 * time.Minute, -30 * time.Minute} {
		forge := empty(skew)
		f.endorsers[1].set(func(e *fakeEndorser) { e.forge = forge })
		f.endorsers[2].set(func(e *fakeEndorser) {
			e.block = func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }
		})
		r, err := f.client(nil).Submit(t.Context(), record("a", skew.String()))
		wantOK(t, r, err)
		var signed []string
		for org := range f.signed(f.lastBatch(), 0) {
			signed = append(signed, org)
		}
		slices.Sort(signed)
		if n := len(f.lastBatch().GetEndorsements()); n != 2 || !slices.Equal(signed, []string{"org1", "org3"}) {
			t.Errorf("%v: the batch was ordered with %d endorsements, votes are those of %v; want two", skew, n, signed)
		}
	}
}
