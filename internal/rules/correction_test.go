package rules

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// wrote commits a record and returns what a correction names it by.
func (w *world) wrote(tx *ltlv1.Transaction) *ltlv1.Correction {
	w.t.Helper()
	w.must(tx)
	id := ledger.TransactionID(marshal(w.t, tx))
	key, _, businessID, ok := ProofRecord(tx, id)
	if !ok {
		w.t.Fatal("no record")
	}
	return &ltlv1.Correction{TransactionId: id[:], Key: key, BusinessId: businessID, Reason: "读数错误"}
}

// correct is an AttachData of an account that declares another record wrong.
func (w *world) correct(uid, id string, c *ltlv1.Correction) *ltlv1.Transaction {
	a := attach(w.key(uid, id), "right", "")
	a.AttachData.Corrects = c
	return w.tx(uid, a)
}

func (w *world) correction(c *ltlv1.Correction) *Locator {
	w.t.Helper()
	l, err := LocateCorrection(w.state, w.chain.ID, ledger.Hash(c.GetTransactionId()))
	if err != nil {
		w.t.Fatal(err)
	}
	return l
}

// TestCorrection: an account declares its own records wrong, the administrator those of all, and no other member does.
func TestCorrection(t *testing.T) {
	w := newWorld(t)
	single := w.wrote(w.tx(m1UID, set(w.key(m1UID, "single"), "v")))
	many := w.wrote(w.tx(m1UID, attach(w.key(m1UID, "many"), "v", business)))
	assigned := w.wrote(w.tx(m1UID, attach(w.key(m1UID, "many"), "v", "")))
	with := func(c *ltlv1.Correction, change func(*ltlv1.Correction)) *ltlv1.Transaction {
		n := &ltlv1.Correction{TransactionId: c.TransactionId, Key: c.Key, BusinessId: c.BusinessId, Reason: c.Reason}
		change(n)
		return w.correct(m1UID, "c", n)
	}
	for what, c := range map[string]*ltlv1.Correction{"SetData": single, "AttachData": many, "an assigned id": assigned} {
		w.want(what, with(c, func(*ltlv1.Correction) {}), OK)
		w.want(what+" by the administrator", w.correct(rootUID, "c", c), OK)
		w.refused(what+" by another member", w.correct(m2UID, "c", c), Forbidden, reasonCorrectsForeign)
	}
	for what, change := range map[string]func(*ltlv1.Correction){
		"no reason":         func(c *ltlv1.Correction) { c.Reason = "" },
		"a long reason":     func(c *ltlv1.Correction) { c.Reason = strings.Repeat("错", MaxReason+1) },
		"a short id":        func(c *ltlv1.Correction) { c.TransactionId = c.TransactionId[1:] },
		"no id":             func(c *ltlv1.Correction) { c.TransactionId = nil },
		"no Key":            func(c *ltlv1.Correction) { c.Key = "" },
		"a Key of one part": func(c *ltlv1.Correction) { c.Key = "x" },
	} {
		w.refused(what, with(many, change), OutOfRange, reasonCorrectionForm)
	}
	w.want("the longest reason", with(many, func(c *ltlv1.Correction) { c.Reason = strings.Repeat("错", MaxReason) }), OK)
	for what, change := range map[string]func(*ltlv1.Correction){
		"another transaction": func(c *ltlv1.Correction) { c.TransactionId = single.TransactionId },
		"no such transaction": func(c *ltlv1.Correction) { c.TransactionId = make([]byte, 32) },
		"another Key":         func(c *ltlv1.Correction) { c.Key = single.Key },
		"another BusinessId":  func(c *ltlv1.Correction) { c.BusinessId = assigned.BusinessId },
		"no BusinessId":       func(c *ltlv1.Correction) { c.BusinessId = "" },
		"a Key of another chain": func(c *ltlv1.Correction) {
			c.Key = strings.Replace(c.Key, w.chain.Code, "0000000000000000", 1)
		},
	} {
		w.refused(what, with(many, change), NotFound, reasonCorrectsNothing)
	}
	refused := w.tx(m1UID, set(w.key(m1UID, "single"), "again"))
	w.apply(refused)
	id := ledger.TransactionID(marshal(t, refused))
	w.refused("a transaction that was refused", with(single, func(c *ltlv1.Correction) { c.TransactionId = id[:] }),
		NotFound, reasonCorrectsNothing)
	w.refused("a Key of the administrator for a member", with(w.wrote(w.tx(rootUID, set(w.key(rootUID, "a"), "v"))),
		func(*ltlv1.Correction) {}), Forbidden, reasonCorrectsForeign)
}

// TestCorrectionOfCorrection: corrections form a chain, the newest of a record counts, and a record of the same block is
// not there yet, so none corrects itself.
func TestCorrectionOfCorrection(t *testing.T) {
	w := newWorld(t)
	first := w.wrote(w.tx(m1UID, set(w.key(m1UID, "a"), "v")))
	if w.correction(first) != nil {
		t.Error("a record is declared wrong by nothing")
	}
	second := w.wrote(w.correct(m1UID, "c", first))
	third := w.wrote(w.correct(m1UID, "c", second))
	byAdmin := w.wrote(w.correct(rootUID, "c", first))
	for i, c := range []struct {
		of    *ltlv1.Correction
		by    *ltlv1.Correction
		times uint32
	}{{first, byAdmin, 2}, {second, third, 1}} {
		at := w.correction(c.of)
		by, err := Locate(w.state, w.chain.ID, TransactionKey(ledger.Hash(c.by.TransactionId)))
		if err != nil || at == nil || at.Extra != c.times || !samePlace(*at, *by) {
			t.Errorf("%d: %+v, want %+v, %d times, %v", i, at, by, c.times, err)
		}
	}
	if w.correction(third) != nil || !ByAdministrator(first, byAdmin.Key) || ByAdministrator(first, second.Key) {
		t.Error("the newest correction stands, and only the administrator's is said to be one")
	}
	wrong := w.tx(m1UID, set(w.key(m1UID, "b"), "v"))
	id := ledger.TransactionID(marshal(t, wrong))
	right := w.correct(m1UID, "d", &ltlv1.Correction{TransactionId: id[:], Key: w.key(m1UID, "b"), Reason: "x"})
	if r := w.apply(wrong, right); r[0].GetCode() != OK || r[1].GetCode() != NotFound {
		t.Errorf("in one block: %v", r)
	}
	twice := w.apply(w.correct(m1UID, "e", first), w.correct(m1UID, "e", first))
	if at := w.correction(first); twice[1].GetCode() != OK || at.Extra != 4 || at.Index != 1 {
		t.Errorf("twice in one block: %v, %+v", twice, at)
	}
}

// TestCorrectionProperty: whatever accounts correct in whatever blocks, what counts is the newest correction by the
// record's owner or the administrator, and only the key of that record's corrections changes beside what an AttachData
// writes.
func TestCorrectionProperty(t *testing.T) {
	base := newWorld(t)
	owners := []string{rootUID, m1UID, m2UID}
	records := map[string]*ltlv1.Correction{}
	for _, uid := range owners {
		records[uid] = base.wrote(base.tx(uid, set(base.key(uid, "r"), "v")))
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := base.copy()
		times := map[string]uint32{}
		for range rapid.IntRange(1, 6).Draw(rt, "blocks") {
			var txs []*ltlv1.Transaction
			var want []int32
			for range rapid.IntRange(1, 4).Draw(rt, "n") {
				by, of := rapid.SampledFrom(owners).Draw(rt, "by"), rapid.SampledFrom(owners).Draw(rt, "of")
				txs = append(txs, w.correct(by, "c", records[of]))
				code := Forbidden
				if by == of || by == rootUID {
					code = OK
					times[of]++
				}
				want = append(want, code)
			}
			for i, r := range w.apply(txs...) {
				if r.GetCode() != want[i] {
					rt.Fatalf("%d: %d, want %d", i, r.GetCode(), want[i])
				}
			}
		}
		for uid, c := range records {
			if at := w.correction(c); at == nil && times[uid] > 0 || at != nil && at.Extra != times[uid] {
				rt.Fatalf("the record of %s: %+v, want %d", uid, at, times[uid])
			}
		}
	})
}
