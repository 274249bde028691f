// Package skew measures how far this machine's clock is from the clocks of the other processes of the network.
package skew

import (
	"log/slog"
	"sync"
	"time"

	"ltl/internal/rules"
)

const (
	// Interval is how often a process asks the others for their clocks.
	Interval = 10 * time.Second
	// Suspicious is the skew from which on a clock is reported as wrong. Clocks that a time service keeps differ by some
	// milliseconds; from rules.MaxClockSpreadMs on, the endorsements of an organisation do not count with those of others.
	Suspicious = 10 * time.Second
	// memory is how long an answer counts. It is a few intervals, so that one lost answer changes nothing.
	memory = 45 * time.Second
	// slowest is the longest way of a question and its answer that is used: the clock is known to half of it.
	slowest = 2 * time.Second
)

// Meter compares the own clock with those of other processes. It may be used by any number of goroutines.
type Meter struct {
	log *slog.Logger
	// wall is the own clock in milliseconds since 1970. elapsed is a clock that is never set.
	wall    func() int64
	elapsed func() time.Duration

	mu     sync.Mutex
	heard  map[string]reading // by the name of the process
	warned bool
}

// reading is what the clock of a process showed when elapsed was 0, in milliseconds since 1970, and when it was read.
// So a reading stays right when the own clock is set.
type reading struct {
	zeroMs int64
	at     time.Duration
}

// New returns a Meter that has heard no clock. It logs when the own clock becomes suspicious, and when it is right
// again.
func New(log *slog.Logger) *Meter {
	start := time.Now()
	return &Meter{log: log, wall: func() int64 { return time.Now().UnixMilli() },
		elapsed: func() time.Duration { return time.Since(start) }, heard: map[string]reading{}}
}

// Ask calls ask, which returns the clock of a process in milliseconds since 1970, or 0 when it does not answer.
func (m *Meter) Ask(process string, ask func() int64) {
	sent := m.elapsed()
	clockMs := ask()
	back := m.elapsed()
	if clockMs <= 0 || back-sent > slowest {
		return
	}
	m.mu.Lock()
	m.heard[process] = reading{clockMs - (sent + (back-sent)/2).Milliseconds(), back}
	m.mu.Unlock()
	m.warn()
}

// Median returns the lower median, in milliseconds since 1970, of the clocks that were heard lately and the own one;
// heard is the number of the others.
func (m *Meter) Median() (ms int64, heard int) {
	now, own := m.elapsed(), m.wall()
	m.mu.Lock()
	defer m.mu.Unlock()
	clocks := []int64{own}
	for process, r := range m.heard {
		if now-r.at > memory {
			delete(m.heard, process)
			continue
		}
		clocks = append(clocks, r.zeroMs+now.Milliseconds())
	}
	return rules.LowerMedian(clocks), len(clocks) - 1
}

// Skew returns by how much the own clock is ahead of the median; negative when it is behind. It is 0 until another
// clock was heard.
func (m *Meter) Skew() (ahead time.Duration, heard int) {
	median, heard := m.Median()
	return time.Duration(m.wall()-median) * time.Millisecond, heard
}

// Now returns the lower median of the clocks as a time. Of two clocks there is no telling which one is wrong: with fewer
// than two others it is the own clock.
func (m *Meter) Now() time.Time {
	median, heard := m.Median()
	if heard < 2 {
		return time.UnixMilli(m.wall())
	}
	return time.UnixMilli(median)
}

// warn logs when the own clock becomes suspicious, and when it is right again.
func (m *Meter) warn() {
	ahead, heard := m.Skew()
	wrong := ahead.Abs() >= Suspicious
	m.mu.Lock()
	changed := wrong != m.warned
	m.warned = wrong
	m.mu.Unlock()
	switch {
	case changed && wrong:
		m.log.Warn("the clock of this machine differs from those of the network; check its time service",
			"difference", Text(ahead), "clocks_heard", heard)
	case changed:
		m.log.Info("the clock of this machine agrees with those of the network again", "difference", Text(ahead))
	}
}

// Text says a skew in words, for example "2h0m0s ahead".
func Text(ahead time.Duration) string {
	text := ahead.Abs().Round(time.Millisecond).String()
	if ahead < 0 {
		return text + " behind"
	}
	return text + " ahead"
}
