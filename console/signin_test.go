package console_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"ltl/console"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
)

func itoa(n int) string { return strconv.Itoa(n) }

// post sends a form for signing in. The bounds on attempts are of the minute, so that each attempt is in one of its own.
func (w *world) post(b *http.Client, form url.Values, header ...string) *page {
	w.t.Helper()
	w.ahead.Add(int64(61 * time.Second))
	return w.do(b, http.MethodPost, "/console/sign-in", form, header...)
}

// attempt is an attempt to sign in that must fail.
type attempt struct {
	what string
	form url.Values
}

// refused makes attempts at the same time, and returns what the pages say of them.
func (w *world) refused(attempts ...attempt) (words []string) {
	w.t.Helper()
	w.ahead.Add(int64(61 * time.Second))
	said := make([]string, len(attempts))
	var all sync.WaitGroup
	for i, a := range attempts {
		all.Go(func() {
			began := time.Now()
			p := w.do(browser(w.t), http.MethodPost, "/console/sign-in", a.form)
			if p.status != http.StatusForbidden || len(p.header.Values("Set-Cookie")) > 0 {
				w.t.Errorf("%s: %d, %v", a.what, p.status, p.header.Values("Set-Cookie"))
			}
			if took := time.Since(began); took < 600*time.Millisecond {
				w.t.Errorf("%s is refused after %v, sooner than others", a.what, took)
			}
			_, after, _ := strings.Cut(p.body, `role="alert">`)
			said[i], _, _ = strings.Cut(after, "<")
		})
	}
	all.Wait()
	return said
}

// signInAttacks are attempts to sign in that must fail, all with the same words.
func (w *world) signInAttacks() {
	with := func(change func(url.Values)) url.Values {
		f := w.form(w.admin.key, w.admin.secret)
		change(f)
		return f
	}
	words := w.refused(
		attempt{"a wrong secret", w.form(w.admin.key, "wrong")},
		attempt{"an AccessKey that there is not", w.form("LTAInothing", w.admin.secret)},
		attempt{"another's AccessKey", w.form(w.member.key, w.admin.secret)},
		attempt{"no signature", with(func(f url.Values) { f.Del("mac") })},
		attempt{"a challenge that was made up", with(func(f url.Values) {
			f.Set("challenge", strings.Repeat("A", len(f.Get("challenge"))))
		})},
		attempt{"what was signed for another origin", with(func(f url.Values) {
			f.Set("mac", mac(w.admin.secret, console.SignInMessage(w.networkID(), "http://evil.example",
				f.Get("challenge"), w.admin.key)))
		})})
	old := w.form(w.admin.key, w.admin.secret)
	w.ahead.Add(int64(2 * time.Minute))
	used := w.form(w.admin.key, w.admin.secret)
	if p := w.do(browser(w.t), http.MethodPost, "/console/sign-in", used); p.status != http.StatusSeeOther {
		w.t.Fatalf("signing in: %d\n%s", p.status, p.body)
	}
	words = append(words, w.refused(attempt{"an old challenge", old}, attempt{"a challenge that was used", used})...)
	for _, said := range words {
		if said != words[0] || said == "" {
			w.t.Errorf("the failures say different things: %q", words)
		}
	}
	for next, want := range map[string]string{"/console/chains": "/console/chains", "//evil.example": "/console/",
		"https://evil.example/console/": "/console/", "/console/\\evil": "/console/", "/": "/console/"} {
		f := with(func(f url.Values) { f.Set("next", next) })
		if to := w.post(browser(w.t), f).header.Get("Location"); to != want {
			w.t.Errorf("after signing in with next=%q: to %q, want %q", next, to, want)
		}
	}
	w.rates()
}

// rates are more attempts than a minute has, of one AccessKey and then of one address. The API is not affected.
func (w *world) rates() {
	status := func(key string) int {
		return w.do(nil, http.MethodPost, "/console/sign-in", url.Values{"id": {key}}).status
	}
	of := func(key func(i int) string, n int) (attempts []attempt) {
		for i := range n {
			attempts = append(attempts, attempt{"attempt " + itoa(i), url.Values{"id": {key(i)}}})
		}
		return attempts
	}
	w.refused(of(func(int) string { return w.other.key }, 5)...)
	if got := status(w.other.key); got != http.StatusTooManyRequests {
		w.t.Errorf("attempt 6 of an AccessKey: %d", got)
	}
	w.refused(of(func(i int) string { return "key" + itoa(i) }, 10)...)
	if got := status("another"); got != http.StatusTooManyRequests {
		w.t.Errorf("attempt 11 of an address: %d", got)
	}
	w.call(w.other, "ListProofChain", map[string]string{"Num": "1", "Size": "10"})
	w.ahead.Add(int64(2 * time.Minute))
}

func (w *world) networkID() string {
	id := w.Trust().NetworkID()
	return strings.ToLower(hexOf(id[:]))
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	return s.String()
}

// links are one-time links: each works once, for the console and the time that it was made for.
func (w *world) links() {
	n := &localnet.Network{Console: w.origin + "/console/"}
	account := localnet.Account{AccessKeyID: w.member.key, AccessKeySecret: w.member.secret}
	parts := func(n *localnet.Network, at time.Time) url.Values {
		link, fragment, ok := strings.Cut(n.ConsoleLink(ledger.Hash(w.Trust().NetworkID()), account, at), "#")
		form, err := url.ParseQuery(fragment)
		if !ok || err != nil || !strings.HasSuffix(link, "/console/enter") {
			w.t.Fatalf("a link to %s with %s", link, fragment)
		}
		return form
	}
	if p := w.get(nil, "/console/enter"); p.status != http.StatusOK {
		w.t.Errorf("the page of links: %d", p.status)
	}
	w.ahead.Add(int64(61 * time.Second))
	form := parts(n, w.clock())
	for i, want := range []int{http.StatusSeeOther, http.StatusForbidden} {
		if p := w.do(browser(w.t), http.MethodPost, "/console/sign-in", form); p.status != want {
			w.t.Errorf("use %d of a link: %d, want %d", i+1, p.status, want)
		}
	}
	foreign := parts(n, w.clock())
	foreign.Set("id", w.admin.key)
	w.refused(
		attempt{"an old link", parts(n, w.clock().Add(-20*time.Minute))},
		attempt{"a link that lasts long", parts(n, w.clock().Add(time.Hour))},
		attempt{"a link of another console", parts(&localnet.Network{Console: "http://127.0.0.1:1/console/"}, w.clock())},
		attempt{"a link with another AccessKey", foreign})
}

// signedIn reports whether a browser has a session.
func (w *world) signedIn(b *http.Client) bool {
	w.t.Helper()
	return w.get(b, "/console/").status == http.StatusOK
}

// cookieOf is the session cookie of a browser.
func (w *world) cookieOf(b *http.Client) *http.Cookie {
	w.t.Helper()
	u, err := url.Parse(w.origin + "/console/")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range b.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, "ltl-") && len(c.Name) == 12 {
			return c
		}
	}
	w.t.Fatal("there is no cookie of a session")
	return nil
}

// with is a browser with one cookie.
func (w *world) with(c *http.Cookie) *http.Client {
	b := browser(w.t)
	u, err := url.Parse(w.origin + "/console/")
	if err != nil {
		w.t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	jar.SetCookies(u, []*http.Cookie{{Name: c.Name, Value: c.Value, Path: "/console/"}})
	b.Jar = jar
	return b
}

// sessions end: by their age, by idleness, by signing out, with the AccessKey.
func (w *world) sessions() {
	start := func(p *person) *http.Client {
		b := browser(w.t)
		if got := w.post(b, w.form(p.key, p.secret)); got.status != http.StatusSeeOther {
			w.t.Fatalf("%s cannot sign in: %d", p.name, got.status)
		}
		return b
	}
	b := start(w.outsider)
	stolen := w.cookieOf(b)
	if !w.signedIn(w.with(stolen)) {
		w.t.Fatal("the test cannot take a cookie")
	}
	for i := range len(stolen.Value) {
		changed := []byte(stolen.Value)
		if changed[i]++; i%7 == 0 && w.signedIn(w.with(&http.Cookie{Name: stolen.Name, Value: string(changed)})) {
			w.t.Errorf("a cookie with another character %d is taken", i)
		}
	}
	w.ahead.Add(int64(20 * time.Minute))
	if !w.signedIn(b) {
		w.t.Error("a session ends before 30 minutes are over")
	}
	w.ahead.Add(int64(20 * time.Minute))
	if !w.signedIn(b) {
		w.t.Error("a session that was used 20 minutes before ends")
	}
	if w.signedIn(w.with(stolen)) {
		w.t.Error("a cookie that was not used for 40 minutes is taken")
	}
	for range 21 {
		w.ahead.Add(int64(20 * time.Minute))
		w.signedIn(b)
	}
	if !w.signedIn(b) {
		w.t.Error("a session in use ends before 8 hours are over")
	}
	w.ahead.Add(int64(25 * time.Minute))
	if w.signedIn(b) {
		w.t.Error("a session is longer than 8 hours")
	}
	b = start(w.outsider)
	stolen = w.cookieOf(b)
	if p := w.do(b, http.MethodPost, "/console/sign-out", url.Values{}); p.status != http.StatusSeeOther || w.signedIn(b) ||
		w.signedIn(w.with(stolen)) {
		w.t.Error("signing out does not end the session")
	}
	b = start(w.none)
	w.Submit(identity.RoleOperator, w.disable(w.none))
	for range 100 {
		if !w.signedIn(b) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	w.t.Error("a session goes on with an AccessKey that is disabled")
}

// disable is the transaction that disables a person's AccessKey.
func (w *world) disable(p *person) *ltlv1.Transaction {
	out, err := w.Client(identity.RoleOperator).Ledger().ListAccessKeys(w.t.Context(), &ltlv1.ListAccessKeysRequest{
		AccountUid: p.uid, Page: 1, Size: 10})
	if err != nil || len(out.GetAccessKeys()) != 1 {
		w.t.Fatalf("%v, %v", out, err)
	}
	k := out.GetAccessKeys()[0]
	return insider.PutAccessKey(p.uid, p.key, ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED, k.GetVersion()+1,
		ledger.Hash(k.GetCommitment()))
}
