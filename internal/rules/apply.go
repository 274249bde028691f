package rules

import (
	"slices"
	"time"

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
	if code := speaksFor(e.identity(tx.GetSubmitter()), a.account); code != OK {
		return code, "", nil
	}
	if code := memberCode(a.account, a.member); code != OK {
		return code, "", nil
	}
	if e.chain.Expired(e.timeMs) {
		return Forbidden, "", nil
	}
	switch act := tx.GetAction().(type) {
	case *ltlv1.Transaction_SetData:
		code, err = e.setData(a, act.SetData, here)
	case *ltlv1.Transaction_AttachData:
		code, output, err = e.attachData(a, act.AttachData, id, here)
	case *ltlv1.Transaction_CreateMember:
		code, output, err = e.createMember(a, act.CreateMember, id, here)
	default:
		code = Malformed
	}
	return code, output, err
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
	if e.chain.Service != ltlv1.ChainService_CHAIN_SERVICE_PROOF || e.timeMs < e.chain.EffectiveMs {
		return Forbidden
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

func (e *exec) setData(a *actor, d *ltlv1.SetData, here Locator) (int32, error) {
	if code := e.admitRecord(a, d.GetKey(), d.GetValue()); code != OK {
		return code, nil
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
	return OK, nil
}

func (e *exec) attachData(a *actor, d *ltlv1.AttachData, id ledger.Hash, here Locator) (int32, string, error) {
	if code := e.admitRecord(a, d.GetKey(), d.GetValue()); code != OK {
		return code, "", nil
	}
	if code := checkBusinessID(d.GetBusinessId()); code != OK {
		return code, "", nil
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
	return OK, business, nil
}

func (e *exec) createMember(a *actor, m *ltlv1.CreateMember, id ledger.Hash, here Locator) (int32, string, error) {
	if a.member.Role != RoleAdmin {
		return Forbidden, "", nil
	}
	if code := checkCreateMember(m); code != OK {
		return code, "", nil
	}
	who, err := e.actor(m.GetMemberUid())
	if err != nil {
		return 0, "", err
	}
	switch {
	case who.account == nil:
		return NotFound, "", nil
	case who.account.Type != ltlv1.AccountType_ACCOUNT_TYPE_RAM:
		return NotRAM, "", nil
	case who.member != nil:
		return Conflict, "", nil
	}
	if err := e.openTotal(); err != nil {
		return 0, "", err
	}
	if e.total.usage.Members+1 > min(e.chain.MemberQuota, maxMembers) {
		return QuotaExceeded, "", nil
	}
	made := &Member{
		UID: who.uid, Name: m.GetName(), Contact: m.GetContact(), Phone: m.GetPhone(), Remark: m.GetRemark(),
		Role: RoleMember, Status: StatusUnlock, CreatedMs: e.timeMs, CreatedHeight: here.Height, CreatedIndex: here.Index,
	}
	made.ID, err = firstFree(id, forMember, digits16, func(s string) (bool, error) {
		used, err := e.exists(prefixMemberID + s)
		return used || s == e.chain.AdministratorMemberID, err
	})
	if err != nil {
		return 0, "", err
	}
	made.TypeCode, err = firstFree(id, forTypeCode, spellTypeCode, func(s string) (bool, error) {
		used, err := e.exists(prefixTypeCode + s)
		return used || s == e.chain.AdministratorTypeCode, err
	})
	if err != nil {
		return 0, "", err
	}
	e.put(prefixMember+made.UID, made.encode())
	e.put(prefixMemberID+made.ID, []byte(made.UID))
	e.put(prefixTypeCode+made.TypeCode, []byte(made.UID))
	e.put(outputKey(id), []byte(made.ID))
	e.charge(e.total, 0, 0, 1)
	who.member = made
	return OK, made.ID, nil
}

func spellTypeCode(h [32]byte) string { return letters(h, TypeCodeLen, capitals) }

// outputKey is where the output of a transaction stands that cannot be told from the transaction alone.
func outputKey(id ledger.Hash) string { return prefixOutput + string(id[:]) }

// applySystem runs the rules of the system chain: operators write it, in nobody's name.
func (e *exec) applySystem(tx *ltlv1.Transaction, id ledger.Hash, here Locator) (code int32, output string, err error) {
	submitter := e.identity(tx.GetSubmitter())
	if submitter.role != roleOperator {
		return Forbidden, "", nil
	}
	if known, err := e.exists(prefixOrganisation + submitter.organisation); !known || err != nil {
		return Forbidden, "", err
	}
	switch act := tx.GetAction().(type) {
	case *ltlv1.Transaction_CreateOrganisation:
		code, output, err = e.createOrganisation(act.CreateOrganisation.GetOrganisation())
	case *ltlv1.Transaction_CreateAccount:
		code, output, err = e.createAccount(act.CreateAccount, id, here)
	case *ltlv1.Transaction_CreateChain:
		code, output, err = e.createChain(act.CreateChain, id, here)
	default:
		code = Forbidden // a second genesis
	}
	if code == OK && err == nil {
		e.put(outputKey(id), []byte(output))
	}
	return code, output, err
}

func (e *exec) createOrganisation(o *ltlv1.Organisation) (int32, string, error) {
	if code := checkOrganisation(o); code != OK {
		return code, "", nil
	}
	all, err := ListOrganisations(e)
	if err != nil {
		return 0, "", err
	}
	for _, p := range all {
		// One key under two names would count as two signatures.
		if p.ID == o.GetId() || string(p.EndorserKey) == string(o.GetEndorserKey()) {
			return Conflict, "", nil
		}
	}
	if len(all) >= MaxOrganisations {
		return QuotaExceeded, "", nil
	}
	n, err := GetNetwork(e)
	if err != nil {
		return 0, "", err
	}
	n.Organisations = append(n.Organisations, o.GetId())
	e.putOrganisation(o)
	e.put(keyNetwork, n.encode())
	return OK, o.GetId(), nil
}

func (e *exec) putOrganisation(o *ltlv1.Organisation) {
	s := Organisation{
		ID: o.GetId(), Name: o.GetName(), CACertificate: o.GetCaCertificate(), EndorserKey: o.GetEndorserKey(),
		EndorserAddress: o.GetEndorserAddress(),
	}
	e.put(prefixOrganisation+s.ID, s.encode())
}

func (e *exec) createAccount(a *ltlv1.CreateAccount, id ledger.Hash, here Locator) (int32, string, error) {
	if code := checkCreateAccount(a); code != OK {
		return code, "", nil
	}
	if known, err := e.exists(prefixOrganisation + a.GetOrganisation()); !known || err != nil {
		return NotFound, "", err
	}
	taken := func(uid string) (bool, error) { return e.exists(prefixAccount + uid) }
	uid := a.GetUid()
	if uid == "" {
		var err error
		if uid, err = firstFree(id, forAccount, digits18, taken); err != nil {
			return 0, "", err
		}
	} else if used, err := taken(uid); used || err != nil {
		return Conflict, "", err
	}
	made := Account{
		UID: uid, Name: a.GetName(), Type: a.GetType(), Organisation: a.GetOrganisation(),
		CreatedHeight: here.Height, CreatedIndex: here.Index,
	}
	e.put(prefixAccount+uid, made.encode())
	return OK, uid, nil
}

func (e *exec) createChain(c *ltlv1.CreateChain, id ledger.Hash, here Locator) (int32, string, error) {
	made, code, err := e.planChain(c, here)
	if code != OK || err != nil {
		return code, "", err
	}
	made.ID, err = firstFree(id, forChain, digits16, func(s string) (bool, error) {
		used, err := e.exists(prefixChain + s)
		return used || s == ledger.SystemChain, err
	})
	if err != nil {
		return 0, "", err
	}
	spellCode := func(h [32]byte) string { return letters(h, ChainCodeLen, alphanumeric) }
	made.Code, err = firstFree(id, forChainCode, spellCode, func(s string) (bool, error) { return e.exists(prefixChainCode + s) })
	if err != nil {
		return 0, "", err
	}
	made.AdministratorTypeCode = spellTypeCode(derive(id, forTypeCode, 0))
	made.AdministratorMemberID = digits16(derive(id, forMember, 0))
	e.put(prefixChain+made.ID, made.encode())
	e.put(prefixChainCode+made.Code, []byte(made.ID))
	e.newChains = append(e.newChains, made.ID)
	return OK, made.ID, nil
}

// planChain judges a CreateChain and fills in its defaults.
func (e *exec) planChain(c *ltlv1.CreateChain, here Locator) (*Chain, int32, error) {
	if code := checkCreateChain(c); code != OK {
		return nil, code, nil
	}
	n, err := GetNetwork(e)
	if err != nil {
		return nil, 0, err
	}
	administrator, err := GetAccount(e, c.GetAdministratorUid())
	if administrator == nil || err != nil {
		return nil, NotFound, err
	}
	organisations := c.GetOrganisations()
	if len(organisations) == 0 {
		organisations = n.Organisations
	}
	for _, o := range organisations {
		if !slices.Contains(n.Organisations, o) {
			return nil, NotFound, nil
		}
	}
	p, err := ParsePolicy(c.GetPolicy())
	if err != nil || !p.satisfiable(administrator.Organisation, organisations) {
		return nil, OutOfRange, nil
	}
	made := &Chain{
		Name: c.GetName(), Remark: c.GetRemark(), Service: c.GetService(), Edition: c.GetEdition(), Region: c.GetRegion(),
		EffectiveMs: c.GetEffectiveMs(), ExpiredMs: c.GetExpiredMs(),
		CapacityQuota: orDefault(c.GetCapacityQuotaBytes(), DefaultCapacityBytes), CountQuota: orDefault(c.GetCountQuota(), DefaultCount),
		MemberQuota: orDefault(c.GetMemberQuota(), DefaultMembers), PhaseGroupQuota: orDefault(c.GetPhaseGroupQuota(), DefaultPhaseGroups),
		PhaseQuota: orDefault(c.GetPhaseQuota(), DefaultPhases), Policy: p.String(), Organisations: organisations,
		AdministratorUID: administrator.UID, CreatedMs: e.timeMs, CreatedHeight: here.Height, CreatedIndex: here.Index,
	}
	if made.Edition == ltlv1.Edition_EDITION_UNSPECIFIED {
		made.Edition = ltlv1.Edition_EDITION_STANDARD
	}
	if made.Region == "" {
		made.Region = DefaultRegion
	}
	if made.EffectiveMs == 0 {
		made.EffectiveMs = e.timeMs
	}
	if made.ExpiredMs == 0 {
		made.ExpiredMs = time.UnixMilli(made.EffectiveMs).UTC().AddDate(DefaultYears, 0, 0).UnixMilli()
	}
	if made.ExpiredMs <= made.EffectiveMs {
		return nil, OutOfRange, nil
	}
	return made, OK, nil
}

func orDefault(v, other uint64) uint64 {
	if v == 0 {
		return other
	}
	return v
}
