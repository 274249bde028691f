package endorser

import (
	"sync"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// kept holds the values of what this endorser has signed lately. A leader orders payloads, and nothing in a block shows
// whether it ordered the openings beside them: what it left out is filled in from here, in this copy, from which the
// others fetch it. Where there is no room for all, the organisation gives way whose processes proposed the most, so that
// none can push out what the others wrote. It may be used by any number of goroutines.
type kept struct {
	mu       sync.Mutex
	openings map[ledger.Hash]*ltlv1.Openings
	of       map[string]*keptOf // by the organisation that proposed
	bytes    int
}

// keptOf is what is kept of one organisation's transactions, the oldest first.
type keptOf struct {
	order []keptOpenings
	bytes int
}

// keptOpenings are those of a transaction, with about the memory that they take.
type keptOpenings struct {
	id    ledger.Hash
	bytes int
}

// add keeps the openings of the accepted transactions of a proposal.
func (k *kept) add(organisation string, ids []ledger.Hash, accepted []bool, openings []*ltlv1.Openings) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.openings == nil {
		k.openings, k.of = map[ledger.Hash]*ltlv1.Openings{}, map[string]*keptOf{}
	}
	own := k.of[organisation]
	if own == nil {
		own = &keptOf{}
		k.of[organisation] = own
	}
	for i, all := range openings {
		if accepted[i] && len(all.GetOpenings()) > 0 && k.openings[ids[i]] == nil {
			one := keptOpenings{ids[i], keptOverhead + proto.Size(all)}
			k.openings[one.id] = all
			own.order = append(own.order, one)
			own.bytes, k.bytes = own.bytes+one.bytes, k.bytes+one.bytes
		}
	}
	for k.bytes > maxKeptBytes {
		k.dropLocked()
	}
}

// dropLocked forgets the oldest of the organisation of which the most is kept.
func (k *kept) dropLocked() {
	var most *keptOf
	for _, o := range k.of {
		if most == nil || o.bytes > most.bytes {
			most = o
		}
	}
	oldest := most.order[0]
	most.order = most.order[1:]
	most.bytes, k.bytes = most.bytes-oldest.bytes, k.bytes-oldest.bytes
	delete(k.openings, oldest.id)
}

// ofBlock returns what is kept of a block's transactions, by their index.
func (k *kept) ofBlock(b *ltlv1.Block) map[uint32]*ltlv1.Openings {
	k.mu.Lock()
	defer k.mu.Unlock()
	found, index := map[uint32]*ltlv1.Openings{}, uint32(0)
	for _, batch := range b.GetBatches() {
		for _, payload := range batch.GetTransactions() {
			if own := k.openings[ledger.TransactionID(payload)]; own != nil && b.GetResults()[index] == rules.OK {
				found[index] = own
			}
			index++
		}
	}
	return found
}

// fillIn stores the values that blocks lack and this endorser has signed: left out or falsified by the leader, or by the
// node that sent the blocks.
func (e *Endorser) fillIn(blocks []*ltlv1.Block) error {
	for _, b := range blocks {
		h, err := ledger.ParseHeader(b.GetHeader())
		if err != nil {
			return err
		}
		lacking, err := e.store.ListLacking(h.ChainID, h.Height, 1)
		if err != nil {
			return err
		}
		if len(lacking) == 0 || lacking[0] != h.Height {
			continue
		}
		if own := e.kept.ofBlock(b); len(own) > 0 {
			given := []*ltlv1.BlockOpenings{{Height: h.Height, Transactions: own}}
			if _, err := e.store.PutOpenings(h.ChainID, given); err != nil {
				return err
			}
		}
	}
	return nil
}
