package console

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"ltl/client"
	"ltl/internal/identity"
)

// Prefix is the path below which the console is served.
const Prefix = "/console/"

// Options are what an operator decides about the console.
type Options struct {
	// Hosts are the names, without a port, under which browsers may reach the console beside IP addresses and localhost.
	Hosts []string
	// TLS says that browsers reach the facade over TLS. BehindTLS says that they do so through a proxy, which adds their
	// address to X-Forwarded-For.
	TLS, BehindTLS bool
	// Trust is the network's trust, for certificates.
	Trust *identity.Trust
}

// Config configures a console. All fields but Logger are required.
type Config struct {
	Options
	// Client reads from the network. The console does not close it.
	Client *client.Client
	// SealingKey is the secret that all facades of the organisation share; sessions are sealed under a key derived from it.
	SealingKey []byte
	// Facade is what the console needs of its facade.
	Facade Facade
	// Clock is the time by which sessions end.
	Clock func() time.Time
	// Logger gets one line per event; by default slog.Default().
	Logger *slog.Logger
}

// Facade is what the console needs of its facade. The functions may be called concurrently.
type Facade struct {
	// Key finds an active AccessKey. It returns ErrNoKey for one that is unknown or not active, and ErrUnavailable while
	// the facade cannot tell.
	Key func(ctx context.Context, id string) (*Key, error)
	// Admit counts a request for an account until leave is called, as the API counts a call; it returns a Refusal when
	// the account has too many.
	Admit func(ctx context.Context, uid string) (leave func(), err error)
	// Act runs an Action that changes something, with all of the API's checks. A refusal is a Refusal.
	Act func(ctx context.Context, act Act) (Outcome, error)
}

// Key is an active AccessKey. Its secret stays in the facade.
type Key struct {
	ID, UID string
	// MAC is HMAC-SHA256 under the secret.
	MAC func(message string) []byte
}

// Act is one Action of an account.
type Act struct {
	UID, KeyID string
	// Nonce is the SignatureNonce: with one nonce an Action is executed once.
	Nonce string
	// Action is the name, Parameters are as in the API, without the common ones.
	Action     string
	Parameters map[string]string
}

// Outcome is what an Action did.
type Outcome struct {
	// Text is the Data of the answer.
	Text string
	// Height is that of the block that holds it.
	Height uint64
}

// Errors of Facade.Key.
var (
	ErrNoKey       = errors.New("there is no such active AccessKey")
	ErrUnavailable = errors.New("AccessKeys cannot be looked up at the moment")
)

// Refusal is an Action or a request that was refused.
type Refusal struct {
	// Code and Message are those of the API.
	Code, Message string
}

// Error is the code and the message.
func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// Console serves the pages. Its methods may be called concurrently.
type Console struct {
	cfg Config
	// own is set in the console of an organisation.
	own     *organisation
	ledger  *client.Ledger
	clock   func() time.Time
	logger  *slog.Logger
	network string // the network's id, in hexadecimal digits
	name    string // the network's name
	pages   *pages
	seal    *sealer
	mux     *http.ServeMux
	cross   *http.CrossOriginProtection
	assets  map[string]asset
	checker *verifier
	hub     *hub

	active, certificates chan struct{}
	addresses, keys      *attempts
	// used are the challenges and links that were used, ended the sessions that signed out.
	used, ended *remembered
}

// New creates a console.
func New(cfg Config) (*Console, error) { return build(cfg, nil, routes()) }

// build makes a console that answers the routes, that of an organisation where own is given.
func build(cfg Config, own *organisation, table []route) (*Console, error) {
	if cfg.Client == nil || cfg.Trust == nil || cfg.Facade.Key == nil || cfg.Clock == nil {
		return nil, errors.New("console: Config.Client, Trust, Facade and Clock are required")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	cfg.TLS = cfg.TLS || cfg.BehindTLS
	id := cfg.Trust.NetworkID()
	seal, err := newSealer(cfg.SealingKey, id[:])
	if err != nil {
		return nil, err
	}
	c := &Console{
		cfg: cfg, own: own, ledger: cfg.Client.Ledger(), clock: cfg.Clock, logger: cfg.Logger,
		network: fmt.Sprintf("%x", id[:]), name: cfg.Trust.Genesis().GetNetwork(), seal: seal, mux: http.NewServeMux(),
		cross: http.NewCrossOriginProtection(), active: make(chan struct{}, maxActive),
		certificates: make(chan struct{}, maxCertificates), addresses: newAttempts(maxPerAddress),
		keys: newAttempts(maxPerKey), used: newRemembered(), ended: newRemembered(),
	}
	if own != nil {
		c.ledger = c.ledger.At(own.endorser())
	}
	c.hub = newHub(c.followNetwork)
	if c.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if c.pages, err = loadPages(c.assets); err != nil {
		return nil, err
	}
	if c.checker, err = loadVerifier(c.pages); err != nil {
		return nil, err
	}
	for _, r := range table {
		c.mux.HandleFunc(r.pattern, func(w http.ResponseWriter, q *http.Request) { c.serve(w, q, &r) })
	}
	return c, nil
}

// scope says who may see what a route serves.
type scope uint8

const (
	// open is for all, signedIn for holders of an AccessKey, member for those of the chain in the path that are not locked
	// there, administrator for its administrator. All others get the same answer as for what does not exist.
	open scope = iota
	signedIn
	member
	administrator
)

// route is one row of the table of pages.
type route struct {
	// pattern is one of http.ServeMux; {chain} in it is a chain's id.
	pattern string
	scope   scope
	run     func(*visit) (*view, error)
}

// sharedRoutes are what every console answers: signing in, settings, the files of the pages, and the verifier.
func sharedRoutes() []route {
	return []route{
		{"GET /console/sign-in", open, (*visit).signInPage},
		{"POST /console/sign-in", open, (*visit).signIn},
		{"GET /console/enter", open, (*visit).enterPage},
		{"POST /console/sign-out", signedIn, (*visit).signOut},
		{"GET /console/settings", open, (*visit).settings},
		{"GET /console/assets/{file}", open, (*visit).asset},
		{"GET /console/verify", open, (*visit).verifyPage},
		{"GET /console/verify.html", open, (*visit).verifyFile},
		{"GET /console/trust.json", signedIn, (*visit).trustFile},
	}
}

// routes is the table of all that the console of accounts answers.
func routes() []route {
	return append(sharedRoutes(), []route{
		{"GET /console/{$}", signedIn, (*visit).overview},
		{"GET /console/chains", signedIn, (*visit).chains},
		{"GET /console/search", signedIn, (*visit).search},
		{"GET /console/c/{chain}/{$}", member, (*visit).chainPage},
		{"GET /console/c/{chain}/records", member, (*visit).records},
		{"GET /console/c/{chain}/records.csv", member, (*visit).recordsCSV},
		{"GET /console/c/{chain}/records.json", member, (*visit).recordsJSON},
		{"GET /console/c/{chain}/r/{tx}", member, (*visit).transaction},
		{"GET /console/c/{chain}/r/{tx}/certificate", member, (*visit).certificate},
		{"GET /console/c/{chain}/r/{tx}/verify", member, (*visit).verifyHere},
		{"GET /console/c/{chain}/blocks", member, (*visit).blocks},
		{"GET /console/c/{chain}/blocks/{height}", member, (*visit).block},
		{"GET /console/c/{chain}/live", member, (*visit).live},
		{"GET /console/c/{chain}/members", administrator, (*visit).members},
		{"POST /console/c/{chain}/members", administrator, change((*visit).members, "CreateMember", "LockMember",
			"UnLockMember")},
		{"GET /console/c/{chain}/members/{member}", administrator, (*visit).memberPage},
		{"POST /console/c/{chain}/members/{member}", administrator, change((*visit).memberPage, "ModifyMember")},
		{"GET /console/c/{chain}/sources", member, (*visit).sources},
		{"POST /console/c/{chain}/sources", member, change((*visit).sources, "RegisterDeviceGroup",
			"AuthorizeDeviceGroup", "UnAuthorizeDeviceGroup")},
		{"GET /console/c/{chain}/sources/{group}", member, (*visit).devices},
		{"POST /console/c/{chain}/sources/{group}", administrator, change((*visit).devices, "AuthorizeDevice",
			"UnAuthorizeDevice")},
		{"GET /console/c/{chain}/groups", member, (*visit).groups},
		{"POST /console/c/{chain}/groups", administrator, change((*visit).groups, "CreateMPCoSPhaseGroup")},
		{"GET /console/c/{chain}/groups/{group}", member, (*visit).group},
		{"POST /console/c/{chain}/groups/{group}", administrator, change((*visit).group, "ModifyMPCoSPhaseGroup",
			"CreateMPCoSPhase", "ModifyMPCoSPhase", "UpdateMPCoSAuthorizedInfo")},
		{Prefix, open, (*visit).nothing},
	}...)
}

// visit is one request.
type visit struct {
	*Console
	w       http.ResponseWriter
	r       *http.Request
	lang    string
	theme   string
	session *session // nil where none is valid
	chain   *reader  // the chain in the path, as the account sees it; nil without one
	// release gives back the request's place among those under way, before it ends.
	release func()
	// leave ends the count of the request for its account, before it ends.
	leave func()
	// passive is set for a request that is no activity of the session.
	passive bool
	// refused is why the ledger refused the form that was sent; nil for none.
	refused *Refusal
	sent    url.Values
}

// ServeHTTP answers a request whose path begins with Prefix.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cache-Control", "no-store")
	v := &visit{Console: c, w: w, r: r, lang: languageOf(r), theme: themeOf(r)}
	switch {
	case !c.knownHost(r.Host):
		v.fail(&failure{status: http.StatusMisdirectedRequest, key: "error.host"})
	case len(r.URL.RawQuery) > maxQuery:
		v.fail(&failure{status: http.StatusRequestURITooLong, key: "error.long"})
	case c.foreign(r):
		v.fail(&failure{status: http.StatusForbidden, key: "error.foreign"})
	default:
		c.mux.ServeHTTP(w, r)
	}
}

// pagePolicy lets a page use what this server sends, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; frame-ancestors 'none'; base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// knownHost reports whether a request names this console's host. A name that is not known may be one that a page of
// somewhere else made to lead here; an IP address cannot.
func (c *Console) knownHost(hostport string) bool {
	host := hostOf(hostport)
	if host == "localhost" || slices.Contains(c.cfg.Hosts, host) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// hostOf is the host without the port, in lower case.
func hostOf(hostport string) string {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	return strings.ToLower(strings.Trim(host, "[]"))
}

// loopback reports whether a host is this machine itself.
func loopback(hostport string) bool {
	host := hostOf(hostport)
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// foreign reports whether a page of another origin made the request, in any other way than by a link that was followed.
func (c *Console) foreign(r *http.Request) bool {
	if c.cross.Check(r) != nil {
		return true
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "" || site == "same-origin" || site == "none" {
		return false
	}
	return r.Method != http.MethodGet || r.Header.Get("Sec-Fetch-Mode") != "navigate" ||
		r.Header.Get("Sec-Fetch-Dest") != "document"
}

// origin is what a browser calls the origin of this console.
func (v *visit) origin() string {
	if v.cfg.TLS {
		return "https://" + v.r.Host
	}
	return "http://" + v.r.Host
}

// secure reports whether a secret's HMAC and the cookie may travel to the browser and back: over TLS, or on one machine.
func (v *visit) secure() bool { return v.cfg.TLS || loopback(v.r.Host) }

// serve runs one route.
func (c *Console) serve(w http.ResponseWriter, r *http.Request, route *route) {
	streams := strings.HasSuffix(route.pattern, "/live")
	if !streams {
		ctx, cancel := context.WithTimeout(r.Context(), requestTime)
		defer cancel()
		r = r.WithContext(ctx)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(requestTime)) // else the server's own holds
	v := &visit{Console: c, w: w, r: r, lang: languageOf(r), theme: themeOf(r), passive: streams}
	defer func() {
		if p := recover(); p != nil {
			c.logger.Error("panic in the console; report it with the stack", "path", route.pattern, "panic", p,
				"stack", string(debug.Stack()))
			v.fail(&failure{status: http.StatusInternalServerError, key: "error.internal"})
		}
	}()
	// A form is read first: who sends it slowly takes no place.
	if err := r.ParseForm(); err != nil {
		v.fail(&failure{status: http.StatusBadRequest, key: "error.form"})
		return
	}
	select {
	case c.active <- struct{}{}:
		v.release = sync.OnceFunc(func() { <-c.active })
		defer v.release()
	default:
		v.fail(&failure{status: http.StatusServiceUnavailable, key: "error.busy"})
		return
	}
	page, err := v.run(route)
	switch {
	case err != nil:
		v.fail(err)
	case page != nil:
		v.render(http.StatusOK, page)
	}
}

// run checks who asks, and runs the route.
func (v *visit) run(route *route) (*view, error) {
	var err error
	v.session, err = v.resume()
	if route.scope == open { // also while AccessKeys cannot be looked up
		return route.run(v)
	}
	if err != nil {
		return nil, err
	}
	if v.session == nil {
		return nil, v.sendToSignIn()
	}
	leave, err := v.cfg.Facade.Admit(v.r.Context(), v.session.uid)
	if err != nil {
		return nil, err
	}
	v.leave = sync.OnceFunc(leave)
	defer v.leave()
	if route.scope >= member {
		if v.chain, err = v.readChain(v.r.PathValue("chain")); err != nil {
			return nil, err
		}
	}
	if route.scope == administrator && !v.chain.administrator {
		return nil, errNothing
	}
	return route.run(v)
}

// sendToSignIn sends the browser to the page for signing in, and from there back. A form that was sent without a session
// is not repeated.
func (v *visit) sendToSignIn() error {
	to := Prefix + "sign-in"
	if v.r.Method == http.MethodGet && v.r.URL.Path != Prefix {
		to += "?next=" + queryEscape(v.r.URL.RequestURI())
	}
	http.Redirect(v.w, v.r, to, http.StatusSeeOther)
	return errAnswered
}

// nothing is the answer to every other path.
func (v *visit) nothing() (*view, error) { return nil, errNothing }
