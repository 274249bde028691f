package client_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"ltl/client"
)

// TestOwnEndorserIsNeeded: whatever the policy, nothing is written while the endorser of the client's own organisation
// does not answer. The error says so within seconds, and the same transaction is written when it answers again.
func TestOwnEndorserIsNeeded(t *testing.T) {
	for _, policy := range []string{"any", "2-of", "org(org2)", "majority"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel() // each waits whether the endorser is started again
			f := startFake(t, 3, policy)
			c := f.client(nil)
			f.endorsers[0].set(down)
			tx := record("a", "v")
			started := time.Now()
			_, err := c.Submit(t.Context(), tx)
			if !errors.Is(err, client.ErrUnavailable) || !strings.Contains(err.Error(), "the endorser of the own organisation") ||
				!strings.Contains(err.Error(), "org1 (") || strings.Contains(err.Error(), "org2") {
				t.Errorf("%v; want ErrUnavailable that names org1 alone", err)
			}
			if took := time.Since(started); took > slow {
				t.Errorf("the error took %v", took)
			}
			if f.stored() != 0 {
				t.Errorf("%d stored, want none", f.stored())
			}
			f.endorsers[0].set(up)
			r, err := c.Submit(t.Context(), tx)
			wantOK(t, r, err)
		})
	}
}

// TestEndorserIsStartedAgain: a caller waits for an endorser that is away for a second, as in an upgrade, and gets no
// error. One that has been away for longer is reported at once.
func TestEndorserIsStartedAgain(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	f.endorsers[0].set(down)
	time.AfterFunc(time.Second, func() { f.endorsers[0].set(up) })
	r, err := c.Submit(t.Context(), record("a", "v"))
	wantOK(t, r, err)
	f.endorsers[0].set(down)
	if _, err := c.Submit(t.Context(), record("b", "v")); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("an endorser that does not come back: %v; want ErrUnavailable", err)
	}
	started := time.Now()
	_, err = c.Submit(t.Context(), record("c", "v"))
	if took := time.Since(started); !errors.Is(err, client.ErrUnavailable) || took > client.RestartTime {
		t.Errorf("an endorser that is away for long: %v after %v; want ErrUnavailable before %v", err, took, client.RestartTime)
	}
}

// TestOwnEndorserIsWaitedFor: endorsements of others that satisfy the policy sooner are no reason to go on without it.
func TestOwnEndorserIsWaitedFor(t *testing.T) {
	f := startFake(t, 3, "any")
	c := f.client(nil)
	f.endorsers[0].set(slowly)
	r, err := c.Submit(t.Context(), record("a", "v"))
	wantOK(t, r, err)
	if n := f.nodes[0].submits.Load(); n != 1 {
		t.Errorf("it was handed to the leader %d times, want once", n)
	}
}

// TestOwnOrganisationIsNotOnTheChain: a client whose organisation does not endorse on the chain gets that as the
// reason, without an endorser being asked, and writes as soon as the chain has its organisation.
func TestOwnOrganisationIsNotOnTheChain(t *testing.T) {
	f := startFake(t, 3, "any")
	f.onChain = []string{"org2", "org3"}
	c := f.client(nil)
	tx := record("a", "v")
	r, err := c.Submit(t.Context(), tx)
	if err != nil || r.GetCode() != client.CodeNotEndorsed ||
		!strings.Contains(r.GetReason(), "no endorsement of org1, whose facade submitted this") ||
		!strings.Contains(r.GetReason(), "(org2, org3)") {
		t.Errorf("%v, %v; want a refusal that names org1 and the others", r, err)
	}
	for i, e := range f.endorsers {
		if n := e.calls.Load(); n != 0 {
			t.Errorf("endorser %d was asked %d times", i+1, n)
		}
	}
	f.mu.Lock()
	f.onChain = nil
	f.mu.Unlock()
	r, err = c.Submit(t.Context(), tx)
	wantOK(t, r, err)
}
