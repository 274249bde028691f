package endorser

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/admission"
	"ltl/internal/identity"
)

// queue bounds the proposals that are here at the same time, and their bytes. A caller and an organisation can have
// only a part of it, and each organisation has ownPlaces beside it, so that others together cannot take all.
type queue struct {
	places, bytes *admission.Shares
}

// newQueue returns a queue of that many places, with bytes for all of them.
func newQueue(places, bytes int) *queue {
	shares := func(n, own int) *admission.Shares {
		return admission.NewShares(int64(n), int64(n/2), int64(n*3/4), int64(own))
	}
	return &queue{places: shares(places, ownPlaces), bytes: shares(bytes, ownBytes)}
}

// enter takes a place for a proposal of size bytes and returns the function that leaves it, or nil when it is full.
func (q *queue) enter(caller identity.Identity, size int) (leave func()) {
	name := caller.String()
	if !q.places.Take(name, caller.Organisation, 1) {
		return nil
	}
	if !q.bytes.Take(name, caller.Organisation, int64(size)) {
		q.places.Give(name, caller.Organisation, 1)
		return nil
	}
	return func() {
		q.places.Give(name, caller.Organisation, 1)
		q.bytes.Give(name, caller.Organisation, int64(size))
	}
}

// full is the refusal of a proposal for which there is no place.
func (e *Endorser) full(caller identity.Identity) error {
	e.metrics.overloaded.Inc()
	return status.Errorf(codes.ResourceExhausted, "too many proposals are waiting, in all or of %s or its organisation; "+
		"nothing was signed, try again later", caller)
}

// waitSequence waits at most sequenceWait until the copy has as many blocks as the proposal asks for. A proposal that
// waits takes no place from those that can be judged. One that asks for many more blocks than are known is refused at
// once: the copy would not get there in time.
func (e *Endorser) waitSequence(ctx context.Context, caller identity.Identity, size int, want uint64) error {
	have := e.store.Sequence()
	if want <= have {
		return nil
	}
	if known := max(have, e.target.Load()); want > known && want-known > maxAhead {
		return e.behind(want)
	}
	leave := e.waiting.enter(caller, size)
	if leave == nil {
		return e.full(caller)
	}
	defer leave()
	ctx, cancel := context.WithTimeout(ctx, sequenceWait)
	defer cancel()
	err := e.store.WaitSequence(ctx, want)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return e.behind(want)
	}
	return e.failure(err)
}

// behind is the refusal of a proposal that builds on a block that the copy does not have.
func (e *Endorser) behind(want uint64) error {
	if f := e.faultText(); f != "" {
		return e.refusal(f)
	}
	return status.Errorf(codes.Unavailable, "this copy of the ledger has %d blocks, the proposal asks for %d; it is "+
		"catching up", e.store.Sequence(), want)
}
