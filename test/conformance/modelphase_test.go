package conformance

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ltl/client/device"
)

// Quotas of a worker's collaboration chain.
const (
	groupQuota = 3
	phaseQuota = 3
)

// on is the worker's collaboration chain.
func (m *model) on() params { return params{"BizChainId": m.colla.id} }

// anyPhaseGroup and anyPhase are random ones; nil stands for one that does not exist.
func (m *model) anyPhaseGroup() (*phaseGroup, string) {
	if len(m.phaseGroups) > 0 && m.r.IntN(10) > 0 {
		g := one(m.r, m.phaseGroups...)
		return g, g.id
	}
	return nil, "0000000000000001"
}

func (m *model) anyPhase(g *phaseGroup) (*phase, string) {
	if g != nil && len(g.phases) > 0 && m.r.IntN(12) > 0 {
		p := one(m.r, g.phases...)
		return p, p.id
	}
	return nil, "0000000000000001"
}

// createPhases creates a phase group or a phase.
func (m *model) createPhases() {
	u, name := m.anyUser(), one(m.r, "大米种植", "group-1", "x")
	g, id := m.anyPhaseGroup()
	form := first(m.membership(m.colla, u, true), when(name == "x", "400"))
	if m.r.IntN(2) == 0 {
		want := form
		if want == "200" {
			want = first(when(len(m.phaseGroups) == groupQuota, "429"))
		}
		if a := m.call(u, "CreateMPCoSPhaseGroup", m.on().with("Name", name, "Remark", "备"), want); want == "200" {
			m.phaseGroups = append(m.phaseGroups, &phaseGroup{id: a.text(), name: name, remark: "备"})
		}
		return
	}
	want := form
	if want == "200" {
		want = first(when(g == nil, "404"), when(g != nil && len(g.phases) == phaseQuota, "429"))
	}
	if a := m.call(u, "CreateMPCoSPhase", m.on().with("Name", name, "PhaseGroupId", id), want); want == "200" {
		g.phases = append(g.phases, &phase{id: a.text(), name: name, writers: map[string]bool{}, keys: map[string][]datum{}})
	}
}

// modifyPhases renames a phase group or a phase.
func (m *model) modifyPhases() {
	u, name := m.anyUser(), one(m.r, "新的名", "new", "n n")
	g, groupID := m.anyPhaseGroup()
	with := m.on().with("Name", name)
	remark, given := one(m.r, "", "新的"), m.r.IntN(2) == 0
	if given {
		with["Remark"] = remark
	}
	form := first(m.membership(m.colla, u, true), when(name == "n n", "400"))
	if m.r.IntN(2) == 0 {
		want := first(when(form != "200", form), when(g == nil, "404"))
		m.call(u, "ModifyMPCoSPhaseGroup", with.with("PhaseGroupId", groupID), want)
		if want == "200" {
			g.name = name
			if given {
				g.remark = remark
			}
		}
		return
	}
	p, id := m.anyPhase(g)
	want := first(when(form != "200", form), when(p == nil, "404"))
	m.call(u, "ModifyMPCoSPhase", with.with("PhaseId", id), want)
	if want == "200" {
		p.name = name
		if given {
			p.remark = remark
		}
	}
}

// mayWrite reports whether a user may write to a phase.
func (m *model) mayWrite(u *user, p *phase) bool {
	return u == m.admin || p.writers[m.colla.entry(u).id]
}

// listPhases lists phase groups, or the phases of one with the caller's permission.
func (m *model) listPhases() {
	u := m.anyUser()
	code := first(m.membership(m.colla, u, false))
	var all [][]string
	if m.r.IntN(2) == 0 {
		for _, g := range m.phaseGroups {
			all = append(all, []string{g.id, g.remark, g.name})
		}
		m.list(u, "ListMPCoSPhaseGroup", m.on(), code, all, "PhaseGroupId", "Remark", "Name")
		return
	}
	g, id := m.anyPhaseGroup()
	if code == "200" && g == nil {
		code = "404"
	}
	if code == "200" {
		for _, p := range g.phases {
			all = append(all, []string{map[bool]string{true: "3", false: "1"}[m.mayWrite(u, p)], p.id, p.remark, p.name})
		}
	}
	m.list(u, "ListMPCoSPhase", m.on().with("PhaseGroupId", id), code, all, "AccessPermission", "PhaseId", "Remark",
		"Name")
}

// authorizePhases replaces the phases that a member may write to, and reads both lists.
func (m *model) authorizePhases() {
	u := m.anyUser()
	g, groupID := m.anyPhaseGroup()
	e, memberID := m.anyMember(m.colla)
	var ids []string
	for range m.r.IntN(3) {
		_, id := m.anyPhase(g)
		ids = append(ids, id)
	}
	bad := len(ids) == 2 && ids[0] == ids[1]
	unknown := slices.Contains(ids, "0000000000000001")
	want := first(m.membership(m.colla, u, true), when(bad, "400"), when(g == nil || e == nil || unknown, "404"))
	with := m.on().with("PhaseGroupId", groupID, "MemberId", memberID)
	list := "[]"
	if len(ids) > 0 {
		list = `["` + strings.Join(ids, `","`) + `"]`
	}
	m.call(u, "UpdateMPCoSAuthorizedInfo", with.with("AuthorizedPhaseList", list), want)
	if want == "200" {
		for _, p := range g.phases {
			delete(p.writers, memberID)
			if slices.Contains(ids, p.id) {
				p.writers[memberID] = true
			}
		}
	}
	want = first(m.membership(m.colla, u, true), when(g == nil || e == nil, "404"))
	a := m.call(u, "DescribeMPCoSAuthorizedInfo", with, want)
	if want != "200" {
		return
	}
	for list, on := range map[string]bool{"AuthorizedPhaseList": true, "UnAuthorizedPhaseList": false} {
		var got, model [][]string
		for _, row := range a.data().get(list).items {
			got = append(got, []string{row.str("PhaseName"), row.str("PhaseId")})
		}
		for _, p := range g.phases {
			if p.writers[memberID] == on {
				model = append(model, []string{p.name, p.id})
			}
		}
		m.same(list, got, model)
	}
}

// phaseResources reads the quotas of the collaboration chain and their use.
func (m *model) phaseResources() {
	u := m.anyUser()
	want := first(m.membership(m.colla, u, true))
	a := m.call(u, "DescribeMPCoSResourceInfo", m.on(), want)
	if want != "200" {
		return
	}
	d := a.data()
	got := []string{d.str("PhaseGroupQuota"), d.str("UsedPhaseGroup"), d.str("UsedMember"), d.str("MemberQuota")}
	model := []string{strconv.Itoa(groupQuota), strconv.Itoa(len(m.phaseGroups)), strconv.Itoa(len(m.colla.members) - 1),
		strconv.Itoa(m.colla.memberQuota)}
	for _, row := range d.get("PhaseQuotaInfoList").items {
		got = append(got, row.str("PhaseQuota"), row.str("UsedPhase"), row.str("PhaseGroupId"), row.str("PhaseGroupName"))
	}
	for _, g := range m.phaseGroups {
		model = append(model, strconv.Itoa(phaseQuota), strconv.Itoa(len(g.phases)), g.id, g.name)
	}
	m.same("the resources", got, model)
}

// item is a record of an upload.
type item struct{ key, seq, data, related string }

// json is the record as an element of PhaseDataList, or with single its related data as RelatedDataList.
func (i item) json(related string) string {
	out := fmt.Sprintf(`{"dataKey":%q,"phaseData":%s`, i.key, rawJSON(i.data))
	if i.seq != "" {
		out += fmt.Sprintf(`,"dataSeq":%q`, i.seq)
	}
	if related != "" {
		out += `,"relatedDataList":` + related
	}
	return out + "}"
}

// anyRecord is a list with a reference to a random record of a phase group; "" for none. The code is that of a
// reference to a record that does not exist.
func (m *model) anyRecord(g *phaseGroup) (list, data, code string) {
	if g == nil || len(g.phases) == 0 || m.r.IntN(3) > 0 {
		return "", "", ""
	}
	p := one(m.r, g.phases...)
	for _, key := range []string{"K0", "K1", "K2"} {
		if records := p.keys[key]; len(records) > 0 {
			d := one(m.r, records...)
			list = fmt.Sprintf(`[{"relatedPhaseId":%q,"relatedDataKey":%q,"relatedPhaseData":%s`, p.id, key, rawJSON(d.data))
			if d.name != "" {
				list += fmt.Sprintf(`,"relatedDataSeq":%q`, d.name)
			}
			return list + "}]", d.data, ""
		}
	}
	return fmt.Sprintf(`[{"relatedPhaseId":%q,"relatedDataKey":"none","relatedPhaseData":"x"}]`, p.id), "x", "404"
}

// upload is one of the eight Actions that put records on a phase.
func (m *model) upload() {
	u := m.anyUser()
	g, groupID := m.anyPhaseGroup()
	p, id := m.anyPhase(g)
	batch, digest, signed := m.r.IntN(3) == 0, m.r.IntN(3) == 0, m.r.IntN(4) == 0
	related, relatedData, relatedCode := m.anyRecord(g)
	var items []item
	bad := ""
	for range 1 + m.r.IntN(1+2*map[bool]int{true: 1}[batch]) {
		i := item{key: one(m.r, "K0", "K1", "K2"), seq: one(m.r, "", "1", "2", "3"),
			data: one(m.r, "text", "某公司\n", strings.Repeat("中", 60)), related: relatedData}
		if digest {
			i.data = device.Digest(i.data)
		}
		if i.seq != "" && slices.ContainsFunc(items, func(x item) bool { return x.key == i.key && x.seq == i.seq }) {
			bad = "-219"
		}
		items = append(items, i)
	}
	if bad == "" && m.r.IntN(12) == 0 {
		items[0].data, bad = "", "-103"
	}
	with := m.on().with("PhaseGroupId", groupID, "PhaseId", id)
	payload := items[0].data
	if batch {
		var all []string
		for _, i := range items {
			all = append(all, i.json(related))
		}
		payload = "[" + strings.Join(all, ",") + "]"
		with["PhaseDataList"] = payload
	} else {
		with["DataKey"], with["PhaseData"] = items[0].key, payload
		if items[0].seq != "" {
			with["DataSeq"] = items[0].seq
		}
		if related != "" {
			with["RelatedDataList"] = related
		}
	}
	iotID, vouched := "", ""
	if signed && payload != "" {
		var signature params
		signature, iotID, vouched = m.vouched(m.colla, u, payload)
		with = with.with(signature.pairs()...)
	} else {
		signed = false
	}
	want := m.uploadCode(u, p, items, batch, bad, vouched, relatedCode)
	name := map[bool]string{true: "BatchUpload", false: "Upload"}[batch] + "MPCoSPhase" + map[bool]string{true: "Digest",
		false: "Text"}[digest] + "Info" + map[bool]string{true: "ByDevice"}[signed]
	m.call(u, name, with, want)
	if want != "200" {
		return
	}
	for _, i := range items {
		p.keys[i.key] = append(p.keys[i.key], datum{name: i.seq, data: i.data, related: i.related, iotID: iotID})
		m.colla.charged(u, i.data)
	}
	if signed {
		m.uploaded(m.colla, iotID)
		m.sent = append(m.sent, sent{action: name, with: with, phase: p, code: map[bool]string{true: "-318",
			false: "-317"}[batch]})
	}
}

// uploadCode is the code that the model expects of an upload.
func (m *model) uploadCode(u *user, p *phase, items []item, batch bool, bad, vouched, related string) string {
	if code := m.membership(m.colla, u, false); code != "" {
		return code
	}
	taken := false
	var data []string
	for _, i := range items {
		data = append(data, i.data)
		if p != nil && i.seq != "" {
			taken = taken || slices.ContainsFunc(p.keys[i.key], func(d datum) bool { return d.name == i.seq })
		}
	}
	return first(when(p == nil, "404"), when(p != nil && !m.mayWrite(u, p), "403"), bad, when(vouched == "-111", vouched),
		related, vouched, when(taken && batch, "-318"), when(taken, "-317"), m.colla.charge(data...))
}

// readPhase reads a record, or the history of a data key, the oldest first.
func (m *model) readPhase() {
	u := m.anyUser()
	g, groupID := m.anyPhaseGroup()
	p, id := m.anyPhase(g)
	key := one(m.r, "K0", "K1", "K2")
	with := m.on().with("PhaseGroupId", groupID, "PhaseId", id, "DataKey", key)
	var records []datum
	if p != nil {
		records = p.keys[key]
	}
	code := first(m.membership(m.colla, u, false), when(p == nil, "404"))
	if m.r.IntN(2) == 0 {
		var rows [][]string
		for _, d := range records {
			rows = append(rows, []string{d.data, d.iotID})
		}
		m.list(u, "ListMPCoSPhaseHistory", with.with("StartTime", "0", "EndTime", "9000000000000"), code, rows, "DataValue",
			"IotId")
		return
	}
	var d *datum
	if len(records) > 0 {
		d = &records[len(records)-1]
		if x := one(m.r, records...); x.name != "" && m.r.IntN(2) == 0 {
			with["DataSeq"] = x.name
			d = &x
		}
	}
	if code == "200" && d == nil {
		code = "404"
	}
	a := m.call(u, "DescribeMPCoSPhaseInfo", with, code)
	if code != "200" {
		return
	}
	hash := ""
	if d.related != "" {
		hash = strings.ToLower(device.Digest(d.related))
	}
	got := ""
	for _, row := range a.data().get("RelatedDataList").items {
		got += row.str("RelatedPhaseDataHash")
	}
	m.same("the record", []string{a.data().str("DataValue"), a.data().str("IotId"), a.data().str("DataHash"), got},
		[]string{d.data, d.iotID, strings.ToLower(device.Digest(d.data)), hash})
}
