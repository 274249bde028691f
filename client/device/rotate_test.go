package device_test

import (
	"bytes"
	"errors"
	"testing"

	"ltl/client/device"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestRotationText: the text is the one that the ledger verifies, for both types of key, and there is none for AES.
func TestRotationText(t *testing.T) {
	network := ledger.Hash{1, 2, 3}
	for kind, number := range map[device.Type]ltlv1.DeviceKeyType{
		device.ECC: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256, device.RSA: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048,
	} {
		r := device.Rotation{NetworkID: network[:], ProductKey: "p", IotID: "d", Number: 7, Type: kind, Public: []byte("der")}
		text, err := r.Text()
		if want := ledger.DeviceKeyText(network, "p", "d", 7, uint32(number), []byte("der")); err != nil ||
			!bytes.Equal(text, want) {
			t.Errorf("%s: %x, %v, want %x", kind, text, err, want)
		}
	}
	if _, err := (&device.Rotation{Type: device.AES}).Text(); !errors.Is(err, device.ErrKey) {
		t.Errorf("AES: %v", err)
	}
}
