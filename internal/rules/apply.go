package rules

import (
	"fmt"
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// run executes one endorsed transaction at an index of the block. One whose submitter may not speak for its account or
// AccessKey ends as NotEntitled and writes nothing: it uses up no other's nonce. Else its id and its nonce are used
// up whatever the result. form is the code of checkEnvelope. It returns the code, and the id of what the transaction
// created.
func (e *exec) run(tx *ltlv1.Transaction, form int32, id ledger.Hash, index uint32) (code int32, output string,
	err error) {
	e.reason = ""
	if code, err := e.entitlement(tx); code != OK || err != nil {
		return code, "", err
	}
	used := false
	named := tx.GetAccessKeyId() != "" && tx.GetSignatureNonce() != ""
	if named {
		if used, err = e.nonceUsed(tx.GetAccessKeyId(), tx.GetSignatureNonce()); err != nil {
			return 0, "", err
		}
	}
	here := Locator{Height: e.in.Height, Index: index}
	at := e.writeLocator(appendTransactionKey(e.room(1+len(id)), id), here)
	code = form
	if used {
		code = NonceUsed
	} else if named {
		e.useNonce(tx.GetAccessKeyId(), tx.GetSignatureNonce(), here)
	}
	if code == OK {
		if code, output, err = e.apply(tx, id, here); err != nil {
			return 0, "", err
		}
	}
	here.Extra = uint32(code)
	e.setLocator(at, here)
	return code, output, nil
}

// apply judges whether the transaction may be executed at all, then runs the rules of its kind. It writes nothing
// unless the code is OK.
func (e *exec) apply(tx *ltlv1.Transaction, id ledger.Hash, here Locator) (code int32, output string, err error) {
	k := kindOf(tx)
	act := action{tx: tx, id: id, here: here, submitter: e.identity(tx.GetSubmitter()), kindOf: kindOf}
	code, output, err = e.judge(k, &act)
	if code != OK && err == nil && k.repeated != nil && act.actor != nil {
		code, err = e.repeatedCode(k, act, code)
	}
	return code, output, err
}

// judge is apply without the question whether a refused transaction is a repeated upload. It sets act.actor if the
// submitter may speak for the account, and the account has an entry on the chain.
func (e *exec) judge(k *kind, act *action) (code int32, output string, err error) {
	tx, id := act.tx, act.id
	if e.chain == nil {
		code, err = e.admitOperator(k, tx, act.submitter)
	} else {
		act.actor, code, err = e.admitAccount(tx, k)
	}
	if code != OK || err != nil {
		return code, "", err
	}
	switch {
	case k.apply == nil: // a second genesis
		return Forbidden, "", nil
	case !k.lateCheck:
		if code := formOf(k, tx); code != OK {
			return code, "", nil
		}
	}
	code, output, err = k.apply(e, *act)
	if code == OK && err == nil && output != "" && k.output == nil {
		e.put(outputKey(id), []byte(output))
	}
	return code, output, err
}

// admitOperator judges whether the submitter may write this to the system chain: only operators of organisations of
// the network may, or endorsers where the kind is theirs, they name no account, and what is one organisation's own is
// for its operators.
func (e *exec) admitOperator(k *kind, tx *ltlv1.Transaction, submitter identity) (code int32, err error) {
	role := roleOperator
	if k.endorser {
		role = roleEndorser
	}
	if submitter.role != role {
		return Forbidden, nil
	}
	if known, err := e.exists(prefixOrganisation + submitter.organisation); !known || err != nil {
		return Forbidden, err
	}
	if barred, err := e.barred(tx.GetSubmitter()); barred || err != nil {
		return e.refuse(Forbidden, reasonBarred), err
	}
	n, err := e.network()
	if err != nil {
		return 0, err
	}
	if !k.invited && slices.Contains(n.Invited, submitter.organisation) {
		return e.refuse(Forbidden, fmt.Sprintf(reasonInvited, submitter.organisation)), nil
	}
	return e.entitled(k, tx, submitter.organisation)
}

// admitAccount judges whether the account may execute transactions of the kind on this business chain now. The actor is
// nil when the account may not use the chain at all; it is not nil when the member is locked or the chain refuses.
func (e *exec) admitAccount(tx *ltlv1.Transaction, k *kind) (*actor, int32, error) {
	a, err := e.actor(tx.GetAccountUid())
	if err != nil {
		return nil, 0, err
	}
	if a.account == nil {
		return nil, UnknownUID, nil
	}
	if code := memberCode(a.account, a.member); code != OK {
		if a.member == nil {
			return nil, e.refuse(code, ReasonNotMember), nil
		}
		return a, e.refuse(code, memberReason(a.member)), nil
	}
	switch {
	case e.closed:
		return a, e.refuse(Forbidden, reasonClosed), nil
	case e.chain.Expired(e.timeMs):
		return a, e.refuse(Forbidden, reasonExpired), nil
	case k.chain == onProof && e.chain.Service != ltlv1.ChainService_CHAIN_SERVICE_PROOF:
		return nil, e.refuse(NotFound, reasonNotProof), nil
	case k.chain == onCollaboration && !CollaborationChain(e.chain):
		return nil, e.refuse(NotFound, reasonNotCollaboration), nil
	case k.administrator && a.member.Role != RoleAdmin:
		return nil, e.refuse(Forbidden, ReasonAdministrator), nil
	}
	return a, OK, nil
}

// refuse records a sentence that explains the refusal, for when the code alone does not.
func (e *exec) refuse(code int32, reason string) int32 {
	e.reason = reason
	return code
}

// outputKey is the state key of a transaction's output, for outputs that cannot be computed from the transaction.
func outputKey(id ledger.Hash) string { return prefixOutput + string(id[:]) }
