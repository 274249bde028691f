package client

import (
	"context"
	"sync"
)

// flight shares runs of one question between everybody who asks at the same time. Whoever asks gets the answer of a run that
// began after the question, so an answer is never older than what the caller had seen; at most two runs follow one another.
type flight[T any] struct {
	// spawn starts a goroutine that the owner waits for, or reports false when the owner is closed.
	spawn func(func()) bool
	run   func() (T, error)

	mu      sync.Mutex
	current *landing[T] // running
	next    *landing[T] // to be run after current, for those who asked meanwhile
}

// landing is the end of one run.
type landing[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns the answer of a run that begins now or later.
func (f *flight[T]) do(ctx context.Context) (T, error) {
	l, ok := f.join()
	if !ok {
		var none T
		return none, ErrClosed
	}
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

func (f *flight[T]) join() (*landing[T], bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current != nil {
		if f.next == nil {
			f.next = &landing[T]{done: make(chan struct{})}
		}
		return f.next, true
	}
	l := &landing[T]{done: make(chan struct{})}
	if !f.spawn(f.loop) {
		return nil, false
	}
	f.current = l
	return l, true
}

// loop runs until nobody waits for another run. It ends soon after the owner closes, because run does.
func (f *flight[T]) loop() {
	for {
		f.mu.Lock()
		l := f.current
		f.mu.Unlock()
		l.value, l.err = f.run()
		close(l.done)
		f.mu.Lock()
		f.current, f.next = f.next, nil
		more := f.current != nil
		f.mu.Unlock()
		if !more {
			return
		}
	}
}
