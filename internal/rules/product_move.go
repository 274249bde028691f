package rules

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

func checkMoveProduct(tx *ltlv1.Transaction) int32 {
	m := tx.GetMoveProduct()
	if !ValidProductKey(m.GetProductKey()) || !ledger.ValidID(m.GetOrganisation(), MaxOrganisationID) ||
		!ledger.ValidID(m.GetFormer(), MaxOrganisationID) {
		return OutOfRange
	}
	return OK
}

// moveProductNeeds: the organisation that has the product gives it away by an act, which the one that gets it endorses: it
// takes nothing from it. Else the network's organisations decide, in which the one that has the product counts and has no
// vote, and the one that gets it must approve.
func moveProductNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	m := tx.GetMoveProduct()
	owner, err := e.ownerOfProduct(m.GetProductKey())
	if owner == "" || err != nil {
		return need{policy: policy.Organisation(submitter)}, err
	}
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	if owner == submitter && m.GetFormer() == owner && m.GetOrganisation() != owner {
		return giveProductNeed(n, owner, m.GetOrganisation()), nil
	}
	out, err := e.othersNeed(owner)
	if err != nil {
		return need{}, err
	}
	if m.GetOrganisation() != owner { // the rules refuse that
		out.ballot.Needed = []string{m.GetOrganisation()}
	}
	if !slices.Contains(n.Organisations, m.GetOrganisation()) {
		out.refusal = fmt.Sprintf(reasonNeededGone, m.GetOrganisation())
	}
	return out, nil
}

// giveProductNeed is the need of an owner's act that gives its product to another organisation of the network.
func giveProductNeed(n *Network, owner, to string) need {
	out := actOf(owner)
	if !slices.Contains(n.Organisations, to) {
		out.refusal = fmt.Sprintf(reasonNeededGone, to)
		return out
	}
	out.policy = out.policy.And(policy.Organisation(to))
	return out
}

// moveProduct gives a product to another organisation, which assigns it to a chain. The first time that texts may carry
// stays, so the next assignment adds the time that texts for the former chain may be ahead.
func (e *exec) moveProduct(act action) (int32, string, error) {
	m := act.tx.GetMoveProduct()
	p, err := GetProduct(e, m.GetProductKey())
	if err != nil {
		return 0, "", err
	}
	switch {
	case p == nil:
		return e.refuse(NotFound, reasonProductUnclaimed), "", nil
	case p.Organisation != m.GetFormer():
		return e.refuse(Conflict, fmt.Sprintf(reasonProductFormer, p.Organisation)), "", nil
	case p.Organisation == m.GetOrganisation():
		return e.refuse(Conflict, reasonProductSame), "", nil
	}
	p.Organisation, p.ChainID = m.GetOrganisation(), ""
	e.putProduct(p, act.here)
	return OK, "", nil
}

func moveProductObject(tx *ltlv1.Transaction) string { return tx.GetMoveProduct().GetProductKey() }

// moveProductWords: there is no basis, since its organisation can assign the product at any time. Only another such
// proposal changes whose it is, so the action names that.
func moveProductWords(v View, tx *ltlv1.Transaction) (string, error) {
	m := tx.GetMoveProduct()
	from := ""
	if v != nil {
		p, err := GetProduct(v, m.GetProductKey())
		if err != nil {
			return "", err
		}
		if p != nil && p.ChainID != "" {
			from = ", and is assigned to chain " + p.ChainID + " no more"
		}
	}
	return fmt.Sprintf("product %s with its devices is of organisation %s instead of organisation %s%s", m.GetProductKey(),
		m.GetOrganisation(), m.GetFormer(), from), nil
}
