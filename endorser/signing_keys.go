package endorser

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"sync"

	"ltl/internal/identity"
)

// signKeys are the keys that the endorser can sign with. The ledger says with which of them it does: a new one is put beside the
// former before the ledger names it, and is found there when it does. It may be used concurrently.
type signKeys struct {
	credentials *identity.Credentials // nil when the only key was given
	log         *slog.Logger

	mu   sync.Mutex
	keys []ed25519.PrivateKey
}

// newSignKeys takes the given key, or else those beside the certificate.
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

// of returns the private key to a public one; nil when there is none. One that is not known is looked for among the files.
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
		s.log.Info("a new signing key is held")
	}
	return k
}

// rotated reports whether there is a key of a rotation: then the ledger may name a key that this copy does not know of yet.
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
