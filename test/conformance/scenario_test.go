package conformance

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ltl"

	"ltl/client/device"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// testScenarioA records the data of an IoT device: list the chain, sign on the device, upload through the official
// client, read the proof.
func (w *world) testScenarioA(t *testing.T) {
	admin := w.user("the administrator of scenario A")
	made := w.chain(roomy("存证-业务链", ltlv1.ChainService_CHAIN_SERVICE_PROOF, admin))
	client := w.sdk(t, admin)

	list := ltl.CreateListProofChainRequest()
	list.ApiVersion, list.Num, list.Size = "1.0.0", requests.NewInteger(1), requests.NewInteger(10)
	chains, err := client.ListProofChain(list)
	if err != nil || !chains.Success || len(chains.Data.PageData) != 1 || chains.Data.Num != 1 || chains.Data.Size != 10 ||
		chains.Data.Total != 1 {
		t.Fatalf("%+v, %v", chains, err)
	}
	chain := chains.Data.PageData[0]
	if chain.BizChainCode != made.code || chain.BizChainId != made.id || chain.RoleType != "ADMIN" ||
		chain.Name != "存证-业务链" || len(chain.DataTypeCode) != 4 {
		t.Fatalf("%+v", chain)
	}

	product, iotID := w.fresh("hKpHMh2"), w.iotID()
	sensor := w.enrol(made, product, iotID, device.ECC)
	group := w.registers(admin, made, product)
	proof, err := sensor.Sign("Proof-Data", product, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key := "0001_" + chain.BizChainCode + "_" + chain.DataTypeCode + "_00000000000000000000000000000001"
	set := ltl.CreateSetDataWithSignatureRequest()
	set.ApiVersion, set.ProductKey, set.Key, set.Value = "1.0.0", chain.BizChainCode, key, "Proof-Data"
	set.IotAuthType, set.IotId, set.IotIdServiceProvider, set.IotIdSource = proof.IotAuthType, proof.IotID, proof.IotIDServiceProvider, "2"
	set.IotDataDigest, set.IotSignature = proof.IotDataDigest, proof.IotSignature
	before := time.Now().UnixMilli()
	if r, err := client.SetDataWithSignature(set); err != nil || !r.Success || r.Data != "" || len(r.RequestId) != 36 {
		t.Fatalf("%+v, %v", r, err)
	}

	get := ltl.CreateGetDataRequest()
	get.ApiVersion, get.ProductKey, get.Key = "1.0.0", chain.BizChainCode, key
	if r, err := client.GetData(get); err != nil || r.Data != "Proof-Data" {
		t.Fatalf("%+v, %v", r, err)
	}
	info := ltl.CreateGetBlockChainInfoRequest()
	info.ApiVersion, info.ProductKey, info.Key = "1.0.0", chain.BizChainCode, key
	r, err := client.GetBlockChainInfo(info)
	if err != nil || !strings.Contains(r.Data, `"iotId":"`+iotID+`"`) ||
		!strings.Contains(r.Data, strings.ToLower(proof.IotDataDigest)) {
		t.Fatalf("%+v, %v", r, err)
	}
	devices := ltl.CreateListDeviceRequest()
	devices.ApiVersion, devices.BizChainId, devices.DeviceGroupId = "1.0.0", made.id, group
	devices.Num, devices.Size = requests.NewInteger(1), requests.NewInteger(10)
	found, err := client.ListDevice(devices)
	if err != nil || len(found.Data.PageData) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if d := found.Data.PageData[0]; d.IotId != iotID || d.Status != "AUTHORIZED" || len(d.DeviceId) != 16 ||
		d.LastSaveTime < before-1000 || d.LastSaveTime > before+60_000 {
		t.Errorf("the device is %+v", d)
	}
}

// crop is one step of the way of the rice.
type crop struct {
	member                      *user
	phaseName, company, dataKey string
	phase, memberID, data       string
}

// seq is the sequence number that scenario B uses throughout.
const seq = "0000000000000000000000000000000000000000000000000000000000000001"

// testScenarioB traces rice from planting to sale: one phase group, three phases, three members with one phase each.
// Each record refers to the previous one.
func (w *world) testScenarioB(t *testing.T) {
	admin := w.user("the administrator of scenario B")
	made := w.chain(roomy("多方业务协同-业务链", ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, admin))
	on := params{"BizChainId": made.id}
	page := params{"Num": "1", "Size": "10"}
	list := w.must(t, admin, "ListMultiPartyCollaborationChain", page)
	if rows := list.rows(); len(rows) != 1 || rows[0].str("BizChainId") != made.id || rows[0].str("RoleType") != "ADMIN" ||
		list.data().str("Size") != "10" || list.data().str("Total") != "1" {
		t.Fatalf("%s", list)
	}
	group := w.must(t, admin, "CreateMPCoSPhaseGroup", on.with("Name", "协同模型-大米溯源", "Remark", "备注")).text()
	steps := []*crop{
		{phaseName: "大米种植", company: "大米生产方", dataKey: "A", data: `{"大米生产编号" : "374238942389472394720001"}`},
		{phaseName: "大米加工", company: "大米加工方", dataKey: "B",
			data: `{"大米加工编号" : "97E6FBCE8A9DA6DC97E6FBCE8A9DA6DC97E6FBCE8A9DA6DC97E6FBCE00000001"}`},
		{phaseName: "大米销售", company: "大米销售方", dataKey: "C", data: `{"大米销售编号" : "39766baf2885ef042da75236454a0001"}`},
	}
	for _, s := range steps {
		s.phase = w.must(t, admin, "CreateMPCoSPhase", on.with("PhaseGroupId", group, "Name", s.phaseName, "Remark",
			s.phaseName)).text()
		s.dataKey += strings.Repeat("0", 62) + "1"
	}
	phases := w.must(t, admin, "ListMPCoSPhase", on.with(page.pairs()...).with("PhaseGroupId", group))
	for i, row := range phases.rows() {
		if row.str("PhaseId") != steps[i].phase || row.str("Name") != steps[i].phaseName ||
			row.str("Remark") != steps[i].phaseName || row.str("AccessPermission") != "3" {
			t.Errorf("phase %d: %s", i, phases)
		}
	}
	if phases.data().str("Total") != "3" {
		t.Errorf("%s", phases)
	}
	w.membersOfB(t, admin, on, page, group, steps)

	var records []*node
	for i, s := range steps {
		p := on.with("PhaseGroupId", group, "PhaseId", s.phase, "DataKey", s.dataKey, "DataSeq", seq, "PhaseData", s.data)
		if i > 0 {
			b := steps[i-1]
			p["RelatedDataList"] = fmt.Sprintf(`[{"relatedPhaseId":%q,"relatedDataKey":%q,"relatedDataSeq":%q,"relatedPhaseData":%s}]`, b.phase, b.dataKey, seq, rawJSON(b.data))
		}
		w.must(t, s.member, "UploadMPCoSPhaseTextInfo", p)
		other := steps[(i+1)%3].member
		w.wants(t, other, "UploadMPCoSPhaseTextInfo", "without authorisation", p.with("DataSeq", "2"), "403")
		w.wants(t, s.member, "UploadMPCoSPhaseTextInfo", "twice", p, "-317")
	}
	for _, s := range steps {
		var first *response
		for _, reader := range []*user{admin, steps[0].member, steps[1].member, steps[2].member} {
			r := w.must(t, reader, "DescribeMPCoSPhaseInfo", on.with("PhaseGroupId", group, "PhaseId", s.phase, "DataKey",
				s.dataKey, "DataSeq", seq))
			if first == nil {
				first = r
				records = append(records, r.data())
			}
			if first.data().str("TransactionHash") != r.data().str("TransactionHash") {
				t.Errorf("%s reads another record: %s", reader.name, r)
			}
		}
	}
	w.recordsOfB(t, made, steps, records)
}

// membersOfB creates the three members and authorises each for its phase.
func (w *world) membersOfB(t *testing.T, admin *user, on, page params, group string, steps []*crop) {
	t.Helper()
	for _, s := range steps {
		s.member = w.user(s.company)
		s.memberID = w.must(t, admin, "CreateMember", on.with("MemberName", s.company, "MemberUid", s.member.uid,
			"MemberContact", "联系人",
			"MemberPhone", "00000000000", "Remark", s.company)).text()
	}
	members := w.must(t, admin, "ListMember", on.with(page.pairs()...))
	for i, row := range members.rows() {
		s := steps[i]
		if row.str("MemberId") != s.memberID || row.str("MemberUid") != s.member.uid || row.str("MemberName") != s.company ||
			row.str("Remark") != s.company ||
			row.str("Status") != "UNLOCK" || row.str("MemberContact") != "联系人" || row.str("MemberPhone") != "00000000000" {
			t.Errorf("member %d: %s", i, members)
		}
	}
	if members.data().str("Total") != "3" {
		t.Errorf("%s", members)
	}
	for i, s := range steps {
		at := on.with("PhaseGroupId", group, "MemberId", s.memberID)
		w.must(t, admin, "UpdateMPCoSAuthorizedInfo", at.with("AuthorizedPhaseList", `["`+s.phase+`"]`))
		r := w.must(t, admin, "DescribeMPCoSAuthorizedInfo", at)
		names := func(list string) (all []string) {
			for _, p := range r.data().get(list).items {
				all = append(all, p.str("PhaseName"))
			}
			return all
		}
		others := []string{steps[0].phaseName, steps[1].phaseName, steps[2].phaseName}
		others = append(others[:i:i], others[i+1:]...)
		if fmt.Sprint(names("AuthorizedPhaseList")) != fmt.Sprint([]string{s.phaseName}) ||
			fmt.Sprint(names("UnAuthorizedPhaseList")) != fmt.Sprint(others) {
			t.Errorf("%s: %s", s.company, r)
		}
		for j, row := range w.must(t, s.member, "ListMPCoSPhase", on.with(page.pairs()...).with("PhaseGroupId",
			group)).rows() {
			want := "1"
			if i == j {
				want = "3"
			}
			if row.str("AccessPermission") != want {
				t.Errorf("%s has the permission %s for phase %d, want %s", s.company, row.str("AccessPermission"), j, want)
			}
		}
	}
}

// recordsOfB checks the three records: their data, their place on the chain, and their references.
func (w *world) recordsOfB(t *testing.T, made chain, steps []*crop, records []*node) {
	t.Helper()
	hashOf := func(s string) string {
		h := sha256.Sum256([]byte(s))
		return hex.EncodeToString(h[:])
	}
	number := func(i int) int {
		n, err := strconv.Atoi(records[i].str("BlockNumber"))
		if err != nil || records[i].get("BlockNumber").kind != '#' || records[i].get("Timestamp").kind != '#' {
			t.Fatalf("%v: BlockNumber is no number", err)
		}
		return n
	}
	hashes := map[int]string{} // by height, from the blocks themselves
	testkit.WaitFor(t, 10*time.Second, "the node that is asked has the blocks", func() bool {
		for _, b := range w.Blocks(made.id) {
			header, err := ledger.ParseHeader(b.GetHeader())
			if err != nil {
				t.Fatal(err)
			}
			h := ledger.BlockHash(b.GetHeader())
			hashes[int(header.Height)] = hex.EncodeToString(h[:])
		}
		return hashes[number(2)] != ""
	})
	for i, r := range records {
		if r.str("DataValue") != steps[i].data || r.str("DataHash") != hashOf(steps[i].data) || r.str("IotId") != "" ||
			r.str("ProductKey") != "" {
			t.Errorf("record %d: %v", i, r.items)
		}
		if h := hashes[number(i)]; h != r.str("BlockHash") || hashes[number(i)-1] != "" &&
			hashes[number(i)-1] != r.str("PreviousHash") {
			t.Errorf("record %d names the block hash %s, its block has %s", i, r.str("BlockHash"), h)
		}
		related := r.get("RelatedDataList").items
		if i == 0 {
			if len(related) != 0 {
				t.Errorf("the first record refers to %d others", len(related))
			}
			continue
		}
		// Each record follows the one that it refers to. Refused uploads between them are on the chain too if they were
		// ordered.
		between := number(i) - number(i-1)
		if between < 1 || between == 1 && r.str("PreviousHash") != records[i-1].str("BlockHash") ||
			between > 1 && r.str("PreviousHash") == records[i-1].str("BlockHash") {
			t.Errorf("record %d: block %d after block %d, with the previous hash %s", i, number(i), number(i-1),
				r.str("PreviousHash"))
		}
		before := steps[i-1]
		if len(related) != 1 {
			t.Fatalf("record %d refers to %d others", i, len(related))
		}
		parts := strings.Split(related[0].str("RelatedDataKey"), "_")
		if len(parts) != 4 || parts[0] != "0002" || parts[1] != made.code || len(parts[2]) != 4 ||
			parts[3] != before.dataKey || related[0].str("RelatedDataSeq") != seq ||
			related[0].str("RelatedPhaseId") != before.phase || related[0].str("RelatedPhaseName") != before.phaseName ||
			related[0].str("RelatedPhaseDataHash") != records[i-1].str("DataHash") {
			t.Errorf("record %d refers to %v %v", i, related[0].names, related[0].items)
		}
	}
	w.consecutive(t, made, steps)
}

// consecutive: two records without a call between them are in consecutive blocks, and the second block names the hash
// of the first.
func (w *world) consecutive(t *testing.T, made chain, steps []*crop) {
	t.Helper()
	s := steps[0]
	row := w.must(t, s.member, "ListMPCoSPhaseGroup", params{"BizChainId": made.id, "Num": "1", "Size": "1"}).rows()[0]
	p := params{"BizChainId": made.id, "PhaseGroupId": row.str("PhaseGroupId"), "PhaseId": s.phase,
		"DataKey": "Consecutive"}
	for i := range 3 {
		w.must(t, s.member, "UploadMPCoSPhaseTextInfo", p.with("PhaseData", strconv.Itoa(i)))
	}
	history := p.with("StartTime", "0", "EndTime", "9223372036854775807", "Num", "1", "Size", "3")
	rows := w.must(t, s.member, "ListMPCoSPhaseHistory", history).rows()
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3", len(rows))
	}
	for i, r := range rows {
		if r.str("DataValue") != strconv.Itoa(i) {
			t.Errorf("row %d has %s: not the oldest first", i, r.str("DataValue"))
		}
		if i > 0 && (r.str("PreviousHash") != rows[i-1].str("BlockHash") || r.str("Timestamp") < rows[i-1].str("Timestamp")) {
			t.Errorf("row %d does not follow row %d: %v %v", i, i-1, r.items, rows[i-1].items)
		}
		if len(r.str("DataSeq")) != 64 {
			t.Errorf("row %d has the assigned DataSeq %s", i, r.str("DataSeq"))
		}
	}
}
