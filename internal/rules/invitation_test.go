package rules

import (
	"fmt"
	"slices"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// acceptance accepts an organisation's present invitation, by the endorser key of that name.
func (w *world) acceptance(id, key string) *ltlv1.Transaction {
	f, err := GetOrganisationFacts(w.state, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.operator(&ltlv1.Transaction_AcceptMembership{AcceptMembership: &ltlv1.AcceptMembership{
		Id: id, Signature: ledger.SignAcceptance(offline.Key(key), w.id, id, f.LapsesMs),
	}})
}

// accepts has invited organisations accept.
func (w *world) accepts(ids ...string) {
	w.t.Helper()
	for _, id := range ids {
		w.must(w.acceptance(id, id))
		w.keys[id] = offline.Key(id)
	}
}

// TestInvited: an organisation that was invited has no vote, no endorsement of it counts, it is not counted in the number,
// and it can do nothing but accept; ten of them that never answer stop nothing.
func TestInvited(t *testing.T) {
	w := newWorld(t)
	for i := range 10 {
		w.must(w.operator(w.joins(fmt.Sprint("dead", i))))
	}
	w.must(w.operator(w.joins("o4")))
	w.keys["o4"] = offline.Key("o4")
	for what, tx := range map[string]*ltlv1.Transaction{
		"an account":          by("o4", w.operator(account("", "o4", ltlv1.AccountType_ACCOUNT_TYPE_RAM))),
		"leaving":             by("o4", w.operator(&ltlv1.Transaction_LeaveNetwork{LeaveNetwork: &ltlv1.LeaveNetwork{}})),
		"a proposal":          w.proposal("o4", w.joins("o5")),
		"another's recovery":  by("o4", w.operator(recovers(w.recovery("r", "new", 1)))),
		"a vote on a removal": w.approval("o4", w.proposed("o2", removeOrg("o3"))),
	} {
		v, err := Preview(w.input(ledger.SystemChain), w.now, [][]byte{marshal(t, tx)}, w.state)
		if err != nil || v[0].Code != Forbidden || v[0].Reason != fmt.Sprintf(reasonInvited, "o4") {
			t.Errorf("%s: %+v, %v", what, v, err)
		}
	}
	p := marshal(t, w.operator(account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))
	x := w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{p}, "o4", "o1"))
	if got := x.Results[0][0].GetCode(); got != NotEndorsed {
		t.Errorf("endorsed by an organisation that has not accepted: %d", got)
	}
	c := proofChain()
	c.Organisations = []string{"o1", "o4"}
	w.want("on a chain", w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}), NotFound)
	n := newNode("y")
	n.Organisation = "o4"
	w.want("a node of it", w.operator(w.addNode(n, learner, "")), NotEndorsed)
	id := w.proposed("o1", removeOrg("o3"))
	w.says(w.approval("o1", id), "open 1 of 2, asked: o2") // two of three, not seven of fourteen
	w.says(w.approval("o2", id), "executed")
}

// TestAcceptMembership: only the invited organisation's own operator with its endorser key accepts, this invitation and no
// other, in this network, once, and while it lasts.
func TestAcceptMembership(t *testing.T) {
	w := newWorld(t)
	w.want("not invited", w.operator(&ltlv1.Transaction_AcceptMembership{AcceptMembership: &ltlv1.AcceptMembership{
		Id: "o4", Signature: make([]byte, 64),
	}}), NotFound)
	w.must(w.operator(w.joins("o4")))
	w.refused("by another's operator", by("o2", w.acceptance("o4", "o4")), Forbidden, fmt.Sprintf(reasonOwner, "o4"))
	w.refused("by another key", w.acceptance("o4", "o2"), NotEndorsed, reasonAcceptance)
	for what, signature := range map[string][]byte{
		"another network":    ledger.SignAcceptance(offline.Key("o4"), ledger.Hash{}, "o4", w.now+InvitationMs),
		"another invitation": ledger.SignAcceptance(offline.Key("o4"), w.id, "o4", w.now+InvitationMs+1),
	} {
		tx := w.acceptance("o4", "o4")
		tx.GetAcceptMembership().Signature = signature
		w.refused(what, tx, NotEndorsed, reasonAcceptance)
	}
	w.now += InvitationMs
	w.refused("too late", w.acceptance("o4", "o4"), NotEndorsed, reasonLapsed)
	w.must(w.operator(w.joins("o4"))) // an invitation that lapsed is no hindrance
	w.now += InvitationMs - 1
	w.accepts("o4")
	n := mustNetwork(t, w)
	if !slices.Equal(n.Organisations, []string{"o1", "o2", "o3", "o4"}) || len(n.Invited) != 0 {
		t.Errorf("the network: %+v", n)
	}
	w.refused("again", w.acceptance("o4", "o4"), Conflict, reasonNotInvited)
	w.refused("a member of a removed organisation", w.operator(&ltlv1.Transaction_AcceptMembership{
		AcceptMembership: &ltlv1.AcceptMembership{Id: "o1", Signature: make([]byte, 64)},
	}), Conflict, reasonNotInvited)
}

// TestInvitationIsWithdrawn: the network takes an invitation back by a removal, and it cannot be accepted afterwards.
func TestInvitationIsWithdrawn(t *testing.T) {
	w := newWorld(t)
	w.must(w.operator(w.joins("o4")))
	late := w.acceptance("o4", "o4")
	w.must(w.operator(removeOrg("o4")))
	if n := mustNetwork(t, w); len(n.Invited) != 0 || len(n.Organisations) != 3 {
		t.Errorf("the network: %+v", n)
	}
	w.refused("afterwards", late, NotEndorsed, reasonBarred)
}

// TestLeaveNetwork: an organisation leaves by its own decision once it has no node and owns no chain that goes on; the
// last one stays.
func TestLeaveNetwork(t *testing.T) {
	w := newWorld(t)
	w.must(w.operator(w.joins("o4")))
	w.accepts("o4")
	leave := func(org string) *ltlv1.Transaction {
		return by(org, w.operator(&ltlv1.Transaction_LeaveNetwork{LeaveNetwork: &ltlv1.LeaveNetwork{}}))
	}
	w.refused("with a node", leave("o1"), Conflict, reasonHasNodes)
	w.must(w.operator(changeNode("n1", removed)))
	w.refused("with a chain", leave("o1"), Conflict, fmt.Sprintf(reasonOwnsChain, w.chain.ID))
	w.must(leave("o4"))
	if f, err := GetOrganisationFacts(w.state, "o4"); err != nil || f.Standing != StandingLeft {
		t.Errorf("facts: %+v, %v", f, err)
	}
	w.refused("again", leave("o4"), NotEndorsed, reasonBarred)
	w.now = w.chain.ExpiredMs
	w.want("with a chain whose term is over", leave("o1"), OK)
	n := mustNetwork(t, w)
	n.Organisations = []string{"o1"}
	w.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(keyNetwork), Value: n.encode()}})
	w.refused("the last one", leave("o1"), Forbidden, reasonLastOrganisation)
}
