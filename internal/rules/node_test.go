package rules

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

const (
	voter   = ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
	learner = ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER
	removed = ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
)

// newNode is a node that could join; the same id gives the same keys.
func newNode(id string) *ltlv1.Node {
	disk := sha256.Sum256([]byte("disk of " + id))
	return &ltlv1.Node{Id: id, Organisation: "o1", Address: id + ":7000", Key: offline.PublicKey("node " + id),
		StoreId: disk[:StoreIDLen]}
}

// addNode adds a node, whose key of the name "node "+id signs that it is to join this world's network.
func (w *world) addNode(n *ltlv1.Node, standing ltlv1.NodeMembership, replaces string) *ltlv1.Transaction_AddNode {
	signature := possession("node "+n.GetId(), w.id, n)
	return &ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: n, Membership: standing, Replaces: replaces,
		Possession: signature}}
}

// possession is the signature that an AddNode of n has, by the key of this name.
func possession(name string, network ledger.Hash, n *ltlv1.Node) []byte {
	return ledger.SignNewNode(offline.Key(name), network, &ledger.NewNode{Organisation: n.GetOrganisation(), ID: n.GetId(),
		Key: n.GetKey(), StoreID: n.GetStoreId()})
}

func changeNode(id string, standing ltlv1.NodeMembership) *ltlv1.Transaction_ChangeNode {
	return &ltlv1.Transaction_ChangeNode{ChangeNode: &ltlv1.ChangeNode{Id: id, Membership: standing}}
}

// standings tells all nodes that ever were, in the order in which they joined.
func (w *world) standings() string {
	all, err := ListNodes(w.state)
	if err != nil {
		w.t.Fatal(err)
	}
	var s []string
	for _, n := range all {
		s = append(s, n.ID+"="+strings.ToLower(strings.TrimPrefix(n.Membership.String(), "NODE_MEMBERSHIP_")))
	}
	return strings.Join(s, " ")
}

func TestAddNode(t *testing.T) {
	w := bare(t)
	genesis, err := ListNodes(w.state)
	if err != nil || len(genesis) == 0 {
		t.Fatal(genesis, err)
	}
	add := func(change func(*ltlv1.Node)) *ltlv1.Transaction {
		n := newNode("extra")
		change(n)
		return w.operator(w.addNode(n, learner, ""))
	}
	for _, c := range []struct {
		what   string
		change func(*ltlv1.Node)
		want   int32
	}{
		{"good", func(*ltlv1.Node) {}, OK},
		{"id known", func(n *ltlv1.Node) { n.Id = genesis[0].ID }, Conflict},
		{"key known", func(n *ltlv1.Node) { n.Key = genesis[0].Key }, Conflict},
		{"organisation unknown", func(n *ltlv1.Node) { n.Organisation = "o9" }, NotFound},
		{"no id", func(n *ltlv1.Node) { n.Id = "" }, OutOfRange},
		{"id of 33", func(n *ltlv1.Node) { n.Id = strings.Repeat("a", 33) }, OutOfRange},
		{"no port", func(n *ltlv1.Node) { n.Address = "host" }, OutOfRange},
		{"key of 31", func(n *ltlv1.Node) { n.Key = n.Key[1:] }, OutOfRange},
		{"no incarnation", func(n *ltlv1.Node) { n.StoreId = nil }, OutOfRange},
		{"incarnation of 17", func(n *ltlv1.Node) { n.StoreId = append(n.StoreId, 0) }, OutOfRange},
	} {
		w.want(c.what, add(c.change), c.want)
	}
	w.want("no node", w.operator(&ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Membership: learner}}), OutOfRange)
	w.want("as removed", w.operator(w.addNode(newNode("x"), removed, "")), OutOfRange)
	w.want("as nothing", w.operator(w.addNode(newNode("x"), 0, "")), OutOfRange)
	w.want("a learner in a voter's place", w.operator(w.addNode(newNode("x"), learner, genesis[0].ID)), OutOfRange)
	w.want("in the place of an unknown node", w.operator(w.addNode(newNode("x"), voter, "unknown")), NotFound)
}

// TestNodeNeedsPossession: another organisation that reads a node in an open proposal cannot enter its key, with no
// signature that it has seen and with none of its own; and its store id, under another key, stops nothing.
func TestNodeNeedsPossession(t *testing.T) {
	w := newWorld(t)
	seen := newNode("a")
	proposed := w.addNode(seen, voter, "")
	id := w.proposed("o1", proposed)
	theirs := func(change func(*ltlv1.Node)) *ltlv1.Node {
		n := newNode("a")
		n.Organisation = "o2"
		change(n)
		return n
	}
	entered := func(n *ltlv1.Node, signature []byte) *ltlv1.Transaction {
		return by("o2", w.operator(&ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: n, Membership: learner,
			Possession: signature}}))
	}
	same, otherID := theirs(func(*ltlv1.Node) {}), theirs(func(n *ltlv1.Node) { n.Id = "b" })
	otherStore := theirs(func(n *ltlv1.Node) { n.StoreId = newNode("b").StoreId })
	for what, tx := range map[string]*ltlv1.Transaction{
		"the signature that it saw":        entered(same, proposed.AddNode.GetPossession()),
		"the same under another id":        entered(otherID, proposed.AddNode.GetPossession()),
		"with another store id":            entered(otherStore, proposed.AddNode.GetPossession()),
		"a signature by a key of its own":  entered(same, possession("o2", w.id, same)),
		"the key's, for another network":   entered(same, possession("node a", ledger.Hash{}, same)),
		"the key's, for another id":        entered(same, possession("node a", w.id, otherID)),
		"the key's, for another store id":  entered(same, possession("node a", w.id, otherStore)),
		"the key's, for the owner's entry": entered(same, possession("node a", w.id, seen)),
	} {
		w.refused(what, tx, Forbidden, reasonNodePossession)
	}
	w.want("without a signature", entered(same, nil), OutOfRange)
	w.want("half a signature", entered(same, proposed.AddNode.GetPossession()[:32]), OutOfRange)
	copied := theirs(func(n *ltlv1.Node) { n.Id, n.Key = "copied", offline.PublicKey("node copied") })
	w.must(by("o2", w.operator(w.addNode(copied, learner, ""))))
	w.says(w.approval("o1", id), "open 1 of 2, asked: o2 o3")
	w.says(w.approval("o3", id), "executed")
}

// TestNodesLife: what was removed never comes back, under no id, key or disk of its own.
func TestNodesLife(t *testing.T) {
	w := bare(t)
	first, err := ListNodes(w.state)
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.operator(w.addNode(newNode("a"), learner, "")))
	w.must(w.operator(changeNode("a", voter)))
	w.must(w.operator(changeNode("a", voter)))
	w.must(w.operator(w.addNode(newNode("b"), voter, first[0].ID)))
	replacedNode, err := GetNode(w.state, first[0].ID)
	if err != nil || replacedNode.Membership != removed || replacedNode.ReplacedBy != "b" {
		t.Fatalf("the replaced node is %+v, %v", replacedNode, err)
	}
	b, err := GetNode(w.state, "b")
	if err != nil || b.Membership != voter || b.Replaces != first[0].ID || b.ChangedHeight == 0 ||
		string(b.StoreID) != string(newNode("b").StoreId) {
		t.Fatalf("the new node is %+v, %v", b, err)
	}
	for what, action := range map[string]any{
		"promoting":      changeNode(first[0].ID, voter),
		"removing again": changeNode(first[0].ID, removed),
	} {
		w.want(what+" of a removed node", w.operator(action), NotFound)
	}
	w.want("replacing a removed node", w.operator(w.addNode(newNode("c"), voter, first[0].ID)), NotFound)
	same := func(change func(n, old *ltlv1.Node)) *ltlv1.Transaction {
		n, old := newNode("d"), newNode("a")
		change(n, old)
		return w.operator(w.addNode(n, learner, ""))
	}
	w.must(w.operator(changeNode("a", removed)))
	w.refused("the id of one that was removed", same(func(n, old *ltlv1.Node) { n.Id = old.Id }), Conflict,
		reasonNodeKnown)
	w.refused("its key", same(func(n, old *ltlv1.Node) { n.Key = old.Key }), Conflict, reasonNodeKnown)
	w.refused("its disk", same(func(n, old *ltlv1.Node) { n.StoreId = old.StoreId }), Conflict, reasonNodeKnown)
	for _, n := range first[1:] {
		w.must(w.operator(changeNode(n.ID, removed)))
	}
	w.refused("removing the last voter", w.operator(changeNode("b", removed)), Forbidden, reasonLastVoter)
	w.refused("demoting it", w.operator(changeNode("b", learner)), Forbidden, reasonLastVoter)
	w.must(w.operator(w.addNode(newNode("e"), voter, "b")))
	if got := w.standings(); !strings.HasSuffix(got, "a=removed b=removed e=voter") {
		t.Error(got)
	}
}

// TestNodesModel draws changes and holds the state against a map.
func TestNodesModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := bare(t)
		model, order := map[string]ltlv1.NodeMembership{}, []string{}
		all, err := ListNodes(w.state)
		if err != nil {
			rt.Fatal(err)
		}
		for _, n := range all {
			model[n.ID] = voter
			order = append(order, n.ID)
		}
		voters := func(but string) (n int) {
			for id, s := range model {
				if s == voter && id != but {
					n++
				}
			}
			return n
		}
		// ofFirst counts the nodes of the organisation that has the new ones: those and the first of the genesis.
		ofFirst := func() (n int) {
			for id, s := range model {
				if s != removed && id != all[1].ID && id != all[2].ID {
					n++
				}
			}
			return n
		}
		for i := range rapid.IntRange(1, 12).Draw(rt, "changes") {
			id := rapid.SampledFrom(append(slices.Clone(order), fmt.Sprintf("n%d", i))).Draw(rt, "id")
			standing := rapid.SampledFrom([]ltlv1.NodeMembership{voter, learner, removed}).Draw(rt, "standing")
			known, exists := model[id]
			if rapid.Bool().Draw(rt, "add") && standing != removed {
				code := w.settled(w.operator(w.addNode(newNode(id), standing, "")))
				want := OK
				switch {
				case exists:
					want = Conflict
				case ofFirst() >= MaxNodesOf:
					want = QuotaExceeded
				}
				if code != want {
					rt.Fatalf("add %s: %d, want %d", id, code, want)
				}
				if code == OK {
					model[id], order = standing, append(order, id)
				}
				continue
			}
			want := OK
			switch {
			case !exists || known == removed:
				want = NotFound
			case standing != voter && voters(id) == 0:
				want = Forbidden
			default:
				model[id] = standing
			}
			if code := w.settled(w.operator(changeNode(id, standing))); code != int32(want) {
				rt.Fatalf("change %s to %v: %d, want %d", id, standing, code, want)
			}
		}
		if voters("") == 0 {
			rt.Fatal("a network without voters")
		}
		var s []string
		for _, id := range order {
			s = append(s, id+"="+strings.ToLower(strings.TrimPrefix(model[id].String(), "NODE_MEMBERSHIP_")))
		}
		if want := strings.Join(s, " "); w.standings() != want {
			rt.Fatalf("nodes are %s, want %s", w.standings(), want)
		}
	})
}

func TestSetNodeAddress(t *testing.T) {
	w := bare(t)
	move := func(id, address string) *ltlv1.Transaction {
		return w.operator(&ltlv1.Transaction_SetNodeAddress{SetNodeAddress: &ltlv1.SetNodeAddress{Id: id, Address: address}})
	}
	before, err := GetNode(w.state, "n1")
	if err != nil {
		t.Fatal(err)
	}
	w.want("no port", move("n1", "host"), OutOfRange)
	w.want("no node", move("n9", "host:1"), NotFound)
	w.refused("another's", by("o2", move("n1", "host:1")), Forbidden, fmt.Sprintf(reasonOwner, "o1"))
	w.must(move("n1", "elsewhere:7000"))
	after, err := GetNode(w.state, "n1")
	if err != nil {
		t.Fatal(err)
	}
	before.Address = "elsewhere:7000"
	if fmt.Sprintf("%+v", after) != fmt.Sprintf("%+v", before) {
		t.Errorf("%+v, want %+v", after, before)
	}
	w.must(w.operator(changeNode("n1", removed)))
	w.want("removed", move("n1", "host:1"), NotFound)
}

// TestNodesOfOne: an organisation has at most MaxNodesOf nodes, replaces one of them also then, and does not use up the
// others' ids by doing so for ever.
func TestNodesOfOne(t *testing.T) {
	w := bare(t)
	for i := range MaxNodesOf - 1 { // with that of the genesis
		w.must(w.operator(w.addNode(newNode(fmt.Sprint("a", i)), learner, "")))
	}
	w.refused("one more", w.operator(w.addNode(newNode("b"), learner, "")), QuotaExceeded, fmt.Sprintf(reasonNodesOf, MaxNodesOf))
	last := "n1"
	for i := range MaxNodesEver - MaxNodesOf {
		next := fmt.Sprint("c", i)
		w.must(w.operator(w.addNode(newNode(next), voter, last)))
		last = next
	}
	w.refused("one more in the place of another", w.operator(w.addNode(newNode("d"), voter, last)), QuotaExceeded,
		fmt.Sprintf(reasonNodesEver, MaxNodesEver))
	other := newNode("e")
	other.Organisation = "o2"
	w.want("another organisation's", w.operator(w.addNode(other, learner, "")), OK)
}
