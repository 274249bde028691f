// Package facade serves the LTL HTTP API: it authenticates a call by its AccessKey, turns its Action into a transaction or a
// read of the network, and writes the answer in the form that existing LTL clients expect. It keeps no ledger of its own.
//
// A call passes connections.go (bounds on who has no key yet), request.go (parameters), sign.go or acs3.go (signature), keys.go
// (AccessKeys), nonces.go (replays), actions.go (the table of Actions, with lists.go for their lists), bizchain.go (the chain it names),
// an Action of general.go, proof.go or collaboration.go, errors.go (the table of errors) and envelope.go (the answer), in this order.
package facade

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ltl/client"
	"ltl/internal/admin"
	"ltl/internal/tracing"
)

// Config says what a facade runs with. Listen, Client and SealingKey are required.
type Config struct {
	// Listen is host:port of the HTTP API.
	Listen string
	// AdminListen is host:port of health, metrics and profiles, on a loopback address; empty for none.
	AdminListen string
	// Metrics is where the metrics are shown to other machines, beside AdminListen, which it needs; the zero value shows them to none.
	Metrics admin.Metrics
	// Tracer begins a trace with each request that it samples; nil records nothing. The client has the same. Who opened it closes it.
	Tracer *tracing.Tracer
	// Client reaches the network. The facade does not close it.
	Client *client.Client
	// SealingKey opens the AccessKeys' secrets; all facades of a network share it.
	SealingKey []byte
	// SealingKeys reads all keys that may open them, while the sealing key is being replaced; nil for SealingKey alone. It is called when
	// an AccessKey does not open.
	SealingKeys func() ([][]byte, error)
	// Clock is the time that request timestamps are held against; by default time.Now.
	Clock func() time.Time
	// Logger gets one line an event; by default slog.Default().
	Logger *slog.Logger
}

// Facade is a running facade. It may be used by any number of goroutines.
type Facade struct {
	net       network
	clock     func() time.Time
	logger    *slog.Logger
	keys      *keyring
	nonces    *nonces
	inflight  *inflight
	directory *directory
	accounts  *accounts
	metrics   *metrics
	// actions is the table by name; it does not change.
	actions           map[string]*action
	jsonType, xmlType []string

	scratch sync.Pool
	// active counts the calls under way, bodies the bytes of large bodies in memory.
	active, bodies atomic.Int64

	server   *http.Server
	listener net.Listener
	admin    *admin.Server
	tracer   *tracing.Tracer
	// cancel ends the watch of AccessKeys; running counts the facade's goroutines.
	cancel  context.CancelFunc
	running sync.WaitGroup
	closing atomic.Bool
	once    sync.Once
	failed  error
}

// Open listens and serves until Close. It may return before AccessKeys have arrived from the network: see Ready.
func Open(ctx context.Context, cfg Config) (*Facade, error) {
	if cfg.Client == nil {
		return nil, errors.New("facade: Config.Client is required")
	}
	return open(ctx, cfg, clientNetwork{cfg.Client, cfg.Client.Ledger()})
}

// newFacade makes a facade that does not listen.
func newFacade(cfg Config, n network) *Facade {
	f := &Facade{net: n, tracer: cfg.Tracer, clock: cfg.Clock, logger: cfg.Logger, nonces: newNonces(), inflight: newInflight(),
		directory: newDirectory(n), accounts: newAccounts(n), actions: map[string]*action{}}
	if f.clock == nil {
		f.clock = time.Now
	}
	if f.logger == nil {
		f.logger = slog.Default()
	}
	f.keys = newKeyring(cfg.SealingKey, f.logger)
	f.keys.more = cfg.SealingKeys
	f.jsonType, f.xmlType = contentTypes()
	f.scratch.New = func() any { return new(scratch) }
	all := actions()
	names := make([]string, 0, len(all)+1)
	for i := range all {
		f.actions[all[i].name] = &all[i]
		names = append(names, all[i].name)
	}
	f.metrics = newMetrics(names, func() float64 { return float64(f.active.Load()) })
	f.metrics.watchKeys(f.keys)
	if cfg.Client != nil {
		f.metrics.registry.MustRegister(admin.CertificateExpiry(cfg.Client.CertificateExpiry))
	}
	return f
}

// open starts a facade over n.
func open(ctx context.Context, cfg Config, n network) (*Facade, error) {
	f := newFacade(cfg, n)
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("facade: listen on %s: %w", cfg.Listen, err)
	}
	entrance := newGate(listener, maxConnections, maxHeaderMemory)
	entrance.refused = func(code string) { f.metrics.calls.WithLabelValues(unknownAction, code).Inc() }
	f.listener = entrance
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f.cancel = cancel
	if cfg.AdminListen != "" {
		if f.admin, err = admin.Serve(run, cfg.AdminListen, cfg.Metrics, f.Ready, f.metrics.registry); err != nil {
			cancel()
			return nil, errors.Join(fmt.Errorf("facade: admin server: %w", err), listener.Close())
		}
	}
	f.server = &http.Server{
		// The gate answers a header that is too long before net/http would.
		Handler: f, MaxHeaderBytes: 2 * maxHeaderBytes, ConnContext: withConnection, ConnState: connState, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout, ErrorLog: slog.NewLogLogger(f.logger.Handler(), slog.LevelDebug),
	}
	entrance.keepAlive = f.server.SetKeepAlivesEnabled
	f.running.Go(func() { f.keys.follow(run, n) })
	f.running.Go(func() {
		if err := f.server.Serve(entrance); !errors.Is(err, http.ErrServerClosed) {
			f.logger.Error("the HTTP server ended", "error", err)
		}
	})
	f.logger.Info("facade is listening", "address", f.Addr())
	return f, nil
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

// errClosing says that the facade is being closed.
var errClosing = errors.New("the facade is being closed")

// Ready says why calls cannot be served yet, or nil.
func (f *Facade) Ready() error {
	if f.closing.Load() {
		return errClosing
	}
	return f.keys.ready()
}

// Close answers the calls under way, refuses new ones, and waits for everything the facade started.
func (f *Facade) Close() error {
	f.once.Do(func() {
		f.closing.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err := f.server.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("facade: calls were cut off: %w", err), f.server.Close())
		}
		f.cancel()
		if f.admin != nil {
			err = errors.Join(err, f.admin.Close())
		}
		f.running.Wait()
		f.failed = err
	})
	return f.failed
}
