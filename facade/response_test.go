package facade

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"ltl/internal/rules"
)

// sample is a response with a fixed RequestId.
func sample(xml bool, v value) *response {
	a := &response{action: "ListProofChain", xml: xml, host: "ltl.example:80", data: v}
	copy(a.requestID[:], "D5C69894-9709-4653-B3D8-25234034C2FC")
	return a
}

func TestEnvelopes(t *testing.T) {
	list := object(field{"PageData",
		array([]value{object(textField("Name", "某业务链")), object(textField("Name", "<&>\"'\u2028"))})}, intField("Total", 10))
	rows := object(field{"Data", table([]value{object(textField("value", "a\"<"), textField("seq", "1"))})})
	refused := func(a *response) *response { a.refusal = refuse(rules.InFlight); return a }
	failed := func(a *response) *response { a.gateway = invalid("Version"); return a }
	const id = "D5C69894-9709-4653-B3D8-25234034C2FC"
	for _, c := range []struct {
		name string
		a    *response
		want string
	}{
		{"string", sample(false, text("某公司 </script>\u2028\u2029")), `{"Message":"","RequestId":"` + id +
			`","Data":"某公司 </script>` + "\u2028\u2029" + `","Code":200,"Success":true}`},
		{"controls", sample(false, text("\x00\x1f\b\f\n\r\t\"\\\x7f")), `{"Message":"","RequestId":"` + id +
			`","Data":"\u0000\u001f\b\f\n\r\t\"\\` + "\x7f" + `","Code":200,"Success":true}`},
		{"list", sample(false, list), `{"Message":"","RequestId":"` + id +
			`","Data":{"PageData":[{"Name":"某业务链"},{"Name":"<&>\"'` + "\u2028" + `"}],"Total":10},"Code":200,"Success":true}`},
		{"no rows", sample(false, object(field{"PageData", array(nil)})), `{"Message":"","RequestId":"` + id +
			`","Data":{"PageData":[]},"Code":200,"Success":true}`},
		{"table", sample(false, rows), `{"Message":"","RequestId":"` + id +
			`","Data":{"Data":[{"value":"a\"<","seq":"1"}]},"Code":200,"Success":true}`},
		{"refusal", refused(sample(false, value{})), `{"Message":"` + rules.Message(rules.InFlight) + `","RequestId":"` + id +
			`","Code":-320,"Success":false}`},
		{"refusal, string", refused(sample(false, text(""))), `{"Message":"` + rules.Message(rules.InFlight) +
			`","RequestId":"` + id + `","Data":"","Code":-320,"Success":false}`},
		{"gateway", failed(sample(false, value{})),
			`{"RequestId":"` + id + `","HostId":"ltl.example:80","Code":"InvalidVersion","Message":"Specified parameter Version is not valid.","Recommend":"Compare the parameter with the API document."}`},
		{"string, XML", sample(true, text("")), xmlDeclaration + `<ListProofChainResponse><Message></Message><RequestId>` +
			id + `</RequestId><Data></Data><Code>200</Code><Success>true</Success></ListProofChainResponse>`},
		{"forbidden characters, XML", sample(true, text("\x00\x1f\r\n\t\uFFFE<&>]]>")),
			xmlDeclaration + `<ListProofChainResponse><Message></Message><RequestId>` + id + `</RequestId><Data>` +
				"\uFFFD\uFFFD&#xD;\n\t\uFFFD" +
				`&lt;&amp;&gt;]]&gt;</Data><Code>200</Code><Success>true</Success></ListProofChainResponse>`},
		{"list, XML", sample(true, list), xmlDeclaration + `<ListProofChainResponse><Message></Message><RequestId>` + id +
			`</RequestId><Data><PageData><Name>某业务链</Name></PageData><PageData><Name>&lt;&amp;&gt;"'` + "\u2028" +
			`</Name></PageData><Total>10</Total></Data><Code>200</Code><Success>true</Success></ListProofChainResponse>`},
		{"table, XML", sample(true, rows), xmlDeclaration + `<ListProofChainResponse><Message></Message><RequestId>` + id +
			`</RequestId><Data><Data>[{"value":"a\"&lt;","seq":"1"}]</Data></Data><Code>200</Code><Success>true</Success></ListProofChainResponse>`},
		{"refusal, XML", refused(sample(true, value{})), xmlDeclaration + `<ListProofChainResponse><Message>` +
			rules.Message(rules.InFlight) + `</Message><RequestId>` + id +
			`</RequestId><Code>-320</Code><Success>false</Success></ListProofChainResponse>`},
		{"gateway, XML", failed(sample(true, value{})), xmlDeclaration + `<Error><RequestId>` + id +
			`</RequestId><HostId>ltl.example:80</HostId><Code>InvalidVersion</Code><Message>Specified parameter Version is not valid.</Message><Recommend>Compare the parameter with the API document.</Recommend></Error>`},
	} {
		if got := string(c.a.appendBody(nil)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestAnswersOverHTTP(t *testing.T) {
	f := newTestFacade(t)
	uuid := regexp.MustCompile(`^[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}$`)
	seen := map[string]bool{}
	for range 100 {
		r := f.act(t, "member", "SetData", data(keyOf("0X58", "1"), chainA, "")...)
		id, _ := r.json["RequestId"].(string)
		if !uuid.MatchString(id) || seen[id] {
			t.Fatalf("RequestId %q", id)
		}
		seen[id] = true
		if r.header.Get("Content-Type") != "application/json;charset=utf-8" || !strings.Contains(r.body, `"Data":"",`) {
			t.Fatalf("%v %s", r.header, r.body)
		}
	}
	// A refusal leaves out a structure, in both formats, and errors have the format of Format.
	if r := f.act(t, "member", "ListProofChain", "Num", "0", "Size", "1"); strings.Contains(r.body, "Data") {
		t.Error(r.body)
	}
	r := f.act(t, "member", "ListProofChain", "Num", "0", "Size", "1", "Format", "xml")
	if r.header.Get("Content-Type") != "text/xml;charset=utf-8" || strings.Contains(r.body, "Data") ||
		!strings.Contains(r.body, "<Code>400</Code>") {
		t.Error(r.body)
	}
	r = f.act(t, "member", "Nothing", "Format", "XML")
	if r.status != 404 || r.header.Get("Content-Type") != "text/xml;charset=utf-8" ||
		!strings.Contains(r.body, "<Error>") {
		t.Error(r.body)
	}
	r = f.act(t, "member", "SetData", "Format", "text")
	if r.header.Get("Content-Type") != "application/json;charset=utf-8" || r.code() != "InvalidParameter.Format" {
		t.Error(r.body)
	}
}

// TestValuesComeBackUnchanged writes every kind of text and reads it in both formats.
func TestValuesComeBackUnchanged(t *testing.T) {
	f := newTestFacade(t)
	for i, v := range []string{"某公司某业务数据。", "\x00\x01\x1f\x7f", "\u2028\u2029\u0085\ufeff", "𝄞👩‍👩‍👧‍👦", "\"\\/<>&'`",
		" a  b\t\r\n", "\\u4e00", "+%20%2B", "]]>", "\uFFFD\uFFFE\uFFFF"} {
		k := keyOf("0X58", strings.Repeat("i", i+1))
		if r := f.act(t, "member", "SetData", data(k, chainA, v)...); r.code() != "200" {
			t.Fatalf("%q: %s", v, r.body)
		}
		if r := f.act(t, "member", "GetData", read(k, chainA)...); r.json["Data"] != v {
			t.Errorf("%q comes back as %q", v, r.json["Data"])
		}
		r := f.act(t, "member", "GetData", read(k, chainA, "Format", "XML")...)
		var out struct{ Data string }
		if err := xml.Unmarshal([]byte(r.body), &out); err != nil || out.Data != xmlCarries(v) {
			t.Errorf("%q comes back in XML as %q: %v", v, out.Data, err)
		}
	}
}

// xmlCarries replaces the characters that XML 1.0 does not allow; see section 2.2 of its definition.
func xmlCarries(s string) string {
	return strings.Map(func(r rune) rune {
		if r == 9 || r == 10 || r == 13 || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 {
			return r
		}
		return utf8.RuneError
	}, s)
}

// FuzzEnvelope: with any texts, the response is valid JSON and XML that decodes to the same texts.
func FuzzEnvelope(f *testing.F) {
	for _, s := range []string{"", "某公司", "\x00\u2028\"\\<&>\r", "\xff\xfe", "a\xed\xa0\x80b", "\uFFFE"} {
		f.Add(s, "m"+s, int64(-320))
	}
	f.Fuzz(func(t *testing.T, s, message string, n int64) {
		v := object(textField("A", s), field{"N", integer(n)}, field{"R", table([]value{text(s), object(textField("x", s))})},
			field{"L", array([]value{text(s)})})
		a := sample(false, v)
		a.refusal = newRefusal(-320, message)
		b := a.appendBody(nil)
		var out struct {
			Message string
			Data    struct {
				A string
				N int64
				L []string
				R []any
			}
		}
		if err := json.Unmarshal(b, &out); err != nil || !utf8.Valid(b) {
			t.Fatalf("%v: %q", err, b)
		}
		want := string([]rune(s)) // one U+FFFD for each byte that is not UTF-8
		if out.Data.A != want || out.Data.N != n || len(out.Data.L) != 1 || out.Data.L[0] != want || out.Data.R[0] != want ||
			out.Message != string([]rune(message)) {
			t.Fatalf("%q became %+v", s, out)
		}
		if strings.Contains(string(b), `\u`) && !strings.ContainsFunc(s+message,
			func(r rune) bool { return r < ' ' || r == '\\' }) {
			t.Fatalf("escaped without need: %q", b)
		}
		a.xml = true
		var doc struct {
			Message string
			Data    struct{ A, R string }
		}
		b = a.appendBody(nil)
		if err := xml.Unmarshal(b, &doc); err != nil {
			t.Fatalf("%v: %q", err, b)
		}
		if doc.Data.A != xmlCarries(want) || doc.Message != xmlCarries(string([]rune(message))) {
			t.Fatalf("%q became %+v", s, doc)
		}
		a = sample(false, value{})
		a.host, a.gateway = s, badParameter(message)
		var g map[string]string
		if err := json.Unmarshal(a.appendBody(nil), &g); err != nil || g["HostId"] != want || len(g) != 5 {
			t.Fatalf("%v: %v", err, g)
		}
	})
}

// FuzzRequest: every request gets a documented response from the parser, the authentication or an Action, and no
// request is authenticated without the secret.
func FuzzRequest(f *testing.F) {
	for _, v := range recordedRequests(f) {
		if len(v.target)+len(v.body) < 2000 {
			f.Add(v.method, v.target, v.body, v.header.Get("Content-Type"), v.header.Get("Authorization"),
				v.header.Get(headerNonce))
		}
	}
	f.Add("GET", "Format=xml&Action=%", []byte("a=b&a=c"), "", "ACS3-HMAC-SHA256 Credential=,", "")
	recordings := recordedRequests(f)
	f.Fuzz(func(t *testing.T, method, query string, body []byte, contentType, authorization, nonce string) {
		tf := newTestFacade(t)
		r := httptest.NewRequest("GET", "/", strings.NewReader(string(body)))
		r.Method, r.URL.RawQuery, r.Host = method, query, "127.0.0.1:18931"
		for k, v := range map[string]string{"Content-Type": contentType, "Authorization": authorization, headerNonce: nonce,
			headerDate:   "2026-11-23T07:57:45Z",
			headerAction: "SetData", headerVersion: version} {
			r.Header.Set(k, v)
		}
		w := httptest.NewRecorder()
		tf.ServeHTTP(w, r)
		out, err := io.ReadAll(w.Body)
		if err != nil || w.Code == 500 || len(out) == 0 {
			t.Fatalf("%d %s", w.Code, out)
		}
		if n := tf.memory.used() + tf.active.Load(); n != 0 {
			t.Fatalf("%d pending writes remain", n)
		}
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/xml") {
			if err := xml.Unmarshal(out, new(struct{ Code string })); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		} else if !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
		if w.Code != 200 {
			return
		}
		for _, v := range recordings { // only a request that the owner of the key signed may pass
			if v.target == query || len(v.body) > 0 && string(v.body) == string(body) {
				return
			}
		}
		// Other encodings of the same parameters are the same request. Then its signature must be a recorded one.
		for _, v := range recordings {
			for part := range strings.SplitSeq(v.target+"&"+string(v.body)+"&"+v.header.Get("Authorization"), "Signature=") {
				if len(part) > 20 && strings.Contains(query+string(body)+authorization, part[:20]) {
					return
				}
			}
		}
		t.Fatalf("authenticated without the secret: %s %s %q", method, query, body)
	})
}
