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

// dependencies are what a replica is built on. The node brings gRPC and files, the simulation memory and injected
// faults.
type dependencies struct {
	id      raft.ServerID
	servers []raft.Server // the first configuration; every founder starts from the same
	store   *store.Store
	dir     string // for the note of an unfinished catch-up
	logs    raft.LogStore
	stable  raft.StableStore
	snaps   raft.SnapshotStore
	// transport makes the transport for one run of raft. It must call installed after raft installed a snapshot; view is
	// what raft knows.
	transport func(installed func(index, term uint64), view func() RaftView) (raft.Transport, error)
	// committed notes that an entry is committed, and announce tells a node of the newest such entry; nil leaves it to
	// raft's CommitTimeout.
	committed func(index, term uint64)
	announce  func(raft.ServerID)
	fetch     fetchFunc
	salvage   bool // fetch gives what is left of a damaged ledger, under this node's own id
	// askIndex asks a leader for its read index; askTerm asks a node for the newest term that it knows.
	askIndex func(ctx context.Context, leader raft.ServerID) (uint64, error)
	askTerm  func(ctx context.Context, peer raft.ServerID) (uint64, error)
	// askApplied asks a node for its applied index; nil treats every learner as caught up.
	askApplied func(ctx context.Context, peer raft.ServerID) (uint64, error)
	// peers are the nodes that blocks may be fetched from; nil means those of servers.
	peers func() []raft.ServerID
	// clock returns the median, in milliseconds since 1970, of the clocks that this node hears and its own, and how many
	// it hears; nil where it hears none.
	clock        func() (medianMs int64, heard int)
	endorsements *store.Signatures
	metrics      *metrics
	logger       *slog.Logger
	fatal        func(error)
	cfg          Config // timers and bounds
}

// replica is raft, the state machine and the ordering: a node without network and identity.
type replica struct {
	dependencies
	ctx    context.Context // ends when close begins
	cancel context.CancelFunc
	fsm    *fsm
	order  *orderer
	reads  *reads
	// progress is what the watchdog checks.
	progress progress

	wg      sync.WaitGroup
	restart chan struct{} // asks supervise for a new run of raft

	mu      sync.Mutex
	current *session // nil while raft is being restarted, and after close
}

// session is one run of raft. Raft never answers the futures that it still has when it is shut down, so the callers
// that wait for one are counted, and shutdown waits for them.
type session struct {
	raft      *raft.Raft
	transport raft.Transport

	mu     sync.Mutex
	users  int
	closed bool
	idle   chan struct{} // closed when closed and users is 0
}

// errNoRaft is returned while raft restarts.
var errNoRaft = errors.New("raft is restarting")

// openReplica starts raft on the given stores, which stay the caller's to close.
func openReplica(p dependencies) (*replica, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &replica{dependencies: p, ctx: ctx, cancel: cancel, restart: make(chan struct{}, 1)}
	r.fsm = &fsm{ctx: ctx, store: p.store, logger: p.logger, fatal: p.fatal, observe: p.metrics.applied,
		committed: p.committed, executed: newExecutions(p.cfg.Tracer)}
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

// bootstrap gives a new founder its first configuration. Every founder writes the same one, so none has to be first.
// A node that was added later has no configuration until the leader sends one.
func (r *replica) bootstrap() error {
	existing, err := raft.HasExistingState(r.logs, r.stable, r.snaps)
	if err != nil {
		return fmt.Errorf("read the state of the Raft log: %w", err)
	}
	if existing {
		return nil
	}
	if applied := r.store.AppliedIndex(); applied > 0 {
		return fmt.Errorf("the ledger holds Raft entry %d, but the Raft log is gone: this node may have given votes or "+
			"acknowledged entries that it no longer knows; "+
			"replace it by a node with a new id: ltl node prepare, then ltl node replace", applied)
	}
	// Blocks without a Raft entry come from a backup or an endorser: beside other nodes, they would be executed a second
	// time.
	if blocks := r.store.Sequence(); blocks > 1 {
		return fmt.Errorf("the ledger holds %d blocks that this node did not execute from a Raft log, a backup's or an "+
			"endorser's: "+
			"a new node starts on an empty directory and fetches them from its peers", blocks)
	}
	if !slices.ContainsFunc(r.servers, func(s raft.Server) bool { return s.ID == r.id }) {
		return nil
	}
	// Raft uses a transport here only for the configuration format of its protocol 2.
	if err := raft.BootstrapCluster(r.raftConfig(), r.logs, r.stable, r.snaps, nil,
		raft.Configuration{Servers: r.servers}); err != nil {
		return fmt.Errorf("write the first Raft configuration: %w", err)
	}
	return nil
}

// startRaft starts a run of raft.
func (r *replica) startRaft() error {
	// Raft keeps a log that contradicts an installed snapshot, and then refuses every append: see DESIGN.md, Snapshot
	// conflicts.
	repaired, err := repairConflictingLog(r.logs, r.snaps)
	if err != nil {
		return fmt.Errorf("compare the Raft log with the newest snapshot: %w", err)
	}
	if repaired {
		r.logger.Warn("the Raft log contradicted the newest snapshot and was deleted")
	}
	s := &session{idle: make(chan struct{})}
	s.transport, err = r.transport(r.installed, r.view)
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
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = r.cfg.HeartbeatTimeout, r.cfg.ElectionTimeout,
		r.cfg.LeaderLeaseTimeout
	c.CommitTimeout = r.cfg.CommitTimeout
	c.MaxAppendEntries = maxAppendEntries
	c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = r.cfg.SnapshotThreshold, r.cfg.TrailingLogs,
		r.cfg.SnapshotInterval
	// The ledger is durable by itself and has its applied index: a snapshot need not be read at start.
	c.NoSnapshotRestoreOnStart = true
	// BatchApplyCh stays off. With a buffered channel raft takes entries that it never answers after a shutdown, so
	// Close could wait forever. The few entries that this node keeps in flight are grouped by the leader loop without
	// it.
	c.BatchApplyCh = false
	c.NoLegacyTelemetry = true
	c.ShutdownOnRemove = false // a removed node stops as a whole process (membership.go)
	c.Logger = newHCLog(r.logger)
	return c
}

// installed runs after raft installed a snapshot, before the leader gets the answer.
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
	default: // a restart is already requested
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

// stopRaft waits for the callers that use raft, then shuts it down.
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

// use returns the running raft. The caller must call release when it waits for no future any more.
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

// close stops everything in the order of the dependencies: first the orderer, whose callers still get their answers;
// then the context, so that the state machine refuses entries and raft's main loop never blocks; then the callers
// that wait for raft; then raft. Entries that cannot be executed, because this node is still fetching blocks, end
// with the context after stopTimeout.
func (r *replica) close() error {
	timeout := time.AfterFunc(stopTimeout, r.cancel)
	defer timeout.Stop()
	r.order.close()
	r.cancel()
	r.reads.close()
	r.wg.Wait()
	err := r.stopRaft()
	r.fsm.catchUp.close()
	return err
}

// raftState is what status and metrics report about raft.
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
	return raftState{state: s.raft.State(), leader: leader, term: s.raft.CurrentTerm(), commit: s.raft.CommitIndex(),
		newest: s.raft.LastIndex()}
}

// view returns what raft knows. It reads the term first: raft forgets the leader before it takes a later term.
func (r *replica) view() RaftView {
	s, err := r.use()
	if err != nil {
		return RaftView{}
	}
	defer s.release()
	v := RaftView{Term: s.raft.CurrentTerm(), Contact: s.raft.LastContact(), Voter: r.hasVote}
	_, v.Leader = s.raft.LeaderWithID()
	return v
}

// hasVote reports whether a node is a voter of Raft's configuration, or that configuration is unknown.
func (r *replica) hasVote(id raft.ServerID) bool {
	servers := r.configuration()
	return len(servers) == 0 || slices.ContainsFunc(servers,
		func(s raft.Server) bool { return s.ID == id && s.Suffrage == raft.Voter })
}

// voters returns the number of voters and the ids of the others.
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
