package client

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/tracing"
	ltlv1 "ltl/proto/ltl/v1"
)

// This file is the way of a write through the client, in the order in which it happens. Submit completes a transaction
// and hands it to the batcher of its chain. The batcher forms batches. A run takes one batch through the network: each
// of its submissions is in one state at a time, submissions in the same state form a group, and one loop (follow) takes
// each group through the next step.
//
//	queued ──▶ endorsing ──▶ ordering ──▶ answered
//
//	from endorsing, when the votes on a group differ
//	  endorsing     endorsed: proposed again without the others, because an endorsement signs a whole proposal
//	  recheck, clashed, disputed, unendorsed
//	                neither endorsed nor refused for good: proposed again, each in its own way
//	  known         on the chain already: the leader is asked for the first result
//	  answered      refused for good
//	from ordering or known
//	  endorsing     the ledger does not accept the endorsements, or not any more

// state is the step that a submission takes next.
type state uint8

const (
	// queued: it waits in the queue of its chain's batcher.
	queued state = iota
	// endorsing: it is proposed to the endorsers.
	endorsing
	// ordering: the whole group is endorsed, and the leader orders it.
	ordering
	// known: the endorsers say that it is on the chain already. The leader is asked for its first result.
	known
	// recheck: refused for a reason that may be out of date. It is proposed again to endorsers that are as new as the
	// leader.
	recheck
	// clashed: refused again, but possibly because of another submission of the same proposal. It is proposed again
	// without that.
	clashed
	// disputed: the endorsers contradict one another on which organisation it needs. It is proposed and ordered alone; see
	// votes.go.
	disputed
	// unendorsed: organisations that are needed did not answer. It is proposed again after a pause.
	unendorsed
	// answered: its caller has the result or the error.
	answered
)

// submission is one transaction on its way, from Submit until its reply.
type submission struct {
	payload      []byte
	openings     *ltlv1.Openings // the values that the payload commits to; nil for none
	size         int             // in bytes, of payload and openings
	id           ledger.Hash
	organisation string // that of the account, which the policy's "submitter" means
	device       bool   // a device signed it: it may need the endorsement of one organisation; see votes.go
	system       bool   // it is for the system chain, where what it needs depends on what it is; see votes.go
	deadline     time.Time
	queued       time.Time
	span         tracing.Span // from Submit until the reply
	done         chan outcome // receives exactly one outcome
	abandoned    atomic.Bool  // the caller is gone: a submission that was not sent yet is dropped
	sent         bool         // it left the queue; guarded by Client.mu

	// The rest is touched only by the goroutine that follows the submission's group.
	state         state
	proposals     int  // number of times that it was proposed
	unendorsed    int  // number of proposals to which endorsers that are needed did not answer
	rechecked     bool // it was proposed to endorsers that are as new as the leader
	ledgerDecides bool // it is ordered although the endorsers contradict one another
	waitForAll    bool // the ledger did not find it endorsed: the next proposal waits for the answers of all endorsers
	tooFewClocks  bool // the ledger could not date it by the endorsements; all endorsers are asked
}

// outcome is what Submit returns.
type outcome struct {
	result *ltlv1.Result
	err    error
}

// Submit writes a transaction and waits until it is committed and executed. It fills version, nonce, submitter and
// created_ms in tx when they are unset, and for the values in tx.Openings salts and commitments. So submitting the same
// tx again after an error is a retry and not a second intent.
//
// A refusal is a result and not an error: see Result.Code, and Result.Reason where organisations refused by rules of
// their own. Errors wrap ErrOverloaded (nothing was written), ErrUnavailable (the outcome may be unknown; submitting
// the same tx again returns it) or ErrClosed.
func (c *Client) Submit(ctx context.Context, tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	if err := c.fill(tx); err != nil {
		return nil, err
	}
	if code := rules.Check(tx); code != rules.OK {
		return &ltlv1.Result{Code: code, ChainId: tx.GetChainId()}, nil
	}
	if code, reason := rules.CheckOpenings(tx, tx.GetOpenings()); code != rules.OK {
		return &ltlv1.Result{Code: code, ChainId: tx.GetChainId(), Reason: reason}, nil
	}
	payload, err := encode(tx)
	if err != nil {
		return nil, err
	}
	if len(payload) > rules.MaxTransaction {
		return &ltlv1.Result{Code: rules.Malformed, ChainId: tx.GetChainId()}, nil
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.SubmitTimeout)
		defer cancel()
	}
	s := &submission{
		state: queued, payload: payload, openings: tx.GetOpenings(), size: len(payload) + openingBytes(tx.GetOpenings()),
		id: ledger.TransactionID(payload), done: make(chan outcome, 1),
		device: rules.DeviceProofOf(tx) != nil, system: tx.GetChainId() == ledger.SystemChain,
	}
	s.deadline, _ = ctx.Deadline()
	// The network's part ends a little before the caller's deadline, so that the caller receives the reason.
	s.deadline = s.deadline.Add(-time.Until(s.deadline) / graceShare)
	if err := c.reserve(s); err != nil {
		return nil, err
	}
	s.queued = time.Now()
	ctx, s.span = c.tracer.Start(ctx, "submit")
	defer s.span.End()
	if err := c.enqueue(ctx, s, tx); err != nil {
		c.reply(s, nil, err)
	}
	select {
	case o := <-s.done:
		return o.result, o.err
	case <-ctx.Done():
		return nil, c.abandon(s, ctx.Err())
	}
}

// enqueue looks up what must be known of a transaction before it can share a batch, and hands it to its chain's
// batcher.
func (c *Client) enqueue(ctx context.Context, s *submission, tx *ltlv1.Transaction) error {
	chain, err := c.network.chain(ctx, tx.GetChainId())
	if err != nil {
		return err
	}
	if chain == nil {
		c.reply(s, &ltlv1.Result{Code: rules.NotFound, ChainId: tx.GetChainId()}, nil)
		return nil
	}
	if s.organisation, err = c.network.accountOrganisation(ctx, tx); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	b := c.batchers[chain.id]
	if b == nil {
		b = &batcher{chainID: chain.id}
		c.batchers[chain.id] = b
	}
	b.queue = append(b.queue, s)
	c.dispatch(b)
	return nil
}

// run takes one batch through the network.
func (c *Client) run(b *batcher) {
	// Callers that are ready to run at this moment get into the same batch. An idle process returns at once.
	runtime.Gosched()
	if batch := c.nextBatch(b); len(batch) > 0 {
		ctx, cancel := context.WithDeadline(c.base, latest(batch))
		ctx, span := c.traceBatch(ctx, batch)
		r := &batchRun{client: c, chainID: b.chainID}
		r.follow(ctx, []*group{{state: endorsing, submissions: batch}})
		r.branches.Wait()
		span.End()
		cancel()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	b.running--
	if len(b.queue) == 0 && b.running == 0 {
		delete(c.batchers, b.chainID) // chains come and go; an idle one costs nothing
		return
	}
	c.dispatch(b)
}

// traceBatch begins the span of a batch, which is a step of every recorded request in it.
func (c *Client) traceBatch(ctx context.Context, batch []*submission) (context.Context, tracing.Span) {
	if c.tracer == nil {
		return ctx, tracing.Span{}
	}
	requests := make([]tracing.Span, len(batch))
	for i, s := range batch {
		requests[i] = s.span
	}
	ctx, span := c.tracer.Join(ctx, "batch", requests)
	span.Number("ltl.transactions", len(batch))
	return ctx, span
}

// group holds submissions in the same state, which take the next step together.
type group struct {
	state        state
	submissions  []*submission
	minSequence  uint64               // how new the endorsers must be, as a number of blocks over all chains
	pause        backoff              // before the ledger is asked again with new endorsements
	endorsements []*ltlv1.Endorsement // of a group in state ordering
	refreshed    bool                 // the network was asked again for the chain's organisations
}

// batchRun is what becomes of one batch. Its groups are followed one at a time, except those of branches.
type batchRun struct {
	client   *Client
	chainID  string
	branches sync.WaitGroup // groups that must not hold up the others
}

// follow takes groups from state to state until all of their submissions are answered. todo is a stack: the last group
// takes the next step, and the groups that come of it are finished before those below. So a submission that clashed
// with an endorsed one of the same proposal is judged by what became of that one.
func (r *batchRun) follow(ctx context.Context, todo []*group) {
	for len(todo) > 0 {
		last := len(todo) - 1
		g := todo[last]
		todo = todo[:last]
		switch g.state {
		case endorsing:
			todo = append(todo, r.endorse(ctx, g)...)
		case ordering, known:
			todo = append(todo, r.order(ctx, g)...)
		case recheck, clashed:
			todo = append(todo, r.recheck(ctx, g)...)
		case disputed:
			r.separate(ctx, g)
		case unendorsed:
			if len(todo) > 0 { // its pause must not hold up the others
				r.branches.Go(func() { r.follow(ctx, []*group{g}) })
				continue
			}
			pause := backoff{next: unendorsedPause << (g.submissions[0].unendorsed - 1)}
			pause.wait(ctx, r.client.base)
			g.state = endorsing
			todo = append(todo, g)
		}
	}
}

// endorse proposes a group to the endorsers, and decides by their votes which step each submission takes next.
func (r *batchRun) endorse(ctx context.Context, g *group) []*group {
	c := r.client
	chain, err := c.network.chain(ctx, r.chainID)
	if err == nil && chain == nil {
		err = fmt.Errorf("%w: the nodes no longer name chain %s", ErrUnavailable, r.chainID)
	}
	if err != nil {
		c.fail(g.submissions, err)
		return nil
	}
	votes := c.propose(ctx, chain, g)
	if votes.strange() && !g.refreshed {
		g.refreshed = true
		c.network.forget(r.chainID)
		if err := c.network.refresh(ctx); err != nil {
			c.fail(g.submissions, err)
			return nil
		}
		return []*group{g}
	}
	var count [answered + 1]int
	for i, s := range g.submissions {
		s.state = nextState(ctx, votes, i)
		count[s.state]++
	}
	switch len(g.submissions) {
	case count[ordering]:
		g.state, g.endorsements = ordering, votes.endorsements
		return []*group{g}
	case count[clashed]: // no other submission is the reason
		for _, s := range g.submissions {
			s.state = answered
		}
	}
	for i, s := range g.submissions {
		if s.state == answered {
			result, err := votes.answer(i)
			if err != nil {
				err = c.writeError(err)
			}
			c.reply(s, result, err)
		}
	}
	return r.split(g)
}

// nextState decides by the votes what submission i of a proposal does next.
func nextState(ctx context.Context, v *voteCount, i int) state {
	s := v.submissions[i]
	switch {
	case v.complete(i, v.signed[i]):
		return ordering
	case v.enough(i, v.signed[i]) && v.disputed(i) && len(v.submissions) > 1:
		return disputed
	case v.enough(i, v.signed[i]) && v.disputed(i):
		s.ledgerDecides = true
		return ordering
	}
	code, possible := v.refusalCode(i), v.possible(i)
	if possible {
		s.unendorsed++
	}
	more := s.proposals < maxProposals
	switch {
	case v.refused[i] != 0 && !s.rechecked && maybeOutdated(code, len(v.submissions)):
		return recheck
	case possible && (s.unendorsed < maxUnendorsed || v.restarting(i)) && more && ctx.Err() == nil:
		return unendorsed
	case possible:
		return answered
	case maybeClash(code) && more:
		return clashed
	case code == rules.Duplicate:
		return known
	}
	return answered
}

// maybeClash reports whether a refusal may come from an earlier transaction of the proposal that some endorsers accept
// and others refuse. That one is never written, and a caller must not be refused because of it.
func maybeClash(code int32) bool {
	switch code {
	case rules.DuplicateKey, rules.BatchDuplicateKey, rules.Conflict, rules.QuotaExceeded, rules.NonceUsed:
		return true
	}
	return false
}

// maybeOutdated reports whether a refusal in a proposal of this size may come from a copy of the ledger that is a
// little behind. Such a copy lacks what was just created, knows a quota that was just raised, and misses a lock, which
// is reported before a duplicate. And a transaction may clash with an earlier one of its own proposal, which is not on
// the chain yet and may never be.
func maybeOutdated(code int32, size int) bool {
	switch code {
	case rules.NotFound, rules.NotEntitled, rules.UnknownUID, rules.BadTypeCode, rules.ForeignTypeCode, rules.Forbidden,
		rules.DuplicateKey, rules.BatchDuplicateKey, rules.Conflict, rules.QuotaExceeded:
		return true
	case rules.NonceUsed:
		return size > 1
	}
	return false
}

// split makes a group of the submissions in each state, and returns them with the one to follow first at the end.
func (r *batchRun) split(g *group) []*group {
	var byState [answered]*group // but not of what is answered
	for _, s := range g.submissions {
		if s.state == answered {
			continue
		}
		if byState[s.state] == nil {
			byState[s.state] = &group{state: s.state, minSequence: g.minSequence}
		}
		byState[s.state].submissions = append(byState[s.state].submissions, s)
	}
	// Their endorsements cover the others too, so they are proposed again without those.
	if endorsed := byState[ordering]; endorsed != nil {
		endorsed.state = endorsing
		if n := endorsed.submissions[0].proposals; n >= maxProposals {
			r.client.fail(endorsed.submissions, fmt.Errorf(
				"%w: the endorsers disagree after %d proposals, and nothing was written; try again later", ErrUnavailable, n))
			byState[ordering] = nil
		}
	}
	var groups []*group
	for _, st := range [...]state{disputed, clashed, recheck, known, ordering, unendorsed} {
		if n := byState[st]; n != nil {
			groups = append(groups, n)
		}
	}
	return groups
}

// order has the leader order a group and answers its submissions. Those that the ledger does not find endorsed, or not
// any more, are returned, to be endorsed again with the same bytes. A group in state known has no endorsements: the
// leader answers what is on the chain with its first result, and orders nothing else.
func (r *batchRun) order(ctx context.Context, g *group) []*group {
	c := r.client
	batch := &ltlv1.Batch{ChainId: r.chainID, Endorsements: g.endorsements,
		Transactions: make([][]byte, len(g.submissions))}
	for i, s := range g.submissions {
		batch.Transactions[i] = s.payload
	}
	batch.Openings = g.openings()
	results, err := c.orderBatch(ctx, batch)
	if err != nil {
		c.fail(g.submissions, err)
		return nil
	}
	c.noteOrdered()
	var again []*submission
	stale := false
	for i, s := range g.submissions {
		code := results[i].GetCode()
		repeat := code == rules.NotEndorsed || code == rules.EndorsementExpired || code == rules.Duplicate
		if code == rules.TooFewClocks || code == rules.ClocksDisagree { // once: then all that answer have been asked
			repeat, s.tooFewClocks = !s.tooFewClocks, true
		}
		if !repeat || s.proposals >= maxProposals {
			s.state = answered
			c.reply(s, results[i], nil)
			continue
		}
		stale = stale || code == rules.NotEndorsed
		s.waitForAll = s.tooFewClocks || (s.device || s.system) && code == rules.NotEndorsed
		again = append(again, s)
	}
	if stale { // the policy or a key changed since the client looked
		c.network.forget(r.chainID)
		if err := c.network.refresh(ctx); err != nil {
			c.log.Warn("the ledger did not accept endorsements, and the chain's policy cannot be read again",
				"chain", r.chainID, "error", err)
		}
	}
	if len(again) == 0 {
		return nil
	}
	if !g.pause.wait(ctx, c.base) {
		c.fail(again, fmt.Errorf("%w: %w", ErrUnavailable, context.DeadlineExceeded))
		return nil
	}
	return []*group{{state: endorsing, submissions: again, minSequence: g.minSequence, pause: g.pause}}
}

// recheck has refused submissions proposed once more, to endorsers that must be as new as the leader is now.
func (r *batchRun) recheck(ctx context.Context, g *group) []*group {
	cluster, err := r.client.ledStatus(ctx)
	if err != nil {
		r.client.fail(g.submissions, fmt.Errorf("%w: the endorsers' refusal could not be checked: %w", ErrUnavailable, err))
		return nil
	}
	for _, s := range g.submissions {
		s.rechecked = true
	}
	g.state, g.minSequence = endorsing, cluster.sequence
	return []*group{g}
}

// separate follows each disputed submission alone, because the leader refuses a batch as a whole. At most maxAlone
// branches share them, so that one bad answer does not multiply the load.
func (r *batchRun) separate(ctx context.Context, g *group) {
	branches := make([][]*group, min(len(g.submissions), maxAlone))
	for i := range g.submissions {
		one := &group{state: endorsing, submissions: g.submissions[i : i+1 : i+1], minSequence: g.minSequence}
		branches[i%len(branches)] = append(branches[i%len(branches)], one)
	}
	for _, todo := range branches {
		r.branches.Go(func() { r.follow(ctx, todo) })
	}
}
