package rules

import (
	"cmp"
	"fmt"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// removeOrganisation removes an organisation from the network, with its nodes and its places on the lists of chains.
// What belongs to it stays its own: its definition, because blocks name it, its accounts, and its chains, which can
// only be read from then on. Its id and key are never used again.
func (e *exec) removeOrganisation(act action) (int32, string, error) {
	id := act.tx.GetRemoveOrganisation().GetId()
	n, err := e.network()
	if err != nil {
		return 0, "", err
	}
	o, err := GetOrganisation(e, id)
	if o == nil || err != nil || !slices.Contains(n.Organisations, id) && !slices.Contains(n.Invited, id) {
		return NotFound, "", err
	}
	nodes, err := ListNodes(e)
	if err != nil {
		return 0, "", err
	}
	if !slices.ContainsFunc(nodes, func(d *Node) bool {
		return d.Organisation != id && d.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
	}) {
		return e.refuse(Forbidden, fmt.Sprintf(reasonAllVoters, id)), "", nil
	}
	for _, d := range nodes {
		if d.Organisation == id && d.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
			facts := d.facts()
			facts.Membership, facts.ChangedHeight = ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED, act.here.Height
			e.put(prefixNodeFacts+d.ID, facts.encode())
		}
	}
	if err := e.leaveChains(id); err != nil {
		return 0, "", err
	}
	return OK, "", e.endMembership(n, o, StandingRemoved, act.here)
}

// leaveNetwork ends the membership of the submitter's organisation by its own decision. What it would leave to others, a
// chain that goes on or a node that votes, it has to hand over or end first.
func (e *exec) leaveNetwork(act action) (int32, string, error) {
	id := act.submitter.organisation
	n, err := e.network()
	if err != nil {
		return 0, "", err
	}
	o, err := GetOrganisation(e, id)
	if err != nil {
		return 0, "", err
	}
	if o == nil || !slices.Contains(n.Organisations, id) {
		return NotFound, "", nil
	}
	if len(n.Organisations) == 1 {
		return e.refuse(Forbidden, reasonLastOrganisation), "", nil
	}
	nodes, err := ListNodes(e)
	if err != nil {
		return 0, "", err
	}
	if slices.ContainsFunc(nodes, func(d *Node) bool {
		return d.Organisation == id && d.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED
	}) {
		return e.refuse(Conflict, reasonHasNodes), "", nil
	}
	open, err := e.openChainOf(id)
	if err != nil {
		return 0, "", err
	}
	if open != "" {
		return e.refuse(Conflict, fmt.Sprintf(reasonOwnsChain, open)), "", nil
	}
	if err := e.leaveChains(id); err != nil {
		return 0, "", err
	}
	return OK, "", e.endMembership(n, o, StandingLeft, act.here)
}

// openChainOf returns the id of a chain that the organisation owns and whose term is not over; empty for none.
func (e *exec) openChainOf(id string) (open string, err error) {
	err = e.Scan(ledger.SystemChain, []byte(prefixChain), func(_, b []byte) error {
		c, err := parseChain(b)
		if err != nil || c.Expired(e.timeMs) {
			return err
		}
		owner, err := e.ownerOfUID(c.AdministratorUID)
		if owner == id {
			open = c.ID
		}
		return err
	})
	return open, err
}

// leaveChains takes an organisation off the lists of all chains. A chain whose policy the rest cannot satisfy, or whose
// list is empty, takes nothing until its owner changes that: a rule that dropped a term of the policy would weaken it
// without the owner's consent.
func (e *exec) leaveChains(id string) error {
	var named []*Chain
	err := e.Scan(ledger.SystemChain, []byte(prefixChain), func(_, b []byte) error {
		c, err := parseChain(b)
		if err == nil && slices.Contains(c.Organisations, id) {
			named = append(named, c)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(named, func(a, b *Chain) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range named {
		c.Organisations = slices.DeleteFunc(c.Organisations, func(s string) bool { return s == id })
		e.put(prefixChain+c.ID, c.encode())
	}
	return nil
}

// endMembership ends an organisation's membership: nothing that it signs counts from now on, and its operators, facades
// and accounts are refused.
func (e *exec) endMembership(n *Network, o *Organisation, standing Standing, here Locator) error {
	facts, err := GetOrganisationFacts(e, o.ID)
	if err != nil {
		return err
	}
	former := FormerKey{Organisation: o.ID, Key: o.EndorserKey, RetiredHeight: here.Height}
	e.put(formerKeyKey(ledger.KeyID(o.EndorserKey)), former.encode())
	e.put(revokedKey(o.ID), here.Append(nil))
	facts.Standing, facts.LapsesMs = standing, 0
	e.putOrganisationFacts(o.ID, facts)
	isIt := func(s string) bool { return s == o.ID }
	n.Organisations, n.Invited = slices.DeleteFunc(n.Organisations, isIt), slices.DeleteFunc(n.Invited, isIt)
	e.put(keyNetwork, n.encode())
	return nil
}

// ChainClosed reports whether a chain can only be read because the organisation that owns it is not of the network any
// more.
func ChainClosed(v View, c *Chain) (bool, error) {
	a, err := GetAccount(v, c.AdministratorUID)
	if a == nil || err != nil {
		return false, err
	}
	return Removed(v, a.Organisation)
}
