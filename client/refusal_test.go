package client_test

import (
	"context"
	"testing"
	"time"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestRefusalBesideADeadEndorser: what the working organisations refuse is refused with their code, and not called unavailable, also
// when one refusal comes first and another organisation does not answer.
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
