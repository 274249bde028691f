package facade

import (
	"slices"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// bizChainID names the chain of all Actions but those on records, which name it by chainCode.
const (
	bizChainID = "BizChainId"
	chainCode  = "ProductKey"
)

// parameterType is what the text of a parameter must be. The zero value is any text.
type parameterType uint8

const (
	// typeInteger is a decimal number of 32 bits, typeLong one of 64.
	typeInteger parameterType = iota + 1
	typeLong
	// typeList is a list in one of the forms of decodeList; an Action gets it from call.list.
	typeList
	// typeRecords is a list of records in the same forms. Its Action decodes it, because a device signs its text.
	typeRecords
)

// parameter is one parameter of an Action.
type parameter struct {
	name string
	kind parameterType
	// optional parameters may be absent. An optional number or list may also be empty.
	optional bool
	// payload texts may have any length, because too long a payload has a result code of its own. Other texts are
	// bounded by maxText.
	payload bool
	// absent, if not 0, is the result code for a mandatory parameter that is absent, in place of the gateway error
	// Missing<Name>.
	absent int32
}

// action is one row of the table of Actions.
type action struct {
	name   string
	params []parameter
	// chain is the parameter that names the chain, bizChainID or chainCode; empty for Actions on the account as a whole.
	chain string
	// service is the service that the chain named by BizChainId must be of; unspecified for Actions on chains of either.
	service ltlv1.ChainService
	// admin marks Actions of the administrator only.
	admin bool
	// data is the form of Data. The response to a refused call has "" where it is a string, and no Data where it is a
	// structure.
	data kind
	// media is the media type of the file with which it answers; empty for Actions.
	media string
	run   func(*call) (value, error)
	// first asks the ledger for the refusal that precedes a form error of this Action; see checks. Nil if there is none.
	first func(*call) error
}

// actions is the table of the 45 Actions, in the order of the manual.
func actions() []action {
	return slices.Concat(generalActions(), recordActions(), phaseActions())
}

// paged are the parameters of a list that is read page by page, followed by others. Their order decides which absence
// is reported.
func paged(more ...parameter) []parameter {
	return append([]parameter{{name: "Num", kind: typeInteger}, {name: "Size", kind: typeInteger}}, more...)
}

// generalActions are the Actions on members, devices and resources of a chain of either service.
func generalActions() []action {
	chain := parameter{name: bizChainID}
	remark := parameter{name: "Remark", optional: true}
	memberID, memberUID := parameter{name: "MemberId"}, parameter{name: "MemberUid"}
	contact, name, phone := parameter{name: "MemberContact"}, parameter{name: "MemberName"}, parameter{name: "MemberPhone"}
	group, device := parameter{name: "DeviceGroupId"}, parameter{name: "DeviceId"}
	productKey := parameter{name: "ProductKey"}
	list := func(more ...parameter) []parameter { return slices.Concat([]parameter{chain}, more, paged()) }
	all := []action{
		{name: "CreateMember", data: kindString, run: createMember, admin: true, params: []parameter{
			chain, contact, name, phone, memberUID, remark}},
		{name: "ListMember", data: kindObject, run: listMember, admin: true,
			params: list(parameter{name: "MemberUid", optional: true})},
		{name: "ModifyMember", data: kindString, run: modifyMember, admin: true, params: []parameter{
			chain, contact, memberID, name, phone, memberUID, remark}},
		{name: "LockMember", data: kindString, run: lockMember, admin: true, params: []parameter{chain, memberID}},
		{name: "UnLockMember", data: kindString, run: unlockMember, admin: true, params: []parameter{chain, memberID}},
		{name: "RegisterDeviceGroup", data: kindString, run: registerDeviceGroup, params: []parameter{
			{name: "AuthorizeType"}, chain, {name: "DeviceGroupName"}, productKey, remark}},
		{name: "ListDeviceGroup", data: kindObject, run: listDeviceGroup,
			params: list(parameter{name: "ProductKey", optional: true})},
		{name: "AuthorizeDeviceGroup", data: kindString, run: authorizeDeviceGroup, admin: true,
			params: []parameter{chain, group}},
		{name: "UnAuthorizeDeviceGroup", data: kindString, run: unauthorizeDeviceGroup, admin: true,
			params: []parameter{chain, group}},
		{name: "ListDevice", data: kindObject, run: listDevice,
			params: list(group, parameter{name: "IotId", optional: true})},
		{name: "AuthorizeDevice", data: kindString, run: authorizeDevice, admin: true,
			params: []parameter{chain, group, device}},
		{name: "UnAuthorizeDevice", data: kindString, run: unauthorizeDevice, admin: true,
			params: []parameter{chain, group, device}},
		{name: "DescribeResourceInfo", data: kindObject, run: describeResourceInfo, params: []parameter{chain}},
		{name: "DescribeCapacityInfo", data: kindObject, run: describeCapacityInfo, params: []parameter{chain}},
		{name: "DescribeMemberCapacityInfo", data: kindArray, run: describeMemberCapacityInfo, admin: true,
			params: []parameter{chain}},
	}
	for i := range all {
		all[i].chain, all[i].first = bizChainID, chainRefusal
	}
	return all
}

// recordActions are the Actions of the proof service.
func recordActions() []action {
	key, productKey := parameter{name: "Key"}, parameter{name: chainCode}
	value := parameter{name: "Value", payload: true, absent: rules.BadValue}
	businessID := parameter{name: "BusinessId", optional: true}
	corrects := parameter{name: correctsHash, optional: true}
	reason := parameter{name: correctsReason, optional: true}
	start := parameter{name: "StartTime", kind: typeLong, optional: true}
	end := parameter{name: "EndTime", kind: typeLong, optional: true}
	signed := func(params ...parameter) []parameter { return append(deviceParameters(), params...) }
	writes := []action{
		{name: "SetDataWithSignature", data: kindString, run: setDataWithSignature, params: signed(key, productKey, value)},
		{name: "AttachDataWithSignature", data: kindString, run: attachDataWithSignature,
			params: signed(key, productKey, value, businessID, corrects, reason)},
		{name: "SetData", data: kindString, run: setData, params: []parameter{key, productKey, value}},
		{name: "AttachData", data: kindString, run: attachData,
			params: []parameter{key, productKey, value, businessID, corrects, reason}},
	}
	reads := []action{
		{name: "GetData", data: kindString, run: getData, params: []parameter{businessID, key, productKey}},
		{name: "GetBlockChainInfo", data: kindString, run: getBlockChainInfo,
			params: []parameter{key, productKey, businessID}},
		{name: "GetHistoryDataCount", data: kindString, run: getHistoryDataCount,
			params: []parameter{key, productKey, start, end}},
		{name: "GetHistoryDataList", data: kindObject, run: getHistoryDataList, params: []parameter{
			{name: "CurrentPage", kind: typeInteger}, key, {name: "PageSize", kind: typeInteger}, productKey, start, end}},
	}
	for i := range writes {
		writes[i].chain, writes[i].first = chainCode, writeRefusal
	}
	for i := range reads {
		reads[i].chain, reads[i].first = chainCode, readRefusal
	}
	return slices.Concat([]action{
		{name: "ListProofChain", data: kindObject, run: listProofChain,
			params: paged(parameter{name: "Name", optional: true})},
		{name: "ListPSMemberDataTypeCode", data: kindObject, run: listPSMemberDataTypeCode, admin: true,
			chain: bizChainID, service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, first: chainRefusal,
			params: append([]parameter{{name: bizChainID}}, paged(parameter{name: "MemberUid", optional: true})...)},
	}, writes, reads)
}

// phaseActions are the Actions of the collaboration service.
func phaseActions() []action {
	chain, group, phase := parameter{name: bizChainID}, parameter{name: "PhaseGroupId"}, parameter{name: "PhaseId"}
	name, remark := parameter{name: "Name"}, parameter{name: "Remark", optional: true}
	filter := parameter{name: "Name", optional: true}
	member := parameter{name: "MemberId"}
	dataKey, dataSeq := parameter{name: "DataKey"}, parameter{name: "DataSeq", optional: true}
	all := []action{
		{name: "ListMPCoSPhaseGroup", data: kindObject, run: listPhaseGroups, params: paged(chain, filter)},
		{name: "ListMPCoSPhase", data: kindObject, run: listPhases, params: paged(chain, group, filter)},
		{name: "CreateMPCoSPhaseGroup", data: kindString, admin: true, run: createPhaseGroup,
			params: []parameter{chain, name, remark}},
		{name: "ModifyMPCoSPhaseGroup", data: kindString, admin: true, run: modifyPhaseGroup,
			params: []parameter{chain, name, group, remark}},
		{name: "CreateMPCoSPhase", data: kindString, admin: true, run: createPhase,
			params: []parameter{chain, name, group, remark}},
		{name: "ModifyMPCoSPhase", data: kindString, admin: true, run: modifyPhase,
			params: []parameter{chain, name, phase, remark}},
		{name: "DescribeMPCoSAuthorizedInfo", data: kindObject, admin: true, run: describeAuthorization,
			params: []parameter{chain, member, group}},
		{name: "UpdateMPCoSAuthorizedInfo", data: kindString, admin: true, run: updateAuthorization, params: []parameter{
			{name: "AuthorizedPhaseList", kind: typeList}, chain, member, group}},
		{name: "DescribeMPCoSResourceInfo", data: kindObject, admin: true, run: describePhaseQuotas,
			params: []parameter{chain}},
		{name: "DescribeMPCoSPhaseInfo", data: kindObject, run: describePhaseRecord,
			params: []parameter{chain, dataKey, group, phase, dataSeq}},
		{name: "ListMPCoSPhaseHistory", data: kindObject, run: listPhaseHistory, params: paged(chain, dataKey, group, phase,
			parameter{name: "StartTime", kind: typeLong}, parameter{name: "EndTime", kind: typeLong})},
	}
	for i := range all {
		all[i].first = chainRefusal
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
		all = append(all, action{name: u.name, data: kindString, run: u.run, params: u.params(), first: phaseRefusal})
	}
	for i := range all {
		all[i].chain, all[i].service = bizChainID, ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
	}
	return append(all, action{name: "ListMultiPartyCollaborationChain", data: kindObject, run: listCollaborationChains,
		params: paged(filter)})
}
