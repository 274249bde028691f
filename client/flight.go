package client

import (
	"context"
	"sync"
)

// flight shares runs of one request between all callers that need it at the same time. A caller gets the result of a
// run that began after its call, so the result is never older than what the caller had seen. At most two runs follow
// one another.
type flight[T any] struct {
	// spawn starts a goroutine that the owner waits for, or reports false when the owner is closed.
	spawn func(func()) bool
	run   func() (T, error)

	mu      sync.Mutex
	current *flightRun[T] // running
	next    *flightRun[T] // to be run after current, for those that called meanwhile
}

// flightRun is one run and its result.
type flightRun[T any] struct {
	done  chan struct{} // closed when value and err are set
	value T
	err   error
}

// do returns the result of a run that begins now or later.
func (f *flight[T]) do(ctx context.Context) (T, error) {
	var none T
	r, ok := f.join()
	if !ok {
		return none, ErrClosed
	}
	select {
	case <-r.done:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// join returns a run that begins now or later. It reports false when the owner is closed.
func (f *flight[T]) join() (*flightRun[T], bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		if f.next == nil {
			f.next = &flightRun[T]{done: make(chan struct{})}
		}
		return f.next, true
	}
	r := &flightRun[T]{done: make(chan struct{})}
	if !f.spawn(f.loop) {
		return nil, false
	}
	f.current = r
	return r, true
}

// loop runs until no caller waits for another run. It ends soon after the owner closes, because run does.
func (f *flight[T]) loop() {
	for {
		f.mu.Lock()
		r := f.current
		f.mu.Unlock()
		r.value, r.err = f.run()
		close(r.done)
		f.mu.Lock()
		f.current, f.next = f.next, nil
		more := f.current != nil
		f.mu.Unlock()
		if !more {
			return
		}
	}
}
