package client

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// roleLeader is what a leader calls itself in its status.
const roleLeader = "leader"

// errMoved says that another node leads by now than the one that was asked.
var errMoved = errors.New("another node leads now")

// standing is what the nodes say of themselves at one moment.
type standing struct {
	leader   string // empty when none says that it leads
	sequence uint64 // the leader's, else the highest
}

// askStanding asks every node for its status at the same time.
func (c *Client) askStanding() (*standing, error) {
	ctx, cancel := context.WithTimeout(c.base, statusTimeout)
	defer cancel()
	nodes := c.peers.all()
	answers := make(chan *ltlv1.StatusResponse, len(nodes))
	for _, n := range nodes {
		if !c.spawn(func() { answers <- statusOf(ctx, n) }) {
			return nil, ErrClosed
		}
	}
	s := standing{}
	var term, newest uint64
	heard := 0
	for range nodes {
		a := <-answers // at the latest when ctx ends
		if a == nil {
			continue
		}
		heard++
		newest = max(newest, a.GetTerm())
		c.meetLeader(a.GetLeader())
		switch {
		case a.GetRole() == roleLeader && (s.leader == "" || a.GetTerm() > term):
			s.leader, term, s.sequence = nodeName(a.GetId()), a.GetTerm(), a.GetSequence()
		case s.leader == "":
			s.sequence = max(s.sequence, a.GetSequence())
		}
		if s.leader != "" && term == newest && heard*2 > len(nodes) {
			break // the leader of the newest term that a majority knows: no need to wait for a node that hangs
		}
	}
	if heard == 0 {
		return nil, fmt.Errorf("%w: no node tells its status", ErrUnavailable)
	}
	if term < newest {
		s.leader = "" // deposed, and does not know it yet
	}
	return &s, nil
}

// meetLeader asks who belongs to the network when a node tells of a leader that is not known: it has joined since.
func (c *Client) meetLeader(id string) {
	if id != "" && c.peers.node(id) == nil {
		c.directory.fetch.join() // in the background; Close waits for it
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

// nodeName is the node's id: the last part of the identity that a status carries.
func nodeName(id string) string {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == '/' {
			return id[i+1:]
		}
	}
	return id
}

// order has the leader order an endorsed batch, whoever that is until the deadline, always with the same bytes. The results stand in
// the order of the transactions.
func (c *Client) order(ctx context.Context, batch *ltlv1.Batch) ([]*ltlv1.Result, error) {
	in := &ltlv1.SubmitRequest{Batch: batch}
	var out *ltlv1.SubmitResponse
	err := c.onLeader(ctx, func(ctx context.Context, n *peer) (err error) {
		ctx, span := c.cfg.Tracer.Call(ctx, ctx, "ask leader")
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
		return nil, fmt.Errorf("%w: a node answered %d results for %d transactions", ErrUnavailable, len(out.GetResults()), len(batch.GetTransactions()))
	}
	return out.GetResults(), nil
}

// onLeader calls the leader, and goes on with the next one until the deadline when leadership moves or an answer is lost. call must
// be harmless to repeat.
func (c *Client) onLeader(ctx context.Context, call func(context.Context, *peer) error) error {
	sent := false // an attempt without a clear answer may have been ordered
	last := error(status.Error(codes.Unavailable, "no node leads"))
	hops := 0
	for pause := (backoff{}); ; {
		if n := c.findLeader(ctx); n != nil {
			err := c.attempt(ctx, n, call)
			if err == nil {
				c.leader.Store(&n.name)
				return nil
			}
			last = fmt.Errorf("node %s: %w", n.name, err)
			c.forgetLeader(n.name)
			next := leaderDetail(err)
			switch {
			case next != nil: // it did nothing
				if id := next.GetLeader(); id != "" && id != n.name {
					c.meetLeader(id)
					c.leader.Store(&id)
					if hops++; hops <= maxHops {
						continue
					}
				}
			case status.Code(err) == codes.ResourceExhausted && !sent:
				return fmt.Errorf("%w: %w", ErrOverloaded, last)
			case errors.Is(err, errMoved):
				sent = true
				continue
			case !elsewhere(err):
				return fmt.Errorf("the leader refuses: %w", last)
			default:
				sent = true
				n.breaker.record(false)
			}
		}
		if hops = 0; !pause.wait(ctx, c.base) {
			return fmt.Errorf("%w: the outcome may be unknown: %w: %w", ErrUnavailable, context.Cause(ctx), last)
		}
	}
}

// forgetLeader makes the next call ask around, unless somebody found another leader meanwhile.
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

// findLeader returns the node to call, or nil when none leads. Only a client that does not know asks around.
func (c *Client) findLeader(ctx context.Context) *peer {
	if id := c.leader.Load(); id != nil {
		if n := c.peers.node(*id); n != nil {
			return n
		}
	}
	s, err := c.statuses.do(ctx)
	if err != nil || s.leader == "" {
		return nil
	}
	c.leader.Store(&s.leader)
	return c.peers.node(s.leader)
}

// attempt makes one call. A call that goes unanswered for long is given up only when another node leads: a busy leader is not
// made busier by repetitions.
func (c *Client) attempt(ctx context.Context, n *peer, call func(context.Context, *peer) error) error {
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
			if s, err := c.statuses.do(ctx); err == nil && s.leader != "" && s.leader != n.name {
				c.leader.Store(&s.leader)
				cancel(errMoved)
				return
			}
			timer.Reset(leaderPatience)
		}
	})
	if !watching {
		return ErrClosed
	}
	err := call(ctx, n)
	close(done)
	if err != nil && errors.Is(context.Cause(ctx), errMoved) {
		return errMoved
	}
	return err
}
