package rules

import (
	"fmt"
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

func claimProduct(productKey, chainID string) *ltlv1.Transaction_ClaimProduct {
	return &ltlv1.Transaction_ClaimProduct{ClaimProduct: &ltlv1.ClaimProduct{ProductKey: productKey, ChainId: chainID}}
}

func assignProduct(productKey, chainID string) *ltlv1.Transaction_AssignProduct {
	return &ltlv1.Transaction_AssignProduct{AssignProduct: &ltlv1.AssignProduct{ProductKey: productKey, ChainId: chainID}}
}

// modifyGroup hands a device group over to an entry, or removes it without one.
func modifyGroup(id, memberID string) *ltlv1.Transaction_ModifyDeviceGroup {
	return &ltlv1.Transaction_ModifyDeviceGroup{ModifyDeviceGroup: &ltlv1.ModifyDeviceGroup{DeviceGroupId: id,
		OwnerMemberId: memberID, Removed: memberID == ""}}
}

// by is a transaction of an organisation's operator.
func (w *world) by(organisation string, action any) *ltlv1.Transaction {
	tx := w.operator(action)
	tx.Submitter = organisation + "/operator/olga"
	return tx
}

// claim has an organisation claim products for w.chain.
func (w *world) claim(organisation string, productKeys ...string) {
	w.t.Helper()
	for _, k := range productKeys {
		w.must(w.by(organisation, claimProduct(k, w.chain.ID)))
	}
}

// assign assigns a claimed product to w.chain.
func (w *world) assign(productKey string) {
	w.t.Helper()
	w.must(w.operator(assignProduct(productKey, w.chain.ID)))
}

// enrollFor has an organisation enrol a device, and assign its product to w.chain.
func (w *world) enrollFor(organisation string, d *device) {
	w.t.Helper()
	w.must(w.by(organisation, enroll(d.enrolment())))
	w.assign(d.productKey)
}

func (w *world) product(key string) *Product {
	w.t.Helper()
	p, err := GetProduct(w.state, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// TestClaimProduct: the first claim counts, and no other organisation's operator enrols devices of the product or assigns it.
func TestClaimProduct(t *testing.T) {
	w := newWorld(t)
	const none = "0000000000000009"
	for what, c := range map[string]struct {
		action any
		want   int32
	}{
		"a claim":                     {claimProduct("p", ""), OK},
		"a claim for a chain":         {claimProduct("p", w.chain.ID), OK},
		"a claim for no such chain":   {claimProduct("p", none), NotFound},
		"a claim for an odd chain":    {claimProduct("p", "1"), OutOfRange},
		"a claim of an odd product":   {claimProduct("p/q", ""), OutOfRange},
		"an assignment of no product": {assignProduct("p", w.chain.ID), NotFound},
		"of an odd product":           {assignProduct("", w.chain.ID), OutOfRange},
	} {
		w.want(what, w.operator(c.action), c.want)
	}
	w.must(w.by("o2", claimProduct("p", "")))
	if p := w.product("p"); p.Organisation != "o2" || p.ChainID != "" || p.FromMs != 0 || p.ChangedHeight == 0 {
		t.Errorf("%+v", p)
	}
	owner := fmt.Sprintf(reasonOwner, "o2")
	d := eccDevice(t, iotID)
	d.productKey = "p"
	w.refused("o1 claims it too", w.by("o1", claimProduct("p", w.chain.ID)), Forbidden, owner)
	w.refused("o1 assigns it", w.by("o1", assignProduct("p", w.chain.ID)), Forbidden, owner)
	w.refused("o1 enrols a device of it", w.by("o1", enroll(d.enrolment())), Forbidden, owner)
	w.refused("o2 claims it again", w.by("o2", claimProduct("p", w.chain.ID)), Conflict, reasonProductClaimed)
	w.refused("o2 assigns it to no such chain", w.by("o2", assignProduct("p", none)), NotFound, reasonProductChain)

	d.productKey = "q"
	w.must(w.by("o3", enroll(d.enrolment())))
	if p := w.product("q"); p == nil || p.Organisation != "o3" || p.ChainID != "" {
		t.Errorf("enrolled without a claim: %+v", p)
	}
	w.refused("o1 enrols another device of o3's product", w.by("o1", enroll(&ltlv1.EnrollDevice{ProductKey: "q",
		IotId: "other", KeyType: d.kind, PublicKey: d.public})), Forbidden, fmt.Sprintf(reasonOwner, "o3"))
	all, err := ListProducts(w.state)
	if err != nil || len(all) != 2 || all[0].Key != "p" || all[1].Key != "q" {
		t.Errorf("products %v, %v", all, err)
	}
}

// TestMoveProduct: what a device signed counts on one chain only, also when its clock is ahead and its product moves
// to the other chain while the text is fresh.
func TestMoveProduct(t *testing.T) {
	d := eccDevice(t, iotID)
	w, _ := deviceWorld(t, d)
	other := *w
	r := w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: proofChain()}))
	var err error
	if other.chain, err = GetChain(w.state, r[0].GetOutput()); err != nil {
		t.Fatal(err)
	}
	digest := d.proof(t, "v").GetDataDigest()
	ahead := d.proofAt(t, digest, w.now+MaxDeviceAheadMs)
	upload := func(on *Chain, id string, p *ltlv1.DeviceProof) *ltlv1.Transaction {
		here := w.chain
		w.chain = on
		tx := w.signed(rootUID, id, "v", p)
		w.chain = here
		return tx
	}
	first := w.chain
	w.must(w.tx(rootUID, modifyGroup(mustGroup(t, w).ID, w.chain.AdministratorMemberID)))
	w.must(upload(first, "a", ahead))
	w.refused("on a chain that the product is not assigned to", upload(other.chain, "a", ahead), Forbidden,
		fmt.Sprintf(reasonProductElsewhere, first.ID, "o1", productKey, other.chain.ID))
	w.now++
	w.must(w.operator(assignProduct(productKey, other.chain.ID)))
	w.chain = other.chain
	w.must(w.tx(rootUID, register(productKey)))
	w.chain = first
	from := w.product(productKey).FromMs
	if from != w.now+MaxDeviceAheadMs+1 {
		t.Errorf("texts count from %d, want from %d", from, w.now+MaxDeviceAheadMs+1)
	}
	w.now += 2 * MaxDeviceAheadMs // the text's time is no longer ahead
	if got := w.code(upload(other.chain, "a", ahead)); got != Forbidden {
		t.Errorf("one signature on two chains: %d", got)
	}
	w.want("the last time that does not count", upload(other.chain, "a", d.proofAt(t, digest, from-1)), Forbidden)
	w.want("the first one that counts", upload(other.chain, "a", d.proofAt(t, digest, from)), OK)
	w.refused("on the chain that it left", upload(first, "b", d.proofAt(t, digest, from)), Forbidden,
		fmt.Sprintf(reasonProductElsewhere, other.chain.ID, "o1", productKey, first.ID))

	same := w.product(productKey)
	w.must(w.operator(assignProduct(productKey, other.chain.ID)))
	if got := w.product(productKey); *got != *same {
		t.Errorf("assigned again: %+v, want %+v", got, same)
	}
	w.must(w.operator(assignProduct(productKey, "")), w.operator(assignProduct(productKey, other.chain.ID)))
	if got := w.product(productKey).FromMs; got != w.now+MaxDeviceAheadMs+1 {
		t.Errorf("withdrawn and assigned again: texts count from %d", got)
	}
}

// TestModifyDeviceGroup: the administrator hands a group over to an account of the product's owner, or removes it; then
// the product may be registered again.
func TestModifyDeviceGroup(t *testing.T) {
	d := eccDevice(t, iotID)
	w, group := deviceWorld(t, d)
	w.must(w.signed(m1UID, "a", "v", d.proof(t, "v")))
	device, err := GetDevice(w.state, w.chain.ID, group, iotID)
	if err != nil || device == nil {
		t.Fatal(device, err)
	}
	admin := w.chain.AdministratorMemberID
	w.refused("a member", w.tx(m1UID, modifyGroup(group, admin)), Forbidden, ReasonAdministrator)
	w.refused("to an account of another organisation", w.tx(rootUID, modifyGroup(group, w.member(m2UID).ID)), Forbidden,
		fmt.Sprintf(reasonProductForeign, "o1"))
	w.refused("to no entry", w.tx(rootUID, modifyGroup(group, "0000000000000001")), NotFound, reasonNoEntry)
	w.want("a group that is none", w.tx(rootUID, modifyGroup("0000000000000001", admin)), NotFound)
	both := modifyGroup(group, admin)
	both.ModifyDeviceGroup.Removed = true
	w.want("both at once", w.tx(rootUID, both), OutOfRange)

	w.must(w.tx(rootUID, modifyGroup(group, admin)), w.tx(rootUID, modifyGroup(group, admin)))
	w.refused("the former owner", w.signed(m1UID, "b", "v", d.proof(t, "v")), Forbidden, reasonForeignGroup)
	w.want("the new owner", w.signed(rootUID, "b", "v", d.proof(t, "v")), OK)
	w.must(w.tx(rootUID, modifyGroup(group, "")))
	w.refused("without a group", w.signed(rootUID, "b", "v", d.proof(t, "v")), Forbidden, reasonNoGroup)
	w.want("twice", w.tx(rootUID, modifyGroup(group, "")), NotFound)
	w.want("authorising it", w.tx(rootUID, authorizeGroup(group, true)), NotFound)
	w.want("authorising a device of it", w.tx(rootUID, authorizeDevice(group, device.ID, false)), NotFound)
	if all, err := ListDeviceGroups(w.state, w.chain.ID); err != nil || len(all) != 0 {
		t.Errorf("groups %v, %v", all, err)
	}
	again := w.must(w.tx(m1UID, register(productKey)))[0].GetOutput()
	if again == group {
		t.Error("the id of a removed group was given again")
	}
	w.must(w.signed(m1UID, "b", "v", d.proof(t, "v")))
}

// TestForeignGroupEntry: an entry with a device group that passes to an account of another organisation cannot use it.
func TestForeignGroupEntry(t *testing.T) {
	d := eccDevice(t, iotID)
	w, _ := deviceWorld(t, d)
	w.must(w.tx(rootUID, w.modify(w.member(m1UID).ID, freeUID)))
	w.refused("an account of o2", w.signed(freeUID, "a", "v", d.proof(t, "v")), Forbidden,
		fmt.Sprintf(reasonProductForeign, "o1"))
	if !strings.Contains(reasonProductForeign, "only its accounts") {
		t.Error("the refusal does not say whose accounts may")
	}
}
