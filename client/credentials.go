package client

import (
	"errors"
	"fmt"
	"time"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// Trust is the trust file of a network: its genesis, and what was learned since of organisations, nodes and
// certificates. LoadTrust returns it; Open accepts no other implementation. A client keeps it up to date while it is
// open.
type Trust interface {
	// Genesis returns a copy of what the network began with: its organisations, nodes and policy.
	Genesis() *ltlv1.Genesis
}

// Credentials are a certificate and its private key, and the trust under which the certificates of nodes and endorsers
// are verified. LoadCredentials returns them; Open accepts no other implementation.
type Credentials interface {
	// CertificateExpiry returns the end of the certificate's validity.
	CertificateExpiry() time.Time
}

// LoadTrust reads a trust file. "ltl pki create" and "ltl up" write it as trust.json.
func LoadTrust(path string) (Trust, error) {
	t, err := identity.LoadTrust(path)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return t, nil
}

// LoadCredentials reads tls.pem and tls.key in dir. The certificate must be one of an organisation of the network.
// Files that are replaced later, when the certificate is renewed, are used for new connections without a restart.
func LoadCredentials(dir string, trust Trust) (Credentials, error) {
	t, err := trustOf(trust)
	if err != nil {
		return nil, err
	}
	c, err := identity.LoadCredentials(dir, t)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return c, nil
}

// trustOf returns what LoadTrust loaded.
func trustOf(t Trust) (*identity.Trust, error) {
	if loaded, ok := t.(*identity.Trust); ok && loaded != nil {
		return loaded, nil
	}
	return nil, errors.New("client: a trust is required; load one with client.LoadTrust")
}

// credentialsOf returns what LoadCredentials loaded.
func credentialsOf(c Credentials) (*identity.Credentials, error) {
	if loaded, ok := c.(*identity.Credentials); ok && loaded != nil {
		return loaded, nil
	}
	return nil, errors.New("client: credentials are required; load them with client.LoadCredentials")
}
