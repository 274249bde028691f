package query_test

import (
	"encoding/pem"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	"ltl/client/device"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

const strangerUID = "9999999999999999"

// office is a chain with an administrator, a member with a device that has uploaded, a locked member, and an account
// that has no part in it.
type office struct {
	n      *testkit.Network
	ledger *client.Ledger
	// locked and outsider are uids.
	locked, outsider string
	// groups are those of the member, of the administrator, and of the member again.
	groups []string
	// record is the Key that the device signed, savedMs its block's time.
	record  string
	savedMs int64
}

// deviceID is the device that uploads.
const deviceID = "2122232425262728292A2B2C"

func newOffice(t *testing.T) *office {
	t.Helper()
	n := testkit.Start(t, testkit.Options{})
	f := &office{n: n, ledger: n.Client(identity.RoleFacade).Ledger()}
	account := func(name string) string {
		return f.operate(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Name: name, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: n.Admin.Organisation,
		}}}).GetOutput()
	}
	f.locked, f.outsider = account("locked"), account("outsider")
	id := f.act(n.Admin.UID, &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{
		CreateMember: &ltlv1.CreateMember{MemberUid: f.locked, Name: "locked", Contact: "contact", Phone: "1"},
	}}).GetOutput()
	f.act(n.Admin.UID, &ltlv1.Transaction{Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: id, Locked: true}}})
	for i, uid := range []string{n.Member.UID, n.Admin.UID, n.Member.UID} {
		n.SubmitAs(n.Operator([]string{"org2", "org1", "org2"}[i]), &ltlv1.Transaction{
			Action: &ltlv1.Transaction_ClaimProduct{ClaimProduct: &ltlv1.ClaimProduct{
				ProductKey: fmt.Sprint("product", i), ChainId: n.ChainID,
			}},
		})
		f.groups = append(f.groups, f.act(uid, &ltlv1.Transaction{Action: &ltlv1.Transaction_RegisterDeviceGroup{
			RegisterDeviceGroup: &ltlv1.RegisterDeviceGroup{ProductKey: fmt.Sprint("product", i), Name: "数据源组",
				AuthorizeType: "ID2", Remark: "remark"},
		}}).GetOutput())
	}
	f.act(n.Admin.UID, &ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizeDeviceGroup{
		AuthorizeDeviceGroup: &ltlv1.AuthorizeDeviceGroup{DeviceGroupId: f.groups[2]},
	}})
	f.upload(t)
	return f
}

// upload enrols a device and has it sign a record of the member's.
func (f *office) upload(t *testing.T) {
	t.Helper()
	key, err := device.Generate(device.ECC)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.EncodePublic()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(public)
	f.n.SubmitAs(f.n.Operator("org2"), &ltlv1.Transaction{
		Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
			ProductKey: "product0", IotId: deviceID, KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256,
			PublicKey: block.Bytes,
		}},
	})
	f.operate(&ltlv1.Transaction{Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
		ProductKey: "product1", IotId: "revoked", KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256,
		PublicKey: block.Bytes,
	}}})
	f.operate(&ltlv1.Transaction{Action: &ltlv1.Transaction_RevokeDevice{RevokeDevice: &ltlv1.RevokeDevice{ProductKey: "product1", IotId: "revoked"}}})
	d, err := device.New(deviceID, key.Sign)
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.Sign("value", "product0", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	f.record = f.n.Key(f.n.Member, "signed")
	r := f.act(f.n.Member.UID, &ltlv1.Transaction{Openings: client.Values("value"), Action: &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{
		Key: f.record, Device: &ltlv1.DeviceProof{
			AuthType: p.IotAuthType, IotId: p.IotID, ProductKey: p.IotIDServiceProvider, DataDigest: p.IotDataDigest,
			Signature: p.IotSignature, Source: "1",
		},
	}}})
	f.savedMs = r.GetTimeMs()
}

func (f *office) act(uid string, tx *ltlv1.Transaction) *ltlv1.Result {
	tx.ChainId, tx.AccountUid = f.n.ChainID, uid
	return f.n.Submit(identity.RoleFacade, tx)
}

func (f *office) operate(tx *ltlv1.Transaction) *ltlv1.Result {
	tx.ChainId = ledger.SystemChain
	return f.n.Submit(identity.RoleOperator, tx)
}

func TestAdministration(t *testing.T) {
	f := newOffice(t)
	t.Run("who may ask", f.access)
	t.Run("chain", f.chain)
	t.Run("members", f.members)
	t.Run("groups", f.deviceGroups)
	t.Run("devices", f.devices)
	t.Run("enrolments", f.enrolments)
	t.Run("record", f.deviceRecord)
	t.Run("organisations", f.organisations)
	t.Run("new holder", f.newHolder) // last: it changes who is who
}

// access: every read refuses who has no part in the chain, and a locked member; an operator names no account and sees
// all.
func (f *office) access(t *testing.T) {
	for name, read := range map[string]func(chainID, uid string) (int32, error){
		"GetChain": func(id, uid string) (int32, error) {
			out, err := f.ledger.GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: id, AccountUid: uid})
			return out.GetCode(), err
		},
		"ListMembers": func(id, uid string) (int32, error) {
			out, err := f.ledger.ListMembers(t.Context(),
				&ltlv1.ListMembersRequest{ChainId: id, AccountUid: uid, Page: 1, Size: 1})
			return out.GetCode(), err
		},
		"ListDeviceGroups": func(id, uid string) (int32, error) {
			out, err := f.ledger.ListDeviceGroups(t.Context(),
				&ltlv1.ListDeviceGroupsRequest{ChainId: id, AccountUid: uid, Page: 1, Size: 1})
			return out.GetCode(), err
		},
		"ListDevices": func(id, uid string) (int32, error) {
			out, err := f.ledger.ListDevices(t.Context(),
				&ltlv1.ListDevicesRequest{ChainId: id, AccountUid: uid, DeviceGroupId: f.groups[0], Page: 1, Size: 1})
			return out.GetCode(), err
		},
	} {
		memberCode := rules.OK
		if name == "ListMembers" {
			memberCode = rules.Forbidden
		}
		for _, c := range []struct {
			who, chain, uid string
			want            int32
		}{
			{"the administrator", f.n.ChainID, f.n.Admin.UID, rules.OK},
			{"a member", f.n.ChainID, f.n.Member.UID, memberCode},
			{"an operator", f.n.ChainID, "", rules.OK},
			{"a locked member", f.n.ChainID, f.locked, rules.Forbidden},
			{"another account", f.n.ChainID, f.outsider, rules.Forbidden},
			{"no account", f.n.ChainID, strangerUID, rules.UnknownUID},
			{"who asks for no chain", "1111222233334444", f.n.Admin.UID, rules.NotFound},
			{"who asks for the system chain", ledger.SystemChain, f.n.Admin.UID, rules.NotFound},
			{"who asks for something odd", "../" + f.n.ChainID, "", rules.NotFound},
		} {
			if got, err := read(c.chain, c.uid); err != nil || got != c.want {
				t.Errorf("%s, %s: %d, %v, want %d", name, c.who, got, err, c.want)
			}
		}
	}
	list, err := f.ledger.ListChains(t.Context(), &ltlv1.ListChainsRequest{AccountUid: f.locked, Page: 1, Size: 10})
	if err != nil || list.GetTotal() != 0 {
		t.Errorf("the chains of a locked member: %v, %v", list, err)
	}
}

func (f *office) chain(t *testing.T) {
	for uid, want := range map[string]*ltlv1.GetChainResponse{
		f.n.Admin.UID: {Chain: &ltlv1.ChainInfo{Role: rules.RoleAdmin, DataTypeCode: f.n.Admin.TypeCode}},
		f.n.Member.UID: {Chain: &ltlv1.ChainInfo{Role: rules.RoleMember, DataTypeCode: f.n.Member.TypeCode}, OwnCount: 1,
			OwnBytes: 5},
		"": {Chain: &ltlv1.ChainInfo{}},
	} {
		out, err := f.ledger.GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: f.n.ChainID, AccountUid: uid})
		info := out.GetChain()
		if err != nil || info.GetRole() != want.GetChain().GetRole() ||
			info.GetDataTypeCode() != want.GetChain().GetDataTypeCode() ||
			out.GetOwnCount() != want.GetOwnCount() || out.GetOwnBytes() != want.GetOwnBytes() || out.GetUsedMembers() != 2 ||
			info.GetUsedCount() != 1 || info.GetUsedBytes() != 5 || info.GetChainCode() != f.n.ChainCode ||
			info.GetChain().GetName() != "proof" {
			t.Errorf("%q: %v, %v", uid, out, err)
		}
	}
}

func (f *office) members(t *testing.T) {
	list := func(in *ltlv1.ListMembersRequest) ([]*ltlv1.MemberInfo, uint64) {
		t.Helper()
		in.ChainId, in.AccountUid = f.n.ChainID, f.n.Admin.UID
		out, err := f.ledger.ListMembers(t.Context(), in)
		if err != nil || out.GetCode() != rules.OK {
			t.Fatal(out, err)
		}
		return out.GetMembers(), out.GetTotal()
	}
	all, total := list(&ltlv1.ListMembersRequest{Page: 1, Size: 10, WithAdministrator: true})
	if total != 3 || len(all) != 3 || all[0].GetUid() != f.n.Admin.UID || all[0].GetRole() != rules.RoleAdmin ||
		all[0].GetName() != "admin" ||
		all[0].GetDataTypeCode() != f.n.Admin.TypeCode || all[1].GetUid() != f.n.Member.UID || all[2].GetUid() != f.locked {
		t.Fatalf("with the administrator: %v", all)
	}
	if m := all[1]; m.GetStatus() != rules.StatusUnlock || m.GetUsedCount() != 1 || m.GetUsedBytes() != 5 ||
		m.GetName() != "member" || m.GetContact() != "contact" ||
		m.GetPhone() != "123456" || m.GetDataTypeCode() != f.n.Member.TypeCode || all[2].GetStatus() != rules.StatusLock {
		t.Errorf("members %v", all)
	}
	if page, total := list(&ltlv1.ListMembersRequest{Page: 2, Size: 1}); total != 2 || len(page) != 1 ||
		page[0].GetUid() != f.locked {
		t.Errorf("the second page of one: %v, %d", page, total)
	}
	if page, total := list(&ltlv1.ListMembersRequest{Page: 9, Size: 100}); total != 2 || len(page) != 0 {
		t.Errorf("beyond the end: %v, %d", page, total)
	}
	if page, total := list(&ltlv1.ListMembersRequest{Page: 1, Size: 1, MemberUid: f.locked}); total != 1 ||
		page[0].GetUid() != f.locked {
		t.Errorf("of one uid: %v, %d", page, total)
	}
	if page, total := list(&ltlv1.ListMembersRequest{Page: 1, Size: 1, MemberUid: f.n.Admin.UID}); total != 0 {
		t.Errorf("the administrator, who is no member: %v, %d", page, total)
	}
}

func (f *office) deviceGroups(t *testing.T) {
	for _, c := range []struct {
		what    string
		request *ltlv1.ListDeviceGroupsRequest
		want    []string
		total   uint64
	}{
		{"the administrator's", &ltlv1.ListDeviceGroupsRequest{AccountUid: f.n.Admin.UID, Page: 1, Size: 10}, f.groups, 3},
		{"an operator's", &ltlv1.ListDeviceGroupsRequest{Page: 2, Size: 2}, f.groups[2:], 3},
		{"the member's", &ltlv1.ListDeviceGroupsRequest{AccountUid: f.n.Member.UID, Page: 1, Size: 10},
			[]string{f.groups[0], f.groups[2]}, 2},
		{"the member's, of a product", &ltlv1.ListDeviceGroupsRequest{AccountUid: f.n.Member.UID, Page: 1, Size: 10,
			ProductKey: "product2"}, f.groups[2:], 1},
		{"the member's, of another's product", &ltlv1.ListDeviceGroupsRequest{AccountUid: f.n.Member.UID, Page: 1, Size: 10,
			ProductKey: "product1"}, nil, 0},
		{"of a part of a product's name", &ltlv1.ListDeviceGroupsRequest{Page: 1, Size: 10, ProductKey: "product"}, nil, 0},
	} {
		c.request.ChainId = f.n.ChainID
		out, err := f.ledger.ListDeviceGroups(t.Context(), c.request)
		var got []string
		for _, g := range out.GetGroups() {
			got = append(got, g.GetDeviceGroupId())
		}
		if err != nil || out.GetTotal() != c.total || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v, want %v", c.what, out, err, c.want)
		}
	}
	out, err := f.ledger.ListDeviceGroups(t.Context(),
		&ltlv1.ListDeviceGroupsRequest{ChainId: f.n.ChainID, Page: 1, Size: 10})
	if err != nil || len(out.GetGroups()) != 3 {
		t.Fatal(out, err)
	}
	g := out.GetGroups()
	if g[0].GetOwnerUid() != f.n.Member.UID || g[0].GetOwnerName() != "member" || !g[0].GetAuthorized() ||
		g[2].GetAuthorized() || g[0].GetAuthorizeType() != "ID2" ||
		g[1].GetOwnerUid() != f.n.Admin.UID || g[1].GetOwnerName() != "admin" || g[0].GetRemark() != "remark" ||
		g[0].GetName() != "数据源组" {
		t.Errorf("groups %v", g)
	}
}

func (f *office) devices(t *testing.T) {
	for _, c := range []struct {
		what, uid, group, iotID string
		code                    int32
		total                   uint64
	}{
		{"the member's", f.n.Member.UID, f.groups[0], "", rules.OK, 1},
		{"the administrator's look at it", f.n.Admin.UID, f.groups[0], deviceID, rules.OK, 1},
		{"of another name", f.n.Admin.UID, f.groups[0], deviceID[1:], rules.OK, 0},
		{"of a group without any", f.n.Member.UID, f.groups[2], "", rules.OK, 0},
		{"of another's group", f.n.Member.UID, f.groups[1], "", rules.Forbidden, 0},
		{"of no group", f.n.Member.UID, "0000000000000000", "", rules.NotFound, 0},
		{"of something odd", f.n.Member.UID, f.groups[0] + "/", "", rules.NotFound, 0},
	} {
		out, err := f.ledger.ListDevices(t.Context(), &ltlv1.ListDevicesRequest{
			ChainId: f.n.ChainID, AccountUid: c.uid, DeviceGroupId: c.group, IotId: c.iotID, Page: 1, Size: 10,
		})
		if err != nil || out.GetCode() != c.code || out.GetTotal() != c.total || uint64(len(out.GetDevices())) != c.total {
			t.Errorf("%s: %v, %v, want %d and %d devices", c.what, out, err, c.code, c.total)
			continue
		}
		for _, d := range out.GetDevices() {
			if d.GetIotId() != deviceID || d.GetLastSaveMs() != f.savedMs || !d.GetAuthorized() ||
				len(d.GetDeviceId()) != rules.AssignedIDLen {
				t.Errorf("%s: %v, saved at %d", c.what, d, f.savedMs)
			}
		}
	}
}

func (f *office) enrolments(t *testing.T) {
	for _, c := range []struct {
		productKey, iotID string
		want              []string
	}{
		{"", "", []string{deviceID, "revoked"}}, {"product1", "", []string{"revoked"}}, {"", deviceID,
			[]string{deviceID}}, {"product1", deviceID, nil},
	} {
		out, err := f.ledger.ListEnrolments(t.Context(),
			&ltlv1.ListEnrolmentsRequest{ProductKey: c.productKey, IotId: c.iotID, Page: 1, Size: 10})
		var got []string
		for _, d := range out.GetDevices() {
			got = append(got, d.GetDevice().GetIotId())
			if d.GetRevoked() != (d.GetDevice().GetIotId() == "revoked") || d.GetOrganisation() == "" ||
				d.GetEnrolledHeight() == 0 || len(d.GetDevice().GetPublicKey()) == 0 {
				t.Errorf("enrolment %v", d)
			}
		}
		if err != nil || !slices.Equal(got, c.want) || out.GetTotal() != uint64(len(c.want)) {
			t.Errorf("of %q and %q: %v, %v, want %v", c.productKey, c.iotID, out, err, c.want)
		}
	}
	f.products(t)
	if _, err := f.ledger.ListEnrolments(t.Context(),
		&ltlv1.ListEnrolmentsRequest{Page: 1, Size: 101}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a page of 101: %v", err)
	}
}

// products lists the products with their owner and chain, all or one.
func (f *office) products(t *testing.T) {
	for key, want := range map[string][]string{
		"": {"product0 org2", "product1 org1", "product2 org2"}, "product1": {"product1 org1"}, "none": nil,
	} {
		out, err := f.ledger.ListProducts(t.Context(), &ltlv1.ListProductsRequest{ProductKey: key, Page: 1, Size: 10})
		var got []string
		for _, p := range out.GetProducts() {
			got = append(got, p.GetProductKey()+" "+p.GetOrganisation())
			if p.GetChainId() != f.n.ChainID || p.GetFromMs() == 0 || p.GetChangedHeight() == 0 {
				t.Errorf("product %v", p)
			}
		}
		if err != nil || !slices.Equal(got, want) || out.GetTotal() != uint64(len(want)) {
			t.Errorf("products %q: %v, %v, want %v", key, out, err, want)
		}
	}
	if _, err := f.ledger.ListProducts(t.Context(),
		&ltlv1.ListProductsRequest{Page: 0, Size: 1}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("page 0: %v", err)
	}
}

func (f *office) deviceRecord(t *testing.T) {
	out, err := f.ledger.GetRecord(t.Context(), &ltlv1.GetRecordRequest{ChainCode: f.n.ChainCode, Key: f.record,
		AccountUid: f.n.Member.UID})
	if err != nil || out.GetRecord().GetIotId() != deviceID || out.GetRecord().GetValue() != "value" {
		t.Errorf("%v, %v", out, err)
	}
}

// organisations: a record names an organisation that signed it also after an operator took it off the chain's list.
func (f *office) organisations(t *testing.T) {
	names := func() []string {
		t.Helper()
		out, err := f.ledger.GetRecord(t.Context(), &ltlv1.GetRecordRequest{ChainCode: f.n.ChainCode, Key: f.record})
		if err != nil || len(out.GetRecord().GetEndorsementNames()) < 2 {
			t.Fatal(out, err)
		}
		return out.GetRecord().GetEndorsementNames()
	}
	before := names()
	operator := f.n.Client(identity.RoleOperator)
	f.n.Decide(operator, &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyChain{ModifyChain: &ltlv1.ModifyChain{
		ChainId: f.n.ChainID, Organisations: []string{f.n.Admin.Organisation},
	}}})
	if after := names(); !slices.Equal(slices.Sorted(slices.Values(after)), slices.Sorted(slices.Values(before))) {
		t.Errorf("signed by %v, then told as %v", before, after)
	}
	f.n.Decide(operator, &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyChain{ModifyChain: &ltlv1.ModifyChain{
		ChainId: f.n.ChainID, Organisations: []string{f.n.Admin.Organisation, f.n.Member.Organisation},
	}}})
}

// newHolder: an entry that another account takes over takes what it may see with it, and the former account sees
// nothing.
func (f *office) newHolder(t *testing.T) {
	out, err := f.ledger.ListMembers(t.Context(),
		&ltlv1.ListMembersRequest{ChainId: f.n.ChainID, MemberUid: f.n.Member.UID, Page: 1, Size: 1})
	if err != nil || len(out.GetMembers()) != 1 {
		t.Fatal(out, err)
	}
	f.act(f.n.Admin.UID, &ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyMember{ModifyMember: &ltlv1.ModifyMember{
		MemberId: out.GetMembers()[0].GetMemberId(), MemberUid: f.outsider, Name: "successor", Contact: "contact", Phone: "2",
	}}})
	for uid, want := range map[string]int32{f.n.Member.UID: rules.Forbidden, f.outsider: rules.OK} {
		record, err := f.ledger.GetRecord(t.Context(),
			&ltlv1.GetRecordRequest{ChainCode: f.n.ChainCode, Key: f.record, AccountUid: uid})
		if err != nil || record.GetCode() != want {
			t.Errorf("%s reads the record: %v, %v, want %d", uid, record, err, want)
		}
		groups, err := f.ledger.ListDeviceGroups(t.Context(),
			&ltlv1.ListDeviceGroupsRequest{ChainId: f.n.ChainID, AccountUid: uid, Page: 1, Size: 10})
		if err != nil || groups.GetCode() != want || want == rules.OK &&
			(groups.GetTotal() != 2 || groups.GetGroups()[0].GetOwnerName() != "successor") {
			t.Errorf("%s lists device groups: %v, %v", uid, groups, err)
		}
		chains, err := f.ledger.ListChains(t.Context(), &ltlv1.ListChainsRequest{AccountUid: uid, Page: 1, Size: 10})
		if err != nil || (chains.GetTotal() == 1) != (want == rules.OK) {
			t.Errorf("%s lists chains: %v, %v", uid, chains, err)
		}
	}
	if out, err := f.ledger.GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: f.n.ChainID,
		AccountUid: f.outsider}); err != nil || out.GetOwnCount() != 1 || out.GetUsedMembers() != 2 {
		t.Errorf("the successor's use: %v, %v", out, err)
	}
}
