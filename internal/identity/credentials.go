package identity

import (
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"ltl/internal/admission"
)

const (
	certificateFile = "tls.pem"
	keyFile         = "tls.key"
)

// Warnings about certificates that are no longer valid.
const (
	// expirySoon is how long before its end a process starts to warn of its own certificate.
	expirySoon = 30 * 24 * time.Hour
	// warnAgain is the time between two warnings about one identity: each new connection would give one otherwise.
	warnAgain = time.Hour
	// maxWarned bounds how many identities are remembered as warned about.
	maxWarned = 1024
)

// Credentials are a process's own certificate and key, and the trust under which it verifies its peers.
type Credentials struct {
	dir    string
	trust  *Trust
	logger *slog.Logger
	now    func() time.Time
	id     Identity
	own    atomic.Pointer[tls.Certificate]
	gate   *admission.Gate

	mu     sync.Mutex
	warned map[Identity]time.Time // guarded by mu

	// files is the state of the two files when they were read last; looked is when it was compared. Guarded by mu.
	files  [2]fileState
	looked time.Time
}

// reloadEvery is the least time between two looks at the certificate's files; new connections cause them.
const reloadEvery = time.Second

// fileState changes when a file is replaced.
type fileState struct {
	modified time.Time
	size     int64
}

// Option changes how credentials are loaded.
type Option func(*Credentials)

// WithLogger sends the warnings about expired certificates to l instead of slog.Default.
func WithLogger(l *slog.Logger) Option { return func(c *Credentials) { c.logger = l } }

// LoadCredentials reads tls.pem and tls.key in dir. The certificate must verify under the trust: a process that every
// peer would refuse does not start. Organisations and nodes that joined after the genesis are the exception: their
// peers know them from the ledger, which their own processes can read only after they have connected.
func LoadCredentials(dir string, t *Trust, options ...Option) (*Credentials, error) {
	c := &Credentials{dir: dir, trust: t, logger: slog.Default(), now: time.Now, warned: make(map[Identity]time.Time)}
	for _, option := range options {
		option(c)
	}
	c.gate = admission.NewGate(c.logger)
	own, id, err := c.load()
	if err != nil {
		return nil, fmt.Errorf("credentials in %s: %w", dir, err)
	}
	c.id = id
	c.own.Store(own)
	c.files, c.looked = c.fileStates(), time.Now()
	return c, nil
}

func (c *Credentials) fileStates() (states [2]fileState) {
	for i, name := range []string{certificateFile, keyFile} {
		if info, err := os.Stat(filepath.Join(c.dir, name)); err == nil {
			states[i] = fileState{info.ModTime(), info.Size()}
		}
	}
	return states
}

// current returns the certificate for a new connection and reads the files again when they were replaced. Files that
// cannot be used are logged, once, and the former certificate stays in use.
func (c *Credentials) current() *tls.Certificate {
	c.mu.Lock()
	due := time.Since(c.looked) >= reloadEvery
	if due {
		c.looked = time.Now()
		states := c.fileStates()
		due = states != c.files
		c.files = states
	}
	c.mu.Unlock()
	if due {
		if err := c.Reload(); err != nil {
			c.logger.Warn("the renewed certificate cannot be used, the former one stays in use", "error", err)
			c.trust.reportUnknown(err)
			if errors.Is(err, errAuthority) { // the ledger may know it: try again at the next connection
				c.mu.Lock()
				c.files = [2]fileState{}
				c.mu.Unlock()
			}
		} else {
			c.logger.Info("a renewed certificate is in use", "identity", c.id.String(), "expiry", c.own.Load().Leaf.NotAfter)
		}
	}
	return c.own.Load()
}

// Reload reads tls.pem and tls.key again, after a renewal. New connections use them, open ones go on. Files that
// cannot be used or that name another identity are an error, and the former ones stay in use; so is a certificate
// under an authority that this process does not know yet.
func (c *Credentials) Reload() error {
	own, id, err := c.load()
	if err != nil {
		return fmt.Errorf("credentials in %s: %w", c.dir, err)
	}
	if id != c.id {
		return fmt.Errorf("credentials in %s: %w: they name %s and this process is %s", c.dir, ErrCertificate, id, c.id)
	}
	c.own.Store(own)
	return nil
}

func (c *Credentials) load() (*tls.Certificate, Identity, error) {
	cert, err := loadCertificate(filepath.Join(c.dir, certificateFile))
	if err != nil {
		return nil, Identity{}, err
	}
	key, err := LoadKey(filepath.Join(c.dir, keyFile))
	if err != nil {
		return nil, Identity{}, err
	}
	id, _, err := c.trust.verify(cert, x509.ExtKeyUsageClientAuth, c.now())
	if errors.Is(err, errUnknownOrganisation) || errors.Is(err, errUnknownNode) {
		c.logger.Warn("the genesis does not name this process or its organisation; others must know it from the ledger",
			"reason", err)
		id, err = identityOf(cert)
	}
	if errors.Is(err, errAuthority) {
		err = fmt.Errorf("%w; if its organisation has a new authority, update the trust file with `ltl trust update`", err)
	}
	if err != nil {
		return nil, Identity{}, err
	}
	if !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return nil, Identity{}, fmt.Errorf("%w: %s does not belong to %s", ErrKeyFile, keyFile, certificateFile)
	}
	if left := cert.NotAfter.Sub(c.now()); left < expirySoon {
		c.logger.Warn("own certificate expires; peers go on accepting it, renew it", "identity", id.String(), "expiry",
			cert.NotAfter)
	}
	return &tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, id, nil
}

// DeviceKeyPath is the file of the key under which an endorser seals devices' keys. Directories made by older versions
// do not have it.
func (c *Credentials) DeviceKeyPath() string { return filepath.Join(c.dir, deviceKeyFile) }

// Identity is the identity in the certificate.
func (c *Credentials) Identity() Identity { return c.id }

// CertificateExpiry is the end of the certificate's validity, for a metric that warns in time.
func (c *Credentials) CertificateExpiry() time.Time { return c.current().Leaf.NotAfter }

// serverTLS demands a certificate from every caller and verifies it. crypto/tls itself verifies nothing here, because
// it has one set of roots and one clock; verifyPeer does, in every handshake: there are no session tickets.
func (c *Credentials) serverTLS() *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		ClientAuth:             tls.RequireAnyClientCert,
		SessionTicketsDisabled: true,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.current(), nil },
		VerifyConnection: func(state tls.ConnectionState) error {
			_, err := c.verifyPeer(state, x509.ExtKeyUsageClientAuth)
			return err
		},
	}
}

// clientTLS verifies the server by its role and name. Addresses are not in certificates, so that a node can move.
func (c *Credentials) clientTLS(role Role, name string) *tls.Config {
	return &tls.Config{
		MinVersion:             tls.VersionTLS13,
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // verifyPeer verifies instead
		GetClientCertificate:   func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.current(), nil },
		VerifyConnection: func(state tls.ConnectionState) error {
			id, err := c.verifyPeer(state, x509.ExtKeyUsageServerAuth)
			if err != nil {
				return err
			}
			if id.Role != role || name != "" && id.Name != name {
				return fmt.Errorf("%w: the server is %s, wanted role %s and name %q", ErrCertificate, id, role, name)
			}
			return nil
		},
	}
}

func (c *Credentials) verifyPeer(state tls.ConnectionState, usage x509.ExtKeyUsage) (Identity, error) {
	if state.Version < tls.VersionTLS13 {
		return Identity{}, fmt.Errorf("%w: TLS version %s", ErrCertificate, tls.VersionName(state.Version))
	}
	if len(state.PeerCertificates) != 1 {
		return Identity{}, fmt.Errorf("%w: %d certificates, want the holder's and no other",
			ErrCertificate, len(state.PeerCertificates))
	}
	cert := state.PeerCertificates[0]
	id, expired, err := c.trust.verify(cert, usage, c.now())
	if err != nil {
		c.trust.reportUnknown(err)
		return Identity{}, err
	}
	if expired {
		c.warn(id, cert)
	}
	return id, nil
}

// warn logs that a peer's certificate is outside its validity, once per warnAgain and identity.
func (c *Credentials) warn(id Identity, cert *x509.Certificate) {
	now := c.now()
	c.mu.Lock()
	last, known := c.warned[id]
	again := !known || now.Sub(last) >= warnAgain
	if again {
		if len(c.warned) >= maxWarned {
			clear(c.warned)
		}
		c.warned[id] = now
	}
	c.mu.Unlock()
	if again {
		c.logger.Warn("certificate outside its validity is accepted; renew it", "identity", id.String(), "start",
			cert.NotBefore, "expiry", cert.NotAfter)
	}
}

// errNoPeer is the error of the interceptors for a connection without a verified certificate. TLS lets none through.
var errNoPeer = errors.New("no verified certificate on the connection")
