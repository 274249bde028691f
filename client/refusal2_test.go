package client_test

import (
	"testing"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestRefusedCompany: a transaction that clashes only with one that some organisations refuse, so that it is never written, is
// written itself. Nobody is told that his record is on the chain, or that a quota is used up, for what another asked in vain.
func TestRefusedCompany(t *testing.T) {
	for _, code := range []int32{rules.DuplicateKey, rules.QuotaExceeded} {
		f := startFake(t, 3, "submitter & majority")
		held, release := make(chan struct{}), make(chan struct{})
		for i, e := range f.endorsers {
			e.set(func(e *fakeEndorser) {
				e.verdict = func(in *ltlv1.EndorseRequest, tx *ltlv1.Transaction) int32 {
					switch value := tx.GetAttachData().GetValue(); {
					case value == "first" && i == 0:
						close(held)
						<-release
					case value == "refused" && i > 0:
						return rules.Forbidden
					case value == "good":
						for _, p := range in.GetTransactions() {
							if before, err := rules.Decode(p); err == nil && before.GetAttachData().GetValue() == "refused" {
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
			t.Errorf("its company got %d, want 200 in place of %d", got, code)
		}
	}
}
