// Package client is the Go library of a Link Trusted Ledger network: the one place that knows how a write travels.
//
// Submit gathers transactions that arrive together into a batch, has the batch checked and signed by the endorsers of the chain's
// organisations at the same time, hands it to the leader, and answers when it is committed by a quorum and executed. A lone call waits
// for nothing but the network: no timer is on its path. Under load a chain's calls leave in batches, which grow while earlier ones are
// under way.
//
// What a caller may rely on:
//
//	the answer                    means
//	result with code 200          committed by a quorum and executed: it is in the block that the result names, and no failure of
//	                              fewer than half of the nodes takes it away; every later linearizable read sees it
//	result with another code      the ledger's rules refuse it; rules of the moment (unknown account, missing membership) were
//	                              checked against copies as new as the leader's
//	ErrOverloaded                 nothing was written; try again later
//	ErrUnavailable                the network did not answer in time; the transaction may be written or not, and may still be
//	                              written later; submitting the very same transaction again is harmless and tells
//	ErrClosed                     the client was closed; as with ErrUnavailable the outcome may be unknown
//	any other error               the request cannot succeed as it is, for example because this client's role may not do it
//
//	exactly once                  a transaction is known by its id, the hash of its bytes. Submit completes the transaction that it is
//	                              given, so submitting the same *ltlv1.Transaction again sends the same bytes, and the ledger answers
//	                              with the first result. A new Transaction with the same content is a second intent
//	order                         calls that are under way at the same time are ordered by the network; a call made after another's
//	                              answer is ordered behind it
//	failures                      a dead, hanging or lying endorser is left out as long as the others satisfy the chain's policy; the
//	                              leader's failure is outlasted until the caller's deadline, 10 s unless its context has one
//	endorsements                  the client counts an endorsement only when its signature, network, chain, transactions and
//	                              organisation are right; nodes check the same again
//	devices                       what a device signed with a secret key needs the endorsement of the organisation that holds the key,
//	                              whatever the policy says; while its endorser is away, ErrHolderUnavailable says so
//	memory                        Config bounds what waits and is under way; beyond that Submit answers ErrOverloaded at once
//	reads                         Ledger asks the preferred node, then the others; answers are linearizable unless the request says
//	                              CONSISTENCY_LOCAL
//
// A Client starts its goroutines as it needs them, and Close waits for all of them. All exported types may be used concurrently.
package client
