package endorser

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"

	"ltl/internal/identity"
)

// signKeys are the keys that the endorser can sign with; the ledger names the one that it uses. In a rotation the new
// key is stored beside the former one before the ledger names it, and is loaded when the ledger does. Methods may be
// called concurrently.
type signKeys struct {
	credentials *identity.Credentials // nil when the only key was given
	log         *slog.Logger

	mu   sync.Mutex
	keys []ed25519.PrivateKey
}

// newSignKeys takes the given key, or else the keys beside the certificate.
func newSignKeys(c *identity.Credentials, given ed25519.PrivateKey, log *slog.Logger) (*signKeys, error) {
	if len(given) > 0 {
		return &signKeys{log: log, keys: []ed25519.PrivateKey{given}}, nil
	}
	s := &signKeys{credentials: c, log: log}
	var err error
	if s.keys, err = c.SignKeys(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("%w: no signing key beside the certificate", ErrConfig)
	}
	return s, nil
}

// of returns the private key of a public key, or nil. A key that is not in memory is looked for in the files.
func (s *signKeys) of(public []byte) ed25519.PrivateKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := find(s.keys, public); k != nil || s.credentials == nil {
		return k
	}
	all, err := s.credentials.SignKeys()
	if err != nil {
		s.log.Error("cannot read the signing keys", "error", err)
		return nil
	}
	k := find(all, public)
	if k != nil {
		s.keys = append(s.keys, k)
		s.log.Info("a new signing key was loaded")
	}
	return k
}

// rotated reports whether there is a key of a rotation: then the ledger may name a key that this copy does not know
// yet.
func (s *signKeys) rotated() bool {
	if s.credentials == nil {
		return false
	}
	all, err := s.credentials.SignKeys()
	return err == nil && (len(all) > 1 || len(all) == 1 && !s.credentials.HasFirstSignKey())
}

func find(keys []ed25519.PrivateKey, public []byte) ed25519.PrivateKey {
	for _, k := range keys {
		if k.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(public)) {
			return k
		}
	}
	return nil
}
