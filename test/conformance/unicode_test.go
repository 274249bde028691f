package conformance

import (
	"strings"
	"testing"
	"unicode/utf8"

	"ltl/client/device"
)

// planes has characters of every plane of Unicode, the neighbours of the surrogates, and characters that JSON, XML
// and JavaScript treat specially.
func planes() string {
	var b strings.Builder
	for plane := range 17 {
		for _, offset := range []int{0x41, 0x1234, 0xFFFD} {
			b.WriteRune(rune(plane<<16 + offset))
		}
	}
	return b.String() + "\uD7FF\uE000\u2028\u2029\uFEFF"
}

// control has all control characters.
func control() string {
	var b strings.Builder
	for c := range rune(0xA0) {
		if c < 0x20 || c >= 0x7F {
			b.WriteRune(c)
		}
	}
	return b.String()
}

// texts are the texts that must come back byte for byte.
func texts() map[string]string {
	return map[string]string{
		"every plane":        planes()[:min(len(planes()), 252)],
		"control characters": control(),
		"markup":             `<&>'"]]>&amp;&#0;<!-- --><a b="c">\u0041\n\\ %41 + %2B`,
		"blanks":             "  a \t b \r\n c \n\n ",
		"not characters":     "\uFFFE\uFFFF\uFFFD",
	}
}

// inXML is a text after XML: XML 1.0 does not allow some characters.
func inXML(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, s)
}

// testUnicode: every uploaded text comes back unchanged, in every response that has it.
func (w *world) testUnicode(t *testing.T) {
	for what, s := range texts() {
		if len(s) > 256 || !utf8.ValidString(s) {
			t.Fatalf("%s has %d bytes", what, len(s))
		}
		key := w.call(w.action("AttachData"), w.member, params{"Value": s})
		w.must(t, w.member, "AttachData", key)
		read := key.without("Value")
		w.comesBack(t, what, "GetData", read, s, func(n *node) string { return n.text }, "Data")
		list := read.without("BusinessId").with("CurrentPage", "1", "PageSize", "1")
		rows := w.must(t, w.member, "GetHistoryDataList", list)
		if got := rows.data().get("Data").items[0].str("value"); got != s {
			t.Errorf("%s: GetHistoryDataList gives %q, want %q", what, got, s)
		}
		if !strings.Contains(string(rows.body), rawJSON(s)) {
			t.Errorf("%s is not raw UTF-8 in %s", what, rows)
		}
	}
	for what, s := range map[string]string{
		"every plane": planes(), "control characters": control(), "4 KiB of Chinese": strings.Repeat("链",
			2048), "markup": texts()["markup"],
	} {
		a := w.action("UploadMPCoSPhaseTextInfoByDevice")
		p := w.call(a, w.member, params{"PhaseData": s, "DataKey": w.fresh("Text")})
		w.must(t, w.member, a.Name, p)
		w.comesBack(t, what, "DescribeMPCoSPhaseInfo", w.call(w.action("DescribeMPCoSPhaseInfo"), w.member,
			params{"DataKey": p["DataKey"], "DataSeq": p["DataSeq"]}), s,
			func(n *node) string { return n.str("DataValue") }, "DataValue")
		// The ledger's own JSON parser reads the list that a device signs.
		batch, key := w.action("BatchUploadMPCoSPhaseTextInfoByDevice"), w.fresh("Text")
		w.must(t, w.member, batch.Name,
			w.call(batch, w.member, params{"PhaseDataList": `[{"dataKey":"` + key + `","phaseData":` + rawJSON(s) + `}]`}))
		got := w.must(t, w.member, "DescribeMPCoSPhaseInfo", w.call(w.action("DescribeMPCoSPhaseInfo"), w.member,
			params{"DataKey": key, "DataSeq": ""})).data()
		if got.str("DataValue") != s || got.str("DataHash") != strings.ToLower(device.Digest(s)) {
			t.Errorf("%s: the batch gives %q, want %q", what, got.str("DataValue"), s)
		}
	}
	group := w.must(t, w.admin, "CreateMPCoSPhaseGroup",
		params{"BizChainId": w.collaboration.id, "Name": "unicode"}).text()
	for what, remark := range map[string]string{"every plane": planes(), "control characters": control(),
		"markup": `<&>'"]]>`} {
		w.must(t, w.admin, "ModifyMPCoSPhaseGroup", params{"BizChainId": w.collaboration.id, "PhaseGroupId": group,
			"Name": "unicode", "Remark": remark})
		rows := w.must(t, w.admin, "ListMPCoSPhaseGroup", params{"BizChainId": w.collaboration.id, "Name": "unicode",
			"Num": "1", "Size": "1"}).rows()
		if len(rows) != 1 || rows[0].str("PhaseGroupId") != group || rows[0].str("Remark") != remark {
			t.Errorf("%s: the remark is %q, want %q", what, rows[0].str("Remark"), remark)
		}
	}
	for _, bad := range []string{"\xff", "\xed\xa0\x80", "a\xc0\x80"} {
		w.wants(t, w.member, "SetData", "what is not UTF-8", w.call(w.action("SetData"), w.member, params{"Value": bad}),
			"InvalidParameter")
	}
}

// rawJSON is a JSON string with only the escapes that JSON requires.
func rawJSON(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		short := strings.IndexRune("\b\t\n\f\r\"\\", r)
		switch {
		case short >= 0:
			b.WriteString(`\` + string(`btnfr"\`[short]))
		case r < 0x20:
			b.WriteString(`\u00` + string("0123456789abcdef"[r>>4]) + string("0123456789abcdef"[r&15]))
		default:
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// comesBack reads a text in JSON and in XML.
func (w *world) comesBack(t *testing.T, what, action string, p params, want string, of func(*node) string, name string) {
	t.Helper()
	if got := of(w.must(t, w.member, action, p).data()); got != want {
		t.Errorf("%s: %s gives %q, want %q", what, action, got, want)
	}
	_, body := w.send(t, w.member, p.with("Action", action, "Format", "XML"))
	root, err := parseXML(body)
	if err != nil {
		t.Errorf("%s: %s: %v", what, action, err)
		return
	}
	var find func(*element) *element
	find = func(e *element) *element {
		for _, c := range e.children {
			if c.name == name && len(c.children) == 0 {
				return c
			}
			if found := find(c); found != nil {
				return found
			}
		}
		return nil
	}
	if got := find(root); got == nil || got.text != inXML(want) {
		t.Errorf("%s: %s in XML gives %q, want %q", what, action, got.text, inXML(want))
	}
}
