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

// errUnknownOrganisation is why the certificate of an organisation is refused that the trust does not know, or not yet.
var errUnknownOrganisation = errors.New("its organisation is not of this network")

// errUnknownNode is why the certificate of a node is refused that the trust does not know, or not yet, or no more.
var errUnknownNode = errors.New("the organisation has no such node")

// verify returns the identity that the certificate proves and whether now lies outside its validity.
//
// An expired certificate still counts. Whether a key is valid is decided by what stands on the ledger, that is by height, and not
// by anybody's clock: a network whose certificates all expired in one night must go on, and so must one whose machines woke up with
// a wrong clock. What is pinned is the organisation's authority in the trust file. So the chain is verified at the moment within
// the validity that is nearest to now, and the expiry is only a warning.
func (t *Trust) verify(cert *x509.Certificate, usage x509.ExtKeyUsage, now time.Time) (id Identity, expired bool, err error) {
	id, err = identityOf(cert)
	if err != nil {
		return Identity{}, false, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	refuse := func(format string, args ...any) (Identity, bool, error) {
		return Identity{}, false, fmt.Errorf("%w: %s: %w", ErrCertificate, id, fmt.Errorf(format, args...))
	}
	o, ok := t.organisation(id.Organisation)
	if !ok {
		return refuse("%w", errUnknownOrganisation)
	}
	if _, ok := cert.PublicKey.(ed25519.PublicKey); !ok {
		return refuse("its key is not Ed25519")
	}
	if cert.IsCA {
		return refuse("a certificate authority is nobody's certificate")
	}
	if !slices.Equal(cert.ExtKeyUsage, extKeyUsage(id.Role)) || len(cert.UnknownExtKeyUsage) != 0 {
		return refuse("its extended key usage is not that of the role %s", id.Role)
	}
	at := within(now, cert, o.ca)
	// The organisation's authority is the only root and there are no intermediates: no other authority can vouch for this name.
	if _, err := cert.Verify(x509.VerifyOptions{Roots: o.roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
		return refuse("not under the authority of its organisation: %w", err)
	}
	if id.Role == RoleNode {
		// Nodes are addressed by their id alone, so an organisation must not name a node that belongs to another.
		n, ok := t.node(id.Name)
		if !ok || n.GetOrganisation() != id.Organisation {
			return refuse("%w", errUnknownNode)
		}
	}
	return id, !at.Equal(now), nil
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

// identityOf reads the identity in a certificate: it has exactly one URI, and that is an identity's.
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

// extKeyUsage is what a certificate of the role is for: everybody calls, nodes and endorsers are also called.
func extKeyUsage(r Role) []x509.ExtKeyUsage {
	if r.serves() {
		return []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	return []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
}
