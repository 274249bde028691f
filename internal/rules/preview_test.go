package rules

import (
	"maps"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// growing is a copy of the ledger that gets its next blocks while it is read: the first reads see the old state, the
// others the new.
type growing struct {
	old, grown memory
	left       int
}

func (g *growing) Get(chainID string, key []byte) ([]byte, error) {
	if g.left--; g.left >= 0 {
		return g.old.Get(chainID, key)
	}
	return g.grown.Get(chainID, key)
}

// TestPreviewOfAGrowingCopy: an endorser previews over a copy that grows meanwhile. Whatever of it each transaction
// sees, it gets a verdict: a panic or an error would refuse the other callers' transactions in the batch too.
func TestPreviewOfAGrowingCopy(t *testing.T) {
	d := eccDevice(t, iotID)
	w, group := deviceWorld(t, d)
	w.must(w.signed(m1UID, "first", "v", d.proof(t, "v")))
	devices, err := ListDevices(w.state, w.chain.ID, group)
	if err != nil || len(devices) != 1 {
		t.Fatal(devices, err)
	}
	w.claim("o1", "pk2")
	id, key := w.member(m1UID).ID, w.key(m1UID, "k")
	var batch [][]byte
	for _, tx := range []*ltlv1.Transaction{
		w.tx(freeUID, set(key, "of whom the entry becomes")), w.tx(m1UID, set(key, "of whom it was")), w.tx(rootUID,
			lock(id, true)),
		w.tx(rootUID, lock(id, false)), w.tx(rootUID, w.modify(id, m1UID)), w.tx(rootUID,
			w.modify(id, freeUID)), w.tx(rootUID, member(freeUID)),
		w.tx(m1UID, register("pk2")), w.tx(rootUID, authorizeGroup(group, true)), w.tx(rootUID,
			authorizeDevice(group, devices[0].ID, false)),
		w.signed(m1UID, "second", "v", d.proof(t, "v")),
	} {
		batch = append(batch, marshal(t, tx))
	}
	in, old := w.input(w.chain.ID), memory{}
	for chain, state := range w.state {
		old[chain] = maps.Clone(state)
	}
	w.must(w.tx(rootUID, w.modify(id, freeUID)), w.tx(rootUID, authorizeGroup(group, false)))
	w.must(w.operator(revoke(d.productKey, d.id)))
	for left := 0; ; left++ {
		view := &growing{old, w.state, left}
		verdicts, err := Preview(in, startMs, batch, view)
		if err != nil || len(verdicts) != len(batch) {
			t.Fatalf("after %d reads: %v, %v", left, verdicts, err)
		}
		if view.left >= 0 {
			return // all was read before the copy grew
		}
	}
}
