package rules

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// phaseModel says in the plainest words what collaboration does. Records and rights are in maps by "<one>/<other>".
type phaseModel struct {
	groups  []*modelPhaseGroup
	rights  map[string][]string      // member id/group id → phases
	records map[string][]modelRecord // phase id/data key
	entries map[string]string        // uid → member id
	locked  map[string]bool          // by member id
	usage   map[string]Usage         // by member id; "" the chain's
	quota   struct {
		groups, phases int
		records, bytes uint64
	}
}

type modelPhaseGroup struct {
	id, name, remark string
	phases           []*modelPhase
}

type modelPhase struct{ id, name, remark string }

type modelRecord struct{ seq, data string }

func (m *phaseModel) group(id string) *modelPhaseGroup {
	for _, g := range m.groups {
		if g.id == id {
			return g
		}
	}
	return nil
}

func (m *phaseModel) phase(id string) (*modelPhaseGroup, *modelPhase) {
	for _, g := range m.groups {
		for _, p := range g.phases {
			if p.id == id {
				return g, p
			}
		}
	}
	return nil, nil
}

// admin judges what only the administrator may do.
func admin(uid string) int32 {
	if uid != rootUID {
		return Forbidden
	}
	return OK
}

func (m *phaseModel) has(phase, key, seq string) bool {
	list := m.records[phase+"/"+key]
	return seq == "" && len(list) > 0 || slices.ContainsFunc(list, func(r modelRecord) bool { return r.seq == seq })
}

func units(s string) (n int) {
	for _, r := range s {
		if n++; r > 127 {
			n++
		}
	}
	return n
}

func alphanumericOnly(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, alphanumeric) == ""
}

// upload judges an upload and, if it is good, remembers its records.
func (m *phaseModel) upload(uid string, u *ltlv1.UploadPhaseData, id ledger.Hash) int32 {
	group, phase := m.phase(u.PhaseId)
	if phase == nil || group.id != u.PhaseGroupId {
		return NotFound
	}
	member := m.entries[uid]
	if uid != rootUID && !slices.Contains(m.rights[member+"/"+group.id], u.PhaseId) {
		return Forbidden
	}
	long, duplicate := ValueTooLong, DuplicateKey
	if u.Batch {
		long, duplicate = SubValueTooLong, BatchDuplicateKey
	}
	if len(u.Items) == 0 {
		return OutOfRange
	}
	if len(u.Items) > 50 {
		return BatchTooLong
	}
	var bytes uint64
	for _, i := range u.Items {
		bytes += uint64(len(i.PhaseData))
		if code := modelItem(i, u.Form, long); code != OK {
			return code
		}
	}
	for n, i := range u.Items {
		if i.DataSeq != "" && slices.ContainsFunc(u.Items[:n], func(j *ltlv1.PhaseItem) bool { return i.DataKey == j.DataKey && i.DataSeq == j.DataSeq }) {
			return BatchRepeatedKey
		}
	}
	for _, i := range u.Items {
		for _, r := range i.Related {
			if g, _ := m.phase(r.PhaseId); g != group || !m.has(r.PhaseId, r.DataKey, r.DataSeq) {
				return NotFound
			}
		}
	}
	all := m.usage[""]
	if all.Count+uint64(len(u.Items)) > m.quota.records || all.Bytes+bytes > m.quota.bytes {
		return QuotaExceeded
	}
	for _, i := range u.Items {
		if i.DataSeq != "" && m.has(u.PhaseId, i.DataKey, i.DataSeq) {
			return duplicate
		}
	}
	for n, i := range u.Items {
		r := modelRecord{i.DataSeq, i.PhaseData}
		if h := derive(id, "data seq", uint32(n)); r.seq == "" {
			r.seq = hex.EncodeToString(h[:])
		}
		where := u.PhaseId + "/" + i.DataKey
		m.records[where] = append(m.records[where], r)
	}
	for _, who := range []string{"", member} {
		v := m.usage[who]
		v.Count += uint64(len(u.Items))
		v.Bytes += bytes
		m.usage[who] = v
	}
	return OK
}

func modelItem(i *ltlv1.PhaseItem, form ltlv1.DataForm, long int32) int32 {
	switch {
	case !alphanumericOnly(i.DataKey):
		return OutOfRange
	case i.PhaseData == "":
		return BadValue
	case form == ltlv1.DataForm_DATA_FORM_DIGEST && (len(i.PhaseData) != 64 || strings.Trim(i.PhaseData, "0123456789abcdefABCDEF") != ""):
		return OutOfRange
	case form == ltlv1.DataForm_DATA_FORM_TEXT && units(i.PhaseData) > 4096:
		return long
	case i.DataSeq != "" && !alphanumericOnly(i.DataSeq):
		return OutOfRange
	}
	for _, r := range i.Related {
		switch {
		case !alphanumericOnly(r.DataKey):
			return OutOfRange
		case r.PhaseData == "":
			return BadValue
		case units(r.PhaseData) > 4096:
			return long
		}
	}
	return OK
}

// phaseRun draws transactions and what the model says of each.
type phaseRun struct {
	*collaboration
	rt *rapid.T
	m  *phaseModel
}

func (r *phaseRun) pick(label string, from ...string) string {
	return rapid.SampledFrom(from).Draw(r.rt, label)
}

// id is one of those that exist, of the other kind, or of nothing.
func (r *phaseRun) id(label string, phase bool) string {
	var all []string
	for range 4 {
		for _, g := range r.m.groups {
			if !phase {
				all = append(all, g.id)
			}
			for _, p := range g.phases {
				if phase {
					all = append(all, p.id)
				}
			}
		}
	}
	return rapid.SampledFrom(append(all, "0000000000000000", "bad", "")).Draw(r.rt, label)
}

// begin makes a group of two phases that m1 may write to, so that there is something to write to from the start; nil after that.
func (r *phaseRun) begin(i int) (tx *ltlv1.Transaction, want int32) {
	switch i {
	case 0:
		tx = r.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "first"})
		return tx, r.createGroup(OK, "first", "", ledger.TransactionID(marshal(r.t, tx)))
	case 1, 2:
		group := r.m.groups[0].id
		tx = r.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: group, Name: "phase"})
		return tx, r.createPhase(OK, group, "phase", "", ledger.TransactionID(marshal(r.t, tx)))
	case 3:
		group := r.m.groups[0]
		all := []string{group.phases[0].id, group.phases[1].id}
		r.m.rights[r.m1+"/"+group.id] = all
		return r.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: group.id, MemberId: r.m1, PhaseIds: all}), OK
	}
	return nil, 0
}

// step draws one transaction; ok is what the model says if the account may act at all.
func (r *phaseRun) step() (tx *ltlv1.Transaction, want int32) {
	m := r.m
	uid := r.pick("uid", rootUID, rootUID, rootUID, m1UID, m1UID, m1UID, m2UID, freeUID)
	name := r.pick("name", "group", "阶段", "a", strings.Repeat("n", 30), strings.Repeat("n", 31))
	remark := r.pick("remark", "", "备注", strings.Repeat("r", 101))
	var action any
	var judge func(id ledger.Hash) int32
	named := func() int32 {
		if code := admin(uid); code != OK {
			return code
		}
		if len(name) < 2 || len([]rune(name)) > 30 || len([]rune(remark)) > 100 {
			return OutOfRange
		}
		return OK
	}
	switch rapid.IntRange(0, 19).Draw(r.rt, "kind") {
	case 0, 1:
		action = &ltlv1.CreatePhaseGroup{Name: name, Remark: remark}
		judge = func(id ledger.Hash) int32 { return r.createGroup(named(), name, remark, id) }
	case 2, 3, 4:
		group := r.id("group", false)
		action = &ltlv1.CreatePhase{PhaseGroupId: group, Name: name, Remark: remark}
		judge = func(id ledger.Hash) int32 { return r.createPhase(named(), group, name, remark, id) }
	case 5:
		group := r.id("group", false)
		action = &ltlv1.ModifyPhaseGroup{PhaseGroupId: group, Name: name, Remark: &remark}
		judge = func(ledger.Hash) int32 {
			code, g := named(), m.group(group)
			if code == OK && g == nil {
				return NotFound
			} else if code == OK {
				g.name, g.remark = name, remark
			}
			return code
		}
	case 6:
		phase := r.id("phase", true)
		action = &ltlv1.ModifyPhase{PhaseId: phase, Name: name}
		remark = ""
		judge = func(ledger.Hash) int32 {
			code := named()
			_, p := m.phase(phase)
			if code == OK && p == nil {
				return NotFound
			} else if code == OK {
				p.name = name
			}
			return code
		}
	case 7, 8, 9, 10:
		action, judge = r.authorize(uid)
	case 11:
		id, locked := r.pick("member", r.m1, r.m2), rapid.IntRange(0, 3).Draw(r.rt, "lock") == 2
		action = &ltlv1.LockMember{MemberId: id, Locked: locked}
		judge = func(ledger.Hash) int32 {
			if uid == rootUID {
				m.locked[id] = locked
			}
			return admin(uid)
		}
	default:
		u := r.drawUpload()
		action = u
		judge = func(id ledger.Hash) int32 { return m.upload(uid, u, id) }
	}
	tx = r.act(uid, action)
	if uid != rootUID && (m.entries[uid] == "" || m.locked[m.entries[uid]]) {
		return tx, Forbidden
	}
	return tx, judge(ledger.TransactionID(marshal(r.t, tx)))
}

func (r *phaseRun) createGroup(code int32, name, remark string, id ledger.Hash) int32 {
	if code != OK {
		return code
	}
	if len(r.m.groups) == r.m.quota.groups {
		return QuotaExceeded
	}
	r.m.groups = append(r.m.groups, &modelPhaseGroup{id: digits16(derive(id, "phase group", 0)), name: name, remark: remark})
	return OK
}

func (r *phaseRun) createPhase(code int32, group, name, remark string, id ledger.Hash) int32 {
	g := r.m.group(group)
	switch {
	case code != OK:
		return code
	case g == nil:
		return NotFound
	case len(g.phases) == r.m.quota.phases:
		return QuotaExceeded
	}
	g.phases = append(g.phases, &modelPhase{id: digits16(derive(id, "phase", 0)), name: name, remark: remark})
	return OK
}

func (r *phaseRun) authorize(uid string) (any, func(ledger.Hash) int32) {
	group, member := r.id("group", false), r.pick("member", r.m1, r.m1, r.m2, "0000000000000000")
	var list []string
	if g := r.m.group(group); g != nil {
		for _, p := range g.phases {
			if rapid.IntRange(0, 3).Draw(r.rt, "allow") > 0 {
				list = append(list, p.id)
			}
		}
	}
	if rapid.IntRange(0, 4).Draw(r.rt, "odd") == 0 {
		list = append(list, r.id("odd phase", true))
	}
	return &ltlv1.AuthorizePhases{PhaseGroupId: group, MemberId: member, PhaseIds: list}, func(ledger.Hash) int32 {
		for i, id := range list {
			if uid == rootUID && slices.Contains(list[:i], id) {
				return OutOfRange
			}
		}
		g := r.m.group(group)
		switch {
		case uid != rootUID:
			return Forbidden
		case g == nil, member != r.m1 && member != r.m2:
			return NotFound
		}
		for _, id := range list {
			if owner, _ := r.m.phase(id); owner != g {
				return NotFound
			}
		}
		r.m.rights[member+"/"+group] = list
		return OK
	}
}

func (r *phaseRun) drawUpload() *ltlv1.UploadPhaseData {
	u := &ltlv1.UploadPhaseData{PhaseId: r.id("phase", true), Form: ltlv1.DataForm_DATA_FORM_TEXT, Batch: rapid.Bool().Draw(r.rt, "batch")}
	if u.PhaseGroupId = r.id("group", false); rapid.IntRange(0, 9).Draw(r.rt, "right group") > 0 {
		if g, _ := r.m.phase(u.PhaseId); g != nil {
			u.PhaseGroupId = g.id
		}
	}
	if rapid.IntRange(0, 4).Draw(r.rt, "digest") == 0 {
		u.Form = ltlv1.DataForm_DATA_FORM_DIGEST
	}
	n := 1
	if u.Batch {
		n = rapid.SampledFrom([]int{0, 1, 2, 2, 3, 5, 51}).Draw(r.rt, "items")
	}
	odd := func(label string, good, bad []string) string {
		if rapid.IntRange(0, 19).Draw(r.rt, label+" is odd") == 7 {
			return r.pick(label, bad...)
		}
		return r.pick(label, good...)
	}
	data := func() string {
		return odd("data", []string{"x", "数据", "𠀀"}, []string{strings.Repeat("字", 2049), "", strings.Repeat("x", 4096)})
	}
	if u.Form == ltlv1.DataForm_DATA_FORM_DIGEST {
		data = func() string {
			return odd("digest", []string{strings.Repeat("aB", 32)}, []string{strings.Repeat("x", 64), "short"})
		}
	}
	for range n {
		item := &ltlv1.PhaseItem{PhaseData: data()}
		item.DataKey, item.DataSeq = odd("key", []string{"a", "b", "A"}, []string{"a-", ""}), odd("seq", []string{"", "", "s", "S", "t", "u"}, []string{"u_"})
		for range rapid.SampledFrom([]int{0, 0, 0, 0, 0, 0, 1, 2}).Draw(r.rt, "related") {
			item.Related = append(item.Related, &ltlv1.RelatedData{
				PhaseId: r.id("related phase", true), DataKey: odd("related key", []string{"a", "b"}, []string{"_"}),
				PhaseData: odd("related data", []string{"x"}, []string{""}), DataSeq: r.pick("related seq", "", "s"),
			})
		}
		u.Items = append(u.Items, item)
	}
	return u
}

// TestPhaseModel: any sequence of actions on a collaboration chain, cut into blocks anyhow, ends as the model says; the
// same sequence cut differently leaves the same state.
func TestPhaseModel(t *testing.T) {
	chain := collaborationChain()
	chain.CountQuota, chain.CapacityQuotaBytes, chain.PhaseGroupQuota, chain.PhaseQuota = 25, 400, 3, 3
	base := onCollaborationChain(t, chain)
	ended := map[int32]int{}
	rapid.Check(t, func(rt *rapid.T) {
		c, other := *base, *base
		c.world, other.world = base.copy(), base.copy()
		m := &phaseModel{
			rights: map[string][]string{}, records: map[string][]modelRecord{}, entries: map[string]string{m1UID: c.m1, m2UID: c.m2, rootUID: "root"},
			locked: map[string]bool{}, usage: map[string]Usage{},
		}
		m.quota.groups, m.quota.phases, m.quota.records, m.quota.bytes = 3, 3, 25, 400
		r := &phaseRun{&c, rt, m}
		var payloads [][]byte
		want := map[ledger.Hash]int32{}
		for i := range rapid.IntRange(40, 120).Draw(rt, "n") {
			tx, code := r.begin(i)
			if tx == nil {
				tx, code = r.step()
			}
			p := marshal(t, tx)
			payloads, want[ledger.TransactionID(p)] = append(payloads, p), code
			if tx.GetUploadPhaseData() != nil {
				ended[code]++
			}
		}
		other.nonce = c.nonce
		runCut(rt, c.world, payloads, want, "cut")
		runCut(rt, other.world, payloads, want, "other cut")
		m.compare(rt, &c)
		if a, b := withoutPlaces(&c), withoutPlaces(&other); !maps.Equal(a, b) {
			rt.Fatalf("cut differently:\n%v\n%v", a, b)
		}
	})
	for _, code := range []int32{OK, Forbidden, NotFound, OutOfRange} {
		if ended[code] == 0 {
			t.Errorf("no upload that was drawn ended with %d: the test shows nothing about it", code)
		}
	}
}

// compare looks for all that the model has, and for nothing else, in the state.
func (m *phaseModel) compare(rt *rapid.T, c *collaboration) {
	groups, err := ListPhaseGroups(c.state, c.chain.ID)
	if err != nil || len(groups) != len(m.groups) {
		rt.Fatalf("%d groups, %v, want %d", len(groups), err, len(m.groups))
	}
	phases := 0
	for _, g := range m.groups {
		got, err := GetPhaseGroup(c.state, c.chain.ID, g.id)
		if err != nil || got == nil || got.Name != g.name || got.Remark != g.remark {
			rt.Fatalf("group %+v, %v, want %+v", got, err, g)
		}
		list, err := ListPhases(c.state, c.chain.ID, got)
		if err != nil || len(list) != len(g.phases) {
			rt.Fatalf("phases %v, %v, want %d", list, err, len(g.phases))
		}
		for i, p := range g.phases {
			if list[i].ID != p.id || list[i].Name != p.name || list[i].Remark != p.remark || list[i].GroupID != g.id {
				rt.Fatalf("phase %+v, want %+v", list[i], p)
			}
			m.compareRecords(rt, c, list[i])
		}
		phases += len(g.phases)
		for _, id := range []string{c.m1, c.m2} {
			if got, err := WritablePhases(c.state, c.chain.ID, &Member{ID: id, Role: RoleMember}, got); err != nil || !slices.Equal(got, m.rights[id+"/"+g.id]) {
				rt.Fatalf("%s may write to %v, %v, want %v", id, got, err, m.rights[id+"/"+g.id])
			}
		}
	}
	if t, err := GetPhaseTotals(c.state, c.chain.ID); err != nil || t != (PhaseTotals{uint64(len(groups)), uint64(phases)}) {
		rt.Fatalf("totals %+v, %v", t, err)
	}
	for uid, id := range map[string]string{"": "", m1UID: c.m1, m2UID: c.m2, rootUID: "root"} {
		want := m.usage[id]
		got, err := GetUsage(c.state, c.chain.ID, uid)
		if got.Members = 0; err != nil || got != want {
			rt.Fatalf("usage of %q: %+v, %v, want %+v", uid, got, err, want)
		}
	}
}

func (m *phaseModel) compareRecords(rt *rapid.T, c *collaboration, p *Phase) {
	for _, dataKey := range []string{"a", "b", "A"} {
		key, want := PhaseKey(c.chain.Code, p.Code, dataKey), m.records[p.ID+"/"+dataKey]
		newest, err := Locate(c.state, c.chain.ID, NewestKey(key))
		if err != nil || (newest == nil) != (len(want) == 0) || newest != nil && newest.Version() != uint32(len(want)) {
			rt.Fatalf("newest of %s: %v, %v, want version %d", key, newest, err, len(want))
		}
		for i, r := range want {
			bySeq, err := Locate(c.state, c.chain.ID, SequenceKey(key, r.seq))
			byVersion, err2 := LocateVersion(c.state, c.chain.ID, key, uint32(i)+1)
			if err != nil || err2 != nil || bySeq == nil || byVersion == nil || *bySeq != *byVersion || bySeq.Version() != uint32(i)+1 {
				rt.Fatalf("record %d of %s: %v, %v, %v, %v", i, key, bySeq, byVersion, err, err2)
			}
		}
	}
}

// withoutPlaces is placeless, where also phase groups and phases are told without the places of their transactions.
func withoutPlaces(c *collaboration) map[string]string {
	all := placeless(c.world)
	for k, v := range all {
		if strings.HasPrefix(k, prefixPhaseGroup) || strings.HasPrefix(k, prefixPhase) {
			all[k] = v[:len(v)-12]
		}
	}
	return all
}
