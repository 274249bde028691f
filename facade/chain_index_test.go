package facade

import (
	"fmt"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestChainIndexOfManyChains: chains on every page are found. An indexed chain costs no read; a new or unknown one
// costs a read of the last page.
func TestChainIndexOfManyChains(t *testing.T) {
	n := newFakeNetwork()
	n.chains = nil
	add := func(i int) {
		n.chains = append(n.chains, &fakeChain{id: fmt.Sprintf("%016d", i), code: fmt.Sprintf("%016x", i),
			service: ltlv1.ChainService_CHAIN_SERVICE_PROOF})
	}
	const many = 2*chainPage + 50
	for i := range many {
		add(i + 1)
	}
	d := newChainIndex(n)
	find := func(i, pages int) {
		t.Helper()
		before := n.chainLists
		id, err := d.id(t.Context(), fmt.Sprintf("%016x", i))
		service, ok, serviceErr := d.service(t.Context(), fmt.Sprintf("%016d", i))
		if err != nil || serviceErr != nil || id != fmt.Sprintf("%016d", i) || !ok ||
			service != ltlv1.ChainService_CHAIN_SERVICE_PROOF {
			t.Errorf("chain %d: %q, %v, %v, %v, %v", i, id, err, service, ok, serviceErr)
		}
		if read := n.chainLists - before; read != pages {
			t.Errorf("chain %d cost %d pages, want %d", i, read, pages)
		}
	}
	find(many, 3)
	for i := range many {
		find(i+1, 0)
	}
	for i := many; i < 3*chainPage+1; i++ { // up to a full page, and one more
		add(i + 1)
	}
	find(3*chainPage, 2)
	find(3*chainPage+1, 0)
	before := n.chainLists
	if id, err := d.id(t.Context(), "unknown"); id != "" || err != nil || n.chainLists != before+1 {
		t.Errorf("a code that no chain has: %q, %v, %d pages", id, err, n.chainLists-before)
	}
}
