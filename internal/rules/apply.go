package rules

import (
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// run executes one endorsed transaction at an index of the block: its id and its nonce are used up whatever the rules
// say. form is what checkEnvelope said of it. It returns the code, and what the transaction created.
func (e *exec) run(tx *ltlv1.Transaction, form int32, id ledger.Hash, index uint32) (code int32, output string, err error) {
	used := false
	named := tx.GetAccessKeyId() != "" && tx.GetSignatureNonce() != ""
	if named {
		if used, err = e.nonceUsed(tx.GetAccessKeyId(), tx.GetSignatureNonce()); err != nil {
			return 0, "", err
		}
	}
	here := Locator{Height: e.in.Height, Index: index}
	at := e.writeLocator(appendTransactionKey(e.room(1+len(id)), id), here)
	code, e.reason = form, ""
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

// apply runs the rules of the transaction's action. It writes nothing unless the code is OK.
func (e *exec) apply(tx *ltlv1.Transaction, id ledger.Hash, here Locator) (code int32, output string, err error) {
	if e.chain == nil {
		return e.applySystem(tx, id, here)
	}
	a, err := e.actor(tx.GetAccountUid())
	if err != nil {
		return 0, "", err
	}
	if a.account == nil {
		return UnknownUID, "", nil
	}
	if barred, err := e.barred(tx.GetSubmitter()); barred || a.removed || err != nil {
		return e.refuse(Forbidden, reasonBarred), "", err
	}
	if code := speaksFor(e.identity(tx.GetSubmitter()), a.account); code != OK {
		return e.refuse(code, reasonSubmitter), "", nil
	}
	if code := memberCode(a.account, a.member); code != OK {
		return e.refuse(code, memberReason(a.member)), "", nil
	}
	if e.chain.Expired(e.timeMs) {
		return e.refuse(Forbidden, reasonExpired), "", nil
	}
	switch act := tx.GetAction().(type) {
	case *ltlv1.Transaction_SetData:
		code, err = e.setData(a, act.SetData, id, here)
	case *ltlv1.Transaction_AttachData:
		code, output, err = e.attachData(a, act.AttachData, id, here)
	case *ltlv1.Transaction_CreateMember:
		code, output, err = e.createMember(a, act.CreateMember, id, here)
	case *ltlv1.Transaction_ModifyMember:
		code, err = e.modifyMember(a, act.ModifyMember)
	case *ltlv1.Transaction_LockMember:
		code, err = e.lockMember(a, act.LockMember)
	case *ltlv1.Transaction_RegisterDeviceGroup:
		code, output, err = e.registerDeviceGroup(a, act.RegisterDeviceGroup, id, here)
	case *ltlv1.Transaction_AuthorizeDeviceGroup:
		code, err = e.authorizeDeviceGroup(a, act.AuthorizeDeviceGroup)
	case *ltlv1.Transaction_AuthorizeDevice:
		code, err = e.authorizeDevice(a, act.AuthorizeDevice)
	default:
		code, output, err = e.applyCollaboration(a, tx, id, here)
	}
	return code, output, err
}

// refuse keeps the sentence that explains a refusal whose code alone does not.
func (e *exec) refuse(code int32, reason string) int32 {
	e.reason = reason
	return code
}

// speaksFor judges whether a submitter may act for an account: facades authenticate everybody, clients and operators
// only the accounts of their own organisation.
func speaksFor(submitter identity, a *Account) int32 {
	switch submitter.role {
	case roleFacade:
		return OK
	case roleClient, roleOperator:
		if submitter.organisation == a.Organisation {
			return OK
		}
	}
	return Forbidden
}

// admitRecord judges what SetData and AttachData have in common.
func (e *exec) admitRecord(a *actor, key, value string) int32 {
	switch {
	case e.chain.Service != ltlv1.ChainService_CHAIN_SERVICE_PROOF:
		return e.refuse(NotFound, reasonNotProof)
	case e.timeMs < e.chain.EffectiveMs:
		return e.refuse(Forbidden, reasonNotEffective)
	}
	typeCode, code := CheckKey(e.chain.Code, key)
	if code != OK {
		return code
	}
	if typeCode != a.member.TypeCode {
		return BadTypeCode
	}
	return checkValue(value)
}

// quotaLeft judges whether one more record of n bytes fits.
func (e *exec) quotaLeft(n int) (int32, error) {
	if err := e.openTotal(); err != nil {
		return 0, err
	}
	u := &e.total.usage
	if u.Count+1 > e.chain.CountQuota || u.Bytes+uint64(n) > e.chain.CapacityQuota {
		return QuotaExceeded, nil
	}
	return OK, nil
}

func (e *exec) openTotal() (err error) {
	if e.total == nil {
		e.total, err = e.meterOf("")
	}
	return err
}

func (e *exec) chargeRecord(a *actor, n int) {
	e.charge(a.usage, 1, uint64(n), 0)
	e.charge(e.total, 1, uint64(n), 0)
}

func (e *exec) setData(a *actor, d *ltlv1.SetData, id ledger.Hash, here Locator) (int32, error) {
	if code := e.admitRecord(a, d.GetKey(), d.GetValue()); code != OK {
		return code, nil
	}
	device, code, err := e.admitDevice(a, d.GetDevice(), d.GetValue(), id, here)
	if code != OK || err != nil {
		return code, err
	}
	if code, err := e.quotaLeft(len(d.GetValue())); code != OK || err != nil {
		return code, err
	}
	old, found, err := e.newestOf(d.GetKey())
	if err != nil {
		return 0, err
	}
	if found {
		return DuplicateKey, nil
	}
	here.Extra = 1 | singleBit
	e.setNewest(d.GetKey(), here, old.at)
	e.chargeRecord(a, len(d.GetValue()))
	e.useDevice(device, here)
	return OK, nil
}

func (e *exec) attachData(a *actor, d *ltlv1.AttachData, id ledger.Hash, here Locator) (int32, string, error) {
	if code := e.admitRecord(a, d.GetKey(), d.GetValue()); code != OK {
		return code, "", nil
	}
	if code := checkBusinessID(d.GetBusinessId()); code != OK {
		return code, "", nil
	}
	device, code, err := e.admitDevice(a, d.GetDevice(), d.GetValue(), id, here)
	if code != OK || err != nil {
		return code, "", err
	}
	if code, err := e.quotaLeft(len(d.GetValue())); code != OK || err != nil {
		return code, "", err
	}
	old, found, err := e.newestOf(d.GetKey())
	if err != nil {
		return 0, "", err
	}
	if found && old.locator.Single() {
		return DuplicateKey, "", nil
	}
	business := BusinessID(id, d)
	if found {
		// Two ids that the ledger assigned under one Key collide once in 10^16 pairs; that too is refused, not resolved, so
		// that the id follows from the transaction alone.
		if used, err := e.businessUsed(d.GetKey(), business); used || err != nil {
			return DuplicateKey, "", err
		}
	}
	here.Extra = old.locator.Version() + 1
	e.setNewest(d.GetKey(), here, old.at)
	e.writeLocator(appendVersionKey(e.room(6+len(d.GetKey())), d.GetKey(), here.Extra), here)
	e.useBusiness(d.GetKey(), business, here)
	e.chargeRecord(a, len(d.GetValue()))
	e.useDevice(device, here)
	return OK, business, nil
}

// outputKey is where the output of a transaction stands that cannot be told from the transaction alone.
func outputKey(id ledger.Hash) string { return prefixOutput + string(id[:]) }
