package node

import "time"

// Raft's timers. A follower that receives nothing for HeartbeatTimeout starts an election; a leader that reaches no
// majority for LeaderLeaseTimeout steps down. They are longer than the library's defaults (1 s, 1 s and 0.5 s)
// because heartbeats wait behind the log's fsync: the fast path around it is unsafe, see
// Transport.SetHeartbeatHandler. DESIGN.md, section Timers, has the measurements.
const (
	defaultHeartbeatTimeout   = 1250 * time.Millisecond
	defaultElectionTimeout    = 1250 * time.Millisecond
	defaultLeaderLeaseTimeout = 1200 * time.Millisecond
	// defaultCommitTimeout is how long an idle leader's raft waits before it sends followers the newest commit index, and
	// what they lack. The transport announces a commit before that to a follower that waits for it, and holds back what
	// says nothing new (appendPipeline).
	defaultCommitTimeout = 20 * time.Millisecond
	// watchPulse is how often a WatchAccessKeys stream without changes repeats that it is up to date.
	watchPulse = 15 * time.Second
	// maxAppendEntries bounds the entries of one append message. Entries have at most rules.MaxEntry bytes, and rarely
	// come near it even on a busy leader.
	maxAppendEntries = 16
)

// Bounds of the Raft log. A snapshot is a catch-up target and costs one small file, so the log is cut often: an entry
// is at most 4 MiB, and about threshold + trailing + what comes in between two looks are kept. With entries of some
// tens of KiB that is 100 MiB, at the very most some GiB. A node that was away longer than the trailing entries last
// fetches blocks instead.
const (
	defaultSnapshotThreshold = 1024
	defaultTrailingLogs      = 1024
	defaultSnapshotInterval  = 5 * time.Second
	// retainedSnapshots is how many Raft snapshots are kept; each is a catch-up target of a few KiB. More than one,
	// because a leader may still send entries from behind an older one (see snapshotLogStore).
	retainedSnapshots = 3
)
