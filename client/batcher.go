package client

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// batcher forms the batches of one chain. With nothing under way a submission leaves at once. A busy batcher gathers
// what arrives meanwhile, until that is half as much as what is under way: a batch costs every process of the network
// the same whatever its size, so two small ones at a time would be slower than one large one. No timer is involved: the
// pace of the network makes the batches.
type batcher struct {
	chainID string
	queue   []*submission
	running int // batches under way
	// lastSize and lastLeft describe the batch that left last.
	lastSize int
	lastLeft time.Time
}

// shouldWait reports whether it is better to wait for the batch under way. A batch that takes long, because a process
// does not answer, does not hold up later ones.
func (b *batcher) shouldWait() bool {
	return b.running > 0 && len(b.queue) < b.lastSize/2 && time.Since(b.lastLeft) < stalledAfter
}

// dispatch starts a run if the batcher has a free place. c.mu is held. One run is enough for one submission: the next
// submission or the end of a batch starts another.
func (c *Client) dispatch(b *batcher) {
	if c.closed || len(b.queue) == 0 || b.running >= c.cfg.MaxInFlight || b.shouldWait() {
		return
	}
	b.running++
	c.wg.Go(func() { c.run(b) })
}

// nextBatch takes the next batch off the queue. Submissions whose callers gave up are dropped: they were never sent.
// The oldest is always taken. What does not fit beside it waits and does not hold up what does fit, so that large
// uploads do not delay small ones.
func (c *Client) nextBatch(b *batcher) []*submission {
	c.mu.Lock()
	var batch, dropped []*submission
	rest := b.queue[:0]
	size, limit := 0, c.cfg.MaxBatchBytes
	for _, s := range b.queue {
		switch {
		case s.abandoned.Load():
			dropped = append(dropped, s)
		case len(batch) == c.cfg.MaxBatchTransactions, len(batch) > 0 && size+s.size > limit:
			rest = append(rest, s)
		default:
			if s.size > limit { // the oldest
				limit = min(s.size+limit/8, rules.MaxBatch)
			}
			s.sent = true
			batch = append(batch, s)
			size += s.size
		}
	}
	b.lastSize, b.lastLeft = len(batch), time.Now()
	clear(b.queue[len(rest):])
	b.queue = rest
	c.dispatch(b) // for what did not fit
	c.mu.Unlock()
	c.fail(dropped, ErrUnavailable) // without a reader; it gives their share of the bounds back
	return batch
}

// latest returns the last deadline of a batch.
func latest(batch []*submission) time.Time {
	return slices.MaxFunc(batch, func(a, b *submission) int { return a.deadline.Compare(b.deadline) }).deadline
}

// reserve counts a submission against the bounds of Config. reply gives its share back.
func (c *Client) reserve(s *submission) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return ErrClosed
	}
	if c.pending >= c.cfg.MaxPending || c.pendingBytes+s.size > c.cfg.MaxPendingBytes {
		return fmt.Errorf("%w: %d transactions of %d bytes", ErrOverloaded, c.pending, c.pendingBytes)
	}
	c.pending++
	c.pendingBytes += s.size
	return nil
}

// reply ends a submission. Each submission has one owner at a time, so it is called once.
func (c *Client) reply(s *submission, result *ltlv1.Result, err error) {
	c.mu.Lock()
	c.pending--
	c.pendingBytes -= s.size
	c.mu.Unlock()
	s.done <- outcome{result: result, err: err}
}

// fail ends submissions with an error, which wraps ErrClosed when the client was closed.
func (c *Client) fail(submissions []*submission, err error) {
	for _, s := range submissions {
		c.reply(s, nil, c.writeError(err))
	}
}

// noteOrdered remembers that the network writes.
func (c *Client) noteOrdered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastOrdered = time.Now()
}

// writeError makes ErrClosed the error of everything that fails after Close.
func (c *Client) writeError(err error) error {
	if c.base.Err() != nil && !errors.Is(err, ErrClosed) {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	return err
}

// abandon is called when the caller's context ends before the reply. It returns what that means for the transaction.
// One that never left the queue was not written: if others were written meanwhile, there are too many of them, else the
// network is at fault.
func (c *Client) abandon(s *submission, cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.abandoned.Store(true)
	switch {
	case s.sent:
		return fmt.Errorf("%w: the outcome of transaction %x is unknown; submit the same transaction again to learn it: %w",
			ErrUnavailable, s.id, cause)
	case c.lastOrdered.After(s.queued):
		return fmt.Errorf("%w: it waited in the queue until its deadline, and nothing was written: %w", ErrOverloaded, cause)
	}
	return fmt.Errorf("%w: it waited in the queue until its deadline, and nothing was written: %w", ErrUnavailable, cause)
}
