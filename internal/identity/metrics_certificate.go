package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"path/filepath"
	"slices"
	"time"
)

const (
	metricsCertificateFile = "metrics.pem"
	metricsKeyFile         = "metrics.key"
)

// MetricsName is the DNS name in the certificates under which an organisation's processes serve their metrics. A
// monitoring system is configured with it as the server's name. It does not resolve.
func MetricsName(organisation string) string { return organisation + ".metrics.ltl" }

// IssueMetrics makes a key and a certificate under which a process of an organisation serves its metrics, and writes
// metrics.pem and metrics.key into dir, the process's own, which must have neither yet. caDir holds the organisation's
// ca.pem and ca.key. Monitoring systems check DNS names, which the network's certificates do not have; and this
// certificate has no identity, so that no process of the network accepts it.
func IssueMetrics(caDir, dir string, notBefore time.Time) error {
	authority, authorityKey, err := readAuthority(caDir)
	if err != nil {
		return err
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	organisation := authority.Subject.Organization[0]
	template, err := newTemplate("metrics", organisation, notBefore, LeafValidity)
	if err != nil {
		return err
	}
	template.DNSNames = []string{MetricsName(organisation)}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, authority, public, authorityKey)
	if err != nil {
		return fmt.Errorf("create certificate: %w", err)
	}
	if err := writeKey(filepath.Join(dir, metricsKeyFile), key); err != nil {
		return err
	}
	return writeNew(filepath.Join(dir, metricsCertificateFile), encodePEM(pemCertificate, der), modePublic)
}

// readAuthority reads the authority in a directory. It must name exactly one organisation.
func readAuthority(dir string) (*x509.Certificate, ed25519.PrivateKey, error) {
	authority, err := loadCertificate(filepath.Join(dir, caCertificate))
	if err != nil {
		return nil, nil, err
	}
	if of := authority.Subject.Organization; len(of) != 1 {
		return nil, nil, fmt.Errorf("%w: %s names %d organisations, want one",
			ErrAuthority, filepath.Join(dir, caCertificate), len(of))
	}
	key, err := LoadKey(filepath.Join(dir, caKey))
	return authority, key, err
}

// MetricsTLS is the TLS configuration for serving metrics to other machines: under metrics.pem of the credentials'
// directory, to operators and clients of the own organisation. All others are refused in the handshake.
func (c *Credentials) MetricsTLS() (*tls.Config, error) {
	own, err := tls.LoadX509KeyPair(filepath.Join(c.dir, metricsCertificateFile), filepath.Join(c.dir, metricsKeyFile))
	if err != nil {
		return nil, fmt.Errorf("certificate for metrics (`ltl pki metrics` makes one): %w", err)
	}
	if err := checkSecret(filepath.Join(c.dir, metricsKeyFile)); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		Certificates:           []tls.Certificate{own},
		VerifyConnection: func(state tls.ConnectionState) error {
			id, err := c.verifyPeer(state, x509.ExtKeyUsageClientAuth)
			if err != nil {
				return err
			}
			if id.Organisation != c.id.Organisation || !slices.Contains([]Role{RoleOperator, RoleClient}, id.Role) {
				return fmt.Errorf("%w: metrics of %s are for operators and clients of its organisation, not for %s",
					ErrCertificate, c.id, id)
			}
			return nil
		},
	}, nil
}
