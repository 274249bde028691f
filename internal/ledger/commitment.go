package ledger

import (
	"crypto/sha256"
	"encoding/binary"
)

// SaltLen is the length of the random salt of a commitment, in bytes. To who does not have the salt a commitment tells
// nothing of its value, however few values it could be.
const SaltLen = 16

// Commitment is what a payload holds in place of a value. Chain and slot, the value's place in the transaction, are in
// it so that an opening fits nowhere else.
func Commitment(chainID string, slot uint32, salt, value []byte) Hash {
	var scratch [512]byte // a Value fits: no allocation
	b := append(scratch[:0], domainValue...)
	b = append(b, chainID...)
	b = binary.BigEndian.AppendUint32(b, slot)
	b = append(b, salt...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(value)))
	return sha256.Sum256(append(b, value...))
}
