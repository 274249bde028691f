package endorser

import (
	"testing"

	"ltl/internal/identity"
)

// TestQueueShares: a caller gets half of the queue and its organisation three quarters. Where two organisations have
// taken all that is shared, a third one has its own. Bytes are shared like places, and a refusal takes nothing.
func TestQueueShares(t *testing.T) {
	id := func(organisation, name string) identity.Identity {
		return identity.Identity{Organisation: organisation, Role: identity.RoleClient, Name: name}
	}
	for name, tc := range map[string]struct{ places, bytes, size int }{
		"places": {8 * ownPlaces, 1 << 30, 1}, "bytes": {1 << 20, 8 * ownBytes, ownBytes / ownPlaces},
	} {
		q := newQueue(tc.places, tc.bytes)
		var leaves []func()
		fill := func(who identity.Identity) (n int) {
			for {
				leave := q.enter(who, tc.size)
				if leave == nil {
					return n
				}
				leaves = append(leaves, leave)
				n++
			}
		}
		for _, step := range []struct {
			who  identity.Identity
			want int
		}{{id("org1", "a"), 4 * ownPlaces}, {id("org1", "b"), 2 * ownPlaces}, {id("org1", "c"), 0},
			{id("org2", "a"), 4 * ownPlaces}, {id("org2", "b"), 0}, {id("org3", "a"), ownPlaces}, {id("org3", "b"), 0}} {
			if got := fill(step.who); got != step.want {
				t.Errorf("%s: %s gets %d, want %d", name, step.who, got, step.want)
			}
		}
		for _, leave := range leaves {
			leave()
		}
		if q.places.Used() != 0 || q.bytes.Used() != 0 {
			t.Errorf("%s: %d places and %d bytes are taken after all have left", name, q.places.Used(), q.bytes.Used())
		}
	}
}
