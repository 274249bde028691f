package rules

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// form says how a kind of transaction of the system chain comes about.
type form uint8

const (
	// byAct: one organisation's own affair. An operator of the owner submits it, and the owner's endorsement decides;
	// other organisations' signatures say that its form and its clock are right, and are no consent.
	byAct form = iota + 1
	// byProposal: it changes what several organisations share. It is proposed, and executed inside the Approve that
	// completes its ballot. Sent directly it is refused.
	byProposal
	// byActOrProposal: which of the two follows from what it changes.
	byActOrProposal
)

// need is what a transaction of the system chain needs in order to be executed.
type need struct {
	// owner is the organisation whose operator must submit it; empty where any operator of the network may.
	owner string
	// policy takes the place of the network's policy: whose endorsement it needs when it is sent directly.
	policy policy.Policy
	// ballot says whose votes it needs when it is proposed, which it must be; nil for an act.
	ballot *Ballot
	// signed is set where the action holds a signature of the submitter's organisation over what is done, which takes the
	// place of its endorsement: that organisation cannot endorse. In all other cases policy asks for its endorsement.
	signed bool
	// refusal is a sentence when the rules refuse it whatever is endorsed; empty otherwise.
	refusal string
}

// needOf returns what a transaction of the system chain needs, by the state with the changes of this block. Whatever that
// is, the submitter's organisation must have endorsed it: only its endorser knows that the submitter sent it. Without
// that a refusal would stand on the ledger in another one's name.
func (e *exec) needOf(k *kind, tx *ltlv1.Transaction) (need, error) {
	submitter := e.identity(tx.GetSubmitter()).organisation
	n, err := e.needOfKind(k, tx, submitter)
	if err == nil && !n.signed {
		n.policy = n.policy.Demanding(submitter)
	}
	return n, err
}

// needOfKind is needOf without what every transaction needs. Where it names something that does not exist, which its
// rules refuse, the submitter's organisation decides alone.
func (e *exec) needOfKind(k *kind, tx *ltlv1.Transaction, submitter string) (need, error) {
	if k.needs != nil {
		n, err := k.needs(e, tx, submitter)
		if n.ballot != nil {
			n.policy = policy.Organisation(submitter)
		}
		return n, err
	}
	owner := submitter
	if k.owner != nil {
		found, err := k.owner(e, tx)
		if err != nil {
			return need{}, err
		}
		if found == "" {
			return need{policy: policy.Organisation(submitter)}, nil
		}
		owner = found
	}
	return actOf(owner), nil
}

// actOf is the need of an organisation's own act.
func actOf(owner string) need { return need{owner: owner, policy: policy.Organisation(owner)} }

// networkNeed is the need of what the organisations of the network decide together.
func networkNeed(e *exec, _ *ltlv1.Transaction, _ string) (need, error) {
	n, p, err := e.networkPolicy()
	if err != nil {
		return need{}, err
	}
	return decided(n, &Ballot{Electorate: n.Organisations, Quorum: networkQuorum(p, len(n.Organisations))}), nil
}

// decided is the need of what the ballot decides. It is refused when one of those that must approve is not of the
// network any more, or there are too few.
func decided(n *Network, b *Ballot) need {
	out := need{ballot: b}
	for _, o := range b.Needed {
		if !slices.Contains(n.Organisations, o) {
			out.refusal = fmt.Sprintf(reasonNeededGone, o)
		}
	}
	return out
}

// networkPolicy returns the network and its policy.
func (e *exec) networkPolicy() (*Network, policy.Policy, error) {
	n, err := e.network()
	if err != nil {
		return nil, policy.Policy{}, err
	}
	p, err := policy.Parse(n.Policy)
	if err != nil {
		err = fmt.Errorf("%w: policy of the system chain: %w", ErrState, err)
	}
	return n, p, err
}

// network returns the network; an error where the system chain has no genesis.
func (e *exec) network() (*Network, error) {
	n, err := GetNetwork(e)
	if err == nil && n == nil {
		err = fmt.Errorf("%w: the system chain has no genesis", ErrInvariant)
	}
	return n, err
}

// organisation returns the id if an organisation has it, or had it before it was removed; else the empty string.
func (e *exec) organisation(id string) (string, error) {
	if !ledger.ValidID(id, MaxOrganisationID) {
		return "", nil
	}
	if known, err := e.exists(prefixOrganisation + id); !known || err != nil {
		return "", err
	}
	return id, nil
}

// othersNeed is the need of what takes something from organisation x against its will: a majority of the network's
// organisations, where x counts in their number and has no vote. So with two organisations neither can remove the
// other.
func (e *exec) othersNeed(x string) (need, error) {
	n, p, err := e.networkPolicy()
	if err != nil {
		return need{}, err
	}
	voters := slices.DeleteFunc(slices.Clone(n.Organisations), func(s string) bool { return s == x })
	q := networkQuorum(p, len(n.Organisations))
	out := decided(n, &Ballot{Electorate: voters, Quorum: q, Excluded: x})
	if q > len(voters) {
		out.refusal = fmt.Sprintf(reasonTooFewOthers, x, q, len(n.Organisations))
	}
	return out, nil
}

// networkQuorum is how many of n organisations decide for the network: what its policy says, but at least more than
// half, and at most all but one where that is more than half, so that one silent organisation stops nothing.
func networkQuorum(p policy.Policy, n int) int {
	least := n/2 + 1
	return min(max(p.Threshold(n), least), max(least, n-1))
}

// The owners of the kinds, as the rows of the table name them. An empty result means that the transaction names
// something that does not exist.

func ownerOfAccount(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.organisation(tx.GetCreateAccount().GetOrganisation())
}

func ownerOfOrganisation(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.organisation(tx.GetModifyOrganisation().GetId())
}

func ownerOfIdentity(_ *exec, tx *ltlv1.Transaction) (string, error) {
	id, _ := parseIdentity(tx.GetRevokeCertificate().GetIdentity())
	return id.organisation, nil
}

func ownerOfEnrolment(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.ownerOfDevice(tx.GetRevokeDevice().GetProductKey(), tx.GetRevokeDevice().GetIotId())
}

func ownerOfNode(e *exec, tx *ltlv1.Transaction) (string, error) {
	n, err := GetNode(e, tx.GetSetNodeAddress().GetId())
	if n == nil || err != nil {
		return "", err
	}
	return n.Organisation, nil
}

// ownerOfUID returns the organisation of an account; empty when there is no such account.
func (e *exec) ownerOfUID(uid string) (string, error) {
	if !ValidUID(uid) {
		return "", nil
	}
	a, err := GetAccount(e, uid)
	if a == nil || err != nil {
		return "", err
	}
	return a.Organisation, nil
}

// createChainNeeds: the administrator's organisation owns the chain, and every organisation named on it endorses.
func createChainNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	c := tx.GetCreateChain()
	owner, err := e.ownerOfUID(c.GetAdministratorUid())
	if err != nil {
		return need{}, err
	}
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	named := c.GetOrganisations()
	if len(named) == 0 {
		named = n.Organisations
	}
	out := actOf(owner)
	if owner == "" {
		out.policy = policy.Organisation(submitter)
	}
	all := present(n, named) // the rules refuse any other
	out.policy = out.policy.And(policy.Of(len(all), all...))
	return out, nil
}

// modifyChainNeeds: what only the owner of the chain is concerned with is its act. Its policy, how it is dated, its
// organisations, and an administrator of another organisation need a majority of the chain's organisations before the
// change too, and each organisation that is added or is to own the chain.
func modifyChainNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	m := tx.GetModifyChain()
	unknown := need{policy: policy.Organisation(submitter)}
	if !ledger.ValidChainID(m.GetChainId()) {
		return unknown, nil
	}
	c, err := GetChain(e, m.GetChainId())
	if c == nil || err != nil {
		return unknown, err
	}
	owner, err := e.ownerOfUID(c.AdministratorUID)
	if err != nil {
		return need{}, err
	}
	out := actOf(owner)
	var joining []string
	if after, err := e.ownerOfUID(m.GetAdministratorUid()); err != nil {
		return need{}, err
	} else if after != "" && after != owner {
		joining = append(joining, after)
	}
	for _, o := range m.GetOrganisations() {
		if o != owner && !slices.Contains(c.Organisations, o) && !slices.Contains(joining, o) {
			joining = append(joining, o)
		}
	}
	structural := len(joining) > 0 ||
		len(m.GetOrganisations()) > 0 && !slices.Equal(m.GetOrganisations(), c.Organisations) ||
		m.Policy != nil && canonicalPolicy(m.GetPolicy()) != c.Policy ||
		m.TimeStands != nil && m.GetTimeStands() != c.TimeStands
	if !structural {
		return out, nil
	}
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	b := &Ballot{Electorate: present(n, c.Organisations), Quorum: len(c.Organisations)/2 + 1,
		Needed: append([]string{owner}, present(n, joining)...)} // the rules refuse others that are to join
	if len(c.Organisations) == 0 { // the only one was removed from the network
		b.Quorum = 0
	}
	return decided(n, b), nil
}

// present returns those of the organisations named that are of the network.
func present(n *Network, named []string) []string {
	return slices.DeleteFunc(slices.Clone(n.Organisations), func(o string) bool { return !slices.Contains(named, o) })
}

// addNodeNeeds: a learner, and a node that replaces a voter of the same organisation, are the organisation's act. A
// further voter, also one that replaces a learner, changes who decides in consensus, so the network's policy is needed
// too.
func addNodeNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	a := tx.GetAddNode()
	owner, err := e.organisation(a.GetNode().GetOrganisation())
	if owner == "" || err != nil {
		return need{policy: policy.Organisation(submitter)}, err
	}
	out := actOf(owner)
	if a.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER {
		return out, nil
	}
	old, err := GetNode(e, a.GetReplaces())
	switch {
	case err != nil:
		return need{}, err
	case old != nil && old.Organisation != owner:
		out.refusal = fmt.Sprintf(reasonReplacesForeign, old.ID, old.Organisation)
		return out, nil
	case a.GetReplaces() != "" && (old == nil || old.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER):
		return out, nil // the rules refuse one that is not there any more
	}
	return e.ownerAndNetworkNeed(owner)
}

// ownerAndNetworkNeed is the need of what gives the owner more weight in the network: its own approval, and the
// network's.
func (e *exec) ownerAndNetworkNeed(owner string) (need, error) {
	n, p, err := e.networkPolicy()
	if err != nil {
		return need{}, err
	}
	return decided(n, &Ballot{Electorate: n.Organisations, Quorum: networkQuorum(p, len(n.Organisations)),
		Needed: []string{owner}}), nil
}

// changeNodeNeeds: demoting and removing a node is the act of its organisation, or the decision of the others. Making a
// learner a voter needs its organisation and the network's policy.
func changeNodeNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	c := tx.GetChangeNode()
	n, err := GetNode(e, c.GetId())
	if n == nil || err != nil {
		return need{policy: policy.Organisation(submitter)}, err
	}
	if c.GetMembership() != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER {
		if n.Organisation == submitter {
			return actOf(submitter), nil
		}
		return e.othersNeed(n.Organisation)
	}
	return e.ownerAndNetworkNeed(n.Organisation)
}

// modifyNetworkNeeds: as many as the present policy and the new one ask for.
func modifyNetworkNeeds(e *exec, tx *ltlv1.Transaction, _ string) (need, error) {
	n, p, err := e.networkPolicy()
	if err != nil {
		return need{}, err
	}
	q := networkQuorum(p, len(n.Organisations))
	if after, err := policy.Parse(tx.GetModifyNetwork().GetPolicy()); err == nil {
		q = max(q, networkQuorum(after, len(n.Organisations)))
	}
	return decided(n, &Ballot{Electorate: n.Organisations, Quorum: q}), nil
}

// removeOrganisationNeeds: the others decide.
func removeOrganisationNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	id, err := e.organisation(tx.GetRemoveOrganisation().GetId())
	if id == "" || err != nil {
		return need{policy: policy.Organisation(submitter)}, err
	}
	return e.othersNeed(id)
}

// entitled judges whether the submitter of a transaction of the system chain may submit it.
func (e *exec) entitled(k *kind, tx *ltlv1.Transaction, submitter string) (code int32, err error) {
	n, err := e.needOf(k, tx)
	switch {
	case err != nil:
		return 0, err
	case n.ballot != nil:
		return e.refuse(Forbidden, reasonProposal), nil
	case n.owner != "" && n.owner != submitter:
		return e.refuse(Forbidden, fmt.Sprintf(reasonOwner, n.owner)), nil
	case n.refusal != "":
		return e.refuse(Forbidden, n.refusal), nil
	}
	return OK, nil
}
