package endorser

import (
	"runtime"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// Bounds on proposals.
const (
	// validity is how long an endorsement counts, from the later of the own clock and the last block's time. It outlives every
	// retry of a client, and keeps a signature that was never ordered from being kept in stock.
	validity = 2 * time.Minute
	// sequenceWait bounds the wait for the copy to reach what a proposal asks for; clients wait a second longer.
	sequenceWait = 2 * time.Second
	// maxTransactions and maxBytes are the ledger's bounds on a batch.
	maxTransactions = ledger.MaxBatchTransactions
	maxBytes        = rules.MaxBatch
	// queuePerSlot is how many proposals may wait for each one that is judged.
	queuePerSlot = 16
)

// slots is the number of proposals that are judged at the same time: judging is pure computation.
func slots() int { return runtime.GOMAXPROCS(0) }

// Bounds on following.
const (
	// maxGroup and maxGroupBytes bound what one Append stores.
	maxGroup      = 64
	maxGroupBytes = 4 << 20
	// gatherFor is the time in which blocks gather: the most by which a copy is later than it could be.
	gatherFor = 25 * time.Millisecond
	// maxBuffered bounds the bytes of blocks that were received and not stored yet; one more block may be above it.
	maxBuffered = 16 << 20
	// firstPause doubles up to lastPause between attempts to follow, once every node has failed.
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	// lookAround is how often all nodes are asked how far they are, and also how long each has to answer.
	lookAround = time.Second
	// maxStalls is how many times in a row others may have more while the own copy does not grow, before it follows one of them.
	maxStalls = 2
	// readyLag is the number of blocks that a copy may be behind and still call itself ready.
	readyLag = 1000
)
