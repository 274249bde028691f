package rules

import (
	"fmt"
	"slices"

	ltlv1 "ltl/proto/ltl/v1"
)

// entitlement judges whether the submitter may speak for the account and the AccessKey that the transaction names: OK
// or NotEntitled. It is judged before anything is written, so that a process without the right to speak for an
// account uses up none of its nonces. An account that does not exist is left to the rules.
func (e *exec) entitlement(tx *ltlv1.Transaction) (code int32, err error) {
	submitter := e.identity(tx.GetSubmitter())
	switch {
	case tx.GetAccessKeyId() == "" && tx.GetSignatureNonce() != "":
		return e.refuse(NotEntitled, reasonNonceAlone), nil
	case tx.GetAccessKeyId() != "" && submitter.role != roleFacade:
		return e.refuse(NotEntitled, reasonKeyNotFacade), nil
	}
	if tx.GetAccessKeyId() != "" {
		if refusal, err := e.keyRefusal(tx); refusal != "" || err != nil {
			return e.refuse(NotEntitled, refusal), err
		}
	}
	if e.chain == nil {
		return OK, nil
	}
	a, err := e.actor(tx.GetAccountUid())
	if a == nil || a.account == nil || err != nil {
		return OK, err
	}
	if barred, err := e.barred(tx.GetSubmitter()); barred || a.removed || err != nil {
		return e.refuse(NotEntitled, reasonBarred), err
	}
	speaks, err := e.speaksFor(submitter, tx.GetSubmitter(), a.account)
	if !speaks && err == nil {
		code := e.refuse(NotEntitled, fmt.Sprintf(reasonSubmitter, tx.GetSubmitter(), a.account.Organisation))
		return code, nil
	}
	return OK, err
}

// speaksFor reports whether a submitter, whose identity is text, may act for an account: clients, operators and facades
// for the accounts of their own organisation, and a facade also for those of an organisation that names it as a
// delegate.
func (e *exec) speaksFor(submitter identity, text string, a *Account) (bool, error) {
	switch submitter.role {
	case roleClient, roleOperator:
		return submitter.organisation == a.Organisation, nil
	case roleFacade:
		if submitter.organisation == a.Organisation {
			return true, nil
		}
		delegates, err := e.delegatesOf(a.Organisation)
		return slices.Contains(delegates, text), err
	}
	return false, nil
}

// delegatesOf returns the facades of others that may speak for an organisation's accounts. It reads them once per
// block.
func (e *exec) delegatesOf(organisation string) ([]string, error) {
	if list, ok := e.delegates[organisation]; ok {
		return list, nil
	}
	f, err := GetOrganisationFacts(e.view, organisation)
	if err != nil {
		return nil, err
	}
	if e.delegates == nil {
		e.delegates = map[string][]string{}
	}
	e.delegates[organisation] = f.Delegates
	return f.Delegates, nil
}

// keyRefusal returns why the AccessKey that a transaction names may not be used for its account; empty when it may.
// Whatever the submitter knows, what counts is the state of the system chain at the block's system height.
func (e *exec) keyRefusal(tx *ltlv1.Transaction) (string, error) {
	id := tx.GetAccessKeyId()
	k := e.lastKey
	if k == nil || k.ID != id {
		var err error
		if k, err = e.accessKey(id); err != nil {
			return "", err
		}
	}
	switch {
	case k == nil:
		return fmt.Sprintf(reasonNoKey, id), nil
	case k.AccountUID != tx.GetAccountUid():
		return fmt.Sprintf(reasonKeyAccount, id), nil
	case k.State != ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE:
		return fmt.Sprintf(reasonKeyState, id), nil
	}
	return "", nil
}

// accessKey looks up an AccessKey once per block of a business chain; nil when there is none.
func (e *exec) accessKey(id string) (*AccessKey, error) {
	k, ok := e.accessKeys[id]
	if !ok {
		var err error
		if k, err = GetAccessKey(e.view, id); err != nil {
			return nil, err
		}
		if e.accessKeys == nil {
			e.accessKeys = map[string]*AccessKey{}
		}
		e.accessKeys[id] = k
	}
	e.lastKey = k
	return k, nil
}

func checkSetDelegates(tx *ltlv1.Transaction) int32 {
	facades := tx.GetSetDelegates().GetFacades()
	if len(facades) > MaxDelegates {
		return OutOfRange
	}
	for i, f := range facades {
		id, ok := parseIdentity(f)
		if !ok || id.role != roleFacade || i > 0 && facades[i-1] >= f {
			return OutOfRange
		}
	}
	return OK
}

// setDelegates replaces the delegates of the submitter's organisation. Each must be a facade of another organisation
// of the network: a name that an organisation to come could take is not delegated to.
func (e *exec) setDelegates(act action) (int32, string, error) {
	own, facades := act.submitter.organisation, act.tx.GetSetDelegates().GetFacades()
	for _, f := range facades {
		id, _ := parseIdentity(f)
		if id.organisation == own {
			return e.refuse(OutOfRange, fmt.Sprintf(reasonOwnFacade, f)), "", nil
		}
		known, err := e.organisation(id.organisation)
		if err != nil {
			return 0, "", err
		}
		gone, err := Removed(e, id.organisation)
		if err != nil {
			return 0, "", err
		}
		if known == "" || gone {
			return e.refuse(NotFound, fmt.Sprintf(reasonNoDelegate, id.organisation)), "", nil
		}
	}
	facts, err := GetOrganisationFacts(e, own)
	if err != nil {
		return 0, "", err
	}
	facts.Delegates = facades
	e.putOrganisationFacts(own, facts)
	return OK, "", nil
}
