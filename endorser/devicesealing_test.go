package endorser

import (
	"os"
	"testing"

	"ltl/internal/identity"
)

// TestDeviceSealingRotates: the next key takes over, the former one opens nothing any more, and a crash at any point loses no device.
func TestDeviceSealingRotates(t *testing.T) {
	k := newKeyStore(t)
	name, key := deviceName{"p", "1"}, secret(t, 16)
	if err := k.put(name, key, false); err != nil {
		t.Fatal(err)
	}
	if adopted, err := k.adoptSealing(); adopted || err != nil {
		t.Errorf("without a next key: %v, %v", adopted, err)
	}
	former, err := os.ReadFile(k.sealing)
	if err != nil {
		t.Fatal(err)
	}
	next, err := identity.CreateSealingKey(k.nextSealing())
	if err != nil {
		t.Fatal(err)
	}
	if k.reopen(); k.count() != 1 { // nothing was adopted yet: the former key still opens it
		t.Fatal("a next key beside hides the devices")
	}
	if adopted, err := k.adoptSealing(); !adopted || err != nil {
		t.Fatal(adopted, err)
	}
	if now, err := os.ReadFile(k.sealing); err != nil || string(now) != string(next) {
		t.Error("the next key did not take over: ", err)
	}
	if k.reopen(); k.count() != 1 || string(k.get(name)) != string(key) {
		t.Error("the device's key is lost")
	}
	// The crash between the file and the rename: the file is under the next key, which is still called so.
	if err := os.Rename(k.sealing, k.nextSealing()); err != nil {
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
