package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ltl/internal/localnet"
)

// TestFairness: a flood of one account is refused beyond its rate, and of another account that keeps to its rate
// nothing is refused. What the flood costs the other is logged, for docs/performance.md: it depends on the machine.
func TestFairness(t *testing.T) {
	need(t)
	w := newWorld(t)
	w.startAll()
	f := w.startFacade("env", "GOMEMLIMIT=400MiB")
	fair := w.startFacadeWith("fair", []string{"env", "GOMEMLIMIT=400MiB"}, "--account-rate", "50")
	for _, p := range []*process{f, fair} {
		alone, aloneP99, _ := w.tenant(p, 5*time.Second)
		stop := w.flood(p)
		beside, besideP99, throttled := w.tenant(p, 5*time.Second)
		made, refused := stop()
		t.Logf("%s: alone %.0f calls a second, p99 %v; beside a flood %.0f, p99 %v; the flood had %d calls answered and %d refused",
			p.name, alone, aloneP99, beside, besideP99, made, refused)
		if p == fair && (refused == 0 || throttled > 0) {
			t.Errorf("%d calls of the flood were refused, and %d of the account that kept to its rate", refused, throttled)
		}
	}
}

// accounts returns two accounts that may write to the proof chain.
func (w *world) accounts() (one, other localnet.Account) {
	w.t.Helper()
	var all []localnet.Account
	for _, a := range w.file.Accounts {
		if a.DataTypeCode != "" {
			all = append(all, a)
		}
	}
	if len(all) < 2 {
		w.t.Fatal("the network has fewer than two accounts on the proof chain")
	}
	return all[0], all[1]
}

// set writes one record with an account and reports how the facade answered.
func (w *world) set(ctx context.Context, p *process, a localnet.Account, id string) (ok, throttled bool) {
	c := localnet.Caller{Endpoint: "http://" + p.listen, AccessKeyID: a.AccessKeyID, Secret: a.AccessKeySecret}
	chain := w.file.Chains[slices.IndexFunc(w.file.Chains, func(c localnet.Chain) bool { return c.Service == "proof" })]
	code := chain.BizChainCode
	status, body, err := c.Call(ctx, "SetData", map[string]string{"ProductKey": code,
		"Key": "0001_" + code + "_" + a.DataTypeCode + "_" + id, "Value": "v"})
	return err == nil && status == 200 && strings.Contains(string(body), `"Code":200`),
		strings.Contains(string(body), "Throttling")
}

// tenant makes forty calls a second from four callers, and returns the calls a second that were answered, the time that
// 99 of 100 took at most, and how many were refused for its rate.
func (w *world) tenant(p *process, span time.Duration) (rate float64, p99 time.Duration, throttled int64) {
	w.t.Helper()
	_, account := w.accounts()
	var mu sync.Mutex
	var took []time.Duration
	var refused atomic.Int64
	var callers sync.WaitGroup
	ctx, cancel := context.WithTimeout(w.t.Context(), span)
	defer cancel()
	for i := range 4 {
		callers.Go(func() {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for n := 0; ; n++ {
				began := time.Now()
				ok, over := w.set(context.WithoutCancel(ctx), p, account, fmt.Sprintf("t%d-%d-%d", i, n, began.UnixNano()))
				if over {
					refused.Add(1)
				}
				if ok {
					mu.Lock()
					took = append(took, time.Since(began))
					mu.Unlock()
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
		})
	}
	callers.Wait()
	if len(took) == 0 {
		w.t.Fatal("no call was answered")
	}
	slices.Sort(took)
	return float64(len(took)) / span.Seconds(), took[len(took)*99/100].Round(100 * time.Microsecond),
		refused.Load()
}

// flood writes from 64 callers of another account as fast as it is answered.
func (w *world) flood(p *process) (stop func() (made, refused int64)) {
	account, _ := w.accounts()
	ctx, cancel := context.WithCancel(w.t.Context())
	var callers sync.WaitGroup
	var made, refused atomic.Int64
	for i := range 64 {
		callers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				ok, throttled := w.set(ctx, p, account, fmt.Sprintf("f%d-%d-%d", i, n, time.Now().UnixNano()))
				if ok {
					made.Add(1)
				}
				if throttled {
					refused.Add(1)
				}
			}
		})
	}
	return func() (int64, int64) {
		cancel()
		callers.Wait()
		return made.Load(), refused.Load()
	}
}
