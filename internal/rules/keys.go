package rules

import (
	"encoding/binary"
	"fmt"

	"ltl/internal/ledger"
)

// Classes of state keys: the first byte of a key. Lower case is ordinary state, which can be iterated. Upper case is
// looked up exactly, and its value is always a Locator.
const (
	classTransaction = 'T'
	classNonce       = 'N'
	classKey         = 'K'
	classVersion     = 'V'
	classBusiness    = 'B'
	classDeviceProof = 'D'
	classCorrection  = 'C'
	classUploader    = 'O'

	prefixOrganisation = "o/"
	prefixNode         = "n/"
	prefixChain        = "c/"
	prefixChainCode    = "k/"
	prefixAccount      = "a/"
	prefixMember       = "m/"
	prefixMemberID     = "i/"
	prefixTypeCode     = "t/"
	prefixUsage        = "u/"
	prefixOutput       = "x/"
	prefixDeviceGroup  = "d/"
	prefixProductKey   = "p/"
	prefixDevice       = "e/"
	prefixDeviceID     = "f/"
	prefixEnrolment    = "v/"
	prefixProduct      = "zg/"
	prefixPhaseGroup   = "h/"
	prefixPhase        = "j/"
	prefixPhaseCode    = "l/"
	prefixPermission   = "q/"
	prefixNodeFacts    = "y/"
	prefixCredentials  = "r/"
	prefixFormerKey    = "s/"
	prefixRevocation   = "w/"
	prefixRevoked      = "b/"
	// The classes of a single byte are used up but for z: the second byte says what it is.
	prefixOrganisationFacts = "zr/"
	prefixProposal          = "zp/"
	prefixProposed          = "zq/"
	prefixOpenProposals     = "zo/"
	prefixAccessKey         = "zk/"
	prefixAccessKeysOf      = "zu/"
	prefixAuthorityKey      = "zc/"
	prefixEntered           = "ze/"
	keyPhaseTotals          = "h"
	keyNetwork              = "g"
	keyRules                = "r"
	keyRestorations         = "zl"
	keyTimeCorrections      = "zt"
)

// LocatorLen is the length of an encoded Locator.
const LocatorLen = 16

// singleBit marks, in the Extra of a Key's locator, a Key that takes one value only (SetData).
const singleBit = 1 << 31

// Locator is the value of every indexed key: where the transaction is, and 32 bits that depend on the class.
type Locator struct {
	Height uint64
	Index  uint32
	// Extra is the result code of class T, version number and single bit of class K, the version of V and B, of C how
	// often the record was corrected, and 0 of O.
	Extra uint32
}

// Code is the result code that a transaction's locator carries.
func (l Locator) Code() int32 { return int32(l.Extra) }

// Version is the number of records under the Key up to and including this one.
func (l Locator) Version() uint32 { return l.Extra &^ singleBit }

// Single reports whether the Key takes one value only. Only the locator of a Key says so, not that of a version.
func (l Locator) Single() bool { return l.Extra&singleBit != 0 }

// Append appends the locator's LocatorLen bytes.
func (l Locator) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, l.Height)
	b = binary.BigEndian.AppendUint32(b, l.Index)
	return binary.BigEndian.AppendUint32(b, l.Extra)
}

// ParseLocator reads a Locator. It returns ErrState, wrapped, for any other length.
func ParseLocator(b []byte) (Locator, error) {
	if len(b) != LocatorLen {
		return Locator{}, fmt.Errorf("%w: locator of %d bytes", ErrState, len(b))
	}
	return Locator{Height: binary.BigEndian.Uint64(b), Index: binary.BigEndian.Uint32(b[8:]),
		Extra: binary.BigEndian.Uint32(b[12:])}, nil
}

// TransactionKey is the key of a transaction's result.
func TransactionKey(id ledger.Hash) []byte { return appendTransactionKey(nil, id) }

func appendTransactionKey(b []byte, id ledger.Hash) []byte {
	b = append(b, classTransaction)
	return append(b, id[:]...)
}

// appendNonceKey appends the key of a signed request.
func appendNonceKey(b []byte, accessKeyID, signatureNonce string) []byte {
	b = append(b, classNonce)
	b = append(b, accessKeyID...)
	b = append(b, 0)
	return append(b, signatureNonce...)
}

// NewestKey is the key of the newest record of a Key.
func NewestKey(key string) []byte { return appendNewestKey(nil, key) }

func appendNewestKey(b []byte, key string) []byte {
	b = append(b, classKey)
	return append(b, key...)
}

// VersionKey is the key of the version-th record of a repeatable Key. A Key that takes one value has none;
// LocateVersion handles both.
func VersionKey(key string, version uint32) []byte { return appendVersionKey(nil, key, version) }

func appendVersionKey(b []byte, key string, version uint32) []byte {
	b = append(b, classVersion)
	b = append(b, key...)
	b = append(b, 0)
	return binary.BigEndian.AppendUint32(b, version)
}

// appendDeviceProofKey appends the key of a text that a device signed, by the SHA-256 of the text. The signature string would
// not do: its first part is not signed, and for every ECDSA signature there is a second valid one.
func appendDeviceProofKey(b []byte, signed ledger.Hash) []byte {
	b = append(b, classDeviceProof)
	return append(b, signed[:]...)
}

// BusinessKey is the key of the record of a Key with a BusinessId. The case of the BusinessId does not matter.
func BusinessKey(key, businessID string) []byte { return appendBusinessKey(nil, key, businessID) }

func appendBusinessKey(b []byte, key, businessID string) []byte {
	b = append(b, classBusiness)
	b = append(b, key...)
	b = append(b, 0)
	for i := range len(businessID) {
		c := businessID[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// SequenceKey is the key of the record of a phase's Key with a DataSeq, whose case matters.
func SequenceKey(key, dataSeq string) []byte { return appendSequenceKey(nil, key, dataSeq) }

func appendSequenceKey(b []byte, key, dataSeq string) []byte {
	b = append(b, classBusiness)
	b = append(b, key...)
	b = append(b, 0)
	return append(b, dataSeq...)
}
