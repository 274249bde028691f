package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
)

// SignNewKey signs, with an organisation's new endorser key, that it takes the place of the key with the id former. So
// no organisation can enter a key that it does not hold.
func SignNewKey(key ed25519.PrivateKey, network Hash, organisation string, former [8]byte) []byte {
	return ed25519.Sign(key, newKeyBytes(network, organisation, former))
}

// VerifyNewKey checks a signature of SignNewKey. It returns ErrSignature when it is wrong.
func VerifyNewKey(key ed25519.PublicKey, signature []byte, network Hash, organisation string, former [8]byte) error {
	return verifyText(key, newKeyBytes(network, organisation, former), signature)
}

// newKeyBytes is what SignNewKey signs.
func newKeyBytes(network Hash, organisation string, former [8]byte) []byte {
	b := append([]byte(domainNewKey), network[:]...)
	b = appendLong(b, []byte(organisation))
	return append(b, former[:]...)
}

// NewNode is what the key of a node that is to join signs.
type NewNode struct {
	Organisation, ID string
	Key              ed25519.PublicKey
	StoreID          []byte
}

// SignNewNode signs, with the node's key, that it is to join the network. So no organisation can enter the key of another
// one's node.
func SignNewNode(key ed25519.PrivateKey, network Hash, n *NewNode) []byte {
	return ed25519.Sign(key, newNodeBytes(network, n))
}

// VerifyNewNode checks a signature of SignNewNode by n.Key. It returns ErrSignature when it is wrong.
func VerifyNewNode(network Hash, n *NewNode, signature []byte) error {
	return verifyText(n.Key, newNodeBytes(network, n), signature)
}

// newNodeBytes is what SignNewNode signs.
func newNodeBytes(network Hash, n *NewNode) []byte {
	b := append([]byte(domainNewNode), network[:]...)
	b = appendLong(b, []byte(n.Organisation))
	b = appendLong(b, []byte(n.ID))
	b = append(b, n.Key...)
	return append(b, n.StoreID...)
}

// DeviceKeyText is what the former and the new key of a device sign when the new one takes the place of the former one.
// number is the new key's, counted from 1 over all that the device has had; kind is its DeviceKeyType and public its DER.
// The domain has a zero byte where a text of data has a character, so neither is taken for the other.
func DeviceKeyText(network Hash, productKey, iotID string, number, kind uint32, public []byte) []byte {
	b := append([]byte(domainDeviceKey), network[:]...)
	b = appendLong(b, []byte(productKey))
	b = appendLong(b, []byte(iotID))
	b = binary.BigEndian.AppendUint32(b, number)
	b = binary.BigEndian.AppendUint32(b, kind)
	return appendLong(b, public)
}
