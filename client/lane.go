package client

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/tracing"
	ltlv1 "ltl/proto/ltl/v1"
)

// call is one Submit under way.
type call struct {
	payload      []byte
	id           ledger.Hash
	organisation string // the submitter's, which the policy asks for
	device       bool   // it may need one organisation's endorsement, as what a device signed does; see required.go
	deadline     time.Time
	queued       time.Time
	span         tracing.Span // from its arrival until its answer
	done         chan answer  // gets exactly one answer
	abandoned    atomic.Bool  // the caller is gone: not worth sending if it was not sent yet
	sent         bool         // it left its lane's queue; under Client.mu

	// The rest is touched only by the one goroutine that carries the call.
	proposals  int  // how often it was proposed
	unendorsed int  // how often endorsers that were needed did not answer
	rechecked  bool // proposed to endorsers whose copies were as new as the leader's
	disputed   bool // handed to the ledger although the endorsers contradict one another on what it needs
	patient    bool // the ledger did not find it endorsed: all endorsers' answers are waited for
}

type answer struct {
	result *ltlv1.Result
	err    error
}

// lane collects one chain's calls. With nothing under way a call leaves at once. A busy lane gathers what arrives meanwhile, until
// that is half as much as what is under way: a batch costs every process of the network the same whatever its size, so two small
// ones at a time would be slower than one large one. No timer is involved: the network's own pace makes the batches.
type lane struct {
	chainID  string
	queue    []*call
	inFlight int
	// size and since tell of the batch that left last.
	size  int
	since time.Time
}

// gathers reports whether it is better to wait for the batch under way. One that takes long, because somebody does not answer, holds
// up nobody who comes after.
func (l *lane) gathers() bool {
	return l.inFlight > 0 && len(l.queue) < l.size/2 && time.Since(l.since) < stalledAfter
}

// reserve counts a call against the bounds; answer gives its share back.
func (c *Client) reserve(k *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.pending >= c.cfg.MaxPending || c.pendingBytes+len(k.payload) > c.cfg.MaxPendingBytes {
		return fmt.Errorf("%w: %d transactions of %d bytes", ErrOverloaded, c.pending, c.pendingBytes)
	}
	c.pending++
	c.pendingBytes += len(k.payload)
	return nil
}

// answer ends a call. Nobody answers a call twice: it is handed from one owner to the next.
func (c *Client) answer(k *call, result *ltlv1.Result, err error) {
	c.mu.Lock()
	c.pending--
	c.pendingBytes -= len(k.payload)
	c.mu.Unlock()
	k.done <- answer{result: result, err: err}
}

func (c *Client) answerAll(calls []*call, err error) {
	for _, k := range calls {
		c.answer(k, nil, err)
	}
}

// leave ends a call whose caller has no more time, and says what that means for it. One that never left its queue was not written: if
// others were written meanwhile, there are too many of them, else the network is at fault.
func (c *Client) leave(k *call, why error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	k.abandoned.Store(true)
	switch {
	case k.sent:
		return fmt.Errorf("%w: outcome of transaction %x is unknown: %w", ErrUnavailable, k.id, why)
	case c.ordered.After(k.queued):
		return fmt.Errorf("%w: its turn did not come in time, and nothing was written: %w", ErrOverloaded, why)
	}
	return fmt.Errorf("%w: its turn did not come in time, and nothing was written: %w", ErrUnavailable, why)
}

// noteOrdered remembers that the network writes.
func (c *Client) noteOrdered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ordered = time.Now()
}

// enqueue hands a call to its chain's lane.
func (c *Client) enqueue(chainID string, k *call) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	l := c.lanes[chainID]
	if l == nil {
		l = &lane{chainID: chainID}
		c.lanes[chainID] = l
	}
	l.queue = append(l.queue, k)
	c.dispatch(l)
	return nil
}

// dispatch starts a carrier if the lane has a free place. c.mu is held. One carrier is enough for one call: the next call or the
// end of a batch starts another.
func (c *Client) dispatch(l *lane) {
	if c.closed || len(l.queue) == 0 || l.inFlight >= c.cfg.MaxInFlight || l.gathers() {
		return
	}
	l.inFlight++
	c.wg.Go(func() { c.carry(l) })
}

// carry takes one batch through the network.
func (c *Client) carry(l *lane) {
	// Callers that are ready to run at this moment get on the same batch; an idle process returns at once.
	runtime.Gosched()
	if calls := c.cut(l); len(calls) > 0 {
		ctx, cancel := context.WithDeadline(c.base, latest(calls))
		ctx, span := c.traceBatch(ctx, calls)
		c.write(ctx, l.chainID, calls, 0)
		span.End()
		cancel()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	l.inFlight--
	if len(l.queue) == 0 && l.inFlight == 0 {
		delete(c.lanes, l.chainID) // chains come and go; an idle lane costs nothing
		return
	}
	c.dispatch(l)
}

// cut takes the next batch off the queue. Calls whose callers gave up are dropped: they were never sent. The oldest call is always
// taken, and what does not fit beside it waits without holding up what does: large uploads must not keep small ones from going along.
func (c *Client) cut(l *lane) []*call {
	c.mu.Lock()
	var batch, dropped []*call
	rest := l.queue[:0]
	size, limit := 0, c.cfg.MaxBatchBytes
	for _, k := range l.queue {
		switch {
		case k.abandoned.Load():
			dropped = append(dropped, k)
		case len(batch) == c.cfg.MaxBatchTransactions, len(batch) > 0 && size+len(k.payload) > limit:
			rest = append(rest, k)
		default:
			if len(k.payload) > limit { // the first one
				limit = min(len(k.payload)+limit/8, rules.MaxBatch)
			}
			k.sent = true
			batch = append(batch, k)
			size += len(k.payload)
		}
	}
	l.size, l.since = len(batch), time.Now()
	clear(l.queue[len(rest):])
	l.queue = rest
	c.dispatch(l) // what did not fit
	c.mu.Unlock()
	c.answerAll(dropped, ErrUnavailable) // nobody listens; the answer gives their share of the bounds back
	return batch
}

func latest(calls []*call) time.Time {
	last := calls[0].deadline
	for _, k := range calls[1:] {
		if k.deadline.After(last) {
			last = k.deadline
		}
	}
	return last
}
