package endorser

import (
	"sync"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// kept holds the values of what this endorser has signed lately. A leader orders payloads, and nothing in a block shows
// whether it ordered the openings beside them: what it left out is filled in from here, in this copy, from which the
// others fetch it. It may be used by any number of goroutines.
type kept struct {
	mu       sync.Mutex
	openings map[ledger.Hash]*ltlv1.Openings
	order    []keptOpenings // the oldest first
	bytes    int
}

// keptOpenings is a place in the order, with about the memory that it takes.
type keptOpenings struct {
	id    ledger.Hash
	bytes int
}

// add keeps the openings of the accepted transactions of a proposal. The oldest give way.
func (k *kept) add(ids []ledger.Hash, accepted []bool, openings []*ltlv1.Openings) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.openings == nil {
		k.openings = map[ledger.Hash]*ltlv1.Openings{}
	}
	for i, all := range openings {
		if !accepted[i] || len(all.GetOpenings()) == 0 || k.openings[ids[i]] != nil {
			continue
		}
		one := keptOpenings{ids[i], keptOverhead}
		for _, o := range all.GetOpenings() {
			one.bytes += len(o.GetSalt()) + len(o.GetValue())
		}
		k.openings[ids[i]] = all
		k.order, k.bytes = append(k.order, one), k.bytes+one.bytes
	}
	for k.bytes > maxKeptBytes {
		delete(k.openings, k.order[0].id)
		k.bytes -= k.order[0].bytes
		k.order = k.order[1:]
	}
}

// fill adds the openings that a block's transactions lack. They are those that this endorser checked before it signed,
// and the store checks them again.
func (k *kept) fill(b *ltlv1.Block) {
	at := 0
	for _, batch := range b.GetBatches() {
		for i, payload := range batch.GetTransactions() {
			at++
			if at > len(b.GetResults()) || b.GetResults()[at-1] != rules.OK ||
				i < len(batch.GetOpenings()) && len(batch.GetOpenings()[i].GetOpenings()) > 0 {
				continue
			}
			k.mu.Lock()
			own := k.openings[ledger.TransactionID(payload)]
			k.mu.Unlock()
			if own == nil {
				continue
			}
			for len(batch.Openings) < len(batch.GetTransactions()) {
				batch.Openings = append(batch.Openings, &ltlv1.Openings{})
			}
			batch.Openings[i] = own
		}
	}
}
