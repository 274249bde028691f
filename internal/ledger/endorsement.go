package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	ltlv1 "ltl/proto/ltl/v1"
)

const statementVersion = 1

// statementFixed is the length of a statement's fixed part, including the byte that holds the length of the
// organisation's id.
const statementFixed = 1 + 32 + ChainIDLen + 32 + 4 + 8 + 8 + 8 + 8 + 1

// Bounds on a statement.
const (
	MaxOrganisationID    = 32
	MaxBatchTransactions = 1024
)

// ErrSignature is returned for a signature that does not verify.
var ErrSignature = errors.New("signature does not verify")

// Statement is what an endorser signs, once for a whole batch. See docs/bytes.md, section "Endorsement statement".
type Statement struct {
	NetworkID Hash
	ChainID   string
	// Root is the BatchRoot of the transaction ids, in the batch's order.
	Root Hash
	// Count is the number of transactions in the batch, 1 to MaxBatchTransactions.
	Count uint32
	// Height and SystemHeight are the heights of the chain and of the system chain that the endorser had verified.
	Height, SystemHeight uint64
	// ExpiryMs is the last block time at which the endorsement counts.
	ExpiryMs int64
	// KeyID names the organisation's key.
	KeyID [8]byte
	// Organisation is the id of the organisation that signs.
	Organisation string
	// Accepted has one bit per transaction, the first in the highest bit of the first byte; unused bits are zero.
	Accepted []byte
}

// Accepts reports whether the statement accepts transaction i of the batch.
func (s *Statement) Accepts(i int) bool {
	return i >= 0 && i < int(s.Count) && s.Accepted[i/8]&(0x80>>(i%8)) != 0
}

// Bitmap encodes verdicts in the form of Statement.Accepted.
func Bitmap(accepted []bool) []byte {
	b := make([]byte, (len(accepted)+7)/8)
	for i, ok := range accepted {
		if ok {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	return b
}

// Encode returns the statement's bytes. The caller ensures the bounds that ParseStatement checks.
func (s *Statement) Encode() []byte {
	b := make([]byte, 0, statementFixed+len(s.Organisation)+len(s.Accepted))
	b = append(b, statementVersion)
	b = append(b, s.NetworkID[:]...)
	b = append(b, s.ChainID...)
	b = append(b, s.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, s.Count)
	b = binary.BigEndian.AppendUint64(b, s.Height)
	b = binary.BigEndian.AppendUint64(b, s.SystemHeight)
	b = binary.BigEndian.AppendUint64(b, uint64(s.ExpiryMs))
	b = append(b, s.KeyID[:]...)
	b = append(b, byte(len(s.Organisation)))
	b = append(b, s.Organisation...)
	return append(b, s.Accepted...)
}

// ParseStatement reads a statement and checks its form: exactly one encoding exists for each statement.
func ParseStatement(b []byte) (*Statement, error) {
	if len(b) < statementFixed {
		return nil, fmt.Errorf("%w: endorsement statement of %d bytes", ErrMalformed, len(b))
	}
	if b[0] != statementVersion {
		return nil, fmt.Errorf("%w: endorsement statement version %d, want %d", ErrMalformed, b[0], statementVersion)
	}
	s := &Statement{}
	b = b[1:]
	take := func(n int) []byte {
		v := b[:n]
		b = b[n:]
		return v
	}
	s.NetworkID = Hash(take(32))
	s.ChainID = string(take(ChainIDLen))
	s.Root = Hash(take(32))
	s.Count = binary.BigEndian.Uint32(take(4))
	s.Height = binary.BigEndian.Uint64(take(8))
	s.SystemHeight = binary.BigEndian.Uint64(take(8))
	s.ExpiryMs = int64(binary.BigEndian.Uint64(take(8)))
	s.KeyID = [8]byte(take(8))
	org := int(take(1)[0])
	if s.Count == 0 || s.Count > MaxBatchTransactions || org == 0 || org > MaxOrganisationID {
		return nil, fmt.Errorf("%w: endorsement statement with %d transactions and an organisation of %d bytes",
			ErrMalformed, s.Count, org)
	}
	if !ValidChainID(s.ChainID) || s.ExpiryMs < 0 {
		return nil, fmt.Errorf("%w: endorsement statement for chain %q expiring at %d", ErrMalformed, s.ChainID, s.ExpiryMs)
	}
	if len(b) != org+int(s.Count+7)/8 {
		return nil, fmt.Errorf("%w: endorsement statement has %d bytes behind its fixed part", ErrMalformed, len(b))
	}
	s.Organisation = string(take(org))
	s.Accepted = take(len(b))
	if spare := s.Count % 8; spare != 0 && s.Accepted[len(s.Accepted)-1]<<spare != 0 {
		return nil, fmt.Errorf("%w: endorsement statement sets bits beyond its transactions", ErrMalformed)
	}
	return s, nil
}

// Sign returns the endorsement of the statement under the organisation's key.
func (s *Statement) Sign(key ed25519.PrivateKey) *ltlv1.Endorsement {
	b := s.Encode()
	return &ltlv1.Endorsement{Statement: b, Signature: ed25519.Sign(key, SignedBytes(b))}
}

// SignedBytes is what the signature of a statement covers: the domain prefix and the statement's bytes.
func SignedBytes(statement []byte) []byte {
	return append([]byte(domainEndorsement), statement...)
}

// VerifyEndorsement checks the signature over the carried statement bytes. It returns ErrSignature when it is wrong.
func VerifyEndorsement(key ed25519.PublicKey, e *ltlv1.Endorsement) error {
	if len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, SignedBytes(e.GetStatement()), e.GetSignature()) {
		return ErrSignature
	}
	return nil
}
