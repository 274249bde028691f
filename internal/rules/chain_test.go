package rules

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// modifyChain is a change of w's chain.
func (w *world) modifyChain(change func(*ltlv1.ModifyChain)) *ltlv1.Transaction_ModifyChain {
	m := &ltlv1.ModifyChain{ChainId: w.chain.ID}
	change(m)
	return &ltlv1.Transaction_ModifyChain{ModifyChain: m}
}

func TestModifyChainRefusals(t *testing.T) {
	w := newWorld(t)
	edition := ltlv1.Edition_EDITION_ENTERPRISE
	unspecified := ltlv1.Edition_EDITION_UNSPECIFIED
	for what, c := range map[string]struct {
		change func(*ltlv1.ModifyChain)
		want   int32
	}{
		"nothing": {func(*ltlv1.ModifyChain) {}, OK},
		"all": {func(m *ltlv1.ModifyChain) {
			m.Name, m.Edition, m.Region = proto.String("新链"), &edition, proto.String("cn-x")
		}, OK},
		"an unknown chain":        {func(m *ltlv1.ModifyChain) { m.ChainId = "1111111111111111" }, NotFound},
		"the system chain":        {func(m *ltlv1.ModifyChain) { m.ChainId = "0000000000000000" }, NotFound},
		"a chain id that is none": {func(m *ltlv1.ModifyChain) { m.ChainId = "" }, NotFound},
		"a name of 1":             {func(m *ltlv1.ModifyChain) { m.Name = proto.String("某") }, OutOfRange},
		"an empty name":           {func(m *ltlv1.ModifyChain) { m.Name = proto.String("") }, OutOfRange},
		"a remark of 101": {func(m *ltlv1.ModifyChain) { m.Remark = proto.String(strings.Repeat("备", 101)) },
			OutOfRange},
		"no edition":                  {func(m *ltlv1.ModifyChain) { m.Edition = &unspecified }, OutOfRange},
		"an empty region":             {func(m *ltlv1.ModifyChain) { m.Region = proto.String("") }, OutOfRange},
		"term of 0":                   {func(m *ltlv1.ModifyChain) { m.ExpiredMs = proto.Int64(0) }, OutOfRange},
		"a term that ends before":     {func(m *ltlv1.ModifyChain) { m.ExpiredMs = proto.Int64(1) }, OutOfRange},
		"a term that begins after":    {func(m *ltlv1.ModifyChain) { m.EffectiveMs = proto.Int64(maxTimeMs) }, OutOfRange},
		"a quota of nothing":          {func(m *ltlv1.ModifyChain) { m.CountQuota = proto.Uint64(0) }, OK},
		"a quota beyond all":          {func(m *ltlv1.ModifyChain) { m.PhaseQuota = proto.Uint64(maxQuota + 1) }, OutOfRange},
		"a policy that is none":       {func(m *ltlv1.ModifyChain) { m.Policy = proto.String("perhaps") }, OutOfRange},
		"a policy that cannot be met": {func(m *ltlv1.ModifyChain) { m.Policy = proto.String("4-of") }, OutOfRange},
		"organisations without it":    {func(m *ltlv1.ModifyChain) { m.Organisations = []string{"o2", "o3"} }, OutOfRange},
		"… with a policy that can": {func(m *ltlv1.ModifyChain) {
			m.Organisations, m.Policy = []string{"o2", "o3"},
				proto.String("any")
		}, OK},
		"an unknown organisation":     {func(m *ltlv1.ModifyChain) { m.Organisations = []string{"o1", "o9"} }, NotFound},
		"an organisation twice":       {func(m *ltlv1.ModifyChain) { m.Organisations = []string{"o1", "o1"} }, OutOfRange},
		"an unknown administrator":    {func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String(ghostUID) }, NotFound},
		"an administrator of letters": {func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String("x") }, OutOfRange},
		"a member as administrator":   {func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String(m1UID) }, Conflict},
		"the same administrator":      {func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String(rootUID) }, OK},
		"another administrator":       {func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String(freeUID) }, OK},
	} {
		w.want(what, w.operator(w.modifyChain(c.change)), c.want)
	}
	facade := w.operator(w.modifyChain(func(*ltlv1.ModifyChain) {}))
	facade.Submitter = "o1/facade/f1"
	w.want("by a facade", facade, Forbidden)
	w.want("on the chain itself", w.tx(rootUID, w.modifyChain(func(*ltlv1.ModifyChain) {})), Malformed)
}

// TestModifyChain: what is given changes, all else stays.
func TestModifyChain(t *testing.T) {
	w := newWorld(t)
	before := *w.chain
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) {
		m.Remark, m.CountQuota = proto.String("备注"),
			proto.Uint64(7)
	})))
	want := before
	want.Remark, want.CountQuota = "备注", 7
	got, err := GetChain(w.state, w.chain.ID)
	if err != nil || string(got.encode()) != string(want.encode()) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	edition := ltlv1.Edition_EDITION_ENTERPRISE
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) {
		m.Name, m.Remark, m.Edition, m.Region = proto.String("新链"), proto.String(""), &edition, proto.String("cn-x")
		m.EffectiveMs, m.ExpiredMs = proto.Int64(1), proto.Int64(startMs+10)
		m.CapacityQuotaBytes, m.CountQuota, m.MemberQuota = proto.Uint64(1), proto.Uint64(2), proto.Uint64(3)
		m.PhaseGroupQuota, m.PhaseQuota = proto.Uint64(4), proto.Uint64(5)
		m.Policy, m.Organisations = proto.String("any&1-of"), []string{"o2", "o1"}
	})))
	want.Name, want.Remark, want.Edition, want.Region, want.EffectiveMs, want.ExpiredMs = "新链", "", edition, "cn-x", 1, startMs+10
	want.CapacityQuota, want.CountQuota, want.MemberQuota, want.PhaseGroupQuota, want.PhaseQuota = 1, 2, 3, 4, 5
	want.Policy, want.Organisations = "any & 1-of", []string{"o2", "o1"}
	if got, err = GetChain(w.state, w.chain.ID); err != nil || string(got.encode()) != string(want.encode()) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
}

// TestChainTerm: a chain whose term is over takes no write of any kind, and is read; when the operator extends it, it
// takes writes again.
func TestChainTerm(t *testing.T) {
	w := newWorld(t)
	key, id := w.key(m1UID, "a"), w.member(m1UID).ID
	w.must(w.tx(m1UID, set(key, "v")))
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.ExpiredMs = proto.Int64(startMs + 100) })))
	w.now += 99
	w.want("at the last moment", w.tx(m1UID, set(w.key(m1UID, "b"), "v")), OK)
	w.now++
	for what, tx := range map[string]*ltlv1.Transaction{
		"SetData": w.tx(m1UID, set(w.key(m1UID, "b"), "v")), "AttachData": w.tx(m1UID, attach(w.key(m1UID, "b"), "v", "")),
		"CreateMember": w.tx(rootUID, member(freeUID)), "ModifyMember": w.tx(rootUID,
			w.modify(id, m1UID)), "LockMember": w.tx(rootUID, lock(id, true)),
		"RegisterDeviceGroup": w.tx(m1UID, register("pk")), "AuthorizeDeviceGroup": w.tx(rootUID, authorizeGroup(id, true)),
	} {
		w.refused(what, tx, Forbidden, reasonExpired)
	}
	if code, err := CanRead(w.state, w.chain, m1UID, key); code != OK || err != nil {
		t.Errorf("reading: %d, %v", code, err)
	}
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.ExpiredMs = proto.Int64(startMs + 1000) })))
	w.want("extended", w.tx(m1UID, set(w.key(m1UID, "b"), "v")), OK)
}

// TestQuotaBelowUse: a quota may be set below what is used; then nothing more is taken, until it is raised.
func TestQuotaBelowUse(t *testing.T) {
	w := newWorld(t)
	w.must(w.tx(m1UID, set(w.key(m1UID, "a"), "v")), w.tx(m1UID, set(w.key(m1UID, "b"), "v")))
	for _, c := range []struct {
		quota uint64
		want  int32
	}{{1, QuotaExceeded}, {2, QuotaExceeded}, {3, OK}} {
		w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.CountQuota = &c.quota })))
		w.want("records", w.tx(m1UID, set(w.key(m1UID, "c"), "v")), c.want)
		w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.MemberQuota = &c.quota })))
		w.want("members", w.tx(rootUID, member(freeUID)), c.want)
	}
}

// TestChangeAdministrator: the new one has what the former had, and the former one nothing.
func TestChangeAdministrator(t *testing.T) {
	w := newWorld(t)
	key := w.key(rootUID, "a")
	w.claim("o1", "pk")
	group := w.must(w.tx(rootUID, set(key, "v")), w.tx(rootUID, register("pk")))[1].GetOutput()
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String(freeUID) })))
	var err error
	before := w.chain
	if w.chain, err = GetChain(w.state, w.chain.ID); err != nil ||
		w.chain.AdministratorTypeCode != before.AdministratorTypeCode {
		t.Fatal(err)
	}
	w.refused("the former writes", w.tx(rootUID, set(key+"x", "v")), Forbidden, ReasonNotMember)
	w.refused("the former manages", w.tx(rootUID, member(m1UID)), Forbidden, ReasonNotMember)
	w.want("the new one writes under the same type code", w.tx(freeUID, set(w.key(freeUID, "b"), "v")), OK)
	w.want("the new one manages", w.tx(freeUID, lock(w.member(m1UID).ID, true)), OK)
	w.want("the new one cannot be a member", w.tx(freeUID, member(freeUID)), Conflict)
	for uid, want := range map[string]int32{rootUID: Forbidden, freeUID: OK, m1UID: Forbidden} {
		if got, err := CanRead(w.state, w.chain, uid, key); err != nil || got != want {
			t.Errorf("%s reads what the former one wrote: %d, %v, want %d", uid, got, err, want)
		}
	}
	if g, err := GetDeviceGroup(w.state, w.chain.ID, group); err != nil || g.OwnerID != w.member(freeUID).ID {
		t.Errorf("device group %+v, %v", g, err)
	}
	// Back, and the one in between made a member.
	w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String(rootUID) })))
	w.must(w.tx(rootUID, member(freeUID)))
	w.want("a member cannot be administrator",
		w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.AdministratorUid = proto.String(freeUID) })), Conflict)
}

// TestPolicyOfNewChainReadable: a policy that cannot be read again would stop every client that lists the chains.
func TestPolicyOfNewChainReadable(t *testing.T) {
	if code := checkCreateChain(chainWithPolicy(strings.Repeat("any&", 1000) + "any")); code != OutOfRange {
		t.Errorf("a policy whose canonical text is too long is answered with %d", code)
	}
	if code := checkCreateChain(chainWithPolicy(strings.Repeat("any & ", 600) + "any")); code != OK {
		t.Errorf("a long policy is answered with %d", code)
	}
}

func chainWithPolicy(policy string) *ltlv1.Transaction {
	return &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
		Name: "chain", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: "1234567890123456", Policy: policy,
	}}}
}
