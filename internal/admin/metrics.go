package admin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

const (
	// maxReaders bounds the connections to the metrics, those that are still in their handshake included.
	maxReaders = 32
	// metricsTimeout bounds a reader that takes its answer slowly.
	metricsTimeout = 30 * time.Second
)

// errNoClientCertificate is a mistake in the program: every machine could read the metrics.
var errNoClientCertificate = errors.New("BUG: the TLS configuration for metrics demands no certificate")

// metricsServer serves metrics, and nothing else, over mutual TLS.
type metricsServer struct {
	listener net.Listener
	http     *http.Server
	done     chan struct{}
}

func serveMetrics(m Metrics, reg *prometheus.Registry) (*metricsServer, error) {
	if m.TLS == nil || m.TLS.ClientAuth < tls.RequireAnyClientCert {
		return nil, errNoClientCertificate
	}
	listener, err := net.Listen("tcp", m.Listen)
	if err != nil {
		return nil, fmt.Errorf("admin: listen for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	// At debug level, since any machine can cause a failed handshake.
	s := &metricsServer{listener: listener, http: newHTTP(mux, slog.LevelDebug), done: make(chan struct{})}
	s.http.WriteTimeout = metricsTimeout
	go func() {
		defer close(s.done)
		bounded := tls.NewListener(netutil.LimitListener(listener, maxReaders), m.TLS)
		if err := s.http.Serve(bounded); !errors.Is(err, http.ErrServerClosed) {
			slog.Error("metrics are not served any more", "address", listener.Addr().String(), "error", err)
		}
	}()
	return s, nil
}

// close ends the server and waits for it. An answer in progress is cut off: the reader repeats its request soon.
func (s *metricsServer) close() error {
	err := s.http.Close()
	<-s.done
	if err != nil {
		return fmt.Errorf("admin: close metrics: %w", err)
	}
	return nil
}

// MetricsAddr is the address on which metrics are served to other machines; empty when there is none.
func (s *Server) MetricsAddr() string {
	if s.metrics == nil {
		return ""
	}
	return s.metrics.listener.Addr().String()
}
