package identity

import (
	"context"
	"crypto/x509"
	"net"
	"sync"

	"google.golang.org/grpc/credentials"
)

// A connection lives for as long as its peer is trusted: gRPC's streams go on for days, and a certificate that is
// revoked meanwhile must not count on them.

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

// trackedTLS are TLS credentials whose connections the trust can close.
type trackedTLS struct {
	credentials.TransportCredentials
	owner *Credentials
}

// ServerHandshake implements credentials.TransportCredentials.
func (g trackedTLS) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := g.TransportCredentials.ServerHandshake(raw)
	return g.owner.track(conn, info, err, x509.ExtKeyUsageClientAuth)
}

// ClientHandshake implements credentials.TransportCredentials.
func (g trackedTLS) ClientHandshake(
	ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := g.TransportCredentials.ClientHandshake(ctx, authority, raw)
	return g.owner.track(conn, info, err, x509.ExtKeyUsageServerAuth)
}

// Clone implements credentials.TransportCredentials.
func (g trackedTLS) Clone() credentials.TransportCredentials {
	return trackedTLS{g.TransportCredentials.Clone(), g.owner}
}

// track registers the connection of a handshake and verifies the peer once more: it may have been revoked since.
func (c *Credentials) track(
	conn net.Conn, info credentials.AuthInfo, err error, usage x509.ExtKeyUsage,
) (net.Conn, credentials.AuthInfo, error) {
	tls, ok := info.(credentials.TLSInfo)
	if err != nil || !ok {
		return conn, info, err
	}
	if len(tls.State.PeerCertificates) != 1 {
		return nil, nil, errNoPeer // the handshake refuses these
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

// closeRefused closes the connections of peers that are not trusted any more.
func (t *Trust) closeRefused() {
	t.mu.RLock()
	all := make([]*peerConn, 0, len(t.connections))
	for c := range t.connections {
		all = append(all, c)
	}
	t.mu.RUnlock()
	for _, c := range all {
		if _, _, err := t.verify(c.cert, c.usage, c.cert.NotBefore); err != nil {
			c.Close() // gRPC ends the calls on it; an error means that it was closed already
		}
	}
}
