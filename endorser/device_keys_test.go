package endorser

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/identity"
)

// keyStore is a store of devices' keys in directories of its own.
type keyStore struct {
	t            *testing.T
	dir, sealing string
	*deviceKeys
}

func newKeyStore(t *testing.T) *keyStore {
	t.Helper()
	k := &keyStore{t: t, dir: t.TempDir(), sealing: filepath.Join(t.TempDir(), "devices.key")}
	k.reopen()
	return k
}

func (k *keyStore) reopen() {
	k.t.Helper()
	var err error
	if k.deviceKeys, err = openDeviceKeys(k.dir, k.sealing, "org1"); err != nil {
		k.t.Fatal(err)
	}
}

func (k *keyStore) file() string { return filepath.Join(k.dir, deviceKeysFile) }

func secret(t *testing.T, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDeviceKeysSurvive: what was stored is there after a restart, under its own name, and nowhere in clear.
func TestDeviceKeysSurvive(t *testing.T) {
	k := newKeyStore(t)
	if _, err := os.Stat(k.sealing); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an endorser without devices has a sealing key: %v", err)
	}
	want := map[deviceName][]byte{}
	for i := range 20 {
		name := deviceName{"product" + strings.Repeat("x", i%3), fmt.Sprint("device-", i)}
		want[name] = secret(t, []int{16, 24, 32}[i%3])
		if err := k.put(name, want[name], false); err != nil {
			t.Fatal(err)
		}
		if i == 10 {
			k.reopen()
		}
	}
	k.reopen()
	if k.count() != len(want) {
		t.Errorf("%d keys, want %d", k.count(), len(want))
	}
	raw, err := os.ReadFile(k.file())
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range want {
		if !bytes.Equal(k.get(name), key) {
			t.Errorf("%v has the key %x, want %x", name, k.get(name), key)
		}
		if bytes.Contains(raw, key) || bytes.Contains(raw, []byte(name.iotID)) {
			t.Errorf("the file holds %v in clear", name)
		}
	}
	// Names are not run together: these two have the same letters in a row.
	if k.get(deviceName{"productd", "evice-0"}) != nil || k.get(deviceName{"product", "device-99"}) != nil {
		t.Error("a device that was never stored has a key")
	}
	for _, path := range []string{k.file(), k.sealing} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info.Mode(), err)
		}
	}
}

// TestDeviceKeyIsReplacedOnlyOnPurpose: the same key again changes nothing, another one needs the permission.
func TestDeviceKeyIsReplacedOnlyOnPurpose(t *testing.T) {
	k := newKeyStore(t)
	name, first, second := deviceName{"p", "d"}, secret(t, 16), secret(t, 32)
	if err := errors.Join(k.put(name, first, false), k.put(name, first, false)); err != nil {
		t.Fatal(err)
	}
	if err := k.put(name, second, false); !errors.Is(err, errKeyDiffers) {
		t.Errorf("another key: %v, want errKeyDiffers", err)
	}
	if k.reopen(); !bytes.Equal(k.get(name), first) {
		t.Error("the first key is gone")
	}
	if err := k.put(name, second, true); err != nil {
		t.Fatal(err)
	}
	if k.reopen(); !bytes.Equal(k.get(name), second) {
		t.Error("the second key is not there")
	}
}

// TestDamagedDeviceKeys: every changed byte, every missing and every additional one is noticed, and so are a file of
// another organisation and a lost sealing key. A lost sealing key is never replaced by a new one.
func TestDamagedDeviceKeys(t *testing.T) {
	k := newKeyStore(t)
	if err := k.put(deviceName{"p", "d"}, secret(t, 16), false); err != nil {
		t.Fatal(err)
	}
	sound, err := os.ReadFile(k.file())
	if err != nil {
		t.Fatal(err)
	}
	refused := func(what string, raw []byte) {
		t.Helper()
		if err := os.WriteFile(k.file(), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := openDeviceKeys(k.dir, k.sealing, "org1"); !errors.Is(err, errDeviceKeys) ||
			!strings.Contains(err.Error(), k.file()) {
			t.Errorf("%s: %v, want errDeviceKeys and the path", what, err)
		}
	}
	for i := range sound {
		flipped := bytes.Clone(sound)
		flipped[i] ^= 1 << (i % 8)
		refused(fmt.Sprint("byte ", i), flipped)
		refused(fmt.Sprint("cut at ", i), sound[:i])
	}
	refused("one byte more", append(bytes.Clone(sound), 0))
	if err := os.WriteFile(k.file(), sound, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openDeviceKeys(k.dir, k.sealing, "org2"); !errors.Is(err, errDeviceKeys) {
		t.Errorf("another organisation's: %v", err)
	}
	k.reopen()
	if err := os.Remove(k.sealing); err != nil {
		t.Fatal(err)
	}
	if _, err := openDeviceKeys(k.dir, k.sealing, "org1"); !errors.Is(err, errDeviceKeys) {
		t.Errorf("without its sealing key: %v", err)
	}
	if _, err := os.Stat(k.sealing); !errors.Is(err, os.ErrNotExist) {
		t.Error("a lost sealing key was replaced by a new one")
	}
	if _, err := identity.CreateSealingKey(k.sealing); err != nil {
		t.Fatal(err)
	}
	if _, err := openDeviceKeys(k.dir, k.sealing, "org1"); !errors.Is(err, errDeviceKeys) {
		t.Errorf("under another sealing key: %v", err)
	}
}

// TestDeviceKeyThatCannotBeWritten: a failure leaves the old state, in memory and on disk, and the next attempt works.
func TestDeviceKeyThatCannotBeWritten(t *testing.T) {
	k := newKeyStore(t)
	first, second := deviceName{"p", "1"}, deviceName{"p", "2"}
	if err := k.put(first, secret(t, 16), false); err != nil {
		t.Fatal(err)
	}
	// What a crash left behind must not prevent a start; a directory in its place does.
	blocker := k.file() + ".new"
	if err := os.Mkdir(blocker, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := k.put(second, secret(t, 16), false); err == nil {
		t.Error("it was stored although it cannot be written")
	}
	if k.get(second) != nil || k.get(first) == nil {
		t.Error("memory holds what the disk does not, or the reverse")
	}
	if err := os.Remove(blocker); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blocker, []byte("the rest of a write that a crash cut off"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := k.put(second, secret(t, 16), false); err != nil {
		t.Fatal(err)
	}
	if k.reopen(); k.count() != 2 {
		t.Errorf("%d keys, want 2", k.count())
	}
}

func FuzzDecodeDeviceKeys(f *testing.F) {
	f.Add(encodeDeviceKeys(map[deviceName][]byte{{"p", "d"}: make([]byte, 16), {"", ""}: {}}))
	f.Add([]byte{0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		keys, err := decodeDeviceKeys(b)
		if err != nil {
			return
		}
		again, err := decodeDeviceKeys(encodeDeviceKeys(keys))
		if err != nil || len(again) != len(keys) {
			t.Fatalf("%d keys come back as %d, error %v", len(keys), len(again), err)
		}
		for name, key := range keys {
			if !bytes.Equal(again[name], key) {
				t.Errorf("%v: %x comes back as %x", name, key, again[name])
			}
		}
	})
}

// TestDeviceSealingRotates: the next key takes over, the former one opens nothing any more, and a crash at any point
// loses no device.
func TestDeviceSealingRotates(t *testing.T) {
	k := newKeyStore(t)
	name, key := deviceName{"p", "1"}, secret(t, 16)
	if err := k.put(name, key, false); err != nil {
		t.Fatal(err)
	}
	if adopted, err := k.takeNextSealing(); adopted || err != nil {
		t.Errorf("without a next key: %v, %v", adopted, err)
	}
	former, err := os.ReadFile(k.sealing)
	if err != nil {
		t.Fatal(err)
	}
	next, err := identity.CreateSealingKey(k.nextSealingPath())
	if err != nil {
		t.Fatal(err)
	}
	if k.reopen(); k.count() != 1 { // nothing was adopted yet: the former key still opens it
		t.Fatal("a next key beside hides the devices")
	}
	if adopted, err := k.takeNextSealing(); !adopted || err != nil {
		t.Fatal(adopted, err)
	}
	if now, err := os.ReadFile(k.sealing); err != nil || string(now) != string(next) {
		t.Error("the next key did not take over: ", err)
	}
	if k.reopen(); k.count() != 1 || string(k.get(name)) != string(key) {
		t.Error("the device's key is lost")
	}
	// The crash between the file and the rename: the file is under the next key, which is still called so.
	if err := os.Rename(k.sealing, k.nextSealingPath()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(k.sealing, former, 0o600); err != nil {
		t.Fatal(err)
	}
	if k.reopen(); k.count() != 1 {
		t.Error("the device's key is lost by a crash")
	}
	if now, err := os.ReadFile(k.sealing); err != nil || string(now) != string(next) {
		t.Error("the interrupted rotation is not finished: ", err)
	}
}
