package identity

import (
	"context"
	"crypto/x509"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/credentials"

	"ltl/internal/admission"
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
	// refused is set when the peer is not trusted any more, and no call is begun on the connection.
	refused atomic.Bool

	mu       sync.Mutex
	farewell *time.Timer // closes the connection; nil until refused
	hurried  bool        // a call was begun since, and the end was brought forward
}

// refuse closes the connection of a peer that is not trusted any more. A caller that made itself untrusted, because it
// left the network or revoked its own certificate, gets the answer to that first: no new call of it is taken, and what
// it is still sent ends with farewellTime.
func (c *peerConn) refuse() {
	id, err := identityOf(c.cert)
	if err != nil || id.Role == RoleNode || c.usage != x509.ExtKeyUsageClientAuth {
		c.Close() // gRPC ends the calls on it; an error means that it was closed already
		return
	}
	c.refused.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farewell == nil {
		c.farewell = time.AfterFunc(farewellTime, func() { c.Close() }) // as above
	}
}

// hurryIfRefused reports whether the peer is not trusted any more. Its connection then ends soon, so that a caller whose
// certificate was replaced connects again with the new one.
func (c *peerConn) hurryIfRefused() bool {
	if !c.refused.Load() {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.hurried && c.farewell != nil && c.farewell.Stop() {
		c.farewell.Reset(hurriedFarewell)
		c.hurried = true
	}
	return true
}

// Close closes the connection; the trust forgets it.
func (c *peerConn) Close() error {
	c.mu.Lock()
	if c.farewell != nil {
		c.farewell.Stop()
	}
	c.mu.Unlock()
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
	secured, info, err := g.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return secured, info, err
	}
	id, tls, err := verified(info)
	if err != nil {
		return nil, nil, err
	}
	in, err := g.owner.gate.Identify(raw, secured, id.String(), id.Organisation, id.Role == RoleNode)
	if err != nil {
		return nil, nil, err // gRPC closes raw
	}
	conn, err := g.owner.track(in, tls, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, nil, err
	}
	return conn, callerInfo{TLSInfo: tls, id: id, intake: in, conn: conn}, nil
}

// ClientHandshake implements credentials.TransportCredentials.
func (g trackedTLS) ClientHandshake(
	ctx context.Context, authority string, raw net.Conn,
) (net.Conn, credentials.AuthInfo, error) {
	secured, info, err := g.TransportCredentials.ClientHandshake(ctx, authority, raw)
	if err != nil {
		return secured, info, err
	}
	_, tls, err := verified(info)
	if err != nil {
		return nil, nil, err
	}
	conn, err := g.owner.track(secured, tls, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, nil, err
	}
	return conn, info, nil
}

// callerInfo is what a server knows of the connection of a caller.
type callerInfo struct {
	credentials.TLSInfo
	id     Identity
	intake *admission.Intake
	conn   *peerConn
}

// verified reads the identity from the certificate that a handshake has verified.
func verified(info credentials.AuthInfo) (Identity, credentials.TLSInfo, error) {
	tls, ok := info.(credentials.TLSInfo)
	if !ok || len(tls.State.PeerCertificates) != 1 {
		return Identity{}, tls, errNoPeer // the handshake refuses these
	}
	id, err := identityOf(tls.State.PeerCertificates[0])
	return id, tls, err
}

// Clone implements credentials.TransportCredentials.
func (g trackedTLS) Clone() credentials.TransportCredentials {
	return trackedTLS{g.TransportCredentials.Clone(), g.owner}
}

// track registers the connection of a handshake and verifies the peer once more: it may have been revoked since.
func (c *Credentials) track(conn net.Conn, tls credentials.TLSInfo, usage x509.ExtKeyUsage) (*peerConn, error) {
	made := &peerConn{Conn: conn, trust: c.trust, cert: tls.State.PeerCertificates[0], usage: usage}
	c.trust.mu.Lock()
	c.trust.connections[made] = struct{}{}
	c.trust.mu.Unlock()
	if _, _, err := c.trust.verify(made.cert, usage, c.now()); err != nil {
		made.Close() // nothing was sent on it
		return nil, err
	}
	return made, nil
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
			c.refuse()
		}
	}
}
