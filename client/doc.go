// Package client is the Go library of a Link Trusted Ledger network: it writes transactions, reads the ledger and
// follows its blocks. A program outside this module can import it; see examples/ and the examples below.
//
// LoadTrust and LoadCredentials read what a client needs to know of its network and of itself, and Open makes the
// client. Submit gathers transactions that arrive together into a batch, has the endorsers of the chain's
// organisations check and sign the batch at the same time, and hands it to the leader. It returns when the batch is
// committed by a quorum and executed. No timer is involved: a single transaction leaves at once. Under load, batches
// grow while earlier ones are under way.
//
// What a caller may rely on, by what Submit returns:
//
//	a result with CodeOK     The transaction is committed by a quorum and executed. It is in the block that the
//	                         result names, and no failure of fewer than half of the nodes loses it. Every later
//	                         linearizable read sees it.
//	any other code           The ledger's rules refuse it. Where the reason depends on the state of the ledger
//	                         (unknown account, missing membership), endorsers as new as the leader refused it.
//	ErrOverloaded            Nothing was written. Try again later.
//	ErrUnavailable           The network did not answer in time. The transaction may be written or not, and may
//	                         still be written later. Submitting the same transaction again is harmless and
//	                         returns the outcome.
//	ErrHolderUnavailable     Nothing was written; see Devices.
//	ErrClock                 Nothing was written: the clock of an endorser is wrong, and the text says whose.
//	ErrClosed                The client was closed. As with ErrUnavailable, the outcome may be unknown.
//	any other error          The request cannot succeed as it is, for example because the client's role does not
//	                         allow it.
//
// # Exactly once
//
// A transaction is known by its id, the hash of its bytes. Submit completes the transaction that it is given, so
// submitting the same *ltlv1.Transaction again sends the same bytes, and the ledger answers with the first result. A
// new Transaction with the same content is a second intent.
//
// # Order
//
// The network orders the transactions that are under way at the same time. A transaction that is submitted after
// another one's result is ordered behind it.
//
// # Failures
//
// The endorser of the client's own organisation must endorse, whatever the policy of the chain says: while it does not
// answer, Submit returns ErrUnavailable, and nothing is written. Any other dead, hanging or lying endorser is left out as
// long as the rest satisfy the policy. When the leader
// fails, Submit goes on with the next one until the caller's deadline, which is 10 s unless its context has one. The
// client counts an endorsement only when its signature, network, chain, transactions and organisation are right. Nodes
// check the same again.
//
// # Devices
//
// What a device signed with a secret key needs the endorsement of the organisation that holds the key, whatever the
// policy says. While the endorser of that organisation does not answer, Submit returns ErrHolderUnavailable.
//
// # Memory
//
// Config bounds the transactions that wait or are under way. Beyond the bounds Submit returns ErrOverloaded at once.
//
// # Reads
//
// Ledger asks the preferred node, then the others. Answers are linearizable unless the request asks for
// CONSISTENCY_LOCAL.
//
// A Client starts its goroutines when it needs them, and Close waits for all of them. All exported types may be used
// concurrently.
package client
