package format_test

import "ltl/internal/ledger"

// deviceKeyVectors are the texts of changes of a device's key. The bytes of the keys are no keys: the text takes any.
func deviceKeyVectors() (all []object) {
	network := hash("network")
	for _, c := range [][2]uint32{{2, 1}, {64, 2}} {
		number, kind := c[0], c[1]
		public := []byte{0x30, byte(kind)}
		all = append(all, object{
			"networkId": hh(network), "productKey": "hKpHMh2abcd", "iotId": "meter:1", "number": number, "keyType": kind,
			"publicKey": h(public), "text": h(ledger.DeviceKeyText(network, "hKpHMh2abcd", "meter:1", number, kind, public)),
		})
	}
	return all
}
