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

// roleLeader is the role in the status of a leader.
const roleLeader = "leader"

// errMoved is returned when another node leads than the one that was asked.
var errMoved = errors.New("another node leads now")

// clusterStatus is what the nodes report of themselves at one moment.
type clusterStatus struct {
	leader   string // empty when no node reports that it leads
	sequence uint64 // the leader's number of executed blocks, else the highest of all nodes
}

// askStatus asks every node for its status at the same time.
func (c *Client) askStatus() (*clusterStatus, error) {
	ctx, cancel := context.WithTimeout(c.base, statusTimeout)
	defer cancel()
	nodes := c.peers.all()
	answers := make(chan *ltlv1.StatusResponse, len(nodes))
	for _, n := range nodes {
		if !c.spawn(func() { answers <- statusOf(ctx, n) }) {
			return nil, ErrClosed
		}
	}
	s := clusterStatus{}
	var term, newest uint64
	answered := 0
	for range nodes {
		a := <-answers // all arrive before ctx ends
		if a == nil {
			continue
		}
		answered++
		newest = max(newest, a.GetTerm())
		c.noteLeader(a.GetLeader())
		switch {
		case a.GetRole() == roleLeader && (s.leader == "" || a.GetTerm() > term):
			s.leader, term, s.sequence = nodeName(a.GetId()), a.GetTerm(), a.GetSequence()
		case s.leader == "":
			s.sequence = max(s.sequence, a.GetSequence())
		}
		if s.leader != "" && term == newest && answered*2 > len(nodes) {
			break // the leader of the newest term that a majority knows: no need to wait for a node that hangs
		}
	}
	if answered == 0 {
		return nil, fmt.Errorf("%w: no node answers with its status; check that the nodes run and can be reached",
			ErrUnavailable)
	}
	if term < newest {
		s.leader = "" // it lost the leadership and has not noticed yet
	}
	return &s, nil
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

// nodeName is the node's id: the last part of the identity that a status carries.
func nodeName(id string) string {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i] == '/' {
			return id[i+1:]
		}
	}
	return id
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
			if err == nil {
				c.leader.Store(&n.name)
				return nil
			}
			last = fmt.Errorf("node %s: %w", n.name, err)
			c.forgetLeader(n.name)
			next := leaderDetail(err)
			switch {
			case next != nil: // nothing was done
				if id := next.GetLeader(); id != "" && id != n.name {
					c.noteLeader(id)
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
	if err != nil || s.leader == "" {
		return nil
	}
	c.leader.Store(&s.leader)
	return c.peers.node(s.leader)
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
	err := f(ctx, n)
	close(done)
	if err != nil && errors.Is(context.Cause(ctx), errMoved) {
		return errMoved
	}
	return err
}
