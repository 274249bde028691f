package rules

import (
	"slices"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

func checkCreateChain(tx *ltlv1.Transaction) int32 {
	c := tx.GetCreateChain()
	service := c.GetService() == ltlv1.ChainService_CHAIN_SERVICE_PROOF ||
		c.GetService() == ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
	edition := c.GetEdition() >= ltlv1.Edition_EDITION_UNSPECIFIED && c.GetEdition() <= ltlv1.Edition_EDITION_ENTERPRISE
	if !service || !edition || !ValidName(c.GetName()) || !ValidRemark(c.GetRemark()) ||
		!ValidUID(c.GetAdministratorUid()) {
		return OutOfRange
	}
	if c.GetRegion() != "" && !ledger.ValidID(c.GetRegion(), MaxRegion) {
		return OutOfRange
	}
	if bad := func(ms int64) bool { return ms < 0 || ms > maxTimeMs }; bad(c.GetEffectiveMs()) || bad(c.GetExpiredMs()) {
		return OutOfRange
	}
	if c.GetEffectiveMs() != 0 && c.GetExpiredMs() != 0 && c.GetExpiredMs() <= c.GetEffectiveMs() {
		return OutOfRange
	}
	for _, q := range [...]uint64{c.GetCapacityQuotaBytes(), c.GetCountQuota(), c.GetMemberQuota(),
		c.GetPhaseGroupQuota(), c.GetPhaseQuota()} {
		if q > maxQuota {
			return OutOfRange
		}
	}
	return checkChainPolicy(c.GetPolicy(), c.GetOrganisations())
}

// checkChainPolicy checks a policy and a list of organisations without looking at the network.
func checkChainPolicy(text string, organisations []string) int32 {
	if _, err := policy.Parse(text); err != nil || len(organisations) > MaxOrganisations {
		return OutOfRange
	}
	for i, o := range organisations {
		if !ledger.ValidID(o, MaxOrganisationID) || slices.Contains(organisations[:i], o) {
			return OutOfRange
		}
	}
	return OK
}

func (e *exec) createChain(act action) (int32, string, error) {
	c := act.tx.GetCreateChain()
	made, code, err := e.planChain(c, act.here)
	if code != OK || err != nil {
		return code, "", err
	}
	made.ID, err = firstFree(act.id, forChain, digits16, func(s string) (bool, error) {
		used, err := e.exists(prefixChain + s)
		return used || s == ledger.SystemChain, err
	})
	if err != nil {
		return 0, "", err
	}
	spellCode := func(h [32]byte) string { return letters(h, ChainCodeLen, alphanumeric) }
	made.Code, err = firstFree(act.id, forChainCode, spellCode,
		func(s string) (bool, error) { return e.exists(prefixChainCode + s) })
	if err != nil {
		return 0, "", err
	}
	made.AdministratorTypeCode = spellTypeCode(derive(act.id, forTypeCode, 0))
	made.AdministratorMemberID = digits16(derive(act.id, forMember, 0))
	e.put(prefixChain+made.ID, made.encode())
	e.put(prefixChainCode+made.Code, []byte(made.ID))
	e.newChains = append(e.newChains, made.ID)
	return OK, made.ID, nil
}

// planChain checks a CreateChain against the state, fills in its defaults, and counts the chain for its owner.
func (e *exec) planChain(c *ltlv1.CreateChain, here Locator) (*Chain, int32, error) {
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
		CapacityQuota:   orDefault(c.GetCapacityQuotaBytes(), DefaultCapacityBytes),
		CountQuota:      orDefault(c.GetCountQuota(), DefaultCount),
		MemberQuota:     orDefault(c.GetMemberQuota(), DefaultMembers),
		PhaseGroupQuota: orDefault(c.GetPhaseGroupQuota(), DefaultPhaseGroups),
		PhaseQuota:      orDefault(c.GetPhaseQuota(), DefaultPhases), Policy: p.String(), Organisations: organisations,
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
	code, err := e.enter(administrator.Organisation, tableChains)
	return made, code, err
}

func orDefault(v, other uint64) uint64 {
	if v == 0 {
		return other
	}
	return v
}

func checkModifyChain(tx *ltlv1.Transaction) int32 {
	m := tx.GetModifyChain()
	edition := m.Edition == nil || m.GetEdition() == ltlv1.Edition_EDITION_STANDARD ||
		m.GetEdition() == ltlv1.Edition_EDITION_ENTERPRISE
	if !edition || m.Name != nil && !ValidName(m.GetName()) || !ValidRemark(m.GetRemark()) ||
		m.Region != nil && !ledger.ValidID(m.GetRegion(), MaxRegion) {
		return OutOfRange
	}
	if m.AdministratorUid != nil && !ValidUID(m.GetAdministratorUid()) {
		return OutOfRange
	}
	for _, ms := range [...]*int64{m.EffectiveMs, m.ExpiredMs} {
		if ms != nil && (*ms <= 0 || *ms > maxTimeMs) {
			return OutOfRange
		}
	}
	for _, q := range [...]uint64{m.GetCapacityQuotaBytes(), m.GetCountQuota(), m.GetMemberQuota(),
		m.GetPhaseGroupQuota(), m.GetPhaseQuota()} {
		if q > maxQuota {
			return OutOfRange
		}
	}
	return checkChainPolicy(m.GetPolicy(), m.GetOrganisations())
}

// modifyChain changes what an operator may change of a chain. A quota may be set below what is used: then no more is
// accepted.
//
// A new administrator takes over the former one's entry: member id, type code, the records written under it, and the
// device groups registered under it. The former administrator is no longer on the chain, and may be added as a
// member.
func (e *exec) modifyChain(act action) (int32, string, error) {
	m := act.tx.GetModifyChain()
	c, err := GetChain(e, m.GetChainId())
	if c == nil || err != nil {
		return NotFound, "", err
	}
	n, err := GetNetwork(e)
	if err != nil {
		return 0, "", err
	}
	if uid := m.AdministratorUid; uid != nil && *uid != c.AdministratorUID {
		member, err := GetMember(e, c, *uid)
		if err != nil {
			return 0, "", err
		}
		if member != nil {
			return e.refuse(Conflict, reasonOnChain), "", nil
		}
		c.AdministratorUID = *uid
	}
	administrator, err := GetAccount(e, c.AdministratorUID)
	if administrator == nil || err != nil {
		return NotFound, "", err
	}
	if gone, err := Removed(e, administrator.Organisation); gone || err != nil {
		return e.refuse(NotFound, reasonWasRemoved), "", err
	}
	if len(m.GetOrganisations()) > 0 {
		c.Organisations = m.GetOrganisations()
	}
	for _, o := range c.Organisations {
		if !slices.Contains(n.Organisations, o) {
			return NotFound, "", nil
		}
	}
	changeChain(c, m)
	p, err := policy.Parse(c.Policy)
	if err != nil || !p.Satisfiable(administrator.Organisation, c.Organisations) || c.ExpiredMs <= c.EffectiveMs {
		return OutOfRange, "", nil
	}
	c.Policy = p.String()
	e.put(prefixChain+c.ID, c.encode())
	return OK, "", nil
}

// changeChain sets the fields that are given and that depend on nothing else.
func changeChain(c *Chain, m *ltlv1.ModifyChain) {
	take(&c.Name, m.Name)
	take(&c.Remark, m.Remark)
	take(&c.Edition, m.Edition)
	take(&c.Region, m.Region)
	take(&c.EffectiveMs, m.EffectiveMs)
	take(&c.ExpiredMs, m.ExpiredMs)
	take(&c.CapacityQuota, m.CapacityQuotaBytes)
	take(&c.CountQuota, m.CountQuota)
	take(&c.MemberQuota, m.MemberQuota)
	take(&c.PhaseGroupQuota, m.PhaseGroupQuota)
	take(&c.PhaseQuota, m.PhaseQuota)
	take(&c.Policy, m.Policy)
	take(&c.TimeStands, m.TimeStands)
}

// take sets *to to the given value, if there is one.
func take[T any](to, given *T) {
	if given != nil {
		*to = *given
	}
}
