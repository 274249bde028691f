package facade

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
)

func parsed(t *testing.T, r *http.Request) (*request, *gatewayError) {
	t.Helper()
	m := newMemory(func(*request) string { return "" })
	q := new(request)
	err := q.parse(r, m)
	if err == nil && q.reserved != m.used() {
		t.Errorf("%d bytes are taken, the request reserved %d", m.used(), q.reserved)
	}
	return q, err
}

func TestParameters(t *testing.T) {
	form := func(query, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	ok := map[string]string{"A": "1 2", "B": "", "C": "*()!'~", "D": "某公司", "E": "a=b", "F": "+", "G": ""}
	for _, c := range [][2]string{
		{"A=1+2&B=&C=*()!'~&D=%E6%9F%90公司&E=a=b&F=%2B&G", ""},
		{"A=1%202&B=&&C=%2a%28)!%27%7E", "D=%e6%9f%90%E5%85%AC%E5%8F%B8&E=a%3Db&F=%2b&G="},
		{"", "G=&F=%2B&E=a=b&D=某公司&C=*()!'~&B=&A=1+2&"},
	} {
		q, err := parsed(t, form(url.QueryEscape("")+c[0], c[1]))
		if err != nil {
			t.Errorf("%v: %v", c, err)
			continue
		}
		for name, want := range ok {
			if got, found := q.get(name); !found || got != want {
				t.Errorf("%v: %s is %q %v, want %q", c, name, got, found, want)
			}
		}
		if _, found := q.get("H"); found || len(q.params) != len(ok) {
			t.Errorf("%v: %v", c, q.params)
		}
	}
	for _, c := range [][2]string{
		{"A=1&A=1", ""}, {"A=1", "A=2"}, {"", "A=&A="}, {"A=%", ""}, {"A=%4", ""}, {"A=%4g", ""}, {"%zz=1", ""}, {"",
			"A=%G1"}, {"A=%FF", ""},
		{"", "A=\xff"}, {"%C3=1", ""}, {"A=%ED%A0%80", ""}, {"A=%C0%80", ""}, {"=1", ""},
	} {
		if _, err := parsed(t, form(c[0], c[1])); err == nil || err.status != 400 || err.code != codeParameter {
			t.Errorf("%v: %v", c, err)
		}
	}
}

func TestBodyFraming(t *testing.T) {
	f := newTestFacade(t)
	for _, framing := range []string{"length", "chunked", "slow", "no type", "GET"} {
		v := f.params("member", "GetData", read(keyOf("0X58", "1"), chainA)...)
		method := http.MethodPost
		if framing == "GET" {
			method = http.MethodGet
		}
		v.Set("Signature", signRPC(method, "member-secret", v))
		var body io.Reader = strings.NewReader(v.Encode())
		if framing == "slow" {
			body = iotest.OneByteReader(body)
		}
		r := httptest.NewRequest(method, "/", body)
		if framing != "no type" {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		if framing != "length" {
			r.ContentLength = -1
		}
		wants(t, framing, f.do(t, r), 200, "404")
	}
	r := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(io.ErrUnexpectedEOF))
	wants(t, "cut off", f.do(t, r), 400, "InvalidParameter")
	r = httptest.NewRequest(http.MethodPost, "/?A=1", strings.NewReader(`{"A":1}`))
	r.Header.Set("Content-Type", "application/json")
	wants(t, "a body that is no form", f.do(t, r), 400, "MissingAccessKeyId")
	if n := f.memory.used(); n != 0 {
		t.Errorf("%d bytes of bodies are still accounted for", n)
	}
}

// TestAnnouncedBodies: a Content-Length without bytes does not count against maxBodyMemory. Otherwise a few
// connections that send nothing would block the batches of all other callers.
func TestAnnouncedBodies(t *testing.T) {
	f := newTestFacade(t)
	var q request
	sent := 0
	r := httptest.NewRequest(http.MethodPost, "/", readerFunc(func(b []byte) (int, error) {
		if held := f.memory.used(); held > int64(2*sent) {
			t.Fatalf("%d bytes are held after %d came", held, sent)
		}
		if sent >= maxBody {
			return 0, io.EOF
		}
		n := min(len(b), 1000, maxBody-sent)
		for i := range n {
			b[i] = 'a'
		}
		sent += n
		return n, nil
	}))
	r.ContentLength = maxBody
	if err := q.parse(r, f.memory); err != nil || len(q.body) != maxBody {
		t.Errorf("%d bytes, %v", len(q.body), err)
	}
	q.release()
	if n := f.memory.used(); n != 0 {
		t.Errorf("%d bytes of bodies are still accounted for", n)
	}
}

// readerFunc is a reader that is a function.
type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestBounds(t *testing.T) {
	f := newTestFacade(t)
	signed := func(pairs ...string) url.Values {
		v := f.params("member", "GetData", append(read(keyOf("0X58", "1"), chainA), pairs...)...)
		v.Set("Signature", signRPC(http.MethodPost, "member-secret", v))
		return v
	}
	post := func(v url.Values) reply {
		return f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(v.Encode())))
	}
	over := strings.Repeat("p", maxBody+1)
	wants(t, "largest body", f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(over[1:]))), 400,
		"MissingAccessKeyId")
	wants(t, "body too large", f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(over))), 413,
		"RequestBodyTooLarge")
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(over))
	r.ContentLength = -1
	wants(t, "chunked body too large", f.do(t, r), 413, "RequestBodyTooLarge")
	r = httptest.NewRequest(http.MethodGet, "/", nil)
	r.URL.RawQuery = strings.Repeat("a", maxQuery)
	wants(t, "longest query", f.do(t, r), 400, "MissingAccessKeyId")
	r.URL.RawQuery += "a"
	wants(t, "query too long", f.do(t, r), 414, "RequestURITooLong")
	var many strings.Builder
	for i := range maxParams {
		fmt.Fprintf(&many, "%d=&", i)
	}
	wants(t, "most parameters", f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(many.String()))), 400,
		"MissingAccessKeyId")
	wants(t, "too many parameters",
		f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(many.String()+"x="))), 400, "InvalidParameter")
	const here = "192.0.2.1" // httptest's address
	f.memory.anonymous.Take(here, "", maxBodyMemory/4)
	wants(t, "no memory for bodies",
		f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(over[:maxBody/2]))), 400, "Throttling")
	wants(t, "small bodies pass", post(signed()), 200, "404")
	f.memory.anonymous.Give(here, "", maxBodyMemory/4)
	f.active.Store(maxActive)
	wants(t, "too many calls", post(signed()), 400, "Throttling")
	f.active.Store(0)
	if n := f.memory.used(); n != 0 {
		t.Errorf("%d bytes of bodies are still accounted for", n)
	}
}

// TestEarlyErrorsFollowTheFormat: a request that is refused before it is parsed to its end gets its error in the
// format of Format.
func TestEarlyErrorsFollowTheFormat(t *testing.T) {
	f := newTestFacade(t)
	form := func(query, body string) *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/?"+query, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}
	for name, c := range map[string]struct {
		r   *http.Request
		xml bool
	}{
		"method":             {httptest.NewRequest(http.MethodPut, "/?Format=XML", nil), true},
		"path":               {httptest.NewRequest(http.MethodGet, "/api?A=1&Format=xml", nil), true},
		"encoding":           {form("A=%zz&Format=XML", ""), true},
		"repeated, in body":  {form("", "Format=XML&A=1&A=2"), true},
		"long URL":           {form("Format=XML&A="+strings.Repeat("a", maxQuery), ""), true},
		"JSON":               {form("A=%zz&Format=JSON", ""), false},
		"none":               {form("A=%zz", ""), false},
		"none that is known": {form("A=%zz&Format=XMLX", ""), false},
	} {
		r := f.do(t, c.r)
		want := "application/json;charset=utf-8"
		if c.xml {
			want = "text/xml;charset=utf-8"
		}
		if r.header.Get("Content-Type") != want || strings.HasPrefix(r.body, "<?xml") != c.xml || r.status < 400 {
			t.Errorf("%s: %v %s", name, r.header, r.body)
		}
	}
	f.active.Store(maxActive)
	if r := f.do(t, form("Format=XML", "")); !strings.Contains(r.body, "<Code>Throttling</Code>") {
		t.Errorf("throttled: %s", r.body)
	}
	f.active.Store(0)
}

func TestMethodsAndPaths(t *testing.T) {
	f := newTestFacade(t)
	for _, method := range []string{"HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get"} {
		wants(t, method, f.do(t, httptest.NewRequest(method, "/", nil)), 400, "UnsupportedHTTPMethod")
	}
	for _, path := range []string{"/index.html", "//", "/?/", "/api"} {
		want := "InvalidAction.NotFound"
		if path == "/?/" {
			want = "MissingAccessKeyId"
		}
		if r := f.do(t, httptest.NewRequest("GET", path, nil)); r.code() != want {
			t.Errorf("%s: %s", path, r.body)
		}
	}
}
