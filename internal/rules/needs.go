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
	// byMany: it changes what several organisations share. It needs the policy of the network, or more; see needs.go.
	byMany
	// byActOrMany: which of the two follows from what it changes.
	byActOrMany
)

// need is what a transaction of the system chain needs in order to be executed.
type need struct {
	// owner is the organisation whose operator must submit it; empty where any operator of the network may.
	owner string
	// policy takes the place of the network's policy.
	policy policy.Policy
	// refusal is a sentence when the rules refuse it whatever is endorsed; empty otherwise.
	refusal string
}

// needOf returns what a transaction of the system chain needs, by the state with the changes of this block. Where it
// names something that does not exist, which its rules refuse, its submitter's organisation must have endorsed it.
func (e *exec) needOf(tx *ltlv1.Transaction) (need, error) {
	k := kindOf(tx)
	submitter := e.identity(tx.GetSubmitter()).organisation
	if k.needs != nil {
		return k.needs(e, tx, submitter)
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

// networkNeed is the need of what the policy of the network decides.
func networkNeed(e *exec, _ *ltlv1.Transaction, _ string) (need, error) {
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	p, err := policy.Parse(n.Policy)
	return need{policy: p}, err
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
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	p, err := policy.Parse(n.Policy)
	if err != nil {
		return need{}, fmt.Errorf("%w: policy of the system chain: %w", ErrState, err)
	}
	voters := slices.DeleteFunc(slices.Clone(n.Organisations), func(s string) bool { return s == x })
	q := networkQuorum(p, len(n.Organisations))
	out := need{policy: policy.Of(q, voters...)}
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
	d := tx.GetRevokeDevice()
	known, err := GetEnrolment(e, d.GetProductKey(), d.GetIotId())
	if known == nil || err != nil {
		return "", err
	}
	return known.Organisation, nil
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
	out.policy = out.policy.And(allOf(n, named))
	return out, nil
}

// modifyChainNeeds: what only the owner of the chain is concerned with is its act. Its policy, its organisations, and
// an administrator of another organisation need a majority of the chain's organisations before the change too, and
// each organisation that is added or is to own the chain.
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
		if !slices.Contains(c.Organisations, o) && !slices.Contains(joining, o) {
			joining = append(joining, o)
		}
	}
	structural := len(joining) > 0 ||
		len(m.GetOrganisations()) > 0 && !slices.Equal(m.GetOrganisations(), c.Organisations) ||
		m.Policy != nil && canonicalPolicy(m.GetPolicy()) != c.Policy
	if !structural {
		return out, nil
	}
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	out.policy = out.policy.And(policy.Of(len(c.Organisations)/2+1, c.Organisations...))
	if len(joining) > 0 {
		out.policy = out.policy.And(allOf(n, joining))
	}
	return out, nil
}

// allOf is the policy that needs every organisation named that is of the network; the rules refuse any other.
func allOf(n *Network, named []string) policy.Policy {
	present := slices.DeleteFunc(slices.Clone(n.Organisations), func(o string) bool { return !slices.Contains(named, o) })
	return policy.Of(len(present), present...)
}

// addNodeNeeds: a learner, and a node that replaces one of the same organisation, are the organisation's act. A further
// voter changes who decides in consensus, so the network's policy is needed too.
func addNodeNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	a := tx.GetAddNode()
	owner, err := e.organisation(a.GetNode().GetOrganisation())
	if owner == "" || err != nil {
		return need{policy: policy.Organisation(submitter)}, err
	}
	out := actOf(owner)
	if a.GetReplaces() != "" {
		old, err := GetNode(e, a.GetReplaces())
		if err != nil {
			return need{}, err
		}
		if old != nil && old.Organisation != owner {
			out.refusal = fmt.Sprintf(reasonReplacesForeign, old.ID, old.Organisation)
		}
		return out, nil
	}
	if a.GetMembership() == ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER {
		return out, nil
	}
	more, err := networkNeed(e, tx, submitter)
	out.policy = out.policy.And(more.policy)
	return out, err
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
	out := actOf(n.Organisation)
	more, err := networkNeed(e, tx, submitter)
	out.policy = out.policy.And(more.policy)
	return out, err
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
func (e *exec) entitled(tx *ltlv1.Transaction, submitter string) (code int32, err error) {
	n, err := e.needOf(tx)
	switch {
	case err != nil:
		return 0, err
	case n.owner != "" && n.owner != submitter:
		return e.refuse(Forbidden, fmt.Sprintf(reasonOwner, n.owner)), nil
	case n.refusal != "":
		return e.refuse(Forbidden, n.refusal), nil
	}
	return OK, nil
}
