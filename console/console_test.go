package console_test

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"ltl/console"
)

// TestConsole runs the console of a facade on a whole network.
func TestConsole(t *testing.T) {
	w := newWorld(t)
	for _, part := range []struct {
		name string
		run  func(w *world)
	}{
		{"SignedOut", (*world).signedOut},
		{"SignIn", (*world).signInAttacks},
		{"Links", (*world).links},
		{"Acts", (*world).acts},
		{"Live", (*world).live},
		{"Pages", (*world).pages},
		{"Confinement", (*world).confinement},
		{"Search", (*world).search},
		{"Hosts", (*world).hosts},
		{"Scripts", (*world).scripts},
		{"Sessions", (*world).sessions},
		{"Organisation", (*world).organisation},
		{"Downloads", (*world).downloads},
		{"Broken", (*world).broken},
	} {
		t.Run(part.name, func(t *testing.T) {
			w.t = t
			part.run(w)
		})
		w.t = t
	}
}

// paths are the addresses that a route has for the chains, blocks and transactions of the test.
func (w *world) paths(pattern string, ids []string) []string {
	var out []string
	for _, chain := range []string{w.proof.GetChainId(), w.group.GetChainId(), w.empty.GetChainId()} {
		path := strings.ReplaceAll(pattern, "{chain}", chain)
		path = strings.NewReplacer("sources/{group}", "sources/"+w.sourceGroup, "groups/{group}", "groups/"+w.phaseGroup,
			"{member}", w.aMember).Replace(path)
		switch {
		case strings.Contains(path, "{height}"):
			for _, h := range []string{"0", "1", "2"} {
				out = append(out, strings.ReplaceAll(path, "{height}", h))
			}
		case strings.Contains(path, "{tx}"):
			for _, id := range ids {
				out = append(out, strings.ReplaceAll(path, "{tx}", id))
			}
		case path == pattern:
			return []string{path}
		default:
			out = append(out, path)
		}
	}
	return out
}

var hashInPage = regexp.MustCompile(`[0-9a-f]{64}`)

// transactions are the ids of all transactions of a chain, as its administrator sees them in the blocks.
func (w *world) transactions(chain string) []string {
	var ids []string
	seen := map[string]bool{}
	for h := 0; ; h++ {
		p := w.get(w.admin.browser, "/console/c/"+chain+"/blocks/"+itoa(h))
		if p.status != http.StatusOK {
			break
		}
		for n := range parsed(w.t, p.body).Descendants() {
			if href := attribute(n, "href"); n.Data == "a" && strings.Contains(href, "/r/") {
				if id := hashInPage.FindString(href); !seen[id] {
					seen[id] = true
					ids = append(ids, id)
				}
			}
		}
	}
	if len(ids) == 0 {
		w.t.Fatalf("chain %s shows no transaction to its administrator", chain)
	}
	return ids
}

// signedOut reads every page without a session: what is not open leads to the page for signing in.
func (w *world) signedOut() {
	for _, r := range console.Rows() {
		for _, path := range w.paths(r.Path, []string{strings.Repeat("ab", 32)}) {
			p := w.do(nil, r.Method, path, nil)
			w.checkHeaders(path, p)
			if r.Scope != "open" && (p.status != http.StatusSeeOther ||
				!strings.HasPrefix(p.header.Get("Location"), "/console/sign-in")) {
				w.t.Errorf("%s %s without a session: %d", r.Method, path, p.status)
			}
		}
	}
	for _, path := range []string{"/console/x", "/console/c", "/console/assets/../web/en.json", "/console/assets/x"} {
		if p := w.get(nil, path); p.status != http.StatusNotFound && p.status != http.StatusMovedPermanently &&
			p.status != http.StatusTemporaryRedirect {
			w.t.Errorf("%s: %d", path, p.status)
		}
	}
}

// pages reads every page in both languages as every kind of account.
func (w *world) pages() {
	people := []*person{w.admin, w.member, w.locked, w.outsider, w.none}
	for _, p := range people {
		w.signIn(p)
	}
	ids := append(w.transactions(w.proof.GetChainId())[:2], w.transactions(w.group.GetChainId())[0])
	for _, r := range console.Rows() {
		if r.Method != http.MethodGet || strings.Contains(r.Path, "{file}") || strings.HasSuffix(r.Path, "/live") {
			continue
		}
		for _, path := range w.paths(r.Path, ids) {
			for _, p := range people {
				languages := []string{"zh-CN", "en"}
				if strings.HasSuffix(path, "/certificate") || strings.HasSuffix(path, "/verify") {
					languages = languages[:1] // every node signs for each of these
				}
				for _, lang := range languages {
					w.checkPage(r, path, p, lang)
				}
			}
		}
	}
	// Lists with something in them, and those that a question leaves empty.
	for _, path := range []string{"/console/chains?by=name&value=proofs", "/console/chains?by=id&value=nothing",
		"/console/c/" + w.proof.GetChainId() + "/records?key=" + w.keyOf(w.member, "a"),
		"/console/c/" + w.proof.GetChainId() + "/records?key=" + w.keyOf(w.member, "none"),
		"/console/c/" + w.proof.GetChainId() + "/records?key=malformed",
		"/console/c/" + w.proof.GetChainId() + "/records?business=x&key=" + w.keyOf(w.member, "a"),
		"/console/c/" + w.group.GetChainId() + "/records?phase=" + w.phase + "&data=lorry-1",
		"/console/c/" + w.group.GetChainId() + "/records?phase=" + w.phase + "&data=none",
		"/console/c/" + w.proof.GetChainId() + "/blocks?height=1", "/console/search", "/console/search?q=nothing"} {
		for _, lang := range []string{"zh-CN", "en"} {
			p := w.get(w.member.browser, path, "Accept-Language", lang)
			if p.status != http.StatusOK {
				w.t.Errorf("%s: %d\n%s", path, p.status, p.body)
			}
			w.checkHTML(path, p, lang)
		}
	}
	if p := w.get(w.member.browser, "/console/c/"+w.group.GetChainId()+"/records?phase="+w.phase+"&data=lorry-1"); !strings.
		Contains(p.body, "shared by all members") {
		w.t.Error("a member does not see a record that the members share")
	}
}

// checkPage reads one page as one account, and compares its status with what the account may see.
func (w *world) checkPage(r console.Row, path string, p *person, lang string) {
	w.t.Helper()
	got := w.get(p.browser, path, "Accept-Language", lang)
	w.checkHeaders(path, got)
	may := true
	if r.Scope == "member" || r.Scope == "administrator" {
		may = p == w.admin || p == w.member && !strings.Contains(path, w.empty.GetChainId()) && r.Scope == "member"
	}
	switch {
	case !may && got.status != http.StatusNotFound:
		w.t.Errorf("%s as %s: %d, want 404", path, p.name, got.status)
	case may && strings.Contains(path, "{"):
		w.t.Errorf("the test does not fill in %s", path)
	case may && regexp.MustCompile("/(r|blocks|members|sources|groups)(/|$)|/records[.]").MatchString(path): // of this chain or not
		if got.status != http.StatusOK && got.status != http.StatusNotFound {
			w.t.Errorf("%s as %s: %d\n%s", path, p.name, got.status, got.body)
		}
	case may && got.status != http.StatusOK && got.status != http.StatusSeeOther:
		w.t.Errorf("%s as %s: %d\n%s", path, p.name, got.status, got.body)
	}
	if got.status != http.StatusSeeOther && strings.HasPrefix(got.header.Get("Content-Type"), "text/html") && !strings.Contains(path, "verify") {
		w.checkHTML(path, got, lang)
	}
}

// checkHeaders checks what every answer has.
func (w *world) checkHeaders(path string, p *page) {
	w.t.Helper()
	policy := p.header.Get("Content-Security-Policy")
	for _, part := range []string{"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'",
		"require-trusted-types-for 'script'"} {
		if !strings.Contains(policy, part) {
			w.t.Errorf("%s: the policy %q lacks %s", path, policy, part)
		}
	}
	if strings.Contains(policy, "unsafe") || strings.Contains(policy, "http:") || strings.Contains(policy, "*") {
		w.t.Errorf("%s: the policy is %q", path, policy)
	}
	for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin"} {
		if p.header.Get(name) != want {
			w.t.Errorf("%s: %s is %q, want %q", path, name, p.header.Get(name), want)
		}
	}
	if cache := p.header.Get("Cache-Control"); !strings.Contains(path, "/assets/") && cache != "no-store" {
		w.t.Errorf("%s may be cached: %q", path, cache)
	}
}

// checkHTML checks the form of a page: its language, one heading, a name for each control, no script or style in it.
func (w *world) checkHTML(path string, p *page, lang string) {
	w.t.Helper()
	labels, ids, headings := map[string]bool{}, map[string]int{}, 0
	var controls []*html.Node
	for n := range parsed(w.t, p.body).Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		if id := attribute(n, "id"); id != "" {
			ids[id]++
		}
		switch n.Data {
		case "html":
			if attribute(n, "lang") != lang {
				w.t.Errorf("%s is in %q, want %q", path, attribute(n, "lang"), lang)
			}
		case "h1":
			headings++
		case "label":
			labels[attribute(n, "for")] = true
		case "input", "select", "textarea":
			if attribute(n, "type") != "hidden" {
				controls = append(controls, n)
			}
		case "script":
			if attribute(n, "src") == "" {
				w.t.Errorf("%s has a script in it", path)
			}
		case "style":
			w.t.Errorf("%s has a style in it", path)
		}
		for _, a := range n.Attr {
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" || a.Key == "target" {
				w.t.Errorf("%s: <%s> has %s", path, n.Data, a.Key)
			}
		}
	}
	for _, c := range controls {
		if !labels[attribute(c, "id")] && attribute(c, "aria-label") == "" {
			w.t.Errorf("%s: a control %q has no name", path, attribute(c, "name"))
		}
	}
	for id, n := range ids {
		if n > 1 {
			w.t.Errorf("%s has %d times the id %s", path, n, id)
		}
	}
	if headings != 1 || strings.Contains(p.body, "%!") || strings.Contains(p.body, "ZgotmplZ") {
		w.t.Errorf("%s has %d headings, or a sentence that was not filled in:\n%s", path, headings, p.body)
	}
}

// search goes where a text leads.
func (w *world) search() {
	w.signIn(w.member)
	own := w.get(w.member.browser, "/console/c/"+w.proof.GetChainId()+"/records?key="+w.keyOf(w.member, "a"))
	id := hashInPage.FindString(own.body[strings.Index(own.body, "/r/"):])
	foreign := w.transactions(w.proof.GetChainId())
	for text, want := range map[string]string{
		id:                       "/r/" + id,
		strings.ToUpper(id):      "/r/" + id,
		foreign[0]:               "",
		strings.Repeat("0", 64):  "",
		"1":                      "/blocks/1",
		"99999":                  "",
		w.proof.GetChainId():     "/c/" + w.proof.GetChainId() + "/",
		w.empty.GetChainId():     "",
		"0000000000000000":       "",
		w.proof.GetChainCode():   "/c/" + w.proof.GetChainId() + "/",
		w.keyOf(w.member, "a"):   "/records?key=",
		"<script>alert(1)</scr":  "",
		strings.Repeat("x", 600): "",
	} {
		p := w.get(w.member.browser, "/console/search?chain="+w.proof.GetChainId()+"&q="+text)
		to := p.header.Get("Location")
		switch {
		case want == "" && (p.status != http.StatusOK || to != ""):
			w.t.Errorf("a search for %.40q leads to %q, %d", text, to, p.status)
		case want != "" && !strings.Contains(to, want):
			w.t.Errorf("a search for %.40q leads to %q, want %q", text, to, want)
		}
		if strings.Contains(p.body, "<script>alert") {
			w.t.Error("the text of a search is not escaped")
		}
	}
}

// hosts asks under names that are not this console's, and as pages of other origins do.
func (w *world) hosts() {
	for host, want := range map[string]int{"console.example": 200, "CONSOLE.example:443": 200, "localhost:9": 200,
		"127.0.0.1": 200, "[::1]:80": 200, "evil.example": 421, "localhost.evil.example": 421, "127.0.0.1.nip.example": 421} {
		if p := w.get(nil, "/console/verify", "Host", host); p.status != want {
			w.t.Errorf("as %s: %d, want %d", host, p.status, want)
		}
	}
	// Off this machine and without TLS a session is neither begun nor taken.
	p := w.get(nil, "/console/sign-in", "Host", "console.example")
	if strings.Contains(p.body, "<input id=\"secret\"") {
		w.t.Error("the page for signing in asks for a secret that could be read on the way")
	}
	if p := w.do(nil, http.MethodPost, "/console/sign-in", w.form(w.admin.key, w.admin.secret), "Host",
		"console.example", "Origin", "http://console.example"); p.status != http.StatusForbidden {
		w.t.Errorf("signing in without TLS: %d", p.status)
	}
	// Forms that come slowly take no place from others.
	for range 80 {
		c, err := net.Dial("tcp", w.facade.Addr())
		if err != nil {
			w.t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST /console/sign-in HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"+
			"Content-Type: application/x-www-form-urlencoded\r\n\r\nid=")
	}
	if p := w.get(nil, "/console/verify"); p.status != http.StatusOK {
		w.t.Errorf("beside forms that come slowly: %d", p.status)
	}
	for _, header := range [][]string{
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"},
		{"Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"},
		{"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"},
	} {
		if p := w.get(w.admin.browser, "/console/", header...); p.status != http.StatusForbidden {
			w.t.Errorf("a request with %v: %d", header, p.status)
		}
	}
	if p := w.get(w.admin.browser, "/console/", "Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate",
		"Sec-Fetch-Dest", "document"); p.status == http.StatusForbidden {
		w.t.Error("a link from elsewhere cannot be followed")
	}
	if p := w.do(w.admin.browser, http.MethodPost, "/console/sign-out", map[string][]string{}, "Origin",
		"http://evil.example"); p.status != http.StatusForbidden {
		w.t.Errorf("a form of another origin: %d", p.status)
	}
}
