package node

import (
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// checkSnapshotTerm reports whether the log has an entry of another term at the newest snapshot's index. Raft v1.8.0
// keeps such a log when it installs a snapshot, trusts it more than the snapshot from then on, and rejects every
// append forever (https://github.com/hashicorp/raft/issues/697).
func checkSnapshotTerm(logs raft.LogStore, snaps raft.SnapshotStore) (conflict bool, err error) {
	newest, err := newestSnapshot(snaps)
	if err != nil || newest == nil {
		return false, err
	}
	var entry raft.Log
	switch err := logs.GetLog(newest.Index, &entry); {
	case errors.Is(err, raft.ErrLogNotFound):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("node: read entry %d of the newest snapshot: %w", newest.Index, err)
	}
	return entry.Term != newest.Term, nil
}

// repairConflictingLog deletes a log that conflicts with the newest snapshot, or ends below it. Call it before
// raft.NewRaft. Nothing committed is lost: what is at or below the snapshot's index is in the snapshot, and what
// follows a conflicting entry was never committed.
func repairConflictingLog(logs raft.LogStore, snaps raft.SnapshotStore) (repaired bool, err error) {
	conflict, err := checkSnapshotTerm(logs, snaps)
	if err != nil {
		return false, err
	}
	if !conflict {
		return deleteCovered(logs, snaps)
	}
	return true, deleteAll(logs)
}

// afterSnapshotInstall checks the log after raft installed a snapshot, before the leader gets the answer. If it
// returns restart, the caller must shut raft down, call repairConflictingLog and start raft again, because raft keeps
// the end of its log in memory. Otherwise it deletes a log that ends below the snapshot: that log may be a lost
// branch, which raft would send to other nodes when it leads.
func afterSnapshotInstall(logs raft.LogStore, snaps raft.SnapshotStore) (restart bool, err error) {
	restart, err = checkSnapshotTerm(logs, snaps)
	if err != nil || restart {
		return restart, err
	}
	_, err = deleteCovered(logs, snaps)
	return false, err
}

// deleteCovered deletes the log when all of it is below the newest snapshot.
func deleteCovered(logs raft.LogStore, snaps raft.SnapshotStore) (bool, error) {
	newest, err := newestSnapshot(snaps)
	if err != nil || newest == nil {
		return false, err
	}
	first, last, err := bounds(logs)
	if err != nil || first == 0 || last >= newest.Index {
		return false, err
	}
	// Exactly these entries: raft may have stored entries after the snapshot meanwhile.
	if err := logs.DeleteRange(first, last); err != nil {
		return false, fmt.Errorf("node: delete entries %d to %d under the snapshot at %d: %w", first, last, newest.Index, err)
	}
	return true, nil
}

// checkCovered reports a gap between the newest snapshot and the log. The snapshot store omits snapshots that it
// cannot read, so a damaged snapshot looks like none, and raft would panic on the first missing entry.
func checkCovered(logs raft.LogStore, snaps raft.SnapshotStore) error {
	newest, err := newestSnapshot(snaps)
	if err != nil {
		return err
	}
	covered := uint64(0)
	if newest != nil {
		covered = newest.Index
	}
	first, _, err := bounds(logs)
	if err != nil {
		return err
	}
	if first > covered+1 {
		return fmt.Errorf("%w: it begins at entry %d, but the newest snapshot that can be read ends at %d: a Raft "+
			"snapshot is missing or damaged",
			errLogCorrupt, first, covered)
	}
	return nil
}

func deleteAll(logs raft.LogStore) error {
	first, last, err := bounds(logs)
	if err != nil || first == 0 {
		return err
	}
	if err := logs.DeleteRange(first, last); err != nil {
		return fmt.Errorf("node: delete the conflicting entries %d to %d: %w", first, last, err)
	}
	return nil
}

// bounds returns the first and the last index of a log.
func bounds(logs raft.LogStore) (first, last uint64, err error) {
	if first, err = logs.FirstIndex(); err == nil {
		last, err = logs.LastIndex()
	}
	if err != nil {
		return 0, 0, fmt.Errorf("node: read the bounds of the raft log: %w", err)
	}
	return first, last, nil
}

// newestSnapshot returns nil when there is no snapshot.
func newestSnapshot(snaps raft.SnapshotStore) (*raft.SnapshotMeta, error) {
	list, err := snaps.List()
	if err != nil {
		return nil, fmt.Errorf("node: list snapshots: %w", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return list[0], nil
}
