package identity

import (
	"context"
	"crypto/x509"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// A connection lives for as long as its peer is trusted: gRPC's streams go on for days, and a certificate that is revoked meanwhile must
// not count on them.

// peerConn is a connection whose peer was verified.
type peerConn struct {
	net.Conn
	trust *Trust
	cert  *x509.Certificate
	usage x509.ExtKeyUsage
	once  sync.Once
}

// Close closes the connection; the trust forgets it.
func (c *peerConn) Close() error {
	c.once.Do(func() {
		c.trust.mu.Lock()
		delete(c.trust.connections, c)
		c.trust.mu.Unlock()
	})
	return c.Conn.Close()
}

// guarded are TLS credentials whose connections the trust can end.
type guarded struct {
	credentials.TransportCredentials
	owner *Credentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (g guarded) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := g.TransportCredentials.ServerHandshake(raw)
	return g.owner.guard(conn, info, err, x509.ExtKeyUsageClientAuth)
}

// ClientHandshake implements credentials.TransportCredentials.
func (g guarded) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := g.TransportCredentials.ClientHandshake(ctx, authority, raw)
	return g.owner.guard(conn, info, err, x509.ExtKeyUsageServerAuth)
}

// Clone implements credentials.TransportCredentials.
func (g guarded) Clone() credentials.TransportCredentials {
	return guarded{g.TransportCredentials.Clone(), g.owner}
}

// guard enters a connection that a handshake made, and looks at its peer once more: it may have been revoked since.
func (c *Credentials) guard(conn net.Conn, info credentials.AuthInfo, err error, usage x509.ExtKeyUsage) (net.Conn, credentials.AuthInfo, error) {
	tls, ok := info.(credentials.TLSInfo)
	if err != nil || !ok {
		return conn, info, err
	}
	if len(tls.State.PeerCertificates) != 1 {
		return nil, nil, errNoPeer // the handshake lets none through
	}
	made := &peerConn{Conn: conn, trust: c.trust, cert: tls.State.PeerCertificates[0], usage: usage}
	c.trust.mu.Lock()
	c.trust.connections[made] = struct{}{}
	c.trust.mu.Unlock()
	if _, _, err := c.trust.verify(made.cert, usage, c.now()); err != nil {
		made.Close() // nothing was sent on it
		return nil, nil, err
	}
	return made, info, nil
}

// closeRefused ends the connections of peers that are not trusted any more.
func (t *Trust) closeRefused() {
	t.mu.RLock()
	all := make([]*peerConn, 0, len(t.connections))
	for c := range t.connections {
		all = append(all, c)
	}
	t.mu.RUnlock()
	for _, c := range all {
		if _, _, err := t.verify(c.cert, c.usage, c.cert.NotBefore); err != nil {
			c.Close() // gRPC notices and tells its callers; an error says that it was closed already
		}
	}
}
