package rules

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/policy"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

func TestEnvelope(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what   string
		change func(*ltlv1.Transaction)
		want   int32
	}{
		{"as it is", func(*ltlv1.Transaction) {}, OK},
		{"version 0", func(x *ltlv1.Transaction) { x.Version = 0 }, Malformed},
		{"version 2", func(x *ltlv1.Transaction) { x.Version = 2 }, Malformed},
		{"nonce of 15", func(x *ltlv1.Transaction) { x.Nonce = x.Nonce[1:] }, Malformed},
		{"nonce of 17", func(x *ltlv1.Transaction) { x.Nonce = append(x.Nonce, 0) }, Malformed},
		{"created before 1970", func(x *ltlv1.Transaction) { x.CreatedMs = -1 }, Malformed},
		{"created at 0", func(x *ltlv1.Transaction) { x.CreatedMs = 0 }, OK},
		{"no action", func(x *ltlv1.Transaction) { x.Action = nil }, Malformed},
		{"an action of the system chain", func(x *ltlv1.Transaction) { x.Action = account("", "o1", 1) }, Malformed},
	} {
		tx := w.tx(m1UID, set(w.key(m1UID, "id"), "v"))
		c.change(tx)
		w.want(c.what, tx, c.want)
	}
	tx := w.operator(member(m1UID))
	w.want("CreateMember on the system chain", tx, Malformed)

	// For another chain than the batch's.
	tx = w.tx(m1UID, set(w.key(m1UID, "id"), "v"))
	tx.ChainId = "1234567890123456"
	p := marshal(t, tx)
	if r := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{p}, "o1", "o2")).Results[0][0]; r.GetCode() != Malformed {
		t.Errorf("a transaction for another chain: %d", r.GetCode())
	}
}

func TestDecodeStrict(t *testing.T) {
	w := newWorld(t)
	good := marshal(t, w.tx(m1UID, set("k", "v")))
	member := marshal(t, w.tx(m1UID, member(m1UID)))
	for what, p := range map[string][]byte{
		"unknown field":           append(append([]byte(nil), good...), 0x98, 0x06, 0x01), // 99: 1
		"unknown field, admin":    append(append([]byte(nil), member...), 0x98, 0x06, 0x01),
		"unknown field inside":    marshalRaw(t, w.tx(m1UID, nil), 20, []byte{0x18, 0x01}),
		"unknown field in member": marshalRaw(t, w.tx(m1UID, nil), 22, []byte{0x38, 0x01}),
		"cut":                     good[:len(good)-1],
		"openings":                marshal(t, &ltlv1.Transaction{Version: 1, Openings: &ltlv1.Openings{}}),
		"bad UTF-8":               marshalRaw(t, w.tx(m1UID, nil), 20, []byte{0x0a, 0x01, 0xff}),
		"too long":                marshal(t, w.tx(m1UID, set(strings.Repeat("k", MaxTransaction), "v"))),
	} {
		if _, err := Decode(p); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Decode(good); err != nil {
		t.Error(err)
	}
	fits := w.tx(m1UID, set("", "v"))
	fits.GetSetData().Key = strings.Repeat("k", MaxTransaction-len(marshal(t, fits))-7)
	if p := marshal(t, fits); len(p) < MaxTransaction-8 || len(p) > MaxTransaction {
		t.Fatal("wrong length ", len(p))
	} else if _, err := Decode(p); err != nil {
		t.Errorf("%d bytes: %v", len(p), err)
	}
}

// marshalRaw appends a length-delimited field with the given content to an encoded transaction.
func marshalRaw(t *testing.T, tx *ltlv1.Transaction, field int, content []byte) []byte {
	b := marshal(t, tx)
	tag := field<<3 | 2
	return append(append(b, byte(tag&0x7f|0x80), byte(tag>>7), byte(len(content))), content...)
}

func TestOperatorsOnly(t *testing.T) {
	w := newWorld(t)
	for submitter, want := range map[string]int32{
		"o1/operator/x": OK, "o3/operator/x": Forbidden, "o1/client/x": Forbidden, "o1/facade/x": Forbidden,
		"o1/node/x": Forbidden, "o1/endorser/x": Forbidden, "o9/operator/x": NotEndorsed,
	} {
		tx := w.operator(account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM))
		tx.Submitter = submitter
		if got := w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{marshal(t, tx)}, "o1", "o2",
			"o3")).Results[0][0].GetCode(); got != want {
			t.Errorf("%s: %d, want %d", submitter, got, want)
		}
	}
	for _, submitter := range []string{"o9/operator/x", "o1/client/x"} {
		tx := w.operator(account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM))
		tx.Submitter = submitter
		if codes, err := previewCodes(w.input(ledger.SystemChain), w.now, [][]byte{marshal(t, tx)}, w.state); err != nil ||
			codes[0] != Forbidden {
			t.Errorf("%s in the dry run: %v, %v", submitter, codes, err)
		}
	}
	tx := w.operator(account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM))
	tx.AccountUid = rootUID
	if codes, err := previewCodes(w.input(ledger.SystemChain), w.now, [][]byte{marshal(t, tx)}, w.state); err != nil ||
		codes[0] != Forbidden {
		t.Errorf("in an account's name: %v, %v", codes, err)
	}
	g := &ltlv1.Transaction{}
	if err := proto.Unmarshal(genesisPayload(t), g); err != nil {
		t.Fatal(err)
	}
	g.Submitter, g.CreatedMs = "o1/operator/x", 5
	w.want("a second genesis", g, Forbidden)
}

func TestCreateOrganisation(t *testing.T) {
	w := bare(t)
	create := func(change func(*ltlv1.Organisation)) *ltlv1.Transaction {
		o := offline.Organisation("o4")
		change(o)
		if bytes.Equal(o.CaCertificate, offline.Authority("o4", 1)) { // each has its own, unless the case is about it
			o.CaCertificate = offline.Authority(o.Id, 1)
		}
		return w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: offline.Invitation(w.id, o)})
	}
	for _, c := range []struct {
		what   string
		change func(*ltlv1.Organisation)
		want   int32
	}{
		{"good", func(*ltlv1.Organisation) {}, OK},
		{"id known", func(o *ltlv1.Organisation) { o.Id = "o2" }, Conflict},
		{"key known", func(o *ltlv1.Organisation) { o.EndorserKey = offline.Organisation("o2").EndorserKey }, Conflict},
		{"no id", func(o *ltlv1.Organisation) { o.Id = "" }, OutOfRange},
		{"id of 32", func(o *ltlv1.Organisation) { o.Id = strings.Repeat("a", 32) }, OK},
		{"id of 33", func(o *ltlv1.Organisation) { o.Id = strings.Repeat("a", 33) }, OutOfRange},
		{"id with a slash", func(o *ltlv1.Organisation) { o.Id = "a/b" }, OutOfRange},
		{"capital id", func(o *ltlv1.Organisation) { o.Id = "O4" }, OutOfRange},
		{"no name", func(o *ltlv1.Organisation) { o.Name = "" }, OutOfRange},
		{"name with a comma", func(o *ltlv1.Organisation) { o.Name = "a,b" }, OutOfRange},
		{"name of 60", func(o *ltlv1.Organisation) { o.Name = strings.Repeat("公", 60) }, OK},
		{"name of 61", func(o *ltlv1.Organisation) { o.Name = strings.Repeat("公", 61) }, OutOfRange},
		{"no certificate", func(o *ltlv1.Organisation) { o.CaCertificate = nil }, OutOfRange},
		{"large certificate", func(o *ltlv1.Organisation) { o.CaCertificate = make([]byte, MaxCertificate+1) }, OutOfRange},
		{"no certificate at all", func(o *ltlv1.Organisation) { o.CaCertificate = []byte("a certificate") }, OutOfRange},
		{"another's certificate", func(o *ltlv1.Organisation) { o.CaCertificate = offline.Authority("o2", 1) }, Conflict},
		{"key of 31", func(o *ltlv1.Organisation) { o.EndorserKey = o.EndorserKey[1:] }, OutOfRange},
		{"no port", func(o *ltlv1.Organisation) { o.EndorserAddress = "host" }, OutOfRange},
		{"no host", func(o *ltlv1.Organisation) { o.EndorserAddress = ":1" }, OutOfRange},
		{"IPv6", func(o *ltlv1.Organisation) { o.EndorserAddress = "[::1]:7000" }, OK},
	} {
		w.want(c.what, create(c.change), c.want)
	}
	w.want("nothing", w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: &ltlv1.CreateOrganisation{}}), OutOfRange)
	for i := range MaxOrganisations - 3 {
		w.must(create(func(o *ltlv1.Organisation) {
			o.Id, o.EndorserKey = fmt.Sprint("p", i), offline.Organisation(fmt.Sprint("p", i)).EndorserKey
		}))
	}
	w.want("one too many", create(func(*ltlv1.Organisation) {}), QuotaExceeded)
	all, err := ListInvited(w.state)
	if err != nil || len(all) != MaxOrganisations-3 || all[0].ID != "p0" {
		t.Errorf("%d invited organisations, %v", len(all), err)
	}
	w.now += InvitationMs
	w.want("in the place of one that never answered", create(func(*ltlv1.Organisation) {}), OK)
}

func mustNetwork(t *testing.T, w *world) *Network {
	t.Helper()
	n, err := GetNetwork(w.state)
	if err != nil || n == nil {
		t.Fatal("no network", err)
	}
	return n
}

func TestCreateAccount(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what, uid, name, org string
		kind                 ltlv1.AccountType
		want                 int32
	}{
		{"assigned", "", "张三", "o1", 1, OK},
		{"16 digits", "1234567890123456", "张三", "o1", 2, OK},
		{"18 digits", "123456789012345678", "张三", "o1", 2, OK},
		{"15 digits", "123456789012345", "张三", "o1", 2, OutOfRange},
		{"19 digits", "1234567890123456789", "张三", "o1", 2, OutOfRange},
		{"a letter", "123456789012345a", "张三", "o1", 2, OutOfRange},
		{"known", m1UID, "张三", "o1", 2, Conflict},
		{"name of 1", "", "张", "o1", 1, OutOfRange},
		{"name of 30", "", strings.Repeat("张", 30), "o1", 1, OK},
		{"name of 31", "", strings.Repeat("张", 31), "o1", 1, OutOfRange},
		{"all characters of names", "", "azAZ09_-.()一龥㐀𠀀〇", "o1", 1, OK},
		{"blank in a name", "", "a b", "o1", 1, OutOfRange},
		{"full-width punctuation", "", "公司（一）", "o1", 1, OutOfRange},
		{"kana", "", "カタカナ", "o1", 1, OutOfRange},
		{"no type", "", "张三", "o1", 0, OutOfRange},
		{"type 3", "", "张三", "o1", 3, OutOfRange},
		{"no organisation", "", "张三", "", 1, OutOfRange},
		{"unknown organisation", "", "张三", "o9", 1, NotFound},
	} {
		a := &ltlv1.CreateAccount{Uid: c.uid, Name: c.name, Organisation: c.org, Type: c.kind}
		w.want(c.what, w.operator(&ltlv1.Transaction_CreateAccount{CreateAccount: a}), c.want)
	}
	r := w.must(w.operator(account2("")), w.operator(account2("")))
	if len(r[0].GetOutput()) != 18 || r[0].GetOutput() == r[1].GetOutput() {
		t.Errorf("assigned %q and %q", r[0].GetOutput(), r[1].GetOutput())
	}
	a, err := GetAccount(w.state, r[1].GetOutput())
	want := Account{UID: r[1].GetOutput(), Name: "张三", Type: 2, Organisation: "o3",
		CreatedHeight: r[1].GetBlockHeight(), CreatedIndex: 1}
	if err != nil || a == nil || *a != want {
		t.Errorf("%+v, %v, want %+v", a, err, want)
	}
	all, err := ListAccounts(w.state)
	if err != nil || len(all) != 6 || all[0].UID != rootUID || all[5].UID != r[1].GetOutput() {
		t.Errorf("%d accounts, %v", len(all), err)
	}
}

func account2(uid string) *ltlv1.Transaction_CreateAccount {
	return &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: uid, Name: "张三", Type: 2,
		Organisation: "o3"}}
}

func TestCreateChainRules(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what   string
		change func(*ltlv1.CreateChain)
		want   int32
	}{
		{"good", func(*ltlv1.CreateChain) {}, OK},
		{"no service", func(c *ltlv1.CreateChain) { c.Service = 0 }, OutOfRange},
		{"service 3", func(c *ltlv1.CreateChain) { c.Service = 3 }, OutOfRange},
		{"edition 3", func(c *ltlv1.CreateChain) { c.Edition = 3 }, OutOfRange},
		{"edition -1", func(c *ltlv1.CreateChain) { c.Edition = -1 }, OutOfRange},
		{"name of 1", func(c *ltlv1.CreateChain) { c.Name = "链" }, OutOfRange},
		{"name of 2", func(c *ltlv1.CreateChain) { c.Name = "链a" }, OK},
		{"name of 31", func(c *ltlv1.CreateChain) { c.Name = strings.Repeat("链", 31) }, OutOfRange},
		{"remark of 100", func(c *ltlv1.CreateChain) { c.Remark = strings.Repeat("注", 100) }, OK},
		{"remark of 101", func(c *ltlv1.CreateChain) { c.Remark = strings.Repeat("注", 101) }, OutOfRange},
		{"region", func(c *ltlv1.CreateChain) { c.Region = "a b" }, OutOfRange},
		{"administrator's form", func(c *ltlv1.CreateChain) { c.AdministratorUid = "x" }, OutOfRange},
		{"administrator unknown", func(c *ltlv1.CreateChain) { c.AdministratorUid = ghostUID }, NotFound},
		{"administrator is a RAM user", func(c *ltlv1.CreateChain) { c.AdministratorUid = m1UID }, OK},
		{"policy", func(c *ltlv1.CreateChain) { c.Policy = "nothing" }, OutOfRange},
		{"policy all", func(c *ltlv1.CreateChain) { c.Policy = "all&submitter" }, OK},
		{"4 of 3", func(c *ltlv1.CreateChain) { c.Policy = "4-of" }, OutOfRange},
		{"an organisation that is not on the chain", func(c *ltlv1.CreateChain) {
			c.Policy, c.Organisations = "org(o3)",
				[]string{"o1", "o2"}
		}, OutOfRange},
		{"the administrator's organisation is not on the chain",
			func(c *ltlv1.CreateChain) { c.Organisations = []string{"o2", "o3"} }, OutOfRange},
		{"… and need not be", func(c *ltlv1.CreateChain) { c.Policy, c.Organisations = "majority", []string{"o2", "o3"} },
			OK},
		{"organisation unknown", func(c *ltlv1.CreateChain) { c.Organisations = []string{"o1", "o9"} }, NotFound},
		{"organisation twice", func(c *ltlv1.CreateChain) { c.Organisations = []string{"o1", "o1"} }, OutOfRange},
		{"expired before effective", func(c *ltlv1.CreateChain) { c.EffectiveMs, c.ExpiredMs = 5, 4 }, OutOfRange},
		{"expired when effective", func(c *ltlv1.CreateChain) { c.EffectiveMs, c.ExpiredMs = 5, 5 }, OutOfRange},
		{"expired after effective", func(c *ltlv1.CreateChain) { c.EffectiveMs, c.ExpiredMs = 5, 6 }, OK},
		{"expired at the default of effective", func(c *ltlv1.CreateChain) { c.ExpiredMs = startMs }, OutOfRange},
		{"expired after the default of effective", func(c *ltlv1.CreateChain) { c.ExpiredMs = startMs + 1 }, OK},
		{"effective before 1970", func(c *ltlv1.CreateChain) { c.EffectiveMs = -1 }, OutOfRange},
		{"effective after 9999", func(c *ltlv1.CreateChain) { c.EffectiveMs = maxTimeMs + 1 }, OutOfRange},
		{"quota", func(c *ltlv1.CreateChain) { c.CountQuota = maxQuota + 1 }, OutOfRange},
	} {
		chain := proofChain()
		c.change(chain)
		w.want(c.what, w.operator(&ltlv1.Transaction_CreateChain{CreateChain: chain}), c.want)
	}
}

func TestCreateChain(t *testing.T) {
	w := newWorld(t)
	w.now += 500
	c := proofChain()
	x := w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{
		marshal(t, w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c})),
		marshal(t, w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c})),
	}, "o1", "o2", "o3"))
	w.commit(ledger.SystemChain, x)
	if len(x.NewChains) != 2 || x.NewChains[0] == x.NewChains[1] || x.NewChains[0] != x.Results[0][0].GetOutput() {
		t.Fatalf("chains %v, results %v", x.NewChains, x.Results)
	}
	got, err := GetChain(w.state, x.NewChains[1])
	if err != nil || got == nil || !ledger.ValidChainID(got.ID) || len(got.Code) != ChainCodeLen ||
		!validTypeCode(got.AdministratorTypeCode) {
		t.Fatalf("%+v, %v", got, err)
	}
	end := time.UnixMilli(w.now).UTC().AddDate(10, 0, 0).UnixMilli()
	want := Chain{
		ID: got.ID, Code: got.Code, Name: "存证链", Service: 1, Edition: 1, Region: "cn-shanghai", EffectiveMs: w.now,
		ExpiredMs:     end,
		CapacityQuota: 800000000000, CountQuota: 10000000, MemberQuota: 100, PhaseGroupQuota: 200, PhaseQuota: 5,
		Policy: policy.Default,
		Organisations: []string{"o1", "o2",
			"o3"}, AdministratorUID: rootUID, AdministratorTypeCode: got.AdministratorTypeCode,
		AdministratorMemberID: got.AdministratorMemberID, CreatedMs: w.now, CreatedHeight: x.Header.Height, CreatedIndex: 1,
	}
	if g, v := fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", want); g != v {
		t.Errorf("got  %s\nwant %s", g, v)
	}
	if byCode, err := ChainByCode(w.state, got.Code); err != nil || byCode == nil || byCode.ID != got.ID {
		t.Errorf("by code: %+v, %v", byCode, err)
	}
	if none, err := ChainByCode(w.state, strings.Repeat("x", 16)); err != nil || none != nil {
		t.Errorf("by a code of no chain: %+v, %v", none, err)
	}
	all, err := ListChains(w.state)
	if err != nil || len(all) != 3 || all[0].ID != w.chain.ID || all[1].ID != x.NewChains[0] ||
		all[2].ID != x.NewChains[1] {
		t.Errorf("%d chains, %v", len(all), err)
	}
	m, err := GetMember(w.state, got, rootUID)
	if err != nil || m == nil || m.Role != RoleAdmin || m.TypeCode != got.AdministratorTypeCode {
		t.Errorf("administrator %+v, %v", m, err)
	}
	b0 := w.tips[got.ID]
	if b0.height != 0 || b0.timeMs != w.now {
		t.Errorf("block 0 %+v", b0)
	}
}

func TestCreateMember(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what, by, uid string
		change        func(*ltlv1.CreateMember)
		want          int32
	}{
		{"good", rootUID, freeUID, nil, OK},
		{"by a member", m1UID, freeUID, nil, Forbidden},
		{"by no account", freeUID, freeUID, nil, Forbidden},
		{"unknown", rootUID, ghostUID, nil, NotFound},
		{"uid's form", rootUID, "12", nil, OutOfRange},
		{"a member already", rootUID, m1UID, nil, Conflict},
		{"the administrator, a main account", rootUID, rootUID, nil, NotRAM},
		{"name", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Name = "a" }, OutOfRange},
		{"contact", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Contact = "" }, OutOfRange},
		{"no phone", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Phone = "" }, OutOfRange},
		{"phone of 20", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Phone = strings.Repeat("1", 20) }, OK},
		{"phone of 21", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Phone = strings.Repeat("1", 21) }, OutOfRange},
		{"phone with a plus", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Phone = "+86" }, OutOfRange},
		{"remark of 100", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Remark = strings.Repeat("注", 100) }, OK},
		{"remark of 101", rootUID, freeUID, func(m *ltlv1.CreateMember) { m.Remark = strings.Repeat("注", 101) }, OutOfRange},
	} {
		m := member(c.uid)
		if c.change != nil {
			c.change(m.CreateMember)
		}
		w.want(c.what, w.tx(c.by, m), c.want)
	}
	c := proofChain()
	c.AdministratorUid = m1UID
	first := w.chain
	w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput())
	w.want("the administrator, a RAM user", w.tx(m1UID, member(m1UID)), Conflict)
	w.want("a main account", w.tx(m1UID, member(rootUID)), NotRAM)

	w.chain = first
	r := w.must(w.tx(rootUID, member(freeUID)))
	m, err := GetMember(w.state, w.chain, freeUID)
	want := Member{
		UID: freeUID, ID: r[0].GetOutput(), Name: "某公司", Contact: "张三", Phone: "010-1234", Role: RoleMember,
		Status:    StatusUnlock,
		CreatedMs: w.now, CreatedHeight: r[0].GetBlockHeight(),
	}
	if m != nil {
		want.TypeCode = m.TypeCode
	}
	if err != nil || m == nil || *m != want || !validTypeCode(m.TypeCode) || len(m.ID) != 16 {
		t.Errorf("%+v, %v, want %+v", m, err, want)
	}
	all, err := ListMembers(w.state, w.chain)
	if err != nil || len(all) != 4 || all[0].UID != rootUID || all[1].UID != m1UID || all[3].UID != freeUID {
		t.Errorf("members %v, %v", all, err)
	}
	for _, m := range all {
		if owner, err := TypeCodeOwner(w.state, w.chain, m.TypeCode); err != nil || owner != m.UID {
			t.Errorf("type code %s belongs to %q, %v; want %s", m.TypeCode, owner, err, m.UID)
		}
	}
}

func TestIdentifiersAvoidEachOther(t *testing.T) {
	w := newWorld(t)
	tx := w.tx(rootUID, member(freeUID))
	id := ledger.TransactionID(marshal(t, tx))
	code0, code1 := spellTypeCode(derive(id, forTypeCode, 0)), spellTypeCode(derive(id, forTypeCode, 1))
	id0, id1 := digits16(derive(id, forMember, 0)), digits16(derive(id, forMember, 1))
	w.state[w.chain.ID][prefixTypeCode+code0] = []byte(m1UID)
	w.state[w.chain.ID][prefixMemberID+id0] = []byte(m1UID)
	r := w.must(tx)
	m, err := GetMember(w.state, w.chain, freeUID)
	if err != nil || m.TypeCode != code1 || m.ID != id1 || r[0].GetOutput() != id1 {
		t.Errorf("%+v, %v, want type code %s and id %s", m, err, code1, id1)
	}
	// A retry returns the same identifier, from state.
	x := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{marshal(t, tx)}))
	if x.Block != nil || x.Results[0][0].GetOutput() != id1 || x.Results[0][0].GetBlockHeight() != r[0].GetBlockHeight() {
		t.Errorf("retry: %v", x.Results)
	}

	// The administrator's identifiers stand in the chain's record, and are avoided too.
	delete(w.state[w.chain.ID], prefixMember+freeUID)
	tx = w.tx(rootUID, member(freeUID))
	id = ledger.TransactionID(marshal(t, tx))
	w.chain.AdministratorTypeCode, w.chain.AdministratorMemberID = spellTypeCode(derive(id, forTypeCode,
		0)), digits16(derive(id, forMember, 0))
	w.state[ledger.SystemChain][prefixChain+w.chain.ID] = w.chain.encode()
	w.must(tx)
	if m, err = GetMember(w.state, w.chain, freeUID); err != nil ||
		m.TypeCode != spellTypeCode(derive(id, forTypeCode, 1)) || m.ID != digits16(derive(id, forMember, 1)) {
		t.Errorf("%+v, %v beside the administrator", m, err)
	}

	broken := w.tx(rootUID, member(freeUID))
	id = ledger.TransactionID(marshal(t, broken))
	delete(w.state[w.chain.ID], prefixMember+freeUID)
	for i := range uint32(maxDerive) {
		w.state[w.chain.ID][prefixTypeCode+spellTypeCode(derive(id, forTypeCode, i))] = []byte(m1UID)
	}
	_, err = Execute(w.input(w.chain.ID, w.batch(w.chain.ID, [][]byte{marshal(t, broken)}, "o1", "o2")), w.state,
		ledger.VerifyEndorsement)
	if !errors.Is(err, ErrState) {
		t.Errorf("no free type code: %v", err)
	}
}

func TestGenesisRules(t *testing.T) {
	type change func(*ltlv1.Transaction, *ltlv1.Genesis)
	for what, c := range map[string]change{
		"another chain":     func(x *ltlv1.Transaction, _ *ltlv1.Genesis) { x.ChainId = "1234567890123456" },
		"another action":    func(x *ltlv1.Transaction, _ *ltlv1.Genesis) { x.Action = account("", "o1", 1) },
		"an account":        func(x *ltlv1.Transaction, _ *ltlv1.Genesis) { x.AccountUid = rootUID },
		"version 2":         func(x *ltlv1.Transaction, _ *ltlv1.Genesis) { x.Version = 2 },
		"no name":           func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Network = "" },
		"a slash":           func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Network = "a/b" },
		"no organisation":   func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Organisations = nil },
		"no node":           func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes = nil },
		"organisation bad":  func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Organisations[1].Name = "" },
		"organisation same": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Organisations[1].Id = "o1" },
		"key same": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) {
			g.Organisations[1].EndorserKey = g.Organisations[0].EndorserKey
		},
		"node bad":         func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[0].Address = "" },
		"node same":        func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[0].Id = "n2" },
		"node's home":      func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Nodes[0].Organisation = "o7" },
		"policy":           func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Policy = "x" },
		"policy of others": func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.Policy = "org(o9)" },
		"before 1970":      func(_ *ltlv1.Transaction, g *ltlv1.Genesis) { g.CreatedMs = -1 },
	} {
		tx := &ltlv1.Transaction{}
		if err := proto.Unmarshal(genesisPayload(t), tx); err != nil {
			t.Fatal(err)
		}
		c(tx, tx.GetGenesis())
		if _, err := GenesisBlock(marshal(t, tx)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := GenesisBlock([]byte("x")); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
	p := genesisPayload(t)
	g, err := GenesisBlock(p)
	if err != nil {
		t.Fatal(err)
	}
	h, err := ledger.ParseHeader(g.Block.GetHeader())
	if err != nil || h != g.Header || h.Height != 0 || h.TimeMs != startMs || h.NetworkID != ledger.NetworkID(p) ||
		h.Count != 1 || g.Hash != ledger.BlockHash(g.Block.GetHeader()) {
		t.Errorf("%+v, %v", h, err)
	}
	w := bare(t)
	n := mustNetwork(t, w)
	if n.Name != "test.net" || n.Policy != policy.Default || len(n.Nodes) != 3 {
		t.Errorf("%+v", n)
	}
	nodes, err := ListNodes(w.state)
	if err != nil || len(nodes) != 3 || nodes[1].ID != "n2" || nodes[1].Organisation != "o2" {
		t.Errorf("%+v, %v", nodes, err)
	}
	if nd, err := GetNode(w.state, "n3"); err != nil || nd == nil || nd.Address != "127.0.0.1:2000" {
		t.Errorf("%+v, %v", nd, err)
	}
}

// TestKeysOfSmallOrderAreRefused: wherever a key enters, one of small order is refused.
func TestKeysOfSmallOrderAreRefused(t *testing.T) {
	small := make([]byte, 32)
	small[0] = 1
	for what, change := range map[string]func(g *ltlv1.Genesis){
		"an endorser": func(g *ltlv1.Genesis) { g.Organisations[2].EndorserKey = small },
		"a node":      func(g *ltlv1.Genesis) { g.Nodes[0].Key = small },
	} {
		g := offline.Genesis(organisations()...)
		change(g)
		if _, err := GenesisBlock(offline.GenesisPayload(t, g)); !errors.Is(err, ErrMalformed) {
			t.Errorf("a genesis with the identity point as the key of %s: %v", what, err)
		}
	}
	o := offline.Genesis("o9").GetOrganisations()[0]
	o.EndorserKey = small
	if code := checkOrganisation(o); code != OutOfRange {
		t.Errorf("an organisation: %d", code)
	}
	n := &ltlv1.Node{Id: "n9", Organisation: "o1", Address: "127.0.0.1:7009", Key: small}
	if code := checkNode(n); code != OutOfRange {
		t.Errorf("a node: %d", code)
	}
}
