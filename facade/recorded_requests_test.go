package facade

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorded is a request of a real client.
type recorded struct {
	name   string
	method string
	target string
	host   string
	header http.Header
	body   []byte
	chunk  bool
}

// recordedRequests reads the recordings in testdata/vectors. All were signed with AccessKey testid, secret testsecret.
func recordedRequests(t testing.TB) []recorded {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) != 3 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	var out []recorded
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, raw := range bytes.Split(b, []byte("=====REQUEST=====\n"))[1:] {
			r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
			if err != nil {
				t.Fatalf("%s %d: %v", file, i, err)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Fatalf("%s %d: body: %v", file, i, err)
			}
			out = append(out, recorded{name: filepath.Base(file) + "#" + string(rune('0'+i)), method: r.Method,
				target: r.URL.RawQuery,
				host:   r.Host, header: r.Header, body: body, chunk: len(r.TransferEncoding) > 0})
		}
	}
	if len(out) != 22 {
		t.Fatalf("%d recordings, want 22", len(out))
	}
	return out
}

// request makes an http.Request of the recording.
func (v recorded) request() *http.Request {
	r := httptest.NewRequest(v.method, "/", nil)
	r.URL.RawQuery, r.Host, r.Header = v.target, v.host, v.header.Clone()
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(v.body)), int64(len(v.body))
	if v.chunk {
		r.ContentLength = -1
	}
	return r
}

// verify runs only the parser, authentication and routing.
func (f *testFacade) verify(r *http.Request) (*request, error) {
	s := new(scratch)
	if err := s.request.parse(r, f.memory); err != nil {
		return nil, err
	}
	f.nonces = newNonces()
	caller, err := f.authenticate(context.Background(), &s.request, s)
	if err != nil {
		return nil, err
	}
	_, err = f.route(&s.request, caller, s)
	return &s.request, err
}

func TestRecordedRequestsVerify(t *testing.T) {
	f := newTestFacade(t)
	acs3 := 0
	for _, v := range recordedRequests(t) {
		q, err := f.verify(v.request())
		if err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		if v.header.Get("Authorization") != "" {
			acs3++
		}
		if value, ok := q.get("Value"); ok && !strings.Contains(value, "某公司") && !strings.Contains(value, "区块链") &&
			!strings.Contains(value, "x") {
			t.Errorf("%s: Value decoded to %.40q", v.name, value)
		}
	}
	if acs3 != 3 {
		t.Errorf("%d recordings with ACS3, want 3", acs3)
	}
}

// mutant changes a byte so that the text differs after decoding, in every encoding.
func mutant(c byte) byte {
	switch {
	case c == '9':
		return '1'
	case '0' <= c && c < '9':
		return c + 1
	case c == 'F' || c == 'f':
		return c - 1
	case 'A' <= c && c < 'F' || 'a' <= c && c < 'f':
		return c + 1
	case c == 'x':
		return 'y'
	}
	return 'x'
}

// positions are all offsets of a short text, and a sample of those of a long one.
func positions(n int) []int {
	step := 1
	if n > 1000 {
		step = 41
	}
	var out []int
	for i := 0; i < n; i += step {
		out = append(out, i)
	}
	return out
}

func TestEveryChangeOfASignedByteIsNoticed(t *testing.T) {
	f := newTestFacade(t)
	tried := 0
	refuse := func(v recorded, what string, at int, r *http.Request) {
		t.Helper()
		tried++
		var g *gatewayError
		if _, err := f.verify(r); !errors.As(err, &g) || g.code == codeActionNotFound {
			t.Fatalf("%s: byte %d of the %s was changed, and the answer is %v", v.name, at, what, err)
		}
	}
	for _, v := range recordedRequests(t) {
		for _, i := range positions(len(v.target)) {
			b := []byte(v.target)
			b[i] = mutant(b[i])
			r := v.request()
			r.URL.RawQuery = string(b)
			refuse(v, "query", i, r)
		}
		for _, i := range positions(len(v.body)) {
			b := bytes.Clone(v.body)
			b[i] = mutant(b[i])
			r := v.request()
			r.Body = io.NopCloser(bytes.NewReader(b))
			refuse(v, "body", i, r)
		}
		for _, method := range []string{"GET", "POST"} {
			if method != v.method {
				r := v.request()
				r.Method = method
				refuse(v, "method", 0, r)
			}
		}
		auth := v.header.Get("Authorization")
		if auth == "" {
			continue
		}
		parsed, gerr := parseAuthorization(auth)
		if gerr != nil {
			t.Fatal(gerr)
		}
		for _, name := range append([]string{"authorization"}, parsed.headers...) {
			value := v.header.Get(name)
			if name == "host" {
				value = v.host
			}
			for i := range value {
				b := []byte(value)
				b[i] = mutant(b[i])
				r := v.request()
				if name == "host" {
					r.Host = string(b)
				} else {
					r.Header.Set(name, string(b))
				}
				refuse(v, "header "+name, i, r)
			}
		}
	}
	if tried < 8_000 {
		t.Errorf("only %d changes tried", tried)
	}
}

// manualVector is the example of the manual, which is signed for POST.
func manualVector() url.Values {
	v := url.Values{}
	for _, p := range [][2]string{{"AccessKeyId", "testid"}, {"Action", "SetData"}, {"ApiVersion", "1.0.0"},
		{"Format", "JSON"},
		{"Key", "0001_u3RNZsjruFCsSGUV_4R98_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}, {"ProductKey",
			"u3RNZE7B4skruGUV"}, {"RegionId", "cn-shanghai"},
		{"SignatureMethod", "HMAC-SHA1"}, {"SignatureNonce",
			"95689946-d65b-4e16-9f44-18e5ef73649816081207616281"}, {"SignatureVersion", "1.0"},
		{"Timestamp", "2020-12-16T12:12:40Z"}, {"Value", "xxxxxxxxxxxxxxxx"}, {"Version", "2019-05-10"}} {
		v.Set(p[0], p[1])
	}
	return v
}

func TestManualVector(t *testing.T) {
	for method, signature := range map[string]string{"POST": "uRBKfaZRDGVu17EuuwQ4OJS5AC8=",
		"GET": "1cJE35juqzifgOg/4H/x2++YxEE="} {
		f := newTestFacade(t)
		f.clock = clockAt(t, "2020-12-16T12:20:00Z")
		v := manualVector()
		v.Set("Signature", signature)
		// It names a chain code in Key that differs from ProductKey.
		if r := f.do(t, httptest.NewRequest(method, "/?"+v.Encode(), nil)); r.status != 200 || r.code() != "-105" {
			t.Errorf("%s: %d %s", method, r.status, r.body)
		}
		v.Set("SignatureNonce", "2")
		if r := f.do(t, httptest.NewRequest(method, "/?"+v.Encode(), nil)); r.status != 400 ||
			r.code() != "SignatureDoesNotMatch" {
			t.Errorf("%s with another nonce: %d %s", method, r.status, r.body)
		}
	}
}
