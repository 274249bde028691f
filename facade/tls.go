package facade

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

// certificate is the certificate that the facade shows to its callers. It is read again after its files have changed, so
// that a renewal needs no restart.
type certificate struct {
	certPath, keyPath string
	logger            *slog.Logger

	mu      sync.Mutex
	looked  time.Time        // when the files were last looked at; guarded by mu
	stamp   string           // what the files were like when they were last read; guarded by mu
	current *tls.Certificate // guarded by mu
}

// loadCertificate reads a certificate with its chain, and its key.
func loadCertificate(certPath, keyPath string, logger *slog.Logger) (*certificate, error) {
	if certPath == "" || keyPath == "" {
		return nil, errors.New("facade: HTTPS needs a certificate and its key; give both or none")
	}
	c := &certificate{certPath: certPath, keyPath: keyPath, logger: logger}
	var err error
	if c.stamp, err = stampOf(certPath, keyPath); err == nil {
		c.current, err = readCertificate(certPath, keyPath)
	}
	if err != nil {
		return nil, fmt.Errorf("facade: %w", err)
	}
	c.looked = time.Now()
	return c, nil
}

func readCertificate(certPath, keyPath string) (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(certPath, keyPath)
	if err != nil {
		return nil, fmt.Errorf("couldn't read the certificate of HTTPS: %w", err)
	}
	return &pair, nil
}

// stampOf tells one state of files from another.
func stampOf(paths ...string) (string, error) {
	var stamp string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return "", fmt.Errorf("couldn't read the certificate of HTTPS: %w", err)
		}
		stamp += fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size(), " ")
	}
	return stamp, nil
}

// get is tls.Config.GetCertificate. While the files cannot be read, or the key does not fit the certificate because only
// one of them was replaced yet, the one before stays.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.looked) < certificateAge {
		return c.current, nil
	}
	c.looked = time.Now()
	stamp, err := stampOf(c.certPath, c.keyPath)
	if err == nil && stamp == c.stamp {
		return c.current, nil
	}
	var fresh *tls.Certificate
	if err == nil {
		fresh, err = readCertificate(c.certPath, c.keyPath)
	}
	if err != nil {
		c.logger.Error("the certificate of HTTPS was replaced by one that cannot be used; the one before is shown", "error", err)
		return c.current, nil
	}
	c.current, c.stamp = fresh, stamp
	c.logger.Info("the certificate of HTTPS was read again", "expires", fresh.Leaf.NotAfter)
	return fresh, nil
}

// handoff is a listener of connections whose handshake is done.
type handoff struct {
	net.Listener // for its address
	connections  chan net.Conn
	once         sync.Once
	done         chan struct{}
}

func newHandoff(l net.Listener) *handoff {
	return &handoff{Listener: l, connections: make(chan net.Conn), done: make(chan struct{})}
}

// Accept waits for a connection.
func (h *handoff) Accept() (net.Conn, error) {
	select {
	case c := <-h.connections:
		return c, nil
	case <-h.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. The listener below it has an owner of its own.
func (h *handoff) Close() error {
	h.once.Do(func() { close(h.done) })
	return nil
}

// give hands a connection over, or closes it where none are taken any more.
func (h *handoff) give(c net.Conn) {
	select {
	case h.connections <- c:
	case <-h.done:
		_ = c.Close()
	}
}

// secure accepts connections, does their handshakes, and hands them to the server of their protocol. The gate is below
// TLS for the number of connections, and above it for the bytes of headers.
type secure struct {
	gate         *gate
	config       *tls.Config
	http1, http2 *handoff
	logger       *slog.Logger
}

func newSecure(g *gate, cert *certificate, logger *slog.Logger) *secure {
	return &secure{gate: g, http1: newHandoff(g), http2: newHandoff(g), logger: logger, config: &tls.Config{
		MinVersion: tls.VersionTLS12, GetCertificate: cert.get, NextProtos: []string{"h2", "http/1.1"}}}
}

// serve accepts until the gate is closed or ctx ends, and waits for the handshakes.
func (s *secure) serve(ctx context.Context) {
	var handshakes sync.WaitGroup
	defer handshakes.Wait()
	for {
		c, err := s.gate.Accept()
		if errors.Is(err, net.ErrClosed) || ctx.Err() != nil {
			return
		}
		if err != nil { // for example of descriptors; it passes
			s.logger.Error("couldn't accept a connection; trying again", "error", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(watchRetryMin):
			}
			continue
		}
		handshakes.Go(func() { s.handshake(ctx, c.(*connection)) })
	}
}

// handshake does a connection's handshake.
func (s *secure) handshake(ctx context.Context, c *connection) {
	ctx, cancel := context.WithTimeout(ctx, readHeaderTimeout)
	defer cancel()
	over := tls.Server(c.Conn, s.config)
	c.Conn = over
	if err := over.HandshakeContext(ctx); err != nil {
		s.logger.Debug("no handshake", "caller", c.address, "error", err)
		_ = c.Close()
		return
	}
	to := s.http1
	if c.streams = over.ConnectionState().NegotiatedProtocol == "h2"; c.streams {
		to = s.http2
	}
	to.give(c)
}

// newServer makes an HTTP server of the facade.
func (f *Facade) newServer() *http.Server {
	return &http.Server{
		Handler: http.HandlerFunc(f.dispatch), ConnContext: withConnection, ConnState: connState,
		MaxHeaderBytes:    2 * maxHeaderBytes, // the gate refuses a header that is too long before net/http would
		ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(f.logger.Handler(), slog.LevelDebug),
	}
}

// newStreamServer makes the server of HTTP/2. Its headers are bounded by the server itself, as many requests share a
// connection: what is longer goes into a body.
func (f *Facade) newStreamServer() *http.Server {
	s := f.newServer()
	s.Protocols = new(http.Protocols)
	s.Protocols.SetUnencryptedHTTP2(true) // it is handed connections behind their TLS
	s.MaxHeaderBytes = maxStreamHeader
	s.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: maxStreamBuffer,
		MaxReceiveBufferPerStream: maxStreamBuffer}
	s.IdleTimeout = readHeaderTimeout // net/http does not close idle connections of HTTP/2 for new ones
	return s
}

// serve runs a server until it is shut down.
func (f *Facade) serve(s *http.Server, l net.Listener) {
	f.running.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			f.logger.Error("HTTP server failed; restart the facade", "error", err)
		}
	})
}

// serveHTTPS serves HTTP/1.1 and HTTP/2 behind TLS.
func (f *Facade) serveHTTPS(ctx context.Context, g *gate, cert *certificate) {
	s := newSecure(g, cert, f.logger)
	streams := f.newStreamServer()
	f.servers = append(f.servers, streams)
	g.keepAlive = func(on bool) {
		f.servers[0].SetKeepAlivesEnabled(on)
		streams.SetKeepAlivesEnabled(on)
	}
	f.serve(f.servers[0], s.http1)
	f.serve(streams, s.http2)
	f.running.Go(func() { s.serve(ctx) })
}

// shutdown stops accepting and waits for the calls under way until ctx ends.
func (f *Facade) shutdown(ctx context.Context) (err error) {
	err = f.listener.Close() // of HTTPS the servers do not hold it
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	for _, s := range f.servers {
		if failed := s.Shutdown(ctx); failed != nil && !errors.Is(failed, net.ErrClosed) {
			err = errors.Join(err, fmt.Errorf("facade: calls under way were aborted: %w", failed), s.Close())
		}
	}
	return err
}
