package node

import (
	"errors"
	"testing"

	"github.com/hashicorp/raft"
)

// TestCheckCovered: a snapshot that cannot be read is not listed; a log whose beginning it held is then no log to start from.
func TestCheckCovered(t *testing.T) {
	for _, c := range []struct {
		first, last, snapshot uint64
		ok                    bool
	}{
		{0, 0, 0, true}, {1, 5, 0, true}, {0, 0, 9, true}, {3, 9, 5, true}, {3, 9, 2, true}, {1, 1, 9, true},
		{2, 5, 0, false}, {5, 9, 0, false}, {5, 9, 3, false},
	} {
		logs, snaps := raft.NewInmemStore(), raft.NewInmemSnapshotStore()
		if c.first > 0 {
			if err := logs.StoreLogs(guardEntries(c.first, c.last, 1, "x")); err != nil {
				t.Fatal(err)
			}
		}
		if c.snapshot > 0 {
			sink, err := snaps.Create(raft.SnapshotVersionMax, c.snapshot, 1, raft.Configuration{}, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := sink.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if err := checkCovered(logs, snaps); (err == nil) != c.ok || err != nil && !errors.Is(err, errLogCorrupt) {
			t.Errorf("entries %d to %d with a snapshot at %d: %v", c.first, c.last, c.snapshot, err)
		}
	}
}
