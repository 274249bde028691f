package node

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// lone is one replica that is its own majority, in simulated time.
type lone struct {
	*replica
	world        *world
	handle       *simHandle
	dependencies dependencies

	mu     sync.Mutex
	fatals []error
}

// runLone runs fn inside a bubble.
func runLone(t *testing.T, fn func(t *testing.T, l *lone)) {
	synctest.Test(t, func(t *testing.T) {
		l := &lone{world: newWorld(t, 1)}
		dir := simDir(t)
		l.handle = &simHandle{disk: newSimDisk(), rng: rand.New(rand.NewPCG(1, 1))}
		fatal := func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.fatals = append(l.fatals, err)
		}
		endorsements := store.NewSignatures()
		db := openStore(t, l.world, filepath.Join(dir, "ledger"), endorsements)
		logs, err := newLogStore(l.handle, fatal, logOptions{logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		snaps, err := raft.NewFileSnapshotStoreWithLogger(dir, retainedSnapshots, newHCLog(quiet()))
		if err != nil {
			t.Fatal(err)
		}
		net := newSimNet()
		l.dependencies = dependencies{
			id: "n1", servers: []raft.Server{{ID: "n1", Address: "n1"}}, store: db, dir: dir,
			logs: &simSlow{logs, l.handle, fatal}, stable: &simStable{l.handle}, snaps: snaps,
			transport: func(installed func(index, term uint64), _ func() RaftView) (raft.Transport, error) {
				return net.port("n1", installed), nil
			},
			fetch: net.fetch("n1"), askIndex: net.askIndex("n1"), askTerm: net.askTerm("n1"),
			endorsements: endorsements, metrics: newMetrics(), logger: quiet(), fatal: fatal, cfg: Config{}.withDefaults(),
		}
		if l.replica, err = openReplica(l.dependencies); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := l.replica.close(); err != nil {
				t.Error(err)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute)
		}()
		for l.state().state != raft.Leader {
			time.Sleep(time.Millisecond)
		}
		if err := l.world.begin(rand.New(rand.NewPCG(1, 1)), l.submit, func() rules.View { return db }); err != nil {
			t.Fatal(err)
		}
		fn(t, l)
	})
}

func openStore(t *testing.T, w *world, dir string, endorsements *store.Signatures) *store.Store {
	t.Helper()
	db, err := store.Open(dir, store.Options{NoSync: true, Verify: endorsements.Verify, Logger: quiet(),
		Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Init(w.payload); err != nil {
		t.Fatal(err)
	}
	return db
}

func (l *lone) submit(b *ltlv1.Batch) ([]*ltlv1.Result, error) {
	return l.order.submit(context.Background(), b)
}

func (l *lone) stoppedBecause() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]error(nil), l.fatals...)
}

// TestUnknownEntryStops: an entry of a newer program stops the node before anything of the group is executed, and the
// reason names the entry.
func TestUnknownEntryStops(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for name, data := range map[string]func(*world) []byte{
		"version": func(*world) []byte { return []byte{9, 1, 2} },
		"empty":   func(*world) []byte { return nil },
		"type":    func(*world) []byte { return []byte{entryVersion, 0x7a, 0} },
		"garbage": func(*world) []byte { return []byte{entryVersion, 0xff} },
		"field of a batch": func(w *world) []byte {
			b := w.batch(w.chain, w.record(rng, "x"))
			b.ProtoReflect().SetUnknown([]byte{0x7a, 1, 'x'})
			batches := &ltlv1.OrderedBatches{Batches: []*ltlv1.Batch{b}}
			data, err := encodeEntry(&ltlv1.Entry{Entry: &ltlv1.Entry_Batches{Batches: batches}})
			if err != nil {
				t.Fatal(err)
			}
			return data
		},
	} {
		t.Run(name, func(t *testing.T) {
			runLone(t, func(t *testing.T, l *lone) {
				good, err := encodeEntry(&ltlv1.Entry{Entry: &ltlv1.Entry_Sealed{Sealed: &ltlv1.SealedKey{AccessKeyId: "a"}}})
				if err != nil {
					t.Fatal(err)
				}
				applied, sequence := l.store.AppliedIndex(), l.store.Sequence()
				responses := l.fsm.ApplyBatch([]*raft.Log{
					{Index: 1000, Type: raft.LogCommand, Data: good},
					{Index: 1001, Type: raft.LogCommand, Data: data(l.world)},
				})
				if l.store.AppliedIndex() != applied || l.store.Sequence() != sequence {
					t.Error("something was executed")
				}
				for _, r := range responses {
					if err, ok := r.(error); !ok || !errors.Is(err, errEntry) {
						t.Errorf("response %v", r)
					}
				}
				fatals := l.stoppedBecause()
				if len(fatals) != 1 || !strings.Contains(fatals[0].Error(), "1001") || !strings.Contains(fatals[0].Error(),
					"program version") {
					t.Errorf("reasons: %v", fatals)
				}
				if r := l.fsm.Apply(&raft.Log{Index: 1000, Type: raft.LogCommand, Data: good}); l.store.AppliedIndex() != applied {
					t.Errorf("a stopped node went on: %v", r)
				}
			})
		})
	}
}

// TestSharedVerification: what was verified at admission is not verified again at execution.
func TestSharedVerification(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		rng := rand.New(rand.NewPCG(3, 3))
		_, before := l.endorsements.Counts()
		for range 5 {
			if _, err := l.submit(l.world.batch(l.world.chain, l.world.record(rng, "x"))); err != nil {
				t.Fatal(err)
			}
		}
		if _, after := l.endorsements.Counts(); after-before != 5 {
			t.Errorf("5 endorsements took %d verifications", after-before)
		}
	})
}

// TestAdaptiveBatching: an idle leader proposes at once; while entries are under way it collects, and entries keep to
// their bounds.
func TestAdaptiveBatching(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		rng := rand.New(rand.NewPCG(4, 4))
		last := func() uint64 { return l.state().newest }
		before := last()
		begin := time.Now()
		if _, err := l.submit(l.world.batch(l.world.chain, l.world.record(rng, "x"))); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Millisecond || last() != before+1 {
			t.Errorf("a lone batch took %v and %d entries", took, last()-before)
		}
		l.handle.set(100 * time.Millisecond)
		before = last()
		var wg sync.WaitGroup
		const callers = 60
		for range callers {
			b := l.world.batch(l.world.chain, l.world.record(rng, "x"))
			wg.Go(func() {
				if _, err := l.submit(b); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := last() - before; n > maxInFlight+3 {
			t.Errorf("%d callers at once made %d entries", callers, n)
		}
	})
}

// TestQueueIsBounded: beyond its bounds callers are refused at once with a code which means that nothing was written.
// Two organisations that take all that can be shared leave a third one its own.
func TestQueueIsBounded(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		rng := rand.New(rand.NewPCG(5, 5))
		l.handle.set(2 * time.Second)
		var wg sync.WaitGroup
		var mu sync.Mutex
		codesSeen := make(map[codes.Code]int)
		b := l.world.batch(l.world.chain, l.world.record(rng, "x"))
		submit := func(organisation string, n int) {
			caller := identity.Identity{Organisation: organisation, Role: identity.RoleClient, Name: fmt.Sprint("c", n%4)}
			wg.Go(func() {
				leave, err := l.order.enter(caller, proto.Size(b))
				if err == nil {
					_, err = l.order.submit(context.Background(), b)
					leave()
				}
				mu.Lock()
				defer mu.Unlock()
				codesSeen[status.Code(err)]++
			})
		}
		for i := range maxQueueItems + 2000 {
			submit(fmt.Sprint("org", 1+i%2), i/2)
		}
		synctest.Wait()
		if n, _, _ := l.order.depth(); n > maxQueueItems+2*ownItems {
			t.Errorf("%d wait, at most %d wanted", n, maxQueueItems+2*ownItems)
		}
		mu.Lock()
		refused := codesSeen[codes.ResourceExhausted]
		mu.Unlock()
		for i := range ownItems {
			submit("org3", i)
		}
		synctest.Wait()
		mu.Lock()
		if refused == 0 || codesSeen[codes.ResourceExhausted] != refused || codesSeen[codes.OK] != 0 {
			t.Errorf("before the disk answered: %v", codesSeen)
		}
		mu.Unlock()
		wg.Wait()
		if codesSeen[codes.OK] < maxQueueItems+3*ownItems || len(codesSeen) != 2 {
			t.Errorf("at the end: %v", codesSeen)
		}
	})
}

// TestAbandonedBatchIsNotWritten: when a caller gives up before the batch is in an entry, nothing is written, and the
// error says so.
func TestAbandonedBatchIsNotWritten(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		rng := rand.New(rand.NewPCG(6, 6))
		l.handle.set(time.Second)
		var wg sync.WaitGroup
		for range maxInFlight + 1 {
			b := l.world.batch(l.world.chain, l.world.record(rng, "x"))
			wg.Go(func() { _, _ = l.submit(b) })
			time.Sleep(time.Millisecond)
		}
		payload := l.world.record(rng, "x")
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_, err := l.order.submit(ctx, l.world.batch(l.world.chain, payload))
		if status.Code(err) != codes.DeadlineExceeded || !strings.Contains(err.Error(), "nothing was written") {
			t.Errorf("giving up: %v", err)
		}
		wg.Wait()
		id := ledger.TransactionID(payload)
		if v, err := l.store.Get(l.world.chain, append([]byte{'T'}, id[:]...)); v != nil || err != nil {
			t.Errorf("the abandoned transaction is on the ledger: %v, %v", v, err)
		}
	})
}

// TestWatchdog: a leader that executes nothing stops with a reason; an idle one does not.
func TestWatchdog(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		time.Sleep(10 * maxStuck)
		if f := l.stoppedBecause(); len(f) != 0 {
			t.Fatalf("an idle leader stopped: %v", f)
		}
		l.handle.set(maxStuck + 10*time.Second)
		b := l.world.batch(l.world.chain, l.world.record(rand.New(rand.NewPCG(7, 7)), "x"))
		go func() { _, _ = l.submit(b) }()
		time.Sleep(maxStuck - 2*time.Second)
		if f := l.stoppedBecause(); len(f) != 0 {
			t.Fatalf("it stopped too early: %v", f)
		}
		time.Sleep(5 * time.Second)
		if f := l.stoppedBecause(); len(f) == 0 || !strings.Contains(f[0].Error(), "no entry was executed") {
			t.Errorf("reasons: %v", f)
		}
		l.handle.set(0)
		time.Sleep(time.Minute)
	})
}

// TestLostRaftLog: a node whose log is gone does not start as if it were new.
func TestLostRaftLog(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		p := l.dependencies
		empty := &simHandle{disk: newSimDisk()}
		p.logs, p.stable = empty, &simStable{empty}
		if r, err := openReplica(p); err == nil || !strings.Contains(err.Error(), "log is gone") {
			t.Errorf("it started: %v", err)
			_ = r.close()
		}
	})
}

// TestCatchUpFromHostilePeers: peers that send other blocks, out of order, nothing, or for ever nothing change
// nothing; one that is honest is enough.
func TestCatchUpFromHostilePeers(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		rng := rand.New(rand.NewPCG(8, 8))
		for range 20 {
			if _, err := l.submit(l.world.batch(l.world.chain, l.world.record(rng, "x"))); err != nil {
				t.Fatal(err)
			}
		}
		r, err := l.submit(l.world.batch(ledger.SystemChain, l.world.accessKey(rng, "k", 1)))
		if err != nil || r[0].GetCode() != rules.OK {
			t.Fatal(r, err)
		}
		if code, err := l.order.putSealed(context.Background(), &ltlv1.SealedKey{AccessKeyId: "k",
			Sealed: sealed("k", 1)}); err != nil || code != rules.OK {
			t.Fatal(code, err)
		}
		target, err := newTarget(l.store)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(map[raft.ServerID]int)
		var mu sync.Mutex
		fetch := func(ctx context.Context, peer raft.ServerID, from uint64, _ bool,
			fn func(uint64, *ltlv1.Block) error) error {
			mu.Lock()
			asked[peer]++
			mu.Unlock()
			return hostileFetch(ctx, l.store, peer, from, fn)
		}
		db := openStore(t, l.world, filepath.Join(l.dir, "other"), l.endorsements)
		defer db.Close()
		p := dependencies{id: "me", store: db, dir: t.TempDir(), fetch: fetch, logger: quiet()}
		for _, id := range []raft.ServerID{"forger", "skipper", "silent", "refuser", "nil", "honest"} {
			p.servers = append(p.servers, raft.Server{ID: id})
		}
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		c := newCatchUp(ctx, &p, func(err error) error { t.Errorf("halted: %v", err); return err })
		if err := c.start(target); err != nil {
			t.Fatal(err)
		}
		if err := c.wait(ctx); err != nil {
			t.Fatal(err)
		}
		c.close()
		keys, _, err := db.AccessKeys(0, 10)
		if err != nil || len(keys) != 1 || db.AppliedIndex() != target.applied || db.Sequence() != target.sequence {
			t.Errorf("applied %d, sequence %d, keys %v (%v); want %d, %d and one", db.AppliedIndex(), db.Sequence(), keys, err,
				target.applied, target.sequence)
		}
		if err := target.check(db); err != nil {
			t.Error(err)
		}
		if len(asked) != 6 {
			t.Errorf("asked %v: the test did not reach every peer", asked)
		}
		checkNeverBack(t, c, target)
	})
}

// hostileFetch serves a store as a peer of that name would.
func hostileFetch(ctx context.Context, s *store.Store, peer raft.ServerID, from uint64,
	fn func(uint64, *ltlv1.Block) error) error {
	switch peer {
	case "silent":
		<-ctx.Done()
		return ctx.Err()
	case "refuser":
		return errors.New("no")
	}
	for n := from; ; n++ {
		b, err := s.BlockAt(n)
		if err != nil {
			return err
		}
		sent := n
		switch peer {
		case "forger":
			b = proto.CloneOf(b)
			b.Header[len(b.GetHeader())-60] ^= 1
		case "skipper":
			sent++
		case "nil":
			b = nil
		}
		if err := fn(sent, b); err != nil {
			return err
		}
	}
}

// checkNeverBack: an older target, or the same again, changes nothing; one that contradicts the ledger stops the node.
func checkNeverBack(t *testing.T, c *catchUp, p *catchUpTarget) {
	old := *p
	old.applied--
	if err := c.start(&old); err != nil || c.busy() {
		t.Errorf("an older snapshot: %v", err)
	}
	halted := 0
	c.halt = func(err error) error { halted++; return err }
	other := *p
	other.tips = append([]targetTip(nil), p.tips...)
	other.tips[0].hash[0] ^= 1
	if err := c.start(&other); err == nil || halted != 1 {
		t.Errorf("a snapshot with another tip: %v, halted %d times", err, halted)
	}
}

// TestRounds: a caller is served only by a call that began after it, and callers share calls.
func TestRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		g := &rounds[int]{ctx: t.Context(), do: func(context.Context) (int, error) {
			calls++
			n := calls
			time.Sleep(time.Second)
			return n, nil
		}}
		var wg sync.WaitGroup
		join := func(want int) {
			wg.Go(func() {
				if n, err := g.join(t.Context()); n != want || err != nil {
					t.Errorf("served by call %d (%v), want %d", n, err, want)
				}
			})
			synctest.Wait()
		}
		join(1)
		time.Sleep(10 * time.Millisecond)
		for range 20 {
			join(2)
		}
		wg.Wait()
		if calls != 2 {
			t.Errorf("%d calls", calls)
		}
		g.close()
		if _, err := g.join(t.Context()); status.Code(err) != codes.Unavailable {
			t.Errorf("after close: %v", err)
		}
	})
}

// TestPlaceholderIsNeverSent: with snapshots at two indexes in a row the first would vouch for the second, and a
// leader would send that as an entry. Raft reads the entry before the first that it sends, so at most one of two
// neighbours may be there.
func TestPlaceholderIsNeverSent(t *testing.T) {
	snaps, err := raft.NewFileSnapshotStoreWithLogger(t.TempDir(), retainedSnapshots, newHCLog(quiet()))
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range []uint64{50, 51, 53} {
		sink, err := snaps.Create(1, index, 7, raft.Configuration{}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	h := &simHandle{disk: newSimDisk()}
	if err := h.StoreLogs([]*raft.Log{{Index: 54, Term: 8}}); err != nil {
		t.Fatal(err)
	}
	l := &snapshotLogStore{h, snaps}
	for i := uint64(2); i < 54; i++ {
		var before, entry raft.Log
		if l.GetLog(i-1, &before) == nil && l.GetLog(i, &entry) == nil {
			t.Errorf("entries %d and %d are both there: a leader would send %+v", i-1, i, entry)
		}
	}
}

// TestSnapshotStandsForItsEntry: the log after a snapshot at S with S+1 and later in it, and what raft finds at and
// around S.
func TestSnapshotStandsForItsEntry(t *testing.T) {
	snaps, err := raft.NewFileSnapshotStoreWithLogger(t.TempDir(), retainedSnapshots, newHCLog(quiet()))
	if err != nil {
		t.Fatal(err)
	}
	sink, err := snaps.Create(1, 50, 7, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	h := &simHandle{disk: newSimDisk()}
	if err := h.StoreLogs([]*raft.Log{{Index: 51, Term: 8}, {Index: 52, Term: 8}}); err != nil {
		t.Fatal(err)
	}
	l := &snapshotLogStore{h, snaps}
	var out raft.Log
	if err := l.GetLog(50, &out); err != nil || out.Term != 7 || out.Index != 50 || out.Type != placeholder {
		t.Errorf("entry 50: %+v, %v", out, err)
	}
	for _, i := range []uint64{0, 1, 49, 53} {
		if err := l.GetLog(i, &out); !errors.Is(err, raft.ErrLogNotFound) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if err := l.GetLog(51, &out); err != nil || out.Term != 8 {
		t.Errorf("entry 51: %+v, %v", out, err)
	}
	if err := h.StoreLogs([]*raft.Log{{Index: 49, Term: 7}}); err != nil {
		t.Fatal(err)
	}
	if err := l.GetLog(50, &out); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("a hole above entry 49 was taken for a snapshot: %v", err)
	}
}
