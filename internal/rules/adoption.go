package rules

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

func checkAdoptChain(tx *ltlv1.Transaction) int32 {
	m := tx.GetAdoptChain()
	if !ledger.ValidChainID(m.GetChainId()) || !ValidUID(m.GetAdministratorUid()) {
		return OutOfRange
	}
	return OK
}

// adoptChainNeeds: a majority of the chain's organisations, in which the owner that is gone counts and has no vote, and
// the organisation of the new administrator. Where one organisation is left on the chain, it is enough.
func adoptChainNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	m := tx.GetAdoptChain()
	unknown := need{policy: policy.Organisation(submitter)}
	c, err := GetChain(e, m.GetChainId())
	if c == nil || err != nil {
		return unknown, err
	}
	after, err := e.ownerOfUID(m.GetAdministratorUid())
	if after == "" || err != nil {
		return unknown, err
	}
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	left := len(c.Organisations)
	out := decided(n, &Ballot{Electorate: present(n, c.Organisations), Quorum: min(left, (left+1)/2+1),
		Needed: []string{after}})
	if left == 0 {
		out.refusal = reasonNoneOnChain
	}
	return out, nil
}

// adoptChain names another administrator of a chain that is closed. The chain opens with that; its organisations and its
// policy stay as they are.
func (e *exec) adoptChain(act action) (int32, string, error) {
	m := act.tx.GetAdoptChain()
	c, err := GetChain(e, m.GetChainId())
	if c == nil || err != nil {
		return NotFound, "", err
	}
	closed, err := ChainClosed(e, c)
	if err != nil {
		return 0, "", err
	}
	if !closed {
		return e.refuse(Conflict, reasonNotClosed), "", nil
	}
	owner, err := e.ownerOfUID(m.GetAdministratorUid())
	if err != nil {
		return 0, "", err
	}
	n, err := e.network()
	if err != nil {
		return 0, "", err
	}
	if !slices.Contains(n.Organisations, owner) {
		return NotFound, "", nil
	}
	member, err := GetMember(e, c, m.GetAdministratorUid())
	if err != nil {
		return 0, "", err
	}
	if member != nil {
		return e.refuse(Conflict, reasonOnChain), "", nil
	}
	c.AdministratorUID = m.GetAdministratorUid()
	e.put(prefixChain+c.ID, c.encode())
	return OK, "", nil
}

func adoptChainObject(tx *ltlv1.Transaction) string { return tx.GetAdoptChain().GetChainId() }

func adoptChainBasis(tx *ltlv1.Transaction) []string {
	return []string{prefixChain + tx.GetAdoptChain().GetChainId()}
}

func adoptChainWords(v View, tx *ltlv1.Transaction) (string, error) {
	m := tx.GetAdoptChain()
	now, owner, err := chainBefore(v, m.GetChainId())
	if err != nil {
		return "", err
	}
	of, err := organisationWord(v, m.GetAdministratorUid())
	if err != nil {
		return "", err
	}
	name, former := "", ""
	if now != nil {
		name, former = fmt.Sprintf(", named %q,", now.Name), " instead of "+now.AdministratorUID+owner
	}
	return fmt.Sprintf("chain %s%s, whose owner is not of the network any more, gets the administrator %s%s%s and takes "+
		"records again", m.GetChainId(), name, m.GetAdministratorUid(), of, former), nil
}
