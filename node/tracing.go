package node

import (
	"sync"
	"time"

	"ltl/internal/tracing"
)

// executions remembers when the newest entries were executed, for the traces of those who wait for them. It exists where traces are recorded
// only; a nil one forgets everything.
type executions struct {
	mu     sync.Mutex
	newest [16]execution
	next   int
}

// execution is a group of entries that were executed together.
type execution struct {
	first, last uint64
	began, over time.Time
}

// newExecutions returns nil where nothing is recorded.
func newExecutions(t *tracing.Tracer) *executions {
	if t == nil {
		return nil
	}
	return &executions{}
}

func (x *executions) note(first, last uint64, began time.Time, took time.Duration) {
	if x == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.newest[x.next%len(x.newest)] = execution{first, last, began, began.Add(took)}
	x.next++
}

// of returns the execution of an entry, if it is remembered.
func (x *executions) of(index uint64) (execution, bool) {
	if x == nil {
		return execution{}, false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, e := range x.newest {
		if e.first <= index && index <= e.last {
			return e, true
		}
	}
	return execution{}, false
}

// trace adds to the spans of a group what it waited for: its turn, the commit by a majority, and its execution.
func (o *orderer) trace(group []*proposal, taken time.Time, index uint64) {
	x, known := o.r.fsm.executed.of(index)
	for _, p := range group {
		if !p.span.Recorded() {
			continue
		}
		p.span.Child("queue", p.queued, taken)
		if known {
			p.span.Child("commit", taken, x.began)
			p.span.Child("execute", x.began, x.over)
		}
	}
}
