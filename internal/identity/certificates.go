package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ltl/internal/ledger"
)

// ErrAuthority is returned, wrapped, by Issue and Renew for a certificate authority of another organisation than the
// certificate's.
var ErrAuthority = errors.New("certificate authority of another organisation")

// backdate is how far the validity of a certificate starts before it is made, for clocks that disagree a little.
const backdate = time.Hour

// serialBits is the size of a certificate's random serial number.
const serialBits = 127

// createAuthority makes an organisation's certificate authority and returns its certificate.
func createAuthority(dir string, o OrgSpec, created time.Time) ([]byte, error) {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	template, err := newTemplate(o.ID+" certificate authority", o.ID, created, CAValidity)
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.MaxPathLenZero = true // it signs leaf certificates and no further authorities
	template.KeyUsage = x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		return nil, fmt.Errorf("create certificate: %w", err)
	}
	if err := writeKey(filepath.Join(dir, caKey), key); err != nil {
		return nil, err
	}
	return der, writeNew(filepath.Join(dir, caCertificate), encodePEM(pemCertificate, der), modePublic)
}

// Issue makes a key and a certificate for id under the authority in caDir (ca.pem, ca.key) and writes tls.pem and
// tls.key into outDir, which must have neither yet. An authority that names another organisation gives ErrAuthority,
// wrapped: every peer would refuse such a certificate. Whether the authority is one of the organisation's, each peer
// checks against its trust file.
func Issue(caDir, outDir string, id Identity, notBefore time.Time) error {
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	der, err := certify(caDir, id, public, notBefore)
	if err != nil {
		return err
	}
	if err := writeKey(filepath.Join(outDir, keyFile), key); err != nil {
		return err
	}
	return writeNew(filepath.Join(outDir, certificateFile), encodePEM(pemCertificate, der), modePublic)
}

// Renew replaces the certificate in dir by one for the same identity and the same key, valid from notBefore. The key
// stays, so the change is one rename and a crash leaves either certificate; a running process loads it with
// Credentials.Reload.
func Renew(caDir, dir string, notBefore time.Time) error {
	old, err := loadCertificate(filepath.Join(dir, certificateFile))
	if err != nil {
		return err
	}
	id, err := identityOf(old)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCertificate, filepath.Join(dir, certificateFile), err)
	}
	key, err := LoadKey(filepath.Join(dir, keyFile))
	if err != nil {
		return err
	}
	der, err := certify(caDir, id, key.Public().(ed25519.PublicKey), notBefore)
	if err != nil {
		return err
	}
	return replace(filepath.Join(dir, certificateFile), encodePEM(pemCertificate, der))
}

// certify signs a certificate for id and its public key under the authority in caDir.
func certify(caDir string, id Identity, public ed25519.PublicKey, notBefore time.Time) ([]byte, error) {
	if err := id.Validate(); err != nil {
		return nil, err
	}
	authority, err := loadCertificate(filepath.Join(caDir, caCertificate))
	if err != nil {
		return nil, err
	}
	if of := authority.Subject.Organization; len(of) != 1 || of[0] != id.Organisation {
		return nil, fmt.Errorf("%w: %s is the authority of %s; every peer would refuse a certificate for %s under it; use the authority of %s",
			ErrAuthority, filepath.Join(caDir, caCertificate), strings.Join(of, ", "), id, id.Organisation)
	}
	authorityKey, err := LoadKey(filepath.Join(caDir, caKey))
	if err != nil {
		return nil, err
	}
	if end := authority.NotAfter.Add(backdate); notBefore.After(end) {
		notBefore = end // an expired authority may go on signing: the validities must overlap, see Trust.verify
	}
	template, err := newTemplate(id.Name, id.Organisation, notBefore, LeafValidity)
	if err != nil {
		return nil, err
	}
	uri, err := url.Parse(id.URI())
	if err != nil {
		return nil, fmt.Errorf("identity as a URI: %w", err)
	}
	template.URIs = []*url.URL{uri}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = extKeyUsage(id.Role)
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, authority, public, authorityKey)
	if err != nil {
		return nil, fmt.Errorf("create certificate: %w", err)
	}
	return der, nil
}

func newTemplate(name, organisation string, start time.Time, validity time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, fmt.Errorf("serial number: %w", err)
	}
	start = start.Add(-backdate)
	return &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)), // never zero
		Subject:      pkix.Name{CommonName: name, Organization: []string{organisation}},
		NotBefore:    start,
		NotAfter:     start.Add(validity),
	}, nil
}

func writeKey(path string, key ed25519.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	return writeNew(path, encodePEM(pemKey, der), modeKey)
}

func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// SignAuthority signs, with the key of the certificate authority in dir, that it is the organisation's in the network: the
// ledger takes no authority without that.
func SignAuthority(dir string, network ledger.Hash, organisation string) ([]byte, error) {
	certificate, err := loadCertificate(filepath.Join(dir, caCertificate))
	if err != nil {
		return nil, err
	}
	key, err := LoadKey(filepath.Join(dir, caKey))
	if err != nil {
		return nil, err
	}
	return ledger.SignAuthority(key, network, organisation, certificate.Raw), nil
}

// CreateAuthority makes one more certificate authority of an organisation in dir, which must have none yet, and
// returns the DER of its certificate. Certificates under it are refused until the ledger names it.
func CreateAuthority(dir, organisation string, created time.Time) ([]byte, error) {
	if !ValidOrganisationID(organisation) {
		return nil, fmt.Errorf("%w: organisation %q must be 1 to %d characters of a-z, 0-9 and -",
			ErrIdentity, organisation, MaxOrganisationID)
	}
	der, err := createAuthority(dir, OrgSpec{ID: organisation}, created)
	if err != nil {
		return nil, err
	}
	return der, syncDir(dir)
}

// Rekey replaces key and certificate in dir by new ones for the same identity, after the key was stolen. A running
// process loads them as after Renew. A crash between the two renames leaves a key without its certificate; run it
// again then.
func Rekey(caDir, dir string, notBefore time.Time) error {
	old, err := loadCertificate(filepath.Join(dir, certificateFile))
	if err != nil {
		return err
	}
	id, err := identityOf(old)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCertificate, filepath.Join(dir, certificateFile), err)
	}
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return fmt.Errorf("generate key: %w", err)
	}
	der, err := certify(caDir, id, public, notBefore)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, keyFile)
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	if err := writeKey(temporary, key); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return replace(filepath.Join(dir, certificateFile), encodePEM(pemCertificate, der))
}

// Certificate is the content of a certificate file.
type Certificate struct {
	Identity Identity
	// Key is the Ed25519 public key.
	Key       ed25519.PublicKey
	NotBefore time.Time
	NotAfter  time.Time
}

// ReadCertificate reads a process's certificate: a file in PEM, or a directory with tls.pem. It verifies nothing.
func ReadCertificate(path string) (*Certificate, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, certificateFile)
	}
	cert, err := loadCertificate(path)
	if err != nil {
		return nil, err
	}
	id, err := identityOf(cert)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCertificate, path, err)
	}
	key, ok := cert.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s: its key is not Ed25519", ErrCertificate, path)
	}
	return &Certificate{Identity: id, Key: key, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter}, nil
}
