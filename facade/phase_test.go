package facade

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// The collaboration chain of the fake network and the identifiers on it.
const (
	coChain  = "0000000000000013"
	groupID  = "0717524726439206"
	phaseID  = "1964875128110001"
	phaseTwo = "1964875128110002"
	memberID = "7175344570030001"
)

// newCollaboration is a facade over a network where the member account is on the collaboration chain, with write
// access to phaseID only.
func newCollaboration(t testing.TB) *testFacade {
	f := newTestFacade(t)
	f.net.set(func(n *fakeNetwork) {
		c := n.chain(func(c *fakeChain) bool { return c.id == coChain })
		c.members[memberUID] = membership{"MEMBER", "CC02"}
		c.members[rootUID] = membership{"MEMBER", "CC03"}
		n.output = "6442088875110001"
	})
	f.net.answer(&ltlv1.ListPhasesResponse{Code: rules.OK, Total: 2, Phases: []*ltlv1.PhaseInfo{
		{PhaseId: phaseID, PhaseGroupId: groupID, Name: "水稻种植", Remark: "某阶段", DataTypeCode: "5E9A", Permission: 3},
		{PhaseId: phaseTwo, PhaseGroupId: groupID, Name: "大米生产", DataTypeCode: "A050", Permission: 1},
	}})
	return f
}

// on adds the chain to parameters.
func on(pairs ...string) []string { return append([]string{"BizChainId", coChain}, pairs...) }

// in adds chain, group and phase to parameters.
func in(pairs ...string) []string {
	return append(on("PhaseGroupId", groupID, "PhaseId", phaseID), pairs...)
}

func upload(u *ltlv1.UploadPhaseData) *ltlv1.Transaction {
	return &ltlv1.Transaction{Action: &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: u}}
}

// TestCollaborationWrites: each writing Action submits exactly this transaction, and Data is what it created.
func TestCollaborationWrites(t *testing.T) {
	remark, none := "备注", ""
	for _, s := range []struct {
		user, action string
		pairs        []string
		want         *ltlv1.Transaction
		data         string
	}{
		{"admin", "CreateMPCoSPhaseGroup", on("Name", "某协同模型", "Remark", remark),
			&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhaseGroup{
				CreatePhaseGroup: &ltlv1.CreatePhaseGroup{Name: "某协同模型", Remark: remark}}}, "6442088875110001"},
		{"admin", "ModifyMPCoSPhaseGroup", on("Name", "某协同模型", "PhaseGroupId", groupID),
			&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyPhaseGroup{
				ModifyPhaseGroup: &ltlv1.ModifyPhaseGroup{PhaseGroupId: groupID, Name: "某协同模型"}}}, ""},
		{"admin", "ModifyMPCoSPhaseGroup", on("Name", "ab", "PhaseGroupId", groupID, "Remark", ""),
			&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyPhaseGroup{
				ModifyPhaseGroup: &ltlv1.ModifyPhaseGroup{PhaseGroupId: groupID, Name: "ab", Remark: &none}}}, ""},
		{"admin", "CreateMPCoSPhase", on("Name", "某阶段", "PhaseGroupId", groupID),
			&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhase{
				CreatePhase: &ltlv1.CreatePhase{PhaseGroupId: groupID, Name: "某阶段"}}}, "6442088875110001"},
		{"admin", "ModifyMPCoSPhase", on("Name", "某阶段", "PhaseId", phaseID, "Remark", remark),
			&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyPhase{
				ModifyPhase: &ltlv1.ModifyPhase{PhaseId: phaseID, Name: "某阶段", Remark: &remark}}}, ""},
		{"admin", "UpdateMPCoSAuthorizedInfo", on("PhaseGroupId", groupID, "MemberId", memberID, "AuthorizedPhaseList",
			`["`+phaseTwo+`","`+phaseID+`"]`),
			&ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizePhases{
				AuthorizePhases: &ltlv1.AuthorizePhases{PhaseGroupId: groupID, MemberId: memberID,
					PhaseIds: []string{phaseTwo, phaseID}}}}, ""},
		{"admin", "UpdateMPCoSAuthorizedInfo", on("PhaseGroupId", groupID, "MemberId", memberID, "AuthorizedPhaseList", "[]"),
			&ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizePhases{AuthorizePhases: &ltlv1.AuthorizePhases{PhaseGroupId: groupID, MemberId: memberID}}}, ""},
		{"member", "UploadMPCoSPhaseTextInfo", in("DataKey", "k1", "PhaseData", "某公司某业务数据。"), upload(&ltlv1.UploadPhaseData{
			PhaseGroupId: groupID, PhaseId: phaseID, Form: 1, Items: []*ltlv1.PhaseItem{{DataKey: "k1",
				PhaseData: "某公司某业务数据。"}}}), ""},
		{"member", "UploadMPCoSPhaseDigestInfo", in("DataKey", "k1", "DataSeq", "s1", "PhaseData", hex64, "RelatedDataList",
			`[{"relatedPhaseId":"`+phaseTwo+`","relatedDataKey":"r1","relatedPhaseData":"数","relatedDataSeq":"q1"}]`), upload(&ltlv1.UploadPhaseData{
			PhaseGroupId: groupID, PhaseId: phaseID, Form: 2, Items: []*ltlv1.PhaseItem{{DataKey: "k1", DataSeq: "s1",
				PhaseData: hex64,
				Related:   []*ltlv1.RelatedData{{PhaseId: phaseTwo, DataKey: "r1", PhaseData: "数", DataSeq: "q1"}}}}}), ""},
		{"member", "BatchUploadMPCoSPhaseTextInfo",
			in("PhaseDataList", `[{"dataKey":"a","phaseData":"1","dataSeq":""},{"dataKey":"a","phaseData":"2"}]`),
			upload(&ltlv1.UploadPhaseData{PhaseGroupId: groupID, PhaseId: phaseID, Form: 1, Batch: true,
				Items: []*ltlv1.PhaseItem{{DataKey: "a", PhaseData: "1"}, {DataKey: "a", PhaseData: "2"}}}), ""},
		{"admin", "BatchUploadMPCoSPhaseDigestInfo", in("PhaseDataList", `[{"dataKey":"a","phaseData":"`+hex64+`"}]`),
			upload(&ltlv1.UploadPhaseData{
				PhaseGroupId: groupID, PhaseId: phaseID, Form: 2, Batch: true, Items: []*ltlv1.PhaseItem{{DataKey: "a",
					PhaseData: hex64}}}), ""},
	} {
		f := newCollaboration(t)
		r := f.act(t, s.user, s.action, s.pairs...)
		if r.code() != "200" || r.json["Data"] != s.data {
			t.Errorf("%s %q: %s", s.action, s.pairs, r.body)
			continue
		}
		s.want.ChainId, s.want.AccountUid, s.want.AccessKeyId = coChain, userKeys()[s.user], s.user
		s.want.SignatureNonce = f.net.last.GetSignatureNonce()
		if !proto.Equal(f.net.last, s.want) || s.want.GetSignatureNonce() == "" {
			t.Errorf("%s submits %v\nwant %v", s.action, f.net.last, s.want)
		}
	}
}

// bytes32 are 32 equal bytes, and hex32 their text.
func bytes32(b byte) []byte { return []byte(strings.Repeat(string(rune(b)), 32)) }
func hex32(s string) string { return strings.Repeat(s, 32) }

// coRecords are two records as the ledger returns them: one signed by a device and with related data, and one without
// either.
func coRecords() []*ltlv1.PhaseRecord {
	return []*ltlv1.PhaseRecord{
		{DataKey: "k1", DataSeq: "s1", DataValue: "某公司<&>", PhaseId: phaseID, BlockHeight: 605365,
			TransactionHash: bytes32(1), BlockHash: bytes32(2),
			PreviousHash: bytes32(3), DataHash: bytes32(4), TimeMs: 1608105171123, IotId: "DFA7B98AD494FB98A491",
			ProductKey: "hfoi7GQabcd",
			Related: []*ltlv1.RelatedRecord{{PhaseId: phaseTwo, PhaseName: "大米生产", DataKey: "0002_" + chainCo + "_A050_r1",
				DataSeq: "q1", PhaseDataHash: bytes32(5)}}},
		{DataKey: "k1", DataSeq: "s2", DataValue: "2", PhaseId: phaseID, BlockHeight: 605368, TransactionHash: bytes32(6),
			BlockHash:    bytes32(7),
			PreviousHash: bytes32(2), DataHash: bytes32(8), TimeMs: 1608105227456},
	}
}

// readCase is a reading Action, its request to the ledger, and Data in both formats.
type readCase struct {
	name, user, action string
	pairs              []string
	answer             any
	want               proto.Message
	json, xml          string
}

const emptyPage = `{"PageData":[],"Size":10,"Num":3,"Total":5}`

func chainReads() []readCase {
	page := []string{"Num", "3", "Size", "10"}
	return []readCase{
		{"groups", "member", "ListMPCoSPhaseGroup", on(page...), &ltlv1.ListPhaseGroupsResponse{Code: rules.OK, Total: 21,
			Groups: []*ltlv1.PhaseGroupInfo{
				{PhaseGroupId: groupID, Name: "某协同模型", Remark: "备注", UsedPhases: 2}}},
			&ltlv1.ListPhaseGroupsRequest{ChainId: coChain, AccountUid: memberUID, Page: 3, Size: 10},
			`{"PageData":[{"PhaseGroupId":"` + groupID + `","Remark":"备注","Name":"某协同模型"}],"Size":10,"Num":3,"Total":21}`,
			`<PageData><PhaseGroupId>` + groupID +
				`</PhaseGroupId><Remark>备注</Remark><Name>某协同模型</Name></PageData><Size>10</Size><Num>3</Num><Total>21</Total>`},
		{"no groups", "admin", "ListMPCoSPhaseGroup", on(append(page, "Name", "没有")...),
			&ltlv1.ListPhaseGroupsResponse{Code: rules.OK, Total: 5},
			&ltlv1.ListPhaseGroupsRequest{ChainId: coChain, AccountUid: adminUID, Name: "没有", Page: 3,
				Size: 10}, emptyPage, `<Size>10</Size><Num>3</Num><Total>5</Total>`},
		{"phases", "member", "ListMPCoSPhase", on(append(page, "PhaseGroupId", groupID, "Name", "n")...),
			&ltlv1.ListPhasesResponse{Code: rules.OK, Total: 2,
				Phases: []*ltlv1.PhaseInfo{{PhaseId: phaseID, Name: "某阶段", Permission: 3},
					{PhaseId: phaseTwo, Name: "二", Remark: "r", Permission: 1}}},
			&ltlv1.ListPhasesRequest{ChainId: coChain, AccountUid: memberUID, PhaseGroupId: groupID, Name: "n", Page: 3,
				Size: 10},
			`{"PageData":[{"AccessPermission":3,"PhaseId":"` + phaseID +
				`","Remark":"","Name":"某阶段"},{"AccessPermission":1,"PhaseId":"` + phaseTwo +
				`","Remark":"r","Name":"二"}],"Size":10,"Num":3,"Total":2}`,
			`<PageData><AccessPermission>3</AccessPermission><PhaseId>` + phaseID +
				`</PhaseId><Remark></Remark><Name>某阶段</Name></PageData>` +
				`<PageData><AccessPermission>1</AccessPermission><PhaseId>` + phaseTwo +
				`</PhaseId><Remark>r</Remark><Name>二</Name></PageData>` +
				`<Size>10</Size><Num>3</Num><Total>2</Total>`},
		{"authorisation", "admin", "DescribeMPCoSAuthorizedInfo", on("PhaseGroupId", groupID, "MemberId", memberID),
			&ltlv1.GetPhaseAuthorizationResponse{Code: rules.OK, Authorized: []*ltlv1.PhaseInfo{{PhaseId: phaseID, Name: "某阶段"}},
				Unauthorized: []*ltlv1.PhaseInfo{{PhaseId: phaseTwo, Name: "二"}}},
			&ltlv1.GetPhaseAuthorizationRequest{ChainId: coChain, AccountUid: adminUID, PhaseGroupId: groupID,
				MemberId: memberID},
			`{"AuthorizedPhaseList":[{"PhaseName":"某阶段","PhaseId":"` + phaseID +
				`"}],"UnAuthorizedPhaseList":[{"PhaseName":"二","PhaseId":"` + phaseTwo + `"}]}`,
			`<AuthorizedPhaseList><PhaseName>某阶段</PhaseName><PhaseId>` + phaseID + `</PhaseId></AuthorizedPhaseList>` +
				`<UnAuthorizedPhaseList><PhaseName>二</PhaseName><PhaseId>` + phaseTwo + `</PhaseId></UnAuthorizedPhaseList>`},
	}
}

func recordReads() []readCase {
	records := coRecords()
	row := func(r *ltlv1.PhaseRecord, n [4]string, block, at string) string {
		return `{"IotId":"` + r.GetIotId() + `","DataValue":"` + r.GetDataValue() + `","BlockHash":"` + hex32(n[1]) +
			`","DataSeq":"` + r.GetDataSeq() +
			`","TransactionHash":"` + hex32(n[0]) + `","PreviousHash":"` + hex32(n[2]) + `","BlockNumber":` + block +
			`,"Timestamp":` + at +
			`,"ProductKey":"` + r.GetProductKey() + `","DataHash":"` + hex32(n[3]) + `"}`
	}
	return []readCase{
		{"record", "member", "DescribeMPCoSPhaseInfo", in("DataKey", "k1", "DataSeq", "s1"),
			&ltlv1.GetPhaseRecordResponse{Code: rules.OK, Record: records[0]},
			&ltlv1.GetPhaseRecordRequest{ChainId: coChain, AccountUid: memberUID, PhaseGroupId: groupID, PhaseId: phaseID,
				DataKey: "k1", DataSeq: "s1"},
			`{"IotId":"DFA7B98AD494FB98A491","DataValue":"某公司<&>","BlockHash":"` + hex32("02") + `","TransactionHash":"` +
				hex32("01") + `","PreviousHash":"` + hex32("03") +
				`","BlockNumber":605365,"Timestamp":1608105171123,"RelatedDataList":[{"RelatedPhaseId":"` + phaseTwo +
				`","RelatedDataSeq":"q1","RelatedDataKey":"0002_` + chainCo +
				`_A050_r1","RelatedPhaseDataHash":"` + hex32("05") +
				`","RelatedPhaseName":"大米生产"}],"ProductKey":"hfoi7GQabcd","DataHash":"` + hex32("04") + `"}`,
			`<IotId>DFA7B98AD494FB98A491</IotId><DataValue>某公司&lt;&amp;&gt;</DataValue><BlockHash>` + hex32("02") +
				`</BlockHash><TransactionHash>` + hex32("01") +
				`</TransactionHash><PreviousHash>` + hex32("03") +
				`</PreviousHash><BlockNumber>605365</BlockNumber><Timestamp>1608105171123</Timestamp><RelatedDataList><RelatedPhaseId>` +
				phaseTwo + `</RelatedPhaseId><RelatedDataSeq>q1</RelatedDataSeq><RelatedDataKey>0002_` + chainCo +
				`_A050_r1</RelatedDataKey><RelatedPhaseDataHash>` + hex32("05") +
				`</RelatedPhaseDataHash><RelatedPhaseName>大米生产</RelatedPhaseName></RelatedDataList><ProductKey>hfoi7GQabcd</ProductKey><DataHash>` + hex32("04") + `</DataHash>`},
		{"record without device and related data", "admin", "DescribeMPCoSPhaseInfo", in("DataKey", "k1"),
			&ltlv1.GetPhaseRecordResponse{Code: rules.OK, Record: records[1]},
			&ltlv1.GetPhaseRecordRequest{ChainId: coChain, AccountUid: adminUID, PhaseGroupId: groupID, PhaseId: phaseID,
				DataKey: "k1"},
			`{"IotId":"","DataValue":"2","BlockHash":"` + hex32("07") + `","TransactionHash":"` + hex32("06") +
				`","PreviousHash":"` + hex32("02") +
				`","BlockNumber":605368,"Timestamp":1608105227456,"RelatedDataList":[],"ProductKey":"","DataHash":"` + hex32("08") +
				`"}`, ""},
		{"history", "member", "ListMPCoSPhaseHistory", in("DataKey", "k1", "Num", "1", "Size", "100", "StartTime", "5",
			"EndTime", "1608105227456"),
			&ltlv1.ListPhaseRecordsResponse{Code: rules.OK, Total: 2, Records: records},
			&ltlv1.ListPhaseRecordsRequest{ChainId: coChain, AccountUid: memberUID, PhaseGroupId: groupID, PhaseId: phaseID,
				DataKey: "k1",
				StartMs: 5, EndMs: 1608105227456, Page: 1, Size: 100},
			`{"PageData":[` + row(records[0], [4]string{"01", "02", "03", "04"}, "605365", "1608105171123") + `,` +
				row(records[1], [4]string{"06", "07", "02", "08"}, "605368", "1608105227456") +
				`],"Size":100,"Num":1,"Total":2}`, ""},
		{"no history", "member", "ListMPCoSPhaseHistory", in("DataKey", "k1", "Num", "3", "Size", "10", "StartTime", "5",
			"EndTime", "5"),
			&ltlv1.ListPhaseRecordsResponse{Code: rules.OK, Total: 5},
			&ltlv1.ListPhaseRecordsRequest{ChainId: coChain, AccountUid: memberUID, PhaseGroupId: groupID, PhaseId: phaseID,
				DataKey: "k1",
				StartMs: 5, EndMs: 5, Page: 3, Size: 10}, emptyPage, ""},
	}
}

// TestCollaborationReads: each reading Action sends exactly this request to the ledger, and its Data is exactly these
// bytes.
func TestCollaborationReads(t *testing.T) {
	for _, s := range append(chainReads(), recordReads()...) {
		f := newCollaboration(t)
		f.net.answer(s.answer)
		r := f.act(t, s.user, s.action, s.pairs...)
		if !strings.Contains(r.body, `,"Data":`+s.json+`,"Code":200,"Success":true}`) {
			t.Errorf("%s: %s\nwant %s", s.name, r.body, s.json)
		}
		if got, ok := f.net.lastRead.(proto.Message); !ok || !proto.Equal(got, s.want) {
			t.Errorf("%s requests %v\nwant %v", s.name, f.net.lastRead, s.want)
		}
		r = f.act(t, s.user, s.action, append(s.pairs, "Format", "XML")...)
		if s.xml != "" && !strings.Contains(r.body,
			`<Data>`+s.xml+`</Data><Code>200</Code><Success>true</Success></`+s.action+`Response>`) {
			t.Errorf("%s: %s\nwant %s", s.name, r.body, s.xml)
		}
		if err := xml.Unmarshal([]byte(r.body), new(struct{})); err != nil {
			t.Errorf("%s: %v: %s", s.name, err, r.body)
		}
	}
}

// TestCollaborationChains: only chains of this service are listed, without chain codes.
func TestCollaborationChains(t *testing.T) {
	f := newCollaboration(t)
	r := f.act(t, "member", "ListMultiPartyCollaborationChain", "Num", "1", "Size", "2")
	want := `"Data":{"PageData":[{"BizChainId":"` + coChain +
		`","RoleType":"MEMBER","Remark":"备注 <&>","Name":"协同链"}],"Size":2,"Num":1,"Total":1}`
	if !strings.Contains(r.body, want) {
		t.Errorf("%s\nwant %s", r.body, want)
	}
	if r = f.act(t, "other", "ListMultiPartyCollaborationChain", "Num", "1", "Size", "2"); !strings.Contains(r.body,
		`{"PageData":[],"Size":2,"Num":1,"Total":0}`) {
		t.Errorf("an account that is on no such chain: %s", r.body)
	}
	if r = f.act(t, "member", "ListMultiPartyCollaborationChain", "Num", "1", "Size", "2", "Name",
		"某业务链"); !strings.Contains(r.body, `"Total":0`) {
		t.Errorf("the name of a proof chain: %s", r.body)
	}
}

// TestPhaseQuotas: the resources of a chain include the groups of all pages of the ledger.
func TestPhaseQuotas(t *testing.T) {
	f := newCollaboration(t)
	f.net.answer(&ltlv1.GetChainResponse{Code: rules.OK, UsedMembers: 5, UsedPhaseGroups: 2,
		Chain: &ltlv1.ChainInfo{ChainId: coChain, Role: "ADMIN",
			Chain: &ltlv1.CreateChain{MemberQuota: 100, PhaseGroupQuota: 200, PhaseQuota: 5}}})
	f.net.answer(&ltlv1.ListPhaseGroupsResponse{Code: rules.OK, Total: 2, Groups: []*ltlv1.PhaseGroupInfo{
		{PhaseGroupId: groupID, Name: "某协同模型", UsedPhases: 3}, {PhaseGroupId: "0000000000000002", Name: "二"}}})
	r := f.act(t, "admin", "DescribeMPCoSResourceInfo", on()...)
	want := `"Data":{"PhaseGroupQuota":200,"UsedPhaseGroup":2,"UsedMember":5,"PhaseQuotaInfoList":[{"PhaseQuota":5,"UsedPhase":3,"PhaseGroupId":"` + groupID +
		`","PhaseGroupName":"某协同模型"},{"PhaseQuota":5,"UsedPhase":0,"PhaseGroupId":"0000000000000002","PhaseGroupName":"二"}],"MemberQuota":100}`
	if !strings.Contains(r.body, want) {
		t.Errorf("%s\nwant %s", r.body, want)
	}
	full := make([]*ltlv1.PhaseGroupInfo, maxPageSize)
	for i := range full {
		full[i] = &ltlv1.PhaseGroupInfo{PhaseGroupId: groupID}
	}
	f.Facade.net = &groupPages{fakeNetwork: f.net, groups: [][]*ltlv1.PhaseGroupInfo{full, full, full[:1]}}
	var answer struct {
		Data struct{ PhaseQuotaInfoList []any }
	}
	r = f.act(t, "admin", "DescribeMPCoSResourceInfo", on()...)
	if err := json.Unmarshal([]byte(r.body), &answer); err != nil ||
		len(answer.Data.PhaseQuotaInfoList) != 2*maxPageSize+1 {
		t.Errorf("%d groups, %v", len(answer.Data.PhaseQuotaInfoList), err)
	}
}

// groupPages is a fake network whose phase groups, and phases, fill several pages.
type groupPages struct {
	*fakeNetwork
	groups [][]*ltlv1.PhaseGroupInfo
	phases [][]*ltlv1.PhaseInfo
}

func (n *groupPages) ListPhaseGroups(_ context.Context, in *ltlv1.ListPhaseGroupsRequest) (*ltlv1.ListPhaseGroupsResponse, error) {
	return &ltlv1.ListPhaseGroupsResponse{Code: rules.OK, Groups: n.groups[in.GetPage()-1]}, nil
}

func (n *groupPages) ListPhases(_ context.Context, in *ltlv1.ListPhasesRequest) (*ltlv1.ListPhasesResponse, error) {
	return &ltlv1.ListPhasesResponse{Code: rules.OK, Phases: n.phases[in.GetPage()-1]}, nil
}

// post sends the parameters in the body, for calls that are too long for a URL.
func (f *testFacade) post(t testing.TB, v url.Values) reply {
	t.Helper()
	v.Set("Signature", signRPC("POST", v.Get("AccessKeyId")+"-secret", v))
	r := httptest.NewRequest("POST", "/", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.do(t, r)
}
