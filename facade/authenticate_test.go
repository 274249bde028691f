package facade

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ltl/client"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// wants checks the HTTP status and the code of a response.
func wants(t *testing.T, what string, r reply, status int, code string) {
	t.Helper()
	if r.status != status || r.code() != code {
		t.Errorf("%s: %d %s, want %d %s", what, r.status, r.body, status, code)
	}
}

func TestRPCAuthentication(t *testing.T) {
	f := newTestFacade(t)
	set := data(keyOf("0X58", "1"), chainA, "v")
	call := func(pairs ...string) reply {
		return f.act(t, "member", "GetData", append(slices.Clone(set[:4]), pairs...)...)
	}
	wants(t, "as it should be", call(), 200, "404")
	for _, c := range []struct {
		what   string
		pairs  []string
		status int
		code   string
	}{
		{"no AccessKeyId", []string{"AccessKeyId", "-"}, 400, "MissingAccessKeyId"},
		{"unknown AccessKeyId", []string{"AccessKeyId", "unknown"}, 404, "InvalidAccessKeyId.NotFound"},
		{"long AccessKeyId", []string{"AccessKeyId", strings.Repeat("a", 129)}, 404, "InvalidAccessKeyId.NotFound"},
		{"disabled AccessKey", []string{"AccessKeyId", "off"}, 400, "InvalidAccessKeyId.Inactive"},
		{"no SignatureMethod", []string{"SignatureMethod", "-"}, 400, "MissingSignatureMethod"},
		{"other SignatureMethod", []string{"SignatureMethod", "HMAC-SHA256"}, 400, "InvalidSignatureMethod"},
		{"SignatureMethod in other case", []string{"SignatureMethod", "Hmac-Sha1"}, 200, "404"},
		{"no SignatureVersion", []string{"SignatureVersion", "-"}, 400, "MissingSignatureVersion"},
		{"other SignatureVersion", []string{"SignatureVersion", "2.0"}, 400, "InvalidSignatureVersion"},
		{"no SignatureNonce", []string{"SignatureNonce", "-"}, 400, "MissingSignatureNonce"},
		{"empty SignatureNonce", []string{"SignatureNonce", ""}, 400, "MissingSignatureNonce"},
		{"longest SignatureNonce", []string{"SignatureNonce", strings.Repeat("n", 256)}, 200, "404"},
		{"too long SignatureNonce", []string{"SignatureNonce", strings.Repeat("n", 257)}, 400, "InvalidSignatureNonce"},
		{"no Timestamp", []string{"Timestamp", "-"}, 400, "MissingTimestamp"},
		{"Timestamp under its other name", []string{"Timestamp", "-", "TimeStamp", testClock}, 200, "404"},
		{"Timestamp counts before TimeStamp", []string{"TimeStamp", "nonsense"}, 200, "404"},
		{"Timestamp without Z", []string{"Timestamp", "2026-11-23T07:57:50"}, 400, "InvalidTimeStamp.Format"},
		{"Timestamp with ms", []string{"Timestamp", "2026-11-23T07:57:50.000Z"}, 400, "InvalidTimeStamp.Format"},
		{"Timestamp in month 13", []string{"Timestamp", "2026-13-23T07:57:50Z"}, 400, "InvalidTimeStamp.Format"},
		{"15 minutes behind", []string{"Timestamp", "2026-11-23T07:42:50Z"}, 200, "404"},
		{"15 minutes and a second behind", []string{"Timestamp", "2026-11-23T07:42:49Z"}, 400, "InvalidTimeStamp.Expired"},
		{"15 minutes ahead", []string{"Timestamp", "2026-11-23T08:12:50Z"}, 200, "404"},
		{"15 minutes and a second ahead", []string{"Timestamp", "2026-11-23T08:12:51Z"}, 400, "InvalidTimeStamp.Expired"},
		{"no Version", []string{"Version", "-"}, 400, "MissingVersion"},
		{"other Version", []string{"Version", "2014-05-15"}, 400, "InvalidVersion"},
		{"no Action", []string{"Action", "-"}, 400, "MissingAction"},
		{"unknown Action", []string{"Action", "getdata"}, 404, "InvalidAction.NotFound"},
		{"empty parameters are signed", []string{"SignatureType", "", "RegionId", ""}, 200, "404"},
		{"Format", []string{"Format", "jSON"}, 200, "404"},
		{"unknown Format", []string{"Format", "yaml"}, 400, "InvalidParameter.Format"},
	} {
		wants(t, c.what, call(c.pairs...), c.status, c.code)
	}
}

func TestWrongSignatureTellsTheStringToSign(t *testing.T) {
	f := newTestFacade(t)
	v := f.params("member", "GetData", "Key", "k&y", "Value", "某 公:司")
	v.Set("Signature", "AAAA")
	r := f.do(t, httptest.NewRequest(http.MethodGet, "/?"+v.Encode(), nil))
	wants(t, "wrong signature", r, 400, "SignatureDoesNotMatch")
	message := r.json["Message"].(string)
	parts := strings.Split(message, ":")
	if len(parts) != 2 || !strings.HasPrefix(parts[1], "GET&%2F&AccessKeyId%3Dmember%26Action%3DGetData") ||
		!strings.Contains(parts[1], "k%2526y") ||
		!strings.Contains(parts[1], "%25E6%259F%2590%2520%25E5%2585%25AC%253A") {
		t.Errorf("message: %s", message)
	}
	for _, name := range []string{"RequestId", "HostId", "Recommend"} {
		if s, ok := r.json[name].(string); !ok || s == "" {
			t.Errorf("%s is %v", name, r.json[name])
		}
	}
	v.Del("Signature")
	wants(t, "no signature", f.do(t, httptest.NewRequest(http.MethodGet, "/?"+v.Encode(), nil)), 400, "MissingSignature")
}

func TestNonceCountsOnce(t *testing.T) {
	f := newTestFacade(t)
	args := read(keyOf("0X58", "1"), chainA)
	bad := f.params("member", "GetData", append(args, "SignatureNonce", "once", "Signature", "AAAA")...)
	wants(t, "wrong signature", f.do(t, httptest.NewRequest(http.MethodGet, "/?"+bad.Encode(), nil)), 400,
		"SignatureDoesNotMatch")
	wants(t, "first", f.act(t, "member", "GetData", append(args, "SignatureNonce", "once")...), 200, "404")
	wants(t, "second", f.act(t, "member", "GetData", append(args, "SignatureNonce", "once")...), 400, "SignatureNonceUsed")
	wants(t, "second, other time",
		f.act(t, "member", "GetData", append(args, "SignatureNonce", "once", "Timestamp", "2026-11-23T07:57:51Z")...), 400,
		"SignatureNonceUsed")
	wants(t, "another key", f.act(t, "other", "GetData", append(args, "SignatureNonce", "once")...), 200, "403")
}

func TestNoncesAreRememberedLongEnoughAndBounded(t *testing.T) {
	n := newNonces()
	start := time.Unix(1_700_000_000, 0)
	if !n.use("k", "a", start) || n.use("k", "a", start.Add(nonceLife)) {
		t.Fatal("a nonce must be refused within its life")
	}
	accepted := 0
	for i := range 40 { // time passes: generations are replaced, and at last the nonce is forgotten
		if n.use("k", "a", start.Add(time.Duration(i)*nonceLife/2)) {
			accepted++
		}
	}
	if accepted == 0 || accepted > 20 {
		t.Errorf("accepted %d times in 20 lives", accepted)
	}
	n.limit = 64
	most := 2 * nonceShards * n.limit
	for i := range 5 * most {
		if !n.use("k", fmt.Sprint(i), start) {
			t.Fatalf("nonce %d refused", i)
		}
	}
	held := 0
	for i := range n.shards {
		held += len(n.shards[i].young) + len(n.shards[i].old)
	}
	if held > most || held < most/4 {
		t.Errorf("%d nonces held, at most %d allowed", held, most)
	}
	if n.use("k", fmt.Sprint(5*most-1), start) {
		t.Error("the newest nonce is forgotten")
	}
}

func TestOneOfManyWinsTheNonce(t *testing.T) {
	n := newNonces()
	var won atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range 100 {
				if n.use("k", fmt.Sprint(i), time.Unix(1, 0)) {
					won.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if won.Load() != 100 {
		t.Errorf("%d uses of 100 nonces", won.Load())
	}
}

// signACS3 is a second implementation of the header signature, written from the documents.
func signACS3(r *http.Request, id, secret string, body []byte, signed []string) {
	slices.Sort(signed)
	quote := func(s string) string {
		return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
	}
	var query []string
	for k, v := range r.URL.Query() {
		query = append(query, quote(k)+"="+quote(v[0]))
	}
	slices.Sort(query)
	canonical := r.Method + "\n" + r.URL.Path + "\n" + strings.Join(query, "&") + "\n"
	for _, h := range signed {
		v := r.Header.Get(h)
		if h == "host" {
			v = r.Host
		}
		canonical += h + ":" + strings.TrimSpace(v) + "\n"
	}
	sum := sha256.Sum256(body)
	canonical += "\n" + strings.Join(signed, ";") + "\n" + hex.EncodeToString(sum[:])
	digest := sha256.Sum256([]byte(canonical))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("ACS3-HMAC-SHA256\n" + hex.EncodeToString(digest[:])))
	r.Header.Set("Authorization", "ACS3-HMAC-SHA256 Credential="+id+",SignedHeaders="+strings.Join(signed,
		";")+",Signature="+hex.EncodeToString(mac.Sum(nil)))
}

// acs3 is a request that signACS3 can sign.
func (f *testFacade) acs3(method, query, body string) *http.Request {
	r := httptest.NewRequest(method, "/?"+query, strings.NewReader(body))
	sum := sha256.Sum256([]byte(body))
	for k, v := range map[string]string{headerAction: "GetData", headerVersion: version, headerDate: testClock,
		headerContentHash: hex.EncodeToString(sum[:]),
		headerNonce:       fmt.Sprint("acs", f.nonce.Add(1))} {
		r.Header.Set(k, v)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return r
}

func TestACS3Authentication(t *testing.T) {
	f := newTestFacade(t)
	all := []string{"host", headerAction, headerVersion, headerDate, headerNonce, headerContentHash}
	query := "ApiVersion=1.0.0&ProductKey=" + chainA
	body := "Key=" + keyOf("0X58", "1")
	for _, c := range []struct {
		what   string
		change func(*http.Request)
		signed []string
		after  func(*http.Request)
		status int
		code   string
	}{
		{what: "as it should be", status: 200, code: "404"},
		{what: "host unsigned, as Java does", signed: all[1:], status: 200, code: "404"},
		{what: "nonce unsigned", signed: slices.DeleteFunc(slices.Clone(all),
			func(s string) bool { return s == headerNonce }), status: 400, code: "IncompleteSignature"},
		{what: "action unsigned", signed: slices.DeleteFunc(slices.Clone(all),
			func(s string) bool { return s == headerAction }), status: 400, code: "IncompleteSignature"},
		{what: "no date", change: func(r *http.Request) { r.Header.Del(headerDate) }, status: 400, code: "MissingTimestamp"},
		{what: "no nonce", change: func(r *http.Request) { r.Header.Del(headerNonce) }, status: 400,
			code: "MissingSignatureNonce"},
		{what: "no action", change: func(r *http.Request) { r.Header.Del(headerAction) }, status: 400, code: "MissingAction"},
		{what: "other version", change: func(r *http.Request) { r.Header.Set(headerVersion, "2014-05-15") }, status: 400,
			code: "InvalidVersion"},
		{what: "old date", change: func(r *http.Request) { r.Header.Set(headerDate, "2026-11-23T07:42:49Z") }, status: 400,
			code: "InvalidTimeStamp.Expired"},
		{what: "two dates", change: func(r *http.Request) { r.Header.Add(headerDate, testClock) }, status: 400,
			code: "IncompleteSignature"},
		{what: "wrong content hash, signed",
			change: func(r *http.Request) { r.Header.Set(headerContentHash, strings.Repeat("0", 64)) }, status: 400,
			code: "SignatureDoesNotMatch"},
		{what: "other algorithm", after: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "SHA256", "SM3", 1))
		}, status: 400, code: "InvalidSignatureMethod"},
		{what: "no credential", after: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "Credential=member,", "", 1))
		}, status: 400, code: "IncompleteSignature"},
		{what: "unknown key", after: func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "member", "unknown", 1))
		}, status: 404, code: "InvalidAccessKeyId.NotFound"},
		{what: "fields in another order, with blanks", after: func(r *http.Request) {
			fields := strings.Split(strings.TrimPrefix(r.Header.Get("Authorization"), "ACS3-HMAC-SHA256 "), ",")
			r.Header.Set("Authorization", "ACS3-HMAC-SHA256 "+fields[0]+", "+fields[2]+", "+fields[1])
		}, status: 200, code: "404"},
		{what: "list in another order", after: func(r *http.Request) {
			a, _ := parseAuthorization(r.Header.Get("Authorization"))
			reversed := slices.Clone(a.headers)
			slices.Reverse(reversed)
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), a.list, strings.Join(reversed, ";"), 1))
		}, status: 200, code: "404"},
		{what: "action in the query, too", change: func(r *http.Request) { r.URL.RawQuery += "&Action=GetData" }, status: 200,
			code: "404"},
		{what: "another action in the query", change: func(r *http.Request) { r.URL.RawQuery += "&Action=SetData" },
			status: 400, code: "InvalidAction"},
		{what: "XML", change: func(r *http.Request) { r.URL.RawQuery += "&Format=xml" }, status: 200, code: ""},
	} {
		r := f.acs3(http.MethodPost, query, body)
		if c.change != nil {
			c.change(r)
		}
		signed := c.signed
		if signed == nil {
			signed = all
		}
		signACS3(r, "member", "member-secret", []byte(body), slices.Clone(signed))
		if c.after != nil {
			c.after(r)
		}
		wants(t, c.what, f.do(t, r), c.status, c.code)
	}
	r := f.acs3(http.MethodGet, query+"&"+body, "")
	r.URL.Path = "/evidence/record"
	signACS3(r, "member", "member-secret", nil, slices.Clone(all))
	wants(t, "evidence, where there is none", f.do(t, r), 404, "InvalidAction.NotFound")
	r = f.acs3(http.MethodGet, query+"&"+body, "")
	signACS3(r, "member", "member-secret", nil, slices.Clone(all))
	r.URL.Path = "/evidence/record"
	wants(t, "a signature for another path", f.do(t, r), 400, "SignatureDoesNotMatch")
	r = f.acs3(http.MethodGet, query+"&"+body, "")
	signACS3(r, "member", "wrong", nil, slices.Clone(all))
	got := f.do(t, r)
	wants(t, "wrong secret", got, 400, "SignatureDoesNotMatch")
	if m := got.json["Message"].(string); !strings.HasPrefix(m,
		"Specified signature does not match our calculation. server StringToSign is [ACS3-HMAC-SHA256\n") {
		t.Error(m)
	}
}

// TestBothImplementationsAgree signs random parameters with the second implementation and verifies them with the
// first one.
func TestBothImplementationsAgree(t *testing.T) {
	f := newTestFacade(t)
	rapid.Check(t, func(t *rapid.T) {
		v := f.params("member", "Unknown")
		for range rapid.IntRange(0, 6).Draw(t, "more") {
			v.Set(rapid.StringN(1, 8, -1).Draw(t, "name"), rapid.String().Draw(t, "value"))
		}
		v.Set("Format", "JSON")
		method := rapid.SampledFrom([]string{"GET", "POST"}).Draw(t, "method")
		v.Set("Signature", signRPC(method, "member-secret", v))
		r := httptest.NewRequest(method, "/", nil)
		if method == "GET" || rapid.Bool().Draw(t, "query") {
			r.URL.RawQuery = v.Encode()
		} else {
			r = httptest.NewRequest(method, "/", strings.NewReader(v.Encode()))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
		}
		w := httptest.NewRecorder()
		f.ServeHTTP(w, r)
		if w.Code != 404 || !strings.Contains(w.Body.String(), codeActionNotFound) {
			t.Fatalf("%s %v: %s", method, v, w.Body)
		}
	})
}

func TestAccessKeysChange(t *testing.T) {
	var log bytes.Buffer
	f := newTestFacade(t)
	f.keys.logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	args := read(keyOf("0X58", "1"), chainA)
	const active, disabled = ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED
	k := sealed(t, "member", memberUID, "member-secret", 100)
	k.state(disabled).to(f.keys)
	wants(t, "disabled", f.act(t, "member", "GetData", args...), 400, "InvalidAccessKeyId.Inactive")
	k.info.Version++ // the secret stays sealed for version 100
	k.state(active).to(f.keys)
	wants(t, "enabled", f.act(t, "member", "GetData", args...), 200, "404")
	_ = f.keys.takeSealed(sealed(t, "member", memberUID, "another", 100).sealed)
	wants(t, "a node sends another secret", f.act(t, "member", "GetData", args...), 200, "404")
	k.info.Version++
	k.state(ltlv1.AccessKeyState_ACCESS_KEY_STATE_DELETED).to(f.keys)
	wants(t, "deleted", f.act(t, "member", "GetData", args...), 404, "InvalidAccessKeyId.NotFound")
	if s := log.String(); strings.Contains(s, "secret") {
		t.Errorf("log: %s", s)
	}
}

// TestSealedSecretsOfLiars: what a node sends is used only if the ledger commits to it, and a secret that was sealed for
// another version or account is not, even where the ledger commits to it.
func TestSealedSecretsOfLiars(t *testing.T) {
	f := newTestFacade(t)
	args := read(keyOf("0X58", "1"), chainA)
	k := sealed(t, "liar", memberUID, "liar-secret", 4)
	old := sealed(t, "liar", memberUID, "liar-secret", 3)
	f.keys.take([]*ltlv1.AccessKeyInfo{k.info})
	for what, blob := range map[string]testKey{
		"a secret of the version before":    old,
		"one of another account's key":      sealed(t, "liar", otherUID, "liar-secret", 4),
		"one that the ledger does not name": sealed(t, "liar", memberUID, "liar-secret", 4),
	} {
		if err := f.keys.takeSealed(blob.sealed); err != nil {
			t.Fatal(err)
		}
		wants(t, what, f.act(t, "liar", "GetData", args...), 503, codeServiceUnavailable)
		if err := f.keys.takeSealed(nil); !errors.Is(err, client.ErrAnotherNode) || f.keys.version != 0 {
			t.Errorf("%s: %v, and the watch goes on at version %d; want another node, from the beginning", what, err,
				f.keys.version)
		}
	}
	k.to(f.keys)
	wants(t, "the right one", f.act(t, "liar", "GetData", args...), 200, "404")
	// The ledger commits to bytes that were sealed for version 3 or for another account: they do not open.
	for what, other := range map[string]testKey{"version 3": old, "another account": sealed(t, "liar", otherUID, "liar-secret", 5)} {
		c := ledger.SealedCommitment(other.sealed.GetSealed())
		k.info = &ltlv1.AccessKeyInfo{Id: "liar", AccountUid: memberUID, Organisation: "org1", Version: 5, SealedVersion: 5,
			State: ltlv1.AccessKeyState_ACCESS_KEY_STATE_ACTIVE, Commitment: c[:]}
		testKey{k.info, other.sealed}.to(f.keys)
		wants(t, "sealed for "+what, f.act(t, "liar", "GetData", args...), 404, "InvalidAccessKeyId.NotFound")
	}
}

// TestInventedSecrets: a node that invents sealed secrets without end fills no memory, and what it crowds out is asked
// for again.
func TestInventedSecrets(t *testing.T) {
	f := newTestFacade(t)
	before := len(f.keys.blobs)
	k := sealed(t, "late", memberUID, "late-secret", 1)
	for i := range 2 * maxEarlySealed {
		invented := &ltlv1.SealedKey{AccessKeyId: fmt.Sprintf("invented%d", i), Sealed: k.sealed.GetSealed()}
		if err := f.keys.takeSealed(invented); err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []*ltlv1.SealedKey{
		{AccessKeyId: strings.Repeat("a", 1<<20), Sealed: k.sealed.GetSealed()},
		{AccessKeyId: "member", Sealed: make([]byte, 1<<20)},
		k.sealed,
	} {
		if err := f.keys.takeSealed(bad); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(f.keys.blobs) - before; n > maxEarlySealed || len(f.keys.blobs["member"]) > ledger.MaxSealed {
		t.Errorf("%d invented secrets are kept", n)
	}
	f.keys.take([]*ltlv1.AccessKeyInfo{k.info})
	if err := f.keys.takeSealed(nil); !errors.Is(err, client.ErrAnotherNode) {
		t.Errorf("a secret was crowded out: %v, want another node asked", err)
	}
	k.to(f.keys)
	wants(t, "it came again", f.act(t, "late", "GetData", read(keyOf("0X58", "1"), chainA)...), 200, "404")
}

// TestSilentEndorser: a facade that has not heard its organisation's endorser refuses everything, says so, and serves
// again as soon as it hears it.
func TestSilentEndorser(t *testing.T) {
	f := newTestFacade(t)
	args := read(keyOf("0X58", "1"), chainA)
	f.keys.heard = time.Now().Add(-maxSilence - time.Second)
	wants(t, "silent", f.act(t, "member", "GetData", args...), 503, codeServiceUnavailable)
	wants(t, "silent, unknown AccessKey", f.act(t, "unknown", "GetData", args...), 503, codeServiceUnavailable)
	if err := f.Ready(); err == nil || !strings.Contains(err.Error(), "FAULT") {
		t.Errorf("Ready: %v", err)
	}
	f.keys.take(nil)
	wants(t, "heard", f.act(t, "member", "GetData", args...), 200, "404")
	if err := f.Ready(); err != nil {
		t.Error(err)
	}
}

func TestUnknownKeyIsAwaited(t *testing.T) {
	f := newTestFacade(t)
	f.keys.wait = 10 * time.Second
	done := make(chan *gatewayError)
	go func() {
		_, err := f.keys.lookup(context.Background(), "late")
		done <- err
	}()
	for deadline := time.Now().Add(5 * time.Second); f.keys.waiters.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no call waits for the key")
		}
	}
	sealed(t, "unrelated", memberUID, "s", 200).to(f.keys)
	sealed(t, "late", memberUID, "s", 201).to(f.keys)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// The number of waiting calls is bounded: the next call gets its response at once.
	f.keys.waiters.Store(maxKeyWaiters)
	if _, err := f.keys.lookup(context.Background(), "unknown"); err == nil || err.code != codeKeyNotFound {
		t.Error(err)
	}
	empty := newKeyring(ledger.Hash{}, sealingKey(), f.logger)
	empty.wait = time.Millisecond
	if _, err := empty.lookup(context.Background(), "unknown"); err == nil || err.code != codeServiceUnavailable ||
		empty.ready() == nil {
		t.Errorf("before any AccessKey has arrived: %v", err)
	}
}

// TestSealingKeyComesLater: an AccessKey whose sealing key reaches the facade long after it works then, although nothing
// else changes and no node sends anything; the keys are not read again while all AccessKeys are open.
func TestSealingKeyComesLater(t *testing.T) {
	f := newTestFacade(t)
	next := []byte("fedcba9876543210fedcba9876543210")
	keys, reads := [][]byte{sealingKey()}, 0
	f.keys.more = func() ([][]byte, error) { reads++; return keys, nil }
	args := read(keyOf("0X58", "1"), chainA)
	sealedWith(t, next, "member", memberUID, "member-secret", 101).to(f.keys)
	f.keys.take(nil)
	wants(t, "without the key", f.act(t, "member", "GetData", args...), 404, "InvalidAccessKeyId.NotFound")
	keys = append(keys, next)
	f.keys.reread = time.Now().Add(-sealingKeysAge)
	f.keys.take(nil)
	wants(t, "with the key", f.act(t, "member", "GetData", args...), 200, "404")
	f.keys.reread, reads = time.Time{}, 0
	f.keys.take(nil)
	if reads != 0 {
		t.Errorf("the keys were read %d times although no AccessKey needs one", reads)
	}
}

// TestSealingKeyIsReplaced: an AccessKey that was sealed with a key that the facade does not have works once the
// facade can read that key, without a restart and without another change of the AccessKey.
func TestSealingKeyIsReplaced(t *testing.T) {
	f := newTestFacade(t)
	next := []byte("fedcba9876543210fedcba9876543210")
	keys := [][]byte{sealingKey()}
	f.keys.more = func() ([][]byte, error) { return keys, nil }
	args := read(keyOf("0X58", "1"), chainA)
	all := func() {
		t.Helper()
		if err := f.keys.takeSealed(nil); err != nil {
			t.Fatal(err)
		}
	}
	sealedWith(t, next, "member", memberUID, "member-secret", 101).to(f.keys)
	wants(t, "without the key", f.act(t, "member", "GetData", args...), 404, "InvalidAccessKeyId.NotFound")
	all()
	wants(t, "still without it", f.act(t, "member", "GetData", args...), 404, "InvalidAccessKeyId.NotFound")
	keys = append(keys, next)
	all()
	wants(t, "with the key", f.act(t, "member", "GetData", args...), 200, "404")
	wants(t, "one under the former key", f.act(t, "other", "GetData", args...), 200,
		"403") // authenticated, but it may not read this
}
