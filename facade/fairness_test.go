package facade

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// TestRates: a tenant has a burst, then its rate; another's calls do not count for it, and tenants at rest are forgotten.
func TestRates(t *testing.T) {
	at := time.Unix(1000, 0)
	r := newTenants("Account", 10, 5)
	for i := range 5 * burstSeconds {
		if wait := r.spend("a", at); wait != 0 {
			t.Errorf("call %d of a burst waits %v", i, wait)
		}
	}
	if wait := r.spend("a", at); wait != 200*time.Millisecond {
		t.Errorf("after the burst the wait is %v, want the fifth of a second", wait)
	}
	if wait := r.spend("b", at); wait != 0 {
		t.Errorf("another tenant waits %v", wait)
	}
	if wait := r.spend("a", at.Add(200*time.Millisecond)); wait != 0 {
		t.Errorf("when the wait is over the call still waits %v", wait)
	}
	later := at.Add(time.Minute)
	for i := range maxBuckets {
		r.spend(fmt.Sprint("many", i), later)
	}
	if n := len(r.buckets); n > maxBuckets {
		t.Errorf("%d tenants are remembered, at most %d of which are not at rest", n, maxBuckets)
	}
}

// TestAccountsShareCalls: an account whose calls are all under way gets Throttling with the reason and Retry-After, and
// others are served meanwhile. The same holds for chains.
func TestAccountsShareCalls(t *testing.T) {
	for name, limits := range map[string]Limits{"Account": {AccountCalls: 2}, "Chain": {ChainCalls: 2}} {
		f := newTestFacade(t)
		f.accountCalls = newTenants("Account", max(limits.AccountCalls, 1<<10*limits.ChainCalls), 0)
		f.chainCalls = newTenants("Chain", max(limits.ChainCalls, 1<<10*limits.AccountCalls), 0)
		release := make(chan struct{})
		f.net.set(func(n *fakeNetwork) { n.hold = release })
		var calls sync.WaitGroup
		for i := range 2 {
			key := keyOf("0X58", fmt.Sprint("held", i))
			calls.Go(func() { f.act(t, "member", "SetData", append(read(key, chainA), "Value", "v")...) })
		}
		eventually(t, "two calls are under way", func() bool {
			return f.accountCalls.calls.Used() == 2 && f.chainCalls.calls.Used() == 2
		})
		r := f.act(t, "member", "GetData", read(keyOf("0X58", "1"), chainA)...)
		wants(t, name+" beyond its part", r, 400, "Throttling")
		if got := r.header.Get("Retry-After"); got != "1" {
			t.Errorf("%s: Retry-After is %q", name, got)
		}
		wants(t, name+": another", f.act(t, "other", "GetData", read("0001_"+chainB+"_BB02_1", chainB)...), 200, "404")
		close(release)
		calls.Wait()
		wants(t, name+" afterwards", f.act(t, "member", "GetData", read(keyOf("0X58", "9"), chainA)...), 200, "404")
		if n := f.accountCalls.calls.Used() + f.chainCalls.calls.Used() + f.held.Load(); n != 0 {
			t.Errorf("%s: %d calls are still counted", name, n)
		}
	}
}

// TestRefusalsAreHeld: a caller that repeats refused calls at once gets few answers a second.
func TestRefusalsAreHeld(t *testing.T) {
	f := newTestFacade(t)
	f.accountCalls = newTenants("Account", 10, 1)
	get := func() reply { return f.act(t, "member", "GetData", read(keyOf("0X58", "1"), chainA)...) }
	for range burstSeconds {
		wants(t, "burst", get(), 200, "404")
	}
	began := time.Now()
	wants(t, "beyond the rate", get(), 400, "Throttling")
	if took := time.Since(began); took < holdPause-50*time.Millisecond {
		t.Errorf("the refusal came after %v", took)
	}
}
