package rules

import (
	"fmt"
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// hindrance is a change after the first upload because of which a new upload would be refused.
type hindrance struct {
	what string
	// signedOnly is set for what hinders only uploads that a device signed.
	signedOnly bool
	change     func(w *world, group string)
}

func hindrances() []hindrance {
	lock := func(w *world, _ string) {
		m, err := GetMember(w.state, w.chain, m1UID)
		if err != nil {
			w.t.Fatal(err)
		}
		w.must(w.act(rootUID, &ltlv1.LockMember{MemberId: m.ID, Locked: true}))
	}
	quota := func(w *world, _ string) {
		w.must(w.operator(w.modifyChain(func(m *ltlv1.ModifyChain) { m.CountQuota = new(uint64) })))
		w.onChain(w.chain.ID)
	}
	over := func(w *world, _ string) { w.now = w.chain.ExpiredMs }
	return []hindrance{
		{"nothing changed", false, func(*world, string) {}},
		{"the quota is used up", false, quota},
		{"the term is over", false, over},
		{"the member is locked", false, lock},
		{"all three", false, func(w *world, g string) { quota(w, g); lock(w, g); over(w, g) }},
		{"the group is not authorised", true, func(w *world, g string) { w.must(w.tx(rootUID, authorizeGroup(g, false))) }},
		{"the device is not authorised", true, func(w *world, g string) {
			d, err := GetDevice(w.state, w.chain.ID, g, iotID)
			if err != nil || d == nil {
				w.t.Fatal("no device", err)
			}
			w.must(w.tx(rootUID, authorizeDevice(g, d.ID, false)))
		}},
		{"the device is revoked", true, func(w *world, _ string) { w.must(w.operator(revoke(productKey, iotID))) }},
	}
}

// proofUpload is a SetData (without attach) or AttachData of m1.
func (w *world) proofUpload(isAttach bool, id, businessID, value string, p *ltlv1.DeviceProof) *ltlv1.Transaction {
	if isAttach {
		a := attach(w.key(m1UID, id), value, businessID)
		a.AttachData.Device = p
		return w.tx(m1UID, a)
	}
	return w.signed(m1UID, id, value, p)
}

// TestRepeatedProof: a repeated upload is answered with the code of a duplicate, whatever has happened
// there since.
func TestRepeatedProof(t *testing.T) {
	d := eccDevice(t, iotID)
	base, group := deviceWorld(t, d)
	for _, c := range []struct {
		what         string
		attach       bool
		first, again string // BusinessId
		unsigned     bool   // also without a device
	}{
		{what: "SetData", unsigned: true},
		{what: "AttachData", attach: true, first: business, again: strings.ToLower(business), unsigned: true},
		{what: "AttachData without a BusinessId", attach: true},
	} {
		for _, h := range hindrances() {
			w, p := base.copy(), d.proof(t, "v")
			upload := func(businessID string, p *ltlv1.DeviceProof) *ltlv1.Transaction {
				return w.proofUpload(c.attach, "id", businessID, "v", p)
			}
			w.must(upload(c.first, p))
			if c.attach { // the newest record is another one
				w.must(w.proofUpload(true, "id", "", "v", nil))
			}
			h.change(w, group)
			w.refused(c.what+", signed, "+h.what, upload(c.again, p), DuplicateKey, reasonRepeated)
			if c.unsigned && !h.signedOnly {
				w.refused(c.what+", "+h.what, upload(c.again, nil), DuplicateKey, "")
			}
			if h.what != "nothing changed" {
				got := w.code(w.proofUpload(c.attach, "new", c.again, "v", d.proof(t, "v")))
				if got != Forbidden && got != QuotaExceeded {
					t.Errorf("%s, a new record, %s: %d, want a refusal", c.what, h.what, got)
				}
			}
		}
		w, p := base.copy(), d.proof(t, "v")
		r := w.apply(w.proofUpload(c.attach, "id", c.first, "v", p), w.proofUpload(c.attach, "id", c.again, "v", p))
		if r[0].GetCode() != OK || r[1].GetCode() != DuplicateKey || r[1].GetReason() != reasonRepeated {
			t.Errorf("%s, twice in one block: %v", c.what, r)
		}
	}
}

// TestNoRepeat: what differs in account, chain, Key, BusinessId or signed text is no repeated upload. Its refusal says
// nothing about the records of others.
func TestNoRepeat(t *testing.T) {
	d := eccDevice(t, iotID)
	w, _ := deviceWorld(t, d)
	p := d.proof(t, "v")
	w.must(w.proofUpload(true, "id", business, "v", p), w.proofUpload(false, "single", "", "v", nil))
	other := strings.Repeat("0", 64)
	w.refused("another Key", w.proofUpload(true, "id2", business, "v", p), Forbidden, reasonSignatureUsed)
	w.refused("another Action", w.proofUpload(false, "id", "", "v", p), Forbidden, reasonSignatureUsed)
	w.refused("another BusinessId", w.proofUpload(true, "id", other, "v", p), Forbidden, reasonSignatureUsed)
	assigned := d.proof(t, "v")
	w.must(w.proofUpload(true, "assigned", "", "v", assigned))
	w.refused("a BusinessId where one was assigned", w.proofUpload(true, "assigned", other, "v", assigned), Forbidden,
		reasonSignatureUsed)
	w.want("another value", w.proofUpload(true, "id", business, "w", p), BadDigest)
	w.want("a Key of another account", w.tx(m2UID, set(w.key(m1UID, "single"), "v")), BadTypeCode)
	foreign := w.signed(m2UID, "id", "v", p)
	w.refused("another account", foreign, Forbidden, reasonForeignGroup)

	// The same device and text with the group of another account, and on another chain.
	same := *d
	same.productKey = "other"
	w.enrollFor("o1", &same)
	w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: proofChain()}))
	w.must(w.tx(rootUID, register("other")))
	q := &ltlv1.DeviceProof{AuthType: p.AuthType, IotId: p.IotId, ProductKey: "other", Source: p.Source,
		DataDigest: p.DataDigest, Signature: p.Signature}
	w.refused("another account's device of the same name", w.signed(rootUID, "id", "v", q), Forbidden,
		reasonSignatureUsed)

	locked := w.copy()
	hindrances()[3].change(locked, "")
	locked.refused("a locked member asks for a Key that is not there", locked.proofUpload(false, "none", "", "v", nil),
		Forbidden, ReasonLocked)
	locked.refused("and for a BusinessId", locked.proofUpload(true, "id", other, "v", nil), Forbidden, ReasonLocked)
	locked.refused("and for a Key of another account", locked.tx(m1UID, set(locked.key(rootUID, "single"), "v")), Forbidden,
		ReasonLocked)

	// A submitter that may not write for the account learns nothing.
	tx := w.proofUpload(true, "id", business, "v", p)
	tx.Submitter = "o2/client/c"
	w.refused("a client of another organisation", tx, NotEntitled,
		fmt.Sprintf(reasonSubmitter, "o2/client/c", "o1"))
	m, err := GetMember(w.state, w.chain, m1UID)
	if err != nil {
		t.Fatal(err)
	}
	repeat := w.proofUpload(true, "id", business, "v", p)
	w.must(w.act(rootUID, &ltlv1.ModifyMember{MemberId: m.ID, MemberUid: freeUID, Name: "某公司", Contact: "张三", Phone: "1"}))
	w.refused("the former account of the entry", repeat, Forbidden, ReasonNotMember)
	repeat.AccountUid = freeUID
	w.refused("the account that took the entry over", repeat, DuplicateKey, reasonRepeated)
}

// TestRepeatedPhase: as TestRepeatedProof, for one record and for a list.
func TestRepeatedPhase(t *testing.T) {
	d := eccDevice(t, iotID)
	base := newCollaboration(t)
	base.must(base.operator(enroll(d.enrolment())))
	base.assign(productKey)
	group := base.must(base.tx(m1UID, register(productKey)))[0].GetOutput()
	const list = `[{"dataKey":"a","phaseData":"v","dataSeq":"1"},{"dataKey":"b","phaseData":"v","dataSeq":"2"}]`
	const noSeqs = `[{"dataKey":"a","phaseData":"v"},{"dataKey":"a","phaseData":"v"}]`
	for _, c := range []struct {
		what string
		make func(c *collaboration, signed bool) *ltlv1.UploadPhaseData
		want int32
	}{
		{"one", func(c *collaboration, _ bool) *ltlv1.UploadPhaseData { return c.upload("a", "v", "1") }, DuplicateKey},
		{"one without a DataSeq", func(c *collaboration, _ bool) *ltlv1.UploadPhaseData { return c.upload("a", "v", "") },
			DuplicateKey},
		{"a list", func(c *collaboration, signed bool) *ltlv1.UploadPhaseData { return c.listOf(list, signed) },
			BatchDuplicateKey},
		{"a list without DataSeqs", func(c *collaboration, signed bool) *ltlv1.UploadPhaseData {
			return c.listOf(noSeqs, signed)
		}, BatchDuplicateKey},
	} {
		for _, h := range hindrances() {
			n := *base
			n.world = base.copy()
			first := c.make(&n, true)
			payload, _ := signedPayload(first)
			first.Device = d.proof(t, payload)
			n.must(n.act(m1UID, first))
			n.must(n.act(m1UID, n.upload("a", "later", "later")))
			h.change(n.world, group)
			n.refused(c.what+", signed, "+h.what, n.act(m1UID, first), c.want, reasonRepeated)
			if plain := c.make(&n, false); plain.Items[0].DataSeq != "" && !h.signedOnly {
				want, reason := c.want, ""
				if h.what == "the member is locked" || h.what == "all three" {
					want, reason = Forbidden, ReasonLocked // a locked member may not read the phase
				}
				n.refused(c.what+", "+h.what, n.act(m1UID, plain), want, reason)
			}
		}
	}
}

// listOf is an upload of a list: the text if a device signs it, else its items.
func (c *collaboration) listOf(list string, signed bool) *ltlv1.UploadPhaseData {
	u := c.batchOf()
	if signed {
		u.List = list
		return u
	}
	var err error
	if u.Items, err = ParsePhaseDataList(list); err != nil {
		c.t.Fatal(err)
	}
	return u
}

// TestNoRepeatOnPhase: a phase is shared, so an account learns of its own signed uploads only.
func TestNoRepeatOnPhase(t *testing.T) {
	d := eccDevice(t, iotID)
	c := newCollaboration(t)
	c.must(c.operator(enroll(d.enrolment())))
	c.assign(productKey)
	c.must(c.tx(m1UID, register(productKey)))
	c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1,
		PhaseIds: []string{c.first, c.second}}), c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group,
		MemberId: c.m2, PhaseIds: []string{c.first}}))
	u := c.upload("a", "v", "1")
	u.Device = d.proof(t, "v")
	c.must(c.act(m1UID, u))
	changed := func(change func(*ltlv1.UploadPhaseData)) *ltlv1.UploadPhaseData {
		other := c.upload("a", "v", "1")
		other.Device = u.Device
		change(other)
		return other
	}
	c.refused("another data key", c.act(m1UID, changed(func(u *ltlv1.UploadPhaseData) { u.Items[0].DataKey = "b" })),
		Forbidden, reasonSignatureUsed)
	c.refused("another DataSeq", c.act(m1UID, changed(func(u *ltlv1.UploadPhaseData) { u.Items[0].DataSeq = "2" })),
		Forbidden, reasonSignatureUsed)
	c.refused("another phase", c.act(m1UID, changed(func(u *ltlv1.UploadPhaseData) { u.PhaseId = c.second })),
		Forbidden, reasonSignatureUsed)
	c.refused("another account", c.act(m2UID, u), Forbidden, reasonForeignGroup)
	c.must(c.act(rootUID, &ltlv1.LockMember{MemberId: c.m2, Locked: true}))
	c.refused("another account, locked", c.act(m2UID, u), Forbidden, ReasonLocked)
	c.refused("another account, locked, unsigned", c.act(m2UID, c.upload("a", "v", "1")), Forbidden, ReasonLocked)
	c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1}))
	c.refused("without the right to write", c.act(m1UID, u), Forbidden, reasonNoPermission)
}

// TestKeyOfTheOtherKind: -317 for a Key of the other Action says so.
func TestKeyOfTheOtherKind(t *testing.T) {
	w := newWorld(t)
	w.must(w.proofUpload(false, "single", "", "v", nil), w.proofUpload(true, "many", "", "v", nil))
	w.refused("AttachData on a Key of SetData", w.proofUpload(true, "single", "", "v", nil), DuplicateKey, reasonSingleKey)
	w.refused("SetData on a Key of AttachData", w.proofUpload(false, "many", "", "v", nil), DuplicateKey,
		reasonRepeatableKey)
}
