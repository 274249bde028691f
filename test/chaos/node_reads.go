package chaos

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Reads that are aimed at a node: as many may be unanswered as come in one pause of the longest kind.
const (
	aimEvery   = 250 * time.Millisecond
	aimTimeout = 20 * time.Second
	maxAimed   = 64
	aimClient  = 3000
)

// aim reads hot Keys from one node, over its own service: a facade would ask another node when this one is silent. So a
// node that was paused or cut off is asked while it is, and what it says once it goes on must not be old.
func (l *Load) aim(ctx, more context.Context, p *peers, node string, number int) {
	r := rand.New(rand.NewPCG(l.seed, streamLoad<<32|uint64(aimClient+number)))
	ticker := time.NewTicker(aimEvery)
	defer ticker.Stop()
	var under atomic.Int64
	for {
		select {
		case <-more.Done():
			return
		case <-ticker.C:
		}
		if under.Load() >= maxAimed {
			continue
		}
		under.Add(1)
		o := &Op{Client: aimClient + number, Action: GetData, Key: l.hot(r, false), Node: node}
		l.group.Go(func() {
			defer under.Add(-1)
			l.readFrom(ctx, p, o)
		})
	}
}

// readFrom makes one linearizable read at the node that the call names.
func (l *Load) readFrom(ctx context.Context, p *peers, o *Op) {
	ctx, cancel := context.WithTimeout(ctx, aimTimeout)
	defer cancel()
	l.history.begin(o)
	res, err := ltlv1.NewLedgerClient(p.conns[o.Node]).GetRecord(ctx,
		&ltlv1.GetRecordRequest{ChainCode: l.caller.chain.BizChainCode, Key: o.Key})
	l.history.end(o, func() {
		o.Attempts = 1
		switch {
		case err != nil:
			o.Outcome, o.Detail = Unknown, err.Error()
		case res.GetCode() == rules.OK:
			o.Outcome, o.Read = OK, []string{res.GetRecord().GetValue()}
		case res.GetCode() == rules.NotFound:
			o.Outcome = Absent
		default:
			o.Outcome, o.Detail = Wrong, rules.Message(res.GetCode())
		}
	})
}
