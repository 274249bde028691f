package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"ltl/client"
	"ltl/client/proof"
	verifyjs "ltl/client/verify-js"
	"ltl/internal/rules"
)

// verifier is the page that checks certificates in the browser, as one file. It is the same bytes wherever it is served,
// but for the certificate and the trust file that it may begin with.
type verifier struct {
	before, after string
	// policy is the Content-Security-Policy with the hashes of its script and style.
	policy string
}

// modules are the modules of the verifier, each after those that it imports.
func modules() []string {
	return []string{"primitives", "ed25519", "json", "payload", "trust", "checkpoint", "majorities",
		"consistency", "verify"}
}

// import and export statements of the modules. Within one script the names are those of the script.
var (
	importStatement = regexp.MustCompile(`(?m)^import \{[^}]*\}\s+from '\./[a-z0-9-]+\.mjs'\n`)
	exportWord      = regexp.MustCompile(`(?m)^export (const|let|class|function|async function) `)
	exportList      = regexp.MustCompile(`(?m)^export \{[^}]*\}\n`)
)

// bundle joins the verifier's modules to one script.
func bundle() (string, error) {
	var b strings.Builder
	for _, name := range modules() {
		raw, err := verifyjs.Files.ReadFile(name + ".mjs")
		if err != nil {
			return "", err
		}
		text := importStatement.ReplaceAllString(string(raw), "")
		text = exportList.ReplaceAllString(exportWord.ReplaceAllString(text, "$1 "), "")
		b.WriteString(text)
	}
	return b.String(), nil
}

// slot is where a page that is served gets the certificate that it begins with.
const slot = "<!-- certificate -->"

// loadVerifier makes the page.
func loadVerifier(p *pages) (*verifier, error) {
	checks, err := bundle()
	if err != nil {
		return nil, err
	}
	page, err := web.ReadFile("web/verify.mjs")
	if err != nil {
		return nil, err
	}
	style, err := web.ReadFile("web/verify.css")
	if err != nil {
		return nil, err
	}
	words, err := json.Marshal(verifierWords(p)) // it escapes <, > and &
	if err != nil {
		return nil, err
	}
	script := "\n" + checks + string(page) + "\nstart(" + string(words) + ")\n"
	if strings.Contains(script, "</script") || strings.Contains(string(style), "</style") {
		return nil, errors.New("console: the verifier's script would end its own element")
	}
	policy := "default-src 'none'; script-src 'sha256-" + sum(script) + "'; style-src 'sha256-" + sum(string(style)) +
		"'; connect-src 'none'; form-action 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
	whole := "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n" +
		"<meta http-equiv=\"Content-Security-Policy\" content=\"" + policy + "\">\n" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>LTL</title>\n<style>" +
		string(style) + "</style>\n</head>\n<body>\n<noscript>This page checks certificates with a script. " +
		"此页面需要脚本来验证证书。</noscript>\n<main id=\"page\"></main>\n" + slot + "\n<script type=\"module\">" + script +
		"</script>\n</body>\n</html>\n"
	before, after, _ := strings.Cut(whole, slot)
	return &verifier{before: before, after: after, policy: policy + "; frame-ancestors 'none'"}, nil
}

func sum(s string) string {
	h := sha256.Sum256([]byte(s))
	return base64.StdEncoding.EncodeToString(h[:])
}

// verifierWords are the sentences of the page, by language.
func verifierWords(p *pages) map[string]map[string]string {
	out := map[string]map[string]string{}
	for lang, words := range p.words {
		out[lang] = map[string]string{}
		for key, text := range words {
			if name, ok := strings.CutPrefix(key, "verify."); ok {
				out[lang][name] = text
			}
		}
	}
	return out
}

// given is what the page begins with. All texts are of characters that need no escapes in HTML.
type given struct {
	Lang string `json:"lang"`
	// Certificate and Trust are Base64; empty for none.
	Certificate string `json:"certificate,omitempty"`
	Trust       string `json:"trust,omitempty"`
}

// serveVerifier writes the page.
func (v *visit) serveVerifier(g given, attachment bool) (*view, error) {
	g.Lang = v.lang
	data, err := json.Marshal(g)
	if err != nil {
		return nil, err
	}
	h := v.w.Header()
	h.Set("Content-Security-Policy", v.checker.policy)
	h.Set("Content-Type", "text/html; charset=utf-8")
	if attachment {
		h.Set("Content-Disposition", `attachment; filename="verify.html"`)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s<script type=\"application/json\" id=\"given\">%s</script>%s", v.checker.before, data,
		v.checker.after)
	_, _ = v.w.Write(b.Bytes()) // an error means that the visitor has disconnected
	return nil, errAnswered
}

// verifyPage is the page for any certificate, verifyFile the same as a file to keep.
func (v *visit) verifyPage() (*view, error) { return v.serveVerifier(given{}, false) }

func (v *visit) verifyFile() (*view, error) { return v.serveVerifier(given{}, true) }

// verifyHere is the page with the certificate of one transaction, and the trust file that this facade has.
func (v *visit) verifyHere() (*view, error) {
	file, _, err := v.makeCertificate()
	if err != nil {
		return nil, err
	}
	trust, err := v.presentTrust()
	if err != nil {
		return nil, err
	}
	return v.serveVerifier(given{Certificate: base64.StdEncoding.EncodeToString(file),
		Trust: base64.StdEncoding.EncodeToString(trust)}, false)
}

// certificate serves the certificate of a transaction that the account may see.
func (v *visit) certificate() (*view, error) {
	file, id, err := v.makeCertificate()
	if err != nil {
		return nil, err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="ltl-certificate-`+id[:16]+`.json"`)
	_, _ = v.w.Write(file)
	return nil, errAnswered
}

// trustFile serves the network's trust file as this facade has it.
func (v *visit) trustFile() (*view, error) {
	trust, err := v.presentTrust()
	if err != nil {
		return nil, err
	}
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="ltl-trust-`+v.network[:16]+`.json"`)
	_, _ = v.w.Write(trust)
	return nil, errAnswered
}

// makeCertificate makes the certificate of the transaction that the path names. The parameters data and seq choose one
// record of an upload of several; without them it is the first.
func (v *visit) makeCertificate() (file []byte, id string, err error) {
	found, err := v.wanted()
	if err != nil {
		return nil, "", err
	}
	select {
	case v.certificates <- struct{}{}:
		defer func() { <-v.certificates }()
	default:
		return nil, "", &failure{status: http.StatusServiceUnavailable, key: "error.busy"}
	}
	q := v.r.URL.Query()
	dataKey, seq := q.Get("data"), q.Get("seq")
	if items := found.tx.GetUploadPhaseData().GetItems(); len(items) > 0 && dataKey == "" {
		dataKey, seq = items[0].GetDataKey(), rules.DataSeqs(found.id, items)[0]
	}
	c, err := v.ledger.Certificate(v.r.Context(), found.id, dataKey, seq)
	if errors.Is(err, client.ErrNotRecorded) {
		return nil, "", errNothing
	}
	if err != nil {
		return nil, "", err
	}
	trust, err := v.presentTrust()
	if err != nil {
		return nil, "", err
	}
	t, err := proof.ParseTrust(trust)
	if err != nil {
		return nil, "", err
	}
	// Without a checkpoint the certificate shows less, and says so itself.
	if err := v.ledger.Certify(v.r.Context(), c, t); err != nil {
		v.logger.Warn("a certificate gets no checkpoint, or signers contradict each other", "error", err)
	}
	if c.Info, err = json.Marshal(map[string]string{"network": v.name}); err != nil {
		return nil, "", err
	}
	if file, err = c.Encode(); err != nil {
		return nil, "", err
	}
	verdict := proof.Verify(file, t)
	return file, hex.EncodeToString(found.id[:]), errorOf(verdict.Failure)
}

// errorOf keeps a certificate back that this facade could not verify itself.
func errorOf(f *proof.Failure) error {
	if f == nil {
		return nil
	}
	return fmt.Errorf("a node's answer does not verify; audit the nodes: %w", f)
}

// presentTrust is the trust file with the keys of today.
func (v *visit) presentTrust() ([]byte, error) {
	keys, err := v.ledger.PresentKeys(v.r.Context())
	if err != nil {
		return nil, err
	}
	return v.cfg.Trust.With(keys)
}
