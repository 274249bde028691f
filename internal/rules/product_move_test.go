package rules

import (
	"fmt"
	"strings"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func moveProduct(productKey, to, former string) *ltlv1.Transaction_MoveProduct {
	return &ltlv1.Transaction_MoveProduct{MoveProduct: &ltlv1.MoveProduct{ProductKey: productKey, Organisation: to,
		Former: former}}
}

// TestMoveProductToOwner: a product that o2 claimed before its owner o1 did is given to o1 by the others, in which o2
// counts and has no vote; what o2 does meanwhile stops nothing. It is assigned to no chain then, and what its devices
// signed for the former one counts on no other.
func TestMoveProductToOwner(t *testing.T) {
	w := newWorld(t)
	d := eccDevice(t, iotID)
	w.enrollFor("o2", d)
	before := w.product(productKey)
	id := w.proposed("o3", moveProduct(productKey, "o1", "o2"))
	words := proposedWords(t, w, id)
	if want := "product " + productKey + " with its devices is of organisation o1 instead of organisation o2, and is " +
		"assigned to chain " + w.chain.ID + " no more"; words != want {
		t.Errorf("words %q, want %q", words, want)
	}
	w.refused("its own vote", w.approval("o2", id), Forbidden, fmt.Sprintf(reasonNoVote, "o2"))
	w.refused("its veto", w.rejection("o2", id), Forbidden, fmt.Sprintf(reasonNoVote, "o2"))
	w.says(w.approval("o3", id), "open 1 of 2, asked: o1")
	w.must(w.by("o2", assignProduct(productKey, "")), w.by("o2", assignProduct(productKey, w.chain.ID)))
	late := w.product(productKey).FromMs
	w.says(w.approval("o1", id), "executed")
	if p := w.product(productKey); p.Organisation != "o1" || p.ChainID != "" || p.FromMs != late || late <= before.FromMs {
		t.Errorf("%+v", p)
	}

	w.refused("the former one assigns it", w.by("o2", assignProduct(productKey, w.chain.ID)), Forbidden,
		fmt.Sprintf(reasonOwner, "o1"))
	w.now += 2 * MaxDeviceAheadMs
	w.must(w.by("o1", assignProduct(productKey, w.chain.ID)))
	if got := w.product(productKey).FromMs; got != w.now+MaxDeviceAheadMs+1 {
		t.Errorf("texts count from %d, want %d", got, w.now+MaxDeviceAheadMs+1)
	}
}

// TestDevicesOfMovedProduct: the devices that the former organisation enrolled are of who got the product, which ends
// their keys and enrols them again; the former one has no say in them.
func TestDevicesOfMovedProduct(t *testing.T) {
	w := newWorld(t)
	d, again := eccDevice(t, iotID), eccDevice(t, iotID)
	w.enrollFor("o2", d)
	w.must(w.operator(moveProduct(productKey, "o1", "o2")))
	end := &ltlv1.Transaction_DeclareDeviceKey{DeclareDeviceKey: &ltlv1.DeclareDeviceKey{ProductKey: productKey,
		IotId: iotID, End: ltlv1.DeviceKeyEnd_DEVICE_KEY_END_COMPROMISED}}
	w.refused("the former one ends its key", w.by("o2", end), Forbidden, fmt.Sprintf(reasonOwner, "o1"))
	w.must(w.by("o1", end))
	w.refused("the former one enrols it", w.by("o2", enroll(again.enrolment())), Forbidden, fmt.Sprintf(reasonOwner, "o1"))
	w.must(w.by("o1", enroll(again.enrolment())))
	v, err := GetEnrolment(w.state, productKey, iotID)
	if err != nil || v.Organisation != "o1" || string(v.Newest().Public) != string(again.public) {
		t.Errorf("%+v, %v", v, err)
	}
}

// TestMoveProductRefusals: it is an act of no other than who has the product, and needs who gets it.
func TestMoveProductRefusals(t *testing.T) {
	w := newWorld(t)
	w.must(w.by("o2", claimProduct("p", w.chain.ID)))
	for _, o := range organisations() {
		direct := w.by(o, claimProduct("p", ""))
		for _, former := range []string{"o2", o} {
			direct.Action = moveProduct("p", o, former)
			w.refused("sent directly by "+o, direct, Forbidden, reasonProposal)
		}
	}
	for what, c := range map[string]struct {
		action any
		want   int32
		reason string
	}{
		"no product":       {moveProduct("q", "o1", "o2"), NotFound, reasonProductUnclaimed},
		"an odd product":   {moveProduct("p/q", "o1", "o2"), OutOfRange, ""},
		"no organisation":  {moveProduct("p", "", "o2"), OutOfRange, ""},
		"another's":        {moveProduct("p", "o1", "o3"), Conflict, fmt.Sprintf(reasonProductFormer, "o2")},
		"to who has it":    {moveProduct("p", "o2", "o2"), Conflict, reasonProductSame},
		"to none there is": {moveProduct("p", "o9", "o2"), Forbidden, fmt.Sprintf(reasonNeededGone, "o9")},
		"without a former": {moveProduct("p", "o1", ""), OutOfRange, ""},
	} {
		w.refused(what, w.proposal("o1", c.action), c.want, c.reason)
	}

	unasked := w.proposed("o1", moveProduct("p", "o3", "o2"))
	w.says(w.approval("o1", unasked), "open 1 of 2, asked: o3")
	w.says(w.rejection("o3", unasked), "rejected")

	first, second := w.proposed("o1", moveProduct("p", "o1", "o2")), w.proposed("o3", moveProduct("p", "o3", "o2"))
	w.says(w.approval("o1", first), "open 1 of 2, asked: o3")
	w.says(w.approval("o3", first), "executed")
	w.says(w.approval("o3", second), "open 1 of 2, asked: o2")
	w.says(w.approval("o2", second), fmt.Sprint("failed ", Conflict)) // it is o1's now, which was not said
	if p := w.product("p"); p.Organisation != "o1" {
		t.Errorf("%+v", p)
	}
}

// TestGiveProduct: who has a product gives it to another organisation without a proposal, also where there are two; with
// its own endorsement and that of who gets it, to an organisation of the network.
func TestGiveProduct(t *testing.T) {
	w := newWorld(t)
	w.must(w.by("o2", claimProduct("p", w.chain.ID)), w.operator(removeOrg("o3")))
	give := func(by, to, former string) *ltlv1.Transaction {
		tx := w.by(by, claimProduct("p", ""))
		tx.Action = moveProduct("p", to, former)
		return tx
	}
	w.refused("by who gets it", give("o1", "o1", "o2"), Forbidden, reasonProposal)
	w.refused("to one that was removed", give("o2", "o3", "o2"), Forbidden, fmt.Sprintf(reasonNeededGone, "o3"))
	w.refused("to none there is", give("o2", "o9", "o2"), Forbidden, fmt.Sprintf(reasonNeededGone, "o9"))
	w.refused("proposed", w.proposal("o2", moveProduct("p", "o1", "o2")), Forbidden, fmt.Sprintf(reasonAct, "o2"))
	for _, signer := range []string{"o1", "o2"} {
		x := w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{marshal(t, give("o2", "o1", "o2"))}, signer))
		if got := x.Results[0][0].GetCode(); got != NotEndorsed {
			t.Errorf("endorsed by %s alone: %d", signer, got)
		}
	}
	w.must(give("o2", "o1", "o2"))
	if p := w.product("p"); p.Organisation != "o1" || p.ChainID != "" {
		t.Errorf("%+v", p)
	}
	w.refused("again", give("o2", "o1", "o2"), Forbidden, reasonProposal)
	w.must(give("o1", "o2", "o1"))
}

// TestMoveProductOfTwo: of two organisations neither takes a product from the other; that of a removed one is moved.
func TestMoveProductOfTwo(t *testing.T) {
	w := newWorld(t)
	w.must(w.by("o2", claimProduct("p", "")), w.by("o3", claimProduct("q", "")), w.operator(removeOrg("o3")))
	w.refused("o1 alone", w.proposal("o1", moveProduct("p", "o1", "o2")), Forbidden,
		fmt.Sprintf(reasonTooFewOthers, "o2", 2, 2))
	id := w.proposed("o1", moveProduct("q", "o1", "o3"))
	w.says(w.approval("o1", id), "open 1 of 2, asked: o2")
	w.says(w.approval("o2", id), "executed")
	if p := w.product("q"); p.Organisation != "o1" {
		t.Errorf("%+v", p)
	}
}

func proposedWords(t *testing.T, w *world, id []byte) string {
	t.Helper()
	p, err := GetProposed(w.state, [32]byte(id))
	if err != nil {
		t.Fatal(err)
	}
	words, err := Words(w.state, p)
	if err != nil || strings.Contains(words, "%!") {
		t.Fatal(words, err)
	}
	return words
}
