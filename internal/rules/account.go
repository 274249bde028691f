package rules

import (
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func checkCreateAccount(tx *ltlv1.Transaction) int32 {
	a := tx.GetCreateAccount()
	uid := a.GetUid() == "" || ValidUID(a.GetUid())
	kind := a.GetType() == ltlv1.AccountType_ACCOUNT_TYPE_ROOT || a.GetType() == ltlv1.AccountType_ACCOUNT_TYPE_RAM
	if !uid || !kind || !ValidName(a.GetName()) || !ledger.ValidID(a.GetOrganisation(), MaxOrganisationID) {
		return OutOfRange
	}
	return OK
}

func (e *exec) createAccount(act action) (int32, string, error) {
	a := act.tx.GetCreateAccount()
	if known, err := e.exists(prefixOrganisation + a.GetOrganisation()); !known || err != nil {
		return NotFound, "", err
	}
	if gone, err := Removed(e, a.GetOrganisation()); gone || err != nil {
		return e.refuse(NotFound, reasonWasRemoved), "", err
	}
	taken := func(uid string) (bool, error) { return e.exists(prefixAccount + uid) }
	uid := a.GetUid()
	if uid == "" {
		var err error
		if uid, err = firstFree(act.id, forAccount, digits18, taken); err != nil {
			return 0, "", err
		}
	} else if used, err := taken(uid); used || err != nil {
		return Conflict, "", err
	}
	if code, err := e.enter(a.GetOrganisation(), tableAccounts); code != OK || err != nil {
		return code, "", err
	}
	made := Account{
		UID: uid, Name: a.GetName(), Type: a.GetType(), Organisation: a.GetOrganisation(),
		CreatedHeight: act.here.Height, CreatedIndex: act.here.Index,
	}
	e.put(prefixAccount+uid, made.encode())
	return OK, uid, nil
}
