package facade

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchAge: the age grows until the next message of the network, including that nothing has changed.
func TestWatchAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newKeyring(sealingKey(), slog.New(slog.DiscardHandler))
		want := func(keys int, age time.Duration) {
			t.Helper()
			if known, old := r.status(); known != keys || old != age {
				t.Errorf("%d keys, last message %v ago, want %d and %v", known, old, keys, age)
			}
		}
		time.Sleep(time.Minute)
		want(0, time.Minute)
		r.apply(sealed(t, "member", memberUID, "member-secret", 1))
		want(1, 0)
		time.Sleep(time.Second)
		want(1, time.Second)
		r.apply(nil)
		want(1, 0)
	})
}
