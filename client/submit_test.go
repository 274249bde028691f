package client_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// wantOK fails the test unless the submit succeeded.
func wantOK(t *testing.T, r *ltlv1.Result, err error) {
	t.Helper()
	if err != nil || r.GetCode() != rules.OK {
		t.Fatalf("result %v, error %v; want success", r, err)
	}
}

func TestSubmitFillsAndWrites(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	c := f.client(nil)
	tx := record("a", "v")
	r, err := c.Submit(t.Context(), tx)
	wantOK(t, r, err)
	if tx.GetVersion() != 1 || len(tx.GetNonce()) != 16 || tx.GetSubmitter() != "org1/facade/f1" || tx.GetCreatedMs() == 0 {
		t.Fatalf("not filled in: %v", tx)
	}
	if r.GetOutput() == "" || r.GetChainId() != testChain {
		t.Fatalf("result %v", r)
	}
	again, err := c.Submit(t.Context(), tx) // a retry is no second intent
	wantOK(t, again, err)
	if again.GetBlockHeight() != r.GetBlockHeight() || f.stored() != 1 {
		t.Fatalf("the same transaction was written again: %v", again)
	}
	for _, change := range []func(*ltlv1.Transaction){
		func(tx *ltlv1.Transaction) { tx.GetAttachData().Value = strings.Repeat("x", 257) },
		func(tx *ltlv1.Transaction) { tx.GetAttachData().Key = "bad" },
		func(tx *ltlv1.Transaction) { tx.ChainId = "2000000000000002" },
	} {
		tx := record("b", "v")
		change(tx)
		r, err := c.Submit(t.Context(), tx)
		if err != nil || r.GetCode() == rules.OK {
			t.Errorf("%v: result %v, error %v", tx, r, err)
		}
	}
	if f.stored() != 1 {
		t.Fatal("a refused transaction was ordered")
	}
}

func TestBatchesAdapt(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(func(cfg *client.Config) { cfg.MaxInFlight = 2; cfg.MaxBatchTransactions = 50 })
	release := make(chan struct{})
	f.leader.Store(0)
	gate := func(ctx context.Context, _ int32) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
	f.nodes[0].before.Store(&gate)
	var wg sync.WaitGroup
	const calls = 202
	for i := range calls {
		wg.Go(func() {
			r, err := c.Submit(t.Context(), record(fmt.Sprint(i), "v"))
			if err != nil || r.GetCode() != rules.OK {
				t.Errorf("call %d: %v %v", i, r, err)
			}
		})
	}
	waitFor(t, "both places taken", func() bool { return f.nodes[0].submits.Load() == 2 })
	time.Sleep(50 * time.Millisecond) // the rest must gather, not go out
	if n := f.nodes[0].submits.Load(); n != 2 {
		t.Errorf("%d batches under way, want 2", n)
	}
	close(release)
	wg.Wait()
	if f.stored() != calls {
		t.Errorf("%d transactions stored, want %d", f.stored(), calls)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.batches) > 12 {
		t.Errorf("%d batches for %d calls: nothing was gathered", len(f.batches), calls)
	}
	for _, b := range f.batches {
		if len(b.GetTransactions()) > 50 {
			t.Errorf("a batch of %d transactions, want at most 50", len(b.GetTransactions()))
		}
	}
}

func TestLeaderMoves(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	f.leader.Store(2) // the old leader knows the new one
	r, err = c.Submit(t.Context(), record("a", "2"))
	wantOK(t, r, err)
	f.leader.Store(-1) // nobody leads for a while
	go func() {
		time.Sleep(300 * time.Millisecond)
		f.leader.Store(1)
	}()
	r, err = c.Submit(t.Context(), record("a", "3"))
	wantOK(t, r, err)
	if f.stored() != 3 {
		t.Fatalf("%d stored, want 3", f.stored())
	}
}

// TestLostAnswer: the leader commits, and its answer never arrives.
func TestLostAnswer(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	lost := func(_ context.Context, n int32) error {
		if n <= 2 {
			f.leader.Store(1)
			return status.Error(codes.Unavailable, "connection reset")
		}
		return nil
	}
	f.nodes[0].after.Store(&lost)
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	if f.stored() != 1 {
		t.Fatalf("%d stored, want 1", f.stored())
	}
}

// TestHangingLeader: a leader that was paused does not answer; another leads in a newer term.
func TestHangingLeader(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	hang := func(ctx context.Context, _ int32) error {
		f.nodes[0].hang.Store(true)
		f.term.Store(2)
		f.leader.Store(1)
		<-ctx.Done()
		return ctx.Err()
	}
	f.nodes[0].before.Store(&hang)
	started := time.Now()
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	if took := time.Since(started); took > 4*time.Second {
		t.Errorf("it took %v to move on", took)
	}
}

func TestOverload(t *testing.T) {
	f := startFake(t, 3, "majority")
	full := func(context.Context, int32) error { return status.Error(codes.ResourceExhausted, "queue is full") }
	f.nodes[0].before.Store(&full)
	c := f.client(nil)
	if _, err := c.Submit(t.Context(), record("a", "1")); !errors.Is(err, client.ErrOverloaded) {
		t.Fatalf("leader full: %v, want ErrOverloaded", err)
	}
	gate := func(ctx context.Context, _ int32) error { <-ctx.Done(); return ctx.Err() }
	f.nodes[0].before.Store(&gate)
	small := f.client(func(cfg *client.Config) { cfg.MaxPending = 3; cfg.SubmitTimeout = 1500 * time.Millisecond })
	var wg sync.WaitGroup
	var overloaded, unavailable atomic.Int32
	for i := range 10 {
		wg.Go(func() {
			started := time.Now()
			_, err := small.Submit(context.Background(), record("b", fmt.Sprint(i)))
			switch {
			case errors.Is(err, client.ErrOverloaded):
				overloaded.Add(1)
				if time.Since(started) > time.Second {
					t.Error("refusing took a second")
				}
			case errors.Is(err, client.ErrUnavailable):
				unavailable.Add(1)
			default:
				t.Errorf("%v, want ErrOverloaded or ErrUnavailable", err)
			}
		})
	}
	wg.Wait()
	if overloaded.Load() != 7 || unavailable.Load() != 3 {
		t.Errorf("%d overloaded, %d unavailable; want 7 and 3", overloaded.Load(), unavailable.Load())
	}
}

// TestEndorserDoubles: whatever is wrong with an endorser's answer, it does not count, and the others' suffice. The fake orderer
// fails the test when the client passes on an endorsement that does not count.
func TestEndorserDoubles(t *testing.T) {
	_, wrong, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := startFake(t, 3, "2-of")
	resign := func(change func(s *ledger.Statement)) func(*ltlv1.Endorsement, *ltlv1.EndorseResponse, *ledger.Statement) {
		return func(_ *ltlv1.Endorsement, out *ltlv1.EndorseResponse, st *ledger.Statement) {
			change(st)
			out.Endorsement = st.Sign(f.endorsers[2].key)
		}
	}
	doubles := map[string]func(*ltlv1.Endorsement, *ltlv1.EndorseResponse, *ledger.Statement){
		"wrong key": func(_ *ltlv1.Endorsement, out *ltlv1.EndorseResponse, st *ledger.Statement) {
			out.Endorsement = st.Sign(wrong)
		},
		"bit flipped": func(e *ltlv1.Endorsement, _ *ltlv1.EndorseResponse, _ *ledger.Statement) { e.Signature[5] ^= 1 },
		"cut short": func(e *ltlv1.Endorsement, _ *ltlv1.EndorseResponse, _ *ledger.Statement) {
			e.Statement = e.Statement[:40]
		},
		"no codes":      func(_ *ltlv1.Endorsement, out *ltlv1.EndorseResponse, _ *ledger.Statement) { out.Codes = nil },
		"other root":    resign(func(s *ledger.Statement) { s.Root[0] ^= 1 }),
		"other chain":   resign(func(s *ledger.Statement) { s.ChainID = "1000000000000002" }),
		"other network": resign(func(s *ledger.Statement) { s.NetworkID[0] ^= 1 }),
		"other name":    resign(func(s *ledger.Statement) { s.Organisation = "org1" }),
		"other key id":  resign(func(s *ledger.Statement) { s.KeyID[0] ^= 1 }),
		"other count":   resign(func(s *ledger.Statement) { s.Count = 9; s.Accepted = []byte{0x80, 0} }),
		"missing bits":  resign(func(s *ledger.Statement) { s.Accepted = []byte{0} }),
	}
	for name, forge := range doubles {
		t.Run(name, func(t *testing.T) {
			c := f.client(nil)
			f.endorsers[2].set(func(e *fakeEndorser) { e.forge = forge })
			r, err := c.Submit(t.Context(), record("a", name))
			wantOK(t, r, err)
			// With another one refusing, the forged one would be needed. It must not be taken.
			f.endorsers[1].set(func(e *fakeEndorser) {
				e.block = func(context.Context) error { return status.Error(codes.Unavailable, "down") }
			})
			defer f.endorsers[1].set(func(e *fakeEndorser) { e.block = nil })
			before := f.stored()
			_, err = c.Submit(t.Context(), record("a", name+" needed"))
			if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "org3") {
				t.Errorf("%v, want ErrUnavailable that names org3", err)
			}
			if f.stored() != before {
				t.Error("a forged endorsement was counted")
			}
		})
	}
}

func TestDeadEndorserCostsNothing(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	c := f.client(nil)
	f.endorsers[2].server.Stop()
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	f.endorsers[1].server.Stop()
	started := time.Now()
	_, err = c.Submit(t.Context(), record("a", "2"))
	if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "org2") || !strings.Contains(err.Error(), "org3") {
		t.Errorf("%v, want ErrUnavailable that names org2 and org3", err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("it took %v to say so", took)
	}
	if f.stored() != 1 {
		t.Errorf("%d stored, want 1", f.stored())
	}
}

// TestHangingEndorser: one that takes requests and answers none is asked for a while, then left out.
func TestHangingEndorser(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	f.endorsers[2].set(func(e *fakeEndorser) { e.block = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() } })
	started := time.Now()
	for i := range 30 {
		r, err := c.Submit(t.Context(), record("a", fmt.Sprint(i)))
		wantOK(t, r, err)
	}
	if took := time.Since(started); took > 2*time.Second {
		t.Errorf("30 calls took %v beside a hanging endorser", took)
	}
	if n := f.endorsers[2].calls.Load(); n > 8 {
		t.Errorf("the hanging endorser was asked %d times, want at most 8", n)
	}
}

// TestBusyEndorsers: those that have many batches at a time, all of which the policy needs, are asked for each.
func TestBusyEndorsers(t *testing.T) {
	const calls = 12
	f := startFake(t, 3, "all")
	c := f.client(func(cfg *client.Config) { cfg.MaxInFlight, cfg.MaxBatchTransactions = calls, 1 })
	for _, e := range f.endorsers {
		var waiting atomic.Int32
		all := make(chan struct{})
		e.set(func(e *fakeEndorser) {
			e.block = func(ctx context.Context) error {
				if waiting.Add(1) == calls {
					close(all)
				}
				select {
				case <-all:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
	var group sync.WaitGroup
	for i := range calls {
		group.Go(func() {
			r, err := c.Submit(t.Context(), record("a", fmt.Sprint(i)))
			if err != nil || r.GetCode() != rules.OK {
				t.Errorf("%v, %v", r, err)
			}
		})
	}
	group.Wait()
}

// TestRefusals: one bad transaction neither spoils the others of its batch nor is it ordered.
func TestRefusals(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	c := f.client(func(cfg *client.Config) { cfg.MaxInFlight = 1 })
	refuse := func(code int32) func(e *fakeEndorser) {
		return func(e *fakeEndorser) {
			e.verdict = func(_ *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 {
				if strings.HasPrefix(tx.GetAttachData().GetValue(), "bad") {
					return code
				}
				return 0
			}
		}
	}
	f.endorsers[0].set(refuse(rules.DuplicateKey))
	f.endorsers[1].set(refuse(rules.QuotaExceeded))
	f.endorsers[2].set(refuse(rules.QuotaExceeded))
	for _, e := range f.endorsers[1:] { // nobody waits for a voice that changes nothing: let the submitter's be there in time
		e.set(func(e *fakeEndorser) {
			e.block = func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }
		})
	}
	var wg sync.WaitGroup
	for i := range 60 {
		value, want := fmt.Sprint("good", i), rules.OK
		if i%3 == 0 {
			value, want = fmt.Sprint("bad", i), rules.DuplicateKey // as the submitter's organisation says
		}
		wg.Go(func() {
			r, err := c.Submit(t.Context(), record(fmt.Sprint(i), value))
			if err != nil || r.GetCode() != want {
				t.Errorf("%s: %v %v, want %d", value, r, err, want)
			}
		})
	}
	wg.Wait()
	if f.stored() != 40 {
		t.Errorf("%d stored, want 40", f.stored())
	}
	for _, b := range f.batches {
		for _, payload := range b.GetTransactions() {
			if strings.Contains(string(payload), "bad") {
				t.Error("a refused transaction was ordered")
			}
		}
	}
}

// TestLaggingCopies: a refusal by copies that do not know yet what was just created is not the answer.
func TestLaggingCopies(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	c := f.client(nil)
	f.nodes[0].sequence.Store(77)
	for _, e := range f.endorsers {
		e.set(func(e *fakeEndorser) {
			e.verdict = func(in *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 {
				if in.GetMinSequence() < 77 {
					return rules.BadTypeCode
				}
				if tx.GetAttachData().GetValue() == "never" {
					return rules.BadTypeCode
				}
				return 0
			}
		})
	}
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	if r, err = c.Submit(t.Context(), record("a", "never")); err != nil || r.GetCode() != rules.BadTypeCode {
		t.Fatalf("%v %v, want BadTypeCode", r, err)
	}
}

// TestKnownTransaction: endorsers that know a transaction refuse it, and the client fetches its first result.
func TestKnownTransaction(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	c := f.client(nil)
	tx := record("a", "1")
	first, err := c.Submit(t.Context(), tx)
	wantOK(t, first, err)
	for _, e := range f.endorsers {
		e.set(func(e *fakeEndorser) {
			e.verdict = func(*ltlv1.EndorseRequest, *ltlv1.Transaction) int32 { return rules.Duplicate }
		})
	}
	again, err := c.Submit(t.Context(), tx)
	wantOK(t, again, err)
	if again.GetBlockHeight() != first.GetBlockHeight() || again.GetOutput() != first.GetOutput() {
		t.Errorf("%v, want the first result %v", again, first)
	}
}

// TestStaleEndorsements: the ledger says that the endorsements do not count any more; the same bytes are endorsed again.
func TestStaleEndorsements(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	f.mu.Lock()
	f.policy = "all" // the client still believes in "any"
	f.mu.Unlock()
	slow := func(ctx context.Context) error {
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	}
	f.endorsers[1].set(func(e *fakeEndorser) { e.block = slow })
	r, err = c.Submit(t.Context(), record("a", "2"))
	wantOK(t, r, err)
	if n := len(f.lastBatch().GetEndorsements()); n != 3 {
		t.Errorf("%d endorsements, want 3", n)
	}
}

func TestClose(t *testing.T) {
	f := startFake(t, 3, "majority")
	gate := func(ctx context.Context, _ int32) error { <-ctx.Done(); return ctx.Err() }
	f.nodes[0].before.Store(&gate)
	c := f.client(func(cfg *client.Config) { cfg.MaxInFlight = 1 })
	errs := make(chan error, 20)
	for i := range cap(errs) {
		go func() {
			_, err := c.Submit(context.Background(), record("a", fmt.Sprint(i)))
			errs <- err
		}()
	}
	waitFor(t, "a batch under way", func() bool { return f.nodes[0].submits.Load() > 0 })
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(errs) {
		select {
		case err := <-errs:
			if !errors.Is(err, client.ErrClosed) {
				t.Errorf("%v, want ErrClosed", err)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a pending call does not end")
		}
	}
	if _, err := c.Submit(context.Background(), record("a", "late")); !errors.Is(err, client.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if _, err := c.Ledger().GetNetwork(context.Background(), &ltlv1.GetNetworkRequest{}); !errors.Is(err, client.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestCallerGivesUp: a caller's own deadline ends its call alone, with an error that tells that the outcome is unknown.
func TestCallerGivesUp(t *testing.T) {
	f := startFake(t, 3, "majority")
	release := make(chan struct{})
	gate := func(ctx context.Context, _ int32) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}
	f.nodes[0].before.Store(&gate)
	c := f.client(nil)
	done := make(chan error, 1)
	patient := record("a", "patient")
	go func() {
		r, err := c.Submit(context.Background(), patient)
		if err == nil && r.GetCode() != rules.OK {
			err = fmt.Errorf("code %d", r.GetCode())
		}
		done <- err
	}()
	waitFor(t, "a batch under way", func() bool { return f.nodes[0].submits.Load() > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	hasty := record("a", "hasty")
	if _, err := c.Submit(ctx, hasty); !errors.Is(err, client.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want ErrUnavailable and DeadlineExceeded", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Errorf("the other caller's: %v", err)
	}
	r, err := c.Submit(t.Context(), hasty)
	wantOK(t, r, err)
	if f.stored() != 2 {
		t.Errorf("%d stored, want 2", f.stored())
	}
}

func waitFor(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 10 s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
