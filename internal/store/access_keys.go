package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// errDatabaseClosed is bbolt's error for a read after Close.
var errDatabaseClosed = bbolterrors.ErrDatabaseNotOpen

// ErrBadAccessKeys is returned, wrapped, by RestoreAccessKeys for a list that cannot come from a ledger.
var ErrBadAccessKeys = errors.New("bad AccessKeys")

// encodeAccessKey encodes the fields that AccessKey defines, and no others, always in the same way.
func encodeAccessKey(k *ltlv1.SealedKey) ([]byte, error) {
	clean := &ltlv1.SealedKey{AccessKeyId: k.GetAccessKeyId(), Sealed: k.GetSealed(), Version: k.GetVersion()}
	return proto.MarshalOptions{Deterministic: true}.Marshal(clean)
}

// readAccessKey reads the AccessKey that a version record names; it must exist and have that version.
func readAccessKey(tx *bbolt.Tx, version, sealed []byte) (*ltlv1.SealedKey, error) {
	id, err := unseal(placeKeyVersion, "", version, sealed)
	if err != nil {
		return nil, err
	}
	raw, err := unseal(placeKey, "", id, tx.Bucket([]byte(bucketKeys)).Get(id))
	if err != nil {
		return nil, err
	}
	k := &ltlv1.SealedKey{}
	if err := proto.Unmarshal(raw, k); err != nil {
		return nil, fmt.Errorf("%w: AccessKey: %w", ErrCorrupt, err)
	}
	if k.GetAccessKeyId() != string(id) || k.GetVersion() != binary.BigEndian.Uint64(version) {
		return nil, fmt.Errorf("%w: AccessKey %q is not of version %d", ErrCorrupt, id, binary.BigEndian.Uint64(version))
	}
	return k, nil
}

// AccessKeys returns up to limit AccessKeys whose version is above after, in order of version, and the newest version
// of all.
func (s *Store) AccessKeys(after uint64, limit int) ([]*ltlv1.SealedKey, uint64, error) {
	limit = min(limit, maxAccessKeyPage)
	var keys []*ltlv1.SealedKey
	var newest uint64
	err := s.view(func(tx *bbolt.Tx) error {
		keys, newest = nil, 0
		h, err := parseHead(tx.Bucket([]byte(bucketMeta)).Get([]byte(keyHead)))
		if err != nil {
			return err
		}
		newest = h.keyVersion
		if after >= newest {
			return nil
		}
		c := tx.Bucket([]byte(bucketKeyVersions)).Cursor()
		for v, sealed := c.Seek(key64(after + 1)); v != nil && len(keys) < limit; v, sealed = c.Next() {
			k, err := readAccessKey(tx, v, sealed)
			if err != nil {
				return err
			}
			keys = append(keys, k)
		}
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	return keys, newest, nil
}

// RestoreAccessKeys replaces all AccessKeys by those of a snapshot, with their versions.
func (s *Store) RestoreAccessKeys(keys []*ltlv1.SealedKey) error {
	versions, ids := make(map[uint64]bool), make(map[string]bool)
	for _, k := range keys {
		if !validAccessKey(k) || k.GetVersion() == 0 || versions[k.GetVersion()] || ids[k.GetAccessKeyId()] {
			return fmt.Errorf("%w: %q with version %d", ErrBadAccessKeys, k.GetAccessKeyId(), k.GetVersion())
		}
		versions[k.GetVersion()], ids[k.GetAccessKeyId()] = true, true
	}
	return s.change(func(w *writer) error {
		if err := w.clearAccessKeys(); err != nil {
			return err
		}
		w.head.keyVersion = 0
		for _, k := range keys {
			if err := w.storeAccessKey(k, k.GetVersion()); err != nil {
				return err
			}
			w.head.keyVersion = max(w.head.keyVersion, k.GetVersion())
		}
		return nil
	})
}

func validAccessKey(k *ltlv1.SealedKey) bool {
	id := k.GetAccessKeyId()
	return id != "" && len(id) <= maxAccessKeyID && utf8.ValidString(id)
}

// putAccessKey stores a sealed secret under the next version, if the ledger's commitment for its AccessKey is that of
// these bytes, on every node alike. The code is OK, NotFound or Conflict.
func (w *writer) putAccessKey(k *ltlv1.SealedKey) (int32, error) {
	if code, err := sealedCode(w, k); code != rules.OK || err != nil {
		return code, err
	}
	w.head.keyVersion++
	return rules.OK, w.storeAccessKey(k, w.head.keyVersion)
}

// sealedCode is OK where the ledger's commitment for the AccessKey is that of these bytes; else NotFound or Conflict.
func sealedCode(v rules.View, k *ltlv1.SealedKey) (int32, error) {
	if !validAccessKey(k) {
		return rules.NotFound, nil
	}
	known, err := rules.GetAccessKey(v, k.GetAccessKeyId())
	switch {
	case err != nil:
		return 0, err
	case known == nil:
		return rules.NotFound, nil
	case known.Commitment != ledger.SealedCommitment(k.GetSealed()):
		return rules.Conflict, nil
	}
	return rules.OK, nil
}

// SealedCode is what storing a sealed secret now would answer: OK, NotFound or Conflict. stored reports whether these
// bytes are stored already.
func (s *Store) SealedCode(k *ltlv1.SealedKey) (code int32, stored bool, err error) {
	if code, err = sealedCode(s, k); code != rules.OK || err != nil {
		return code, false, err
	}
	err = s.view(func(tx *bbolt.Tx) error {
		id := []byte(k.GetAccessKeyId())
		sealed := tx.Bucket([]byte(bucketKeys)).Get(id)
		if sealed == nil {
			return nil
		}
		raw, err := unseal(placeKey, "", id, sealed)
		if err != nil {
			return err
		}
		have := &ltlv1.SealedKey{}
		if err := proto.Unmarshal(raw, have); err != nil {
			return fmt.Errorf("%w: AccessKey: %w", ErrCorrupt, err)
		}
		stored = bytes.Equal(have.GetSealed(), k.GetSealed())
		return nil
	})
	return code, stored, err
}

// storeAccessKey stores an AccessKey under a version and removes its former version.
func (w *writer) storeAccessKey(k *ltlv1.SealedKey, version uint64) error {
	id := []byte(k.GetAccessKeyId())
	byID, byVersion := w.tx.Bucket([]byte(bucketKeys)), w.tx.Bucket([]byte(bucketKeyVersions))
	if sealed := byID.Get(id); sealed != nil {
		old, err := unseal(placeKey, "", id, sealed)
		if err != nil {
			return err
		}
		before := &ltlv1.SealedKey{}
		if err := proto.Unmarshal(old, before); err != nil {
			return fmt.Errorf("%w: AccessKey: %w", ErrCorrupt, err)
		}
		w.head.state.sub(item("", id, old))
		if err := byVersion.Delete(key64(before.GetVersion())); err != nil {
			return err
		}
	}
	raw, err := encodeAccessKey(&ltlv1.SealedKey{AccessKeyId: k.GetAccessKeyId(), Sealed: k.GetSealed(), Version: version})
	if err != nil {
		return fmt.Errorf("encode AccessKey: %w", err)
	}
	w.head.state.add(item("", id, raw))
	if err := byID.Put(id, seal(placeKey, "", id, raw)); err != nil {
		return err
	}
	return byVersion.Put(key64(version), seal(placeKeyVersion, "", key64(version), id))
}

func (w *writer) clearAccessKeys() error {
	err := w.tx.Bucket([]byte(bucketKeys)).ForEach(func(id, sealed []byte) error {
		v, err := unseal(placeKey, "", id, sealed)
		if err == nil {
			w.head.state.sub(item("", id, v))
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, name := range []string{bucketKeys, bucketKeyVersions} {
		if err := w.tx.DeleteBucket([]byte(name)); err != nil {
			return err
		}
		if _, err := w.tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	return nil
}
