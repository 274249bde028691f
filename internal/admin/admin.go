// Package admin serves health, metrics and profiles of a process on a loopback address, and, where configured, its
// metrics alone on another address over mutual TLS.
//
// Requests to the loopback address are not authenticated, and a profile shows memory. So the server refuses every
// address that other machines could reach.
package admin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Bounds on a request. Profiles are streamed for as long as their caller asks, so there is no bound on writing an
// answer.
const (
	readTimeout    = 5 * time.Second
	idleTimeout    = time.Minute
	maxHeaderBytes = 8 << 10
	// closeTimeout is how long Close lets answers under way finish before it cuts them off.
	closeTimeout = time.Second
)

// ErrNotLoopback is returned, wrapped, for an address that other machines could reach.
var ErrNotLoopback = errors.New("admin address must be a loopback address, for example 127.0.0.1:0")

// Metrics configures serving metrics to other machines; the zero value serves none.
type Metrics struct {
	// Listen is the HOST:PORT.
	Listen string
	// TLS authenticates and authorizes readers. Its ClientAuth must demand a certificate.
	TLS *tls.Config
}

// Server is a running admin server. Close, Addr and MetricsAddr may be called concurrently.
type Server struct {
	listener net.Listener
	http     *http.Server
	metrics  *metricsServer // nil without one
	stop     context.CancelFunc
	done     chan struct{}
	once     sync.Once
	err      error
}

// Serve listens on addr, which must be a loopback address, until Close is called or ctx ends. ready returns why the
// process is not ready, or nil when it is; it must not block, and a nil function means always ready. The metrics that
// every process has are added to reg unless they are there already; reg may be nil.
func Serve(ctx context.Context, addr string, m Metrics, ready func() error, reg *prometheus.Registry) (*Server, error) {
	if err := checkLoopback(addr); err != nil {
		return nil, err
	}
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	if ready == nil {
		ready = func() error { return nil }
	}
	for _, c := range standard(ready) {
		if err := reg.Register(c); err != nil && !errors.As(err, new(prometheus.AlreadyRegisteredError)) {
			return nil, fmt.Errorf("admin: register collector: %w", err)
		}
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("admin: listen: %w", err)
	}
	if a, ok := listener.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		listener.Close() // before any request
		return nil, fmt.Errorf("%w: %q resolves to %s", ErrNotLoopback, addr, listener.Addr())
	}
	s := &Server{listener: listener, http: newHTTP(routes(ready, reg), slog.LevelWarn), done: make(chan struct{})}
	if m.Listen != "" {
		if s.metrics, err = serveMetrics(m, reg); err != nil {
			return nil, errors.Join(err, listener.Close())
		}
	}
	ctx, s.stop = context.WithCancel(ctx)
	go s.run(ctx)
	return s, nil
}

// newHTTP returns a server with bounds on what a caller may hold.
func newHTTP(h http.Handler, level slog.Level) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readTimeout, ReadTimeout: readTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:       slog.NewLogLogger(slog.Default().Handler(), level),
	}
}

// standard returns the metrics that every process has: memory, goroutines and file descriptors, its build, and whether
// it is ready.
func standard(ready func() error) []prometheus.Collector {
	return []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_ready",
			Help: "1 while /readyz says that the process serves."}, func() float64 {
			if ready() != nil {
				return 0
			}
			return 1
		}),
	}
}

// CertificateExpiry is the metric for a warning before the end of a process's own certificate; it has the same name in
// every process.
func CertificateExpiry(expiry func() time.Time) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "ltl_certificate_expiry_timestamp_seconds",
		Help: "End of the own certificate's validity, in seconds since 1970.",
	}, func() float64 { return float64(expiry().Unix()) })
}

// ClockSkew are the metrics of the own clock, with the same names in every process. read returns by how much the clock
// is ahead of the median of those that were heard, and how many others those are.
func ClockSkew(read func() (ahead time.Duration, heard int)) []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_clock_skew_seconds",
			Help: "By how much the own clock is ahead of the median of the clocks that this process hears; negative behind.",
		}, func() float64 { ahead, _ := read(); return ahead.Seconds() }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_clocks_heard",
			Help: "Clocks of others in the median of ltl_clock_skew_seconds; another organisation has one.",
		}, func() float64 { _, heard := read(); return float64(heard) }),
	}
}

// NetworkAhead is the metric of the network's time, the same in nodes and endorsers. read returns by how much the clocks
// are behind it, and may be called at any time.
func NetworkAhead(read func() time.Duration) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_network_time_ahead_seconds",
		Help: "By how much the network's time is ahead of the median of the clocks that this process hears; 0 when it is not.",
	}, func() float64 { return read().Seconds() })
}

// Unrecorded is the metric ltl_restoration_unrecorded, the same in every process: 1 while text, which may be called at any
// time, is not empty.
func Unrecorded(text func() string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "ltl_restoration_unrecorded",
		Help: "1 while the network was restored and the ledger does not record it."},
		func() float64 {
			if text() != "" {
				return 1
			}
			return 0
		})
}

// run serves until ctx ends, then waits for the server to be down.
func (s *Server) run(ctx context.Context) {
	defer close(s.done)
	served := make(chan error, 1)
	go func() { served <- s.http.Serve(s.listener) }()
	select {
	case err := <-served: // the listener broke
		s.err = fmt.Errorf("admin: serve: %w", err)
		slog.Error("admin server stopped", "error", err)
		s.http.Close() // nothing is left to lose
		if s.metrics != nil {
			s.err = errors.Join(s.err, s.metrics.close())
		}
		return
	case <-ctx.Done():
	}
	if s.metrics != nil {
		s.err = s.metrics.close()
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	if err := s.http.Shutdown(grace); err != nil {
		err = s.http.Close() // a profile under way; cut it off
		if err != nil {
			s.err = errors.Join(s.err, fmt.Errorf("admin: close: %w", err))
		}
	}
	<-served
}

// Addr is the address it listens on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close stops the server and waits until it is down. Closing again returns the same.
func (s *Server) Close() error {
	s.once.Do(s.stop)
	<-s.done
	return s.err
}

func routes(ready func() error, reg *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return localOnly(mux)
}

// localOnly refuses requests made for another host's name: a web page in a browser on this machine could otherwise
// have its own name resolve to the loopback address and read the answers.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if !isLoopback(host) {
			answer(w, http.StatusForbidden, ErrNotLoopback.Error())
			return
		}
		next.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	io.WriteString(w, text+"\n") // an error means that the caller went away
}

func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrNotLoopback, addr, err)
	}
	if !isLoopback(host) {
		return fmt.Errorf("%w: %q", ErrNotLoopback, addr)
	}
	return nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	if len(host) > 1 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
