package endorser_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestEndorseChecksOpenings: an endorser signs a record only with its value, and what it refuses for that is not in the
// way of others of the proposal.
func TestEndorseChecksOpenings(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	payloads := [][]byte{w.attach("a", "1"), w.attach("b", "2")}
	right := w.values.Openings(payloads...)
	wrong := proto.CloneOf(right[0])
	wrong.Openings[0].Value = []byte("2")
	for what, one := range map[string]struct {
		openings []*ltlv1.Openings
		first    int32
	}{
		"right":   {right, rules.OK},
		"swapped": {[]*ltlv1.Openings{right[1], right[1]}, rules.Malformed},
		"missing": {[]*ltlv1.Openings{{}, right[1]}, rules.Malformed},
		"another": {[]*ltlv1.Openings{wrong, right[1]}, rules.Malformed},
	} {
		out, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: payloads,
			Openings: one.openings})
		if err != nil || out.GetCodes()[0] != one.first || out.GetCodes()[1] != rules.OK {
			t.Errorf("%s: %v, %v", what, out.GetCodes(), err)
		}
	}
	_, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: payloads,
		Openings: right[:1]})
	if err == nil {
		t.Error("openings of one of two transactions are taken")
	}
	many := &ltlv1.Openings{Openings: make([]*ltlv1.Opening, 1<<16)} // of two bytes each on the wire, and many in memory
	for i := range many.Openings {
		many.Openings[i] = &ltlv1.Opening{}
	}
	_, err = r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: payloads,
		Openings: []*ltlv1.Openings{many, right[1]}, MinSequence: w.store.Sequence() + 100})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("65,536 openings of one transaction: %v", err)
	}
}

// TestLeaderLeavesValuesOut: a leader that orders a record without its value destroys nothing. An endorser that signed the
// record has the value in its copy, and gives it to the processes that lack it; one that did not sign it lacks it.
func TestLeaderLeavesValuesOut(t *testing.T) {
	w := newWorld(t)
	r := w.start(t.TempDir(), nil)
	r.caughtUp()
	signed, other := w.attach("signed", "kept"), w.attach("other", "lost")
	out, err := r.facade().Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: w.chainID, Transactions: [][]byte{signed},
		Openings: w.values.Openings(signed)})
	if err != nil || out.GetEndorsement() == nil {
		t.Fatal(out, err)
	}
	clear(w.values)
	w.order(signed, other)
	ledger := ltlv1.NewLedgerClient(r.dial("facades/f1"))
	var all map[uint32]*ltlv1.Openings
	waitFor(t, "the value is in the copy", func() bool {
		found, err := ledger.Openings(t.Context(), &ltlv1.OpeningsRequest{ChainId: w.chainID, Heights: []uint64{1}})
		if err != nil || len(found.GetBlocks()) == 0 {
			return false
		}
		all = found.GetBlocks()[0].GetTransactions()
		return len(all) > 0
	})
	if len(all) != 1 || string(all[0].GetOpenings()[0].GetValue()) != "kept" {
		t.Errorf("the copy has %v", all)
	}
}
