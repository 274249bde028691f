package console_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ltl/client/proof"
	verifyjs "ltl/client/verify-js"
	"ltl/console"
)

// runScript runs testdata/run.mjs. Without Node the test fails: `make deps` installs it.
func runScript(t *testing.T, in map[string]string, out any) {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/run.mjs")
	cmd.Stdin = bytes.NewReader(raw)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	said, err := cmd.Output()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, stderr.String())
	}
	if err := json.Unmarshal(said, out); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

// assetOf is an asset that a page uses.
func (w *world) assetOf(path, ext string) string {
	w.t.Helper()
	found := regexp.MustCompile(`/console/assets/[^"]+\.`+ext+`"`).FindAllString(w.get(nil, path).body, -1)
	if len(found) == 0 {
		w.t.Fatalf("%s uses no .%s", path, ext)
	}
	p := w.get(nil, strings.Trim(found[len(found)-1], `"`))
	if p.status != http.StatusOK || !strings.Contains(p.header.Get("Cache-Control"), "immutable") {
		w.t.Fatalf("%s: %d", found, p.status)
	}
	return p.body
}

// scripts runs the scripts of the pages as browsers do: what the page for signing in computes signs in, and the page of
// the verifier checks the certificate of a record, and refuses it when one bit is changed.
func (w *world) scripts() {
	form := w.form(w.admin.key, w.admin.secret)
	var signed struct {
		MAC       string
		Prevented bool
		Left      string
	}
	runScript(w.t, map[string]string{"script": w.assetOf("/console/sign-in", "mjs"), "network": w.networkID(),
		"origin": w.origin, "challenge": form.Get("challenge"), "id": w.admin.key, "secret": w.admin.secret}, &signed)
	if signed.MAC != form.Get("mac") || !signed.Prevented || signed.Left != "" {
		w.t.Errorf("the script signs %+v, want %s", signed, form.Get("mac"))
	}
	w.signIn(w.member)
	list := w.get(w.member.browser, "/console/c/"+w.proof.GetChainId()+"/records?key="+w.keyOf(w.member, "a")).body
	id := hashInPage.FindString(list[strings.Index(list, "/r/"):])
	at := "/console/c/" + w.proof.GetChainId() + "/r/" + id
	var verdict struct {
		Before, After struct{ Outcome, Word, Text string }
		Title, Lang   string
	}
	p := w.get(w.member.browser, at+"/verify", "Accept-Language", "zh-CN")
	w.checkHeaders("/verify", p)
	for _, part := range []string{"connect-src 'none'", "form-action 'none'"} {
		if !strings.Contains(p.header.Get("Content-Security-Policy"), part) || !strings.Contains(p.body, part) {
			w.t.Errorf("the page of the verifier has no %s", part)
		}
	}
	runScript(w.t, map[string]string{"page": p.body}, &verdict)
	if verdict.Before.Outcome != "valid" || !strings.Contains(verdict.Before.Text, w.own[len(w.own)-1]) ||
		verdict.After.Outcome != "invalid" || verdict.After.Word == "" || verdict.Lang != "zh-CN" {
		w.t.Errorf("the page of the verifier says %+v", verdict)
	}
	file := w.get(w.member.browser, at+"/certificate")
	trust := w.get(w.member.browser, "/console/trust.json")
	known, err := proof.ParseTrust([]byte(trust.body))
	if err != nil {
		w.t.Fatalf("the trust file: %v", err)
	}
	if v := proof.Verify([]byte(file.body), known); v.Outcome != proof.Valid || v.Level != proof.Witnessed {
		w.t.Errorf("the certificate of the console: %+v", v)
	}
	if !strings.Contains(file.header.Get("Content-Disposition"), "attachment") {
		w.t.Error("a certificate is not a file to keep")
	}
}

// TestVerdicts: the page of the verifier has a sentence for each outcome, level and reservation that the verifier gives.
func TestVerdicts(t *testing.T) {
	var raw []byte
	for _, name := range []string{"verify.mjs", "majorities.mjs"} { // those that judge certificates
		b, err := verifyjs.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		raw = append(raw, b...)
	}
	words, found := console.Words("en"), 0
	for form, prefix := range map[string]string{`(?:reservations|words)\.push\('([a-z-]+)'`: "verify.reservation.",
		`level = '([a-z-]+)'`: "verify.level.", `return '(witnessed)'`: "verify.level.", `'(valid[a-z-]*|invalid|refused-[a-z]+)'`: "verify.outcome."} {
		for _, m := range regexp.MustCompile(form).FindAllStringSubmatch(string(raw), -1) {
			found++
			if words[prefix+m[1]] == "" {
				t.Errorf("there is no sentence for %s", m[1])
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d words were found", found)
	}
}

// TestSentences: both languages have the same sentences with the same blanks, all of which are used.
func TestSentences(t *testing.T) {
	blanks := regexp.MustCompile(`%[a-z%]`)
	en, zh := console.Words("en"), console.Words("zh")
	for key, text := range en {
		other, ok := zh[key]
		if !ok || !slices.Equal(blanks.FindAllString(text, -1), blanks.FindAllString(other, -1)) {
			t.Errorf("%s is %q and %q", key, text, other)
		}
		if !regexp.MustCompile(`\p{Han}`).MatchString(other) && other != text {
			t.Errorf("%s is not Chinese: %q", key, other)
		}
	}
	if len(zh) != len(en) || len(en) < 100 {
		t.Errorf("%d and %d sentences", len(en), len(zh))
	}
}
