package client

import (
	"context"
	"errors"
	"fmt"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// chain returns what is held of a chain.
func (v *verifier) chain(chainID string) *heldCheckpoint {
	v.mu.Lock()
	defer v.mu.Unlock()
	h := v.chains[chainID]
	if h == nil {
		if len(v.chains) >= maxHeldChains {
			for id, one := range v.chains { // a node can name chains that there are not, and of these nothing is held
				if one.newest.Load() == nil {
					delete(v.chains, id)
				}
			}
		}
		h = &heldCheckpoint{lock: make(chan struct{}, 1)}
		v.chains[chainID] = h
	}
	return h
}

// covering returns the newest checkpoint that covers a block, from what is held or by collecting a newer one.
func (v *verifier) covering(ctx context.Context, header *ledger.Header) (*signed, error) {
	h := v.chain(header.ChainID)
	if held := v.usable(h, header); held != nil {
		return held, nil
	}
	select {
	case h.lock <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-h.lock }()
	if held := v.usable(h, header); held != nil {
		return held, nil
	}
	next, err := v.collect(ctx, header)
	if err != nil {
		return nil, err
	}
	return next, v.advance(ctx, header.ChainID, h, next)
}

// advance holds a checkpoint in place of the one before, if it is of more blocks and continues it. After a restoration,
// which the keys' history has, checkpoints begin again.
func (v *verifier) advance(ctx context.Context, chainID string, h *heldCheckpoint, next *signed) error {
	held := h.newest.Load()
	if held == nil || held.checkpoint.Origin != next.checkpoint.Origin {
		h.newest.Store(next)
		return nil
	}
	if next.checkpoint.Size <= held.checkpoint.Size {
		return fmt.Errorf("%w: a checkpoint of chain %s of fewer blocks than the one held", ErrUnverified, chainID)
	}
	if err := v.follows(ctx, chainID, held, next); err != nil {
		return err
	}
	h.newest.Store(next)
	return nil
}

// usable is the checkpoint that is held, where it covers the block and is of the network as the trust file has it.
func (v *verifier) usable(h *heldCheckpoint, header *ledger.Header) *signed {
	held := h.newest.Load()
	if held == nil || held.checkpoint.Size <= header.Height ||
		held.checkpoint.Origin != v.trust.Load().Origin(header.ChainID) {
		return nil
	}
	return held
}

// collect collects a checkpoint of the level that covers a block, and all blocks that the own organisation's endorser has:
// so one serves all reads that wait for it. Where keys are missing it asks for those of today, once.
func (v *verifier) collect(ctx context.Context, header *ledger.Header) (*signed, error) {
	size := max(header.Height+1, v.blocks(ctx, header.ChainID))
	for again := false; ; again = true {
		trust := v.trust.Load()
		k := &collection{client: v.c, trust: trust, chainID: header.ChainID, size: size, level: v.level,
			systemHeight: header.SystemHeight}
		err := k.collect(ctx)
		if errors.Is(err, ErrTwoHistories) {
			err = v.c.Ledger().withFiles(err, v.c.Ledger().showAll(ctx, trust, k.odd))
			v.c.log.Error("signers of checkpoints contradict each other", "chain", header.ChainID, "error", err)
		}
		if k.text != "" {
			c, wrong := trust.Checkpoint(k.text)
			if wrong == nil && c.Size > header.Height && reaches(trust.Level(c, header.SystemHeight), v.level) {
				return &signed{c, k.text}, nil
			}
		}
		if again {
			return nil, fmt.Errorf("%w: too few have signed a checkpoint of chain %s: %w", ErrUnverified, header.ChainID,
				errors.Join(errNoCheckpoint, err))
		}
		v.learnKeys(ctx)
	}
}

// blocks is how many blocks of a chain the own organisation's endorser has; 0 where it does not answer.
func (v *verifier) blocks(ctx context.Context, chainID string) uint64 {
	own := v.c.peers.endorser(v.c.Organisation())
	if own == nil || !own.breaker.usable() {
		return 0
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	out, err := ltlv1.NewLedgerClient(own.conn).GetChain(ctx, &ltlv1.GetChainRequest{ChainId: chainID,
		Consistency: ltlv1.Consistency_CONSISTENCY_LOCAL})
	if err != nil || out.GetChain() == nil {
		return 0
	}
	return out.GetChain().GetHeight() + 1
}

// follows reports whether a checkpoint continues the one that is held, by a proof that any process gives. Where none
// does, both are in the error, and the held one stays.
func (v *verifier) follows(ctx context.Context, chainID string, held, next *signed) error {
	_, err := v.c.Ledger().compare(ctx, v.trust.Load(), held.checkpoint, next.checkpoint, held.text, next.text)
	if errors.Is(err, ErrTwoHistories) {
		v.c.log.Error("FAULT: a history was signed that does not continue the one held before; keep both checkpoints",
			"chain", chainID, "held", held.text, "other", next.text)
	}
	if err != nil {
		return fmt.Errorf("%w: the newest checkpoint of chain %s is not shown to continue the one held before: %w",
			ErrUnverified, chainID, err)
	}
	return nil
}
