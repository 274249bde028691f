package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The facades' sealing keys lie beside the certificates of facades and operators: sealing.key, under which AccessKeys are sealed, and
// sealing-FINGERPRINT.key for each other one that opens some: the former ones, and the next one while it is being handed out.
const sealingKeyPattern = "sealing-*.key"

// nextSealingKeyFile is the key that a rotation, which may have been interrupted, goes on with.
const nextSealingKeyFile = "sealing.key.next"

// LoadSealingKeys reads all sealing keys in a directory; the first is the one to seal under.
func LoadSealingKeys(dir string) ([][]byte, error) {
	first, err := LoadSealingKey(filepath.Join(dir, sealingKeyFile))
	if err != nil {
		return nil, err
	}
	keys := [][]byte{first}
	paths, err := filepath.Glob(filepath.Join(dir, sealingKeyPattern))
	if err != nil {
		return nil, fmt.Errorf("sealing keys: %w", err)
	}
	for _, path := range paths {
		key, err := LoadSealingKey(path)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// UnsealAny is Unseal with whichever key opens it; at is that key's place.
func UnsealAny(keys [][]byte, accessKeyID string, sealed []byte) (secret string, at int, err error) {
	err = ErrSealed
	for i, key := range keys {
		if secret, err = Unseal(key, accessKeyID, sealed); err == nil {
			return secret, i, nil
		}
	}
	return "", -1, err
}

// NextSealingKey returns the key that a rotation of dir's sealing key is going on with, and makes one if there is none.
func NextSealingKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, nextSealingKeyFile)
	key, err := LoadSealingKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return CreateSealingKey(path)
	}
	return key, err
}

// AddSealingKey puts one more sealing key into a directory, from where a running facade takes it. The same again changes nothing.
func AddSealingKey(dir string, key []byte) error {
	path := filepath.Join(dir, sealingKeyName(key))
	have, err := LoadSealingKey(path)
	if err == nil && bytes.Equal(have, key) {
		return nil
	}
	if err := writeNew(path, key, modeKey); err != nil {
		return err
	}
	return syncDir(dir)
}

// NextDeviceKey makes the next key under which the endorser in dir seals its devices' keys, and returns its path. A running endorser takes
// it within seconds.
func NextDeviceKey(dir string) (string, error) {
	path := filepath.Join(dir, deviceKeyFile+".next")
	_, err := CreateSealingKey(path)
	return path, err
}

// sealingKeyName names a key's file by the beginning of its SHA-256, which tells nothing of it.
func sealingKeyName(key []byte) string {
	hash := sha256.Sum256(key)
	return "sealing-" + hex.EncodeToString(hash[:8]) + ".key"
}

// PromoteSealingKey makes key the one to seal under in dir; the former one stays beside it, since backups may need it. A crash leaves
// either. The same again changes nothing.
func PromoteSealingKey(dir string, key []byte) error {
	path := filepath.Join(dir, sealingKeyFile)
	former, err := LoadSealingKey(path)
	if err != nil {
		return err
	}
	if !bytes.Equal(former, key) {
		if err := AddSealingKey(dir, former); err != nil {
			return err
		}
		if err := AddSealingKey(dir, key); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(dir, sealingKeyName(key)), path); err != nil {
			return fmt.Errorf("rename: %w", err)
		}
	}
	if err := os.Remove(filepath.Join(dir, nextSealingKeyFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove: %w", err)
	}
	return syncDir(dir)
}
