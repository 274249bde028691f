package endorser

import (
	"crypto/sha256"
	"fmt"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestKeptShares: what one organisation has signed without end, and does not have ordered, pushes out nothing of another's,
// and the memory is bounded.
func TestKeptShares(t *testing.T) {
	var k kept
	add := func(organisation, what string, size int) ledger.Hash {
		id := ledger.Hash(sha256.Sum256([]byte(what)))
		k.add(organisation, []ledger.Hash{id}, []bool{true},
			[]*ltlv1.Openings{{Openings: []*ltlv1.Opening{{Value: make([]byte, size)}}}})
		return id
	}
	first := add("org1", "the first", 1000)
	for i := range 200 {
		add("org2", fmt.Sprint("large ", i), maxKeptBytes/50)
	}
	for i := range 100_000 {
		add("org2", fmt.Sprint("small ", i), 1)
	}
	if k.openings[first] == nil {
		t.Error("another organisation's proposals push out what was signed")
	}
	if k.bytes > maxKeptBytes || k.bytes < maxKeptBytes/2 || len(k.openings) != len(k.of["org1"].order)+len(k.of["org2"].order) {
		t.Errorf("%d bytes of %d are kept, in %d entries", k.bytes, maxKeptBytes, len(k.openings))
	}
}
