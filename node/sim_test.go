package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run only the simulated schedule of this seed")
	simCount = flag.Int("sim.count", 0, "number of simulated schedules; 0 takes 1000, with -short 100, with -race 50")
	simTrace = flag.Bool("sim.trace", false, "print what happens in a simulated schedule")
)

// Times of a schedule.
const (
	simFaults   = 6
	simRecovery = 10 * time.Second // bar I8: writes go on so soon after everything is healed
	simSettle   = time.Minute
	simClients  = 3
	// simTraceBytes bounds the trace of a schedule.
	simTraceBytes = 1 << 20
)

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// simDir is a directory in memory where there is one: the simulation needs files, not a disk.
func simDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "ltl-sim-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// simNode is one node through all its incarnations.
type simNode struct {
	id   raft.ServerID
	dir  string
	disk *simDisk

	mu      sync.Mutex
	alive   bool
	replica *replica
	store   *store.Store
	handle  *simHandle
	gone    chan struct{} // closed when this run has ended and its files are closed
}

// now returns the node's replica, or nil when it is down.
func (n *simNode) now() (*replica, *store.Store) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.alive {
		return nil, nil
	}
	return n.replica, n.store
}

// sim is one schedule.
type sim struct {
	t            *testing.T
	seed         uint64
	world        *world
	net          *simNet
	nodes        []*simNode
	endorsements *store.Signatures // shared: a signature costs the same work on every node

	mu      sync.Mutex
	rng     *rand.Rand
	acked   map[ledger.Hash]*ltlv1.Result
	heights map[string]uint64 // highest acknowledged height of each chain
	reads   int
	stop    bool
	mayStop string // why a node may stop without an error; empty for nothing
	timers  sync.WaitGroup
	trace   strings.Builder
}

// TestSimulation runs seeded schedules of crashes, partitions and bad disks over whole nodes, in simulated time.
func TestSimulation(t *testing.T) {
	count := *simCount
	if count == 0 {
		switch count = 1000; {
		case raceDetector:
			count = 50 // each takes ten times as long
		case testing.Short():
			count = 20 // for make check; the whole 1000 run in make test
		}
	}
	if *simSeed != 0 {
		simulate(t, *simSeed)
		return
	}
	var next, total, reads uint64
	var mu sync.Mutex
	for worker := range runtime.GOMAXPROCS(0) {
		t.Run(fmt.Sprint("worker", worker), func(t *testing.T) {
			t.Parallel()
			for {
				mu.Lock()
				next++
				seed := next
				mu.Unlock()
				if seed > uint64(count) || t.Failed() {
					return
				}
				a, r := simulate(t, seed)
				mu.Lock()
				total += uint64(a)
				reads += uint64(r)
				mu.Unlock()
			}
		})
	}
	t.Cleanup(func() {
		t.Logf("%d schedules, %d acknowledged transactions, %d linearizable reads", count, total, reads)
		if total == 0 || reads == 0 {
			t.Error("nothing was acknowledged or read: the simulation tests nothing")
		}
	})
}

// simulate runs one schedule and returns how many transactions were acknowledged and how many reads answered.
func simulate(t *testing.T, seed uint64) (acked, reads int) {
	ok := t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSim(t, seed)
			defer func() {
				if t.Failed() {
					t.Logf("run again with: go test ./node -run TestSimulation -sim.seed %d -sim.trace", seed)
					if *simTrace {
						t.Log(s.trace.String())
					}
				}
			}()
			s.run()
			acked, reads = len(s.acked), s.reads
		})
	})
	if !ok {
		t.Errorf("seed %d failed", seed)
	}
	return acked, reads
}

func newSim(t *testing.T, seed uint64) *sim {
	s := &sim{
		t: t, seed: seed, world: newWorld(t, 3), net: newSimNet(), rng: rand.New(rand.NewPCG(seed, 1)),
		endorsements: store.NewSignatures(),
		acked:        make(map[ledger.Hash]*ltlv1.Result), heights: make(map[string]uint64),
	}
	dir := simDir(t)
	for i := range 3 {
		n := &simNode{id: raft.ServerID(fmt.Sprint("n", i+1)), disk: newSimDisk()}
		n.dir = filepath.Join(dir, string(n.id))
		if err := os.MkdirAll(n.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		s.nodes = append(s.nodes, n)
	}
	return s
}

func (s *sim) note(format string, args ...any) {
	if *simTrace {
		_, _ = fmt.Fprintf(s, "%v %s\n", time.Now().Format("15:04:05.000"), fmt.Sprintf(format, args...))
	}
}

// Write lets the nodes' logs go into the trace, of which the beginning is kept: what goes round in circles afterwards
// says nothing new.
func (s *sim) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.trace.Len() < simTraceBytes {
		s.trace.Write(b)
	}
	return len(b), nil
}

// states describes the state of every node.
func (s *sim) states() string {
	var b strings.Builder
	for _, n := range s.nodes {
		if r, db := n.now(); r != nil {
			st := r.state()
			fmt.Fprintf(&b, " %s: %v of term %d under %q, commit %d, last %d, applied %d, sequence %d, dead %v;",
				n.id, st.state, st.term, st.leader, st.commit, st.newest, db.AppliedIndex(), db.Sequence(), s.dead(n.handle))
		} else {
			fmt.Fprintf(&b, " %s: down;", n.id)
		}
	}
	return b.String()
}

func (s *sim) logger(id raft.ServerID) *slog.Logger {
	if !*simTrace {
		return quiet()
	}
	return slog.New(slog.NewTextHandler(s, &slog.HandlerOptions{Level: slog.LevelInfo})).With("node", id)
}

// random draws under the lock; which goroutine draws first is decided by the simulated time.
func (s *sim) random(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rng.IntN(n)
}

func (s *sim) between(from, to time.Duration) time.Duration {
	return from + time.Duration(s.random(int(to-from)))
}

// start begins a run of a node.
func (s *sim) start(n *simNode) {
	logger := s.logger(n.id)
	h := &simHandle{disk: n.disk, rng: rand.New(rand.NewPCG(s.seed, uint64(s.random(1<<30))))}
	fatal := func(err error) {
		s.note("%s: fatal: %v", n.id, err)
		if !errors.Is(err, errSimDisk) && !errors.Is(err, errLogStopped) && !s.dead(h) &&
			(s.mayStop == "" || !strings.Contains(err.Error(), s.mayStop)) {
			s.t.Errorf("%s stopped by itself: %v", n.id, err)
		}
		h.kill()
		go s.crash(n, h)
	}
	db, err := store.Open(filepath.Join(n.dir, "ledger"), store.Options{NoSync: true, Verify: s.endorsements.Verify,
		Logger: logger, Fatal: fatal, FlushEntries: 64})
	if err != nil {
		s.t.Fatalf("%s: %v", n.id, err)
	}
	if err := db.Init(s.world.payload); err != nil {
		s.t.Fatalf("%s: %v", n.id, err)
	}
	logs, err := newLogStore(h, fatal, logOptions{logger: logger})
	if err != nil {
		s.t.Fatalf("%s: %v", n.id, err)
	}
	snaps, err := raft.NewFileSnapshotStoreWithLogger(n.dir, retainedSnapshots, newHCLog(logger))
	if err != nil {
		s.t.Fatalf("%s: %v", n.id, err)
	}
	p := dependencies{
		id: n.id, store: db, dir: n.dir, logs: &simSlow{logs, h, fatal}, stable: &simStable{h}, snaps: snaps,
		fetch: s.net.fetch(n.id), askIndex: s.net.askIndex(n.id), askTerm: s.net.askTerm(n.id),
		transport: func(installed func(index, term uint64), _ func() RaftView) (raft.Transport, error) {
			return s.net.port(n.id, installed), nil
		},
		endorsements: s.endorsements, metrics: newMetrics(), logger: logger, fatal: fatal,
		cfg: Config{SnapshotThreshold: 12, TrailingLogs: 4, SnapshotInterval: 2 * time.Second}.withDefaults(),
	}
	for _, o := range s.nodes {
		p.servers = append(p.servers, raft.Server{ID: o.id, Address: raft.ServerAddress(o.id)})
	}
	r, err := openReplica(p)
	if err != nil {
		s.t.Fatalf("%s: %v", n.id, err)
	}
	n.mu.Lock()
	n.alive, n.replica, n.store, n.handle, n.gone = true, r, db, h, make(chan struct{})
	n.mu.Unlock()
	if s.dead(h) {
		s.crash(n, h)
		return
	}
	s.net.setHost(n.id, &simHost{replica: r, store: db})
	s.note("%s: up", n.id)
}

func (s *sim) dead(h *simHandle) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dead
}

// crash ends the run that uses h; nothing that it sends or writes afterwards arrives.
func (s *sim) crash(n *simNode, h *simHandle) {
	n.mu.Lock()
	if !n.alive || n.handle != h {
		n.mu.Unlock()
		return
	}
	n.alive = false
	r, db, gone := n.replica, n.store, n.gone
	n.mu.Unlock()
	defer close(gone)
	s.note("%s: down", n.id)
	h.kill()
	s.net.setHost(n.id, nil)
	s.net.mu.Lock()
	port := s.net.ports[n.id]
	s.net.mu.Unlock()
	_ = port.Close()
	r.cancel()
	if err := r.close(); err != nil {
		s.t.Errorf("%s: close: %v", n.id, err)
	}
	if err := db.Close(); err != nil {
		s.t.Errorf("%s: close ledger: %v", n.id, err)
	}
}

// revive starts the node unless it is up.
func (s *sim) revive(n *simNode) {
	n.mu.Lock()
	alive, gone := n.alive, n.gone
	n.mu.Unlock()
	if !alive {
		<-gone
		s.start(n)
	}
}

func (s *sim) run() {
	for _, n := range s.nodes {
		s.start(n)
	}
	defer func() {
		for _, n := range s.nodes {
			n.mu.Lock()
			h, gone := n.handle, n.gone
			n.mu.Unlock()
			s.crash(n, h)
			<-gone
		}
		s.timers.Wait()
		time.Sleep(2 * simTimeout) // messages under way give up
	}()
	setup := func(b *ltlv1.Batch) ([]*ltlv1.Result, error) { return s.submit(b, simSettle) }
	view := func() rules.View {
		for {
			for _, n := range s.nodes {
				if r, db := n.now(); r != nil {
					if _, ok := db.Tip(ledger.SystemChain); ok && db.Sequence() > 2 {
						return db
					}
				}
			}
			time.Sleep(time.Millisecond)
		}
	}
	if err := s.world.begin(rand.New(rand.NewPCG(s.seed, 2)), setup, view); err != nil {
		s.t.Fatal(err)
	}
	var clients sync.WaitGroup
	for i := range simClients {
		clients.Go(func() { s.client(i) })
	}
	clients.Go(s.reader)
	for range simFaults {
		s.fault()
		time.Sleep(s.between(100*time.Millisecond, 3*time.Second))
	}
	s.heal()
	s.mu.Lock()
	s.stop = true
	s.mu.Unlock()
	clients.Wait()
	s.check()
}

// submit sends one batch to nodes in turn until one answers.
func (s *sim) submit(b *ltlv1.Batch, within time.Duration) ([]*ltlv1.Result, error) {
	end := time.Now().Add(within)
	for at := s.random(3); ; at = (at + 1) % 3 {
		n := s.nodes[at]
		n.mu.Lock()
		r, h := n.replica, n.handle
		alive := n.alive
		n.mu.Unlock()
		err := errors.New("down")
		if alive {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			var results []*ltlv1.Result
			results, err = r.order.submit(ctx, b)
			cancel()
			if s.dead(h) {
				err = errors.New("it died before its answer arrived")
			}
			if err == nil {
				return results, nil
			}
			switch status.Code(err) {
			case codes.OK, codes.Unknown, codes.Unavailable, codes.FailedPrecondition, codes.DeadlineExceeded,
				codes.ResourceExhausted, codes.Canceled:
			default:
				return nil, err
			}
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("no node answered within %v: %w", within, err)
		}
		time.Sleep(s.between(10*time.Millisecond, 100*time.Millisecond))
	}
}

func (s *sim) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stop
}

// client submits batches, sometimes the same one twice at once, and keeps every answer.
func (s *sim) client(i int) {
	rng := rand.New(rand.NewPCG(s.seed, uint64(100+i)))
	for !s.stopped() {
		var payloads [][]byte
		chain := s.world.chain
		if rng.IntN(5) == 0 {
			chain = ledger.SystemChain
			payloads = append(payloads, s.world.account(rng, ""))
		} else {
			for range 1 + rng.IntN(3) {
				payloads = append(payloads, s.world.record(rng, fmt.Sprint("key", rng.IntN(4))))
			}
		}
		b := s.world.batch(chain, payloads...)
		var twin sync.WaitGroup
		if rng.IntN(4) == 0 {
			twin.Go(func() { s.answer(b) })
		}
		s.answer(b)
		twin.Wait()
		time.Sleep(time.Duration(rng.IntN(int(600 * time.Millisecond))))
	}
}

// answer submits and notes what was acknowledged.
func (s *sim) answer(b *ltlv1.Batch) {
	results, err := s.submit(b, simSettle)
	if err != nil {
		s.t.Errorf("I8: %v", err)
		return
	}
	if len(results) != len(b.GetTransactions()) {
		s.t.Errorf("%d results for %d transactions", len(results), len(b.GetTransactions()))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range results {
		if r.GetCode() != rules.OK {
			s.t.Errorf("a good transaction got %d: %s", r.GetCode(), rules.Message(r.GetCode()))
		}
		id := ledger.TransactionID(b.GetTransactions()[i])
		if before := s.acked[id]; before != nil && before.GetBlockHeight() != r.GetBlockHeight() {
			s.t.Errorf("I5: transaction %x was answered with height %d and then %d", id[:4], before.GetBlockHeight(),
				r.GetBlockHeight())
		}
		s.acked[id] = r
		s.heights[r.GetChainId()] = max(s.heights[r.GetChainId()], r.GetBlockHeight())
	}
}

// reader checks that a linearizable read on any node sees everything that was acknowledged before it began.
func (s *sim) reader() {
	for !s.stopped() {
		time.Sleep(s.between(time.Millisecond, 100*time.Millisecond))
		s.mu.Lock()
		chain, height := s.world.chain, s.heights[s.world.chain]
		s.mu.Unlock()
		r, db := s.nodes[s.random(3)].now()
		if r == nil {
			continue
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		err := r.reads.waitFresh(ctx)
		cancel()
		if err != nil {
			continue
		}
		if tip, _ := db.Tip(chain); tip.Header.Height < height {
			s.note("stale read")
			s.t.Errorf("I4: %s read height %d of %s after height %d was acknowledged at %v, now %v; %s", r.id,
				tip.Header.Height, chain, height,
				began.Format("05.000"), time.Now().Format("05.000"), s.states())
		}
		s.mu.Lock()
		s.reads++
		s.mu.Unlock()
	}
}
