package client

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestFlightIsFresh: no caller gets the answer of a run that began before its call.
func TestFlightIsFresh(t *testing.T) {
	var wg sync.WaitGroup
	var clock, runs atomic.Int64
	f := &flight[int64]{
		spawn: func(fn func()) bool { wg.Go(fn); return true },
		run: func() (int64, error) {
			runs.Add(1)
			began := clock.Add(1)
			time.Sleep(time.Millisecond)
			return began, nil
		},
	}
	const asks = 400
	for i := range asks {
		wg.Go(func() {
			time.Sleep(time.Duration(i%20) * time.Millisecond)
			asked := clock.Add(1)
			began, err := f.do(context.Background())
			if err != nil || began < asked {
				t.Errorf("asked at %d, answered by a run that began at %d (error %v)", asked, began, err)
			}
		})
	}
	wg.Wait()
	if n := runs.Load(); n > asks/2 {
		t.Errorf("%d runs for %d calls: nothing was shared", n, asks)
	}
	f.spawn = func(func()) bool { return false }
	if _, err := f.do(context.Background()); !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
}
