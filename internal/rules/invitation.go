package rules

import (
	"slices"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// createOrganisation invites an organisation. Until it accepts it has no vote and no endorsement of it counts, so an
// organisation that never answers stops nothing.
func (e *exec) createOrganisation(act action) (int32, string, error) {
	o := act.tx.GetCreateOrganisation().GetOrganisation()
	n, err := e.network()
	if err != nil {
		return 0, "", err
	}
	if err := e.dropLapsed(n); err != nil {
		return 0, "", err
	}
	for _, id := range slices.Concat(n.Organisations, n.Invited) {
		p, err := GetOrganisation(e, id)
		if err != nil {
			return 0, "", err
		}
		// One key of two organisations would count as two endorsements.
		if p.ID == o.GetId() || string(p.EndorserKey) == string(o.GetEndorserKey()) {
			return Conflict, "", nil
		}
	}
	if len(n.Organisations)+len(n.Invited) >= MaxOrganisations {
		return QuotaExceeded, "", nil
	}
	if gone, err := Removed(e, o.GetId()); gone || err != nil {
		return e.refuse(Conflict, reasonWasRemoved), "", err
	}
	if former, err := GetFormerKey(e, ledger.KeyID(o.GetEndorserKey())); former != nil || err != nil {
		return e.refuse(Conflict, reasonKeyUsed), "", err
	}
	if code, err := e.invitedAuthority(act.tx.GetCreateOrganisation()); code != OK || err != nil {
		return code, "", err
	}
	facts, err := GetOrganisationFacts(e, o.GetId()) // of an invitation that lapsed, if there was one
	if err != nil {
		return 0, "", err
	}
	facts.Standing, facts.LapsesMs = StandingInvited, e.timeMs+InvitationMs
	n.Invited = append(n.Invited, o.GetId())
	e.putOrganisation(o)
	e.putAuthorityKey(o.GetId(), o.GetCaCertificate())
	e.putOrganisationFacts(o.GetId(), facts)
	e.put(keyNetwork, n.encode())
	return OK, o.GetId(), nil
}

// invitedAuthority refuses an authority that is not the invited organisation's own. One of a former invitation, which
// lapsed, is the organisation's own too.
func (e *exec) invitedAuthority(c *ltlv1.CreateOrganisation) (int32, error) {
	o := c.GetOrganisation()
	owner, err := AuthorityOwner(e, o.GetCaCertificate())
	if err != nil {
		return 0, err
	}
	if owner == o.GetId() {
		return e.possessesAuthority(o.GetId(), o.GetCaCertificate(), c.GetAuthorityPossession()), nil
	}
	return e.newAuthority(o.GetId(), o.GetCaCertificate(), c.GetAuthorityPossession())
}

// dropLapsed takes organisations off the list of the invited whose invitation has lapsed. The caller writes it.
func (e *exec) dropLapsed(n *Network) error {
	var failed error
	n.Invited = slices.DeleteFunc(n.Invited, func(id string) bool {
		f, err := GetOrganisationFacts(e, id)
		if err != nil {
			failed = err
		}
		return err == nil && f.Lapsed(e.timeMs)
	})
	return failed
}

// Lapsed reports whether an invitation can no longer be accepted at a block time.
func (f *OrganisationFacts) Lapsed(timeMs int64) bool {
	return f.Standing == StandingInvited && timeMs >= f.LapsesMs
}

// organisationsAndInvited returns the organisations of the network and those that were invited.
func (e *exec) organisationsAndInvited() ([]*Organisation, error) {
	all, err := ListOrganisations(e)
	if err != nil {
		return nil, err
	}
	invited, err := ListInvited(e)
	return append(all, invited...), err
}

func checkAcceptMembership(tx *ltlv1.Transaction) int32 {
	m := tx.GetAcceptMembership()
	if !ledger.ValidID(m.GetId(), MaxOrganisationID) || !validSignature(m.GetSignature(), true) {
		return OutOfRange
	}
	return OK
}

// acceptMembershipNeeds: the invited organisation's will is its endorser key's signature in the action. Its endorsement
// does not count yet, so that of any organisation is enough; it says that the form and the clock are right. Without the
// signature nothing shows that the organisation wants it, and it would have to endorse.
func acceptMembershipNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	m := tx.GetAcceptMembership()
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	id, err := e.organisation(m.GetId())
	if id == "" || err != nil {
		return need{policy: policy.Organisation(submitter)}, err
	}
	o, err := GetOrganisation(e, id)
	if err != nil {
		return need{}, err
	}
	facts, err := GetOrganisationFacts(e, id)
	if err != nil {
		return need{}, err
	}
	return need{owner: id, policy: policy.Of(1, n.Organisations...),
		signed: id == submitter && facts.Standing == StandingInvited && !facts.Lapsed(e.timeMs) && e.accepts(o, facts, m)}, nil
}

// accepts reports whether an organisation's endorser key signed that it accepts its invitation.
func (e *exec) accepts(o *Organisation, facts *OrganisationFacts, m *ltlv1.AcceptMembership) bool {
	return ledger.VerifyAcceptance(o.EndorserKey, m.GetSignature(), e.in.NetworkID, o.ID, facts.LapsesMs) == nil
}

// acceptMembership makes an invited organisation one of the network's.
func (e *exec) acceptMembership(act action) (int32, string, error) {
	m := act.tx.GetAcceptMembership()
	n, err := e.network()
	if err != nil {
		return 0, "", err
	}
	o, err := GetOrganisation(e, m.GetId())
	if o == nil || err != nil {
		return NotFound, "", err
	}
	facts, err := GetOrganisationFacts(e, o.ID)
	switch {
	case err != nil:
		return 0, "", err
	case facts.Standing != StandingInvited:
		return e.refuse(Conflict, reasonNotInvited), "", nil
	case facts.Lapsed(e.timeMs) || !slices.Contains(n.Invited, o.ID):
		return e.refuse(Forbidden, reasonLapsed), "", nil
	case !e.accepts(o, facts, m):
		return e.refuse(Forbidden, reasonAcceptance), "", nil
	}
	facts.Standing, facts.LapsesMs = StandingActive, 0
	n.Organisations = append(n.Organisations, o.ID)
	n.Invited = slices.DeleteFunc(n.Invited, func(s string) bool { return s == o.ID })
	e.putOrganisationFacts(o.ID, facts)
	e.put(keyNetwork, n.encode())
	return OK, "", nil
}
