package ledger

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	ltlv1 "ltl/proto/ltl/v1"
)

const statementVersion = 2

// statementFixed is the length of a statement's fixed part, up to and including the length of the organisation's id.
const statementFixed = 1 + 32 + 32 + 4 + 8 + 8 + 8 + 1

// Bounds on what an endorsement may carry.
const (
	MaxOrganisationID    = 32
	MaxBatchTransactions = 1024
	// MaxStatementLeaves is the largest number of batches that one statement may stand for.
	MaxStatementLeaves = 64
)

// FlagOpened is the bit of Endorsement.Flags that says that the endorser saw and checked the values of the batch. No
// other bit may be set.
const FlagOpened = 1

// ErrSignature is returned for a signature that does not verify.
var ErrSignature = errors.New("signature does not verify")

// Statement is what an endorser signs: the root of a tree whose leaves say what it accepts of each batch. A statement
// about a single batch has a tree of one leaf. docs/bytes.md, section "Endorsement".
type Statement struct {
	NetworkID Hash
	// TreeRoot is the RFC 6962 root over the leaves, see Endorsement.LeafHash.
	TreeRoot Hash
	// Leaves is the number of leaves, 1 to MaxStatementLeaves.
	Leaves uint32
	// SystemHeight is the height of the system chain that the endorser had verified.
	SystemHeight uint64
	// ClockMs is the organisation's clock when it signed, in milliseconds since 1970.
	ClockMs int64
	// KeyID names the organisation's key.
	KeyID [8]byte
	// Organisation is the id of the organisation that signs.
	Organisation string
}

// Encode returns the statement's bytes. The caller keeps the bounds that ParseStatement checks.
func (s *Statement) Encode() []byte {
	b := make([]byte, 0, statementFixed+len(s.Organisation))
	b = append(b, statementVersion)
	b = append(b, s.NetworkID[:]...)
	b = append(b, s.TreeRoot[:]...)
	b = binary.BigEndian.AppendUint32(b, s.Leaves)
	b = binary.BigEndian.AppendUint64(b, s.SystemHeight)
	b = binary.BigEndian.AppendUint64(b, uint64(s.ClockMs))
	b = append(b, s.KeyID[:]...)
	b = append(b, byte(len(s.Organisation)))
	return append(b, s.Organisation...)
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
	s.TreeRoot = Hash(take(32))
	s.Leaves = binary.BigEndian.Uint32(take(4))
	s.SystemHeight = binary.BigEndian.Uint64(take(8))
	s.ClockMs = int64(binary.BigEndian.Uint64(take(8)))
	s.KeyID = [8]byte(take(8))
	org := int(take(1)[0])
	if org == 0 || org > MaxOrganisationID || len(b) != org {
		return nil, fmt.Errorf("%w: endorsement statement with %d bytes for an organisation of %d", ErrMalformed, len(b), org)
	}
	if s.Leaves == 0 || s.Leaves > MaxStatementLeaves || s.ClockMs < 0 {
		return nil, fmt.Errorf("%w: endorsement statement with %d leaves at clock %d", ErrMalformed, s.Leaves, s.ClockMs)
	}
	s.Organisation = string(b)
	return s, nil
}

// Endorsement is what one organisation says of one batch: the statement that it signed, and the leaf of that
// statement's tree which stands for the batch.
type Endorsement struct {
	NetworkID Hash
	ChainID   string
	// Root is the BatchRoot of the transaction ids, in the batch's order.
	Root Hash
	// Count is the number of transactions in the batch, 1 to MaxBatchTransactions.
	Count uint32
	// Height and SystemHeight are the heights of the chain and of the system chain that the endorser had verified.
	Height, SystemHeight uint64
	// ClockMs is the organisation's clock when it signed, in milliseconds since 1970.
	ClockMs int64
	// KeyID names the organisation's key.
	KeyID [8]byte
	// Organisation is the id of the organisation that signs.
	Organisation string
	// Flags is 0 or FlagOpened.
	Flags byte
	// Accepted has one bit a transaction, the first in the highest bit of the first byte; unused bits are zero.
	Accepted []byte
}

// Accepts reports whether the endorsement accepts transaction i of the batch.
func (e *Endorsement) Accepts(i int) bool { return i < int(e.Count) && Accepts(e.Accepted, i) }

// AcceptsAny reports whether the endorsement accepts a transaction of the batch.
func (e *Endorsement) AcceptsAny() bool {
	return slices.ContainsFunc(e.Accepted, func(b byte) bool { return b != 0 })
}

// Accepts reports whether bit i of a bitmap is set, as Bitmap packs it.
func Accepts(bitmap []byte, i int) bool {
	return i >= 0 && i/8 < len(bitmap) && bitmap[i/8]&(0x80>>(i%8)) != 0
}

// Bitmap packs verdicts as Accepts wants them.
func Bitmap(accepted []bool) []byte {
	b := make([]byte, (len(accepted)+7)/8)
	for i, ok := range accepted {
		if ok {
			b[i/8] |= 0x80 >> (i % 8)
		}
	}
	return b
}

// LeafHash is the hash of the leaf that stands for the batch in the statement's tree.
func (e *Endorsement) LeafHash() Hash {
	var scratch [256]byte
	b := append(scratch[:0], leafPrefix)
	b = append(b, domainBatchLeaf...)
	b = append(b, e.ChainID...)
	b = append(b, e.Root[:]...)
	b = binary.BigEndian.AppendUint32(b, e.Count)
	b = binary.BigEndian.AppendUint64(b, e.Height)
	b = append(b, e.Flags)
	return hashOf(append(b, e.Accepted...))
}

// Sign returns the endorsement under the organisation's key, with a statement about this batch alone.
func (e *Endorsement) Sign(key ed25519.PrivateKey) *ltlv1.Endorsement { return Gather(key, e)[0] }

// Gather returns the endorsements of several batches, of one chain or of many, with one statement and one signature.
// What the statement says is taken from the first: network, system height, clock, key id and organisation. There are 1
// to MaxStatementLeaves.
func Gather(key ed25519.PrivateKey, all ...*Endorsement) []*ltlv1.Endorsement {
	leaves := make([]Hash, len(all))
	for i, e := range all {
		leaves[i] = e.LeafHash()
	}
	s := Statement{
		NetworkID: all[0].NetworkID, TreeRoot: rootOf(leaves), Leaves: uint32(len(all)), SystemHeight: all[0].SystemHeight,
		ClockMs: all[0].ClockMs, KeyID: all[0].KeyID, Organisation: all[0].Organisation,
	}
	statement := s.Encode()
	signature := ed25519.Sign(key, SignedBytes(statement))
	out := make([]*ltlv1.Endorsement, len(all))
	for i, e := range all {
		out[i] = &ltlv1.Endorsement{Statement: statement, Signature: signature, Index: uint32(i),
			Path: Path(leaves, i), Height: e.Height, Flags: uint32(e.Flags), Bitmap: e.Accepted}
	}
	return out
}

// ParseEndorsement reads what an endorsement says of a batch, given the batch's chain, root and number of
// transactions. It returns ErrMalformed, wrapped, when the endorsement does not have its one form, or when its leaf for
// this batch is not in the tree that the statement names. The signature is not checked.
func ParseEndorsement(in *ltlv1.Endorsement, chainID string, root Hash, count int) (*Endorsement, error) {
	s, err := ParseStatement(in.GetStatement())
	if err != nil {
		return nil, err
	}
	if count < 1 || count > MaxBatchTransactions || in.GetFlags()&^FlagOpened != 0 ||
		len(in.GetBitmap()) != (count+7)/8 {
		return nil, fmt.Errorf("%w: endorsement with flags %x and %d bytes of verdicts for %d transactions", ErrMalformed,
			in.GetFlags(), len(in.GetBitmap()), count)
	}
	if spare := count % 8; spare != 0 && in.GetBitmap()[count/8]<<spare != 0 {
		return nil, fmt.Errorf("%w: endorsement sets bits beyond its transactions", ErrMalformed)
	}
	e := &Endorsement{
		NetworkID: s.NetworkID, ChainID: chainID, Root: root, Count: uint32(count), Height: in.GetHeight(),
		SystemHeight: s.SystemHeight, ClockMs: s.ClockMs, KeyID: s.KeyID, Organisation: s.Organisation,
		Flags: byte(in.GetFlags()), Accepted: in.GetBitmap(),
	}
	if tree, ok := foldPath(e.LeafHash(), in.GetIndex(), s.Leaves, in.GetPath()); !ok || tree != s.TreeRoot {
		return nil, fmt.Errorf("%w: endorsement of another batch, or with another path, than its statement covers",
			ErrMalformed)
	}
	return e, nil
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
