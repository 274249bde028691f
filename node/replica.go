package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/store"
)

// parts are what a replica stands on. The node brings gRPC and files, the simulation memory and faults.
type dependencies struct {
	id      raft.ServerID
	servers []raft.Server // the first configuration; every node of the genesis starts from the same
	store   *store.Store
	dir     string // for the note of an unfinished catch-up
	logs    raft.LogStore
	stable  raft.StableStore
	snaps   raft.SnapshotStore
	// transport makes the transport of one run of raft; installed must be called after raft installed a snapshot.
	transport func(installed func(index, term uint64)) (raft.Transport, error)
	fetch     fetchFunc
	salvage   bool // fetch gives what is left of a damaged ledger, under this node's own id
	// askIndex asks a leader for its read index, askTerm a node for the newest term that it knows.
	askIndex func(ctx context.Context, leader raft.ServerID) (uint64, error)
	askTerm  func(ctx context.Context, peer raft.ServerID) (uint64, error)
	// askApplied asks a node how far it has executed; nil takes every learner for one that has caught up.
	askApplied func(ctx context.Context, peer raft.ServerID) (uint64, error)
	// peers are the nodes that blocks may be fetched from; nil means those of servers.
	peers   func() []raft.ServerID
	verify  *endorsementCache
	metrics *metrics
	logger  *slog.Logger
	fatal   func(error)
	cfg     Config // timers and bounds
}

// replica is raft, the state machine and the ordering on top: a node without network and identity.
type replica struct {
	dependencies
	ctx    context.Context // ends when close begins
	cancel context.CancelFunc
	fsm    *fsm
	order  *orderer
	reads  *reads
	// progress is what the watchdog looks at.
	progress progress

	wg      sync.WaitGroup
	restart chan struct{} // asks supervise for a new run of raft

	mu      sync.Mutex
	current *session // nil while raft is being restarted, and after close
}

// session is one run of raft. Raft never answers a future that it holds when it is shut down, so whoever waits for one is counted
// and shutdown comes after them.
type session struct {
	raft      *raft.Raft
	transport raft.Transport

	mu     sync.Mutex
	users  int
	closed bool
	idle   chan struct{} // closed when closed and users is 0
}

// errNoRaft is returned while raft is being restarted.
var errNoRaft = errors.New("raft is restarting")

// openReplica starts raft over the parts. It owns none of the stores.
func openReplica(p dependencies) (*replica, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{dependencies: p, ctx: ctx, cancel: cancel, restart: make(chan struct{}, 1)}
	r.fsm = &fsm{ctx: ctx, store: p.store, logger: p.logger, fatal: p.fatal, observe: p.metrics.applied, executed: newExecutions(p.cfg.Tracer)}
	r.fsm.catchUp = newCatchUp(ctx, &p, r.fsm.halt)
	r.reads = newReads(r)
	if err := r.start(); err != nil {
		cancel()
		r.fsm.catchUp.close()
		return nil, err
	}
	r.order = newOrderer(r)
	r.wg.Add(3)
	go r.supervise()
	go r.watch()
	go r.followMembership()
	return r, nil
}

// start prepares the stores and starts raft.
func (r *replica) start() error {
	if err := r.bootstrap(); err != nil {
		return err
	}
	if err := checkCovered(r.logs, r.snaps); err != nil {
		return fmt.Errorf("compare the Raft log with the newest snapshot: %w", err)
	}
	if err := r.fsm.catchUp.resume(r.snaps); err != nil {
		return err
	}
	return r.startRaft()
}

// bootstrap gives a new node of the genesis its first configuration. Every one writes the same, so no node has to be first. A node that
// was added later has none until the leader tells it.
func (r *replica) bootstrap() error {
	existing, err := raft.HasExistingState(r.logs, r.stable, r.snaps)
	if err != nil {
		return fmt.Errorf("look at the Raft log: %w", err)
	}
	if existing {
		return nil
	}
	if applied := r.store.AppliedIndex(); applied > 0 {
		return fmt.Errorf("the ledger holds Raft entry %d, but the Raft log is gone: this node may have promised what it no longer knows; "+
			"it must come back under a new id", applied)
	}
	// Blocks without a Raft entry come from a backup or an endorser: beside other nodes, they would be executed a second time.
	if blocks := r.store.Sequence(); blocks > 1 {
		return fmt.Errorf("the ledger holds %d blocks that this node did not execute from a Raft log, a backup's or an endorser's: "+
			"a new node starts on an empty directory and fetches them from its peers", blocks)
	}
	if !slices.ContainsFunc(r.servers, func(s raft.Server) bool { return s.ID == r.id }) {
		return nil
	}
	// raft needs a transport here only to write the configuration as its second protocol did.
	if err := raft.BootstrapCluster(r.raftConfig(), r.logs, r.stable, r.snaps, nil, raft.Configuration{Servers: r.servers}); err != nil {
		return fmt.Errorf("write the first Raft configuration: %w", err)
	}
	return nil
}

// startRaft begins a run of raft.
func (r *replica) startRaft() error {
	// raft keeps a log that contradicts an installed snapshot, and then refuses every append (DESIGN.md).
	repaired, err := repairConflictingLog(r.logs, r.snaps)
	if err != nil {
		return fmt.Errorf("compare the Raft log with the newest snapshot: %w", err)
	}
	if repaired {
		r.logger.Warn("the Raft log contradicted the newest snapshot and was emptied")
	}
	s := &session{idle: make(chan struct{})}
	s.transport, err = r.transport(r.installed)
	if err != nil {
		return err
	}
	s.raft, err = raft.NewRaft(r.raftConfig(), r.fsm, &snapshotLogStore{r.logs, r.snaps}, r.stable, r.snaps, s.transport)
	if err != nil {
		return errors.Join(fmt.Errorf("start raft: %w", err), closeTransport(s.transport))
	}
	r.metrics.watchLeaders(s.raft)
	r.mu.Lock()
	r.current = s
	r.mu.Unlock()
	return nil
}

func (r *replica) raftConfig() *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = r.id
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = r.cfg.HeartbeatTimeout, r.cfg.ElectionTimeout, r.cfg.LeaderLeaseTimeout
	c.CommitTimeout = commitTimeout
	c.MaxAppendEntries = maxAppendEntries
	c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = r.cfg.SnapshotThreshold, r.cfg.TrailingLogs, r.cfg.SnapshotInterval
	// The ledger is durable by itself and knows what it has executed: a snapshot need not be read at start.
	c.NoSnapshotRestoreOnStart = true
	// BatchApplyCh stays off. With a buffered channel raft takes entries that it never answers once it shuts down, so Close could
	// wait for ever; and the few entries that this node keeps in flight are grouped by the leader loop without it.
	c.BatchApplyCh = false
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false // a removed node says so and stops as a whole (membership.go)
	c.Logger = newHCLog(r.logger)
	return c
}

// installed runs after raft installed a snapshot, before the leader hears of it.
func (r *replica) installed(index, term uint64) {
	again, err := afterSnapshotInstall(r.logs, r.snaps)
	if err != nil {
		r.fatal(fmt.Errorf("compare the Raft log with the snapshot at %d (term %d): %w", index, term, err))
		return
	}
	if !again {
		return
	}
	select {
	case r.restart <- struct{}{}:
	default: // one is under way
	}
}

// supervise restarts raft inside the process when its log contradicts a snapshot that it installed.
func (r *replica) supervise() {
	defer r.wg.Done()
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.restart:
		}
		r.logger.Warn("the Raft log contradicts the snapshot that was installed: raft restarts")
		err := r.stopRaft()
		if err == nil && r.ctx.Err() == nil {
			err = r.startRaft()
		}
		if err != nil && r.ctx.Err() == nil {
			r.fatal(fmt.Errorf("restart raft: %w", err))
			return
		}
	}
}

// stopRaft waits for those who use raft, then shuts it down.
func (r *replica) stopRaft() error {
	r.mu.Lock()
	s := r.current
	r.current = nil
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	if s.users == 0 {
		close(s.idle)
	}
	s.mu.Unlock()
	<-s.idle
	err := s.raft.Shutdown().Error()
	return errors.Join(err, closeTransport(s.transport))
}

func closeTransport(t raft.Transport) error {
	if c, ok := t.(raft.WithClose); ok {
		return c.Close()
	}
	return nil
}

// use returns the running raft; release must be called when no future of it is waited for any more.
func (r *replica) use() (s *session, err error) {
	r.mu.Lock()
	s = r.current
	r.mu.Unlock()
	if s == nil {
		return nil, errNoRaft
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, errNoRaft
	}
	s.users++
	return s, nil
}

func (s *session) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.closed && s.users == 0 {
		close(s.idle)
	}
}

// close stops everything in the order in which it depends on one another: first the proposals, whose callers still get their
// answers; then the context, so that the state machine refuses entries and raft's loop never stands still; then those who wait
// for raft; then raft. Proposals that cannot finish, because this node is still fetching blocks, end with the context.
func (r *replica) close() error {
	impatience := time.AfterFunc(stopTimeout, r.cancel)
	defer impatience.Stop()
	r.order.close()
	r.cancel()
	r.reads.close()
	r.wg.Wait()
	err := r.stopRaft()
	r.fsm.catchUp.close()
	return err
}

// raftState is what status and metrics tell about raft.
type raftState struct {
	state          raft.RaftState
	leader         raft.ServerID
	term           uint64
	commit, newest uint64
}

func (r *replica) state() raftState {
	s, err := r.use()
	if err != nil {
		return raftState{state: raft.Shutdown}
	}
	defer s.release()
	_, leader := s.raft.LeaderWithID()
	return raftState{state: s.raft.State(), leader: leader, term: s.raft.CurrentTerm(), commit: s.raft.CommitIndex(), newest: s.raft.LastIndex()}
}

// voters returns the number of voters and the ids of those beside this node.
func (r *replica) voters() (total int, others []raft.ServerID, err error) {
	s, err := r.use()
	if err != nil {
		return 0, nil, err
	}
	defer s.release()
	for _, server := range s.raft.GetConfiguration().Configuration().Servers {
		if server.Suffrage != raft.Voter {
			continue
		}
		if total++; server.ID != r.id {
			others = append(others, server.ID)
		}
	}
	return total, others, nil
}
