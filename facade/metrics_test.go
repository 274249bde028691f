package facade

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"ltl/internal/ledger"
)

// TestWatchAge: the age grows until the endorser says again that it is there.
func TestWatchAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyring(ledger.Hash{}, sealingKey(), slog.New(slog.DiscardHandler))
		want := func(keys int, age time.Duration) {
			t.Helper()
			if known, old := r.status(); known != keys || old != age {
				t.Errorf("%d keys, last message %v ago, want %d and %v", known, old, keys, age)
			}
		}
		time.Sleep(time.Minute)
		want(0, time.Minute)
		sealed(t, "member", memberUID, "member-secret", 1).to(r)
		want(1, time.Minute) // a node's word, or a list that goes on, says nothing of the endorser
		r.take(nil)
		want(1, 0)
		time.Sleep(time.Second)
		want(1, time.Second)
	})
}
