package client

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff pauses between attempts, each time twice as long. Its zero value is ready.
type backoff struct{ next time.Duration }

// wait pauses. It reports false when one of the contexts ended first.
func (b *backoff) wait(ctx, other context.Context) bool {
	b.next = min(max(2*b.next, firstBackoff), lastBackoff)
	// Half of the pause is random, so that many clients do not retry at the same moment.
	timer := time.NewTimer(b.next/2 + rand.N(b.next/2))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil && other.Err() == nil
	case <-ctx.Done():
	case <-other.Done():
	}
	return false
}
