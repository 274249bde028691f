package client

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// write takes calls through endorsement and ordering until each has its answer. Statements cover a whole batch, so calls part ways
// when their fates differ: what enough organisations signed is proposed once more without the rest.
func (c *Client) write(ctx context.Context, chainID string, calls []*call, minSequence uint64) {
	for pause := (backoff{}); ; {
		ch, err := c.directory.chain(ctx, chainID)
		if err == nil && ch == nil {
			err = fmt.Errorf("%w: chain %s has disappeared from the network's answers", ErrUnavailable, chainID)
		}
		if err != nil {
			c.answerAll(calls, c.writeError(err))
			return
		}
		t := c.propose(ctx, ch, calls, minSequence)
		s := c.sort(ctx, t)
		if len(s.signed) < len(calls) {
			c.part(ctx, chainID, s, minSequence)
			return
		}
		again := c.settle(ctx, t)
		if len(again) == 0 {
			return
		}
		if calls = again; !pause.wait(ctx, c.base) {
			c.answerAll(calls, c.writeError(fmt.Errorf("%w: %w", ErrUnavailable, context.DeadlineExceeded)))
			return
		}
	}
}

// sorted holds the calls of a proposal by what is to be done with them.
type sorted struct {
	signed     []*call // enough organisations accepted it
	recheck    []*call // refused for a reason that may have been the moment's
	clashed    []*call // refused again, maybe only for the company that it was proposed in
	known      []*call // said to be on the chain already
	unendorsed []*call // organisations that are needed did not answer
	disputed   []*call // the endorsers contradict one another on what is needed: each alone before the ledger
}

// sort answers what is refused for good and tells the rest apart.
func (c *Client) sort(ctx context.Context, t *tally) sorted {
	var s sorted
	for i, k := range t.calls {
		if t.complete(i, t.signed[i]) {
			s.signed = append(s.signed, k)
			continue
		}
		if t.enough(i, t.signed[i]) && t.disputed(i) {
			if len(t.calls) > 1 {
				s.disputed = append(s.disputed, k)
				continue
			}
			k.disputed = true
			s.signed = append(s.signed, k)
			continue
		}
		code, possible := t.refusal(i), t.possible(i)
		if possible {
			k.unendorsed++
		}
		switch {
		case t.refused[i] != 0 && !k.rechecked && mayPass(code, len(t.calls)):
			s.recheck = append(s.recheck, k)
		case !possible && clash(code) && k.proposals < maxProposals:
			s.clashed = append(s.clashed, k)
		case !possible && code == rules.Duplicate:
			s.known = append(s.known, k)
		case !possible:
			c.answer(k, &ltlv1.Result{Code: code, ChainId: t.chain.id, Reason: t.reason(i, code)}, nil)
		case k.unendorsed < maxUnendorsed && k.proposals < maxProposals && ctx.Err() == nil:
			s.unendorsed = append(s.unendorsed, k)
		default:
			c.answer(k, nil, c.writeError(t.missing(i)))
		}
	}
	if len(s.clashed) == len(t.calls) { // there was no other company
		for i, k := range t.calls {
			code := t.refusal(i)
			c.answer(k, &ltlv1.Result{Code: code, ChainId: t.chain.id, Reason: t.reason(i, code)}, nil)
		}
		s.clashed = nil
	}
	return s
}

// clash reports whether a refusal may come from an earlier transaction of the batch that some endorsers accept and others refuse: it is
// never written, and nobody may be told that his own is on the chain because of it.
func clash(code int32) bool {
	switch code {
	case rules.DuplicateKey, rules.BatchDuplicateKey, rules.Conflict, rules.QuotaExceeded, rules.NonceUsed:
		return true
	}
	return false
}

// mayPass reports whether a refusal may be the moment's. A copy of the ledger that is a little behind lacks what was just created,
// knows a quota that was just raised, and misses a lock that is to be told before a duplicate; and a transaction may clash with an
// earlier one of its own batch, which is not on the chain yet and may never be.
func mayPass(code int32, size int) bool {
	switch code {
	case rules.NotFound, rules.UnknownUID, rules.BadTypeCode, rules.ForeignTypeCode, rules.Forbidden,
		rules.DuplicateKey, rules.BatchDuplicateKey, rules.Conflict, rules.QuotaExceeded:
		return true
	case rules.NonceUsed:
		return size > 1
	}
	return false
}

// part sends each group of calls on its own way.
func (c *Client) part(ctx context.Context, chainID string, s sorted, minSequence uint64) {
	var group sync.WaitGroup
	defer group.Wait()
	if len(s.unendorsed) > 0 {
		group.Go(func() {
			pause := backoff{next: unendorsedPause}
			pause.wait(ctx, c.base)
			c.write(ctx, chainID, s.unendorsed, minSequence)
		})
	}
	if len(s.signed) > 0 {
		if k := s.signed[0]; k.proposals < maxProposals {
			c.write(ctx, chainID, s.signed, minSequence)
		} else {
			c.answerAll(s.signed, c.writeError(fmt.Errorf("%w: the endorsers disagree after %d proposals; nothing was written", ErrUnavailable, k.proposals)))
		}
	}
	// Only now: what clashed with a signed transaction of the same batch is judged by what became of that one.
	if len(s.known) > 0 {
		c.firstResults(ctx, chainID, s.known)
	}
	if len(s.recheck) > 0 {
		c.recheck(ctx, chainID, s.recheck)
	}
	if len(s.clashed) > 0 {
		c.recheck(ctx, chainID, s.clashed)
	}
	eachAlone(s.disputed, func(one []*call) { c.write(ctx, chainID, one, minSequence) })
}

// recheck proposes refused calls once more, to endorsers whose copies must be as new as the leader's is now.
func (c *Client) recheck(ctx context.Context, chainID string, calls []*call) {
	st, err := c.statuses.do(ctx)
	if err != nil {
		c.answerAll(calls, c.writeError(fmt.Errorf("%w: the endorsers' refusal could not be checked: %w", ErrUnavailable, err)))
		return
	}
	for _, k := range calls {
		k.rechecked = true
	}
	c.write(ctx, chainID, calls, st.sequence)
}

// firstResults gets the first result of transactions that are on the chain already: the leader answers it for a batch without
// endorsements too, and orders nothing.
func (c *Client) firstResults(ctx context.Context, chainID string, calls []*call) {
	t := &tally{chain: &chain{id: chainID}, calls: calls}
	again := c.settle(ctx, t)
	if len(again) == 0 {
		return
	}
	// The endorsers saw a block that the leader has not executed yet, or they lie.
	pause := backoff{}
	pause.wait(ctx, c.base)
	var rest []*call
	for _, k := range again {
		if k.proposals < maxProposals {
			rest = append(rest, k)
		} else {
			c.answer(k, &ltlv1.Result{Code: rules.NotEndorsed, ChainId: chainID}, nil)
		}
	}
	if len(rest) > 0 {
		c.write(ctx, chainID, rest, 0)
	}
}

// settle has the leader order what was endorsed and answers the calls. It returns those to be endorsed again, with the same bytes.
func (c *Client) settle(ctx context.Context, t *tally) (again []*call) {
	batch := &ltlv1.Batch{ChainId: t.chain.id, Endorsements: t.endorsements, Transactions: make([][]byte, len(t.calls))}
	for i, k := range t.calls {
		batch.Transactions[i] = k.payload
	}
	results, err := c.order(ctx, batch)
	if err != nil {
		c.answerAll(t.calls, c.writeError(err))
		return nil
	}
	c.noteOrdered()
	stale := false
	for i, k := range t.calls {
		code := results[i].GetCode()
		if (code == rules.NotEndorsed || code == rules.EndorsementExpired || code == rules.Duplicate) && k.proposals < maxProposals {
			stale = stale || code == rules.NotEndorsed
			k.patient = k.device && code == rules.NotEndorsed
			again = append(again, k)
			continue
		}
		c.answer(k, results[i], nil)
	}
	if stale { // the policy or a key changed since the client looked
		c.directory.forget(t.chain.id)
		if err := c.directory.wait(ctx); err != nil {
			c.log.Warn("endorsements were refused, and the policy cannot be read again", "chain", t.chain.id, "error", err)
		}
	}
	return again
}

// writeError is what a call fails with: one of the three documented errors where it is one of them.
func (c *Client) writeError(err error) error {
	if c.base.Err() != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}
