package chaos

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// How often processes are looked at.
const (
	leaderEvery  = 300 * time.Millisecond
	healthEvery  = time.Second
	metricsEvery = 5 * time.Second
	roleLeader   = "leader"
)

// Use is what a process takes of its machine.
type Use struct {
	Goroutines int   `json:"goroutines"`
	Files      int   `json:"files"`
	Bytes      int64 `json:"bytes"` // resident memory
}

// Usage is a process's use when the load had just begun, at its highest, and at the end after the load.
type Usage struct {
	First, Highest, Last Use
	Samples              int
}

// Change is a moment at which a process became ready or ceased to be; Why says what it said.
type Change struct {
	At    time.Duration `json:"atNs"`
	Ready bool          `json:"ready"`
	Why   string        `json:"why,omitempty"`
}

// watcher looks at every process, again and again, and remembers.
type watcher struct {
	in      Injector
	peers   *peers
	history *History
	group   sync.WaitGroup

	mu      sync.Mutex
	leader  string
	term    uint64
	elected int // changes of the leader
	ready   map[string][]Change
	usage   map[string]*Usage
}

func newWatcher(in Injector, p *peers, h *History) *watcher {
	return &watcher{in: in, peers: p, history: h, ready: map[string][]Change{}, usage: map[string]*Usage{}}
}

// start looks until ctx ends.
func (w *watcher) start(ctx context.Context) {
	every := func(d time.Duration, f func()) {
		w.group.Go(func() {
			for ctx.Err() == nil {
				f()
				_ = wait(ctx, d)
			}
		})
	}
	cast := w.in.Cast()
	every(leaderEvery, func() { w.lookForLeader(ctx) })
	for _, name := range cast.all() {
		every(healthEvery, func() { w.lookReady(ctx, name) })
		every(metricsEvery, func() { w.measure(ctx, name) })
	}
}

// lookForLeader asks all nodes at the same time; of several that say they lead, the one with the highest term does.
func (w *watcher) lookForLeader(ctx context.Context) {
	type claim struct {
		name string
		term uint64
	}
	nodes := w.in.Cast().Nodes
	claims := make(chan claim, len(nodes))
	for _, name := range nodes {
		go func() {
			s, err := w.peers.status(ctx, name)
			if err == nil && s.GetRole() == roleLeader {
				claims <- claim{name, s.GetTerm()}
				return
			}
			claims <- claim{}
		}()
	}
	var best claim
	for range nodes {
		if c := <-claims; c.term > best.term {
			best = c
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if best.name != "" && (best.name != w.leader || best.term != w.term) && best.term >= w.term {
		if w.term != 0 && best.term != w.term {
			w.elected++
		}
		w.term = best.term
	}
	w.leader = best.name
}

// lookReady asks a process whether it serves.
func (w *watcher) lookReady(ctx context.Context, name string) {
	status, body, err := w.in.Admin(ctx, name, "/readyz")
	if ctx.Err() != nil {
		return
	}
	c := Change{At: w.history.now(), Ready: err == nil && status == http.StatusOK}
	if err != nil {
		c.Why = "no answer"
	} else if !c.Ready {
		c.Why = string(bytes.TrimSpace(body))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if all := w.ready[name]; len(all) == 0 || all[len(all)-1].Ready != c.Ready {
		w.ready[name] = append(all, c)
	}
}

// measure reads what a process uses, if it answers.
func (w *watcher) measure(ctx context.Context, name string) {
	status, body, err := w.in.Admin(ctx, name, "/metrics")
	if err != nil || status != http.StatusOK {
		return
	}
	use := Use{
		Goroutines: int(metric(body, "go_goroutines")), Files: int(metric(body, "process_open_fds")),
		Bytes: int64(metric(body, "process_resident_memory_bytes")),
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	u := w.usage[name]
	if u == nil {
		u = &Usage{First: use}
		w.usage[name] = u
	}
	u.Samples++
	u.Last = use
	u.Highest.Goroutines = max(u.Highest.Goroutines, use.Goroutines)
	u.Highest.Files = max(u.Highest.Files, use.Files)
	u.Highest.Bytes = max(u.Highest.Bytes, use.Bytes)
}

// metric finds the value of a metric without labels; 0 when it is not there.
func metric(text []byte, name string) float64 {
	for line := range bytes.Lines(text) {
		if rest, ok := bytes.CutPrefix(line, []byte(name+" ")); ok {
			v, err := strconv.ParseFloat(string(bytes.TrimSpace(rest)), 64)
			if err != nil {
				return 0
			}
			return v
		}
	}
	return 0
}

// cast returns the processes of the network and its present leader.
func (w *watcher) cast() Cast {
	c := w.in.Cast()
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Leader = w.leader
	return c
}

// isReady is what a process said when it was last asked.
func (w *watcher) isReady(name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.ready[name]
	return len(all) > 0 && all[len(all)-1].Ready
}

// wasUnready reports whether a process said since a time that it was not ready.
func (w *watcher) wasUnready(name string, since time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.ready[name], func(c Change) bool { return c.At >= since && !c.Ready })
}

// elections is how often another leader, or the same one in a later term, was seen.
func (w *watcher) elections() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.elected
}

// notReady are the processes that do not serve now: they are asked, not remembered.
func (w *watcher) notReady(ctx context.Context) []string {
	cast := w.in.Cast()
	all := cast.all()
	var group sync.WaitGroup
	bad := make([]bool, len(all))
	for i, name := range all {
		group.Go(func() {
			status, _, err := w.in.Admin(ctx, name, "/readyz")
			bad[i] = err != nil || status != http.StatusOK
		})
	}
	group.Wait()
	var names []string
	for i, name := range all {
		if bad[i] {
			names = append(names, name)
		}
	}
	return names
}
