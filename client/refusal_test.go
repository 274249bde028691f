package client_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestRefusalBesideADeadEndorser: what the working organisations refuse is refused with their code, and not called
// unavailable, also when one refusal comes first and another organisation does not answer.
func TestRefusalBesideADeadEndorser(t *testing.T) {
	for slow := range 2 {
		f := startFake(t, 3, "submitter & majority")
		f.endorsers[2].server.Stop()
		for i, e := range f.endorsers[:2] {
			e.set(func(e *fakeEndorser) {
				e.verdict = func(*ltlv1.EndorseRequest, *ltlv1.Transaction) int32 { return rules.DuplicateKey }
				if i == slow {
					e.block = func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }
				}
			})
		}
		c := f.client(nil)
		for range 3 {
			if r, err := c.Submit(t.Context(), record("a", "v")); err != nil || r.GetCode() != rules.DuplicateKey {
				t.Errorf("with org%d slow: %v, %v; want the code %d", slow+1, r, err, rules.DuplicateKey)
			}
		}
	}
}

// TestRefusalByExecution: what was endorsed and ordered, and is refused when it is executed, is no success.
func TestRefusalByExecution(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	f.executes = rules.DuplicateKey
	r, err := f.client(nil).Submit(t.Context(), record("a", "v"))
	if err != nil || r.GetCode() != rules.DuplicateKey {
		t.Errorf("%v, %v; want the code %d", r, err, rules.DuplicateKey)
	}
}

// TestRefusedBesideOthers: a transaction that clashes only with one that some organisations refuse, and that is
// therefore never written, is written itself. It is not refused as a duplicate, or for a quota, because of that one.
func TestRefusedBesideOthers(t *testing.T) {
	for _, code := range []int32{rules.DuplicateKey, rules.QuotaExceeded} {
		f := startFake(t, 3, "submitter & majority")
		held, release := make(chan struct{}), make(chan struct{})
		for i, e := range f.endorsers {
			e.set(func(e *fakeEndorser) {
				e.verdict = func(in *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 {
					switch value := valueOf(tx); {
					case value == "first" && i == 0:
						close(held)
						<-release
					case value == "refused" && i > 0:
						return rules.Forbidden
					case value == "good":
						for _, o := range in.GetOpenings() {
							if string(o.GetOpenings()[0].GetValue()) == "refused" {
								return code // the rules accept that one; only then come the rules of its own
							}
						}
					}
					return 0
				}
			})
		}
		c := f.client(func(cfg *client.Config) { cfg.MaxInFlight = 1 })
		results := make([]*ltlv1.Result, 3)
		done := make(chan error, len(results))
		submit := func(i int, value string) {
			var err error
			results[i], err = c.Submit(t.Context(), record("a", value))
			done <- err
		}
		go submit(0, "first")
		<-held
		go submit(1, "refused")
		go submit(2, "good")
		waitFor(t, "both wait", func() bool { return c.Queued(testChain) == 2 })
		close(release)
		for range results {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		if got := results[1].GetCode(); got != rules.Forbidden {
			t.Errorf("the refused one got %d", got)
		}
		if got := results[2].GetCode(); got != rules.OK {
			t.Errorf("the one beside it got %d, want 200 in place of %d", got, code)
		}
	}
}

// TestRefusals: one bad transaction neither spoils the others of its batch nor is it ordered.
func TestRefusals(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	c := f.client(func(cfg *client.Config) { cfg.MaxInFlight = 1 })
	refuse := func(code int32) func(e *fakeEndorser) {
		return func(e *fakeEndorser) {
			e.verdict = func(_ *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 {
				if strings.HasPrefix(valueOf(tx), "bad") {
					return code
				}
				return 0
			}
		}
	}
	f.endorsers[0].set(refuse(rules.DuplicateKey))
	f.endorsers[1].set(refuse(rules.QuotaExceeded))
	f.endorsers[2].set(refuse(rules.QuotaExceeded))
	// The client does not wait for votes that change nothing: the submitter's vote must arrive before the others.
	for _, e := range f.endorsers[1:] {
		e.set(func(e *fakeEndorser) {
			e.block = func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }
		})
	}
	var wg sync.WaitGroup
	for i := range 60 {
		value, want := fmt.Sprint("good", i), rules.OK
		if i%3 == 0 {
			value, want = fmt.Sprint("bad", i), rules.DuplicateKey // the code of the submitter's organisation
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
	for _, code := range []int32{rules.NotFound, rules.NotEntitled, rules.UnknownUID, rules.BadTypeCode, rules.Forbidden} {
		f := startFake(t, 3, "submitter & majority")
		c := f.client(nil)
		f.nodes[0].sequence.Store(77)
		for _, e := range f.endorsers {
			e.set(func(e *fakeEndorser) {
				e.verdict = func(in *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 {
					if in.GetMinSequence() < 77 || valueOf(tx) == "never" {
						return code
					}
					return 0
				}
			})
		}
		if r, err := c.Submit(t.Context(), record("a", "1")); err != nil || r.GetCode() != rules.OK {
			t.Errorf("refused with %d by copies that are behind: %v %v, want 200", code, r, err)
		}
		if r, err := c.Submit(t.Context(), record("a", "never")); err != nil || r.GetCode() != code {
			t.Errorf("%v %v, want %d", r, err, code)
		}
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

// TestStaleEndorsements: the ledger does not accept the endorsements any more; the same bytes are endorsed
// again.
func TestStaleEndorsements(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	r, err := c.Submit(t.Context(), record("a", "1"))
	wantOK(t, r, err)
	f.mu.Lock()
	f.policy = "all" // the client still knows "any"
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
