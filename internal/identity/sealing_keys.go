package identity

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// sealingKeyPattern matches further sealing keys. An organisation's sealing keys are in the directories of the
// certificates of its facades and operators: sealing.key, under which its AccessKeys are sealed, and
// sealing-FINGERPRINT.key for each other one that opens some: the former ones, and the next one while it is being
// distributed. A facade that other organisations delegate to has a copy of theirs as sealing-ORGANISATION.key.
const sealingKeyPattern = "sealing-*.key"

// SealingKeyOf is the name of the file with another organisation's sealing key, in the directory of a facade that it
// delegates to.
func SealingKeyOf(organisation string) string { return "sealing-" + organisation + ".key" }

// nextSealingKeyFile is the new key of a rotation that has not ended; an interrupted rotation goes on with it.
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

// NextSealingKey returns the new key of the rotation of dir's sealing key, and makes one when no rotation is going on.
func NextSealingKey(dir string) ([]byte, error) {
	path := filepath.Join(dir, nextSealingKeyFile)
	key, err := LoadSealingKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		return CreateSealingKey(path)
	}
	return key, err
}

// AddSealingKey adds a sealing key to a directory, from where a running facade reads it. Adding the same again changes
// nothing.
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

// NextDeviceKey makes the next key under which the endorser in dir seals its devices' keys, and returns its path. A
// running endorser reads it within seconds.
func NextDeviceKey(dir string) (string, error) {
	path := filepath.Join(dir, deviceKeyFile+".next")
	_, err := CreateSealingKey(path)
	return path, err
}

// sealingKeyName names a key's file by the first 8 bytes of its SHA-256, which do not reveal the key.
func sealingKeyName(key []byte) string {
	hash := sha256.Sum256(key)
	return "sealing-" + hex.EncodeToString(hash[:8]) + ".key"
}

// PromoteSealingKey makes key the one to seal under in dir. The former one is kept, since backups may need it. After a
// crash either is in force. Promoting the same again changes nothing.
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

// CreateSealingKey makes a new sealing key and writes it durably to a file that must not exist yet.
func CreateSealingKey(path string) ([]byte, error) {
	key := make([]byte, SealingKeyLen)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("random bytes: %w", err)
	}
	if err := writeNew(path, key, modeKey); err != nil {
		return nil, err
	}
	return key, syncDir(filepath.Dir(path))
}

// LoadSealingKey reads a sealing key: exactly SealingKeyLen bytes.
func LoadSealingKey(path string) ([]byte, error) {
	if err := checkSecret(path); err != nil {
		return nil, err
	}
	b, err := readBounded(path)
	if err != nil {
		return nil, err
	}
	if len(b) != SealingKeyLen {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrKeyFile, path, len(b), SealingKeyLen)
	}
	return b, nil
}
