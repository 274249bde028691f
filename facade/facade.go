// Package facade serves the LTL HTTP API: it authenticates a call by its AccessKey, turns its Action into a
// transaction or a read of the network, and writes the response in the form that existing LTL clients expect. It
// stores no ledger.
//
// A call passes these files, in this order:
//
//	tls.go           HTTPS, where it is on
//	gate.go          bounds on connections and on long headers, before authentication; memory.go on bodies and answers
//	serve.go         the HTTP handler; limits on the calls under way
//	request.go       the parameters of query and body
//	authenticate.go  AccessKey, signature (acs3.go for signatures in headers), time, nonce; access_keys.go holds the keys
//	actions.go       the table of the 45 Actions
//	fairness.go      what an account and a chain may take
//	call.go          the checks that all Actions share, and the order of refusals
//	record.go, device.go, member.go, biz_chain.go, phase.go, phase_record.go, phase_upload.go
//	                 the Actions, by the manual's nouns
//	response.go      JSON and XML; errors.go has the table of gateway errors
//
// Evidence is named by a path in place of an Action, and takes the same way: evidence.go.
// Requests for the web console and probes of balancers leave this order at once: console.go, probe.go.
//
// Besides these, network.go is what the facade needs of the network and caches of it, refusal_order.go what precedes
// a form error, list_parameter.go the forms of a list, general.go pages, windows and names, limits.go the bounds.
package facade

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"ltl/client"
	"ltl/console"
	"ltl/internal/admin"
	"ltl/internal/admission"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/tracing"
)

// Config configures a facade. Listen, Client and SealingKey are required.
type Config struct {
	// Listen is the host:port of the HTTP API.
	Listen string
	// AdminListen is the loopback host:port of health, metrics and profiles; empty for none.
	AdminListen string
	// Metrics serves the metrics to other machines as well. It requires AdminListen; the zero value does not serve them.
	Metrics admin.Metrics
	// Tracer begins a trace with each request that it samples; nil records nothing. Give the client the same one. The
	// facade does not close it.
	Tracer *tracing.Tracer
	// Client reaches the network. The facade does not close it.
	Client *client.Client
	// Network is the network's identity, to which sealed secrets are bound.
	Network ledger.Hash
	// SealingKey decrypts the secrets of AccessKeys of the facade's organisation; all its facades share it.
	SealingKey []byte
	// SealingKeys reads all keys that may decrypt them: while the sealing key is being replaced, and of organisations that
	// delegate to this facade; nil for SealingKey alone. It is called when a secret cannot be decrypted with the keys known so far.
	SealingKeys func() ([][]byte, error)
	// Trust is the network's trust file, for evidence (docs/evidence.md); nil serves none.
	Trust *identity.Trust
	// TLSCert and TLSKey are the files of the certificate of HTTPS, with its chain, and of its key; empty for plain HTTP.
	TLSCert, TLSKey string
	// TrustedProxies are the addresses of proxies whose X-Forwarded-For says who calls.
	TrustedProxies []netip.Prefix
	// Limits bound what one account and one chain take.
	Limits Limits
	// Console, if not nil, has the web console served below console.Prefix.
	Console *console.Options
	// Clock is the time that the timestamps of requests are compared with; by default Client.NetworkTime, so that a wrong
	// clock of this machine refuses no request.
	Clock func() time.Time
	// Logger gets one line per event; by default slog.Default().
	Logger *slog.Logger
}

// Facade is a running facade. Its methods may be called concurrently.
type Facade struct {
	net      network
	clock    func() time.Time
	logger   *slog.Logger
	keys     *keyring
	nonces   *nonces
	pending  *pendingWrites
	chains   *chainIndex
	accounts *accounts
	metrics  *metrics
	// actions is the table of Actions by name; it does not change.
	actions map[string]*action
	// evidenceActions are those that a path names; evidence is nil where there is none.
	evidenceActions   map[string]*action
	evidence          *evidence
	jsonType, xmlType []string

	scratch sync.Pool
	// active is the number of calls under way.
	active atomic.Int64
	memory *memory
	// accountCalls and chainCalls share the calls among accounts and chains; held is the number of refusals that are kept
	// back.
	accountCalls, chainCalls *tenants
	held                     atomic.Int64
	// ahead is by how much the clock of this machine was ahead of the network's when it was last compared, in
	// nanoseconds; heard is the number of clocks that it was compared with.
	ahead, heard atomic.Int64
	// unrecorded says that the network was restored and the ledger does not record it; nil or empty otherwise.
	unrecorded atomic.Pointer[string]

	// servers are that of HTTP/1.1 and, behind TLS, that of HTTP/2.
	servers  []*http.Server
	listener net.Listener
	// proxies are Config.TrustedProxies; probing and probed are for probes of balancers.
	proxies []netip.Prefix
	probing *refresher
	probed  atomic.Pointer[probed]
	admin   *admin.Server
	tracer  *tracing.Tracer
	// console is nil where it is off.
	console *console.Console
	// cancel ends the watches of AccessKeys; running counts the goroutines that the facade started.
	cancel  context.CancelFunc
	running sync.WaitGroup
	closing atomic.Bool
	once    sync.Once
	failed  error
}

// Open listens and serves until Close. It may return before the AccessKeys have arrived from the network; see Ready.
func Open(ctx context.Context, cfg Config) (*Facade, error) {
	if cfg.Client == nil {
		return nil, errors.New("facade: Config.Client is required")
	}
	return open(ctx, cfg, clientNetwork{cfg.Client, cfg.Client.Ledger()})
}

// newFacade creates a facade that does not listen.
func newFacade(cfg Config, n network) *Facade {
	f := &Facade{
		net: n, tracer: cfg.Tracer, clock: cfg.Clock, logger: cfg.Logger, actions: map[string]*action{},
		proxies: cfg.TrustedProxies, probing: newRefresher(),
		nonces: newNonces(), pending: newPendingWrites(), chains: newChainIndex(n), accounts: newAccounts(n),
	}
	if f.clock == nil && cfg.Client != nil {
		f.clock = cfg.Client.NetworkTime
	} else if f.clock == nil {
		f.clock = time.Now
	}
	if f.logger == nil {
		f.logger = slog.Default()
	}
	f.keys = newKeyring(cfg.Network, cfg.SealingKey, f.logger)
	f.keys.more = cfg.SealingKeys
	f.jsonType, f.xmlType = contentTypes()
	f.memory = newMemory(f.headerHolder)
	l := cfg.Limits
	f.accountCalls = newTenants("Account", cmp.Or(l.AccountCalls, maxActive/4), l.AccountRate)
	f.chainCalls = newTenants("Chain", cmp.Or(l.ChainCalls, maxActive/2), l.ChainRate)
	f.scratch.New = func() any { return new(scratch) }
	all := actions()
	var names []string
	for i := range all {
		f.actions[all[i].name] = &all[i]
		names = append(names, all[i].name)
	}
	f.evidenceActions, f.evidence = evidenceActions(), newEvidence(cfg)
	for _, a := range f.evidenceActions {
		names = append(names, a.name)
	}
	f.metrics = newMetrics(names, func() float64 { return float64(f.active.Load()) })
	f.metrics.watchKeys(f.keys)
	if cfg.Client != nil {
		f.metrics.registry.MustRegister(admin.CertificateExpiry(cfg.Client.CertificateExpiry),
			admin.Unrecorded(f.unrecordedText))
		f.metrics.watchFalseAnswers(cfg.Client.Caught)
		f.metrics.registry.MustRegister(admin.ClockSkew(func() (time.Duration, int) {
			return time.Duration(f.ahead.Load()), int(f.heard.Load())
		})...)
	}
	return f
}

// open starts a facade over n.
func open(ctx context.Context, cfg Config, n network) (*Facade, error) {
	if l := cfg.Limits; min(l.AccountCalls, l.AccountRate, l.ChainCalls, l.ChainRate) < 0 {
		return nil, errors.New("facade: a limit of accounts or chains is negative; give 0 for its default")
	}
	f := newFacade(cfg, n)
	var cert *certificate
	if cfg.TLSCert != "" || cfg.TLSKey != "" {
		var err error
		if cert, err = loadCertificate(cfg.TLSCert, cfg.TLSKey, f.logger); err != nil {
			return nil, err
		}
	}
	if cfg.Console != nil {
		if err := f.openConsole(cfg); err != nil {
			return nil, err
		}
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("facade: listen on %s: %w", cfg.Listen, err)
	}
	g := newGate(listener, admission.Connections(maxConnections), maxHeaderMemory)
	g.refused = func(code string) { f.metrics.calls.WithLabelValues(unknownAction, code).Inc() }
	f.listener = g
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel = cancel
	if cfg.AdminListen != "" {
		if f.admin, err = admin.Serve(run, cfg.AdminListen, cfg.Metrics, f.Ready, f.metrics.registry); err != nil {
			cancel()
			return nil, errors.Join(fmt.Errorf("facade: admin server: %w", err), listener.Close())
		}
	}
	f.servers = []*http.Server{f.newServer()}
	f.running.Go(func() { f.keys.follow(run, n) })
	f.running.Go(func() { f.keys.followSealed(run, n) })
	if cfg.Client != nil {
		f.running.Go(func() { f.watchNetwork(run, cfg.Client) })
	}
	if cert != nil {
		f.serveHTTPS(run, g, cert)
	} else {
		g.keepAlive = f.servers[0].SetKeepAlivesEnabled
		f.serve(f.servers[0], g)
	}
	f.logger.Info("facade listening", "address", f.Addr(), "tls", cert != nil)
	if a, ok := listener.Addr().(*net.TCPAddr); ok && cert == nil && !a.IP.IsLoopback() {
		f.logger.Warn("requests and answers on this address are not encrypted: give --tls-cert and --tls-key, or "+
			"listen on loopback behind a proxy with TLS, where the network in between is not yours", "address", f.Addr())
	}
	return f, nil
}

// watchNetwork compares the clock of this machine with those of the network, and asks its organisation's endorser whether
// a restoration is not recorded, until ctx ends.
func (f *Facade) watchNetwork(ctx context.Context, c *client.Client) {
	tick := time.NewTicker(clockInterval)
	defer tick.Stop()
	for {
		ahead, heard := c.HearClocks(ctx)
		f.ahead.Store(int64(ahead))
		f.heard.Store(int64(heard))
		f.askUnrecorded(ctx, c)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// askUnrecorded asks the endorser of the facade's organisation, which it trusts, whether a restoration is not recorded.
// While the endorser does not answer, what it said last stands.
func (f *Facade) askUnrecorded(ctx context.Context, c *client.Client) {
	ctx, cancel := context.WithTimeout(ctx, clockInterval)
	defer cancel()
	st, err := c.Ledger().Status(ctx, "endorser/"+c.Organisation())
	if err != nil {
		return
	}
	if text := st.GetUnrecorded(); text != "" && text != f.unrecordedText() {
		f.logger.Error("FAULT: " + text)
	}
	text := st.GetUnrecorded()
	f.unrecorded.Store(&text)
}

// unrecordedText says that a restoration is not recorded; empty otherwise.
func (f *Facade) unrecordedText() string {
	if text := f.unrecorded.Load(); text != nil {
		return *text
	}
	return ""
}

// Addr is the address of the HTTP API.
func (f *Facade) Addr() string { return f.listener.Addr().String() }

// AdminAddr is the address of the admin server; empty when there is none.
func (f *Facade) AdminAddr() string {
	if f.admin == nil {
		return ""
	}
	return f.admin.Addr()
}

// errClosing is the reason of Ready while the facade is being closed.
var errClosing = errors.New("the facade is being closed")

// Ready returns the reason why calls cannot be served yet, or nil.
func (f *Facade) Ready() error {
	if f.closing.Load() {
		return errClosing
	}
	return f.keys.ready()
}

// Close stops accepting calls, waits up to closeTimeout for those under way, and waits for all goroutines of the
// facade. Further calls of Close return the same error.
func (f *Facade) Close() error {
	f.once.Do(func() {
		f.closing.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if f.console != nil {
			f.console.Close() // its streams would keep the server open
		}
		err := f.shutdown(ctx)
		f.cancel()
		if f.admin != nil {
			err = errors.Join(err, f.admin.Close())
		}
		f.running.Wait()
		f.failed = err
	})
	return f.failed
}
