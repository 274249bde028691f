package store

import (
	"sync"
	"time"
)

// watchdogSteps is in how many steps a Watchdog counts: it fires at most one step late for each pause of the process.
const watchdogSteps = 10

// Watchdog fires when an operation of the disk takes too long while this process runs. An ordinary timer goes on while
// the process is stopped, by a frozen virtual machine or `docker pause`, and fires at the moment of resumption, before
// the operation had a chance to end. A Watchdog sets its timer again at every step, so a pause of any length counts as
// one step. Its methods may be called concurrently.
type Watchdog struct {
	step  time.Duration
	fired func()

	mu      sync.Mutex
	timer   *time.Timer
	left    int
	stopped bool
}

// StartWatchdog calls f on a goroutine of its own once the process has run for d, unless Stop is called before.
func StartWatchdog(d time.Duration, f func()) *Watchdog {
	t := &Watchdog{step: d / watchdogSteps, fired: f, left: watchdogSteps}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(t.step, t.tick)
	return t
}

func (t *Watchdog) tick() {
	t.mu.Lock()
	if t.stopped {
		t.mu.Unlock()
		return
	}
	if t.left--; t.left > 0 {
		t.timer.Reset(t.step)
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	t.fired()
}

// Stop keeps the watchdog from firing. A call of f that has begun is not interrupted.
func (t *Watchdog) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
