package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

//go:embed web
var web embed.FS

// view is what a page shows.
type view struct {
	// name is that of the template, title the key of the page's heading, data what the template shows.
	name, title string
	data        any
}

// frame is what every template gets.
type frame struct {
	Lang, Theme, Title string
	NetworkName        string
	NetworkID          string
	Account, KeyID     string
	SignedIn           bool
	Chain              *reader
	Path, Query        string
	// Own is set in the console of an organisation: whose copy it shows, to whom.
	Own  *ownFrame
	Data any
	// Refused says why the form that was sent was refused; Sent is what it had. Done is the height of the block that holds
	// what another one changed; empty for none.
	Refused *Refusal
	Sent    url.Values
	Done    string
}

// languages of the console, the first for browsers that ask for none of them.
func languages() []string { return []string{"en", "zh"} }

// languageOf is the language that the visitor chose, else the first one that the browser asks for.
func languageOf(r *http.Request) string {
	if c, err := r.Cookie("ltl-lang"); err == nil && (c.Value == "en" || c.Value == "zh") {
		return c.Value
	}
	for tag := range strings.SplitSeq(r.Header.Get("Accept-Language"), ",") {
		tag = strings.ToLower(strings.TrimSpace(tag))
		for _, known := range languages() {
			if strings.HasPrefix(tag, known) {
				return known
			}
		}
	}
	return languages()[0]
}

// themeOf is the theme that the visitor chose; auto follows the system.
func themeOf(r *http.Request) string {
	if c, err := r.Cookie("ltl-theme"); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return "auto"
}

// settings stores language and theme, and goes back to the page that asked.
func (v *visit) settings() (*view, error) {
	q := v.r.URL.Query()
	for name, values := range map[string][]string{"lang": languages(), "theme": {"auto", "light", "dark"}} {
		for _, value := range values {
			if q.Get(name) == value {
				http.SetCookie(v.w, &http.Cookie{Name: "ltl-" + name, Value: value, Path: Prefix, MaxAge: 365 * 24 * 3600,
					HttpOnly: true, Secure: v.cfg.TLS, SameSite: http.SameSiteLaxMode})
			}
		}
	}
	back := ownPath(q.Get("back"))
	if back == "" {
		back = Prefix
	}
	http.Redirect(v.w, v.r, back, http.StatusSeeOther)
	return nil, errAnswered
}

// pages are the templates by language and name, and the sentences by language.
type pages struct {
	templates map[string]map[string]*template.Template
	words     map[string]map[string]string
}

// loadPages parses all templates.
func loadPages(assets map[string]asset) (*pages, error) {
	p := &pages{templates: map[string]map[string]*template.Template{}, words: map[string]map[string]string{}}
	files, err := fs.Glob(web, "web/*.tmpl")
	if err != nil {
		return nil, err
	}
	for _, lang := range languages() {
		raw, err := web.ReadFile("web/" + lang + ".json")
		if err != nil {
			return nil, err
		}
		words := map[string]string{}
		if err := json.Unmarshal(raw, &words); err != nil {
			return nil, fmt.Errorf("console: sentences of %s: %w", lang, err)
		}
		p.words[lang], p.templates[lang] = words, map[string]*template.Template{}
		frame, err := template.New("frame.tmpl").Option("missingkey=error").Funcs(functions(words, assets)).
			ParseFS(web, "web/frame.tmpl")
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name := strings.TrimSuffix(path.Base(file), ".tmpl")
			if name == "frame" {
				continue
			}
			one, err := template.Must(frame.Clone()).ParseFS(web, file)
			if err != nil {
				return nil, err
			}
			p.templates[lang][name] = one
		}
	}
	return p, nil
}

// functions are what templates call. t is the sentence with that key, in the language of the page.
func functions(words map[string]string, assets map[string]asset) template.FuncMap {
	sentence := func(key string, args ...any) (string, error) {
		text, ok := words[key]
		if !ok {
			return "", fmt.Errorf("there is no sentence %q", key)
		}
		if len(args) > 0 {
			return fmt.Sprintf(text, args...), nil
		}
		return text, nil
	}
	return template.FuncMap{
		"t": sentence,
		"asset": func(name string) (string, error) {
			a, ok := assets[name]
			if !ok {
				return "", fmt.Errorf("there is no asset %q", name)
			}
			return Prefix + "assets/" + a.path, nil
		},
		"nonce":       newNonce,
		"accountType": func(kind ltlv1.AccountType) string { return enumKey("account.type.", kind) },
		"about":       func(chain string, it any) about { return about{chain, it} },
		"hex":         hex.EncodeToString,
		"short":       short,
		"time":        func(ms int64) time.Time { return time.UnixMilli(ms).UTC() },
		"utc":         func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") + " UTC" },
		"iso":         func(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) },
		"count":       count,
		"size":        size,
		"path":        func(parts ...any) string { return Prefix + joinPath(parts) },
	}
}

// about is something on a chain.
type about struct {
	Chain string
	It    any
}

// joinPath joins escaped parts of a path.
func joinPath(parts []any) string {
	var out []string
	for _, p := range parts {
		out = append(out, url.PathEscape(fmt.Sprint(p)))
	}
	return strings.Join(out, "/")
}

func queryEscape(s string) string { return url.QueryEscape(s) }

// short is the beginning of a long identifier.
func short(s string) string {
	if len(s) <= 12 {
		return s
	}
	return s[:12] + "…"
}

// count writes a number with a space after each three digits.
func count(n any) string {
	s := fmt.Sprint(n)
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && (len(s)-i)%3 == 0 {
			b.WriteString("\u202f")
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// size writes a number of bytes.
func size(n uint64) string {
	const step = 1 << 10
	unit, f := 0, float64(n)
	for f >= step && unit < 5 {
		f, unit = f/step, unit+1
	}
	if unit == 0 {
		return count(n) + " B"
	}
	return strconv.FormatFloat(f, 'f', 1, 64) + " " + []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}[unit]
}

// errAnswered says that the answer was written already.
var errAnswered = errors.New("answered")

// errNothing is the answer to what there is not, and to what the visitor may not see.
var errNothing = &failure{status: http.StatusNotFound, key: "error.nothing"}

// failure is a page that says what went wrong. key names the sentence.
type failure struct {
	status int
	key    string
	// code and detail are those of a refusal by the API.
	code, detail string
}

// Error is the key of the failure's sentence.
func (f *failure) Error() string { return f.key }

// failureView is the page of a failure.
type failureView struct{ Key, Code, Detail, Request string }

// failureOf turns an error into a page.
func (v *visit) failureOf(err error) *failure {
	var f *failure
	var refusal *Refusal
	switch {
	case errors.As(err, &f):
		return f
	case errors.As(err, &refusal) && refusal.Code == "Throttling":
		return &failure{status: http.StatusTooManyRequests, key: "error.throttled", code: refusal.Code, detail: refusal.Message}
	case errors.As(err, &refusal) && refusal.Code == "404":
		return errNothing
	case errors.As(err, &refusal):
		return &failure{status: http.StatusConflict, key: "error.refused", code: refusal.Code, detail: refusal.Message}
	case errors.Is(err, ErrUnavailable), errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrClosed),
		errors.Is(err, client.ErrOverloaded), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &failure{status: http.StatusServiceUnavailable, key: "error.unavailable"}
	}
	return &failure{status: http.StatusInternalServerError, key: "error.internal"}
}

// fail answers with the page of an error.
func (v *visit) fail(err error) {
	if errors.Is(err, errAnswered) {
		return
	}
	f := v.failureOf(err)
	request := strconv.FormatInt(time.Now().UnixNano(), 36)
	if f.status == http.StatusInternalServerError {
		v.logger.Error("a page of the console failed", "request", request, "error", err)
	}
	v.render(f.status, &view{name: "error", title: "error.title",
		data: &failureView{Key: f.key, Code: f.code, Detail: f.detail, Request: request}})
}

// render writes a page. Nothing is written before all of it is made.
func (v *visit) render(status int, page *view) {
	out := &frame{Lang: v.lang, Theme: v.theme, Title: page.title, NetworkName: v.name, NetworkID: v.network,
		Chain: v.chain, Path: v.r.URL.RequestURI(), Data: page.data}
	if v.session != nil {
		out.SignedIn, out.Account, out.KeyID = true, v.session.uid, v.session.token.KeyID
	}
	if v.own != nil && v.session != nil {
		out.Own, out.Account = v.ownFrame(), v.own.cfg.Identity.String()
	}
	if v.r.Method != http.MethodGet {
		out.Path = Prefix
	}
	out.Refused, out.Sent = v.refused, v.sent
	if done := v.r.URL.Query().Get("done"); heightForm.MatchString(done) && v.chain != nil {
		out.Done = done
	}
	out.Query = v.r.URL.Query().Get("q")
	var b bytes.Buffer
	if err := v.pages.templates[v.lang][page.name].ExecuteTemplate(&b, "frame.tmpl", out); err != nil {
		v.logger.Error("a template of the console failed; report it", "template", page.name, "error", err)
		http.Error(v.w, "This page has a fault; its operator's log says which.", http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Language", v.lang)
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // an error means that the visitor has disconnected
}

// asset is a file that pages use. Its path has its hash, so that browsers keep it.
type asset struct {
	path, kind string
	content    []byte
}

// loadAssets reads styles and scripts.
func loadAssets() (map[string]asset, error) {
	all := map[string]asset{}
	for _, name := range []string{"style.css", "console.mjs", "signin.mjs", "enter.mjs", "live.mjs"} {
		b, err := web.ReadFile("web/" + name)
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(b)
		ext := path.Ext(name)
		kind := mime.TypeByExtension(ext)
		if ext == ".mjs" {
			kind = "text/javascript; charset=utf-8"
		}
		all[name] = asset{path: base64.RawURLEncoding.EncodeToString(sum[:9]) + ext, kind: kind, content: b}
	}
	return all, nil
}

// asset serves a style or a script.
func (v *visit) asset() (*view, error) {
	for _, a := range v.assets {
		if a.path == v.r.PathValue("file") {
			h := v.w.Header()
			h.Set("Content-Type", a.kind)
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
			h.Set("Content-Length", strconv.Itoa(len(a.content)))
			_, _ = v.w.Write(a.content)
			return nil, errAnswered
		}
	}
	return nil, errNothing
}
