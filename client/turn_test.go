package client_test

import (
	"context"
	"errors"
	"testing"

	"ltl/client"
)

// TestTurnThatNeverComes: a call whose time ends before it left the queue was not written, and its caller is told so: that there are too
// many, while the network writes others'; that the network does not work, while it writes nothing.
func TestTurnThatNeverComes(t *testing.T) {
	for _, works := range []bool{true, false} {
		f := startFake(t, 3, "majority")
		turn := make(chan struct{})
		gate := func(ctx context.Context, _ int32) error {
			select {
			case <-turn:
			case <-ctx.Done():
			}
			return nil
		}
		f.nodes[0].before.Store(&gate)
		c := f.client(func(cfg *client.Config) { cfg.MaxInFlight, cfg.MaxBatchTransactions = 1, 1 })
		submit := func(ctx context.Context, value string) chan error {
			done := make(chan error, 1)
			go func() {
				_, err := c.Submit(ctx, record("a", value))
				done <- err
			}()
			return done
		}
		first := submit(t.Context(), "first")
		waitFor(t, "the first is under way", func() bool { return f.nodes[0].submits.Load() == 1 })
		second := submit(t.Context(), "second")
		waitFor(t, "the second waits", func() bool { return c.Queued(testChain) == 1 })
		ctx, cancel := context.WithCancel(t.Context())
		third := submit(ctx, "third")
		waitFor(t, "the third waits", func() bool { return c.Queued(testChain) == 2 })
		want := client.ErrUnavailable
		if works {
			turn <- struct{}{}
			waitFor(t, "the second is under way", func() bool { return f.nodes[0].submits.Load() == 2 })
			want = client.ErrOverloaded
		}
		cancel()
		if err := <-third; !errors.Is(err, want) || !errors.Is(err, context.Canceled) {
			t.Errorf("the network works: %v; the third: %v, want %v", works, err, want)
		}
		close(turn)
		for _, done := range []chan error{first, second} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := f.stored(); n != 2 {
			t.Errorf("%d are stored, want the two that were sent", n)
		}
	}
}
