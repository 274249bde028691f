package conformance

import (
	"strconv"
	"strings"
	"time"

	"ltl/client/device"
)

// createMember calls CreateMember with valid or invalid parameters.
func (m *model) createMember() {
	p, u, who := m.anyPlace(), m.anyUser(), one(m.r, m.users[1:]...)
	e := &entry{user: who, name: one(m.r, "某公司", "ab", "a"), contact: one(m.r, "张三", "x-y"), phone: one(m.r, "1", "138-1"),
		remark: one(m.r, "", "备注")}
	want := first(m.membership(p, u, true), when(e.name == "a", "400"), when(p.entry(who) != nil, "409"),
		when(len(p.members) > p.memberQuota, "429"))
	a := m.call(u, "CreateMember", params{"BizChainId": p.id, "MemberUid": who.uid, "MemberName": e.name,
		"MemberContact": e.contact, "MemberPhone": e.phone, "Remark": e.remark}, want)
	if want != "200" {
		return
	}
	e.id = a.text()
	p.members = append(p.members, e)
	if p == m.proof {
		e.typeCode = m.call(m.admin, "ListPSMemberDataTypeCode", params{"BizChainId": p.id, "MemberUid": who.uid, "Num": "1",
			"Size": "1"}, "200").rows()[0].str("DataTypeCode")
	}
}

// anyMember is the entry of a random member; nil stands for one that does not exist.
func (m *model) anyMember(p *place) (*entry, string) {
	if i := m.r.IntN(len(p.members)); i > 0 {
		return p.members[i], p.members[i].id
	}
	return nil, "0000000000000001"
}

// lock locks or unlocks.
func (m *model) lock() {
	p, u := m.anyPlace(), m.anyUser()
	e, id := m.anyMember(p)
	locked := m.r.IntN(3) == 0
	want := first(m.membership(p, u, true), when(e == nil, "404"))
	m.call(u, map[bool]string{true: "LockMember", false: "UnLockMember"}[locked],
		params{"BizChainId": p.id, "MemberId": id}, want)
	if want == "200" {
		e.locked = locked
	}
}

// modifyMember changes an entry, sometimes the account that has it. Without Remark the former one stays.
func (m *model) modifyMember() {
	p, u := m.anyPlace(), m.anyUser()
	e, id := m.anyMember(p)
	to := m.admin
	if e != nil {
		to = e.user
	}
	// An account that leaves its last chain gets 403 or -339, and one whose type code changes 403 or -305, as old as its
	// facade's knowledge of it is. So only collaboration entries move, of accounts that stay on the other chain.
	if e != nil && m.r.IntN(4) == 0 && p == m.colla && m.proof.entry(e.user) != nil {
		to = one(m.r, m.users[1:]...)
	}
	change := entry{name: one(m.r, "新名", "n.n", "坏，"), contact: one(m.r, "李四", "zz"), phone: one(m.r, "2-2", "3")}
	want := first(m.membership(p, u, true), when(change.name == "坏，", "400"), when(e == nil, "404"),
		when(e != nil && to != e.user && p.entry(to) != nil, "409"))
	with := params{"BizChainId": p.id, "MemberId": id, "MemberUid": to.uid, "MemberName": change.name,
		"MemberContact": change.contact, "MemberPhone": change.phone}
	remark, given := one(m.r, "", "新"), m.r.IntN(2) == 0
	if given {
		with["Remark"] = remark
	}
	a := m.call(u, "ModifyMember", with, want)
	if want != "200" {
		return
	}
	if said := a.text(); to == e.user && said != "" || to != e.user && !strings.Contains(said,
		"from account "+e.user.uid+" to account "+to.uid) {
		m.t.Fatalf("%s: Data is %q", m.last, said)
	}
	for _, g := range p.groups {
		if g.owner == e.user {
			g.owner = to
		}
	}
	e.user = to
	e.name, e.contact, e.phone = change.name, change.contact, change.phone
	if given {
		e.remark = remark
	}
}

// listMembers reads members, with and without a filter.
func (m *model) listMembers() {
	p, u := m.anyPlace(), m.anyUser()
	var all [][]string
	filter := params{"BizChainId": p.id}
	if m.r.IntN(3) == 0 {
		filter["MemberUid"] = one(m.r, m.users...).uid
	}
	for _, e := range p.members[1:] {
		if uid := filter["MemberUid"]; uid == "" || uid == e.user.uid {
			all = append(all, []string{map[bool]string{true: "LOCK", false: "UNLOCK"}[e.locked], e.id, e.contact, e.user.uid,
				e.phone, e.name, e.remark})
		}
	}
	m.list(u, "ListMember", filter, first(m.membership(p, u, true)), all, "Status", "MemberId", "MemberContact", "MemberUid",
		"MemberPhone", "MemberName", "Remark")
}

// listChains reads the caller's chains.
func (m *model) listChains() {
	u, p := m.anyUser(), m.anyPlace()
	var all [][]string
	if e := p.entry(u); e != nil && !e.locked {
		all = append(all, []string{p.id, map[bool]string{true: "ADMIN", false: "MEMBER"}[u == m.admin]})
	}
	want := first(when(m.proof.entry(u) == nil && m.colla.entry(u) == nil, "-339"))
	m.list(u, map[bool]string{true: "ListProofChain", false: "ListMultiPartyCollaborationChain"}[p == m.proof], params{},
		want, all, "BizChainId", "RoleType")
}

// capacity reads the used capacity.
func (m *model) capacity() {
	p, u := m.anyPlace(), m.anyUser()
	want := first(m.membership(p, u, false))
	a := m.call(u, "DescribeCapacityInfo", params{"BizChainId": p.id}, want)
	if want == "200" {
		e, d := p.entry(u), a.data()
		m.same("the use", []string{d.str("CountQuota"), d.str("CapacityQuota"), d.str("UsedCount"), d.str("UsedCapacity"),
			d.str("MemberUsedCount"), d.str("MemberUsedCapacity")},
			[]string{strconv.Itoa(p.countQuota), strconv.Itoa(p.capacityQuota), strconv.Itoa(p.count), strconv.Itoa(p.bytes),
				strconv.Itoa(e.count), strconv.Itoa(e.bytes)})
	}
	want = first(m.membership(p, u, true))
	a = m.call(u, "DescribeMemberCapacityInfo", params{"BizChainId": p.id}, want)
	if want != "200" {
		return
	}
	var got, model [][]string
	for _, row := range a.data().items {
		got = append(got, []string{row.str("MemberId"), row.str("UsedCapacity"), row.str("MemberName"), row.str("MemberUid"),
			row.str("UsedCount")})
	}
	for _, e := range p.members[1:] {
		model = append(model, []string{e.id, strconv.Itoa(e.bytes), e.name, e.user.uid, strconv.Itoa(e.count)})
	}
	m.same("the members' use", got, model)
}

// registerGroup registers the product of the chain, or another one.
func (m *model) registerGroup() {
	p, u := m.anyPlace(), m.anyUser()
	bad := m.r.IntN(8) == 0
	product := p.product
	if bad {
		product = "bad product"
	}
	want := first(m.membership(p, u, false), when(bad, "400"), when(len(p.groups) > 0, "409"))
	a := m.call(u, "RegisterDeviceGroup", params{"BizChainId": p.id, "AuthorizeType": "ID2", "DeviceGroupName": "某组",
		"ProductKey": product, "Remark": "备"}, want)
	if want == "200" {
		p.groups = append(p.groups, &deviceGroup{id: a.text(), remark: "备", owner: u})
	}
}

// anyGroup is a random device group; nil stands for one that does not exist.
func (m *model) anyGroup(p *place) (*deviceGroup, string) {
	if len(p.groups) > 0 && m.r.IntN(6) > 0 {
		return p.groups[0], p.groups[0].id
	}
	return nil, "0000000000000001"
}

// authorize authorises a device group or a device, or withdraws the authorisation.
func (m *model) authorize() {
	p, u := m.anyPlace(), m.anyUser()
	g, id := m.anyGroup(p)
	off := m.r.IntN(4) == 0
	name := map[bool]string{true: "UnAuthorizeDevice", false: "AuthorizeDevice"}[off]
	if m.r.IntN(2) == 0 {
		want := first(m.membership(p, u, true), when(g == nil, "404"))
		m.call(u, name+"Group", params{"BizChainId": p.id, "DeviceGroupId": id}, want)
		if want == "200" {
			g.off = off
		}
		return
	}
	var d *deviceEntry
	deviceID := "0000000000000001"
	if g != nil && len(g.devices) > 0 {
		d = one(m.r, g.devices...)
		deviceID = d.id
	}
	want := first(m.membership(p, u, true), when(d == nil, "404"))
	m.call(u, name, params{"BizChainId": p.id, "DeviceGroupId": id, "DeviceId": deviceID}, want)
	if want == "200" {
		d.off = off
	}
}

func authorization(off bool) string {
	return map[bool]string{true: "UNAUTHORIZED", false: "AUTHORIZED"}[off]
}

// listGroups reads device groups and the devices of one.
func (m *model) listGroups() {
	p, u := m.anyPlace(), m.anyUser()
	var all [][]string
	for _, g := range p.groups {
		if u == m.admin || g.owner == u {
			all = append(all, []string{authorization(g.off), g.id, g.owner.uid, p.product, g.remark})
		}
	}
	m.list(u, "ListDeviceGroup", params{"BizChainId": p.id}, first(m.membership(p, u, false)), all, "Status",
		"DeviceGroupId", "OwnerUid", "ProductKey", "Remark")
	g, id := m.anyGroup(p)
	all = nil
	if g != nil {
		for _, d := range g.devices {
			all = append(all, []string{authorization(d.off), d.iotID})
		}
	}
	want := first(m.membership(p, u, false), when(g == nil, "404"), when(g != nil && u != m.admin && g.owner != u, "403"))
	a := m.list(u, "ListDevice", params{"BizChainId": p.id, "DeviceGroupId": id}, want, all, "Status", "IotId")
	if want != "200" {
		return
	}
	for _, row := range a.rows() {
		for _, d := range g.devices {
			if d.iotID == row.str("IotId") {
				d.id = row.str("DeviceId")
			}
		}
	}
}

// vouched is the signature of a device of a payload, and the code with which the model refuses the device, or "".
func (m *model) vouched(p *place, u *user, payload string) (signature params, iotID, code string) {
	i := m.r.IntN(len(p.devices))
	iotID = p.ids[i]
	s, err := p.devices[i].Sign(payload, p.product, time.Now())
	if err != nil {
		m.t.Fatal(err)
	}
	signature = params(s.Map()).with("IotIdSource", one(m.r, "1", "2"))
	switch m.r.IntN(12) {
	case 0:
		signature["IotDataDigest"], code = device.Digest("another"), "-111"
	case 1:
		signature["IotSignature"], code = signature["IotSignature"]+"A", "403"
	}
	if code != "" {
		return signature, iotID, code
	}
	if len(p.groups) == 0 || p.groups[0].owner != u || p.groups[0].off {
		return signature, iotID, "403"
	}
	for _, d := range p.groups[0].devices {
		if d.iotID == iotID && d.off {
			return signature, iotID, "403"
		}
	}
	return signature, iotID, ""
}

// uploaded records an upload of a device, and reads its identifier after its first.
func (m *model) uploaded(p *place, iotID string) {
	g := p.groups[0]
	for _, d := range g.devices {
		if d.iotID == iotID {
			return
		}
	}
	d := &deviceEntry{iotID: iotID}
	g.devices = append(g.devices, d)
	row := m.call(m.admin, "ListDevice", params{"BizChainId": p.id, "DeviceGroupId": g.id, "IotId": iotID, "Num": "1",
		"Size": "1"}, "200").rows()[0]
	d.id = row.str("DeviceId")
}
