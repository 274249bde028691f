package facade

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestSecondsAreRefused: a window in seconds is an error that names the parameter and the unit, not an empty result.
func TestSecondsAreRefused(t *testing.T) {
	f := newTestFacade(t)
	for _, pairs := range [][]string{{"StartTime", "1795780000"}, {"EndTime", "1795780000"}, {"StartTime", "1000000000"},
		{"EndTime", "99999999999"}} {
		r := f.act(t, "member", "GetHistoryDataCount", append(read(keyOf("0X58", "1"), chainA), pairs...)...)
		wants(t, pairs[1], r, 200, "400")
		if !strings.Contains(r.body, pairs[0]+" must be in milliseconds") {
			t.Errorf("%v: %s", pairs, r.body)
		}
	}
	for _, at := range []string{"0", "999999999", "100000000000", "1795780000000"} {
		wants(t, at, f.act(t, "member", "GetHistoryDataCount", append(read(keyOf("0X58", "1"), chainA), "StartTime", at)...),
			200, "200")
	}
}

// TestContentTypeIsNamed: parameters in a body of another type are not read, and the error says so.
func TestContentTypeIsNamed(t *testing.T) {
	f := newTestFacade(t)
	for _, kind := range []string{"application/json", "text/plain; charset=utf-8"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("AccessKeyId=member"))
		r.Header.Set("Content-Type", kind)
		out := f.do(t, r)
		wants(t, kind, out, 400, "MissingAccessKeyId")
		if !strings.Contains(out.body, "its Content-Type is "+kind) {
			t.Errorf("%s: %s", kind, out.body)
		}
	}
	out := f.do(t, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("A=1")))
	if strings.Contains(out.body, "Content-Type") {
		t.Errorf("a form: %s", out.body)
	}
}

// TestRawECDSASignatures: a signature as r and s of 32 bytes each, whatever zeros and high bits these begin with, becomes
// the DER that verifies; anything else passes unchanged.
func TestRawECDSASignatures(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("text"))
	for range 300 {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		raw := make([]byte, rawECDSA)
		r.FillBytes(raw[:32])
		s.FillBytes(raw[32:])
		const head = "3~2~0102030405060708~1608105171123~"
		rest, ok := strings.CutPrefix(withDER(head+base64.StdEncoding.EncodeToString(raw)), head)
		der, err := base64.StdEncoding.DecodeString(rest)
		if !ok || err != nil || !ecdsa.VerifyASN1(&key.PublicKey, digest[:], der) {
			t.Fatalf("%x became %q: %v", raw, rest, err)
		}
	}
	for _, s := range []string{"", "~", "3~2~a~b~", "3~2~a~b~c2ln", "3~2~a~b~!", strings.Repeat("A", 88)} {
		if got := withDER(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}
