package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// names makes an endorser that names an organisation for every transaction, device or not.
func names(organisation string) func(*fakeEndorser) {
	return func(e *fakeEndorser) { e.required = func(*ltlv1.Transaction) string { return organisation } }
}

func down(e *fakeEndorser) {
	e.block = func(context.Context) error { return status.Error(codes.Unavailable, "down") }
}

func up(e *fakeEndorser) { e.block = nil }

// slowly makes an endorser answer later than all others.
func slowly(e *fakeEndorser) {
	e.block = func(ctx context.Context) error {
		timer := time.NewTimer(100 * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		return nil
	}
}

// startHeld starts a network in which org2 has the keys of all devices, and all endorsers name it.
func startHeld(t *testing.T, policy string) *fake {
	t.Helper()
	f := startFake(t, 3, policy)
	f.holder = "org2"
	for _, e := range f.endorsers {
		e.set(names("org2"))
	}
	return f
}

// TestHolderIsWaitedFor: a policy that others satisfy sooner does not keep out the signature that a device's upload
// needs.
func TestHolderIsWaitedFor(t *testing.T) {
	f := startHeld(t, "any")
	c := f.client(nil)
	f.endorsers[1].set(slowly)
	before := f.nodes[0].submits.Load()
	r, err := c.Submit(t.Context(), upload("a", "1"))
	wantOK(t, r, err)
	if n := f.nodes[0].submits.Load() - before; n != 1 {
		t.Errorf("it was handed to the leader %d times, want once", n)
	}
}

// TestHolderIsDown: without the endorser that can verify, a device's upload fails with an error that names it and can
// be repeated. All others go on. When the endorser is back, the same transaction is written.
func TestHolderIsDown(t *testing.T) {
	f := startHeld(t, "2-of")
	c := f.client(nil)
	f.endorsers[1].set(down)
	tx := upload("a", "1")
	var wg sync.WaitGroup
	for i := range 20 { // beside it, in its batch or another
		wg.Go(func() {
			if r, err := c.Submit(t.Context(), record("b", fmt.Sprint(i))); err != nil || r.GetCode() != rules.OK {
				t.Errorf("an ordinary record: %v, error %v", r, err)
			}
		})
	}
	r, err := c.Submit(t.Context(), tx)
	if !errors.Is(err, client.ErrUnavailable) || !errors.Is(err, client.ErrHolderUnavailable) ||
		!strings.Contains(err.Error(), "only the endorser of org2 ") || !strings.Contains(err.Error(), "down") {
		t.Errorf("result %v, error %v; want ErrUnavailable that names org2", r, err)
	}
	wg.Wait()
	if f.stored() != 20 {
		t.Errorf("%d stored, want 20", f.stored())
	}
	f.endorsers[1].set(up)
	r, err = c.Submit(t.Context(), tx)
	wantOK(t, r, err)
}

// TestHolderRefuses: its refusal is final, however many accept, and its reason reaches the caller.
func TestHolderRefuses(t *testing.T) {
	f := startHeld(t, "any")
	c := f.client(nil)
	f.endorsers[1].set(slowly)
	f.endorsers[1].set(func(e *fakeEndorser) {
		e.reason = "the signature is wrong"
		e.verdict = func(_ *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 {
			if rules.DeviceProofOf(tx) != nil {
				return rules.Forbidden
			}
			return 0
		}
	})
	r, err := c.Submit(t.Context(), upload("a", "1"))
	if err != nil || r.GetCode() != rules.Forbidden || r.GetReason() != "the signature is wrong" {
		t.Errorf("result %v, error %v", r, err)
	}
	r, err = c.Submit(t.Context(), record("a", "2"))
	wantOK(t, r, err)
	if f.stored() != 1 {
		t.Errorf("%d stored, want 1", f.stored())
	}
}

// TestLiarNamesNonsense: whatever one endorser names, ordinary records are written at once, and devices' uploads too
// while the others suffice: also when it names an organisation that is down, in a full batch.
func TestLiarNamesNonsense(t *testing.T) {
	for _, nonsense := range []string{"org2", "org3", "org9", "\xff"} {
		for _, holder := range []string{"", "org1"} {
			t.Run(fmt.Sprintf("%q, holder %q", nonsense, holder), func(t *testing.T) {
				if nonsense == "\xff" {
					nonsense = strings.Repeat("x", 1000)
				}
				f := startFake(t, 3, "2-of")
				f.holder = holder
				f.endorsers[0].set(names(holder))
				f.endorsers[1].set(down)
				f.endorsers[2].set(names(nonsense))
				c := f.client(nil)
				var wg sync.WaitGroup
				for i := range 30 {
					wg.Go(func() {
						tx := record("a", fmt.Sprint(i))
						if i%3 == 0 {
							tx = upload("a", fmt.Sprint(i))
						}
						if r, err := c.Submit(t.Context(), tx); err != nil || r.GetCode() != rules.OK {
							t.Errorf("%d: %v, error %v", i, r, err)
						}
					})
				}
				wg.Wait()
				if f.stored() != 30 {
					t.Errorf("%d stored, want 30", f.stored())
				}
			})
		}
	}
}

// TestLiarConcealsTheHolder: the fastest endorsers name no organisation. The ledger refuses once, and then all
// endorsers are waited for.
func TestLiarConcealsTheHolder(t *testing.T) {
	f := startHeld(t, "any")
	c := f.client(nil)
	for _, i := range []int{0, 2} {
		f.endorsers[i].set(func(e *fakeEndorser) { e.required = nil })
	}
	f.endorsers[1].set(slowly)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			tx := record("a", fmt.Sprint(i))
			if i%2 == 0 {
				tx = upload("a", fmt.Sprint(i))
			}
			if r, err := c.Submit(t.Context(), tx); err != nil || r.GetCode() != rules.OK {
				t.Errorf("%d: %v, error %v", i, r, err)
			}
		})
	}
	wg.Wait()
	// With the holder down the error is ErrUnavailable, which may be repeated, and not a refusal.
	f.endorsers[1].set(down)
	f.endorsers[0].set(names("org2"))
	if r, err := c.Submit(t.Context(), upload("b", "1")); !errors.Is(err, client.ErrUnavailable) ||
		!strings.Contains(err.Error(), "org2") {
		t.Errorf("result %v, error %v; want ErrUnavailable that names org2", r, err)
	}
}
