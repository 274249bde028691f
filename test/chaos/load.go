package chaos

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ltl/internal/localnet"
)

// The load's shape.
const (
	hotKeys      = 4  // Keys under AttachData that all callers share at a time
	hotRecords   = 60 // records under one of them before another takes its place; one page of a list holds them
	contenders   = 3  // callers that set the same Key
	probeEvery   = 250 * time.Millisecond
	maxProbes    = 64
	ackPoll      = 10 * time.Millisecond
	recentWrites = 256
	probeClient  = 1000
	floodClient  = 2000
)

// Load calls the API as several callers do, and keeps the history. What callers ask depends on the seed; when, also on
// the answers.
type Load struct {
	history *History
	caller  *caller // of the administrator
	tenant  *caller // of another account, which floods
	seed    uint64
	clients int
	rate    int

	lastAck  atomic.Int64 // time of the history of the newest acknowledged write
	acks     atomic.Int64
	attached [hotKeys]atomic.Int64 // writes to each hot Key, whatever came of them
	contests atomic.Int64
	probes   atomic.Int64 // numbers given

	mu     sync.Mutex
	recent []*Op // acknowledged writes, for reading what is known to be there

	group sync.WaitGroup
}

// newLoad makes the callers of a network.
func newLoad(n *localnet.Network, h *History, s *Scenario, seed uint64) (*Load, error) {
	admin, ok := n.Account(localnet.RoleAdmin)
	tenant, also := n.Account(localnet.RoleMember)
	chain, is := n.Chain(localnet.ServiceProof)
	if !ok || !also || !is {
		return nil, fmt.Errorf("the network lacks an administrator, a member or a proof chain")
	}
	l := &Load{history: h, seed: seed, clients: s.Clients, rate: s.Rate}
	var endpoints []string
	for _, f := range n.Facades {
		endpoints = append(endpoints, f.HTTP)
	}
	newCaller := func(a localnet.Account) *caller {
		transport := &http.Transport{MaxIdleConnsPerHost: s.Clients + maxFlood}
		return &caller{account: a, chain: chain, endpoints: endpoints, http: &http.Client{Transport: transport}}
	}
	l.caller, l.tenant = newCaller(admin), newCaller(tenant)
	return l, nil
}

// start starts the callers: they make calls until more ends, and finish the ones under way unless ctx ends.
func (l *Load) start(ctx, more context.Context, p *peers, nodes []string) {
	for i, node := range nodes {
		l.group.Go(func() { l.aim(ctx, more, p, node, i) })
	}
	for i := range l.clients {
		l.group.Go(func() { l.client(ctx, more, i) })
	}
	l.group.Go(func() { l.probe(ctx, more) })
}

// close waits for the callers.
func (l *Load) close() {
	l.group.Wait()
	l.caller.http.CloseIdleConnections()
	l.tenant.http.CloseIdleConnections()
}

// client is one caller: one call after the other, not faster than its share of the rate.
func (l *Load) client(ctx, more context.Context, number int) {
	r := rand.New(rand.NewPCG(l.seed, streamLoad<<32|uint64(number)))
	ticker := time.NewTicker(time.Duration(l.clients) * time.Second / time.Duration(l.rate))
	defer ticker.Stop()
	for n := 0; more.Err() == nil; n++ {
		o := l.next(r, number, n)
		attempts := maxAttempts
		if o.Action == Attach && o.BusinessID == "" {
			attempts = 1 // a second request would be a second record
		}
		l.call(ctx, l.caller, o, attempts, func() int { return r.IntN(1 << 16) })
		select {
		case <-ticker.C:
		case <-more.Done():
		}
	}
}

// next draws a call.
func (l *Load) next(r *rand.Rand, client, n int) *Op {
	o := &Op{Client: client, Value: fmt.Sprintf("value of caller %d, call %d", client, n)}
	own := fmt.Sprintf("c%dn%d", client, n)
	switch d := r.IntN(100); {
	case d < 30:
		o.Action, o.Key = SetData, l.caller.key(own)
	case d < 37:
		o.Action, o.Key = SetData, l.caller.key(fmt.Sprintf("contest%d", l.contests.Add(1)/contenders))
	case d < 57:
		o.Action, o.Key, o.BusinessID = Attach, l.hot(r, true), businessID(own)
	case d < 60:
		o.Action, o.Key, o.BusinessID = Attach, l.caller.key(own), businessID(own)
	case d < 63:
		o.Action, o.Key = Attach, l.hot(r, true)
	case d < 75:
		o.Action, o.Key, o.Value = GetData, l.hot(r, false), ""
	case d < 80:
		o.Action, o.Key, o.Value = Count, l.hot(r, false), ""
	case d < 85:
		o.Action, o.Key, o.Value = List, l.hot(r, false), ""
	default:
		o.Action, o.Value = GetData, ""
		if d >= 93 {
			o.Action = ChainInfo
		}
		if w := l.known(r); w != nil {
			o.Key, o.BusinessID = w.Key, w.BusinessID
		} else {
			o.Key = l.hot(r, false)
		}
	}
	o.Twice, o.Replayed = o.writes() && r.IntN(20) == 0, o.writes() && r.IntN(20) == 0
	if o.Action == Attach && o.BusinessID == "" {
		o.Twice, o.Replayed = r.IntN(2) == 0, true // only the nonce of the request keeps it from being written twice
	}
	return o
}

// hot draws a hot Key; each gives way to another one after some records.
func (l *Load) hot(r *rand.Rand, write bool) string {
	i := r.IntN(hotKeys)
	n := l.attached[i].Load()
	if write {
		n = l.attached[i].Add(1) - 1
	}
	return l.caller.key(fmt.Sprintf("hot%dg%d", i, n/hotRecords))
}

// businessID makes the 64 digits that a BusinessId has.
func businessID(of string) string {
	sum := sha256.Sum256([]byte(of))
	return hex.EncodeToString(sum[:])
}

// acknowledged notes a write that was answered with success.
func (l *Load) acknowledged(o *Op) {
	l.lastAck.Store(o.Return)
	l.acks.Add(1)
	if o.Client >= floodClient {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) < recentWrites {
		l.recent = append(l.recent, o)
	} else {
		l.recent[o.ID%recentWrites] = o
	}
}

// known draws a record that was acknowledged.
func (l *Load) known(r *rand.Rand) *Op {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.recent) == 0 {
		return nil
	}
	return l.recent[r.IntN(len(l.recent))]
}

// probe writes a new Key every quarter of a second, once, whatever became of the last one: while callers wait for
// answers that do not come, it tells when the network writes again.
func (l *Load) probe(ctx, more context.Context) {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	var under atomic.Int64
	for {
		select {
		case <-more.Done():
			return
		case <-ticker.C:
		}
		if under.Load() >= maxProbes {
			continue
		}
		n := int(l.probes.Add(1))
		o := &Op{Client: probeClient + n%maxProbes, Action: SetData, Key: l.caller.key(fmt.Sprintf("probe%d", n)),
			Value: fmt.Sprintf("probe %d", n)}
		under.Add(1)
		l.group.Go(func() {
			defer under.Add(-1)
			l.call(ctx, l.caller, o, 1, func() int { return n })
		})
	}
}

// flood lets n callers of the other account write as fast as they are answered, until more ends.
func (l *Load) flood(ctx, more context.Context, n int, event uint64) {
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			for k := 0; more.Err() == nil; k++ {
				id := fmt.Sprintf("flood%xc%dn%d", event, i, k)
				o := &Op{Client: floodClient + i, Action: SetData, Key: l.tenant.key(id), Value: id}
				l.call(ctx, l.tenant, o, 1, func() int { return i })
				if o.Outcome != OK && wait(more, firstBackOff) != nil {
					return
				}
			}
		})
	}
	group.Wait()
}

// awaitAck waits for a write that is acknowledged after a time of the history, and returns how long after it.
func (l *Load) awaitAck(ctx context.Context, after time.Duration) (time.Duration, error) {
	for {
		if at := time.Duration(l.lastAck.Load()); at > after {
			return at - after, nil
		}
		if err := wait(ctx, ackPoll); err != nil {
			return 0, err
		}
	}
}
