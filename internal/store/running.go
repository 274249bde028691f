package store

import (
	"sync"
	"time"
)

// runningSteps is in how many steps a RunningTimer counts: it fires up to one of them late for each pause of the process.
const runningSteps = 10

// RunningTimer measures how long something takes while this process runs. An ordinary timer goes on while the process is stopped, by a frozen virtual
// machine or `docker pause`, and fires in the moment of resumption, before what it watches had a chance to end. This one is set anew at every step,
// so that a pause of any length counts as one step. Its methods may be called concurrently.
type RunningTimer struct {
	step  time.Duration
	fired func()

	mu      sync.Mutex
	timer   *time.Timer
	left    int
	stopped bool
}

// AfterRunning calls f on a goroutine of its own once the process has run for d, unless Stop is called before.
func AfterRunning(d time.Duration, f func()) *RunningTimer {
	t := &RunningTimer{step: d / runningSteps, fired: f, left: runningSteps}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(t.step, t.tick)
	return t
}

func (t *RunningTimer) tick() {
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

// Stop keeps the timer from firing; a call that has begun goes on.
func (t *RunningTimer) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}
