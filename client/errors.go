package client

import (
	"errors"
	"fmt"
)

// The ways in which a call fails; compare with errors.Is.
var (
	// ErrOverloaded says that too much is pending. Nothing was written: the caller may try again later.
	ErrOverloaded = errors.New("overloaded: too many transactions are pending, try again later")
	// ErrUnavailable says that the network did not answer in time. The outcome may be unknown: submitting the same transaction
	// (with the nonce that Submit filled in) again is safe and tells.
	ErrUnavailable = errors.New("network unavailable")
	// ErrHolderUnavailable is an ErrUnavailable that is certain: a device signed the transaction with a secret key, and the endorser
	// that holds it does not answer. Nothing was written; the same transaction may be submitted again.
	ErrHolderUnavailable = fmt.Errorf("%w for what this device signed", ErrUnavailable)
	// ErrClosed says that the client was closed.
	ErrClosed = errors.New("client is closed")
)
