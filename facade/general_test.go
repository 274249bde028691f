package facade

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	proofID = "0000000000000011" // adminUID is its administrator, memberUID a member
	coID    = "0000000000000013" // adminUID is its administrator
)

// shape is the transaction or read that one Action makes of a request, and its response, with the order and the types
// of members that existing clients expect.
type shape struct {
	action, user string
	pairs        []string
	// tx is the expected transaction, without its envelope; reads is the expected request of a read.
	tx    *ltlv1.Transaction
	reads proto.Message
	// answer is the response of the read; output is the output of the transaction.
	answer any
	output string
	// json is Data in JSON; xml is the element Data in XML.
	json, xml string
}

func chainOf(id string, more ...string) []string { return append([]string{"BizChainId", id}, more...) }

func memberShapes() []shape {
	member := []string{"MemberContact", "张三", "MemberName", "某公司", "MemberPhone", "1381111-0000", "MemberUid", memberUID}
	two := &ltlv1.ListMembersResponse{Code: rules.OK, Total: 30, Members: []*ltlv1.MemberInfo{
		{MemberId: "7175344570030001", Uid: memberUID, Name: "某公司", Contact: "张三", Phone: "1381111-0000", Remark: "某应用某业务",
			Role:   "MEMBER",
			Status: "UNLOCK", DataTypeCode: "0X58", UsedCount: 26666, UsedBytes: 70000000},
		{MemberId: "0175344570030002", Uid: otherUID, Name: "b.(c)-_", Contact: "李四", Phone: "1", Role: "MEMBER",
			Status: "LOCK", DataTypeCode: "4R98"},
	}}
	return []shape{
		{action: "CreateMember", user: "admin", pairs: chainOf(proofID, member...), output: "7175344570030001",
			json: `"7175344570030001"`,
			xml:  `<Data>7175344570030001</Data>`,
			tx: &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
				MemberUid: memberUID, Name: "某公司", Contact: "张三", Phone: "1381111-0000"}}}},
		{action: "CreateMember", user: "admin", pairs: chainOf(coID, append(member, "Remark", "某应用某业务")...), output: "1",
			json: `"1"`, xml: `<Data>1</Data>`,
			tx: &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
				MemberUid: memberUID, Name: "某公司", Contact: "张三", Phone: "1381111-0000", Remark: "某应用某业务"}}}},
		{action: "ListMember", user: "admin", pairs: chainOf(proofID, "Num", "1", "Size", "2"), answer: two,
			reads: &ltlv1.ListMembersRequest{ChainId: proofID, AccountUid: adminUID, Page: 1, Size: 2},
			json: `{"PageData":[{"Status":"UNLOCK","MemberId":"7175344570030001","MemberContact":"张三","MemberUid":"` +
				memberUID +
				`","MemberPhone":"1381111-0000","MemberName":"某公司","Remark":"某应用某业务"},{"Status":"LOCK","MemberId":"0175344570030002","MemberContact":"李四","MemberUid":"` +
				otherUID + `","MemberPhone":"1","MemberName":"b.(c)-_","Remark":""}],"Size":2,"Num":1,"Total":30}`,
			xml: `<Data><PageData><Status>UNLOCK</Status><MemberId>7175344570030001</MemberId><MemberContact>张三</MemberContact><MemberUid>` + memberUID +
				`</MemberUid><MemberPhone>1381111-0000</MemberPhone><MemberName>某公司</MemberName><Remark>某应用某业务</Remark></PageData><PageData><Status>LOCK</Status>` +
				`<MemberId>0175344570030002</MemberId><MemberContact>李四</MemberContact><MemberUid>` + otherUID +
				`</MemberUid><MemberPhone>1</MemberPhone><MemberName>b.(c)-_</MemberName><Remark></Remark></PageData><Size>2</Size><Num>1</Num><Total>30</Total></Data>`},
		{action: "ListMember", user: "admin", pairs: chainOf(coID, "Num", "2", "Size", "100", "MemberUid", otherUID),
			answer: &ltlv1.ListMembersResponse{Code: rules.OK},
			reads:  &ltlv1.ListMembersRequest{ChainId: coID, AccountUid: adminUID, MemberUid: otherUID, Page: 2, Size: 100},
			json:   `{"PageData":[],"Size":100,"Num":2,"Total":0}`,
			xml:    `<Data><Size>100</Size><Num>2</Num><Total>0</Total></Data>`},
		{action: "ModifyMember", user: "admin", pairs: chainOf(proofID, append(member, "MemberId", "7175344570030001")...),
			json: `""`, xml: `<Data></Data>`,
			tx: &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyMember{ModifyMember: &ltlv1.ModifyMember{
				MemberId: "7175344570030001", MemberUid: memberUID, Name: "某公司", Contact: "张三", Phone: "1381111-0000"}}}},
		{action: "ModifyMember", user: "admin",
			pairs: chainOf(proofID, append(member, "MemberId", "7175344570030001", "Remark", "")...), json: `""`,
			xml: `<Data></Data>`,
			tx: &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyMember{ModifyMember: &ltlv1.ModifyMember{
				MemberId: "7175344570030001", MemberUid: memberUID, Name: "某公司", Contact: "张三", Phone: "1381111-0000",
				Remark: new(string)}}}},
		{action: "ModifyMember", user: "admin", output: otherUID,
			pairs: chainOf(proofID, append(member, "MemberId", "7175344570030001")...),
			json:  `"` + entryPassed("7175344570030001", otherUID, memberUID) + `"`,
			xml:   `<Data>` + entryPassed("7175344570030001", otherUID, memberUID) + `</Data>`,
			tx: &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyMember{ModifyMember: &ltlv1.ModifyMember{
				MemberId: "7175344570030001", MemberUid: memberUID, Name: "某公司", Contact: "张三", Phone: "1381111-0000"}}}},
		{action: "LockMember", user: "admin", pairs: chainOf(proofID, "MemberId", "7175344570030001"), json: `""`,
			xml: `<Data></Data>`,
			tx:  &ltlv1.Transaction{Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: "7175344570030001", Locked: true}}}},
		{action: "UnLockMember", user: "admin", pairs: chainOf(proofID, "MemberId", "7175344570030001"), json: `""`,
			xml: `<Data></Data>`,
			tx:  &ltlv1.Transaction{Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: "7175344570030001"}}}},
		{action: "ListPSMemberDataTypeCode", user: "admin", pairs: chainOf(proofID, "Num", "1", "Size", "2"), answer: two,
			reads: &ltlv1.ListMembersRequest{ChainId: proofID, AccountUid: adminUID, WithAdministrator: true, Page: 1, Size: 2},
			json: `{"PageData":[{"MemberId":"7175344570030001","MemberName":"某公司","MemberUid":"` + memberUID +
				`","DataTypeCode":"0X58"},` +
				`{"MemberId":"0175344570030002","MemberName":"b.(c)-_","MemberUid":"` + otherUID +
				`","DataTypeCode":"4R98"}],"Size":2,"Num":1,"Total":30}`,
			xml: `<Data><PageData><MemberId>7175344570030001</MemberId><MemberName>某公司</MemberName><MemberUid>` + memberUID +
				`</MemberUid><DataTypeCode>0X58</DataTypeCode></PageData><PageData><MemberId>0175344570030002</MemberId><MemberName>b.(c)-_</MemberName><MemberUid>` +
				otherUID + `</MemberUid><DataTypeCode>4R98</DataTypeCode></PageData><Size>2</Size><Num>1</Num><Total>30</Total></Data>`},
		{action: "DescribeMemberCapacityInfo", user: "admin", pairs: chainOf(proofID), answer: two,
			reads: &ltlv1.ListMembersRequest{ChainId: proofID, AccountUid: adminUID, Page: 1, Size: 100},
			json: `[{"MemberId":"7175344570030001","UsedCapacity":"70000000","MemberName":"某公司","MemberUid":"` + memberUID +
				`","UsedCount":"26666"},` +
				`{"MemberId":"0175344570030002","UsedCapacity":"0","MemberName":"b.(c)-_","MemberUid":"` + otherUID +
				`","UsedCount":"0"}]`,
			xml: `<Data><MemberId>7175344570030001</MemberId><UsedCapacity>70000000</UsedCapacity><MemberName>某公司</MemberName><MemberUid>` + memberUID +
				`</MemberUid><UsedCount>26666</UsedCount></Data><Data><MemberId>0175344570030002</MemberId><UsedCapacity>0</UsedCapacity><MemberName>b.(c)-_</MemberName>` +
				`<MemberUid>` + otherUID + `</MemberUid><UsedCount>0</UsedCount></Data>`},
		{action: "DescribeMemberCapacityInfo", user: "admin", pairs: chainOf(coID),
			answer: &ltlv1.ListMembersResponse{Code: rules.OK},
			reads:  &ltlv1.ListMembersRequest{ChainId: coID, AccountUid: adminUID, Page: 1, Size: 100}, json: `[]`},
	}
}

func deviceShapes() []shape {
	group := func(authorized bool) *ltlv1.Transaction {
		return &ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizeDeviceGroup{
			AuthorizeDeviceGroup: &ltlv1.AuthorizeDeviceGroup{DeviceGroupId: "4750204547410001", Authorized: authorized}}}
	}
	device := func(authorized bool) *ltlv1.Transaction {
		return &ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizeDevice{AuthorizeDevice: &ltlv1.AuthorizeDevice{
			DeviceGroupId: "4750204547410001", DeviceId: "6548878795570001", Authorized: authorized}}}
	}
	named := []string{"DeviceGroupId", "4750204547410001"}
	both := append(named[:2:2], "DeviceId", "6548878795570001")
	return []shape{
		{action: "RegisterDeviceGroup", user: "member", output: "2563995029290001", json: `"2563995029290001"`,
			xml: `<Data>2563995029290001</Data>`,
			pairs: chainOf(proofID, "AuthorizeType", "ID2", "DeviceGroupName", "某数据源组", "ProductKey", "hKpHMh2aBcD", "Remark",
				"某数据源组的备注信息。"),
			tx: &ltlv1.Transaction{Action: &ltlv1.Transaction_RegisterDeviceGroup{RegisterDeviceGroup: &ltlv1.RegisterDeviceGroup{
				ProductKey: "hKpHMh2aBcD", Name: "某数据源组", AuthorizeType: "ID2", Remark: "某数据源组的备注信息。"}}}},
		{action: "ListDeviceGroup", user: "member", pairs: chainOf(proofID, "Num", "1", "Size", "2", "ProductKey",
			"hKpHMh2aBcD"),
			reads: &ltlv1.ListDeviceGroupsRequest{ChainId: proofID, AccountUid: memberUID, ProductKey: "hKpHMh2aBcD", Page: 1,
				Size: 2},
			answer: &ltlv1.ListDeviceGroupsResponse{Code: rules.OK, Total: 30, Groups: []*ltlv1.DeviceGroupInfo{
				{DeviceGroupId: "5771877006970001", ProductKey: "hKpHMh2aBcD", Name: "不返回", AuthorizeType: "ID2", Remark: "某业务某设备",
					OwnerUid:  memberUID,
					OwnerName: "某公司", Authorized: true},
				{DeviceGroupId: "5771877006980001", AuthorizeType: "ID2"}}},
			json: `{"PageData":[{"Status":"AUTHORIZED","AuthorizeType":"ID2","OwnerName":"某公司","DeviceGroupId":"5771877006970001","OwnerUid":"` + memberUID +
				`","ProductKey":"hKpHMh2aBcD","Remark":"某业务某设备"},{"Status":"UNAUTHORIZED","AuthorizeType":"ID2","OwnerName":"","DeviceGroupId":"5771877006980001",` +
				`"OwnerUid":"","ProductKey":"","Remark":""}],"Size":2,"Num":1,"Total":30}`,
			xml: `<Data><PageData><Status>AUTHORIZED</Status><AuthorizeType>ID2</AuthorizeType><OwnerName>某公司</OwnerName><DeviceGroupId>5771877006970001</DeviceGroupId>` +
				`<OwnerUid>` + memberUID +
				`</OwnerUid><ProductKey>hKpHMh2aBcD</ProductKey><Remark>某业务某设备</Remark></PageData><PageData><Status>UNAUTHORIZED</Status>` +
				`<AuthorizeType>ID2</AuthorizeType><OwnerName></OwnerName><DeviceGroupId>5771877006980001</DeviceGroupId><OwnerUid></OwnerUid><ProductKey></ProductKey>` +
				`<Remark></Remark></PageData><Size>2</Size><Num>1</Num><Total>30</Total></Data>`},
		{action: "AuthorizeDeviceGroup", user: "admin", pairs: chainOf(coID, named...), tx: group(true), json: `""`,
			xml: `<Data></Data>`},
		{action: "UnAuthorizeDeviceGroup", user: "admin", pairs: chainOf(coID, named...), tx: group(false), json: `""`,
			xml: `<Data></Data>`},
		{action: "ListDevice", user: "member", pairs: chainOf(proofID, "Num", "1", "Size", "2", "DeviceGroupId",
			"4750204547410001", "IotId", "x"),
			reads: &ltlv1.ListDevicesRequest{ChainId: proofID, AccountUid: memberUID, DeviceGroupId: "4750204547410001",
				IotId: "x", Page: 1, Size: 2},
			answer: &ltlv1.ListDevicesResponse{Code: rules.OK, Total: 1, Devices: []*ltlv1.DeviceInfo{
				{DeviceId: "8760555540400001", IotId: "1833297615720001", LastSaveMs: 1606379090866, Authorized: true}}},
			json: `{"PageData":[{"Status":"AUTHORIZED","IotId":"1833297615720001","LastSaveTime":1606379090866,"DeviceId":"8760555540400001"}],"Size":2,"Num":1,"Total":1}`,
			xml: `<Data><PageData><Status>AUTHORIZED</Status><IotId>1833297615720001</IotId><LastSaveTime>1606379090866</LastSaveTime><DeviceId>8760555540400001</DeviceId>` +
				`</PageData><Size>2</Size><Num>1</Num><Total>1</Total></Data>`},
		{action: "AuthorizeDevice", user: "admin", pairs: chainOf(proofID, both...), tx: device(true), json: `""`,
			xml: `<Data></Data>`},
		{action: "UnAuthorizeDevice", user: "admin", pairs: chainOf(proofID, both...), tx: device(false), json: `""`,
			xml: `<Data></Data>`},
	}
}

func resourceShapes() []shape {
	info := func(edition ltlv1.Edition, expired int64) *ltlv1.GetChainResponse {
		return &ltlv1.GetChainResponse{Code: rules.OK, OwnCount: 26666, OwnBytes: 70000000,
			Chain: &ltlv1.ChainInfo{UsedCount: 30000, UsedBytes: 870000000,
				Chain: &ltlv1.CreateChain{Edition: edition, EffectiveMs: 1586125838680, ExpiredMs: expired, Region: "cn-shanghai",
					CountQuota:         10000000,
					CapacityQuotaBytes: 800000000000}}}
	}
	reads := &ltlv1.GetChainRequest{ChainId: proofID, AccountUid: memberUID}
	now, _ := parseTimestamp(testClock)
	return []shape{
		{action: "DescribeResourceInfo", user: "member", pairs: chainOf(proofID), reads: reads,
			answer: info(ltlv1.Edition_EDITION_STANDARD, 4102444800000),
			json:   `{"Status":"NORMAL","AuthorizeType":"标准版","EffectiveTime":1586125838680,"ExpiredTime":4102444800000,"Region":"cn-shanghai"}`,
			xml: `<Data><Status>NORMAL</Status><AuthorizeType>标准版</AuthorizeType><EffectiveTime>1586125838680</EffectiveTime><ExpiredTime>4102444800000</ExpiredTime>` +
				`<Region>cn-shanghai</Region></Data>`},
		{action: "DescribeResourceInfo", user: "member", pairs: chainOf(proofID), reads: reads,
			answer: info(ltlv1.Edition_EDITION_ENTERPRISE, 1666125838680),
			json:   `{"Status":"EXPIRED","AuthorizeType":"企业版","EffectiveTime":1586125838680,"ExpiredTime":1666125838680,"Region":"cn-shanghai"}`},
		{action: "DescribeResourceInfo", user: "member", pairs: chainOf(proofID), reads: reads,
			answer: info(0, now.UnixMilli()),
			json:   `{"Status":"EXPIRED","AuthorizeType":"标准版","EffectiveTime":1586125838680,"ExpiredTime":1795420670000,"Region":"cn-shanghai"}`},
		{action: "DescribeCapacityInfo", user: "member", pairs: chainOf(proofID), reads: reads, answer: info(0, 0),
			json: `{"CountQuota":10000000,"MemberUsedCapacity":70000000,"CapacityQuota":800000000000,"UsedCapacity":870000000,"UsedCount":30000,"MemberUsedCount":26666}`,
			xml: `<Data><CountQuota>10000000</CountQuota><MemberUsedCapacity>70000000</MemberUsedCapacity><CapacityQuota>800000000000</CapacityQuota>` +
				`<UsedCapacity>870000000</UsedCapacity><UsedCount>30000</UsedCount><MemberUsedCount>26666</MemberUsedCount></Data>`},
	}
}

// TestGeneralActions: each Action makes exactly one transaction or read, and its response has the documented form.
func TestGeneralActions(t *testing.T) {
	tried := map[string]bool{}
	for _, s := range append(append(memberShapes(), deviceShapes()...), resourceShapes()...) {
		tried[s.action] = true
		checkShape(t, s)
	}
	for _, a := range append(generalActions(), action{name: "ListPSMemberDataTypeCode"}) {
		if !tried[a.name] {
			t.Errorf("%s was not tried", a.name)
		}
	}
}

func checkShape(t *testing.T, s shape) {
	t.Helper()
	f := newTestFacade(t)
	f.net.output = s.output
	if s.answer != nil {
		f.net.answer(s.answer)
	}
	id := regexp.MustCompile(`[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[0-9A-F]{4}-[0-9A-F]{12}`)
	v := f.params(s.user, s.action, s.pairs...)
	r := f.get(t, v)
	if got, want := id.ReplaceAllString(r.body,
		"ID"), `{"Message":"","RequestId":"ID","Data":`+s.json+`,"Code":200,"Success":true}`; got != want {
		t.Errorf("%s answers\n%s, want\n%s", s.action, got, want)
	}
	if s.tx != nil {
		s.tx.ChainId, s.tx.AccountUid, s.tx.AccessKeyId, s.tx.SignatureNonce = s.pairs[1], userKeys()[s.user], s.user, v.Get("SignatureNonce")
		if !proto.Equal(f.net.last, s.tx) {
			t.Errorf("%s writes %v, want %v", s.action, f.net.last, s.tx)
		}
	}
	if s.reads != nil {
		if got, ok := f.net.lastRead.(proto.Message); !ok || !proto.Equal(got, s.reads) || f.net.last != nil {
			t.Errorf("%s reads %v, want %v; it writes %v", s.action, f.net.lastRead, s.reads, f.net.last)
		}
	}
	r = f.act(t, s.user, s.action, append(s.pairs, "Format", "xml")...)
	want := xmlDeclaration + "<" + s.action + "Response><Message></Message><RequestId>ID</RequestId>" + s.xml +
		"<Code>200</Code><Success>true</Success></" +
		s.action + "Response>"
	if got := id.ReplaceAllString(r.body, "ID"); got != want && (s.xml != "" || s.json == "[]") {
		t.Errorf("%s answers\n%s, want\n%s", s.action, got, want)
	}
}

// TestDescribeMemberCapacityInfoReadsAllPages: the Action returns the members of all pages of the ledger.
func TestDescribeMemberCapacityInfoReadsAllPages(t *testing.T) {
	f := newTestFacade(t)
	full := &ltlv1.ListMembersResponse{Code: rules.OK}
	for range maxPageSize {
		full.Members = append(full.Members, &ltlv1.MemberInfo{MemberId: "1"})
	}
	f.net.pages = []*ltlv1.ListMembersResponse{full, full, {Code: rules.OK, Members: full.GetMembers()[:1]}}
	r := f.act(t, "admin", "DescribeMemberCapacityInfo", chainOf(proofID)...)
	if rows, _ := r.json["Data"].([]any); len(rows) != 2*maxPageSize+1 {
		t.Errorf("%d rows: %.200s", len(rows), r.body)
	}
}

// valid are valid parameters of each general Action.
func valid(action string) []string {
	for _, s := range append(append(memberShapes(), deviceShapes()...), resourceShapes()...) {
		if s.action == action {
			return s.pairs
		}
	}
	return nil
}

// with is pairs with one value replaced.
func with(pairs []string, name, v string) []string {
	return append(pairs[:len(pairs):len(pairs)], name, v)
}

// TestChainChecks: a refusal by the chain comes after missing parameters and before form errors.
func TestChainChecks(t *testing.T) {
	var steps []step
	for _, a := range append(generalActions(), action{name: "ListPSMemberDataTypeCode", admin: true}) {
		good := valid(a.name)
		steps = append(steps,
			step{a.name + " without a chain", "admin", a.name, with(good, "BizChainId", "-"), "MissingBizChainId"},
			step{a.name + " empty chain", "admin", a.name, with(good, "BizChainId", ""), "404"},
			step{a.name + " unknown chain", "admin", a.name, with(good, "BizChainId", "9999999999999999"), "404"},
			step{a.name + " chain by its code", "admin", a.name, with(good, "BizChainId", chainA), "404"},
			step{a.name + " system chain", "admin", a.name, with(good, "BizChainId", "0000000000000000"), "404"},
			step{a.name + " on no chain", "none", a.name, good, "-339"},
			step{a.name + " main account as member", "root", a.name, chainOf(proofID), "-104"},
		)
		for _, p := range a.params {
			if !p.optional {
				steps = append(steps, step{a.name + " without " + p.name, "admin", a.name, with(good, p.name, "-"),
					"Missing" + p.name})
			}
		}
	}
	for _, s := range []struct{ action, name, bad string }{
		{"CreateMember", "MemberName", "x"}, {"ModifyMember", "MemberPhone", ""}, {"ListMember", "Num", "0"}, {"ListDevice",
			"Size", "101"},
		{"RegisterDeviceGroup", "AuthorizeType", "ID3"}, {"ListPSMemberDataTypeCode", "Size", "0"},
	} {
		bad := with(valid(s.action), s.name, s.bad)
		steps = append(steps,
			step{s.action + " bad " + s.name, "admin", s.action, bad, "400"},
			step{s.action + " bad value on an unknown chain", "admin", s.action, with(bad, "BizChainId", "9999999999999999"),
				"404"},
			step{s.action + " bad value on a chain of others", "admin", s.action, with(bad, "BizChainId", "0000000000000014"),
				"403"},
		)
	}
	for _, a := range []string{"CreateMember", "ModifyMember", "ListMember", "ListPSMemberDataTypeCode"} {
		bad := map[string]string{"CreateMember": "MemberUid", "ModifyMember": "Remark", "ListMember": "Num",
			"ListPSMemberDataTypeCode": "Num"}[a]
		value := map[string]string{"MemberUid": "x", "Remark": strings.Repeat("长", 101), "Num": "-1"}[bad]
		steps = append(steps, step{a + " role before value", "member", a, with(valid(a), bad, value), "403"})
	}
	steps = append(steps, step{"proof Action on a collaboration chain", "admin", "ListPSMemberDataTypeCode",
		with(valid("ListPSMemberDataTypeCode"), "BizChainId", coID), "404"})
	f := newTestFacade(t)
	f.net.answer(&ltlv1.ListMembersResponse{Code: rules.OK})
	f.net.chains = append(f.net.chains, &fakeChain{id: "0000000000000014", code: "DDDDaaaa0000bbbb",
		service: ltlv1.ChainService_CHAIN_SERVICE_PROOF,
		members: map[string]membership{otherUID: {"ADMIN", "DD01"}}})
	runSteps(t, f, steps)
}

// TestValuesOfGeneralActions: each parameter has the documented bounds, and the refusal names the parameter.
func TestValuesOfGeneralActions(t *testing.T) {
	long := strings.Repeat("长", 30)
	for _, s := range []struct {
		actions, name string
		good, bad     []string
	}{
		{"CreateMember ModifyMember", "MemberName", []string{"中文", "ab", "A_-.()9", long, "𠀀字"},
			[]string{"", "字", long + "长", "a b", "a,b", "全，角", "a\u0000b", "émile"}},
		{"CreateMember ModifyMember", "MemberContact", []string{"中文", long}, []string{"", "字", long + "长", "a/b"}},
		{"RegisterDeviceGroup", "DeviceGroupName", []string{"中文", long}, []string{"", "字", long + "长"}},
		{"CreateMember ModifyMember", "MemberPhone", []string{"1", "1-", "010-12345678901234-6"},
			[]string{"", "010-12345678901234-67", "+86", "１２"}},
		{"CreateMember ModifyMember", "MemberUid", []string{"1234567890123456", "123456789012345678"},
			[]string{"", "123456789012345", "1234567890123456789", "12345678901234567a"}},
		{"CreateMember ModifyMember RegisterDeviceGroup", "Remark", []string{"", strings.Repeat("长", 100), "any thing\n<&>"},
			[]string{strings.Repeat("a", 101)}},
		{"RegisterDeviceGroup", "AuthorizeType", []string{"ID2"}, []string{"", "id2", "ID3", "企业版"}},
		{"RegisterDeviceGroup", "ProductKey", []string{"a", "hKpHMh2aBcD", strings.Repeat("k", 64)},
			[]string{"", strings.Repeat("k", 65), "a b", "产品"}},
		{"ListMember ListDeviceGroup ListDevice ListPSMemberDataTypeCode", "Num", []string{"1", "2147483647"},
			[]string{"0", "-1"}},
		{"ListMember ListDeviceGroup ListDevice ListPSMemberDataTypeCode", "Size", []string{"1", "100"},
			[]string{"0", "101", "-5"}},
	} {
		for _, a := range strings.Fields(s.actions) {
			f := newTestFacade(t)
			f.net.answer(&ltlv1.ListMembersResponse{Code: rules.OK})
			f.net.answer(&ltlv1.ListDeviceGroupsResponse{Code: rules.OK})
			f.net.answer(&ltlv1.ListDevicesResponse{Code: rules.OK})
			for _, v := range s.good {
				if r := f.act(t, "admin", a, with(valid(a), s.name, v)...); r.code() != "200" {
					t.Errorf("%s with %s %q: %s", a, s.name, v, r.body)
				}
			}
			for _, v := range s.bad {
				f.net.last, f.net.lastRead = nil, nil
				r := f.act(t, "admin", a, with(valid(a), s.name, v)...)
				if message, _ := r.json["Message"].(string); r.code() != "400" || !strings.HasPrefix(message, s.name+" must") ||
					f.net.last != nil {
					t.Errorf("%s with %s %q: %s", a, s.name, v, r.body)
				}
			}
			if strings.HasPrefix(a, "List") {
				for _, v := range []string{"", "x", "1.0", "2147483648"} {
					if r := f.act(t, "admin", a, with(valid(a), s.name, v)...); r.code() != "Invalid"+s.name {
						t.Errorf("%s with %s %q: %s", a, s.name, v, r.body)
					}
				}
			}
		}
	}
}

// TestLedgerRefusals: a refusal by the ledger keeps its code; its message says what was not found, or is the reason
// of an endorser.
func TestLedgerRefusals(t *testing.T) {
	for _, s := range []struct {
		action  string
		code    int32
		reason  string
		want    string
		message string
	}{
		{"CreateMember", rules.NotFound, "", "404", "MemberUid"},
		{"CreateMember", rules.NotRAM, "", "-104", "RAM user"},
		{"CreateMember", rules.Conflict, "This account is on the chain already.", "409", "on the chain already"},
		{"CreateMember", rules.QuotaExceeded, "", "429", "quota"},
		{"ModifyMember", rules.NotFound, "", "404", "MemberId"},
		{"LockMember", rules.NotFound, "", "404", "MemberId"},
		{"UnLockMember", rules.Forbidden, "The administrator's own entry cannot be locked.", "403", "own entry"},
		{"RegisterDeviceGroup", rules.Conflict, "", "409", "ProductKey"},
		{"AuthorizeDeviceGroup", rules.NotFound, "", "404", "DeviceGroupId"},
		{"UnAuthorizeDevice", rules.NotFound, "", "404", "DeviceId"},
		{"AuthorizeDevice", rules.Forbidden, "", "403", "role"},
		{"LockMember", rules.NotEndorsed, "This organisation does not take part.", "403", "does not take part"},
		{"LockMember", rules.NotEndorsed, "", "403", "endorsed"},
		{"LockMember", rules.NonceUsed, "", "SignatureNonceUsed", "nonce"},
		{"LockMember", rules.EndorsementExpired, "", "ServiceUnavailable", "temporary"},
	} {
		f := newTestFacade(t)
		f.net.code, f.net.reason = s.code, s.reason
		r := f.act(t, "admin", s.action, valid(s.action)...)
		if message, _ := r.json["Message"].(string); r.code() != s.want || !strings.Contains(message, s.message) {
			t.Errorf("%s refused with %d: %s", s.action, s.code, r.body)
		}
	}
	f := newTestFacade(t)
	f.net.answer(&ltlv1.ListDevicesResponse{Code: rules.NotFound})
	if r := f.act(t, "member", "ListDevice", valid("ListDevice")...); r.code() != "404" ||
		!strings.Contains(r.body, "DeviceGroupId") || r.json["Data"] != nil {
		t.Error(r.body)
	}
	f.net.answer(&ltlv1.ListMembersResponse{Code: rules.Forbidden})
	for _, a := range []string{"ListMember", "DescribeMemberCapacityInfo", "ListPSMemberDataTypeCode"} {
		if r := f.act(t, "member", a, valid(a)...); r.code() != "403" || r.json["Data"] != nil {
			t.Error(r.body)
		}
	}
	f.net.set(func(n *fakeNetwork) { n.err = errors.New("broken") })
	for _, a := range []string{"CreateMember", "ListMember", "ListDevice", "ListDeviceGroup", "DescribeResourceInfo",
		"DescribeCapacityInfo"} {
		if r := f.act(t, "admin", a, valid(a)...); r.status != 500 {
			t.Error(r.body)
		}
	}
}

// TestTextsAreBounded: texts over maxText are not sent to the network. Too long a payload has a code of its own.
func TestTextsAreBounded(t *testing.T) {
	f := newTestFacade(t)
	f.net.answer(&ltlv1.ListPhasesResponse{Code: rules.OK, Total: 1,
		Phases: []*ltlv1.PhaseInfo{{PhaseId: "1000000000000002", Permission: 3}}})
	long := strings.Repeat("1", maxText+1)
	post := func(action string, pairs ...string) reply {
		v := f.params("admin", action, pairs...)
		v.Set("Signature", signRPC(http.MethodPost, "admin-secret", v))
		return f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(v.Encode())))
	}
	for name, c := range map[string]struct {
		r    reply
		want string
	}{
		"identifier": {post("LockMember", chainOf(proofID, "MemberId", long)...), "InvalidMemberId"},
		"filter":     {post("ListProofChain", "Num", "1", "Size", "1", "Name", long), "InvalidName"},
		"Key":        {post("GetData", read(long, chainA)...), "InvalidKey"},
		"longest":    {post("GetData", read(long[1:], chainA)...), "-102"},
		"Value":      {post("SetData", data(keyOf("AD01", "1"), chainA, long)...), "-220"},
		"phase data": {post("UploadMPCoSPhaseTextInfo", chainOf(coID, "PhaseGroupId", "1000000000000001", "PhaseId",
			"1000000000000002",
			"DataKey", "k", "PhaseData", long)...), "-220"},
	} {
		if c.r.code() != c.want {
			t.Errorf("%s: %.300s, want %s", name, c.r.body, c.want)
		}
	}
}

// TestRoleIsReadAgain: a main account that has just become the administrator is not refused because of a cached role.
func TestRoleIsReadAgain(t *testing.T) {
	f := newTestFacade(t)
	if r := f.act(t, "root", "LockMember", valid("LockMember")...); r.code() != "-104" {
		t.Fatal(r.body)
	}
	f.net.set(func(n *fakeNetwork) { n.chains[0].members[rootUID] = membership{"ADMIN", "RT01"} })
	if r := f.act(t, "root", "LockMember", valid("LockMember")...); r.code() != "200" {
		t.Error(r.body)
	}
	f.net.set(func(n *fakeNetwork) { n.chains[0].members[rootUID] = membership{"MEMBER", "RT01"} })
	if r := f.act(t, "root", "LockMember", valid("LockMember")...); r.code() != "-104" {
		t.Error(r.body)
	}
}
