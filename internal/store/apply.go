package store

import (
	"errors"
	"fmt"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrBadEntry ends the store on an entry that this version does not know: a later version ordered it, or it is
// damaged. To skip it would make another history than that of the other nodes.
var ErrBadEntry = errors.New("unknown or empty entry")

// Init stores the genesis block. It is idempotent; ErrOtherNetwork when the store belongs to another network.
func (s *Store) Init(genesisPayload []byte) error {
	if err := s.alive(); err != nil {
		return err
	}
	id := ledger.NetworkID(genesisPayload)
	if have := s.NetworkID(); have != (ledger.Hash{}) {
		if have != id {
			return fmt.Errorf("%w: it has %x, the genesis is of %x", ErrOtherNetwork, have, id)
		}
		return nil
	}
	ex, err := rules.GenesisBlock(genesisPayload)
	if err != nil {
		return fmt.Errorf("genesis: %w", err)
	}
	return s.change(func(w *writer) error {
		if w.head.sequence > 0 { // another Init came first
			if w.head.network != id {
				return fmt.Errorf("BUG: two networks are initialised in one store")
			}
			return nil
		}
		w.head.network = id
		return w.put(ex)
	})
}

// Apply executes a group of entries in one database transaction: after a crash all of it is on disk, with the applied
// index, or nothing. Entries that were applied before are skipped. An error ends the store.
func (s *Store) Apply(entries []Entry) ([]EntryResult, error) {
	if err := s.alive(); err != nil {
		return nil, err
	}
	if s.NetworkID() == (ledger.Hash{}) {
		return nil, ErrNotInitialised
	}
	results := make([]EntryResult, len(entries))
	applied := s.AppliedIndex()
	known := 0
	for known < len(entries) && entries[known].Index <= applied {
		known++
	}
	if err := s.offer(entries[:known]); err != nil || known == len(entries) {
		return results, err
	}
	err := s.change(func(w *writer) error {
		for i, e := range entries {
			if i > 0 && e.Index <= entries[i-1].Index {
				return fmt.Errorf("BUG: entry %d after entry %d", e.Index, entries[i-1].Index)
			}
			if e.Index <= w.head.applied {
				continue
			}
			r, err := w.apply(e.Entry)
			if err != nil {
				return fmt.Errorf("entry %d: %w", e.Index, err)
			}
			results[i] = r
			w.head.applied = e.Index
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// apply executes one entry.
func (w *writer) apply(e *ltlv1.Entry) (EntryResult, error) {
	switch e := e.GetEntry().(type) {
	case *ltlv1.Entry_Batches:
		if e.Batches == nil {
			return EntryResult{}, ErrBadEntry
		}
		results, err := w.applyBatches(e.Batches)
		return EntryResult{Results: results}, err
	case *ltlv1.Entry_Sealed:
		if e.Sealed == nil {
			return EntryResult{}, ErrBadEntry
		}
		code, err := w.putAccessKey(e.Sealed)
		return EntryResult{SealedCode: code}, err
	}
	return EntryResult{}, ErrBadEntry
}

// applyBatches makes one block per chain: the system chain's first, the others in the order of their first batch.
func (w *writer) applyBatches(o *ltlv1.OrderedBatches) ([][]*ltlv1.Result, error) {
	results := make([][]*ltlv1.Result, len(o.GetBatches()))
	of := make(map[string][]int)
	order := []string{ledger.SystemChain}
	for i, b := range o.GetBatches() {
		id := b.GetChainId()
		if id != ledger.SystemChain && of[id] == nil {
			order = append(order, id)
		}
		of[id] = append(of[id], i)
	}
	for _, id := range order {
		at := of[id]
		if len(at) == 0 {
			continue
		}
		batches := make([]*ltlv1.Batch, len(at))
		for j, i := range at {
			batches[j] = o.GetBatches()[i]
		}
		made, err := w.applyChain(id, batches)
		if err != nil {
			return nil, err
		}
		for j, i := range at {
			results[i] = made[j]
		}
	}
	return results, nil
}

// applyChain executes the batches of one chain as one block.
func (w *writer) applyChain(chainID string, batches []*ltlv1.Batch) ([][]*ltlv1.Result, error) {
	tip, ok := w.tip(chainID)
	if !ok {
		return noChain(chainID, batches), nil
	}
	in := w.next(tip)
	in.Batches = batches
	ex, err := rules.Execute(in, w, w.s.verify)
	if err == nil && w.broken != nil {
		err = w.broken
	}
	if err != nil {
		return nil, fmt.Errorf("execute on chain %s above height %d: %w", chainID, tip.Header.Height, err)
	}
	if ex.Block != nil {
		if err := w.put(ex); err != nil {
			return nil, err
		}
	}
	return ex.Results, w.fill(chainID, ex)
}

// next describes the block above tip.
func (w *writer) next(tip Tip) rules.Input {
	system, _ := w.tip(ledger.SystemChain)
	return verify.Next(w.head.network, &tip, system.Header.Height, w.head.log())
}

// noChain returns the results of batches for a chain that does not exist.
func noChain(chainID string, batches []*ltlv1.Batch) [][]*ltlv1.Result {
	results := make([][]*ltlv1.Result, len(batches))
	for i, b := range batches {
		results[i] = make([]*ltlv1.Result, len(b.GetTransactions()))
		for j := range results[i] {
			results[i][j] = &ltlv1.Result{Code: rules.NotFound, ChainId: chainID}
		}
	}
	return results
}

// fill adds the block's hash and time to the results of transactions that an earlier block has.
func (w *writer) fill(chainID string, ex *rules.Executed) error {
	type stamp struct {
		hash   ledger.Hash
		timeMs int64
	}
	seen := make(map[uint64]stamp)
	for _, batch := range ex.Results {
		for _, r := range batch {
			if len(r.GetBlockHash()) > 0 {
				continue
			}
			at, ok := seen[r.GetBlockHeight()]
			if !ok {
				blocks, err := w.bucket(prefixBlocks + chainID)
				if err != nil {
					return err
				}
				h, hash, err := readHeader(blocks, chainID, r.GetBlockHeight())
				if err != nil {
					return err
				}
				at = stamp{hash, h.TimeMs}
				seen[r.GetBlockHeight()] = at
			}
			r.BlockHash, r.TimeMs = at.hash[:], at.timeMs
		}
	}
	return nil
}
