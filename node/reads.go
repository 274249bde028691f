package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// maxReadWait bounds a linearizable read whose caller set no deadline.
	maxReadWait = 10 * time.Second
	// readRetry is the pause before the next attempt to find a leader.
	readRetry = 50 * time.Millisecond
	// confirmTimeout bounds one question to a peer about its term.
	confirmTimeout = time.Second
	// askTimeout bounds one question to the leader about its read index.
	askTimeout = 2 * time.Second
)

// reads makes reads linearizable: a read sees every write that was answered before the read began.
//
// The leader does it in three steps, and their order matters:
//
//  1. Once in its term it commits an entry (a barrier). Before that, raft does not tell which entries of earlier
//     terms are committed, so the commit index may be too low. The ledger must also have the blocks of the newest
//     snapshot.
//  2. It takes its commit index. This covers every write that was answered until now, unless a later leader has
//     answered any.
//  3. It asks a majority for their terms. A later leader would have been elected by a majority that then knew a
//     later term, and two majorities share a node. So if a majority knows no later term now, no leader was elected
//     before step 2. Asked before step 2, the answer would prove nothing about writes between the question and the
//     commit index.
//
// raft.VerifyLeader is not used for step 3. It counts answers to heartbeats and appends that were sent before the
// call: a process that was paused finds such answers in its sockets when it resumes, and would take them for new
// ones.
type reads struct {
	r        *replica
	barriers rounds[uint64]
	leading  rounds[uint64]
	asking   rounds[uint64]

	mu    sync.Mutex
	ready uint64 // the term in which this node has committed an entry as leader
	// No entry in (noCommandAfter, noCommandTo] changes the ledger; such entries elect leaders, for example. This saves
	// reading them again.
	noCommandAfter, noCommandTo uint64
}

func newReads(r *replica) *reads {
	d := &reads{r: r}
	d.barriers.do, d.leading.do, d.asking.do = d.barrier, d.leaderIndex, d.askLeader
	d.barriers.ctx, d.leading.ctx, d.asking.ctx = r.ctx, r.ctx, r.ctx
	return d
}

// close waits for running rounds. The replica's context has ended before.
func (d *reads) close() {
	d.barriers.close()
	d.leading.close()
	d.asking.close()
}

// waitFresh returns when this node's ledger has every write that was answered before the call.
func (d *reads) waitFresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxReadWait)
	defer cancel()
	for {
		index, err := d.index(ctx)
		if err == nil {
			if err := d.r.store.WaitApplied(ctx, index); err != nil {
				return refuse(waitCode(ctx), "this node has not executed Raft entry %d in time: %v", index, err)
			}
			return nil
		}
		select {
		case <-time.After(readRetry): // an election may be under way
		case <-d.r.ctx.Done():
			return refuse(codes.Unavailable, "node is stopping")
		case <-ctx.Done():
			return refuse(codes.Unavailable, "no leader confirmed the read in time: %v", err)
		}
	}
}

// index returns a read index, from this node when it leads and from the leader otherwise.
func (d *reads) index(ctx context.Context) (uint64, error) {
	if d.r.state().state == raft.Leader {
		return d.leading.join(ctx)
	}
	return d.asking.join(ctx)
}

// leaderReady returns the term in which this node leads and has committed an entry, so that its ledger is up to date.
func (d *reads) leaderReady(ctx context.Context) (uint64, error) {
	s, err := d.r.use()
	if err != nil {
		return 0, refuse(codes.Unavailable, "%v; nothing was written", err)
	}
	state, term := s.raft.State(), s.raft.CurrentTerm()
	_, leader := s.raft.LeaderWithID()
	s.release()
	if state != raft.Leader {
		return 0, notLeader(leader)
	}
	d.mu.Lock()
	ready := d.ready == term
	d.mu.Unlock()
	if ready {
		return term, nil
	}
	return d.barriers.join(ctx)
}

// barrier commits an entry in this term. All callers that wait share it.
func (d *reads) barrier(context.Context) (uint64, error) {
	s, err := d.r.use()
	if err != nil {
		return 0, refuse(codes.Unavailable, "%v; nothing was written", err)
	}
	defer s.release()
	term := s.raft.CurrentTerm()
	d.r.progress.begin()
	err = s.raft.Barrier(enqueueTimeout).Error()
	d.r.progress.end(err == nil)
	_, leader := s.raft.LeaderWithID()
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) {
		return 0, notLeader(leader)
	}
	if err != nil {
		return 0, refuse(codes.Unavailable, "this node became the leader just now: %v; nothing was written", err)
	}
	if s.raft.State() != raft.Leader || s.raft.CurrentTerm() != term {
		return 0, notLeader(leader)
	}
	if d.r.fsm.catchUp.busy() {
		// No entry follows the snapshot: the barrier waited for nothing, and the ledger is in the state before the
		// snapshot. A snapshot is only installed while another node leads, so a term that is ready stays ready.
		return 0, refuse(codes.Unavailable, "this node leads, but it is still fetching blocks; nothing was written")
	}
	d.mu.Lock()
	d.ready = term
	d.mu.Unlock()
	return term, nil
}

// leaderIndex performs the three steps for every read that waits when it begins.
func (d *reads) leaderIndex(ctx context.Context) (uint64, error) {
	term, err := d.leaderReady(ctx)
	if err != nil {
		return 0, err
	}
	s, err := d.r.use()
	if err != nil {
		return 0, refuse(codes.Unavailable, "%v", err)
	}
	defer s.release()
	index, err := d.ledgerIndex(s.raft.CommitIndex())
	if err != nil {
		return 0, refuse(codes.Unavailable, "read the Raft log: %v", err)
	}
	if err := d.confirm(ctx, s.raft, term); err != nil {
		return 0, err
	}
	return index, nil
}

// confirm returns nil when a majority of the voters, including this node, knows no term later than term.
func (d *reads) confirm(ctx context.Context, r *raft.Raft, term uint64) error {
	ctx, cancel := context.WithTimeout(ctx, confirmTimeout)
	var wg sync.WaitGroup
	defer func() {
		cancel() // a majority is enough: the others are not waited for
		wg.Wait()
	}()
	var voters []raft.ServerID
	for _, s := range r.GetConfiguration().Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters = append(voters, s.ID)
		}
	}
	answers := make(chan bool, len(voters))
	for _, id := range voters {
		if id == d.r.id {
			answers <- r.State() == raft.Leader && r.CurrentTerm() == term
			continue
		}
		wg.Go(func() {
			known, err := d.r.askTerm(ctx, id)
			answers <- err == nil && known <= term
		})
	}
	for yes, no := 0, 0; ; {
		if <-answers {
			yes++
		} else {
			no++
		}
		if yes > len(voters)/2 {
			return nil
		}
		if no > (len(voters)-1)/2 {
			return refuse(codes.Unavailable, "no majority confirms that this node leads")
		}
	}
}

// ledgerIndex returns the newest entry up to commit that changes the ledger. Other entries never reach the state
// machine, so waiting for them would never end.
func (d *reads) ledgerIndex(commit uint64) (uint64, error) {
	applied := d.r.store.AppliedIndex()
	if applied >= commit {
		return commit, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := commit; i > applied; i-- {
		if i <= d.noCommandTo && i > d.noCommandAfter {
			i = d.noCommandAfter + 1 // the loop goes on below it
			continue
		}
		var l raft.Log
		err := d.r.logs.GetLog(i, &l)
		if errors.Is(err, raft.ErrLogNotFound) {
			return d.r.store.AppliedIndex(), nil // truncated since: only executed entries are truncated
		}
		if err != nil {
			return 0, err // an error is not the same as a missing entry
		}
		if l.Type == raft.LogCommand {
			return i, nil
		}
	}
	d.noCommandAfter, d.noCommandTo = applied, commit
	return applied, nil
}

// askLeader asks the node that this node believes to be the leader.
func (d *reads) askLeader(ctx context.Context) (uint64, error) {
	leader := d.r.state().leader
	if leader == "" || leader == d.r.id {
		return 0, refuse(codes.Unavailable, "this node knows no leader")
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	index, err := d.r.askIndex(ctx, leader)
	if err != nil {
		return 0, refuse(codes.Unavailable, "ask leader %s: %v", leader, status.Convert(err).Message())
	}
	return index, nil
}

// waitCode distinguishes a deadline from a cancelled call.
func waitCode(ctx context.Context) codes.Code {
	if ctx.Err() != nil {
		return contextCode(ctx)
	}
	return codes.Unavailable
}

// rounds serves many callers by one call of do. A caller that joins while do runs is served by the next call, because
// do must begin after the caller joined.
type rounds[T any] struct {
	ctx context.Context
	do  func(ctx context.Context) (T, error)

	mu      sync.Mutex
	next    *round[T]
	running bool
	closed  bool
	wg      sync.WaitGroup
}

type round[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// join waits for a call of do that begins after join was called.
func (g *rounds[T]) join(ctx context.Context) (T, error) {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		var zero T
		return zero, refuse(codes.Unavailable, "node is stopping")
	}
	if g.next == nil {
		g.next = &round[T]{done: make(chan struct{})}
	}
	mine := g.next
	if !g.running {
		g.running = true
		g.wg.Go(g.run)
	}
	g.mu.Unlock()
	select {
	case <-mine.done:
		return mine.value, mine.err
	case <-ctx.Done():
		var zero T
		return zero, refuse(contextCode(ctx), "gave up waiting: %v", ctx.Err())
	}
}

func (g *rounds[T]) run() {
	for {
		g.mu.Lock()
		current := g.next
		g.next = nil
		if current == nil {
			g.running = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		current.value, current.err = g.do(g.ctx)
		close(current.done)
	}
}

// close refuses new callers and waits for the running call.
func (g *rounds[T]) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.wg.Wait()
}
