package store

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWatchdog: it fires once, after its time, and not after Stop.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fired atomic.Int32
		began := time.Now()
		StartWatchdog(10*time.Second, func() {
			fired.Add(1)
			if d := time.Since(began); d != 10*time.Second {
				t.Errorf("it fired after %v", d)
			}
		})
		stopped := StartWatchdog(10*time.Second, func() { t.Error("it fired though it was stopped") })
		time.Sleep(9999 * time.Millisecond)
		stopped.Stop()
		time.Sleep(time.Minute)
		if fired.Load() != 1 {
			t.Errorf("it fired %d times", fired.Load())
		}
	})
}
