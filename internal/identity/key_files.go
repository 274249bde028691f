package identity

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Modes of the files that are written: keys are for their owner alone.
const (
	modeKey    = 0o600
	modePublic = 0o644
	modeDir    = 0o700
	// modeOthers are the permission bits of users outside owner and group; a key file that grants any of them is refused.
	modeOthers = 0o007
)

const (
	pemCertificate = "CERTIFICATE"
	pemKey         = "PRIVATE KEY"
)

// ErrKeyFile is returned, wrapped, for a key or certificate file that cannot be used.
var ErrKeyFile = errors.New("unusable key file")

// LoadKey reads an Ed25519 private key, PKCS #8 in PEM.
func LoadKey(path string) (ed25519.PrivateKey, error) {
	der, err := readPEM(path, pemKey, true)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The text of the error may quote the file, which is a secret.
		return nil, fmt.Errorf("%w: %s is not a private key in PKCS #8", ErrKeyFile, path)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%w: %s holds a key that is not Ed25519", ErrKeyFile, path)
	}
	return key, nil
}

func loadCertificate(path string) (*x509.Certificate, error) {
	der, err := readPEM(path, pemCertificate, false)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrKeyFile, path, err)
	}
	return cert, nil
}

// readPEM reads a file that holds one PEM block of the kind and nothing after it.
func readPEM(path, kind string, secret bool) ([]byte, error) {
	if secret {
		if err := checkSecret(path); err != nil {
			return nil, err
		}
	}
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(b)
	if block == nil || block.Type != kind || len(bytes.TrimSpace(rest)) != 0 {
		return nil, fmt.Errorf("%w: %s is not one PEM block %q", ErrKeyFile, path, kind)
	}
	return block.Bytes, nil
}

// checkSecret refuses a secret file that grants other users any permission. The group may have some: containers get
// their secrets through it.
func checkSecret(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("key file: %w", err)
	}
	if info.Mode().Perm()&modeOthers != 0 {
		return fmt.Errorf("%w: %s has mode %04o, every user may open it; use chmod 600", ErrKeyFile, path, info.Mode().Perm())
	}
	return nil
}

func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer f.Close() // nothing was written
	b, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(b) > maxFileBytes {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrKeyFile, path, maxFileBytes)
	}
	return trimMark(b), nil
}

// trimMark drops the byte order mark that some editors put before a text. The files are PEM or JSON, or keys in any
// bytes, which are left alone.
func trimMark(b []byte) []byte {
	if text, marked := bytes.CutPrefix(b, []byte("\ufeff")); marked && len(text) > 0 && (text[0] == '{' || text[0] == '-') {
		return text
	}
	return b
}

// writeNew writes a file that must not exist yet, and its directories, and syncs the content. Nothing is overwritten:
// it could be the only copy of a key.
func writeNew(path string, b []byte, mode os.FileMode) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), modeDir); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer func() {
		if closeErr := f.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close %s: %w", path, closeErr)
		}
	}()
	if _, err := f.Write(b); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", path, err)
	}
	return nil
}

// replace replaces a public file atomically: after a crash it has its old or its new content.
func replace(path string, b []byte) error {
	temporary := path + ".new"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	if err := writeNew(temporary, b, modePublic); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("rename: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

// syncTree makes the names of all files and directories below dir durable.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return fmt.Errorf("walk %s: %w", path, err)
		}
		if !entry.IsDir() {
			return nil
		}
		return syncDir(path)
	})
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	defer d.Close() // nothing was written to it
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync directory %s: %w", path, err)
	}
	return nil
}

// decodeStrictly reads one JSON value without unknown members and with nothing behind it.
func decodeStrictly(b []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(b))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return fmt.Errorf("it is not JSON of the expected form: %w", err)
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something stands behind the JSON value")
	}
	return nil
}
