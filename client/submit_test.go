package client_test

import (
	"context"
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
	if tx.GetVersion() != 1 || len(tx.GetNonce()) != 16 || tx.GetSubmitter() != "org1/facade/f1" ||
		tx.GetCreatedMs() == 0 {
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
		func(tx *ltlv1.Transaction) { tx.Openings = client.Values(strings.Repeat("x", 257)) },
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
	if _, err := c.Ledger().GetNetwork(context.Background(), &ltlv1.GetNetworkRequest{}); !errors.Is(err,
		client.ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}

// TestCallerGivesUp: a caller's own deadline ends its call alone, with an error for an unknown outcome.
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
	if _, err := c.Submit(ctx, hasty); !errors.Is(err, client.ErrUnavailable) ||
		!errors.Is(err, context.DeadlineExceeded) {
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
