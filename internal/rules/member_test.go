package rules

import (
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

func (w *world) member(uid string) *Member {
	w.t.Helper()
	m, err := GetMember(w.state, w.chain, uid)
	if err != nil {
		w.t.Fatal(err)
	}
	return m
}

// modify is a change of a member's data; uid is the one that it has from then on.
func (w *world) modify(id, uid string) *ltlv1.Transaction_ModifyMember {
	return &ltlv1.Transaction_ModifyMember{ModifyMember: &ltlv1.ModifyMember{MemberId: id, MemberUid: uid, Name: "新名",
		Contact: "李四", Phone: "1"}}
}

func lock(id string, locked bool) *ltlv1.Transaction_LockMember {
	return &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: id, Locked: locked}}
}

func TestModifyMemberRefusals(t *testing.T) {
	w := newWorld(t)
	id := w.member(m1UID).ID
	with := func(change func(*ltlv1.ModifyMember)) *ltlv1.Transaction {
		m := w.modify(id, m1UID)
		change(m.ModifyMember)
		return w.tx(rootUID, m)
	}
	w.want("good", with(func(*ltlv1.ModifyMember) {}), OK)
	for what, change := range map[string]func(*ltlv1.ModifyMember){
		"name of 1":       func(m *ltlv1.ModifyMember) { m.Name = "某" },
		"name of 31":      func(m *ltlv1.ModifyMember) { m.Name = strings.Repeat("某", 31) },
		"name with blank": func(m *ltlv1.ModifyMember) { m.Name = "a b" },
		"contact of 1":    func(m *ltlv1.ModifyMember) { m.Contact = "某" },
		"no phone":        func(m *ltlv1.ModifyMember) { m.Phone = "" },
		"phone of 21":     func(m *ltlv1.ModifyMember) { m.Phone = strings.Repeat("1", 21) },
		"remark of 101":   func(m *ltlv1.ModifyMember) { m.Remark = proto.String(strings.Repeat("备", 101)) },
		"uid of letters":  func(m *ltlv1.ModifyMember) { m.MemberUid = "abcdefghabcdefgh" },
		"no uid":          func(m *ltlv1.ModifyMember) { m.MemberUid = "" },
	} {
		w.want(what, with(change), OutOfRange)
	}
	w.want("remark of 100", with(func(m *ltlv1.ModifyMember) { m.Remark = proto.String(strings.Repeat("备", 100)) }), OK)
	w.want("an id that no member has", w.tx(rootUID, w.modify("0000000000000000", m1UID)), NotFound)
	w.want("an id that is none", w.tx(rootUID, w.modify("../"+m1UID, m1UID)), NotFound)
	w.want("an id with a zero byte", w.tx(rootUID, w.modify(id+"\x00", m1UID)), NotFound)
	w.want("an unknown account", w.tx(rootUID, w.modify(id, ghostUID)), NotFound)
	w.must(w.operator(account("1000000000000099", "o1", ltlv1.AccountType_ACCOUNT_TYPE_ROOT)))
	w.want("a main account", w.tx(rootUID, w.modify(id, "1000000000000099")), NotRAM)
	w.refused("another member's account", w.tx(rootUID, w.modify(id, m2UID)), Conflict, reasonOnChain)
	w.want("the administrator's account, a main one", w.tx(rootUID, w.modify(id, rootUID)), NotRAM)
	w.refused("by a member", w.tx(m1UID, w.modify(id, m1UID)), Forbidden, ReasonAdministrator)
	w.refused("by an account that is not on the chain", w.tx(freeUID, w.modify(id, m1UID)), Forbidden, ReasonNotMember)
	own := w.chain.AdministratorMemberID
	w.refused("the administrator's own entry", w.tx(rootUID, w.modify(own, rootUID)), Forbidden, reasonOwnEntry)
	w.refused("locking the administrator", w.tx(rootUID, lock(own, true)), Forbidden, reasonOwnEntry)
	w.refused("locking by a member", w.tx(m1UID, lock(w.member(m2UID).ID, true)), Forbidden, ReasonAdministrator)
	w.want("locking an unknown member", w.tx(rootUID, lock("1111111111111111", true)), NotFound)
	w.want("locking an id that is none", w.tx(rootUID, lock("", true)), NotFound)
}

func TestModifyMemberData(t *testing.T) {
	w := newWorld(t)
	before := *w.member(m1UID)
	m := w.modify(before.ID, m1UID)
	m.ModifyMember.Remark = proto.String("备注")
	w.must(w.tx(rootUID, m))
	want := before
	want.Name, want.Contact, want.Phone, want.Remark = "新名", "李四", "1", "备注"
	if got := *w.member(m1UID); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	w.must(w.tx(rootUID, w.modify(before.ID, m1UID)))
	if got := *w.member(m1UID); got != want {
		t.Errorf("without a remark %+v, want the one there was", got)
	}
	m.ModifyMember.Remark = proto.String("")
	w.must(w.tx(rootUID, m))
	if got := w.member(m1UID).Remark; got != "" {
		t.Errorf("an empty remark leaves %q", got)
	}
}

// TestMoveMember: another uid takes over the whole entry within the block, and the former one is not on the chain
// until it is added again.
func TestMoveMember(t *testing.T) {
	w := newWorld(t)
	before := *w.member(m1UID)
	key := w.key(m1UID, "a")
	w.claim("o1", "pk1")
	group := w.must(w.tx(m1UID, set(key, "123")), w.tx(m1UID, register("pk1")))[1].GetOutput()
	results := w.apply(w.tx(rootUID, w.modify(before.ID, freeUID)), w.tx(m1UID, set(w.key(m1UID, "b"), "v")),
		w.tx(freeUID, set(strings.TrimSuffix(key, "a")+"c", "4567")), w.tx(rootUID, member(m2UID)))
	var codes []int32
	for _, r := range results {
		codes = append(codes, r.GetCode())
	}
	if results[0].GetOutput() != m1UID {
		t.Errorf("output %q, want the former uid", results[0].GetOutput())
	}
	if !equal(codes, []int32{OK, Forbidden, OK, Conflict}) {
		t.Errorf("in one block: %v", codes)
	}
	after := w.member(freeUID)
	if after == nil || after.ID != before.ID || after.TypeCode != before.TypeCode ||
		after.CreatedHeight != before.CreatedHeight || w.member(m1UID) != nil {
		t.Fatalf("%+v became %+v; the former is %+v", before, after, w.member(m1UID))
	}
	for uid, want := range map[string]Usage{m1UID: {}, freeUID: {Count: 2, Bytes: 7}} {
		if got, err := GetUsage(w.state, w.chain.ID, uid); err != nil || got != want {
			t.Errorf("usage of %s: %+v, %v, want %+v", uid, got, err, want)
		}
	}
	if owner, err := TypeCodeOwner(w.state, w.chain, before.TypeCode); err != nil || owner != freeUID {
		t.Errorf("the type code is %q's, %v", owner, err)
	}
	for uid, want := range map[string]int32{m1UID: Forbidden, freeUID: OK, rootUID: OK, m2UID: Forbidden, "": OK} {
		if got, err := CanRead(w.state, w.chain, uid, key); err != nil || got != want {
			t.Errorf("%q reads: %d, %v, want %d", uid, got, err, want)
		}
	}
	all, err := ListMembers(w.state, w.chain)
	if err != nil || len(all) != 3 || all[1].UID != freeUID || all[2].UID != m2UID {
		t.Errorf("members %v, %v: want the administrator, then the entry at its old place", all, err)
	}
	if m, err := MemberByID(w.state, w.chain, before.ID); err != nil || m.UID != freeUID {
		t.Errorf("by its id: %v, %v", m, err)
	}
	if g, err := GetDeviceGroup(w.state, w.chain.ID, group); err != nil || g.OwnerID != after.ID {
		t.Errorf("device group %+v, %v", g, err)
	}

	again := w.must(w.tx(rootUID, member(m1UID)))[0].GetOutput()
	m := w.member(m1UID)
	if m == nil || m.ID != again || again == before.ID || m.TypeCode == before.TypeCode {
		t.Errorf("added again: %+v", m)
	}
	w.refused("and is taken now", w.tx(rootUID, w.modify(before.ID, m1UID)), Conflict, reasonOnChain)
	w.want("it cannot use its former type code", w.tx(m1UID, set(key, "v")), BadTypeCode)
}

func TestLockMember(t *testing.T) {
	w := newWorld(t)
	id, key := w.member(m1UID).ID, w.key(m1UID, "a")
	w.must(w.tx(m1UID, set(key, "v")), w.tx(rootUID, lock(id, false)), w.tx(rootUID, lock(id, true)),
		w.tx(rootUID, lock(id, true)))
	w.refused("a locked member writes", w.tx(m1UID, set(w.key(m1UID, "b"), "v")), Forbidden, ReasonLocked)
	w.refused("a locked member registers", w.tx(m1UID, register("pk1")), Forbidden, ReasonLocked)
	for uid, want := range map[string]int32{m1UID: Forbidden, rootUID: OK} {
		if got, err := CanRead(w.state, w.chain, uid, key); err != nil || got != want {
			t.Errorf("%s reads what a locked member wrote: %d, %v, want %d", uid, got, err, want)
		}
	}
	if m, code, err := MemberOf(w.state, w.chain, m1UID); m.Status != StatusLock || code != Forbidden || err != nil {
		t.Errorf("standing %+v, %d, %v", m, code, err)
	}
	w.must(w.tx(rootUID, w.modify(id, freeUID)))
	if w.member(freeUID).Status != StatusLock {
		t.Error("a new uid unlocked the entry")
	}
	// From the block on in which it stands, for what comes after it.
	r := w.apply(w.tx(rootUID, lock(id, false)), w.tx(freeUID, set(w.key(freeUID, "c"), "v")),
		w.tx(rootUID, lock(id, true)), w.tx(freeUID, set(w.key(freeUID, "d"), "v")))
	if r[1].GetCode() != OK || r[3].GetCode() != Forbidden {
		t.Errorf("in one block: %v", r)
	}
}

// TestMemberOfAnOrganisationThatDoesNotEndorse: such a member reads; it writes exactly where the policy does not ask
// for its organisation.
func TestMemberOfAnOrganisationThatDoesNotEndorse(t *testing.T) {
	for policy, want := range map[string]int32{"submitter & majority": NotEndorsed, "majority": OK} {
		w := newWorld(t)
		c := proofChain()
		c.Policy, c.Organisations = policy, []string{"o1", "o3"} // m2 is o2's
		w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput())
		x := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{marshal(t, w.tx(rootUID, member(m2UID)))}, "o1", "o3"))
		w.commit(w.chain.ID, x)
		if m, err := GetMember(w.state, w.chain, m2UID); err != nil || m == nil || m.Status != StatusUnlock {
			t.Fatalf("%s: the member is %+v, %v", policy, m, err)
		}
		x = w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{marshal(t, w.tx(m2UID, set(w.key(m2UID, "id"), "v")))},
			"o1", "o3"))
		if got := x.Results[0][0].GetCode(); got != want {
			t.Errorf("%s: its record, endorsed by all, gives %d, want %d", policy, got, want)
		}
	}
}
