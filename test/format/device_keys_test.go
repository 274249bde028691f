package format

import (
	"bytes"
	"testing"
)

// deviceKeyText is what the former and the new key of a device sign when one takes the place of the other.
type deviceKeyText struct {
	NetworkID         hexed
	ProductKey, IotID string
	Number, KeyType   uint32
	PublicKey, Text   hexed
}

func TestDeviceKeyTexts(t *testing.T) {
	v := loadVectors(t)
	if len(v.DeviceKeys) == 0 {
		t.Fatal("no texts of device keys")
	}
	for _, k := range v.DeviceKeys {
		same(t, "text of a device's new key", k.Text, bytes.Join([][]byte{
			[]byte("ltl/devicekey/v1\x00"), k.NetworkID, long(k.ProductKey), long(k.IotID), u32(k.Number), u32(k.KeyType),
			long(k.PublicKey),
		}, nil))
	}
}
