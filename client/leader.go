package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// roleLeader is the role in the status of a leader.
const roleLeader = "leader"

// errMoved is returned when another node leads than the one that was asked.
var errMoved = errors.New("another node leads now")

// Any node can say that it leads, in any term, and what a node reports is not signed. So a node of another organisation
// must name it too, where one does for any of those that claim it: one organisation alone keeps no client from the leader.
// Where none is named, because the others are dead or there are only two nodes, those that claim it are tried in turn,
// each for a bounded time.

// clusterStatus is what the nodes report of themselves at one moment.
type clusterStatus struct {
	claims   []claim // nodes that say that they lead, the most credible first
	sequence uint64  // the leader's number of executed blocks, else about that of the nodes
	led      bool    // sequence is that of a leader that others name, or of the only node
}

// claim is a node's word that it leads.
type claim struct {
	node           *peer
	term, sequence uint64
	named          int // organisations other than the node's own of which a node names it
}

// report is what one node answered; its status is nil when it did not.
type report struct {
	node         *peer
	organisation string
	status       *ltlv1.StatusResponse
}

// askStatus asks every node for its status at the same time.
func (c *Client) askStatus() (*clusterStatus, error) {
	ctx, cancel := context.WithTimeout(c.base, statusTimeout)
	defer cancel()
	nodes := c.peers.all()
	organisations := map[string]bool{}
	answers := make(chan report, len(nodes))
	for _, n := range nodes {
		organisation := c.network.organisationOf(n)
		organisations[organisation] = true
		if !c.spawn(func() { answers <- report{n, organisation, statusOf(ctx, n)} }) {
			return nil, ErrClosed
		}
	}
	var reports []report
	var s *clusterStatus
	for range nodes {
		a := <-answers // all arrive before ctx ends
		if a.status == nil {
			c.network.refreshSoon() // it may have moved
			continue
		}
		c.noteLeader(a.status.GetLeader())
		reports = append(reports, a)
		s = weigh(reports, c.credentials.Identity().Organisation, len(organisations) == 1)
		if len(s.claims) > 0 && s.claims[0].named > 0 && len(reports)*2 > len(nodes) {
			break // no need to wait for a node that hangs
		}
	}
	if s == nil {
		return nil, fmt.Errorf("%w: no node answers with its status; check that the nodes run and can be reached",
			ErrUnavailable)
	}
	s.led = len(s.claims) > 0 && s.claims[0].named > 0 || len(nodes) == 1
	c.seen.Store(s)
	return s, nil
}

// ledStatus waits until a node leads. How many blocks the other nodes have says too little: a write that was acknowledged
// may be executed on the former leader alone.
func (c *Client) ledStatus(ctx context.Context) (*clusterStatus, error) {
	var pause backoff
	for {
		s, err := c.statuses.do(ctx)
		if err != nil || s.led {
			return s, err
		}
		if !pause.wait(ctx, c.base) {
			return nil, errors.New("no node leads that others name; look whether most nodes run (ltl status)")
		}
	}
}

// weigh orders the nodes that claim to lead by how credible that is: those that did not act as the leader when they were
// asked lately last, then by the organisations that name them, then by their terms. own is the client's organisation.
// Where all nodes are of one organisation (alone), they name each other.
func weigh(reports []report, own string, alone bool) *clusterStatus {
	s := &clusterStatus{}
	highest := map[string]int64{} // by organisation, which has one voice in how many blocks there are
	for _, r := range reports {
		highest[r.organisation] = max(highest[r.organisation], int64(min(r.status.GetSequence(), math.MaxInt64)))
		if r.status.GetRole() != roleLeader {
			continue
		}
		naming := map[string]bool{}
		for _, other := range reports {
			foreign := other.organisation != r.organisation || alone && other.node != r.node
			if foreign && other.status.GetLeader() == r.node.name {
				naming[other.organisation] = true
			}
		}
		s.claims = append(s.claims, claim{r.node, r.status.GetTerm(), r.status.GetSequence(), len(naming)})
	}
	slices.SortStableFunc(s.claims, func(a, b claim) int {
		switch failed := a.node.leading.open(); {
		case failed != b.node.leading.open() && failed:
			return 1
		case failed != b.node.leading.open():
			return -1
		}
		return cmp.Or(b.named-a.named, cmp.Compare(b.term, a.term))
	})
	if len(s.claims) > 0 && s.claims[0].named > 0 {
		s.sequence = s.claims[0].sequence
	} else {
		s.sequence = uint64(max(rules.LowerMedian(slices.Collect(maps.Values(highest))), highest[own]))
	}
	return s
}

// next returns the node to ask in place of n, which was asked as the leader; nil when n is the best that is known. A
// node that others name is left only for one that is named as much, in a newer term, or more.
func (s *clusterStatus) next(n *peer) *peer {
	at := slices.IndexFunc(s.claims, func(one claim) bool { return one.node == n })
	for _, one := range s.claims {
		switch {
		case one.node == n:
		case at < 0 && one.named > 0: // n does not claim it any more
			return one.node
		case at >= 0 && s.claims[at].named > 0:
			if cmp.Or(one.named-s.claims[at].named, cmp.Compare(one.term, s.claims[at].term)) > 0 {
				return one.node
			}
		case !one.node.leading.open():
			return one.node
		}
	}
	return nil
}

// noteLeader refreshes the list of nodes in the background when a leader is not on it: it has joined since.
func (c *Client) noteLeader(id string) {
	if id != "" && c.peers.node(id) == nil {
		c.network.fetch.join() // Close waits for it
	}
}

// statusOf returns nil when the node does not answer.
func statusOf(ctx context.Context, n *peer) *ltlv1.StatusResponse {
	out, err := ltlv1.NewLedgerClient(n.conn).Status(ctx, &ltlv1.StatusRequest{})
	if err != nil {
		return nil
	}
	return out
}

// orderBatch has the leader order an endorsed batch. When leadership moves before the deadline, the next leader gets
// the same bytes. The results are in the order of the transactions.
func (c *Client) orderBatch(ctx context.Context, batch *ltlv1.Batch) ([]*ltlv1.Result, error) {
	in := &ltlv1.SubmitRequest{Batch: batch}
	var out *ltlv1.SubmitResponse
	err := c.onLeader(ctx, func(ctx context.Context, n *peer) (err error) {
		ctx, span := c.tracer.Call(ctx, ctx, "ask leader")
		span.Text("ltl.node", n.name)
		out, err = ltlv1.NewOrdererClient(n.conn).Submit(ctx, in)
		span.Failed(err)
		span.End()
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(out.GetResults()) != len(batch.GetTransactions()) {
		return nil, fmt.Errorf("%w: a node answered with %d results for %d transactions",
			ErrUnavailable, len(out.GetResults()), len(batch.GetTransactions()))
	}
	return out.GetResults(), nil
}

// onLeader calls the leader. When leadership moves or an answer is lost, it goes on with the next leader until the
// deadline. f must be harmless to repeat.
func (c *Client) onLeader(ctx context.Context, f func(context.Context, *peer) error) error {
	sent := false // an attempt without a clear answer may have been ordered
	last := error(status.Error(codes.Unavailable, "no node leads at present"))
	hops := 0
	for pause := (backoff{}); ; {
		if n := c.findLeader(ctx); n != nil {
			err := c.attempt(ctx, n, f)
			n.leading.record(err == nil)
			if err == nil {
				c.leader.Store(&n.name)
				return nil
			}
			last = fmt.Errorf("node %s: %w", n.name, err)
			c.forgetLeader(n.name)
			next := leaderDetail(err)
			switch {
			case next != nil: // nothing was done
				// Nodes that name each other for ever do not keep the client from asking all of them.
				if id := next.GetLeader(); id != "" && id != n.name && hops < maxHops {
					c.noteLeader(id)
					c.leader.Store(&id)
					hops++
					continue
				}
			case errors.Is(err, errMoved):
				sent = true
				continue
			case c.rivalled(n): // it may have refused without being the leader
				sent = sent || elsewhere(err) && status.Code(err) != codes.ResourceExhausted
			case status.Code(err) == codes.ResourceExhausted && !sent:
				return fmt.Errorf("%w: %w", ErrOverloaded, last)
			case !elsewhere(err):
				return fmt.Errorf("the leader refuses: %w", last)
			default:
				sent = true
				n.breaker.record(false)
			}
		}
		if hops = 0; !pause.wait(ctx, c.base) {
			return fmt.Errorf("%w: the outcome may be unknown; repeat the call to learn it: %w: %w", ErrUnavailable,
				context.Cause(ctx), last)
		}
	}
}

// forgetLeader makes the next call look for the leader, unless another call found one meanwhile.
func (c *Client) forgetLeader(name string) {
	if id := c.leader.Load(); id != nil && *id == name {
		c.leader.CompareAndSwap(id, nil)
	}
}

// leaderDetail returns the NotLeader detail of an error, or nil.
func leaderDetail(err error) *ltlv1.NotLeader {
	for _, d := range status.Convert(err).Details() {
		if n, ok := d.(*ltlv1.NotLeader); ok {
			return n
		}
	}
	return nil
}

// findLeader returns the node to call, or nil when none leads. It asks the nodes only when the leader is not known.
func (c *Client) findLeader(ctx context.Context) *peer {
	if id := c.leader.Load(); id != nil {
		if n := c.peers.node(*id); n != nil {
			return n
		}
	}
	s, err := c.statuses.do(ctx)
	if err != nil || len(s.claims) == 0 {
		return nil
	}
	c.leader.Store(&s.claims[0].node.name)
	return s.claims[0].node
}

// rivalled reports whether another node claims to lead as credibly as n when the nodes were last asked.
func (c *Client) rivalled(n *peer) bool {
	s := c.seen.Load()
	return s != nil && s.next(n) != nil
}

// attempt makes one call. A call without an answer for leaderPatience is given up only when another node leads:
// repetitions would make a busy leader busier.
func (c *Client) attempt(ctx context.Context, n *peer, f func(context.Context, *peer) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan struct{})
	watching := c.spawn(func() {
		timer := time.NewTimer(leaderPatience)
		defer timer.Stop()
		for {
			select {
			case <-done:
				return
			case <-timer.C:
			}
			if s, err := c.statuses.do(ctx); err == nil {
				if next := s.next(n); next != nil {
					c.leader.Store(&next.name)
					cancel(errMoved)
					return
				}
			}
			timer.Reset(leaderPatience)
		}
	})
	if !watching {
		return ErrClosed
	}
	err := f(ctx, n)
	close(done)
	if err != nil && errors.Is(context.Cause(ctx), errMoved) {
		return errMoved
	}
	return err
}
