package node

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestConfigurationFollowsLedger: from any configuration, one step after the other leads to what the ledger says,
// each step changes one server, Raft always has a voter, and a node that is being replaced votes until its
// replacement does.
func TestConfigurationFollowsLedger(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		nodes := drawNodes(rt)
		now := []raft.Server{}
		for _, n := range nodes {
			switch rapid.IntRange(0, 2).Draw(rt, "in raft") {
			case 1:
				now = append(now, raft.Server{ID: raft.ServerID(n.ID), Suffrage: raft.Nonvoter})
			case 2:
				now = append(now, raft.Server{ID: raft.ServerID(n.ID), Suffrage: raft.Voter})
			}
		}
		if votersOf(now) == 0 {
			return // no network has this
		}
		slow := map[raft.ServerID]int{}
		ready := func(id raft.ServerID) bool {
			slow[id]++
			return slow[id] > 2
		}
		idle := 0
		for range 10 * len(nodes) {
			next := nextChange(nodes, now, ready)
			if next.id == "" {
				idle++
				continue
			}
			before := votersOf(now)
			now = applied(now, next)
			if after := votersOf(now); after == 0 || after < before-1 || after > before+1 {
				rt.Fatalf("%v makes %d voters out of %d", next, after, before)
			}
			checkReplacements(rt, nodes, now, next)
		}
		for _, n := range nodes {
			at := slices.IndexFunc(now, func(s raft.Server) bool { return s.ID == raft.ServerID(n.ID) })
			got := ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
			if at >= 0 && now[at].Suffrage == raft.Voter {
				got = ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
			} else if at >= 0 {
				got = ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER
			}
			if got != n.Membership {
				rt.Fatalf("node %s ended as %v, the ledger has %v; configuration %v", n.ID, got, n.Membership, now)
			}
		}
	})
}

// drawNodes draws what a ledger may say: at least one voter, replacements that were added after the replaced one.
func drawNodes(rt *rapid.T) []*rules.Node {
	var nodes []*rules.Node
	for i := range rapid.IntRange(1, 7).Draw(rt, "nodes") {
		n := &rules.Node{ID: fmt.Sprintf("n%d", i),
			Membership: ltlv1.NodeMembership(rapid.IntRange(1, 3).Draw(rt, "membership"))}
		var free []int
		for j, old := range nodes {
			if old.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED && old.ReplacedBy == "" {
				free = append(free, j)
			}
		}
		if len(free) > 0 && rapid.Bool().Draw(rt, "replaces") {
			old := nodes[rapid.SampledFrom(free).Draw(rt, "replaced")]
			old.ReplacedBy, n.Replaces = n.ID, old.ID
		}
		nodes = append(nodes, n)
	}
	voter := func(n *rules.Node) bool { return n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER }
	if !slices.ContainsFunc(nodes, voter) {
		nodes = append(nodes, &rules.Node{ID: "last", Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER})
	}
	return nodes
}

func votersOf(servers []raft.Server) (n int) {
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			n++
		}
	}
	return n
}

// applied is a configuration after a step, as Raft makes it.
func applied(servers []raft.Server, s configurationChange) []raft.Server {
	servers = slices.Clone(servers)
	at := slices.IndexFunc(servers, func(o raft.Server) bool { return o.ID == s.id })
	switch s.kind {
	case raft.AddNonvoter:
		return append(servers, raft.Server{ID: s.id, Suffrage: raft.Nonvoter})
	case raft.AddVoter:
		servers[at].Suffrage = raft.Voter
	case raft.DemoteVoter:
		servers[at].Suffrage = raft.Nonvoter
	case raft.RemoveServer:
		servers = slices.Delete(servers, at, at+1)
	}
	return servers
}

// checkReplacements: no node leaves before its replacement votes, if the replacement is to vote.
func checkReplacements(rt *rapid.T, nodes []*rules.Node, now []raft.Server, s configurationChange) {
	at := slices.IndexFunc(nodes, func(n *rules.Node) bool { return n.ID == string(s.id) })
	if s.kind != raft.RemoveServer || nodes[at].ReplacedBy == "" {
		return
	}
	by := slices.IndexFunc(nodes, func(n *rules.Node) bool { return n.ID == nodes[at].ReplacedBy })
	votes := slices.ContainsFunc(now,
		func(o raft.Server) bool { return string(o.ID) == nodes[by].ID && o.Suffrage == raft.Voter })
	if nodes[by].Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER && !votes {
		rt.Fatalf("%s leaves before %s votes", s.id, nodes[by].ID)
	}
}
