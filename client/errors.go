package client

import "errors"

// The ways in which a call fails; compare with errors.Is.
var (
	// ErrOverloaded says that too much is pending. Nothing was written: the caller may try again later.
	ErrOverloaded = errors.New("overloaded: too many transactions are pending, try again later")
	// ErrUnavailable says that the network did not answer in time. The outcome may be unknown: submitting the same transaction
	// (with the nonce that Submit filled in) again is safe and tells.
	ErrUnavailable = errors.New("network unavailable")
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("client is closed")
)
