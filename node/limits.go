package node

import "time"

// Raft's timers. A follower that hears nothing for HeartbeatTimeout stands for election; a leader that reaches no majority for
// LeaderLeaseTimeout steps down. They are longer than the library's defaults because heartbeats queue behind the log's fsync: the
// fast path around it is unsafe. DESIGN.md, section Timers, has the measurements.
const (
	defaultHeartbeatTimeout   = 1250 * time.Millisecond
	defaultElectionTimeout    = 1250 * time.Millisecond
	defaultLeaderLeaseTimeout = 1200 * time.Millisecond
	// commitTimeout is how long an idle leader waits before it tells followers the newest commit index.
	commitTimeout = 20 * time.Millisecond
	// watchPulse is how often a watch of AccessKeys without changes is told that there are none.
	watchPulse = 15 * time.Second
	// maxAppendEntries bounds one append message: entries are at most rules.MaxEntry, but a busy leader's are rarely near it.
	maxAppendEntries = 16
)

// Bounds of the Raft log. A snapshot is a checkpoint and costs one small file, so the log is cut often: an entry is at most 4 MiB,
// and about threshold + trailing + what comes in between two looks are kept. With entries of some tens of KiB that is 100 MiB, at
// the very most some GiB. A node that was away longer than the trailing entries last fetches blocks instead.
const (
	defaultSnapshotThreshold = 1024
	defaultTrailingLogs      = 1024
	defaultSnapshotInterval  = 5 * time.Second
	// retainedSnapshots is how many Raft snapshots are kept; each is a checkpoint of a few KiB. More than one, because a leader may
	// still begin behind an older one (snapshotlog.go).
	retainedSnapshots = 3
)
