package rules

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// entry is an entry on the chain in the model: the administrator's or a member's, whichever account has it.
type entry struct {
	uid, id, typeCode string
	admin, locked     bool
	usage             Usage
}

// chainModel is the simplest model of a chain with devices: which account may do what.
type chainModel struct {
	entries []*entry
	groups  map[string]*modelGroup // by product key
	seen    map[string]bool        // signatures
	keys    map[string]string      // each Key's device signature, "" for none
}

type modelGroup struct {
	id         string
	owner      *entry
	authorized bool
	// device is the id of its one device, empty before its first upload.
	device     string
	authorised bool
}

func (m *chainModel) at(uid string) *entry {
	for _, e := range m.entries {
		if e.uid == uid {
			return e
		}
	}
	return nil
}

// allowed judges what all actions have in common.
func (m *chainModel) allowed(uid string, adminOnly bool) (*entry, int32) {
	e := m.at(uid)
	if e == nil || e.locked || adminOnly && !e.admin {
		return e, Forbidden
	}
	return e, OK
}

// usesProducts reports whether an account is of o1, which claimed the products.
func usesProducts(uid string) bool { return uid == rootUID || uid == m1UID }

// step is one drawn transaction and what the model says of it.
type step struct {
	tx   *ltlv1.Transaction
	want func(id ledger.Hash) int32
}

// adminWorld is a world with what the steps speak of.
type adminWorld struct {
	*world
	device *device
	proofs []*ltlv1.DeviceProof
}

func (w *adminWorld) draw(rt *rapid.T, m *chainModel) step {
	uid := rapid.SampledFrom([]string{rootUID, rootUID, rootUID, m1UID, m1UID, m2UID, freeUID}).Draw(rt, "uid")
	switch rapid.IntRange(0, 9).Draw(rt, "kind") {
	case 0:
		return w.drawLock(rt, m, uid)
	case 1:
		return w.drawModify(rt, m, uid)
	case 2:
		return w.drawRegister(rt, m, uid)
	case 3:
		return w.drawAuthorize(rt, m, uid)
	case 4:
		return w.drawAuthorizeDevice(rt, m, uid)
	}
	return w.drawUpload(rt, m)
}

func (w *adminWorld) drawLock(rt *rapid.T, m *chainModel, uid string) step {
	e, locked := rapid.SampledFrom(m.entries).Draw(rt, "entry"), rapid.Bool().Draw(rt, "locked")
	return step{w.tx(uid, lock(e.id, locked)), func(ledger.Hash) int32 {
		if _, code := m.allowed(uid, true); code != OK || e.admin {
			return Forbidden
		}
		e.locked = locked
		return OK
	}}
}

func (w *adminWorld) drawModify(rt *rapid.T, m *chainModel, uid string) step {
	e, to := rapid.SampledFrom(m.entries).Draw(rt, "entry"), rapid.SampledFrom([]string{m1UID, m2UID, freeUID,
		ghostUID}).Draw(rt, "to")
	return step{w.tx(uid, w.modify(e.id, to)), func(ledger.Hash) int32 {
		_, code := m.allowed(uid, true)
		switch {
		case code != OK || e.admin:
			return Forbidden
		case to == ghostUID:
			return NotFound
		case m.at(to) != nil && m.at(to) != e:
			return Conflict
		}
		e.uid = to
		return OK
	}}
}

func (w *adminWorld) drawRegister(rt *rapid.T, m *chainModel, uid string) step {
	key := rapid.SampledFrom([]string{productKey, "other"}).Draw(rt, "product")
	return step{w.tx(uid, register(key)), func(id ledger.Hash) int32 {
		owner, code := m.allowed(uid, false)
		switch {
		case code != OK:
			return code
		case !usesProducts(uid):
			return Forbidden
		case m.groups[key] != nil:
			return Conflict
		}
		m.groups[key] = &modelGroup{id: digits16(derive(id, forDeviceGroup, 0)), owner: owner, authorized: true}
		return OK
	}}
}

func (w *adminWorld) drawAuthorize(rt *rapid.T, m *chainModel, uid string) step {
	yes, id := rapid.Bool().Draw(rt, "yes"), "0000000000000000"
	g := m.groups[productKey]
	if g != nil {
		id = g.id
	}
	return step{w.tx(uid, authorizeGroup(id, yes)), func(ledger.Hash) int32 {
		if _, code := m.allowed(uid, true); code != OK {
			return code
		}
		if g == nil {
			return NotFound
		}
		g.authorized = yes
		return OK
	}}
}

func (w *adminWorld) drawAuthorizeDevice(rt *rapid.T, m *chainModel, uid string) step {
	yes, group, device := rapid.Bool().Draw(rt, "yes"), "0000000000000000", "0000000000000000"
	g := m.groups[productKey]
	if g != nil && g.device != "" {
		group, device = g.id, g.device
	}
	return step{w.tx(uid, authorizeDevice(group, device, yes)), func(ledger.Hash) int32 {
		if _, code := m.allowed(uid, true); code != OK {
			return code
		}
		if g == nil || g.device == "" {
			return NotFound
		}
		g.authorised = yes
		return OK
	}}
}

func (w *adminWorld) drawUpload(rt *rapid.T, m *chainModel) step {
	e := rapid.SampledFrom(m.entries).Draw(rt, "whose type code")
	uid := e.uid
	if rapid.IntRange(0, 5).Draw(rt, "foreign") == 0 {
		uid = rapid.SampledFrom([]string{m1UID, m2UID, freeUID}).Draw(rt, "uid")
	}
	key := fmt.Sprintf("%s_%s_%s_%d", KeyVersion, w.chain.Code, e.typeCode, rapid.IntRange(0, 20).Draw(rt, "id"))
	s := set(key, "v")
	if rapid.IntRange(0, 2).Draw(rt, "device") > 0 {
		s.SetData.Device = rapid.SampledFrom(w.proofs).Draw(rt, "proof")
	}
	p := s.SetData.GetDevice()
	return step{w.tx(uid, s), func(id ledger.Hash) int32 {
		caller, code := m.allowed(uid, false)
		g := m.groups[productKey]
		by, taken := m.keys[key]
		switch {
		case caller == e && taken && (p == nil || p.GetSignature() == by): // repeated
			return DuplicateKey
		case code != OK:
			return code
		case caller != e:
			return BadTypeCode
		case p != nil && (g == nil || !usesProducts(uid) || g.owner != caller || !g.authorized || g.device != "" && !g.authorised ||
			m.seen[p.GetSignature()]):
			return Forbidden
		case taken:
			return DuplicateKey
		}
		if p != nil {
			m.seen[p.GetSignature()] = true
			if g.device == "" {
				g.device, g.authorised = digits16(derive(id, forDevice, 0)), true
			}
		}
		m.keys[key] = p.GetSignature()
		e.usage.Count, e.usage.Bytes = e.usage.Count+1, e.usage.Bytes+1
		return OK
	}}
}

// TestAdministrationModel: any sequence of changes of members, groups and devices with uploads between them, cut into
// blocks anyhow, ends as the model says.
func TestAdministrationModel(t *testing.T) {
	d := eccDevice(t, iotID)
	base := newWorld(t)
	base.must(base.operator(enroll(d.enrolment())))
	base.assign(productKey)
	base.claim("o1", "other")
	var proofs []*ltlv1.DeviceProof
	for range 6 {
		proofs = append(proofs, d.proof(t, "v"))
	}
	rapid.Check(t, func(rt *rapid.T) {
		w, other := &adminWorld{base.copy(), d, proofs}, base.copy()
		m := &chainModel{groups: map[string]*modelGroup{}, seen: map[string]bool{}, keys: map[string]string{}}
		for _, uid := range []string{rootUID, m1UID, m2UID} {
			e := w.member(uid)
			m.entries = append(m.entries, &entry{uid: uid, id: e.ID, typeCode: e.TypeCode, admin: e.Role == RoleAdmin})
		}
		var payloads [][]byte
		want := map[ledger.Hash]int32{}
		for range rapid.IntRange(1, 40).Draw(rt, "n") {
			s := w.draw(rt, m)
			p := marshal(t, s.tx)
			id := ledger.TransactionID(p)
			payloads, want[id] = append(payloads, p), s.want(id)
		}
		codes, err := previewCodes(base.input(base.chain.ID), base.now, payloads, base.state)
		for i, p := range payloads {
			if err != nil || codes[i] != want[ledger.TransactionID(p)] {
				rt.Fatalf("Preview of transaction %d: %v, %v, want %d", i, codes, err, want[ledger.TransactionID(p)])
			}
		}
		runCut(rt, w.world, payloads, want, "cut")
		runCut(rt, other, payloads, want, "other cut")
		m.compare(rt, w.world)
		m.compare(rt, other)
	})
}

// compare holds a world against the model.
func (m *chainModel) compare(rt *rapid.T, w *world) {
	members, err := ListMembers(w.state, w.chain)
	if err != nil || len(members) != len(m.entries) {
		rt.Fatal(members, err)
	}
	for i, e := range m.entries {
		got := members[i]
		usage, err := GetUsage(w.state, w.chain.ID, e.uid)
		byID, err2 := MemberByID(w.state, w.chain, e.id)
		owner, err3 := TypeCodeOwner(w.state, w.chain, e.typeCode)
		if err != nil || err2 != nil || err3 != nil || got.UID != e.uid || got.ID != e.id || got.TypeCode != e.typeCode ||
			(got.Status == StatusLock) != e.locked || usage != e.usage || byID.UID != e.uid || owner != e.uid {
			rt.Fatalf("%+v, %+v, %v, %v, want %+v", got, usage, byID, owner, e)
		}
	}
	for _, uid := range []string{m1UID, m2UID, freeUID} {
		if m.at(uid) == nil && w.member(uid) != nil {
			rt.Fatalf("%s is a member still", uid)
		}
	}
	groups, err := ListDeviceGroups(w.state, w.chain.ID)
	if err != nil || len(groups) != len(m.groups) {
		rt.Fatal(groups, err)
	}
	for _, g := range groups {
		want := m.groups[g.ProductKey]
		devices, err := ListDevices(w.state, w.chain.ID, g.ID)
		if err != nil || g.ID != want.id || g.OwnerID != want.owner.id || g.Authorized != want.authorized ||
			(len(devices) == 0) != (want.device == "") {
			rt.Fatalf("%+v, %v, %v, want %+v", g, devices, err, want)
		}
		if len(devices) > 0 && (len(devices) != 1 || devices[0].ID != want.device ||
			devices[0].Authorized != want.authorised) {
			rt.Fatalf("%+v, want %+v", devices[0], want)
		}
	}
}
