package endorser

import (
	"runtime"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// Bounds on proposals.
const (
	// sequenceWait bounds the wait for the copy to reach the block that a proposal asks for; clients wait a second
	// longer.
	sequenceWait = 2 * time.Second
	// maxTransactions and maxBytes are the ledger's bounds on a batch.
	maxTransactions = ledger.MaxBatchTransactions
	maxBytes        = rules.MaxBatch
	// queuePerSlot is how many proposals may wait for each one that is judged.
	queuePerSlot = 16
)

// slots returns the number of proposals that are judged at the same time: judging only computes, so one for each
// processor.
func slots() int { return runtime.GOMAXPROCS(0) }

// Bounds on following.
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
	// readyLag is the number of blocks that a copy may be behind and still report that it is ready.
	readyLag = 1000
)
