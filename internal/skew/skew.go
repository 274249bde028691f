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
	// Enough is how many other clocks must be heard for the median to say which one is wrong: of two there is no telling.
	Enough = 2
	// memory is how long an answer counts. It is a few intervals, so that one lost answer changes nothing.
	memory = 45 * time.Second
	// slowest is the longest way of a question and its answer that is used: the clock is known to half of it.
	slowest = 2 * time.Second
)

// Meter compares the own clock with those of other processes. It may be used by any number of goroutines.
type Meter struct {
	log *slog.Logger
	// organisation is that of this process.
	organisation string
	// wall is the own clock in milliseconds since 1970. elapsed is a clock that is never set.
	wall    func() int64
	elapsed func() time.Duration

	mu     sync.Mutex
	heard  map[process]reading
	warned bool
	// zeroMs is what the own clock showed when elapsed was 0, as Stepped found it last; 0 before. stepped: it changed by
	// more than Stepped allows, and the other clocks have not confirmed it since.
	zeroMs  int64
	stepped bool
}

// process is a process whose clock is heard.
type process struct{ organisation, name string }

// reading is what the clock of a process showed when elapsed was 0, in milliseconds since 1970, and when it was read.
// So a reading stays right when the own clock is set.
type reading struct {
	zeroMs int64
	at     time.Duration
}

// New returns a Meter for a process of an organisation that has heard no clock. It logs when the own clock becomes
// suspicious, and when it is right again.
func New(log *slog.Logger, organisation string) *Meter {
	start := time.Now()
	return &Meter{log: log, organisation: organisation, wall: func() int64 { return time.Now().UnixMilli() },
		elapsed: func() time.Duration { return time.Since(start) }, heard: map[process]reading{}}
}

// Ask calls ask, which returns the clock of a process of an organisation in milliseconds since 1970, or 0 when it does
// not answer.
func (m *Meter) Ask(organisation, name string, ask func() int64) {
	sent := m.elapsed()
	clockMs := ask()
	back := m.elapsed()
	if clockMs <= 0 || back-sent > slowest {
		return
	}
	m.mu.Lock()
	m.heard[process{organisation, name}] = reading{clockMs - (sent + (back-sent)/2).Milliseconds(), back}
	m.mu.Unlock()
	m.warn()
}

// Median returns the lower median, in milliseconds since 1970, of the clocks that were heard lately and the own one;
// heard is the number of the others. Another organisation has one clock, the lower median of those of its processes:
// it can add nodes without the others' consent, and must not outvote the others by that.
func (m *Meter) Median() (ms int64, heard int) {
	now, own := m.elapsed(), m.wall()
	m.mu.Lock()
	defer m.mu.Unlock()
	clocks := append(m.othersLocked(now), own)
	return rules.LowerMedian(clocks), len(clocks) - 1
}

// Skew returns by how much the own clock is ahead of the median; negative when it is behind. It is 0 until another
// clock was heard.
func (m *Meter) Skew() (ahead time.Duration, heard int) {
	median, heard := m.Median()
	return time.Duration(m.wall()-median) * time.Millisecond, heard
}

// Now returns the lower median of the clocks as a time; with fewer than Enough others it is the own clock.
func (m *Meter) Now() time.Time {
	median, heard := m.Median()
	if heard < Enough {
		return time.UnixMilli(m.wall())
	}
	return time.UnixMilli(median)
}

// Behind returns by how much the clocks are behind a time, in milliseconds since 1970, by their median as Now takes it;
// 0 when they are not.
func (m *Meter) Behind(ms int64) time.Duration { return max(0, time.UnixMilli(ms).Sub(m.Now())) }

// Stepped reports whether the own clock was set by more than the bound since the last call and differs by more than the
// bound from the median of the others, and by how much it is ahead of it. It stays true until the two agree, or no other
// clock was heard lately.
func (m *Meter) Stepped(bound time.Duration) (ahead time.Duration, wrong bool) {
	now, own := m.elapsed(), m.wall()
	zeroMs := own - now.Milliseconds()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.zeroMs != 0 && distance(zeroMs, m.zeroMs) > bound {
		m.stepped = true
	}
	m.zeroMs = zeroMs
	if !m.stepped {
		return 0, false
	}
	clocks := m.othersLocked(now)
	if len(clocks) == 0 {
		m.stepped = false
		return 0, false
	}
	ahead = time.Duration(own-rules.LowerMedian(clocks)) * time.Millisecond
	m.stepped = ahead.Abs() > bound
	return ahead, m.stepped
}

// distance is the time between two clocks in milliseconds.
func distance(a, b int64) time.Duration { return (time.Duration(a-b) * time.Millisecond).Abs() }

// othersLocked returns what the clocks that were heard lately show now: those of the own organisation, and one of each
// other organisation.
func (m *Meter) othersLocked(now time.Duration) (clocks []int64) {
	others := map[string][]int64{}
	for p, r := range m.heard {
		if now-r.at > memory {
			delete(m.heard, p)
			continue
		}
		clock := r.zeroMs + now.Milliseconds()
		if p.organisation == m.organisation {
			clocks = append(clocks, clock)
		} else {
			others[p.organisation] = append(others[p.organisation], clock)
		}
	}
	for _, of := range others {
		clocks = append(clocks, rules.LowerMedian(of))
	}
	return clocks
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
