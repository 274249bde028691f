package testkit_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ltl/internal/identity"
	"ltl/internal/rules"
	"ltl/test/testkit"
)

// load writes records on the proof chain, one after the other in each of several goroutines, until it is stopped.
type load struct {
	t     *testing.T
	n     *testkit.Network
	stop  chan struct{}
	group sync.WaitGroup
	once  sync.Once

	mu    sync.Mutex
	acked map[string]bool // the values that were acknowledged
	last  time.Time
	gap   time.Duration // the longest time without an acknowledgement
	count atomic.Int64
}

const writers = 4

func startLoad(t *testing.T, n *testkit.Network) *load {
	l := &load{t: t, n: n, stop: make(chan struct{}), acked: map[string]bool{}, last: time.Now()}
	for w := range writers {
		l.group.Go(func() { l.write(w) })
	}
	t.Cleanup(l.end)
	l.progress("at the start")
	return l
}

func (l *load) end() {
	l.once.Do(func() { close(l.stop) })
	l.group.Wait()
}

func (l *load) write(w int) {
	c := l.n.Client(identity.RoleFacade)
	for i := 0; ; i++ {
		select {
		case <-l.stop:
			return
		default:
		}
		value := fmt.Sprintf("%d-%d", w, i)
		r, err := c.Submit(l.t.Context(), l.n.AttachData(l.n.Member, fmt.Sprint("load", w), value))
		l.mu.Lock()
		switch {
		case err != nil || r.GetCode() != rules.OK:
			l.t.Errorf("a write fails: result %v, error %v", r, err)
			l.mu.Unlock()
			return
		default:
			l.acked[value] = true
			l.gap, l.last = max(l.gap, time.Since(l.last)), time.Now()
			l.count.Add(1)
		}
		l.mu.Unlock()
	}
}

// progress waits for some more writes and reports the longest gap since the last call.
func (l *load) progress(what string) {
	l.t.Helper()
	before := l.count.Load()
	testkit.WaitFor(l.t, 30*time.Second, what+": writes go on", func() bool { return l.count.Load() >= before+4*writers })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.t.Logf("%s: %d writes so far, longest gap %v", what, len(l.acked), l.gap.Round(time.Millisecond))
	l.gap = 0
}

// finish stops writing and checks that every acknowledged value is on the chain once, and no other more than once.
func (l *load) finish() {
	l.t.Helper()
	l.end()
	l.n.CheckLedgers(l.t) // Blocks asks a node that may be a block behind
	found := map[string]int{}
	for _, b := range l.n.Blocks(l.n.ChainID) {
		i := 0
		for _, batch := range b.GetBatches() {
			for at, payload := range batch.GetTransactions() {
				tx, err := rules.Decode(payload)
				if err != nil {
					l.t.Fatal(err)
				}
				if b.GetResults()[i] == rules.OK && tx.GetAttachData() != nil {
					found[string(batch.GetOpenings()[at].GetOpenings()[0].GetValue())]++
				}
				i++
			}
		}
	}
	for value := range l.acked {
		if found[value] != 1 {
			l.t.Errorf("the acknowledged value %s is on the chain %d times", value, found[value])
		}
	}
	for value, times := range found {
		if times > 1 {
			l.t.Errorf("the value %s is on the chain %d times", value, times)
		}
	}
	l.t.Logf("%d writes acknowledged, each on the chain once", len(l.acked))
}
