package rules

import (
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

func adopts(chain, uid string) *ltlv1.Transaction_AdoptChain {
	return &ltlv1.Transaction_AdoptChain{AdoptChain: &ltlv1.AdoptChain{ChainId: chain, AdministratorUid: uid}}
}

// TestAdoptChain: only a chain whose owner was removed is given to another administrator, by its organisations with the
// new administrator's, where the former owner counts and has no vote; it takes records again.
func TestAdoptChain(t *testing.T) {
	w, own := fourWorld(t)
	w.want("a chain that has its owner", w.operator(adopts(own.ID, freeUID)), Conflict)
	w.must(w.operator(removeOrg("o4")))
	record := w.txOn(own.ID, m1UID, member(m2UID))
	w.refused("a change before", record, Forbidden, reasonClosed)
	w.want("no account", w.operator(adopts(own.ID, ghostUID)), NotFound)
	w.want("no chain", w.operator(adopts("1234567890123456", freeUID)), NotFound)
	w.want("an account of the removed organisation", w.operator(adopts(own.ID, fourthUID)), Forbidden)
	w.refused("a member", w.operator(adopts(own.ID, m1UID)), Conflict, reasonOnChain)

	id := w.proposed("o1", adopts(own.ID, freeUID)) // of o2
	w.says(w.approval("o1", id), "open 1 of 3, asked: o2 o3")
	w.says(w.approval("o2", id), "open 2 of 3, asked: o3")
	p, err := GetProposed(w.state, [32]byte(id))
	if err != nil {
		t.Fatal(err)
	}
	words, err := Words(w.state, p)
	if err != nil || !strings.Contains(words, freeUID+" of organisation o2") || !strings.Contains(words, fourthUID) {
		t.Errorf("words %q, %v", words, err)
	}
	w.says(w.approval("o3", id), "executed")
	c, err := GetChain(w.state, own.ID)
	if err != nil || c.AdministratorUID != freeUID {
		t.Fatalf("%+v, %v", c, err)
	}
	by2 := w.txOn(own.ID, freeUID, member(m2UID))
	by2.Submitter = "o2/client/c"
	w.want("the new administrator", by2, OK)
	w.want("again", w.operator(adopts(own.ID, rootUID)), Conflict)
}

// TestAdoptEmptyChain: a chain on which no organisation is left cannot be taken by one that was never on it.
func TestAdoptEmptyChain(t *testing.T) {
	w, _ := fourWorld(t)
	c := proofChain()
	c.AdministratorUid, c.Organisations, c.Policy = fourthUID, []string{"o4"}, "any"
	alone := w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput()
	w.must(w.operator(removeOrg("o4")))
	w.refused("taken", w.operator(adopts(alone, freeUID)), Forbidden, reasonNoneOnChain)
}
