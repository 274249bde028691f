package endorser

import (
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"ltl/internal/identity"
)

// errDeviceKeys says that the file with the devices' keys is not what was written, or was written under another sealing key.
var errDeviceKeys = errors.New("the file with the devices' keys cannot be opened")

const (
	// deviceKeysFile is beside the endorser's copy of the ledger.
	deviceKeysFile = "devices.sealed"
	// deviceKeysMagic begins the file, and names its form.
	deviceKeysMagic = "ltl/device-keys/v1\x00"
	// maxDeviceKeys bounds the devices; the whole file is written for each one that is added.
	maxDeviceKeys = 100_000
	// maxDeviceKeysBytes bounds the file: as many of the longest entries as maxDeviceKeys allows, and their frame.
	maxDeviceKeysBytes = maxDeviceKeys*(2*(2+maxDeviceName)+1+32) + 1<<10
	// maxDeviceName bounds a product key or device id in bytes.
	maxDeviceName = 256
	modeDeviceKey = 0o600
)

// deviceName names a device as its enrolment does.
type deviceName struct{ productKey, iotID string }

func compareNames(a, b deviceName) int {
	return cmp.Or(cmp.Compare(a.productKey, b.productKey), cmp.Compare(a.iotID, b.iotID))
}

// deviceKeys holds the secret keys of the devices that the organisation enrolled. It may be used concurrently.
//
// They lie in one file: deviceKeysMagic, a random nonce, and all entries together under AES-256-GCM with the sealing key, so a changed,
// missing, added or exchanged entry is as plain as a changed byte. The magic and the organisation are authenticated too. What the
// file cannot tell is that it is an older one, whole; then a key that was added since is missing, and its device is refused.
//
// A new file is written beside the old one, synced, and renamed over it: a crash leaves either.
type deviceKeys struct {
	path         string
	sealingPath  string
	organisation string

	mu      sync.RWMutex
	sealing []byte // nil until it is needed
	keys    map[deviceName][]byte
}

// openDeviceKeys reads the file, if there is one. An endorser without devices needs no sealing key.
func openDeviceKeys(dir, sealingPath, organisation string) (*deviceKeys, error) {
	d := &deviceKeys{path: filepath.Join(dir, deviceKeysFile), sealingPath: sealingPath, organisation: organisation, keys: map[deviceName][]byte{}}
	sealed, err := readDeviceKeys(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil
	}
	if err != nil {
		return nil, err
	}
	if d.sealing, err = identity.LoadSealingKey(sealingPath); err != nil {
		return nil, fmt.Errorf("%w: %s: its sealing key: %w", errDeviceKeys, d.path, err)
	}
	if err := d.open(sealed); err != nil && !d.openNext(sealed) {
		return nil, fmt.Errorf("%s: %w; restore it from a backup, or move it away and enrol its devices' keys again", d.path, err)
	}
	return d, nil
}

func readDeviceKeys(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("devices' keys: %w", err)
	}
	defer f.Close() // nothing was written
	raw, err := io.ReadAll(io.LimitReader(f, maxDeviceKeysBytes+1))
	if err != nil {
		return nil, fmt.Errorf("devices' keys: %w", err)
	}
	if len(raw) > maxDeviceKeysBytes {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", errDeviceKeys, path, maxDeviceKeysBytes)
	}
	return raw, nil
}

// get returns a device's key; nil when there is none.
func (d *deviceKeys) get(name deviceName) []byte {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.keys[name]
}

// count is the number of devices.
func (d *deviceKeys) count() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.keys)
}

// errKeyDiffers is returned by put when there is another key already and it may not be replaced.
var errKeyDiffers = errors.New("another key is held for this device")

// errTooManyKeys is returned by put when no more devices fit.
var errTooManyKeys = fmt.Errorf("%d devices' keys are held already, which is the most", maxDeviceKeys)

// put stores a key durably. It replaces another one only if mayReplace. After an error what was there before counts, in memory; the
// file may hold either, and putting the same key again mends that.
func (d *deviceKeys) put(name deviceName, key []byte, mayReplace bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	old, known := d.keys[name]
	switch {
	case known && bytes.Equal(old, key):
		return nil
	case known && !mayReplace:
		return errKeyDiffers
	case !known && len(d.keys) >= maxDeviceKeys:
		return errTooManyKeys
	}
	if err := d.ensureSealing(); err != nil {
		return err
	}
	next := maps.Clone(d.keys)
	next[name] = bytes.Clone(key)
	if err := d.write(next); err != nil {
		return err
	}
	d.keys = next
	return nil
}

// ensureSealing loads the sealing key, or makes it for a directory that has none. d.mu is held. A key is made only while nothing is
// sealed: openDeviceKeys has loaded the one of an existing file.
func (d *deviceKeys) ensureSealing() error {
	if d.sealing != nil {
		return nil
	}
	key, err := identity.LoadSealingKey(d.sealingPath)
	if errors.Is(err, fs.ErrNotExist) {
		key, err = identity.CreateSealingKey(d.sealingPath)
	}
	if err != nil {
		return fmt.Errorf("the key that seals devices' keys: %w", err)
	}
	d.sealing = key
	return nil
}

func (d *deviceKeys) gcm() (cipher.AEAD, error) {
	block, err := aes.NewCipher(d.sealing)
	if err != nil {
		return nil, fmt.Errorf("sealing key: %w", err)
	}
	return cipher.NewGCM(block)
}

// bound is what the file is authenticated with beside its content.
func (d *deviceKeys) bound() []byte { return []byte(deviceKeysMagic + d.organisation) }

// open decrypts and reads the file's bytes into d.keys.
func (d *deviceKeys) open(sealed []byte) error {
	gcm, err := d.gcm()
	if err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(sealed, []byte(deviceKeysMagic))
	if !ok || len(rest) < gcm.NonceSize() {
		return fmt.Errorf("%w: it does not begin as such a file does", errDeviceKeys)
	}
	plain, err := gcm.Open(nil, rest[:gcm.NonceSize()], rest[gcm.NonceSize():], d.bound())
	if err != nil {
		return fmt.Errorf("%w: it was changed or damaged, or is sealed under another key or for another organisation", errDeviceKeys)
	}
	d.keys, err = decodeDeviceKeys(plain)
	return err
}

// write replaces the file. d.mu is held.
func (d *deviceKeys) write(keys map[deviceName][]byte) error {
	gcm, err := d.gcm()
	if err != nil {
		return err
	}
	nonce := make([]byte, gcm.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return fmt.Errorf("nonce: %w", err)
	}
	file := append([]byte(deviceKeysMagic), nonce...)
	file = gcm.Seal(file, nonce, encodeDeviceKeys(keys), d.bound())
	if err := replaceFile(d.path, file); err != nil {
		return fmt.Errorf("store a device's key: %w", err)
	}
	return nil
}

// encodeDeviceKeys writes each entry as length and text of product key and device id, then length and bytes of the key; in order, so
// that equal keys give equal bytes.
func encodeDeviceKeys(keys map[deviceName][]byte) []byte {
	var b []byte
	for _, name := range slices.SortedFunc(maps.Keys(keys), compareNames) {
		b = appendText(appendText(b, name.productKey), name.iotID)
		b = append(append(b, byte(len(keys[name]))), keys[name]...)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...) // at most maxDeviceName
}

// decodeDeviceKeys is strict, though only this program can have sealed what it reads.
func decodeDeviceKeys(b []byte) (map[deviceName][]byte, error) {
	r := bytes.NewReader(b)
	text := func(size int) ([]byte, error) {
		s := make([]byte, size)
		_, err := io.ReadFull(r, s)
		return s, err
	}
	long := func() (string, error) {
		n, err := text(2)
		if err != nil {
			return "", err
		}
		s, err := text(int(binary.BigEndian.Uint16(n)))
		return string(s), err
	}
	keys := map[deviceName][]byte{}
	for r.Len() > 0 {
		productKey, err := long()
		iotID, err2 := long()
		size, err3 := r.ReadByte()
		if err := errors.Join(err, err2, err3); err != nil {
			return nil, fmt.Errorf("%w: an entry is cut off", errDeviceKeys)
		}
		key, err := text(int(size))
		if err != nil {
			return nil, fmt.Errorf("%w: an entry is cut off", errDeviceKeys)
		}
		keys[deviceName{productKey, iotID}] = key
	}
	return keys, nil
}

// replaceFile puts a file in its place as a whole or not at all, durably.
func replaceFile(path string, content []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, modeDeviceKey)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
