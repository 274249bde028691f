package conformance

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// params are an Action's parameters by name.
type params map[string]string

// with is a copy with some values replaced.
func (p params) with(pairs ...string) params {
	out := maps.Clone(p)
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = pairs[i+1]
	}
	return out
}

// without is a copy without some parameters.
func (p params) without(names ...string) params {
	out := maps.Clone(p)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

// response is a decoded response.
type response struct {
	status int
	body   []byte
	// code is Code as text: a number, or a name for gateway errors.
	code, message string
	success       bool
	root          *node
}

// data is Data, nil if there is none.
func (a *response) data() *node { return a.root.get("Data") }

// text is Data, which must be a string.
func (a *response) text() string { return a.data().text }

// rows are the rows of a list.
func (a *response) rows() []*node { return a.data().get("PageData").items }

// String is the response, shortened for a test's log.
func (a *response) String() string {
	b := a.body
	if len(b) > 600 {
		b = b[:600]
	}
	return fmt.Sprintf("HTTP %d %s", a.status, b)
}

// node is a JSON value with the order of its members.
type node struct {
	kind  byte // one of {["#bn
	text  string
	names []string
	items []*node
}

// get returns a member of an object, or nil.
func (n *node) get(name string) *node {
	if n == nil {
		return nil
	}
	for i := range n.names {
		if n.names[i] == name {
			return n.items[i]
		}
	}
	return nil
}

// str is the text of a member; "" when it is absent.
func (n *node) str(name string) string {
	if m := n.get(name); m != nil {
		return m.text
	}
	return ""
}

// parseJSON parses a whole JSON text.
func parseJSON(b []byte) (*node, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	n, err := readNode(d)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("something follows: %w", err)
	}
	return n, nil
}

func readNode(d *json.Decoder) (*node, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch v := token.(type) {
	case string:
		return &node{kind: '"', text: v}, nil
	case json.Number:
		return &node{kind: '#', text: v.String()}, nil
	case bool:
		return &node{kind: 'b', text: strconv.FormatBool(v)}, nil
	case json.Delim:
		n := &node{kind: byte(v)}
		for d.More() {
			if v == '{' {
				name, err := d.Token()
				if err != nil {
					return nil, err
				}
				n.names = append(n.names, fmt.Sprint(name))
			}
			item, err := readNode(d)
			if err != nil {
				return nil, err
			}
			n.items = append(n.items, item)
		}
		_, err := d.Token()
		return n, err
	}
	return &node{kind: 'n'}, nil
}

// percent encodes as RFC 3986 does.
func percent(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// signed adds the common parameters and the signature of the manual: HMAC-SHA1 over the sorted parameters.
func signed(u *user, method string, more params) url.Values { return signedAt(u, method, "/", more) }

// signedAt is signed for a path.
func signedAt(u *user, method, path string, more params) url.Values {
	all := params{
		"AccessKeyId": u.key, "Version": "2019-05-10", "SignatureMethod": "HMAC-SHA1", "SignatureVersion": "1.0",
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z"), "SignatureNonce": rand.Text(), "ApiVersion": "1.0.0",
	}
	maps.Copy(all, more)
	var canonical []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		canonical = append(canonical, percent(name)+"="+percent(all[name]))
	}
	mac := hmac.New(sha1.New, []byte(u.secret+"&"))
	mac.Write([]byte(method + "&" + percent(path) + "&" + percent(strings.Join(canonical, "&"))))
	values := url.Values{"Signature": {base64.StdEncoding.EncodeToString(mac.Sum(nil))}}
	for name, v := range all {
		values.Set(name, v)
	}
	return values
}

// send posts a signed form and returns status and body.
func (w *world) send(t testing.TB, u *user, p params) (int, []byte) {
	t.Helper()
	res, err := w.http.PostForm("http://"+w.facade.Addr()+"/", signed(u, http.MethodPost, p))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, body
}

// raw calls an Action with exactly these parameters and the common ones.
func (w *world) raw(t testing.TB, u *user, action string, p params) *response {
	t.Helper()
	out := &response{}
	out.status, out.body = w.send(t, u, p.with("Action", action))
	var err error
	if out.root, err = parseJSON(out.body); err != nil {
		t.Fatalf("%s: %v in %s", action, err, out.body)
	}
	out.code, out.message, out.success = out.root.str("Code"), out.root.str("Message"), out.root.str("Success") == "true"
	w.check(t, action, out)
	return out
}

// check checks what every response of a healthy network has: no status 5xx, one of the two forms, the RequestId, and
// on failure a message.
func (w *world) check(t testing.TB, action string, a *response) {
	t.Helper()
	order := strings.Join(a.root.names, " ")
	switch {
	case a.status >= 500:
		t.Errorf("%s: %s", action, a)
	case a.status == http.StatusOK:
		complete := order == "Message RequestId Data Code Success" || !a.success && order == "Message RequestId Code Success"
		if !complete || a.root.get("Code").kind != '#' || a.root.get("Success").kind != 'b' ||
			a.success != (a.code == "200") ||
			a.success != (a.message == "" || strings.HasPrefix(a.message, "This record was declared wrong")) {
			t.Errorf("%s: the envelope is wrong: %s", action, a)
		}
	case a.root.get("Code") == nil || a.root.get("Code").kind != '"' || a.message == "" || a.root.str("HostId") == "" ||
		a.root.str("Recommend") == "":
		t.Errorf("%s: a gateway error in another form: %s", action, a)
	}
	if id := a.root.str("RequestId"); len(id) != 36 || strings.ToUpper(id) != id {
		t.Errorf("%s: RequestId %q", action, id)
	}
	w.noteCode(action, a.code)
}

// must calls an Action and fails the test unless it succeeds.
func (w *world) must(t testing.TB, u *user, action string, p params) *response {
	t.Helper()
	a := w.raw(t, u, action, p)
	if a.code != "200" {
		t.Fatalf("%s by %s: %s\nwith %v", action, u.name, a, p)
	}
	return a
}

// wants calls an Action and fails the test unless it answers with that code.
func (w *world) wants(t testing.TB, u *user, action, what string, p params, code string) *response {
	t.Helper()
	a := w.raw(t, u, action, p)
	if a.code != code {
		t.Errorf("%s by %s, %s: %s, want %s", action, u.name, what, a, code)
	}
	return a
}
