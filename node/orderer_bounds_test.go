package node

import (
	"testing"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestEntryBoundsTransactions: many batches of the smallest transactions fit an entry by their bytes, but not what
// execution remembers of them.
func TestEntryBoundsTransactions(t *testing.T) {
	small := &ltlv1.Batch{Transactions: make([][]byte, rules.MaxBatchTransactions)}
	o := &orderer{}
	for range 100 {
		o.queue = append(o.queue, &orderRequest{batch: small, size: 3 * rules.MaxBatchTransactions})
	}
	left := len(o.queue)
	for len(o.queue) > 0 {
		group := o.takeLocked()
		if n := len(group) * rules.MaxBatchTransactions; n == 0 || n > maxEntryTransactions || (n < maxEntryTransactions &&
			len(o.queue) > 0) {
			t.Fatalf("an entry of %d transactions, %d batches wait", n, len(o.queue))
		}
		left -= len(group)
	}
	if left != 0 {
		t.Errorf("%d batches are lost", left)
	}
}
