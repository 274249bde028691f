package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"ltl/internal/localnet"
)

// warmUpShare of a load's duration runs before anything counts, so that connections, caches and batches have settled.
const warmUpShare = 5

// Load is what one closed loop of callers measured.
type Load struct {
	Callers int `json:"callers"`
	// Clients is the number of clients when each caller has its own; 0 when all callers share one.
	Clients   int     `json:"clients,omitempty"`
	Records   int     `json:"records"`
	Failed    int     `json:"failed"`
	PerSecond float64 `json:"recordsPerSecond"`
	P50Ms     float64 `json:"p50Ms"`
	P95Ms     float64 `json:"p95Ms"`
	P99Ms     float64 `json:"p99Ms"`
	MaxMs     float64 `json:"maxMs"`
	// FirstFailure is the text of the first failed call.
	FirstFailure string `json:"firstFailure,omitempty"`
	// CPUMicros is the CPU time per record, by process; "bench" is the load itself, including the client library.
	CPUMicros map[string]float64 `json:"cpuMicrosPerRecord"`

	// total counts the records written during the warm-up too.
	total int64
}

// caller makes one call and waits for its answer. Each caller of a load has one goroutine.
type caller func(ctx context.Context) error

// counts is what one goroutine counted.
type counts struct {
	latencies []time.Duration
	total     int64
	failed    int
	failure   error
}

// closedLoop lets all callers call repeatedly, each waiting for its answer, for a warm-up and then for the duration.
func closedLoop(ctx context.Context, n *localnet.Network, callers []caller, duration time.Duration) *Load {
	begin := time.Now().Add(duration / warmUpShare)
	end := begin.Add(duration)
	ctx, cancel := context.WithDeadline(ctx, end.Add(time.Minute)) // the last answers may come after the end
	defer cancel()
	counted := make([]counts, len(callers))
	var wg sync.WaitGroup
	for i, call := range callers {
		wg.Go(func() { counted[i].run(ctx, call, begin, end) })
	}
	cpuBefore := atTime(ctx, begin, n)
	cpuAfter := atTime(ctx, end, n)
	wg.Wait()
	return summarise(counted, duration, cpuBefore, cpuAfter)
}

// run calls until end. Only calls that both finish after begin and before end count as records or failures.
func (t *counts) run(ctx context.Context, call caller, begin, end time.Time) {
	for {
		started := time.Now()
		if !started.Before(end) || ctx.Err() != nil {
			return
		}
		err := call(ctx)
		finished := time.Now()
		counts := finished.After(begin) && finished.Before(end)
		switch {
		case err == nil:
			t.total++
			if counts {
				t.latencies = append(t.latencies, finished.Sub(started))
			}
		case counts:
			t.failed++
			if t.failure == nil {
				t.failure = err
			}
		}
	}
}

// atTime waits until a given time and reads the CPU times then.
func atTime(ctx context.Context, when time.Time, n *localnet.Network) map[string]time.Duration {
	timer := time.NewTimer(time.Until(when))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return cpuTimes(n)
}

// summarise joins what all callers counted. before and after are the CPU times at both ends of the measured time; they
// may be nil.
func summarise(counted []counts, duration time.Duration, before, after map[string]time.Duration) *Load {
	l := &Load{Callers: len(counted), CPUMicros: map[string]float64{}}
	var all []time.Duration
	for _, t := range counted {
		all = append(all, t.latencies...)
		l.total += t.total
		l.Failed += t.failed
		if t.failure != nil && l.FirstFailure == "" {
			l.FirstFailure = t.failure.Error()
		}
	}
	slices.Sort(all)
	l.Records = len(all)
	l.PerSecond = float64(len(all)) / duration.Seconds()
	l.P50Ms, l.P95Ms, l.P99Ms, l.MaxMs = quantile(all, 0.50), quantile(all, 0.95), quantile(all, 0.99), quantile(all, 1)
	for name, used := range after {
		if l.Records > 0 {
			l.CPUMicros[name] = float64((used - before[name]).Microseconds()) / float64(l.Records)
		}
	}
	return l
}

// quantile of sorted latencies in milliseconds: the smallest that at least the share q does not exceed.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	i := int(q*float64(len(sorted))+0.999999) - 1
	return float64(sorted[max(0, min(i, len(sorted)-1))].Microseconds()) / 1000
}
