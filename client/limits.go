package client

import "time"

// Defaults of Config's bounds.
const (
	// DefaultSubmitTimeout is the longest that Submit waits; a fail-over takes less than half of it.
	DefaultSubmitTimeout = 10 * time.Second
	// DefaultMaxInFlight is 2, so that a batch that is proposed again or waits for a slow endorser does not hold up the
	// whole chain. It was not chosen for throughput: in BenchmarkSubmit (network in one process, busy machine, three
	// rounds) 1 and 2 did not differ, and 3 and 4 were never clearly better. Networks with long round trips may need more;
	// measure there.
	DefaultMaxInFlight = 2
	// DefaultMaxBatchTransactions stays below the ledger's bound of 1024.
	DefaultMaxBatchTransactions = 500
	// DefaultMaxBatchBytes stays below the ledger's bound of 1 MiB.
	DefaultMaxBatchBytes = 512 << 10
	// DefaultMaxPending and DefaultMaxPendingBytes are what the network writes in some seconds.
	DefaultMaxPending      = 16384
	DefaultMaxPendingBytes = 64 << 20
)

// Bounds on one step. Each is far below DefaultSubmitTimeout, so that a step can be repeated.
const (
	// endorseTimeout bounds one endorser's answer; it leaves the endorser's own wait for a sequence number (2 s) room.
	endorseTimeout = 3 * time.Second
	// witnessWait is how long a batch waits for endorsements beyond those that it needs: one of the system chain for all,
	// any other until more than half of its chain's organisations agree on the time.
	witnessWait = 300 * time.Millisecond
	// busyOutstanding is the number of unanswered requests from which on an endorser is asked only if the policy needs it:
	// it hangs, or many chains are busy.
	busyOutstanding = 8
	// maxOutstanding bounds the unanswered requests of one endorser. One that works has as many as there are batches under
	// way, two for each busy chain.
	maxOutstanding = 64
	// leaderPatience is how long a submitted batch may go unanswered before the client asks all nodes which of them leads.
	leaderPatience = time.Second
	// statusTimeout bounds one request for a status.
	statusTimeout = time.Second
	// readTimeout bounds one node's answer to a read, readDeadline a read whose context has no deadline.
	readTimeout  = 3 * time.Second
	readDeadline = 8 * time.Second
	// sealedSilence is how long a node may not say that all sealed secrets have been delivered, which it does every 15
	// seconds.
	sealedSilence = 30 * time.Second
	// refreshTimeout bounds the fetching of the network's chains and organisations; refreshAge is when it is done again.
	refreshTimeout = 5 * time.Second
	refreshAge     = 5 * time.Second
	// refreshPause is the least time between two refreshes that unknown or silent peers cause.
	refreshPause = time.Second
)

// openingFraming is more than the framing of an opening takes in a message, in bytes.
const openingFraming = 16

// graceShare is the share of a caller's time that is kept to report what went wrong: 1 / graceShare.
const graceShare = 20

// stalledAfter is the age at which a batch under way counts as stalled. In a busy network a batch takes some tens of
// milliseconds.
const stalledAfter = 200 * time.Millisecond

// Bounds on repetition.
const (
	// maxProposals bounds how often one transaction is proposed before the client gives up.
	maxProposals = 8
	// maxUnendorsed bounds how often a proposal is repeated because endorsers did not answer. One that did answer within
	// the last restartTime is waited for a little longer: it may be started again, as in an upgrade.
	maxUnendorsed = 3
	restartTime   = 3 * time.Second
	// unendorsedPause is half the time before a proposal is repeated because endorsers did not answer; it doubles.
	unendorsedPause = 100 * time.Millisecond
	// redialPause is the least time between two attempts to connect to one process that writes cause.
	redialPause = 200 * time.Millisecond
	// maxHops bounds how often a NotLeader answer is followed without a pause.
	maxHops = 3
	// firstBackoff doubles up to lastBackoff.
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 500 * time.Millisecond
	// firstBreak is how long a peer that failed is left out; it doubles up to lastBreak.
	firstBreak = 200 * time.Millisecond
	lastBreak  = 5 * time.Second
)

// maxReason bounds the length of an endorser's reason for a refusal, in bytes. A longer one is cut.
const maxReason = 1 << 10

// maxAlone bounds how many of the disputed submissions of one batch are under way at the same time.
const maxAlone = 8

// maxAccounts bounds the accounts whose organisation is remembered.
const maxAccounts = 1 << 16

// maxOtherChains bounds the chains that are remembered beside those that nodes report together.
const maxOtherChains = 1 << 14

// maxHeldChains bounds the chains of which a checkpoint was asked for and is not held.
const maxHeldChains = 1 << 12

// nonceLen is the length of a transaction's nonce, in bytes.
const nonceLen = 16
