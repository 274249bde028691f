package facade

import (
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// collaborationActions is the table of the Actions of the collaboration service.
func collaborationActions() []action {
	chain, group, phase := parameter{name: bizChainID}, parameter{name: "PhaseGroupId"}, parameter{name: "PhaseId"}
	name, remark := parameter{name: "Name"}, parameter{name: "Remark", optional: true}
	filter := parameter{name: "Name", optional: true}
	member := parameter{name: "MemberId"}
	dataKey, dataSeq := parameter{name: "DataKey"}, parameter{name: "DataSeq", optional: true}
	list := func(more ...parameter) []parameter { return append(pageParams(), more...) }
	all := []action{
		{name: "ListMPCoSPhaseGroup", data: kindObject, run: listPhaseGroups, params: list(chain, filter)},
		{name: "ListMPCoSPhase", data: kindObject, run: listPhases, params: list(chain, group, filter)},
		{name: "CreateMPCoSPhaseGroup", data: kindString, admin: true, run: createPhaseGroup, params: []parameter{chain, name, remark}},
		{name: "ModifyMPCoSPhaseGroup", data: kindString, admin: true, run: modifyPhaseGroup, params: []parameter{chain, name, group, remark}},
		{name: "CreateMPCoSPhase", data: kindString, admin: true, run: createPhase, params: []parameter{chain, name, group, remark}},
		{name: "ModifyMPCoSPhase", data: kindString, admin: true, run: modifyPhase, params: []parameter{chain, name, phase, remark}},
		{name: "DescribeMPCoSAuthorizedInfo", data: kindObject, admin: true, run: describeAuthorization, params: []parameter{chain, member, group}},
		{name: "UpdateMPCoSAuthorizedInfo", data: kindString, admin: true, run: updateAuthorization, params: []parameter{
			{name: "AuthorizedPhaseList", kind: typeList}, chain, member, group}},
		{name: "DescribeMPCoSResourceInfo", data: kindObject, admin: true, run: describePhaseQuotas, params: []parameter{chain}},
		{name: "DescribeMPCoSPhaseInfo", data: kindObject, run: describePhaseRecord, params: []parameter{chain, dataKey, group, phase, dataSeq}},
		{name: "ListMPCoSPhaseHistory", data: kindObject, run: listPhaseHistory, params: list(chain, dataKey, group, phase,
			parameter{name: "StartTime", kind: typeLong}, parameter{name: "EndTime", kind: typeLong})},
	}
	text, digest := ltlv1.DataForm_DATA_FORM_TEXT, ltlv1.DataForm_DATA_FORM_DIGEST
	for _, u := range []phaseUpload{
		{name: "UploadMPCoSPhaseTextInfo", form: text},
		{name: "BatchUploadMPCoSPhaseTextInfo", form: text, batch: true},
		{name: "UploadMPCoSPhaseTextInfoByDevice", form: text, device: true},
		{name: "BatchUploadMPCoSPhaseTextInfoByDevice", form: text, batch: true, device: true},
		{name: "UploadMPCoSPhaseDigestInfo", form: digest},
		{name: "BatchUploadMPCoSPhaseDigestInfo", form: digest, batch: true},
		{name: "UploadMPCoSPhaseDigestInfoByDevice", form: digest, device: true},
		{name: "BatchUploadMPCoSPhaseDigestInfoByDevice", form: digest, batch: true, device: true},
	} {
		all = append(all, action{name: u.name, data: kindString, run: u.run, params: u.params()})
	}
	for i := range all {
		all[i].chain, all[i].service = bizChainID, ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
	}
	return append(all, action{name: "ListMultiPartyCollaborationChain", data: kindObject, run: listCollaborationChains, params: list(filter)})
}

// Sentences on what a request names but the chain does not have.
const (
	noPhaseGroup  = "No phase group of this chain has the identifier given in PhaseGroupId."
	noPhase       = "No phase of this phase group has the identifier given in PhaseId."
	noPhaseRecord = "No record has this PhaseGroupId, PhaseId, DataKey and DataSeq."
)

// listCollaborationChains is the Action ListMultiPartyCollaborationChain.
func listCollaborationChains(c *call) (value, error) {
	return c.listChains(ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, func(chain *ltlv1.ChainInfo) value {
		return object(
			textField("BizChainId", chain.GetChainId()),
			textField("RoleType", chain.GetRole()),
			textField("Remark", chain.GetChain().GetRemark()),
			textField("Name", chain.GetChain().GetName()),
		)
	})
}

// describePhaseQuotas is the Action DescribeMPCoSResourceInfo. It has no pages, so that all of the ledger's are read.
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
