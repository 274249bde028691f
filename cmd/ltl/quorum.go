package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	ltlv1 "ltl/proto/ltl/v1"
)

const flagForce = "force"

// addForce adds the option with which a change is made although too few voters would be left.
func addForce(cmd *cobra.Command) {
	cmd.Flags().Bool(flagForce, false, "do it although too few of the voters that are left answer, or the nodes report no such restoration")
}

// voters are the nodes that vote, as the ledger says.
func (p *participants) voters() []*ltlv1.Node {
	var all []*ltlv1.Node
	for i, n := range p.nodes {
		if len(p.memberships) == 0 || i < len(p.memberships) &&
			p.memberships[i] == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER {
			all = append(all, n)
		}
	}
	return all
}

// keepsQuorum refuses to take voters away when fewer than a majority of those that are left answer: nothing could be
// ordered any more, not even what would repair it. leaves says which nodes go. The ledger cannot know which nodes run.
func (s *session) keepsQuorum(leaves func(*ltlv1.Node) bool) error {
	if force, _ := s.cmd.Flags().GetBool(flagForce); force {
		return nil
	}
	p := s.participants(s.cmd.Context())
	answers := map[string]bool{}
	for _, a := range s.askAll(s.cmd.Context()) {
		answers[a.peer] = a.err == nil
	}
	left, live, before := 0, 0, len(p.voters())
	var silent []string
	for _, n := range p.voters() {
		switch {
		case leaves(n):
			continue
		case answers[n.GetId()]:
			live++
		default:
			silent = append(silent, n.GetId())
		}
		left++
	}
	if left == before || left == 0 || live > left/2 { // no voter goes, or the ledger refuses it
		return nil
	}
	return fmt.Errorf("this would leave %d voters of which %d answer, fewer than a majority, and the network would stop; "+
		"start or replace %s first, or give --%s", left, live, strings.Join(silent, ", "), flagForce)
}

// approvalKeepsQuorum is keepsQuorum for a proposal: voters that answered when it was made may have failed since.
func (s *session) approvalKeepsQuorum(p *ltlv1.Propose) error {
	if o := p.GetRemoveOrganisation(); o != nil {
		return s.keepsQuorum(func(n *ltlv1.Node) bool { return n.GetOrganisation() == o.GetId() })
	}
	if c := p.GetChangeNode(); c != nil && c.GetMembership() != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER {
		return s.keepsQuorum(func(n *ltlv1.Node) bool { return n.GetId() == c.GetId() })
	}
	return nil
}

// voterNote prints when one organisation holds half of the voters.
func voterNote(w io.Writer, p participants) {
	count, all := map[string]int{}, p.voters()
	for _, n := range all {
		count[n.GetOrganisation()]++
	}
	if len(p.organisations) < 2 {
		return
	}
	for _, o := range p.organisations {
		if held := count[o.GetId()]; held > 0 && 2*held >= len(all) {
			fmt.Fprintf(w, "\n%s holds %d of %d voters: it can stop the ordering, also of its own removal; give other "+
				"organisations more voters.\n", o.GetId(), held, len(all))
		}
	}
}
