package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"ltl/internal/ledger"
)

// domainDerive is the domain prefix of all derivations of identifiers.
const domainDerive = "ltl/derive/v1\x00"

// Purposes of derived identifiers; each purpose has its own sequence.
const (
	forChain      = "chain"
	forChainCode  = "chain code"
	forAccount    = "account"
	forMember     = "member"
	forTypeCode   = "type code"
	forBusinessID = "business id"

	forDeviceGroup = "device group"
	forDevice      = "device"
	forPhaseGroup  = "phase group"
	forPhase       = "phase"
	forPhaseCode   = "phase code"
	forDataSeq     = "data seq"
)

const (
	capitals     = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	hexadecimal  = "0123456789ABCDEF"
	alphanumeric = capitals + "abcdefghijklmnopqrstuvwxyz"

	ten16 = 10_000_000_000_000_000
	ten17 = 10 * ten16
)

// maxDerive bounds the search for a free identifier. Even with half of all type codes taken, a hundred misses in a row
// come once in 2^100.
const maxDerive = 1000

// maxMembers is half of all type codes: more members are refused, whatever the chain's quota. A search that finds no
// free code is a broken invariant and stops every node.
const maxMembers = 36 * 36 * 36 * 36 / 2

// maxPhases is half of all phase codes, for the same reason.
const maxPhases = 16 * 16 * 16 * 16 / 2

// derive returns 32 bytes that depend only on the transaction, the purpose and the counter.
func derive(id ledger.Hash, purpose string, counter uint32) [32]byte {
	b := make([]byte, 0, 96)
	b = append(b, domainDerive...)
	b = append(b, purpose...)
	b = append(b, 0)
	b = append(b, id[:]...)
	return sha256.Sum256(binary.BigEndian.AppendUint32(b, counter))
}

// digits16 is a 16-digit identifier, leading zeros included.
func digits16(h [32]byte) string {
	return fmt.Sprintf("%016d", binary.BigEndian.Uint64(h[:8])%ten16)
}

// digits18 is an 18-digit uid without a leading zero.
func digits18(h [32]byte) string {
	return fmt.Sprintf("%d", ten17+binary.BigEndian.Uint64(h[:8])%(9*ten17))
}

// letters returns n letters of the alphabet, chosen by h; n is at most half of len(h).
func letters(h [32]byte, n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[int(binary.BigEndian.Uint16(h[2*i:]))%len(alphabet)]
	}
	return string(b)
}

// firstFree returns the first identifier of a purpose's sequence that is not taken.
func firstFree(id ledger.Hash, purpose string, spell func([32]byte) string,
	taken func(string) (bool, error)) (string, error) {
	for counter := range uint32(maxDerive) {
		s := spell(derive(id, purpose, counter))
		used, err := taken(s)
		if err != nil {
			return "", err
		}
		if !used {
			return s, nil
		}
	}
	return "", fmt.Errorf("%w: %d identifiers in a row are taken (%s)", ErrState, maxDerive, purpose)
}
