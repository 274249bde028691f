package endorser

import (
	"bytes"
	"cmp"
	"context"
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

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// errDeviceKeys is wrapped when the file with the devices' keys is damaged, or was written under another sealing key.
var errDeviceKeys = errors.New("the file with the devices' keys cannot be opened")

const (
	// deviceKeysFile is in the directory of the endorser's copy of the ledger.
	deviceKeysFile = "devices.sealed"
	// deviceKeysMagic begins the file, and names its format.
	deviceKeysMagic = "ltl/device-keys/v1\x00"
	// maxDeviceKeys bounds the devices; the whole file is written for each one that is added.
	maxDeviceKeys = 100_000
	// maxDeviceKeysBytes bounds the file: maxDeviceKeys of the longest entries, and the framing.
	maxDeviceKeysBytes = maxDeviceKeys*(2*(2+maxDeviceName)+1+32) + 1<<10
	// maxDeviceName bounds a product key or device id in bytes.
	maxDeviceName = 256
	modeDeviceKey = 0o600
)

// deviceName identifies a device as its enrolment does.
type deviceName struct{ productKey, iotID string }

func compareNames(a, b deviceName) int {
	return cmp.Or(cmp.Compare(a.productKey, b.productKey), cmp.Compare(a.iotID, b.iotID))
}

// deviceKeys has the secret keys of the devices that the organisation enrolled. Methods may be called concurrently.
//
// The keys are in one file: deviceKeysMagic, a random nonce, and all entries together under AES-256-GCM with the
// sealing key, so a changed, missing, added or exchanged entry is detected like a changed byte. The magic and the
// organisation are authenticated too. The file cannot show that it is a complete older version; then a key that was
// added since is missing, and its device is refused.
//
// A new file is written beside the old one, synced, and renamed over it: a crash leaves one of the two.
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
	d := &deviceKeys{path: filepath.Join(dir, deviceKeysFile), sealingPath: sealingPath, organisation: organisation,
		keys: map[deviceName][]byte{}}
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
		return nil, fmt.Errorf("%s: %w; restore it from a backup, or move it away and enrol its devices' keys again", d.path,
			err)
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

// count returns the number of devices.
func (d *deviceKeys) count() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.keys)
}

// errKeyDiffers is returned by put when the device has another key that may not be replaced.
var errKeyDiffers = errors.New("another key is held for this device")

// errTooManyKeys is returned by put when maxDeviceKeys are stored.
var errTooManyKeys = fmt.Errorf("%d devices' keys are held already, which is the most", maxDeviceKeys)

// put stores a key durably. It replaces another key only if mayReplace. After an error the former state counts in
// memory; the file may have either, and putting the same key again repairs that.
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

// ensureSealing loads the sealing key, or makes it in a directory that has none. The caller holds d.mu. A key is made
// only while nothing is sealed: openDeviceKeys has loaded the key of an existing file.
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

// associatedData returns what is authenticated with the file beside its content.
func (d *deviceKeys) associatedData() []byte { return []byte(deviceKeysMagic + d.organisation) }

// open decrypts the file's bytes into d.keys.
func (d *deviceKeys) open(sealed []byte) error {
	gcm, err := d.gcm()
	if err != nil {
		return err
	}
	rest, ok := bytes.CutPrefix(sealed, []byte(deviceKeysMagic))
	if !ok || len(rest) < gcm.NonceSize() {
		return fmt.Errorf("%w: it does not begin with the format's name", errDeviceKeys)
	}
	plain, err := gcm.Open(nil, rest[:gcm.NonceSize()], rest[gcm.NonceSize():], d.associatedData())
	if err != nil {
		return fmt.Errorf("%w: it was changed or damaged, or is sealed under another key or for another organisation",
			errDeviceKeys)
	}
	d.keys, err = decodeDeviceKeys(plain)
	return err
}

// write replaces the file. The caller holds d.mu.
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
	file = gcm.Seal(file, nonce, encodeDeviceKeys(keys), d.associatedData())
	if err := replaceFile(d.path, file); err != nil {
		return fmt.Errorf("store a device's key: %w", err)
	}
	return nil
}

// encodeDeviceKeys writes each entry as length and text of product key and device id, then length and bytes of the
// key; sorted, so that equal keys give equal bytes.
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

// decodeDeviceKeys reads what encodeDeviceKeys wrote. It is strict, although only this program can have sealed the
// file.
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

// replaceFile replaces a file durably, as a whole or not at all.
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

// nextSealingPath is where an operator puts a new sealing key of the devices' keys.
func (d *deviceKeys) nextSealingPath() string { return d.sealingPath + ".next" }

// takeNextSealing seals the devices' keys under the next sealing key, if there is one, and makes it the present one.
// The file is written first: a crash before the rename leaves a file that the next key opens, which openDeviceKeys
// tries. It reports whether there was a next key.
func (d *deviceKeys) takeNextSealing() (bool, error) {
	if _, err := os.Lstat(d.nextSealingPath()); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	next, err := identity.LoadSealingKey(d.nextSealingPath())
	if err != nil {
		return false, fmt.Errorf("the next key that seals devices' keys: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	former := d.sealing
	d.sealing = next
	if len(d.keys) > 0 {
		if err := d.write(d.keys); err != nil {
			d.sealing = former
			return false, err
		}
	}
	return true, d.replaceSealing()
}

// replaceSealing makes the next sealing key the present one.
func (d *deviceKeys) replaceSealing() error {
	if err := os.Rename(d.nextSealingPath(), d.sealingPath); err != nil {
		return fmt.Errorf("the next key that seals devices' keys: %w", err)
	}
	dir, err := os.Open(filepath.Dir(d.sealingPath))
	if err != nil {
		return fmt.Errorf("the next key that seals devices' keys: %w", err)
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// openNext opens a file that was sealed under the next key before a crash.
func (d *deviceKeys) openNext(sealed []byte) bool {
	next, err := identity.LoadSealingKey(d.nextSealingPath())
	if err != nil {
		return false
	}
	former := d.sealing
	d.sealing = next
	if d.open(sealed) == nil && d.replaceSealing() == nil {
		return true
	}
	d.sealing = former
	return false
}

// takeNextSealingKey looks for a next sealing key.
func (e *Endorser) takeNextSealingKey() {
	switch adopted, err := e.devices.takeNextSealing(); {
	case err != nil:
		e.log.Error("the devices' keys cannot be sealed under the next key", "error", err)
	case adopted:
		e.log.Info("the devices' keys are sealed under a new key", "devices", e.devices.count())
	}
}

// PutDeviceKey implements ltlv1.EndorserServer: it stores the secret key of a device that the operator's
// organisation, which must be this endorser's, enrols or has enrolled. The key is on disk when it answers.
//
// The key comes before the enrolment, so that no device is enrolled whose signatures cannot be checked. A device's
// key may be replaced until the device is enrolled, and after its key was declared lost or compromised. Else only the
// same key is accepted, or any key when the endorser has lost it.
func (e *Endorser) PutDeviceKey(ctx context.Context,
	in *ltlv1.PutDeviceKeyRequest) (*ltlv1.PutDeviceKeyResponse, error) {
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the caller has no identity")
	}
	if caller.Organisation != e.organisation {
		return nil, status.Errorf(codes.PermissionDenied, "%s is not of organisation %s: hand the key to the endorser of "+
			"your own organisation", caller, e.organisation)
	}
	if err := checkDeviceKey(in); err != nil {
		return nil, err
	}
	if err := e.waitSequence(ctx, caller, len(in.GetKey()), in.GetMinSequence()); err != nil {
		return nil, err
	}
	enrolled, err := rules.GetEnrolment(e.store, in.GetProductKey(), in.GetIotId())
	if err != nil {
		return nil, e.failure(err)
	}
	product, err := rules.GetProduct(e.store, in.GetProductKey())
	if err != nil {
		return nil, e.failure(err)
	}
	switch {
	case enrolled == nil:
	case enrolled.Revoked:
		return nil, status.Error(codes.FailedPrecondition, "the device's enrolment was revoked; it needs no key any more")
	case product != nil && product.Organisation != e.organisation:
		return nil, status.Errorf(codes.FailedPrecondition, "the device's product is of organisation %s, whose endorser "+
			"needs its key", product.Organisation)
	case enrolled.Organisation != e.organisation && enrolled.Newest().Until == 0: // before the product was moved
		return nil, status.Errorf(codes.FailedPrecondition, "the device was enrolled by organisation %s; end its key with "+
			"ltl device declare, then enrol it again", enrolled.Organisation)
	case enrolled.Newest().Until != 0: // declared lost or compromised: the device gets another key
	case enrolled.Newest().Type != ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		return nil, status.Error(codes.FailedPrecondition, "the device was enrolled with a public key; it has no secret key")
	}
	name := deviceName{in.GetProductKey(), in.GetIotId()}
	switch err := e.devices.put(name, in.GetKey(), enrolled == nil || enrolled.Newest().Until != 0); {
	case errors.Is(err, errKeyDiffers):
		return nil, status.Error(codes.AlreadyExists, "the device is enrolled with another key; a key in force is not "+
			"replaced. Declare it lost with `ltl device declare`, then enrol the device again")
	case errors.Is(err, errTooManyKeys):
		return nil, status.Errorf(codes.ResourceExhausted, "%v", err)
	case err != nil:
		e.log.Error("a device's key cannot be stored", "product_key", name.productKey, "iot_id", name.iotID, "error", err)
		return nil, status.Error(codes.Internal, "the endorser could not store the key; its log says why")
	}
	e.log.Info("a device's key was stored", "product_key", name.productKey, "iot_id", name.iotID, "by", caller.String())
	return &ltlv1.PutDeviceKeyResponse{}, nil
}

// checkDeviceKey refuses a key or name that could never be enrolled.
func checkDeviceKey(in *ltlv1.PutDeviceKeyRequest) error {
	switch n := len(in.GetKey()); {
	case n != 16 && n != 24 && n != 32:
		return status.Errorf(codes.InvalidArgument, "a key of %d bytes; an AES key has 16, 24 or 32", n)
	case !rules.ValidProductKey(in.GetProductKey()):
		return status.Errorf(codes.InvalidArgument, `the product key must be 1 to %d letters, digits, "-", "." and "_"`,
			rules.MaxProductKey)
	case !rules.ValidIotID(in.GetIotId()):
		return status.Errorf(codes.InvalidArgument,
			`the device id must be 1 to %d letters, digits, "-", ".", "_", ":" and "@"`,
			rules.MaxIotID)
	}
	return nil
}
