package conformance

import (
	"slices"
	"strconv"
	"strings"
)

// proofKeys is the number of Keys that each account uses.
const proofKeys = 6

// anyKey is a Key: mostly one of the caller, sometimes one of another account, sometimes one with an unused type
// code.
func (m *model) anyKey(u *user) (key string, owner *entry) {
	owner = m.proof.entry(u)
	if owner == nil || m.r.IntN(6) == 0 {
		owner = one(m.r, m.proof.members...)
	}
	typeCode := owner.typeCode
	if m.r.IntN(20) == 0 {
		typeCode, owner = "ZZZZ", nil
	}
	return "0001_" + m.proof.code + "_" + typeCode + "_" + strconv.Itoa(m.r.IntN(proofKeys)), owner
}

// find is a Key that has records; nil if it has none.
func (m *model) find(key string) *proofKey {
	for _, k := range m.keys {
		if k.key == key {
			return k
		}
	}
	return nil
}

// write is one of the four Actions that put a value on the proof chain.
func (m *model) write() {
	u := m.anyUser()
	key, owner := m.anyKey(u)
	attach, signed := m.r.IntN(3) > 0, m.r.IntN(3) == 0
	value := one(m.r, "v", "某公司", strings.Repeat("x", 256), strings.Repeat("y", 40))
	bad := ""
	if owner == m.proof.entry(u) && m.r.IntN(8) == 0 && !signed { // one fault at a time
		value, bad = strings.Repeat("中", 86), "-220"
	}
	with := params{"ProductKey": m.proof.code, "Key": key, "Value": value}
	name := ""
	if attach && m.r.IntN(2) == 0 {
		name = strings.Repeat("ab", 31) + "0" + strconv.Itoa(m.r.IntN(5))
		with["BusinessId"] = name
	}
	action := map[bool]string{true: "AttachData", false: "SetData"}[attach]
	iotID, vouched := "", ""
	if signed {
		var signature params
		signature, iotID, vouched = m.vouched(m.proof, u, value)
		action, with = action+"WithSignature", with.with(signature.pairs()...)
	}
	k := m.find(key)
	taken := k != nil && (!attach || k.single || name != "" && slices.ContainsFunc(k.records,
		func(d datum) bool { return d.name == name }))
	own := owner != nil && owner.user == u
	repeated := own && !signed && bad == "" && taken && (attach && !k.single || !attach && k.single)
	want := first(m.outside(m.proof, u), when(repeated, "-317"), m.membership(m.proof, u, false), when(!own, "-305"), bad,
		vouched, when(taken, "-317"), m.proof.charge(value))
	m.call(u, action, with, want)
	if want != "200" {
		return
	}
	if k == nil {
		k = &proofKey{key: key, owner: owner, single: !attach}
		m.keys = append(m.keys, k)
	}
	k.records = append(k.records, datum{name: name, data: value, iotID: iotID})
	m.proof.charged(u, value)
	if signed {
		m.uploaded(m.proof, iotID)
		m.sent = append(m.sent, sent{action: action, with: with, owner: owner, code: "-317"})
	}
}

// repeat repeats an upload that a device signed. The answer to its owner is that the record is there, whatever was
// locked, withdrawn or used up since.
func (m *model) repeat() {
	if len(m.sent) == 0 {
		return
	}
	s, u := one(m.r, m.sent...), m.anyUser()
	if s.owner != nil && m.r.IntN(2) == 0 {
		u = s.owner.user
	}
	if s.owner != nil {
		m.call(u, s.action, s.with, first(m.outside(m.proof, u), when(s.owner.user == u, s.code),
			m.membership(m.proof, u, false), "-305"))
		return
	}
	want := m.outside(m.colla, u)
	if want == "" {
		want = first(when(!m.mayWrite(u, s.phase) || m.colla.groups[0].owner != u, "403"), s.code)
	}
	m.call(u, s.action, s.with, want)
}

// mayRead is the code with which reading a Key is refused.
func (m *model) mayRead(u *user, owner *entry) string {
	return first(m.membership(m.proof, u, false), when(owner == nil, "-305"),
		when(u != m.admin && owner != nil && owner.user != u, "403"))
}

// read is GetData or GetBlockChainInfo.
func (m *model) read() {
	u := m.anyUser()
	key, owner := m.anyKey(u)
	with, code := params{"ProductKey": m.proof.code, "Key": key}, m.mayRead(u, owner)
	k := m.find(key)
	var record *datum
	if k != nil {
		record = &k.records[len(k.records)-1]
		if name := one(m.r, k.records...).name; name != "" && m.r.IntN(2) == 0 {
			with["BusinessId"] = name
			record = &k.records[slices.IndexFunc(k.records, func(d datum) bool { return d.name == name })]
		}
	}
	if code == "200" && record == nil {
		code = "404"
	}
	if m.r.IntN(3) == 0 {
		a := m.call(u, "GetBlockChainInfo", with, code)
		if code == "200" && !strings.Contains(a.text(), `"iotId":"`+record.iotID+`"`) {
			m.same("the block information", a.text(), record.iotID)
		}
		return
	}
	if a := m.call(u, "GetData", with, code); code == "200" {
		m.same("the value", a.text(), record.data)
	}
}

// history counts and lists the records of a Key, the newest first.
func (m *model) history() {
	u := m.anyUser()
	key, owner := m.anyKey(u)
	code := m.mayRead(u, owner)
	var rows [][]string
	if k := m.find(key); k != nil {
		for i, d := range slices.Backward(k.records) {
			rows = append(rows, []string{strconv.Itoa(len(k.records)), d.data, strconv.Itoa(len(k.records) - i), owner.typeCode})
		}
	}
	with := params{"ProductKey": m.proof.code, "Key": key}
	if a := m.call(u, "GetHistoryDataCount", with, code); code == "200" {
		m.same("the count", a.text(), strconv.Itoa(len(rows)))
	}
	size, num := 1+m.r.IntN(5), 1+m.r.IntN(3)
	a := m.call(u, "GetHistoryDataList", with.with("CurrentPage", strconv.Itoa(num), "PageSize", strconv.Itoa(size)), code)
	if code != "200" {
		return
	}
	var got [][]string
	for _, row := range a.data().get("Data").items {
		got = append(got, []string{row.str("totalCount"), row.str("value"), row.str("seq"), row.str("code")})
	}
	from := min((num-1)*size, len(rows))
	m.same("the history", got, append([][]string(nil), rows[from:min(from+size, len(rows))]...))
}
