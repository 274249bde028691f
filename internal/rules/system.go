package rules

import (
	"slices"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// applySystem runs the rules of the system chain: operators write it, in nobody's name.
func (e *exec) applySystem(tx *ltlv1.Transaction, id ledger.Hash, here Locator) (code int32, output string, err error) {
	submitter := e.identity(tx.GetSubmitter())
	if submitter.role != roleOperator {
		return Forbidden, "", nil
	}
	if known, err := e.exists(prefixOrganisation + submitter.organisation); !known || err != nil {
		return Forbidden, "", err
	}
	if barred, err := e.barred(tx.GetSubmitter()); barred || err != nil {
		return e.refuse(Forbidden, reasonBarred), "", err
	}
	switch act := tx.GetAction().(type) {
	case *ltlv1.Transaction_CreateOrganisation:
		code, output, err = e.createOrganisation(act.CreateOrganisation.GetOrganisation())
	case *ltlv1.Transaction_CreateAccount:
		code, output, err = e.createAccount(act.CreateAccount, id, here)
	case *ltlv1.Transaction_CreateChain:
		code, output, err = e.createChain(act.CreateChain, id, here)
	case *ltlv1.Transaction_ModifyChain:
		code, err = e.modifyChain(act.ModifyChain)
	case *ltlv1.Transaction_EnrollDevice:
		code, err = e.enrollDevice(act.EnrollDevice, submitter.organisation, here)
	case *ltlv1.Transaction_RevokeDevice:
		code, err = e.revokeDevice(act.RevokeDevice, submitter.organisation)
	case *ltlv1.Transaction_AddNode:
		code, output, err = e.addNode(act.AddNode, here)
	case *ltlv1.Transaction_ChangeNode:
		code, err = e.changeNode(act.ChangeNode, here)
	case *ltlv1.Transaction_ModifyOrganisation:
		code, err = e.modifyOrganisation(act.ModifyOrganisation, submitter.organisation, here)
	case *ltlv1.Transaction_RemoveOrganisation:
		code, err = e.removeOrganisation(act.RemoveOrganisation.GetId(), here)
	case *ltlv1.Transaction_RevokeCertificate:
		code, err = e.revokeCertificate(act.RevokeCertificate, submitter.organisation, here)
	case *ltlv1.Transaction_ActivateRules:
		code, err = e.activateRules(act.ActivateRules)
	default:
		code = Forbidden // a second genesis
	}
	if code == OK && err == nil && output != "" {
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
	if gone, err := Removed(e, o.GetId()); gone || err != nil {
		return e.refuse(Conflict, reasonWasRemoved), "", err
	}
	if former, err := GetFormerKey(e, ledger.KeyID(o.GetEndorserKey())); former != nil || err != nil {
		return e.refuse(Conflict, reasonKeyUsed), "", err
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
	if gone, err := Removed(e, a.GetOrganisation()); gone || err != nil {
		return e.refuse(NotFound, reasonWasRemoved), "", err
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
	if gone, err := Removed(e, administrator.Organisation); gone || err != nil {
		return nil, e.refuse(NotFound, reasonWasRemoved), err
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
	p, err := policy.Parse(c.GetPolicy())
	if err != nil || !p.Satisfiable(administrator.Organisation, organisations) {
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
