package identity

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrCertificate is returned, wrapped, for a certificate that does not prove an identity.
var ErrCertificate = errors.New("certificate refused")

// ErrRevoked is why a certificate is refused whose key or identity was revoked on the ledger; it comes wrapped in
// ErrCertificate.
var ErrRevoked = errors.New("it was revoked")

// errRemovedOrganisation refuses the certificates of an organisation that was removed from the network.
var errRemovedOrganisation = errors.New("its organisation was removed from the network")

// errAuthority refuses a certificate that no authority of its organisation signed.
var errAuthority = errors.New("not under the authority of its organisation")

// errUnknownOrganisation refuses the certificate of an organisation that the trust does not know, perhaps not yet.
var errUnknownOrganisation = errors.New("its organisation is not of this network")

// errUnknownNode refuses the certificate of a node that the trust does not know, perhaps not yet or not any more.
var errUnknownNode = errors.New("the organisation has no such node")

// verify returns the identity that the certificate proves and whether now lies outside its validity.
//
// An expired certificate is still accepted. Whether a key is valid is decided by the ledger, that is by height, and
// not by a clock: a network whose certificates all expired in one night must go on, and so must one whose machines
// start with a wrong clock. The pin is the organisation's authority in the trust file. So the certificate chain is
// verified at the moment within the validity that is nearest to now, and the expiry is only a warning.
func (t *Trust) verify(
	cert *x509.Certificate, usage x509.ExtKeyUsage, now time.Time,
) (id Identity, expired bool, err error) {
	id, err = identityOf(cert)
	if err != nil {
		return Identity{}, false, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	refuse := func(format string, args ...any) (Identity, bool, error) {
		return Identity{}, false, fmt.Errorf("%w: %s: %w", ErrCertificate, id, fmt.Errorf(format, args...))
	}
	t.mu.RLock()
	o, ok := t.organisations[id.Organisation]
	revoked, gone := t.revoked, t.membership != nil && slices.Contains(t.membership.Removed, id.Organisation)
	t.mu.RUnlock()
	switch {
	case gone && (!ok || id.Role != RoleNode): // a node that is still known has to be reached for its own removal
		return refuse("%w", errRemovedOrganisation)
	case !ok:
		return refuse("%w", errUnknownOrganisation)
	}
	if _, ok := cert.PublicKey.(ed25519.PublicKey); !ok {
		return refuse("its key is not Ed25519")
	}
	if cert.IsCA {
		return refuse("it is a certificate authority, and an authority is not an identity")
	}
	if !slices.Equal(cert.ExtKeyUsage, extKeyUsage(id.Role)) || len(cert.UnknownExtKeyUsage) != 0 {
		return refuse("its extended key usage is not that of the role %s", id.Role)
	}
	at, err := o.validAt(cert, usage, now)
	if err != nil {
		return refuse("%w: %w", errAuthority, err)
	}
	if revoked.has(id, cert) {
		return refuse("%w", ErrRevoked)
	}
	if id.Role == RoleNode {
		// Nodes are addressed by their id alone, so an organisation must not certify a node that belongs to another.
		n, ok := t.node(id.Name)
		if !ok || n.GetOrganisation() != id.Organisation {
			return refuse("%w", errUnknownNode)
		}
	}
	return id, !at.Equal(now), nil
}

// validAt verifies a certificate under the organisation's authorities, the newest first, and returns the moment at
// which it is valid. They are the only roots and there are no intermediates: no other authority can certify a name of
// the organisation.
func (o *organisation) validAt(
	cert *x509.Certificate, usage x509.ExtKeyUsage, now time.Time,
) (at time.Time, err error) {
	for i := len(o.authorities) - 1; i >= 0; i-- {
		a := o.authorities[i]
		at = within(now, cert, a.certificate)
		if _, err = cert.Verify(x509.VerifyOptions{Roots: a.roots, CurrentTime: at,
			KeyUsages: []x509.ExtKeyUsage{usage}}); err == nil {
			return at, nil
		}
	}
	return at, err
}

// within returns the moment nearest to now at which every certificate is valid.
func within(now time.Time, certs ...*x509.Certificate) time.Time {
	at := now
	for _, c := range certs {
		if at.After(c.NotAfter) {
			at = c.NotAfter
		}
	}
	for _, c := range certs {
		if at.Before(c.NotBefore) {
			at = c.NotBefore
		}
	}
	return at
}

// identityOf reads the identity in a certificate, which has exactly one URI.
func identityOf(cert *x509.Certificate) (Identity, error) {
	if len(cert.URIs) != 1 {
		return Identity{}, fmt.Errorf("%d URIs in the certificate, want exactly one", len(cert.URIs))
	}
	uri := cert.URIs[0].String()
	if len(uri) < len(uriScheme) || uri[:len(uriScheme)] != uriScheme {
		return Identity{}, fmt.Errorf("the URI in the certificate does not start with %s", uriScheme)
	}
	return Parse(uri[len(uriScheme):])
}

// extKeyUsage is the extended key usage of the role's certificates: every role calls, nodes and endorsers also serve.
func extKeyUsage(r Role) []x509.ExtKeyUsage {
	if r.serves() {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}
