package facade

import (
	"ltl/internal/rules"
)

// generalActions is the table of the Actions about members, devices and resources of a chain of either service.
func generalActions() []action {
	chain := parameter{name: bizChainID}
	remark := parameter{name: "Remark", optional: true}
	memberID, memberUID := parameter{name: "MemberId"}, parameter{name: "MemberUid"}
	contact, name, phone := parameter{name: "MemberContact"}, parameter{name: "MemberName"}, parameter{name: "MemberPhone"}
	group, device := parameter{name: "DeviceGroupId"}, parameter{name: "DeviceId"}
	list := func(more ...parameter) []parameter {
		return append(append([]parameter{chain}, more...), pageParams()...)
	}
	all := []action{
		{name: "CreateMember", data: kindString, run: createMember, admin: true, params: []parameter{chain, contact, name, phone, memberUID, remark}},
		{name: "ListMember", data: kindObject, run: listMember, admin: true, params: list(parameter{name: "MemberUid", optional: true})},
		{name: "ModifyMember", data: kindString, run: modifyMember, admin: true, params: []parameter{
			chain, contact, memberID, name, phone, memberUID, remark}},
		{name: "LockMember", data: kindString, run: lockMember, admin: true, params: []parameter{chain, memberID}},
		{name: "UnLockMember", data: kindString, run: unlockMember, admin: true, params: []parameter{chain, memberID}},
		{name: "RegisterDeviceGroup", data: kindString, run: registerDeviceGroup, params: []parameter{
			{name: "AuthorizeType"}, chain, {name: "DeviceGroupName"}, {name: "ProductKey"}, remark}},
		{name: "ListDeviceGroup", data: kindObject, run: listDeviceGroup, params: list(parameter{name: "ProductKey", optional: true})},
		{name: "AuthorizeDeviceGroup", data: kindString, run: authorizeDeviceGroup, admin: true, params: []parameter{chain, group}},
		{name: "UnAuthorizeDeviceGroup", data: kindString, run: unauthorizeDeviceGroup, admin: true, params: []parameter{chain, group}},
		{name: "ListDevice", data: kindObject, run: listDevice, params: list(group, parameter{name: "IotId", optional: true})},
		{name: "AuthorizeDevice", data: kindString, run: authorizeDevice, admin: true, params: []parameter{chain, group, device}},
		{name: "UnAuthorizeDevice", data: kindString, run: unauthorizeDevice, admin: true, params: []parameter{chain, group, device}},
		{name: "DescribeResourceInfo", data: kindObject, run: describeResourceInfo, params: []parameter{chain}},
		{name: "DescribeCapacityInfo", data: kindObject, run: describeCapacityInfo, params: []parameter{chain}},
		{name: "DescribeMemberCapacityInfo", data: kindArray, run: describeMemberCapacityInfo, admin: true, params: []parameter{chain}},
	}
	for i := range all {
		all[i].chain = bizChainID
	}
	return all
}

// page is one page of a list: its number from 1, and its size.
type page struct{ num, size uint32 }

// page reads Num and Size.
func (c *call) page() (page, error) {
	num, size, bad := c.paging("Num", "Size")
	if bad != nil {
		return page{}, &formError{bad}
	}
	return page{uint32(num), uint32(size)}, nil
}

// answer is the Data of a list: the rows of the page, and how many there are in all.
func (p page) answer(rows []value, total uint64) value {
	return object(field{"PageData", array(rows)}, longField("Size", uint64(p.size)), longField("Num", uint64(p.num)), longField("Total", total))
}

// checkName judges a parameter that is a name.
func (c *call) checkName(parameter string) error {
	if rules.ValidName(c.text(parameter)) {
		return nil
	}
	return malformed(parameter + " must be 2 to 30 Chinese characters, English letters, digits, '_', '-', '.', '(' or ')'.")
}

// checkRemark judges Remark; an absent one is right.
func (c *call) checkRemark() error {
	if rules.ValidRemark(c.text("Remark")) {
		return nil
	}
	return malformed("Remark must not have more than 100 characters.")
}

// remark is Remark for a change: nil when it is absent and shall stay as it is. An empty one clears it.
func (c *call) remark() *string {
	if v, ok := c.q.get("Remark"); ok {
		return &v
	}
	return nil
}

// either is the name of a state that is on or off.
func either(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}
