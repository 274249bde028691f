package rules

import (
	"fmt"
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// restoration records one whose restore epoch follows from its number.
func restoration(number uint32, blocks uint64) *ltlv1.Transaction_RecordRestoration {
	return &ltlv1.Transaction_RecordRestoration{RecordRestoration: &ltlv1.RecordRestoration{Number: number,
		RestoreEpoch: fmt.Appendf(nil, "epoch %010d", number), Blocks: blocks, Reason: "机房失火"}}
}

func mustRestorations(t interface{ Fatal(...any) }, w *world) []Restoration {
	all, err := ListRestorations(w.state)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestRecordRestoration: the organisations record together that the network was restored, and each time in words that
// say what is lost.
func TestRecordRestoration(t *testing.T) {
	w := newWorld(t)
	w.refused("directly", w.plain("o1", restoration(1, 2)), Forbidden, reasonProposal)
	id := w.proposed("o2", restoration(1, 2))
	if words := proposedWords(t, w, id); !strings.Contains(words, "its first 2 blocks") ||
		!strings.Contains(words, fmt.Sprintf("%x", "epoch 0000000001")) || !strings.Contains(words, `"机房失火"`) ||
		!strings.Contains(words, "end as abandoned") {
		t.Errorf("words %q", words)
	}
	w.says(w.approval("o2", id), "open 1 of 2, asked: o1 o3")
	if got := mustRestorations(t, w); got != nil {
		t.Errorf("recorded before it was approved: %+v", got)
	}
	before := w.sequence
	w.says(w.approval("o3", id), "executed")
	got := mustRestorations(t, w)
	if len(got) != 1 || got[0].Number != 1 || string(got[0].Epoch) != "epoch 0000000001" || got[0].Blocks != 2 ||
		got[0].Recorded != before || got[0].Reason != "机房失火" || got[0].At.Height == 0 {
		t.Errorf("%+v, in block number %d", got, before)
	}
	w.must(w.operator(restoration(7, w.sequence))) // a number that is left out was that of a lost history
	if got := mustRestorations(t, w); len(got) != 2 || got[1].Number != 7 || got[0].Number != 1 {
		t.Errorf("%+v", got)
	}
}

// TestRecordRestorationRefusals: what cannot be true of this ledger is refused.
func TestRecordRestorationRefusals(t *testing.T) {
	w := newWorld(t)
	w.must(w.operator(restoration(3, 2)))
	recorded := mustRestorations(t, w)[0].Recorded
	odd := func(change func(*ltlv1.RecordRestoration)) any {
		r := restoration(4, w.sequence)
		change(r.RecordRestoration)
		return r
	}
	for what, c := range map[string]struct {
		action any
		want   int32
		reason string
	}{
		"the same again":         {restoration(3, w.sequence), Conflict, reasonRestorationKnown},
		"a number below":         {restoration(2, w.sequence), Conflict, fmt.Sprintf(reasonRestorationNumber, 3)},
		"before the last record": {restoration(4, recorded), Conflict, fmt.Sprintf(reasonRestorationEarlier, 3, recorded)},
		"more than there are":    {restoration(4, w.sequence+1), Conflict, fmt.Sprintf(reasonRestorationBlocks, w.sequence)},
		"no number":              {odd(func(r *ltlv1.RecordRestoration) { r.Number = 0 }), OutOfRange, ""},
		"no blocks":              {odd(func(r *ltlv1.RecordRestoration) { r.Blocks = 0 }), OutOfRange, ""},
		"a short epoch":          {odd(func(r *ltlv1.RecordRestoration) { r.RestoreEpoch = r.RestoreEpoch[:15] }), OutOfRange, ""},
		"no reason":              {odd(func(r *ltlv1.RecordRestoration) { r.Reason = "" }), OutOfRange, ""},
		"a long reason":          {odd(func(r *ltlv1.RecordRestoration) { r.Reason = strings.Repeat("长", MaxReason+1) }), OutOfRange, ""},
	} {
		w.refused(what, w.proposal("o1", c.action), c.want, c.reason)
	}
	w.want("as much as can be", w.proposal("o1", restoration(4, w.sequence)), OK)
	w.want("as little as can be", w.proposal("o2", restoration(4, recorded+1)), OK)
	if got := mustRestorations(t, w); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}

// TestRestorationsBound: there is an end to how many are recorded.
func TestRestorationsBound(t *testing.T) {
	w := newWorld(t)
	for i := range uint32(MaxRestorations) {
		w.must(w.operator(restoration(i+1, w.sequence)))
	}
	w.refused("one more", w.proposal("o1", restoration(MaxRestorations+1, w.sequence)), QuotaExceeded, reasonRestorations)
}
