package rules

import (
	"cmp"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// foreignActs are transactions that change something of o1's.
func foreignActs(w *world) map[string]any {
	uid := freeUID // of o2
	learner := node("l1", "o1")
	return map[string]any{
		"an account":         account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM),
		"its name":           modified(&ltlv1.ModifyOrganisation{Id: "o1", Name: proto.String("x")}),
		"its key":            w.rotation("o1", "new", true),
		"an authority":       modified(w.enters(&ltlv1.ModifyOrganisation{Id: "o1"}, "new", 1)),
		"a revocation":       &ltlv1.Transaction_RevokeCertificate{RevokeCertificate: &ltlv1.RevokeCertificate{Identity: "o1/facade/f1"}},
		"a chain":            &ltlv1.Transaction_CreateChain{CreateChain: proofChain()},
		"a chain's name":     changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Name: proto.String("another")}),
		"a chain's owner":    changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, AdministratorUid: &uid}),
		"a chain's policy":   changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Policy: proto.String("any")}),
		"its organisations":  changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Organisations: []string{"o1", "o2"}}),
		"a learner":          w.addNode(learner, ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER, ""),
		"a replacement":      w.addNode(learner, ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, "n1"),
		"a voter":            w.addNode(learner, ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, ""),
		"a device's removal": &ltlv1.Transaction_RevokeDevice{RevokeDevice: &ltlv1.RevokeDevice{ProductKey: "product1", IotId: "d1"}},
	}
}

func modified(m *ltlv1.ModifyOrganisation) any {
	return &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}
}

func changed(m *ltlv1.ModifyChain) any { return &ltlv1.Transaction_ModifyChain{ModifyChain: m} }

func node(id, organisation string) *ltlv1.Node {
	n := &ltlv1.Node{Id: id, Organisation: organisation, Address: "h:1", Key: offline.PublicKey("node " + id),
		StoreId: make([]byte, StoreIDLen)}
	copy(n.StoreId, id)
	return n
}

// ownedWorld is a world where o1 has a node, a device and a chain.
func ownedWorld(t testing.TB) *world {
	w := newWorld(t)
	w.must(w.operator(&ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{ProductKey: "product1", IotId: "d1",
		KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES}}))
	return w
}

// TestOwnersActs: what is o1's is changed neither by o2's operator, whatever is endorsed, nor without o1's own
// endorsement, even by an operator of its own. The refusal says whose it is.
func TestOwnersActs(t *testing.T) {
	w := ownedWorld(t)
	for what, action := range foreignActs(w) {
		if needed, err := NeedsProposal(w.state, w.plain("o1", action)); needed || err != nil {
			for _, org := range []string{"o1", "o2"} {
				w.refused(what+" directly by "+org, w.plain(org, action), Forbidden, reasonProposal)
			}
			id := w.proposed("o2", action)
			w.says(w.approval("o3", id), "open 1 of 2, asked: o1 o2")
			w.says(w.approval("o2", id), "open 2 of 2, asked: o1")
			w.says(w.rejection("o1", id), "rejected")
			continue
		}
		tx := w.operator(action)
		if tx.GetSubmitter() != "o1/operator/olga" {
			t.Errorf("%s: its owner is not o1: %s", what, tx.GetSubmitter())
		}
		w.want(what+" by o1", tx, OK)
		if got := w.endorsedBy(tx, "o2", "o3"); got != NotEndorsed {
			t.Errorf("%s without o1's endorsement: %d", what, got)
		}
		w.refused(what+" by o2", by("o2", w.operator(action)), Forbidden, fmt.Sprintf(reasonOwner, "o1"))
	}
}

// endorsedBy is the code of a transaction of the system chain that these organisations endorsed.
func (w *world) endorsedBy(tx *ltlv1.Transaction, orgs ...string) int32 {
	b := w.batch(ledger.SystemChain, [][]byte{marshal(w.t, tx)}, orgs...)
	return w.execute(ledger.SystemChain, b).Results[0][0].GetCode()
}

// TestNeeds: for each row, whether it is proposed, and the smallest sets of endorsements or approvals that are enough.
func TestNeeds(t *testing.T) {
	w := ownedWorld(t)
	add := func(id string, membership ltlv1.NodeMembership, replaces string) any {
		return w.addNode(node(id, "o1"), membership, replaces)
	}
	const learner, voter, removed = ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER,
		ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
	free := freeUID
	w.must(w.operator(add("n8", learner, "")), w.operator(add("n9", voter, "")))
	four := offline.Organisation("o4")
	w.must(w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: offline.Invitation(w.id, four)}))
	w.accepts("o4")
	c := proofChain()
	c.Organisations = []string{"o2"}
	chain := w.chain.ID
	for _, row := range []struct {
		what     string
		by       string // the submitter's organisation; the owner where empty
		action   any
		enough   []string // the smallest sets
		proposed bool
	}{
		{"learner", "", add("n7", learner, ""), []string{"o1"}, false},
		{"replacement of the own node", "", add("n7", voter, "n1"), []string{"o1"}, false},
		{"voter in the place of the own learner", "", add("n7", voter, "n8"), []string{"o1 o2 o3", "o1 o2 o4", "o1 o3 o4"}, true},
		{"removal of the own node", "o1", changeNode("n1", removed), []string{"o1"}, false},
		{"promotion", "", changeNode("n8", voter), []string{"o1 o2 o3", "o1 o2 o4", "o1 o3 o4"}, true},
		{"voter", "", add("n7", voter, ""), []string{"o1 o2 o3", "o1 o2 o4", "o1 o3 o4"}, true},
		{"removal of another's node", "o2", changeNode("n1", removed), []string{"o2 o3 o4"}, true},
		{"demotion of another's node", "o3", changeNode("n1", learner), []string{"o2 o3 o4"}, true},
		{"removal of o4", "o1", removeOrg("o4"), []string{"o1 o2 o3"}, true},
		{"chain", "", &ltlv1.Transaction_CreateChain{CreateChain: c}, []string{"o1 o2"}, false},
		{"chain's name", "", changed(&ltlv1.ModifyChain{ChainId: chain, Name: proto.String("another")}), []string{"o1"}, false},
		{"the policy that it has", "", changed(&ltlv1.ModifyChain{ChainId: chain, Policy: proto.String("submitter&majority")}),
			[]string{"o1"}, false},
		{"administrator of the same organisation", "",
			changed(&ltlv1.ModifyChain{ChainId: chain, AdministratorUid: proto.String("1000000000000099")}), []string{"o1"}, false},
		{"administrator of another organisation", "",
			changed(&ltlv1.ModifyChain{ChainId: chain, AdministratorUid: &free}), []string{"o1 o2"}, true},
		{"policy", "", changed(&ltlv1.ModifyChain{ChainId: chain, Policy: proto.String("any")}), []string{"o1 o2", "o1 o3"}, true},
		{"fewer organisations", "", changed(&ltlv1.ModifyChain{ChainId: chain, Organisations: []string{"o1", "o2"}}),
			[]string{"o1 o2", "o1 o3"}, true},
		{"one more organisation", "",
			changed(&ltlv1.ModifyChain{ChainId: chain, Organisations: []string{"o1", "o2", "o3", "o4"}}),
			[]string{"o1 o2 o4", "o1 o3 o4"}, true},
	} {
		tx := w.plain(cmp.Or(row.by, "o1"), row.action)
		in := w.input(ledger.SystemChain)
		n, err := newExec(&in, w.state, 1).needOf(kindOf(tx), tx)
		if err != nil {
			t.Fatal(err)
		}
		all := []string{"o1", "o2", "o3", "o4"}
		q := n.policy.Act(all)
		enough := func(set policy.Set) bool { return q.Satisfied(policy.Subject{}, set) }
		if n.ballot != nil {
			enough = func(set policy.Set) bool {
				var votes []Vote
				for i, o := range all {
					votes = append(votes, Vote{Organisation: o, Approve: set.Has(i)})
				}
				return n.ballot.Complete(votes)
			}
		}
		if (n.ballot != nil) != row.proposed {
			t.Errorf("%s: its ballot is %+v", row.what, n.ballot)
		}
		var smallest []string
		for set := range policy.Set(16) {
			minimal := enough(set)
			text := ""
			for i, o := range all {
				if set.Has(i) {
					minimal = minimal && !enough(set.Without(i))
					text += " " + o
				}
			}
			if minimal {
				smallest = append(smallest, text[1:])
			}
		}
		slices.Sort(smallest)
		if !slices.Equal(smallest, row.enough) {
			t.Errorf("%s: enough is %q, want %q", row.what, smallest, row.enough)
		}
	}
}

// TestTwoOrganisations: neither of two can remove the other or its node, whatever is endorsed.
func TestTwoOrganisations(t *testing.T) {
	w := ownedWorld(t)
	n, err := GetNetwork(w.state)
	if err != nil {
		t.Fatal(err)
	}
	n.Organisations = []string{"o1", "o2"}
	w.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(keyNetwork), Value: n.encode()}})
	for what, action := range map[string]any{
		"an organisation": removeOrg("o1"),
		"a node":          changeNode("n1", ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED),
	} {
		w.refused(what, w.proposal("o2", action), Forbidden, fmt.Sprintf(reasonTooFewOthers, "o1", 2, 2))
		w.refused(what+" directly", w.plain("o2", action), Forbidden, reasonProposal)
	}
}

// TestReplacesOwnOnly: a node of one organisation does not replace another's.
func TestReplacesOwnOnly(t *testing.T) {
	w := ownedWorld(t)
	tx := w.operator(w.addNode(node("n7", "o2"), ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, "n1"))
	w.refused("another's node", tx, Forbidden, fmt.Sprintf(reasonReplacesForeign, "n1", "o1"))
}

// TestNetworkQuorum compares the number of organisations that decide with the table of the design.
func TestNetworkQuorum(t *testing.T) {
	for text, want := range map[string][]int{ // for 1, 2, … organisations
		"any": {1, 2, 2, 3, 3, 4}, "majority": {1, 2, 2, 3, 3, 4}, "submitter & majority": {1, 2, 2, 3, 3, 4},
		"all": {1, 2, 2, 3, 4, 5}, "4-of": {1, 2, 2, 3, 4, 4},
	} {
		p, err := policy.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		for i, q := range want {
			if got := networkQuorum(p, i+1); got != q {
				t.Errorf("%s of %d: %d, want %d", text, i+1, got, q)
			}
		}
	}
}

// TestKindsHaveForms: every kind of the system chain says how it comes about, and no other does.
func TestKindsHaveForms(t *testing.T) {
	for _, k := range kindTable {
		if (k.form != 0) != (k.chain == onSystem) {
			t.Errorf("%s has the form %d", k.name, k.form)
		}
		if k.owner != nil && k.needs != nil || k.form != byAct && k.chain == onSystem && k.needs == nil {
			t.Errorf("%s: its owner and its needs contradict its form", k.name)
		}
	}
}
