package facade

import (
	"context"
	"strconv"
	"sync"
	"time"

	"ltl/internal/admission"
)

// Limits are what one account, and one chain, may take of a facade, so that its calls leave the others room. Zero values
// mean the defaults.
type Limits struct {
	// AccountCalls and ChainCalls bound the calls under way of an account and on a chain; by default a quarter and a half
	// of all.
	AccountCalls, ChainCalls int
	// AccountRate and ChainRate bound the calls a second; 0 means no bound. A burst of two seconds' calls is taken.
	AccountRate, ChainRate int
}

// burstSeconds is how many seconds' calls may come at once.
const burstSeconds = 2

// tenants counts the calls of accounts or on chains.
type tenants struct {
	// what is the noun in errors.
	what  string
	calls *admission.Shares
	most  int
	rate  float64

	mu      sync.Mutex
	buckets map[string]*bucket
}

// bucket holds the calls that a tenant may make at once.
type bucket struct {
	left float64
	at   time.Time
}

// newTenants bounds each tenant to calls under way and rate calls a second.
func newTenants(what string, calls, rate int) *tenants {
	return &tenants{what: what, calls: admission.NewShares(maxActive, int64(calls), maxActive, 0), most: calls,
		rate: float64(rate), buckets: map[string]*bucket{}}
}

// enter counts a call of a tenant and returns the function that ends it, or the error with which it is refused.
func (t *tenants) enter(name string, now time.Time) (leave func(), err *gatewayError) {
	if wait := t.spend(name, now); wait > 0 {
		return nil, throttled(t.what+" "+name+" has made more than "+strconv.Itoa(int(t.rate))+" calls a second.", wait)
	}
	if !t.calls.Take(name, "", 1) {
		return nil, throttled(t.what+" "+name+" has "+strconv.Itoa(t.most)+" calls under way.", time.Second)
	}
	return func() { t.calls.Give(name, "", 1) }, nil
}

// spend takes one call of a tenant's rate, or returns after how long there is one.
func (t *tenants) spend(name string, now time.Time) time.Duration {
	if t.rate == 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	full := max(1, t.rate*burstSeconds)
	b := t.buckets[name]
	if b == nil {
		if len(t.buckets) >= maxBuckets {
			t.forgetFull(now, full)
		}
		b = &bucket{left: full, at: now}
		t.buckets[name] = b
	}
	b.left = min(full, b.left+t.rate*now.Sub(b.at).Seconds())
	b.at = now
	if b.left < 1 {
		return time.Duration((1 - b.left) / t.rate * float64(time.Second))
	}
	b.left--
	return 0
}

// forgetFull forgets the tenants that have made no call for so long that they may make a whole burst.
func (t *tenants) forgetFull(now time.Time, full float64) {
	for name, b := range t.buckets {
		if b.left+t.rate*now.Sub(b.at).Seconds() >= full {
			delete(t.buckets, name)
		}
	}
}

// throttled is the error Throttling that says why, and after how long the call may be repeated.
func throttled(why string, after time.Duration) *gatewayError {
	e := gateway(codeThrottling)
	e.message += " " + why
	e.retryAfter = after
	return e
}

// hold keeps the refusal of a call back for a moment, at most holdPause: a caller that repeats refused calls at once
// would take the processor from all others. Beyond maxHeld refusals are answered at once.
func (f *Facade) hold(ctx context.Context, after time.Duration) {
	defer f.held.Add(-1)
	if f.held.Add(1) > maxHeld {
		return
	}
	timer := time.NewTimer(min(after, holdPause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// admit counts the call for a tenant until the function that it returns is called.
func (c *call) admit(t *tenants, name string) (leave func(), err error) {
	leave, refused := t.enter(name, time.Now())
	if refused != nil {
		c.f.hold(c.ctx, refused.retryAfter)
		return nil, refused
	}
	return leave, nil
}
