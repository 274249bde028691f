package endorser

import (
	"runtime"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// Bounds on the watch of AccessKeys.
const (
	// watchPulse is how often a watch without changes says that the endorser is there: several times in the 15 seconds
	// after which a facade that hears nothing answers nothing.
	watchPulse = 3 * time.Second
	// watchPage is how many AccessKeys are sent at once, of some 250 bytes each.
	watchPage = 1000
	// watchLag is how many blocks an endorser may be behind and still say that it is up to date: what a busy network
	// makes in a few seconds.
	watchLag = 1024
)

// Bounds on proposals.
const (
	// sequenceWait bounds the wait for the copy to reach the block that a proposal asks for; clients wait a second
	// longer.
	sequenceWait = 2 * time.Second
	// maxTransactions and maxBytes are the ledger's bounds on a batch.
	maxTransactions = ledger.MaxBatchTransactions
	maxBytes        = rules.MaxBatch
	// queuePerSlot is how many proposals may be here for each one that is judged, that one included. Half of them is a
	// caller's part, which is more than one library has under way on some tens of busy chains.
	queuePerSlot  = 64
	maxQueueBytes = 64 << 20
	// ownPlaces and ownBytes are each organisation's own in a queue, beside what all share: one proposal of the largest
	// size, or some smaller ones.
	ownPlaces = 8
	ownBytes  = 2 * maxBytes
	// maxWaiting bounds the proposals that wait for a block. They cost memory only.
	maxWaiting      = 256
	maxWaitingBytes = 32 << 20
	// maxAhead bounds how many more blocks than any node has reported a proposal may ask for: more than a busy network
	// makes in the time that a proposal waits.
	maxAhead = 8192
)

// Bounds on Ticks.
const (
	// maxUnseen is how many transactions are remembered that were signed in the last minutes, at 32 bytes each. Of what is
	// signed beyond them it is not known whether it came to the ledger; while so much is written the reference time moves.
	maxUnseen = 1 << 16
	// maxKeptBytes bounds the values that are kept of what was signed: seconds of a busy network. keptOverhead is
	// about what each takes beside its bytes.
	maxKeptBytes = 16 << 20
	keptOverhead = 256
	// tickCheck is how often it is checked whether a signature was kept back.
	tickCheck = time.Second
	// tickGrace is how long after the life of a signature a Tick is asked for: the other clocks must have passed its end
	// too.
	tickGrace = 5 * time.Second
	// tickStagger is the time between the first organisation's request for a Tick and the next one's: one Tick is enough
	// for all that was kept back.
	tickStagger = 10 * time.Second
	// tickInterval is the time between two requests for a Tick.
	tickInterval = time.Minute
	// tickTimeout bounds a request; half of it is for the endorsers.
	tickTimeout = 10 * time.Second
	// censoredAfter is how long a Tick that was endorsed may not be ordered until that is a fault.
	censoredAfter = 5 * time.Minute
)

// slots returns the number of proposals that are judged at the same time: judging only computes, so one for each
// processor.
func slots() int { return runtime.GOMAXPROCS(0) }

// Bounds on following.
// accusedFor is how long a node that sent a bad block is left out while another one can be followed: it costs a new
// stream each time, and it may have been repaired.
const accusedFor = time.Minute

const (
	// maxGroup and maxGroupBytes bound the blocks of one Append.
	maxGroup      = 64
	maxGroupBytes = 4 << 20
	// groupDelay is the time in which blocks collect into a group: it delays the copy by at most this.
	groupDelay = 25 * time.Millisecond
	// maxBuffered bounds the bytes of blocks that were received and are not stored yet; one more block may exceed it.
	maxBuffered = 16 << 20
	// firstPause is the pause after an attempt to follow a node has failed. It doubles up to lastPause.
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	// pollInterval is how often all nodes are asked for their status, and how long each has to answer.
	pollInterval = time.Second
	// maxStalls is in how many polls in a row another node may have more blocks while the copy does not grow, before the
	// copy follows that node.
	maxStalls = 2
	// firstDisbelief is how long the word of a node counts for nothing after it did not give the blocks that it reports.
	// It doubles up to lastDisbelief, so that one that goes on lying costs next to nothing, and one that hung is used
	// again.
	firstDisbelief = 10 * time.Second
	lastDisbelief  = 10 * time.Minute
	// readyLag is the number of blocks that a copy may be behind and still report that it is ready.
	readyLag = 1000
)
