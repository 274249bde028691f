package facade

import (
	"strconv"
	"strings"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestOfficialSDKReadsGeneralActions: the typed responses of the official client hold the ledger's responses, and its
// refusals.
func TestOfficialSDKReadsGeneralActions(t *testing.T) {
	n := newFakeNetwork()
	for _, s := range append(append(memberShapes(), deviceShapes()...), resourceShapes()...) {
		if s.answer != nil && !strings.Contains(s.json, `[]`) {
			n.answer(s.answer)
		}
	}
	n.output = "7175344570030001"
	f := openFake(t, n)
	eventually(t, "keys arrive", func() bool { return f.Ready() == nil })
	c := sdk(t, f.Addr(), "admin", "admin-secret")

	create := ltl.CreateCreateMemberRequest()
	create.ApiVersion, create.BizChainId, create.MemberName, create.MemberContact = "1.0.0", proofID, "某公司", "张三"
	create.MemberPhone, create.MemberUid, create.Remark = "010-1", memberUID, "a b+c*~备注"
	if r, err := c.CreateMember(create); err != nil || !r.Success || r.Data != "7175344570030001" {
		t.Errorf("%+v %v", r, err)
	}
	n.set(func(n *fakeNetwork) {
		if got := n.last.GetCreateMember().GetRemark(); got != "a b+c*~备注" {
			t.Errorf("the remark arrives as %q", got)
		}
	})
	members := ltl.CreateListMemberRequest()
	members.ApiVersion, members.BizChainId, members.Num, members.Size = "1.0.0", proofID, requests.NewInteger(1), requests.NewInteger(2)
	if r, err := c.ListMember(members); err != nil || r.Data.Total != 30 || len(r.Data.PageData) != 2 ||
		r.Data.PageData[1].Status != "LOCK" {
		t.Errorf("%+v %v", r, err)
	}
	groups := ltl.CreateListDeviceGroupRequest()
	groups.ApiVersion, groups.BizChainId, groups.Num, groups.Size = "1.0.0", proofID, requests.NewInteger(1), requests.NewInteger(2)
	if r, err := c.ListDeviceGroup(groups); err != nil || len(r.Data.PageData) != 2 ||
		r.Data.PageData[0].Status != "AUTHORIZED" {
		t.Errorf("%+v %v", r, err)
	}
	devices := ltl.CreateListDeviceRequest()
	devices.ApiVersion, devices.BizChainId, devices.Num, devices.Size = "1.0.0", proofID, requests.NewInteger(1), requests.NewInteger(2)
	devices.DeviceGroupId = "4750204547410001"
	if r, err := c.ListDevice(devices); err != nil || len(r.Data.PageData) != 1 ||
		r.Data.PageData[0].LastSaveTime != 1606379090866 {
		t.Errorf("%+v %v", r, err)
	}
	use := ltl.CreateDescribeMemberCapacityInfoRequest()
	use.ApiVersion, use.BizChainId = "1.0.0", proofID
	if r, err := c.DescribeMemberCapacityInfo(use); err != nil || len(r.Data) != 2 ||
		r.Data[0].UsedCapacity != "70000000" {
		t.Errorf("%+v %v", r, err)
	}
	capacity := ltl.CreateDescribeCapacityInfoRequest()
	capacity.ApiVersion, capacity.BizChainId = "1.0.0", proofID
	if r, err := c.DescribeCapacityInfo(capacity); err != nil || r.Data.CapacityQuota != 800000000000 ||
		r.Data.MemberUsedCount != 26666 {
		t.Errorf("%+v %v", r, err)
	}
	n.answer(&ltlv1.ListMembersResponse{Code: rules.Forbidden})
	if r, err := c.DescribeMemberCapacityInfo(use); err != nil || r.Success || r.Code != 403 || len(r.Data) != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := c.ListMember(members); err != nil || r.Success || r.Code != 403 || r.Message == "" {
		t.Errorf("%+v %v", r, err)
	}
}

// TestOfficialSDKSendsLargeBatches: 50 items of the longest Chinese text, which the official client puts into the URL
// as a numbered object, become one transaction with 50 items in the same order.
func TestOfficialSDKSendsLargeBatches(t *testing.T) {
	n := newFakeNetwork()
	n.answer(&ltlv1.ListPhasesResponse{Code: rules.OK})
	f := openFake(t, n)
	eventually(t, "keys arrive", func() bool { return f.Ready() == nil })
	upload := ltl.CreateBatchUploadMPCoSPhaseTextInfoRequest()
	upload.ApiVersion, upload.BizChainId, upload.PhaseGroupId, upload.PhaseId = "1.0.0", coID, "1000000000000001", "1000000000000002"
	upload.PhaseDataList = map[string]interface{}{}
	for i := range 50 {
		upload.PhaseDataList[strconv.Itoa(i)] = map[string]interface{}{"dataKey": "k" + strconv.Itoa(i),
			"phaseData": strings.Repeat("值", 2048), "dataSeq": hex64}
	}
	r, err := sdk(t, f.Addr(), "admin", "admin-secret").BatchUploadMPCoSPhaseTextInfo(upload)
	if err != nil || !r.Success {
		t.Fatalf("%+v %v", r, err)
	}
	n.set(func(n *fakeNetwork) {
		items := n.last.GetUploadPhaseData().GetItems()
		if len(items) != 50 {
			t.Fatalf("%d items", len(items))
		}
		for i, item := range items {
			if item.GetDataKey() != "k"+strconv.Itoa(i) || len(item.GetPhaseData()) != 6144 {
				t.Errorf("item %d is %s with %d bytes", i, item.GetDataKey(), len(item.GetPhaseData()))
			}
		}
	})
}
