package node

import (
	"errors"
	"slices"

	"github.com/hashicorp/raft"
)

// placeholder is the type of the entry that stands for one which a snapshot replaced. Raft knows no such type: should it ever try
// to execute one, it stops instead of holding another ledger than the others.
const placeholder = raft.LogType(255)

// snapshotLog is the log as raft sees it: the index of a kept snapshot counts as present.
//
// After a snapshot at index S was installed and S+1 and later were appended, raft v1.8.0 finds no entry at S. A leader that did
// not get the answer to those appends asks again for what follows S; raft then looks for entry S, refuses because it is missing,
// and is sent the snapshot again, for ever. The simulation found this: one lost answer after a snapshot and no new writes are
// enough. Only the term of the entry is looked at there, and the snapshot knows it.
//
// Every kept snapshot counts, not only the newest: the follower may have made one of its own meanwhile, while the leader still
// begins behind the older one.
//
// No follower can be sent the placeholder: raft reads the entry before the first that it sends, and below S there is none, so
// it sends the snapshot. That is why of two snapshots in a row only the lower counts, and why there is none for S = 1, before
// which raft reads nothing.
type snapshotLog struct {
	raft.LogStore
	snaps raft.SnapshotStore
}

// GetLog implements raft.LogStore.
func (l *snapshotLog) GetLog(index uint64, out *raft.Log) error {
	err := l.LogStore.GetLog(index, out)
	if !errors.Is(err, raft.ErrLogNotFound) || index <= 1 {
		return err
	}
	list, listErr := l.snaps.List()
	if listErr != nil {
		return err
	}
	at := slices.IndexFunc(list, func(m *raft.SnapshotMeta) bool { return m.Index == index })
	below := slices.ContainsFunc(list, func(m *raft.SnapshotMeta) bool { return m.Index == index-1 })
	if at < 0 || below {
		return err
	}
	if err := l.LogStore.GetLog(index-1, &raft.Log{}); !errors.Is(err, raft.ErrLogNotFound) {
		return raft.ErrLogNotFound // a hole in the log is damage, not compaction
	}
	*out = raft.Log{Index: index, Term: list[at].Term, Type: placeholder}
	return nil
}
