package endorser_test

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// TestSignsItsOwnClock: an endorsement states the endorser's clock, also where the ledger is a little ahead of it.
// Where the ledger is further ahead, by its own chain or by the network's reference time, nothing is signed.
func TestSignsItsOwnClock(t *testing.T) {
	w := newWorld(t)
	w.orderAt(time.Now().Add(time.Minute), w.attach("a", "1"))
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	in := &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{w.attach("b", "2")}}
	before := time.Now()
	out, err := r.facade().Endorse(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	s := offline.Read(t, in.GetChainId(), in.GetTransactions(), out.GetEndorsement())
	if off := time.UnixMilli(s.ClockMs).Sub(before); off < -time.Second || off > 10*time.Second {
		t.Errorf("it states a clock %v after the call", off)
	}

	w.orderAt(time.Now().Add(10*time.Minute), w.attach("c", "3"))
	r.caughtUp()
	in.Transactions = [][]byte{w.attach("d", "4")}
	_, err = r.facade().Endorse(t.Context(), in)
	if status.Code(err) != codes.Aborted || !strings.Contains(err.Error(), "the clock of its machine shows "+
		time.Now().UTC().Format("2006-01-02T15:")) || !strings.Contains(err.Error(), "the ledger's time is ") {
		t.Errorf("%v, want Aborted with both clocks", err)
	}
	if _, body := r.admin(t, "/metrics"); !strings.Contains(body, "ltl_endorser_clock_refusals_total 1") {
		t.Error("the metric does not count the refusal")
	}
}
