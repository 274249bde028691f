// Package rules is the ledger's state machine: what a transaction must look like, who may send it, and what it changes.
//
// Everything here is pure: no clock, no randomness, no I/O, no goroutine, no dependence on map order. Nodes and
// endorsers run the same code over the same bytes and must compute the same bytes. All functions may be called
// concurrently, as long as the View they are given may be.
package rules

import (
	"crypto/ed25519"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// View reads committed state. Absent is nil, nil. An error (I/O, corruption) stops execution: it is never treated as
// absent. The caller does not change the bytes returned, and does not keep them beyond the call in which it read
// them.
type View interface {
	Get(chainID string, key []byte) ([]byte, error)
}

// Reader adds ordered iteration over the keys with a prefix; only lower-case classes can be iterated.
type Reader interface {
	View
	Scan(chainID string, prefix []byte, fn func(key, value []byte) error) error
}

// Verify checks one endorsement's signature: ledger.VerifyEndorsement, or a cache in front of it.
type Verify func(key ed25519.PublicKey, e *ltlv1.Endorsement) error

// Input is what one block of one chain is computed from.
type Input struct {
	NetworkID ledger.Hash
	ChainID   string
	// Height is that of the block to be made; Previous is the hash of the block below.
	Height   uint64
	Previous ledger.Hash
	// PreviousTimeMs is the time of the block below.
	PreviousTimeMs int64
	// SystemHeight is the height of the system chain in force; for the system chain itself it is Height.
	SystemHeight uint64
	// Sequence is the number of blocks, over all chains, that were executed before this one.
	Sequence uint64
	// PreviousReferenceMs is the network's reference time in the block of the sequence number before.
	PreviousReferenceMs int64
	Batches             []*ltlv1.Batch
}

// Executed is the result of executing an Input.
type Executed struct {
	// Block is nil when there is nothing to store: all transactions were known already, or the chain does not exist.
	Block  *ltlv1.Block
	Header ledger.Header
	Hash   ledger.Hash
	// Results has one result per transaction of each input batch. A known transaction has its first result: code,
	// height, index and output. The store fills in its block hash and time, unless the block is this one.
	Results [][]*ltlv1.Result
	// IDs are those of Block's transactions, in order.
	IDs []ledger.Hash
	// Committed has the values that each of Block's transactions commits to, in order of their slots; nil for one that
	// did not succeed.
	Committed [][]*ltlv1.Value
	// Writes holds each key once, in order of first write, with its final value.
	Writes []ledger.Write
	// NewChains are the chains that this system block created.
	NewChains []string
}
