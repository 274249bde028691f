package rules

import (
	"crypto/ed25519"
	"fmt"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// validSignature checks the length of a signature; one that is not required may be empty.
func validSignature(signature []byte, required bool) bool {
	return len(signature) == ed25519.SignatureSize || !required && len(signature) == 0
}

func checkRecoverOrganisation(tx *ltlv1.Transaction) int32 {
	r := tx.GetRecoverOrganisation()
	key, authority := len(r.GetEndorserKey()), len(r.GetAuthority())
	if !ledger.ValidID(r.GetId(), MaxOrganisationID) || key+authority == 0 || authority == 0 && r.GetRetireAuthorities() {
		return OutOfRange
	}
	if !validAuthority(r.GetAuthority(), false) || !validSignature(r.GetAuthorityPossession(), authority != 0) ||
		authority == 0 && len(r.GetAuthorityPossession()) != 0 {
		return OutOfRange
	}
	if key != 0 && !ledger.ValidKey(r.GetEndorserKey()) || !validSignature(r.GetPossession(), key != 0) ||
		key == 0 && len(r.GetPossession()) != 0 || !validSignature(r.GetSignature(), true) {
		return OutOfRange
	}
	return OK
}

// recoverOrganisationNeeds: the recovery key's signature is the organisation's will. It has lost its endorser, so any
// operator may submit it: that of another organisation with its own endorsement, and that of the organisation itself with
// any one's, which says that the form and the clock are right.
func recoverOrganisationNeeds(e *exec, tx *ltlv1.Transaction, submitter string) (need, error) {
	r := tx.GetRecoverOrganisation()
	n, err := e.network()
	if err != nil {
		return need{}, err
	}
	out := need{policy: policy.Of(1, n.Organisations...)}
	if r.GetId() != submitter {
		return out, nil
	}
	id, err := e.organisation(r.GetId())
	if id == "" || err != nil {
		return out, err
	}
	facts, err := GetOrganisationFacts(e, id)
	if err != nil {
		return need{}, err
	}
	out.signed = e.recovers(id, facts, r)
	return out, nil
}

// recovers reports whether an organisation's recovery key signed this change, with the number that is due.
func (e *exec) recovers(id string, facts *OrganisationFacts, r *ltlv1.RecoverOrganisation) bool {
	signed := ledger.Recovery{
		Network: e.in.NetworkID, Organisation: id, Number: facts.Recoveries + 1, EndorserKey: r.GetEndorserKey(),
		Authority: r.GetAuthority(), RetireAuthorities: r.GetRetireAuthorities(),
	}
	return len(facts.RecoveryKey) > 0 && r.GetNumber() == signed.Number &&
		signed.Verify(facts.RecoveryKey, r.GetSignature()) == nil
}

// recoverOrganisation gives an organisation another endorser key or certificate authority at once. There is no notice
// period: an organisation without keys may be one of two, and the other's clock alone would not end the notice.
func (e *exec) recoverOrganisation(act action) (int32, string, error) {
	r := act.tx.GetRecoverOrganisation()
	o, err := GetOrganisation(e, r.GetId())
	if o == nil || err != nil {
		return NotFound, "", err
	}
	facts, err := GetOrganisationFacts(e, o.ID)
	if err != nil {
		return 0, "", err
	}
	switch {
	case facts.Standing != StandingActive && facts.Standing != StandingInvited:
		return e.refuse(NotFound, reasonWasRemoved), "", nil
	case len(facts.RecoveryKey) == 0:
		return e.refuse(Forbidden, reasonNoRecoveryKey), "", nil
	}
	if !e.recovers(o.ID, facts, r) {
		return e.refuse(Forbidden, fmt.Sprintf(reasonRecovery, facts.Recoveries+1)), "", nil
	}
	change := *o
	credentials, code, err := e.recoverAuthority(&change, r)
	if code != OK || err != nil {
		return code, "", err
	}
	if code, err := e.changeEndorserKey(&change, r.GetEndorserKey(), r.GetPossession(), true, act.here); code != OK ||
		err != nil {
		return code, "", err
	}
	facts.Recoveries++
	e.putOrganisationFacts(o.ID, facts)
	if credentials != nil {
		e.put(credentialsKey(o.ID), credentials.encode())
	}
	e.putAuthorityKey(o.ID, r.GetAuthority())
	e.put(prefixOrganisation+o.ID, change.encode())
	return OK, "", nil
}

// recoverAuthority adds the new authority, or puts it in the place of all that there are. It returns nil credentials
// when the authorities do not change.
func (e *exec) recoverAuthority(o *Organisation, r *ltlv1.RecoverOrganisation) (*Credentials, int32, error) {
	if !r.GetRetireAuthorities() {
		return e.changeAuthorities(o, &ltlv1.ModifyOrganisation{AddAuthority: r.GetAuthority(),
			AuthorityPossession: r.GetAuthorityPossession()})
	}
	if code, err := e.newAuthority(o.ID, r.GetAuthority(), r.GetAuthorityPossession()); code != OK || err != nil {
		return nil, code, err
	}
	credentials, err := e.credentials(o.ID)
	if err != nil {
		return nil, 0, err
	}
	credentials.Authorities = [][]byte{r.GetAuthority()}
	o.CACertificate = r.GetAuthority()
	return credentials, OK, nil
}

// changeRecoveryKey returns the facts with the new recovery key; nil when it does not change. The first one is the
// organisation's act; after that, only who holds the recovery key changes it, so that a stolen operator and endorser do
// not become the organisation for good.
func (e *exec) changeRecoveryKey(id string, m *ltlv1.ModifyOrganisation) (*OrganisationFacts, int32, error) {
	if len(m.GetRecoveryKey()) == 0 {
		return nil, OK, nil
	}
	facts, err := GetOrganisationFacts(e, id)
	if err != nil {
		return nil, 0, err
	}
	if len(facts.RecoveryKey) > 0 {
		if ledger.VerifyNewRecoveryKey(facts.RecoveryKey, m.GetRecoverySignature(), e.in.NetworkID, id, facts.Recoveries+1,
			m.GetRecoveryKey()) != nil {
			return nil, e.refuse(Forbidden, reasonNewRecoveryKey), nil
		}
		facts.Recoveries++
	}
	facts.RecoveryKey = m.GetRecoveryKey()
	return facts, OK, nil
}
