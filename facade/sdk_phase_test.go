package facade

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// callSDK sets the fields of a request by name, calls the typed client's method for it, and returns the typed response.
func callSDK(t *testing.T, c *ltl.Client, action string, request any, fields map[string]any) (response reflect.Value) {
	t.Helper()
	r := reflect.ValueOf(request)
	for name, v := range fields {
		r.Elem().FieldByName(name).Set(reflect.ValueOf(v))
	}
	out := reflect.ValueOf(c).MethodByName(action).Call([]reflect.Value{r})
	if err, _ := out[1].Interface().(error); err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return out[0].Elem()
}

// sdkMap is a list in the form of this client: a map, which it sends as a JSON object.
func sdkMap[T any](list ...T) map[string]any { return numberedList(list, 0) }

func sdkRecord(data string) map[string]any {
	return map[string]any{"dataKey": "k", "phaseData": data,
		"relatedDataList": []any{map[string]any{"relatedPhaseId": phaseTwo, "relatedDataKey": "r", "relatedPhaseData": data}}}
}

// TestCollaborationSDKWrites: the official typed client calls every writing Action and decodes success and refusal.
func TestCollaborationSDKWrites(t *testing.T) {
	text, output := "某公司<&>'\"业务\u2028数据。", "6442088875110001"
	single := map[string]any{"DataKey": "k", "DataSeq": "s",
		"RelatedDataList": sdkMap(reference{Phase: phaseTwo, Key: "r", Data: "d"})}
	device := map[string]any{"IotAuthType": "ID2", "IotId": "DFA7B98AD494FB98A491", "IotIdServiceProvider": "hfoi7GQabcd",
		"IotIdSource":  "2",
		"IotSignature": "3~2~0102030405060708~1608105171123~c2ln"}
	list := func(data string) map[string]any { return sdkMap(sdkRecord(data), sdkRecord(data)) }
	for _, s := range []struct {
		action, data string
		request      any
		parts        []map[string]any
	}{
		{"CreateMPCoSPhaseGroup", output, ltl.CreateCreateMPCoSPhaseGroupRequest(), []map[string]any{{"Name": "某协同模型"}}},
		{"ModifyMPCoSPhaseGroup", "", ltl.CreateModifyMPCoSPhaseGroupRequest(),
			[]map[string]any{{"Name": "某协同模型", "PhaseGroupId": groupID}}},
		{"CreateMPCoSPhase", output, ltl.CreateCreateMPCoSPhaseRequest(),
			[]map[string]any{{"Name": "某阶段", "PhaseGroupId": groupID}}},
		{"ModifyMPCoSPhase", "", ltl.CreateModifyMPCoSPhaseRequest(),
			[]map[string]any{{"Name": "某阶段", "PhaseId": phaseID, "Remark": "备注"}}},
		{"UpdateMPCoSAuthorizedInfo", "", ltl.CreateUpdateMPCoSAuthorizedInfoRequest(),
			[]map[string]any{{"PhaseGroupId": groupID, "MemberId": memberID,
				"AuthorizedPhaseList": sdkMap(phaseID, phaseTwo)}}},
		{"UploadMPCoSPhaseTextInfo", "", ltl.CreateUploadMPCoSPhaseTextInfoRequest(),
			[]map[string]any{single, {"PhaseData": text}}},
		{"UploadMPCoSPhaseDigestInfo", "", ltl.CreateUploadMPCoSPhaseDigestInfoRequest(),
			[]map[string]any{single, {"PhaseData": hex64}}},
		{"UploadMPCoSPhaseTextInfoByDevice", "", ltl.CreateUploadMPCoSPhaseTextInfoByDeviceRequest(),
			[]map[string]any{single, device, {"PhaseData": text, "IotDataDigest": digestOf(text)}}},
		{"UploadMPCoSPhaseDigestInfoByDevice", "", ltl.CreateUploadMPCoSPhaseDigestInfoByDeviceRequest(),
			[]map[string]any{single, device, {"PhaseData": hex64, "IotDataDigest": digestOf(hex64)}}},
		{"BatchUploadMPCoSPhaseTextInfo", "", ltl.CreateBatchUploadMPCoSPhaseTextInfoRequest(),
			[]map[string]any{{"PhaseDataList": list(text)}}},
		{"BatchUploadMPCoSPhaseDigestInfo", "", ltl.CreateBatchUploadMPCoSPhaseDigestInfoRequest(),
			[]map[string]any{{"PhaseDataList": list(hex64)}}},
		{"BatchUploadMPCoSPhaseTextInfoByDevice", "", ltl.CreateBatchUploadMPCoSPhaseTextInfoByDeviceRequest(),
			[]map[string]any{device, {"PhaseDataList": list(text), "IotDataDigest": digestOf(escaped(list(text)))}}},
		{"BatchUploadMPCoSPhaseDigestInfoByDevice", "", ltl.CreateBatchUploadMPCoSPhaseDigestInfoByDeviceRequest(),
			[]map[string]any{device, {"PhaseDataList": list(hex64), "IotDataDigest": digestOf(escaped(list(hex64)))}}},
	} {
		f := newCollaboration(t)
		open := openFake(t, f.net)
		c := sdk(t, open.Addr(), "admin", "admin-secret")
		fields := map[string]any{"ApiVersion": "1.0.0", "BizChainId": coChain}
		if strings.Contains(s.action, "Upload") {
			fields["PhaseGroupId"], fields["PhaseId"] = groupID, phaseID
		}
		for _, part := range s.parts {
			for name, v := range part {
				fields[name] = v
			}
		}
		r := callSDK(t, c, s.action, s.request, fields)
		if r.FieldByName("Code").Int() != 200 || !r.FieldByName("Success").Bool() ||
			r.FieldByName("Data").String() != s.data || r.FieldByName("Message").String() != "" {
			t.Errorf("%s: %+v", s.action, r)
		}
		if u := f.net.last.GetUploadPhaseData(); u != nil {
			items, code := rules.PhaseItems(u)
			if want := fields["PhaseDataList"]; code != rules.OK || rules.CheckPhaseUpload(u) != rules.OK ||
				len(items[0].GetRelated()) != 1 ||
				(want != nil) != (len(items) == 2) || !slices.Contains([]string{text, hex64}, items[len(items)-1].GetPhaseData()) {
				t.Errorf("%s submits %v", s.action, u)
			}
		}
		f.net.set(func(n *fakeNetwork) { n.code = rules.QuotaExceeded })
		r = callSDK(t, c, s.action, s.request, fields)
		if r.FieldByName("Code").Int() != 429 || r.FieldByName("Success").Bool() || r.FieldByName("Message").String() == "" {
			t.Errorf("%s refused: %+v", s.action, r)
		}
	}
}

// TestCollaborationSDKReads: the same for every reading Action. A refusal has no Data, because the client cannot
// decode an empty text where it expects a structure.
func TestCollaborationSDKReads(t *testing.T) {
	one := requests.NewInteger(1)
	page := map[string]any{"Num": one, "Size": requests.NewInteger(10)}
	phases := []*ltlv1.PhaseInfo{{PhaseId: phaseID, Name: "某阶段", Remark: "备注", Permission: 3}}
	record := map[string]any{"PhaseGroupId": groupID, "PhaseId": phaseID, "DataKey": "k1"}
	long := requests.NewInteger64
	for _, s := range []struct {
		action          string
		request, answer any
		parts           []map[string]any
		refused         any
		check           func(data any) bool
	}{
		{"ListMPCoSPhaseGroup", ltl.CreateListMPCoSPhaseGroupRequest(), &ltlv1.ListPhaseGroupsResponse{Code: 200, Total: 1,
			Groups: []*ltlv1.PhaseGroupInfo{
				{PhaseGroupId: groupID, Name: "某协同模型"}}}, []map[string]any{page}, &ltlv1.ListPhaseGroupsResponse{Code: 403}, func(data any) bool {
			d := data.(ltl.DataInListMPCoSPhaseGroup)
			return d.Num == 1 && d.Size == 10 && d.Total == 1 && d.PageData[0] == ltl.PhaseGroupInfo{PhaseGroupId: groupID,
				Name: "某协同模型"}
		}},
		{"ListMPCoSPhase", ltl.CreateListMPCoSPhaseRequest(), &ltlv1.ListPhasesResponse{Code: 200, Total: 1, Phases: phases},
			[]map[string]any{page, {"PhaseGroupId": groupID}}, &ltlv1.ListPhasesResponse{Code: 404}, func(data any) bool {
				d := data.(ltl.DataInListMPCoSPhase)
				return d.Total == 1 && d.PageData[0] == ltl.PhaseInfo{PhaseId: phaseID, Name: "某阶段", Remark: "备注",
					AccessPermission: 3}
			}},
		{"DescribeMPCoSAuthorizedInfo", ltl.CreateDescribeMPCoSAuthorizedInfoRequest(),
			&ltlv1.GetPhaseAuthorizationResponse{Code: 200, Authorized: phases},
			[]map[string]any{{"PhaseGroupId": groupID,
				"MemberId": memberID}}, &ltlv1.GetPhaseAuthorizationResponse{Code: 404}, func(data any) bool {
				d := data.(ltl.Data)
				return len(d.UnAuthorizedPhaseList) == 0 && d.AuthorizedPhaseList[0] == ltl.AuthorizedPhase{PhaseName: "某阶段",
					PhaseId: phaseID}
			}},
		{"DescribeMPCoSResourceInfo", ltl.CreateDescribeMPCoSResourceInfoRequest(),
			&ltlv1.GetChainResponse{Code: 200, UsedMembers: 5, UsedPhaseGroups: 0,
				Chain: &ltlv1.ChainInfo{Role: "ADMIN", Chain: &ltlv1.CreateChain{MemberQuota: 100, PhaseGroupQuota: 200,
					PhaseQuota: 5}}}, nil,
			&ltlv1.GetChainResponse{Code: 403}, func(data any) bool {
				d := data.(ltl.Data)
				return d.MemberQuota == 100 && d.UsedMember == 5 && d.PhaseGroupQuota == 200 && d.PhaseQuotaInfoList[0] ==
					ltl.PhaseQuotaInfo{PhaseGroupId: groupID, PhaseGroupName: "某协同模型", PhaseQuota: 5, UsedPhase: 3}
			}},
		{"DescribeMPCoSPhaseInfo", ltl.CreateDescribeMPCoSPhaseInfoRequest(),
			&ltlv1.GetPhaseRecordResponse{Code: 200, Record: coRecords()[0]},
			[]map[string]any{record}, &ltlv1.GetPhaseRecordResponse{Code: 404}, func(data any) bool {
				d := data.(ltl.Data)
				return d.DataValue == "某公司<&>" && d.BlockNumber == 605365 && d.Timestamp == 1608105171123 &&
					d.DataHash == hex32("04") && d.RelatedDataList[0] ==
					ltl.RelatedData{RelatedPhaseId: phaseTwo, RelatedPhaseName: "大米生产", RelatedDataKey: "0002_" + chainCo + "_A050_r1",
						RelatedDataSeq: "q1", RelatedPhaseDataHash: hex32("05")}
			}},
		{"ListMPCoSPhaseHistory", ltl.CreateListMPCoSPhaseHistoryRequest(),
			&ltlv1.ListPhaseRecordsResponse{Code: 200, Total: 12, Records: coRecords()},
			[]map[string]any{record, page,
				{"StartTime": long(1), "EndTime": long(1608105227456)}}, &ltlv1.ListPhaseRecordsResponse{Code: 404},
			func(data any) bool {
				d := data.(ltl.DataInListMPCoSPhaseHistory)
				return d.Total == 12 && len(d.PageData) == 2 && d.PageData[0].IotId == "DFA7B98AD494FB98A491" &&
					d.PageData[1] == ltl.HistoryDataInfo{DataSeq: "s2", DataValue: "2",
						BlockNumber: 605368, Timestamp: 1608105227456, TransactionHash: hex32("06"), BlockHash: hex32("07"), PreviousHash: hex32("02"), DataHash: hex32("08")}
			}},
	} {
		f := newCollaboration(t)
		f.net.answer(&ltlv1.ListPhaseGroupsResponse{Code: 200,
			Groups: []*ltlv1.PhaseGroupInfo{{PhaseGroupId: groupID, Name: "某协同模型", UsedPhases: 3}}})
		f.net.answer(s.answer)
		c := sdk(t, openFake(t, f.net).Addr(), "admin", "admin-secret")
		fields := map[string]any{"ApiVersion": "1.0.0", "BizChainId": coChain}
		for _, part := range s.parts {
			for name, v := range part {
				fields[name] = v
			}
		}
		r := callSDK(t, c, s.action, s.request, fields)
		if r.FieldByName("Code").Int() != 200 || !r.FieldByName("Success").Bool() ||
			!s.check(r.FieldByName("Data").Interface()) {
			t.Errorf("%s: %+v", s.action, r)
		}
		f.net.answer(s.refused)
		r = callSDK(t, c, s.action, s.request, fields)
		if r.FieldByName("Code").Int() < 403 || r.FieldByName("Success").Bool() || r.FieldByName("Message").String() == "" {
			t.Errorf("%s refused: %+v", s.action, r)
		}
	}
	f := newCollaboration(t)
	c := sdk(t, openFake(t, f.net).Addr(), "member", "member-secret")
	r := callSDK(t, c, "ListMultiPartyCollaborationChain", ltl.CreateListMultiPartyCollaborationChainRequest(),
		map[string]any{"ApiVersion": "1.0.0", "Num": one, "Size": one})
	d := r.FieldByName("Data").Interface().(ltl.DataInListMultiPartyCollaborationChain)
	if d.Total != 1 || d.PageData[0] != (ltl.MultiPartyCollaborationChainInfo{BizChainId: coChain, RoleType: "MEMBER",
		Name: "协同链", Remark: "备注 <&>"}) {
		t.Errorf("%+v", r)
	}
}
