package rules

import (
	"slices"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
)

// modifyChain changes what an operator may change of a chain. Quotas may be below what is used: nothing more is taken then.
//
// Another administrator takes over the former one's entry: member id, type code, what was written under it, and the device groups
// registered under it. The former one keeps nothing, and may be made a member.
func (e *exec) modifyChain(m *ltlv1.ModifyChain) (int32, error) {
	if code := checkModifyChain(m); code != OK {
		return code, nil
	}
	c, err := GetChain(e, m.GetChainId())
	if c == nil || err != nil {
		return NotFound, err
	}
	n, err := GetNetwork(e)
	if err != nil {
		return 0, err
	}
	if uid := m.AdministratorUid; uid != nil && *uid != c.AdministratorUID {
		member, err := GetMember(e, c, *uid)
		if err != nil {
			return 0, err
		}
		if member != nil {
			return e.refuse(Conflict, reasonOnChain), nil
		}
		c.AdministratorUID = *uid
	}
	administrator, err := GetAccount(e, c.AdministratorUID)
	if administrator == nil || err != nil {
		return NotFound, err
	}
	if gone, err := Removed(e, administrator.Organisation); gone || err != nil {
		return e.refuse(NotFound, reasonWasRemoved), err
	}
	if len(m.GetOrganisations()) > 0 {
		c.Organisations = m.GetOrganisations()
	}
	for _, o := range c.Organisations {
		if !slices.Contains(n.Organisations, o) {
			return NotFound, nil
		}
	}
	changeChain(c, m)
	p, err := policy.Parse(c.Policy)
	if err != nil || !p.Satisfiable(administrator.Organisation, c.Organisations) || c.ExpiredMs <= c.EffectiveMs {
		return OutOfRange, nil
	}
	c.Policy = p.String()
	e.put(prefixChain+c.ID, c.encode())
	return OK, nil
}

// changeChain fills in what is given and needs no look at anything else.
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
}

// take changes what is given.
func take[T any](to, given *T) {
	if given != nil {
		*to = *given
	}
}

func checkModifyChain(m *ltlv1.ModifyChain) int32 {
	edition := m.Edition == nil || m.GetEdition() == ltlv1.Edition_EDITION_STANDARD || m.GetEdition() == ltlv1.Edition_EDITION_ENTERPRISE
	if !edition || m.Name != nil && !validName(m.GetName()) || !validRemark(m.GetRemark()) || m.Region != nil && !ledger.ValidID(m.GetRegion(), MaxRegion) {
		return OutOfRange
	}
	if m.AdministratorUid != nil && !validUID(m.GetAdministratorUid()) {
		return OutOfRange
	}
	for _, ms := range [...]*int64{m.EffectiveMs, m.ExpiredMs} {
		if ms != nil && (*ms <= 0 || *ms > maxTimeMs) {
			return OutOfRange
		}
	}
	for _, q := range [...]uint64{m.GetCapacityQuotaBytes(), m.GetCountQuota(), m.GetMemberQuota(), m.GetPhaseGroupQuota(), m.GetPhaseQuota()} {
		if q > maxQuota {
			return OutOfRange
		}
	}
	return checkChainPolicy(m.GetPolicy(), m.GetOrganisations())
}
