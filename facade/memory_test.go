package facade

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestErrorsRepeatLittle: no error repeats more than 4 KiB of a request, and one about a signature still begins with the
// text that should have been signed.
func TestErrorsRepeatLittle(t *testing.T) {
	f := newTestFacade(t)
	v := f.params("member", "GetData", append(read(keyOf("0X58", "1"), chainA), "Value", strings.Repeat("+", 600<<10))...)
	v.Set("Signature", "wrong")
	rpc := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(v.Encode()))
	acs3 := f.acs3(http.MethodPost, url.Values{"Value": {strings.Repeat("+", 600<<10)}}.Encode(), "")
	signACS3(acs3, "member", "wrong", nil, []string{"host", headerAction, headerVersion, headerDate, headerNonce,
		headerContentHash})
	name := strings.Repeat("n", 1<<20-8)
	twice := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(name+"=1&"+name+"=2"))
	garbled := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(name+"=%zz"))
	host := httptest.NewRequest(http.MethodPost, "/", nil)
	host.Host = name
	for what, tc := range map[string]struct {
		r          *http.Request
		code, text string
	}{
		"RPC":             {rpc, "SignatureDoesNotMatch", "server string to sign is:POST&%2F&AccessKeyId%3Dmember%26"},
		"ACS3":            {acs3, "SignatureDoesNotMatch", "server CanonicalRequest is [POST\n/\nValue=%2B%2B"},
		"name twice":      {twice, "InvalidParameter", "more than once"},
		"value not UTF-8": {garbled, "InvalidParameter", "percent-encoded"},
		"host":            {host, "MissingAccessKeyId", ""},
	} {
		r := f.do(t, tc.r)
		wants(t, what, r, 400, tc.code)
		if len(r.body) > maxEcho+2048 || !strings.Contains(strings.ReplaceAll(r.body, `\n`, "\n"), tc.text) {
			t.Errorf("%s: %d bytes: %.300s", what, len(r.body), r.body)
		}
	}
}

// TestLargeSignaturesInPieces: a signature over values that are encoded in many pieces is verified like any other.
func TestLargeSignaturesInPieces(t *testing.T) {
	f := newTestFacade(t)
	for _, n := range []int{signPiece - 1, signPiece, signPiece + 1, 3*signPiece + 7} {
		value := strings.Repeat("值+", n)[:n]
		value = strings.ToValidUTF8(value, "")
		v := f.params("member", "GetData", append(read(keyOf("0X58", "1"), chainA), "Extra", value)...)
		v.Set("Signature", signRPC(http.MethodPost, "member-secret", v))
		wants(t, fmt.Sprint("RPC, ", n), f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(v.Encode()))),
			200, "404")
		q := url.Values{"Extra": {value}, "ApiVersion": {"1.0.0"}}
		r := f.acs3(http.MethodPost, q.Encode(), "")
		signACS3(r, "member", "member-secret", nil, []string{"host", headerAction, headerVersion, headerDate, headerNonce})
		wants(t, fmt.Sprint("ACS3, ", n), f.do(t, r), 400, "MissingKey")
	}
}

// TestSignedHeadersFirst: a large body whose header proves its AccessKey takes another memory than those that prove
// nothing.
func TestSignedHeadersFirst(t *testing.T) {
	f := newTestFacade(t)
	body := "ApiVersion=1.0.0&Extra=" + strings.Repeat("b", 100<<10)
	all := []string{"host", headerAction, headerVersion, headerDate, headerNonce, headerContentHash}
	const here = "192.0.2.1" // httptest's address
	if !f.memory.anonymous.Take(here, "", maxBodyMemory/4) {
		t.Fatal("the memory is taken already")
	}
	post := func(secret string) reply {
		r := f.acs3(http.MethodPost, "", body)
		signACS3(r, "member", secret, []byte(body), all)
		return f.do(t, r)
	}
	wants(t, "a header that proves nothing", post("wrong"), 400, "Throttling")
	wants(t, "a header that proves its AccessKey", post("member-secret"), 400, "MissingKey")
	if !f.memory.known.Take("member", "", maxBodyMemory/4) {
		t.Fatal("the memory is taken already")
	}
	wants(t, "beyond an AccessKey's part", post("member-secret"), 400, "Throttling")
	f.memory.known.Give("member", "", maxBodyMemory/4)
	f.memory.anonymous.Give(here, "", maxBodyMemory/4)
	if n := f.memory.used(); n != 0 {
		t.Errorf("%d bytes are still taken", n)
	}
}

// TestAnswersCount: an answer beyond an address' part is replaced by Throttling, and all is given back.
func TestAnswersCount(t *testing.T) {
	f := newTestFacade(t)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	answer := func() string {
		s := &scratch{buffer: make([]byte, maxSmallAnswer+1)}
		w := httptest.NewRecorder()
		f.send(w, r, s)
		return w.Body.String()
	}
	if n := len(answer()); n != maxSmallAnswer+1 || f.memory.used() != 0 {
		t.Errorf("an answer of %d bytes, %d bytes are taken after it", n, f.memory.used())
	}
	f.memory.answers.Take("192.0.2.1", "", maxAnswerMemory/4)
	if got := answer(); !strings.Contains(got, "Throttling") {
		t.Errorf("beyond the address' part: %.100s", got)
	}
}

// deadlineRecorder records until when an answer must have been taken.
type deadlineRecorder struct {
	*httptest.ResponseRecorder
	until time.Time
}

// SetWriteDeadline is called by http.ResponseController.
func (r *deadlineRecorder) SetWriteDeadline(until time.Time) error { r.until = until; return nil }

// TestAnswersMustBeTaken: a large answer has a deadline by its size, after which the server ends the connection.
func TestAnswersMustBeTaken(t *testing.T) {
	f := newTestFacade(t)
	w := &deadlineRecorder{ResponseRecorder: httptest.NewRecorder()}
	began := time.Now()
	f.send(w, httptest.NewRequest(http.MethodGet, "/", nil), &scratch{buffer: make([]byte, 10*minRate)})
	if within := w.until.Sub(began); within < 15*time.Second || within > 16*time.Second {
		t.Errorf("ten seconds' bytes must be taken within %v, want 15 seconds", within)
	}
}

// TestSlowBodiesEnd: a large body that stops coming is given up after some seconds, not after half a minute.
func TestSlowBodiesEnd(t *testing.T) {
	f := openFake(t, newFakeNetwork())
	c := dial(t, f.Addr())
	began := time.Now()
	fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\nA=%s", 1<<20, strings.Repeat("a", 100<<10))
	eventually(t, "it is being read", func() bool { return f.memory.used() > 0 })
	_ = c.SetReadDeadline(began.Add(20 * time.Second))
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if took := time.Since(began); took > 15*time.Second || !strings.Contains(string(body), "InvalidParameter") {
		t.Errorf("after %v: %s", took, body)
	}
	eventually(t, "all is given back", func() bool { return f.memory.used() == 0 })
}
