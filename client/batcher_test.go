package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestTurnThatNeverComes: a submission whose time ends in the queue was not written. The error is ErrOverloaded while
// the network writes other transactions, and ErrUnavailable while it writes nothing.
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

// TestSmallGoWithLarge: a small call does not wait for all the large ones before it, even where each of those is
// larger than a batch should be; and no large one is left behind.
func TestSmallGoWithLarge(t *testing.T) {
	for _, limit := range []int{6000, 3000} { // a large one has about 4,200 bytes
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
		c := f.client(func(cfg *client.Config) { cfg.MaxInFlight, cfg.MaxBatchBytes = 1, limit })
		done := make(chan error, 5)
		submit := func(tx *ltlv1.Transaction) {
			go func() {
				_, err := c.Submit(t.Context(), tx)
				done <- err
			}()
		}
		submit(record("first", "v"))
		waitFor(t, "the first is under way", func() bool { return f.nodes[0].submits.Load() == 1 })
		for i, tx := range []*ltlv1.Transaction{largeUpload("x"), largeUpload("y"), largeUpload("z"), record("small", "v")} {
			submit(tx)
			waitFor(t, "it waits", func() bool { return c.Queued(testChain) == i+1 })
		}
		close(turn)
		for range cap(done) {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		var order []string
		for _, b := range f.batches {
			letters := ""
			for _, p := range b.GetTransactions() {
				tx, err := rules.Decode(p)
				if err != nil {
					t.Fatal(err)
				}
				if items := tx.GetUploadPhaseData().GetItems(); len(items) == 1 {
					letters += items[0].GetDataKey()
				} else {
					letters += strings.Split(tx.GetAttachData().GetKey(), "_")[3][:1]
				}
			}
			order = append(order, letters)
		}
		if got := strings.Join(order, " "); got != "f xs y z" {
			t.Errorf("batches of %d bytes: %q", limit, got)
		}
	}
}

// largeUpload is a phase record of 4,096 bytes.
func largeUpload(dataKey string) *ltlv1.Transaction {
	return &ltlv1.Transaction{ChainId: testChain, AccountUid: testUID,
		Action: &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: &ltlv1.UploadPhaseData{
			Form: ltlv1.DataForm_DATA_FORM_TEXT, Items: []*ltlv1.PhaseItem{{DataKey: dataKey,
				PhaseData: strings.Repeat("d", 4096)}},
		}}}
}
