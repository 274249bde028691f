package facade

import (
	"cmp"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Messages on what a request names but the chain does not have.
const (
	noPhaseGroup  = "No phase group of this chain has the identifier given in PhaseGroupId."
	noPhase       = "No phase of this phase group has the identifier given in PhaseId."
	noPhaseRecord = "No record has this PhaseGroupId, PhaseId, DataKey and DataSeq."
)

// phaseGroups reads one page of the chain's phase groups.
func (c *call) phaseGroups(in *ltlv1.ListPhaseGroupsRequest) (*ltlv1.ListPhaseGroupsResponse, error) {
	in.ChainId, in.AccountUid = c.chainID, c.uid
	r, err := c.f.net.ListPhaseGroups(c.ctx, in)
	if err == nil {
		err = ledgerError(r.GetCode())
	}
	return r, err
}

// phases reads one page of the phases of the group that PhaseGroupId names.
func (c *call) phases(in *ltlv1.ListPhasesRequest) (*ltlv1.ListPhasesResponse, error) {
	in.ChainId, in.AccountUid, in.PhaseGroupId = c.chainID, c.uid, c.text("PhaseGroupId")
	r, err := c.f.net.ListPhases(c.ctx, in)
	if err == nil {
		err = withMessage(ledgerError(r.GetCode()), rules.NotFound, noPhaseGroup)
	}
	return r, err
}

// createPhaseGroup is the Action CreateMPCoSPhaseGroup.
func createPhaseGroup(c *call) (value, error) {
	if err := cmp.Or(c.checkName("Name"), c.checkRemark()); err != nil {
		return value{}, err
	}
	id, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhaseGroup{
		CreatePhaseGroup: &ltlv1.CreatePhaseGroup{Name: c.text("Name"), Remark: c.text("Remark")},
	}})
	return text(id), withMessage(err, rules.QuotaExceeded,
		"This chain has as many phase groups as its quota allows; ask the operator to raise it.")
}

// modifyPhaseGroup is the Action ModifyMPCoSPhaseGroup.
func modifyPhaseGroup(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkName("Name"), c.checkRemark()); err != nil {
		return value{}, err
	}
	change := &ltlv1.ModifyPhaseGroup{PhaseGroupId: c.text("PhaseGroupId"), Name: c.text("Name"), Remark: c.remark()}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyPhaseGroup{ModifyPhaseGroup: change}})
	return text(""), withMessage(err, rules.NotFound, noPhaseGroup)
}

// listPhaseGroups is the Action ListMPCoSPhaseGroup.
func listPhaseGroups(c *call) (value, error) {
	p, err := c.page()
	if err != nil {
		return value{}, err
	}
	r, err := c.phaseGroups(&ltlv1.ListPhaseGroupsRequest{Name: c.text("Name"), Page: p.num, Size: p.size})
	if err != nil {
		return value{}, err
	}
	return p.data(rows(r.GetGroups(), func(g *ltlv1.PhaseGroupInfo) value {
		return object(
			textField("PhaseGroupId", g.GetPhaseGroupId()),
			textField("Remark", g.GetRemark()),
			textField("Name", g.GetName()),
		)
	}), r.GetTotal()), nil
}

// createPhase is the Action CreateMPCoSPhase.
func createPhase(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkName("Name"), c.checkRemark()); err != nil {
		return value{}, err
	}
	id, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhase{CreatePhase: &ltlv1.CreatePhase{
		PhaseGroupId: c.text("PhaseGroupId"), Name: c.text("Name"), Remark: c.text("Remark"),
	}}})
	err = withMessage(err, rules.QuotaExceeded,
		"This phase group has as many phases as the chain's quota allows; ask the operator to raise it.")
	return text(id), withMessage(err, rules.NotFound, noPhaseGroup)
}

// modifyPhase is the Action ModifyMPCoSPhase.
func modifyPhase(c *call) (value, error) {
	const unknown = "No phase of this chain has the identifier given in PhaseId."
	if err := cmp.Or(c.checkID("PhaseId", unknown), c.checkName("Name"), c.checkRemark()); err != nil {
		return value{}, err
	}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyPhase{ModifyPhase: &ltlv1.ModifyPhase{
		PhaseId: c.text("PhaseId"), Name: c.text("Name"), Remark: c.remark(),
	}}})
	return text(""), withMessage(err, rules.NotFound, unknown)
}

// listPhases is the Action ListMPCoSPhase.
func listPhases(c *call) (value, error) {
	p, err := c.page()
	if err == nil {
		err = c.checkID("PhaseGroupId", noPhaseGroup)
	}
	if err != nil {
		return value{}, err
	}
	r, err := c.phases(&ltlv1.ListPhasesRequest{Name: c.text("Name"), Page: p.num, Size: p.size})
	if err != nil {
		return value{}, err
	}
	return p.data(rows(r.GetPhases(), func(phase *ltlv1.PhaseInfo) value {
		return object(
			intField("AccessPermission", int(phase.GetPermission())),
			textField("PhaseId", phase.GetPhaseId()),
			textField("Remark", phase.GetRemark()),
			textField("Name", phase.GetName()),
		)
	}), r.GetTotal()), nil
}

// describeAuthorization is the Action DescribeMPCoSAuthorizedInfo.
func describeAuthorization(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkID("MemberId", noMember)); err != nil {
		return value{}, err
	}
	r, err := c.f.net.GetPhaseAuthorization(c.ctx, &ltlv1.GetPhaseAuthorizationRequest{
		ChainId: c.chainID, AccountUid: c.uid, PhaseGroupId: c.text("PhaseGroupId"), MemberId: c.text("MemberId"),
	})
	if err == nil {
		err = withMessage(ledgerError(r.GetCode()), rules.NotFound,
			"This chain has no such phase group or no such member; check PhaseGroupId and MemberId.")
	}
	if err != nil {
		return value{}, err
	}
	row := func(p *ltlv1.PhaseInfo) value {
		return object(textField("PhaseName", p.GetName()), textField("PhaseId", p.GetPhaseId()))
	}
	return object(
		field{"AuthorizedPhaseList", array(rows(r.GetAuthorized(), row))},
		field{"UnAuthorizedPhaseList", array(rows(r.GetUnauthorized(), row))},
	), nil
}

// updateAuthorization is the Action UpdateMPCoSAuthorizedInfo. The list replaces the former rights of the member in
// this phase group.
func updateAuthorization(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkID("MemberId", noMember)); err != nil {
		return value{}, err
	}
	l := c.list("AuthorizedPhaseList")
	ids, ok := l.strings()
	if !ok {
		return value{}, invalid(l.name)
	}
	seen := make(map[string]struct{}, len(ids)) // a list may have maxNodes elements: no quadratic search
	for _, id := range ids {
		if !isAssignedID(id) {
			return value{}, newFormErrorMessage(rules.NotFound, "AuthorizedPhaseList holds what is no identifier of a phase.")
		}
		if _, twice := seen[id]; twice {
			return value{}, malformed("AuthorizedPhaseList must not hold a phase twice.")
		}
		seen[id] = struct{}{}
	}
	change := &ltlv1.AuthorizePhases{PhaseGroupId: c.text("PhaseGroupId"), MemberId: c.text("MemberId"), PhaseIds: ids}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizePhases{AuthorizePhases: change}})
	return text(""), withMessage(err, rules.NotFound,
		"This chain has no such phase group or no such member, or AuthorizedPhaseList holds what is no phase of "+
			"this phase group.")
}

// describePhaseQuotas is the Action DescribeMPCoSResourceInfo. Its response has no pages, so that all pages of the
// ledger are read.
func describePhaseQuotas(c *call) (value, error) {
	r, err := c.chainInfo()
	if err != nil {
		return value{}, err
	}
	if r.GetChain().GetRole() != rules.RoleAdmin {
		return value{}, notAdministrator()
	}
	quotas := r.GetChain().GetChain()
	var rows []value
	for number := uint32(1); ; number++ {
		groups, err := c.phaseGroups(&ltlv1.ListPhaseGroupsRequest{Page: number, Size: maxPageSize})
		if err != nil {
			return value{}, err
		}
		for _, g := range groups.GetGroups() {
			rows = append(rows, object(
				longField("PhaseQuota", quotas.GetPhaseQuota()),
				longField("UsedPhase", g.GetUsedPhases()),
				textField("PhaseGroupId", g.GetPhaseGroupId()),
				textField("PhaseGroupName", g.GetName()),
			))
		}
		if len(groups.GetGroups()) < maxPageSize {
			break
		}
	}
	return object(
		longField("PhaseGroupQuota", quotas.GetPhaseGroupQuota()),
		longField("UsedPhaseGroup", r.GetUsedPhaseGroups()),
		longField("UsedMember", r.GetUsedMembers()),
		field{"PhaseQuotaInfoList", array(rows)},
		longField("MemberQuota", quotas.GetMemberQuota()),
	), nil
}
