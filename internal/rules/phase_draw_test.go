package rules

import (
	"slices"
	"strings"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

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

// begin makes a group of two phases that m1 may write to, so that there is something to write to from the start; nil
// after that.
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
	r.m.groups = append(r.m.groups, &modelPhaseGroup{id: digits16(derive(id, "phase group", 0)), name: name,
		remark: remark})
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
	u := &ltlv1.UploadPhaseData{PhaseId: r.id("phase", true), Form: ltlv1.DataForm_DATA_FORM_TEXT,
		Batch: rapid.Bool().Draw(r.rt, "batch")}
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
		item.DataKey, item.DataSeq = odd("key", []string{"a", "b", "A"}, []string{"a-", ""}), odd("seq",
			[]string{"", "", "s", "S", "t", "u"}, []string{"u_"})
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
