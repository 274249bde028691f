package device

import (
	"encoding/binary"
	"fmt"
)

// rotationDomain begins what a rotation signs. Its zero byte stands where a text of data has a character, so neither is
// taken for the other.
const rotationDomain = "ltl/devicekey/v1\x00"

// Rotation is a device's change from one key to another. Both keys sign its Text; an operator of the organisation that
// enrolled the device records it.
type Rotation struct {
	// NetworkID is the network's, 32 bytes.
	NetworkID []byte
	// ProductKey and IotID name the device.
	ProductKey, IotID string
	// Number is that of the new key, counted from 1 over all keys that the device has had: 2 for its first rotation.
	Number uint32
	// Type is the new key's, ECC or RSA, and Public the DER of its public part, as ParsePublic returns them.
	Type   Type
	Public []byte
}

// Text is what the former and the new key sign, with Key.Sign. It returns ErrKey, wrapped, for an AES key: such a key is
// replaced by declaring the former one lost and enrolling the device again.
func (r *Rotation) Text() ([]byte, error) {
	kind := map[Type]uint32{ECC: 1, RSA: 2}[r.Type]
	if kind == 0 {
		return nil, fmt.Errorf("%w: a rotation is to an ecc or rsa key; enrol a device with an aes key again instead", ErrKey)
	}
	b := append([]byte(rotationDomain), r.NetworkID...)
	for _, name := range []string{r.ProductKey, r.IotID} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
		b = append(b, name...)
	}
	b = binary.BigEndian.AppendUint32(b, r.Number)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(r.Public)))
	return append(b, r.Public...), nil
}
