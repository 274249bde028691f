package identity

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// CreateAuthority makes one more certificate authority of an organisation in dir, where none may stand yet, and returns the DER of its
// certificate. It vouches for nobody before the ledger names it.
func CreateAuthority(dir, organisation string, created time.Time) ([]byte, error) {
	if !ValidOrganisationID(organisation) {
		return nil, fmt.Errorf("%w: organisation %q must be 1 to %d characters of a-z, 0-9 and -", ErrIdentity, organisation, MaxOrganisationID)
	}
	der, err := createAuthority(dir, OrgSpec{ID: organisation}, created)
	if err != nil {
		return nil, err
	}
	return der, syncDir(dir)
}

// LoadAuthority reads the DER of the certificate of an authority: a file in PEM, or a directory with ca.pem.
func LoadAuthority(path string) ([]byte, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, caCertificate)
	}
	cert, err := loadCertificate(path)
	if err != nil {
		return nil, err
	}
	return cert.Raw, nil
}

// Rekey replaces key and certificate in dir by new ones for the same identity, after the key was stolen. A running process takes them
// up as after Renew. A crash between the two renames leaves a key without its certificate; run it again then.
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

// Certificate is what a certificate file says of its holder.
type Certificate struct {
	Identity Identity
	// Key is the Ed25519 public key.
	Key       ed25519.PublicKey
	NotBefore time.Time
	NotAfter  time.Time
}

// ReadCertificate reads a process' certificate: a file in PEM, or a directory with tls.pem. It judges nothing.
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
