package node

import (
	"math/rand/v2"
	"testing"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestSealedEntries: only a sealed secret that changes something takes a Raft entry. Else an operator of any
// organisation, who needs no endorsement for that, could fill the log.
func TestSealedEntries(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		rng := rand.New(rand.NewPCG(9, 9))
		put := func(what, id string, secret []byte, want int32, entries uint64) {
			t.Helper()
			before := l.store.AppliedIndex()
			code, err := l.order.putSealed(t.Context(), &ltlv1.SealedKey{AccessKeyId: id, Sealed: secret})
			if err != nil || code != want {
				t.Fatalf("%s: %d, %v", what, code, err)
			}
			if n := l.store.AppliedIndex() - before; n != entries {
				t.Errorf("%s: %d entries, want %d", what, n, entries)
			}
		}
		put("no such AccessKey", "k", sealed("k", 1), rules.NotFound, 0)
		for version, what := range []string{"the first secret", "the next version"} {
			version := uint64(version + 1)
			r, err := l.submit(l.world.batch(ledger.SystemChain, l.world.accessKey(rng, "k", version)))
			if err != nil || r[0].GetCode() != rules.OK {
				t.Fatal(r, err)
			}
			put("another secret", "k", sealed("k", version+1), rules.Conflict, 0)
			put(what, "k", sealed("k", version), rules.OK, 1)
			put("the same again", "k", sealed("k", version), rules.OK, 0)
		}
	})
}
