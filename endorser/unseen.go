package endorser

import (
	"sync"

	"ltl/internal/ledger"
	"ltl/internal/rules"
)

// unseen remembers what this endorser has signed lately. What does not get to the ledger may have been kept back, to be
// ordered at any later time, as long as the reference time stands. It may be used by any number of goroutines.
type unseen struct {
	mu      sync.Mutex
	batches []signedBatch // in the order in which they were signed
	count   int           // of all transactions
	// forgottenMs is the latest clock of those that are not remembered: for lack of room, or because they were signed
	// before the start. 0 for none.
	forgottenMs int64
}

// signedBatch is a batch with the clock that the signature states.
type signedBatch struct {
	clockMs int64
	chainID string
	ids     []ledger.Hash // of the transactions that were accepted
}

// startedAt notes that there may be signatures from before the start.
func (u *unseen) startedAt(clockMs int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.forgottenMs = clockMs
}

func (u *unseen) add(b signedBatch) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.batches = append(u.batches, b)
	u.count += len(b.ids)
	for u.count > maxUnseen && len(u.batches) > 1 {
		u.forgottenMs = max(u.forgottenMs, u.batches[0].clockMs)
		u.dropLocked()
	}
}

func (u *unseen) dropLocked() {
	u.count -= len(u.batches[0].ids)
	if u.batches = u.batches[1:]; len(u.batches) == 0 {
		u.batches = nil // else the array is never given back
	}
}

// withheldMs returns the clock of the first signature that is older than beforeMs, can still count, and is not on the
// ledger as far as it is known; 0 where there is none. Signatures up to expiredMs count no more. onLedger reports
// whether a transaction is on the ledger.
func (u *unseen) withheldMs(expiredMs, beforeMs int64, onLedger func(chainID string, id ledger.Hash) (bool, error)) (int64,
	error) {
	for {
		b, found := u.next(expiredMs, beforeMs)
		if !found {
			u.mu.Lock()
			defer u.mu.Unlock()
			if u.forgottenMs > expiredMs && u.forgottenMs <= beforeMs {
				return u.forgottenMs, nil
			}
			return 0, nil
		}
		for _, id := range b.ids {
			if on, err := onLedger(b.chainID, id); !on || err != nil {
				return b.clockMs, err
			}
		}
		u.mu.Lock()
		if len(u.batches) > 0 && &u.batches[0].ids[0] == &b.ids[0] { // else it was dropped for lack of room
			u.dropLocked()
		}
		u.mu.Unlock()
	}
}

// next drops what counts no more, and returns the oldest of the others if it is older than beforeMs.
func (u *unseen) next(expiredMs, beforeMs int64) (b signedBatch, found bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.batches) > 0 && u.batches[0].clockMs <= expiredMs {
		u.dropLocked()
	}
	if len(u.batches) == 0 || u.batches[0].clockMs > beforeMs {
		return signedBatch{}, false
	}
	return u.batches[0], true
}

// remember notes what is about to be signed. Transactions that are not accepted do not matter: the signature is no
// consent to them.
func (e *Endorser) remember(chainID string, ids []ledger.Hash, accepted []bool, clockMs int64) {
	b := signedBatch{clockMs: clockMs, chainID: chainID, ids: make([]ledger.Hash, 0, len(ids))}
	for i, id := range ids {
		if accepted[i] {
			b.ids = append(b.ids, id)
		}
	}
	e.unseen.add(b)
}

// onLedger reports whether the own copy of the ledger has a transaction.
func (e *Endorser) onLedger(chainID string, id ledger.Hash) (bool, error) {
	at, err := rules.Locate(e.store, chainID, rules.TransactionKey(id))
	return at != nil, err
}
