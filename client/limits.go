package client

import "time"

// Defaults of Config's bounds.
const (
	// DefaultSubmitTimeout is what a user of the API waits at most; a fail-over takes less than half of it.
	DefaultSubmitTimeout = 10 * time.Second
	// DefaultMaxInFlight is 2 so that a batch that is proposed again or waits for a slow endorser does not hold up the whole chain.
	// It was not chosen for throughput: in BenchmarkSubmit (network in one process, busy machine, three rounds) 1 and 2 could not be
	// told apart, and 3 and 4 were never clearly better. Networks with long lines between them may want more; measure there.
	DefaultMaxInFlight = 2
	// DefaultMaxBatchTransactions stays below the ledger's bound of 1024.
	DefaultMaxBatchTransactions = 500
	// DefaultMaxBatchBytes stays below the ledger's bound of 1 MiB.
	DefaultMaxBatchBytes = 512 << 10
	// DefaultMaxPending and DefaultMaxPendingBytes are some seconds' worth of the network's throughput.
	DefaultMaxPending      = 16384
	DefaultMaxPendingBytes = 64 << 20
)

// Bounds on one step of a call. Each is far below DefaultSubmitTimeout, so that a step can be repeated.
const (
	// endorseTimeout bounds one endorser's answer; it leaves the endorser's own wait for a sequence number (2 s) room.
	endorseTimeout = 3 * time.Second
	// busyOutstanding is how many requests an endorser may leave unanswered before it is asked only if the policy needs it: it hangs, or
	// many chains are busy.
	busyOutstanding = 8
	// maxOutstanding bounds the requests that one endorser has not answered yet. A sound one has as many as there are batches under
	// way, two for each busy chain.
	maxOutstanding = 64
	// leaderPatience is how long a submitted batch may go unanswered before the client asks the others who leads.
	leaderPatience = time.Second
	// statusTimeout bounds a question after somebody's status.
	statusTimeout = time.Second
	// readTimeout bounds one node's answer to a read, readDeadline a read whose context has no deadline.
	readTimeout  = 3 * time.Second
	readDeadline = 8 * time.Second
	// refreshTimeout bounds the fetching of the network's chains and organisations; refreshAge is when it is done again.
	refreshTimeout = 5 * time.Second
	refreshAge     = 5 * time.Second
	// doubtPause is how often at most a peer that is not known makes the client look again.
	doubtPause = time.Second
)

// graceShare is the part of a caller's time that is kept for telling what went wrong: one in so many.
const graceShare = 20

// stalledAfter is the age at which a batch under way is taken for stalled; a busy network's take some tens of milliseconds.
const stalledAfter = 200 * time.Millisecond

// Bounds on repetition.
const (
	// maxProposals bounds how often one transaction is proposed before the client gives up.
	maxProposals = 8
	// maxUnendorsed bounds how often a proposal is repeated because endorsers did not answer.
	maxUnendorsed = 3
	// unendorsedPause is half the time before a proposal is repeated because endorsers did not answer.
	unendorsedPause = 100 * time.Millisecond
	// maxHops bounds how often a NotLeader answer is followed without a pause.
	maxHops = 3
	// firstBackoff doubles up to lastBackoff.
	firstBackoff = 20 * time.Millisecond
	lastBackoff  = 500 * time.Millisecond
	// firstBreak is how long a peer that failed is left out; it doubles up to lastBreak.
	firstBreak = 200 * time.Millisecond
	lastBreak  = 5 * time.Second
)

// maxReason bounds what is passed on of an endorser's reason for a refusal.
const maxReason = 1 << 10

// maxAccounts bounds the accounts whose organisation is remembered.
const maxAccounts = 1 << 16

// maxOtherChains bounds the chains that are remembered beside those that the network tells of together.
const maxOtherChains = 1 << 14

// nonceLen is the length of a transaction's nonce.
const nonceLen = 16
