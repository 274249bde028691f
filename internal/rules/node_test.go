package rules

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	ltlv1 "ltl/proto/ltl/v1"
)

const (
	voter   = ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
	learner = ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER
	removed = ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
)

// newNode is a node that could join; the same id gives the same keys.
func newNode(id string) *ltlv1.Node {
	key, disk := sha256.Sum256([]byte("key of "+id)), sha256.Sum256([]byte("disk of "+id))
	return &ltlv1.Node{Id: id, Organisation: "o1", Address: id + ":7000", Key: key[:], StoreId: disk[:StoreIDLen]}
}

func addNode(n *ltlv1.Node, standing ltlv1.NodeMembership, replaces string) *ltlv1.Transaction_AddNode {
	return &ltlv1.Transaction_AddNode{AddNode: &ltlv1.AddNode{Node: n, Membership: standing, Replaces: replaces}}
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
		return w.operator(addNode(n, learner, ""))
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
	w.want("as removed", w.operator(addNode(newNode("x"), removed, "")), OutOfRange)
	w.want("as nothing", w.operator(addNode(newNode("x"), 0, "")), OutOfRange)
	w.want("a learner in a voter's place", w.operator(addNode(newNode("x"), learner, genesis[0].ID)), OutOfRange)
	w.want("in the place of an unknown node", w.operator(addNode(newNode("x"), voter, "unknown")), NotFound)
}

// TestNodesLife: what was removed never comes back, under no id, key or disk of its own.
func TestNodesLife(t *testing.T) {
	w := bare(t)
	first, err := ListNodes(w.state)
	if err != nil {
		t.Fatal(err)
	}
	w.must(w.operator(addNode(newNode("a"), learner, "")))
	w.must(w.operator(changeNode("a", voter)), w.operator(changeNode("a", voter)))
	w.must(w.operator(addNode(newNode("b"), voter, first[0].ID)))
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
	w.want("replacing a removed node", w.operator(addNode(newNode("c"), voter, first[0].ID)), NotFound)
	same := func(change func(n, old *ltlv1.Node)) *ltlv1.Transaction {
		n, old := newNode("d"), newNode("a")
		change(n, old)
		return w.operator(addNode(n, learner, ""))
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
	w.must(w.operator(addNode(newNode("e"), voter, "b")))
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
		for i := range rapid.IntRange(1, 12).Draw(rt, "changes") {
			id := rapid.SampledFrom(append(slices.Clone(order), fmt.Sprintf("n%d", i))).Draw(rt, "id")
			standing := rapid.SampledFrom([]ltlv1.NodeMembership{voter, learner, removed}).Draw(rt, "standing")
			known, exists := model[id]
			if rapid.Bool().Draw(rt, "add") && standing != removed {
				code := w.apply(w.operator(addNode(newNode(id), standing, "")))[0].GetCode()
				if want := map[bool]int32{true: Conflict, false: OK}[exists]; code != want {
					rt.Fatalf("add %s: %d, want %d", id, code, want)
				}
				if !exists {
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
			if code := w.apply(w.operator(changeNode(id, standing)))[0].GetCode(); code != int32(want) {
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
