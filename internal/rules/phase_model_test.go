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
	return s != "" && len(s) <= 64 && strings.Trim(s, alphanumeric+"-.") == ""
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
		if i.DataSeq != "" && slices.ContainsFunc(u.Items[:n],
			func(j *ltlv1.PhaseItem) bool { return i.DataKey == j.DataKey && i.DataSeq == j.DataSeq }) {
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
	for _, i := range u.Items {
		if i.DataSeq != "" && m.has(u.PhaseId, i.DataKey, i.DataSeq) {
			return duplicate
		}
	}
	all := m.usage[""]
	if all.Count+uint64(len(u.Items)) > m.quota.records || all.Bytes+bytes > m.quota.bytes {
		return QuotaExceeded
	}
	for n, i := range u.Items {
		r := modelRecord{i.DataSeq, i.PhaseData}
		if h := derive(id, "data seq", uint32(n)); r.seq == "" {
			r.seq = hex.EncodeToString(h[:])
		}
		where := u.PhaseId + "/" + i.DataKey
		m.records[where] = append(m.records[where], r)
	}
	for _, uid := range []string{"", member} {
		v := m.usage[uid]
		v.Count += uint64(len(u.Items))
		v.Bytes += bytes
		m.usage[uid] = v
	}
	return OK
}

func modelItem(i *ltlv1.PhaseItem, form ltlv1.DataForm, long int32) int32 {
	switch {
	case !alphanumericOnly(i.DataKey):
		return OutOfRange
	case i.PhaseData == "":
		return BadValue
	case form == ltlv1.DataForm_DATA_FORM_DIGEST && (len(i.PhaseData) != 64 ||
		strings.Trim(i.PhaseData, "0123456789abcdefABCDEF") != ""):
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
			rights: map[string][]string{}, records: map[string][]modelRecord{}, entries: map[string]string{m1UID: c.m1,
				m2UID: c.m2, rootUID: "root"},
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
			if got, err := WritablePhases(c.state, c.chain.ID, &Member{ID: id, Role: RoleMember}, got); err != nil ||
				!slices.Equal(got, m.rights[id+"/"+g.id]) {
				rt.Fatalf("%s may write to %v, %v, want %v", id, got, err, m.rights[id+"/"+g.id])
			}
		}
	}
	if t, err := GetPhaseTotals(c.state, c.chain.ID); err != nil ||
		t != (PhaseTotals{uint64(len(groups)), uint64(phases)}) {
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
			if err != nil || err2 != nil || bySeq == nil || byVersion == nil || *bySeq != *byVersion ||
				bySeq.Version() != uint32(i)+1 {
				rt.Fatalf("record %d of %s: %v, %v, %v, %v", i, key, bySeq, byVersion, err, err2)
			}
		}
	}
}

// withoutPlaces is placeless, and also leaves out the places of the transactions of phase groups and phases.
func withoutPlaces(c *collaboration) map[string]string {
	all := placeless(c.world)
	for k, v := range all {
		if strings.HasPrefix(k, prefixPhaseGroup) || strings.HasPrefix(k, prefixPhase) {
			all[k] = v[:len(v)-12]
		}
	}
	return all
}
