package client

import (
	"errors"
	"fmt"
)

// Errors of Submit and of reads. Compare with errors.Is.
var (
	// ErrOverloaded is returned when too many transactions are pending, here or at the leader. Nothing was written.
	ErrOverloaded = errors.New("overloaded: too many transactions are pending; try again later")
	// ErrUnavailable is returned when the network did not answer in time. The outcome may be unknown: submitting the same
	// transaction again (with the nonce that Submit filled in) is safe and returns the outcome.
	ErrUnavailable = errors.New("network unavailable")
	// ErrHolderUnavailable is an ErrUnavailable with a known outcome: a device signed the transaction with a secret key,
	// and the endorser that holds the key does not answer. Nothing was written. The same transaction may be submitted
	// again.
	ErrHolderUnavailable = fmt.Errorf("%w for what this device signed", ErrUnavailable)
	// ErrClock is an ErrUnavailable with a known outcome: the clock of an endorser whose signature is needed is wrong, and
	// the text says whose. Nothing was written; the same transaction may be submitted again as soon as the clock is set.
	ErrClock = fmt.Errorf("%w because of a clock", ErrUnavailable)
	// ErrFalseAnswer is returned, wrapped with ErrUnavailable, for a verified read (Config.Verify) when no node
	// answered with what the signed history holds; the text names a node that did not.
	ErrFalseAnswer = errors.New("a node gave a false answer")
	// ErrUnverified is returned, wrapped with ErrUnavailable, for a verified read (Config.Verify) when too few have
	// signed the history that is to hold the answer, or their keys are not known.
	ErrUnverified = errors.New("an answer cannot be verified")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("client is closed")
)
