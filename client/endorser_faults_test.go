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

// TestEndorserDoubles: whatever is wrong with an endorser's answer, it does not count, and the others' suffice. The
// fake orderer fails the test when the client passes on an endorsement that does not count.
func TestEndorserDoubles(t *testing.T) {
	_, wrong, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	type forgery = func(*ltlv1.Endorsement, *ltlv1.EndorseResponse, *ledger.Endorsement)
	plain := func(forge forgery) func(*fake) forgery { return func(*fake) forgery { return forge } }
	resign := func(change func(s *ledger.Endorsement)) func(*fake) forgery {
		return func(f *fake) forgery {
			return func(_ *ltlv1.Endorsement, out *ltlv1.EndorseResponse, st *ledger.Endorsement) {
				change(st)
				out.Endorsement = st.Sign(f.endorsers[2].key)
			}
		}
	}
	doubles := map[string]func(*fake) forgery{
		"wrong key": plain(func(_ *ltlv1.Endorsement, out *ltlv1.EndorseResponse, st *ledger.Endorsement) {
			out.Endorsement = st.Sign(wrong)
		}),
		"bit flipped": plain(func(e *ltlv1.Endorsement, _ *ltlv1.EndorseResponse, _ *ledger.Endorsement) {
			e.Signature[5] ^= 1
		}),
		"cut short": plain(func(e *ltlv1.Endorsement, _ *ltlv1.EndorseResponse, _ *ledger.Endorsement) {
			e.Statement = e.Statement[:40]
		}),
		"no codes": plain(func(_ *ltlv1.Endorsement, out *ltlv1.EndorseResponse, _ *ledger.Endorsement) {
			out.Codes = nil
		}),
		"other root":    resign(func(s *ledger.Endorsement) { s.Root[0] ^= 1 }),
		"other chain":   resign(func(s *ledger.Endorsement) { s.ChainID = "1000000000000002" }),
		"other network": resign(func(s *ledger.Endorsement) { s.NetworkID[0] ^= 1 }),
		"other name":    resign(func(s *ledger.Endorsement) { s.Organisation = "org1" }),
		"other key id":  resign(func(s *ledger.Endorsement) { s.KeyID[0] ^= 1 }),
		"other count":   resign(func(s *ledger.Endorsement) { s.Count = 9; s.Accepted = []byte{0x80, 0} }),
		"missing bits":  resign(func(s *ledger.Endorsement) { s.Accepted = []byte{0} }),
	}
	for name, forge := range doubles {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits for the endorser that is down
			f := startFake(t, 3, "2-of")
			c := f.client(nil)
			f.endorsers[2].set(func(e *fakeEndorser) { e.forge = forge(f) })
			r, err := c.Submit(t.Context(), record("a", name))
			wantOK(t, r, err)
			// With another one refusing, the forged one would be needed. It must not be taken.
			f.endorsers[1].set(func(e *fakeEndorser) {
				e.block = func(context.Context) error { return status.Error(codes.Unavailable, "down") }
			})
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
	if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "org2") ||
		!strings.Contains(err.Error(), "org3") {
		t.Errorf("%v, want ErrUnavailable that names org2 and org3", err)
	}
	if took := time.Since(started); took > slow {
		t.Errorf("the error took %v", took)
	}
	if f.stored() != 1 {
		t.Errorf("%d stored, want 1", f.stored())
	}
}

// TestHangingEndorser: one that takes requests and answers none is asked for a while, then left out.
func TestHangingEndorser(t *testing.T) {
	f := startFake(t, 3, "majority")
	c := f.client(nil)
	f.endorsers[2].set(func(e *fakeEndorser) {
		e.block = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	})
	started := time.Now()
	for i := range 30 {
		r, err := c.Submit(t.Context(), record("a", fmt.Sprint(i)))
		wantOK(t, r, err)
	}
	if took := time.Since(started); took > 4*slow {
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
