package facade

import (
	"cmp"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
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
		err = because(ledgerError(r.GetCode()), rules.NotFound, noPhaseGroup)
	}
	return r, err
}

// identifies reports whether a text can be an identifier that the ledger made.
func identifies(id string) bool { return decimal(id, assignedIDLen) }

// checkID judges a parameter that is an identifier: what no identifier looks like names nothing, as the sentence says.
func (c *call) checkID(parameter, sentence string) error {
	if identifies(c.text(parameter)) {
		return nil
	}
	return &formError{refuseBecause(rules.NotFound, sentence)}
}

// createPhaseGroup is the Action CreateMPCoSPhaseGroup.
func createPhaseGroup(c *call) (value, error) {
	if err := cmp.Or(c.checkName("Name"), c.checkRemark()); err != nil {
		return value{}, err
	}
	id, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhaseGroup{
		CreatePhaseGroup: &ltlv1.CreatePhaseGroup{Name: c.text("Name"), Remark: c.text("Remark")},
	}})
	return text(id), because(err, rules.QuotaExceeded, "This chain has as many phase groups as its quota allows; ask the operator to raise it.")
}

// modifyPhaseGroup is the Action ModifyMPCoSPhaseGroup.
func modifyPhaseGroup(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkName("Name"), c.checkRemark()); err != nil {
		return value{}, err
	}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyPhaseGroup{ModifyPhaseGroup: &ltlv1.ModifyPhaseGroup{
		PhaseGroupId: c.text("PhaseGroupId"), Name: c.text("Name"), Remark: c.remark(),
	}}})
	return text(""), because(err, rules.NotFound, noPhaseGroup)
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
	rows := make([]value, 0, len(r.GetGroups()))
	for _, g := range r.GetGroups() {
		rows = append(rows, object(
			textField("PhaseGroupId", g.GetPhaseGroupId()),
			textField("Remark", g.GetRemark()),
			textField("Name", g.GetName()),
		))
	}
	return p.answer(rows, r.GetTotal()), nil
}

// createPhase is the Action CreateMPCoSPhase.
func createPhase(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkName("Name"), c.checkRemark()); err != nil {
		return value{}, err
	}
	id, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhase{CreatePhase: &ltlv1.CreatePhase{
		PhaseGroupId: c.text("PhaseGroupId"), Name: c.text("Name"), Remark: c.text("Remark"),
	}}})
	err = because(err, rules.QuotaExceeded, "This phase group has as many phases as the chain's quota allows; ask the operator to raise it.")
	return text(id), because(err, rules.NotFound, noPhaseGroup)
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
	return text(""), because(err, rules.NotFound, unknown)
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
	rows := make([]value, 0, len(r.GetPhases()))
	for _, phase := range r.GetPhases() {
		rows = append(rows, object(
			intField("AccessPermission", int(phase.GetPermission())),
			textField("PhaseId", phase.GetPhaseId()),
			textField("Remark", phase.GetRemark()),
			textField("Name", phase.GetName()),
		))
	}
	return p.answer(rows, r.GetTotal()), nil
}

const noMember = "No member of this chain has the identifier given in MemberId."

// describeAuthorization is the Action DescribeMPCoSAuthorizedInfo.
func describeAuthorization(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkID("MemberId", noMember)); err != nil {
		return value{}, err
	}
	r, err := c.f.net.GetPhaseAuthorization(c.ctx, &ltlv1.GetPhaseAuthorizationRequest{
		ChainId: c.chainID, AccountUid: c.uid, PhaseGroupId: c.text("PhaseGroupId"), MemberId: c.text("MemberId"),
	})
	if err == nil {
		err = because(ledgerError(r.GetCode()), rules.NotFound, "This chain has no such phase group or no such member; check PhaseGroupId and MemberId.")
		err = because(err, rules.Forbidden, notAdministrator().message)
	}
	if err != nil {
		return value{}, err
	}
	rows := func(phases []*ltlv1.PhaseInfo) value {
		out := make([]value, 0, len(phases))
		for _, p := range phases {
			out = append(out, object(textField("PhaseName", p.GetName()), textField("PhaseId", p.GetPhaseId())))
		}
		return array(out)
	}
	return object(field{"AuthorizedPhaseList", rows(r.GetAuthorized())}, field{"UnAuthorizedPhaseList", rows(r.GetUnauthorized())}), nil
}

// updateAuthorization is the Action UpdateMPCoSAuthorizedInfo. The list replaces what the member had in this phase group.
func updateAuthorization(c *call) (value, error) {
	if err := cmp.Or(c.checkID("PhaseGroupId", noPhaseGroup), c.checkID("MemberId", noMember)); err != nil {
		return value{}, err
	}
	l := c.list("AuthorizedPhaseList")
	ids, ok := l.strings()
	if !ok {
		return value{}, invalid(l.name)
	}
	seen := make(map[string]struct{}, len(ids)) // anybody may send a list as long as maxNodes allows
	for _, id := range ids {
		if !identifies(id) {
			return value{}, &formError{refuseBecause(rules.NotFound, "AuthorizedPhaseList holds what is no identifier of a phase.")}
		}
		if _, twice := seen[id]; twice {
			return value{}, malformed("AuthorizedPhaseList must not hold a phase twice.")
		}
		seen[id] = struct{}{}
	}
	_, err := c.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizePhases{AuthorizePhases: &ltlv1.AuthorizePhases{
		PhaseGroupId: c.text("PhaseGroupId"), MemberId: c.text("MemberId"), PhaseIds: ids,
	}}})
	return text(""), because(err, rules.NotFound,
		"This chain has no such phase group or no such member, or AuthorizedPhaseList holds what is no phase of this phase group.")
}
