package rules

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

const fourthUID = "1000000000000044" // RAM of o4, member of w.chain

// fourWorld is a world with a fourth organisation, which has two voters and a learner, endorses on w.chain, and owns a
// chain of its own.
func fourWorld(t *testing.T) (w *world, own *Chain) {
	t.Helper()
	w = newWorld(t)
	w.majority()
	w.must(w.operator(&ltlv1.Transaction_CreateOrganisation{
		CreateOrganisation: offline.Invitation(w.id, offline.Organisation("o4")),
	}))
	w.accepts("o4")
	w.must(w.operator(account(fourthUID, "o4", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))
	w.must(w.tx(rootUID, member(fourthUID)))
	for i, standing := range []ltlv1.NodeMembership{voter, voter, learner} {
		n := newNode(fmt.Sprint("x", i))
		n.Organisation = "o4"
		w.must(w.operator(w.addNode(n, standing, "")))
	}
	w.must(w.operator(&ltlv1.Transaction_ModifyChain{ModifyChain: &ltlv1.ModifyChain{
		ChainId: w.chain.ID, Organisations: []string{"o1", "o4", "o2", "o3"}, Policy: proto.String("majority"),
	}}))
	c := proofChain()
	c.AdministratorUid, c.Policy = fourthUID, "majority"
	r := w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))
	w.must(w.byFourth(w.txOn(r[0].GetOutput(), fourthUID, member(m1UID))))
	own, err := GetChain(w.state, r[0].GetOutput())
	if err != nil || own == nil {
		t.Fatal(own, err)
	}
	return w, own
}

// byFourth makes a transaction one that a client of o4 submits.
func (w *world) byFourth(tx *ltlv1.Transaction) *ltlv1.Transaction {
	tx.Submitter = "o4/client/c"
	return tx
}

// txOn is a transaction on another chain than w.chain.
func (w *world) txOn(id, uid string, action any) *ltlv1.Transaction {
	tx := w.tx(uid, action)
	tx.ChainId = id
	return tx
}

// TestRemoveOrganisation: whatever an organisation has, the others remove it at once, with its nodes and its places on
// chains; its own chains can only be read, and no other account becomes their administrator. Afterwards nothing of it
// counts, and its id and key cannot be used again.
func TestRemoveOrganisation(t *testing.T) {
	w, own := fourWorld(t)
	record := w.txOn(own.ID, m1UID, nil)
	mine, err := GetMember(w.state, own, m1UID)
	if err != nil {
		t.Fatal(err)
	}
	key := KeyVersion + "_" + own.Code + "_" + mine.TypeCode + "_a"
	offline.SetAction(record, set(key, "v"))
	w.values.Commit(record)
	w.want("a record on its chain", record, OK)
	w.want("a write of its account", w.byFourth(w.tx(fourthUID, set(w.key(fourthUID, "a"), "v"))), OK)

	w.must(w.operator(removeOrg("o4")))
	if got, want := w.standings(), "n1=voter n2=voter n3=voter x0=removed x1=removed x2=removed"; got != want {
		t.Errorf("nodes: %s, want %s", got, want)
	}
	after, err := GetChain(w.state, w.chain.ID)
	if err != nil || !slices.Equal(after.Organisations, []string{"o1", "o2", "o3"}) {
		t.Errorf("w.chain: %+v, %v", after, err)
	}
	w.refused("a record on its chain", record, Forbidden, reasonClosed)
	if code, err := CanRead(w.state, own, m1UID, key); code != OK || err != nil {
		t.Error("its chain is read: ", code, err)
	}
	if c, err := GetChain(w.state, own.ID); err != nil || c.AdministratorUID != fourthUID {
		t.Errorf("its chain: %+v, %v", c, err)
	}
	w.refused("a write of its account", w.byFourth(w.tx(fourthUID, set(w.key(fourthUID, "a"), "v"))), NotEndorsed, reasonBarred)
	foreign := w.tx(m1UID, set(w.key(m1UID, "a"), "v"))
	foreign.Submitter = "o4/facade/f1"
	w.refused("a write through its facade", foreign, NotEndorsed, reasonBarred)
	w.want("its operator", by("o4", w.operator(account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM))), NotEndorsed)
	w.want("an account of it", w.operator(account("", "o4", ltlv1.AccountType_ACCOUNT_TYPE_RAM)), NotEndorsed)
	w.want("again", w.operator(removeOrg("o4")), NotFound)
	w.joinsAgain(t)
	if o, err := GetOrganisation(w.state, "o4"); o == nil || err != nil {
		t.Error("what it signed has no name any more: ", o, err)
	}
	if ids, err := ListRemoved(w.state); err != nil || len(ids) != 1 || ids[0] != "o4" {
		t.Error("removed: ", ids, err)
	}
	if f, err := GetOrganisationFacts(w.state, "o4"); err != nil || f.Standing != StandingRemoved {
		t.Errorf("facts: %+v, %v", f, err)
	}
	if _, code, err := MemberOf(w.state, w.chain, fourthUID); code != Forbidden || err != nil {
		t.Error("its account reads: ", code, err)
	}
}

// joinsAgain: neither the id nor the key of o4, which was removed, is taken again.
func (w *world) joinsAgain(t *testing.T) {
	t.Helper()
	create := func(id string) *ltlv1.Transaction {
		o := proto.CloneOf(offline.Organisation("o4"))
		o.Id = id
		c := offline.Invitation(w.id, o)
		c.AuthorityPossession = offline.Possession(w.id, id, "o4", o.CaCertificate)
		return w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: c})
	}
	w.refused("its id again", create("o4"), Conflict, reasonWasRemoved)
	w.refused("its key again", create("o5"), Conflict, reasonKeyUsed)
	n := newNode("y")
	n.Organisation = "o4"
	w.want("a node of it", w.operator(w.addNode(n, learner, "")), NotEndorsed)
	w.refused("a node of it by its own operator", by("o4", w.operator(w.addNode(n, learner, ""))), NotEndorsed, reasonBarred)
}

// TestRemovalEmptiesList: a chain that only the removed organisation endorsed takes nothing until its owner names
// others, which needs no majority of an empty list; one whose policy names the removed one likewise.
func TestRemovalEmptiesList(t *testing.T) {
	w, _ := fourWorld(t)
	c := proofChain()
	c.Organisations, c.Policy = []string{"o4"}, "any"
	alone := w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput()
	c = proofChain()
	c.Organisations, c.Policy = []string{"o1", "o4"}, "any & org(o4)"
	named := w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput()
	w.must(w.operator(removeOrg("o4")))
	for _, id := range []string{alone, named} {
		x := w.execute(id, w.batch(id, [][]byte{marshal(t, w.txOn(id, rootUID, member(m1UID)))}, "o1"))
		if got := x.Results[0][0].GetCode(); got != NotEndorsed {
			t.Errorf("chain %s: %d", id, got)
		}
		m := &ltlv1.ModifyChain{ChainId: id, Organisations: []string{"o1"}, Policy: proto.String("any")}
		w.must(w.operator(&ltlv1.Transaction_ModifyChain{ModifyChain: m}))
		x = w.execute(id, w.batch(id, [][]byte{marshal(t, w.txOn(id, rootUID, member(m1UID)))}, "o1"))
		if got := x.Results[0][0].GetCode(); got != OK {
			t.Errorf("chain %s after its owner changed it: %d", id, got)
		}
	}
}

// TestRemovalLeavesVoter: an organisation whose nodes are all voters there are stays until another one has a voter.
func TestRemovalLeavesVoter(t *testing.T) {
	w := newWorld(t)
	w.must(w.operator(changeNode("n2", learner)), w.operator(changeNode("n3", learner)))
	w.refused("all voters", w.operator(removeOrg("o1")), Forbidden, fmt.Sprintf(reasonAllVoters, "o1"))
	w.must(w.operator(changeNode("n2", voter)))
	w.want("another voter", w.operator(removeOrg("o1")), OK)
}
