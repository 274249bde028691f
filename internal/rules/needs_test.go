package rules

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

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
		"an authority":       modified(&ltlv1.ModifyOrganisation{Id: "o1", AddAuthority: []byte("ca")}),
		"a revocation":       &ltlv1.Transaction_RevokeCertificate{RevokeCertificate: &ltlv1.RevokeCertificate{Identity: "o1/facade/f1"}},
		"a chain":            &ltlv1.Transaction_CreateChain{CreateChain: proofChain()},
		"a chain's name":     changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Name: proto.String("another")}),
		"a chain's owner":    changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, AdministratorUid: &uid}),
		"a chain's policy":   changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Policy: proto.String("any")}),
		"its organisations":  changed(&ltlv1.ModifyChain{ChainId: w.chain.ID, Organisations: []string{"o1", "o2"}}),
		"a learner":          &ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: learner, Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER}},
		"a replacement":      &ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: learner, Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, Replaces: "n1"}},
		"a voter":            &ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: learner, Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER}},
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

// TestNeeds: for each row, the smallest sets of endorsements that are enough.
func TestNeeds(t *testing.T) {
	w := ownedWorld(t)
	add := func(id string, membership ltlv1.NodeMembership, replaces string) any {
		return &ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: node(id, "o1"), Membership: membership, Replaces: replaces}}
	}
	const learner, voter, removed = ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER,
		ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
	free := freeUID
	w.must(w.operator(add("n8", learner, "")), w.operator(add("n9", voter, "")))
	four := offline.Organisation("o4")
	w.must(w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: &ltlv1.CreateOrganisation{Organisation: four}}))
	w.keys["o4"] = offline.Key("o4")
	c := proofChain()
	c.Organisations = []string{"o2"}
	chain := w.chain.ID
	for _, row := range []struct {
		what   string
		by     string // the submitter's organisation; the owner where empty
		action any
		enough []string // the smallest sets
	}{
		{"learner", "", add("n7", learner, ""), []string{"o1"}},
		{"replacement of the own node", "", add("n7", voter, "n1"), []string{"o1"}},
		{"removal of the own node", "o1", changeNode("n1", removed), []string{"o1"}},
		{"promotion", "", changeNode("n8", voter), []string{"o1 o2 o3", "o1 o2 o4", "o1 o3 o4"}},
		{"voter", "", add("n7", voter, ""), []string{"o1 o2 o3", "o1 o2 o4", "o1 o3 o4"}},
		{"removal of another's node", "o2", changeNode("n1", removed), []string{"o2 o3 o4"}},
		{"demotion of another's node", "o3", changeNode("n1", learner), []string{"o2 o3 o4"}},
		{"removal of o4", "o1", removeOrg("o4"), []string{"o1 o2 o3"}},
		{"chain", "", &ltlv1.Transaction_CreateChain{CreateChain: c}, []string{"o1 o2"}},
		{"chain's name", "", changed(&ltlv1.ModifyChain{ChainId: chain, Name: proto.String("another")}), []string{"o1"}},
		{"the policy that it has", "", changed(&ltlv1.ModifyChain{ChainId: chain, Policy: proto.String("submitter&majority")}),
			[]string{"o1"}},
		{"administrator of the same organisation", "",
			changed(&ltlv1.ModifyChain{ChainId: chain, AdministratorUid: proto.String("1000000000000099")}), []string{"o1"}},
		{"administrator of another organisation", "",
			changed(&ltlv1.ModifyChain{ChainId: chain, AdministratorUid: &free}), []string{"o1 o2"}},
		{"policy", "", changed(&ltlv1.ModifyChain{ChainId: chain, Policy: proto.String("any")}), []string{"o1 o2", "o1 o3"}},
		{"fewer organisations", "", changed(&ltlv1.ModifyChain{ChainId: chain, Organisations: []string{"o1", "o2"}}),
			[]string{"o1 o2", "o1 o3"}},
		{"one more organisation", "",
			changed(&ltlv1.ModifyChain{ChainId: chain, Organisations: []string{"o1", "o2", "o3", "o4"}}),
			[]string{"o1 o2 o4", "o1 o3 o4"}},
	} {
		tx := w.operator(row.action)
		if row.by != "" {
			tx = by(row.by, tx)
		}
		in := w.input(ledger.SystemChain)
		n, err := newExec(&in, w.state, 1).needOf(tx)
		if err != nil {
			t.Fatal(err)
		}
		all := []string{"o1", "o2", "o3", "o4"}
		q := n.policy.Quorum(all)
		submitter := policy.Subject{Submitter: q.Set(tx.GetSubmitter()[:2])}
		var smallest []string
		for set := range policy.Set(16) {
			minimal := q.Satisfied(submitter, set)
			text := ""
			for i, o := range all {
				if set.Has(i) {
					minimal = minimal && !q.Satisfied(submitter, set.Without(i))
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
		tx := by("o2", w.operator(action))
		v, err := Preview(w.input(ledger.SystemChain), [][]byte{marshal(t, tx)}, w.state)
		if err != nil || v[0].Code != Forbidden || v[0].Reason != fmt.Sprintf(reasonTooFewOthers, "o1", 2, 2) {
			t.Errorf("%s: %+v, %v", what, v, err)
		}
		if got := w.endorsedBy(tx, "o1", "o2"); got != NotEndorsed {
			t.Errorf("%s: %d, want %d", what, got, NotEndorsed)
		}
	}
}

// TestReplacesOwnOnly: a node of one organisation does not replace another's.
func TestReplacesOwnOnly(t *testing.T) {
	w := ownedWorld(t)
	tx := w.operator(&ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{
		Node: node("n7", "o2"), Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, Replaces: "n1",
	}})
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

// TestOnlyOwnState draws acts against o1's property that o2 alone makes and endorses on the system chain: none of them
// writes anything. It draws from a list of acts; a walk over all keys of the state is still to be written.
func TestOnlyOwnState(t *testing.T) {
	w := ownedWorld(t)
	acts := foreignActs(w)
	names := make([]string, 0, len(acts))
	for name := range acts {
		names = append(names, name)
	}
	slices.Sort(names)
	rapid.Check(t, func(rt *rapid.T) {
		tx := w.operator(acts[rapid.SampledFrom(names).Draw(rt, "act")])
		tx.Submitter = rapid.SampledFrom([]string{"o2/operator/x", "o1/operator/olga", "o2/facade/f"}).Draw(rt, "submitter")
		b := w.batch(ledger.SystemChain, [][]byte{marshal(t, tx)}, "o2")
		for _, write := range w.execute(ledger.SystemChain, b).Writes {
			rt.Fatalf("o2 alone writes %q", write.Key)
		}
	})
}
