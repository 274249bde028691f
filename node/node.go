// Package node is the consensus node. It orders endorsed batches through Raft, executes them in commit order, stores
// the ledger, and serves blocks, records and proofs.
//
// A write goes through orderer.go (admission, batching, raft.Apply) and fsm.go (execution by store.Apply), and
// returns with the result of execution. A read goes through reads.go. node.go opens and closes everything. replica.go
// is the part that needs no network, so that the simulation in the tests runs the same code. DESIGN.md gives the
// reasons.
package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"

	"ltl/internal/admin"
	"ltl/internal/checkpoint"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/query"
	"ltl/internal/scrub"
	"ltl/internal/skew"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	dirMode = 0o700
	// RemovedFile is the file that a node writes into its directory when it was removed from the network. A node whose
	// directory has it does not start.
	RemovedFile = "removed"
	// raftLogName is the file of the Raft log in a node's directory.
	raftLogName = "raft.db"
	// stopTimeout is how long Close waits for running calls before it cancels them.
	stopTimeout = 2 * time.Second
	// trustInterval is how often Raft's configuration is checked for changes while no block arrives.
	trustInterval = 2 * time.Second
)

// Node is a running consensus node. Its methods may be called concurrently.
type Node struct {
	cfg        Config
	id         identity.Identity
	store      *store.Store
	log        *raftLog
	peers      *peers
	raft       *RaftServer
	replica    *replica
	handshaker *handshaker
	listener   net.Listener
	server     *grpc.Server
	admin      *admin.Server
	metrics    *metrics
	scrubber   *scrub.Scrubber
	clock      *skew.Meter
	evidence   *checkpoint.Signer
	rebuild    rebuilding
	restart    chan struct{} // closed when the node asks its caller to open it again

	wg   sync.WaitGroup
	ctx  context.Context // ends when Close begins
	stop context.CancelFunc
	once sync.Once
	err  error

	mu    sync.Mutex
	fault error // the first reason to stop
}

// Open starts a node on its directory and returns once the node takes part in the network. ctx bounds the start only.
//
// The order follows the dependencies: the ledger, because it decides what the Raft log must hold; the Raft log; the
// listener, so that peers connect instead of being refused; raft, which uses all of them; the services, which answer
// only what raft can confirm; the admin server last, because it reports on everything else.
func Open(ctx context.Context, cfg Config) (_ *Node, err error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := checkGenesisTime(cfg.Trust.Genesis().GetCreatedMs(), time.Now()); err != nil {
		return nil, err
	}
	n := &Node{cfg: cfg, id: cfg.Credentials.Identity(), raft: NewRaftServer(), metrics: newMetrics(),
		restart: make(chan struct{}), clock: skew.New(cfg.Logger, cfg.Credentials.Identity().Organisation)}
	n.ctx, n.stop = context.WithCancel(context.Background())
	n.peers = &peers{credentials: cfg.Credentials, trust: cfg.Trust, conns: make(map[raft.ServerID]*grpc.ClientConn)}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	endorsements := store.NewSignatures()
	if err := n.openStores(endorsements); err != nil {
		return nil, err
	}
	if n.listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	gate := cfg.Credentials.Gate()
	n.listener = gate.Listen(n.listener)
	n.metrics.registry.MustRegister(gate.Collectors()...)
	if err := n.openReplica(endorsements); err != nil {
		return nil, err
	}
	n.scrubber = scrub.New(scrub.Config{Store: n.store, Interval: cfg.ScrubInterval, Sources: n.sources,
		Reads:   func(string) bool { return true }, // the Raft log has the values of all chains anyway
		Damaged: n.restartToRebuild, Logger: cfg.Logger})
	n.metrics.watchNode(n)
	n.serve()
	if cfg.AdminListen != "" {
		// Not ctx: it ends with the start.
		if n.admin, err = admin.Serve(context.WithoutCancel(ctx), cfg.AdminListen, cfg.Metrics, n.ready,
			n.metrics.registry); err != nil {
			return nil, err
		}
	}
	cfg.Logger.Info("node is up", "id", n.id.String(), "address", n.Addr(), "applied", n.store.AppliedIndex(),
		"sequence", n.store.Sequence())
	if text := n.unrecordedText(); text != "" {
		cfg.Logger.Error("FAULT: " + text)
	}
	return n, nil
}

// openStores opens the ledger and the Raft log, and checks that they fit each other.
func (n *Node) openStores(endorsements *store.Signatures) error {
	cfg := n.cfg
	if text, err := os.ReadFile(n.path(RemovedFile)); err == nil {
		return fmt.Errorf("%w: %s says: %s", errRemoved, n.path(RemovedFile), strings.TrimSpace(string(text)))
	}
	if err := os.MkdirAll(n.path("snapshots"), dirMode); err != nil {
		return err
	}
	var err error
	if err := n.openLedger(store.Options{Fatal: n.storeFatal, Logger: cfg.Logger,
		Verify: endorsements.Verify}); err != nil {
		return err
	}
	if err := n.store.Init(cfg.Trust.GenesisPayload()); err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	n.openEvidence()
	snaps, err := n.snapshots()
	if err != nil {
		return err
	}
	newest, err := newestSnapshot(snaps)
	if err != nil {
		return err
	}
	o := logOptions{fatal: n.fatal, logger: cfg.Logger, minLast: n.store.AppliedIndex()}
	if note := n.rebuild.now(); note != nil {
		o.minLast = max(o.minLast, note.Applied)
	}
	if err := n.checkLogIsThere(newest, o.minLast); err != nil {
		return err
	}
	if newest != nil && newest.Index >= o.minLast {
		o.minLast = 0 // an installed snapshot replaces the log below it
	}
	n.log, err = openLog(n.path(raftLogName), o)
	if errors.Is(err, errLogCorrupt) {
		err = fmt.Errorf("%w; %w", err, errReplace)
	}
	if err != nil {
		return err
	}
	return n.openHandshaker(snaps)
}

// checkLogIsThere refuses a directory whose Raft log is gone. Raft would start from the snapshot in term 0, and could
// vote a second time in terms that only the lost log recorded.
func (n *Node) checkLogIsThere(newest *raft.SnapshotMeta, applied uint64) error {
	info, err := os.Stat(n.path(raftLogName))
	if gone := errors.Is(err, os.ErrNotExist) || err == nil && info.Size() == 0; gone && (newest != nil || applied > 0) {
		return fmt.Errorf("the Raft log %s is gone, but this node had executed entries: %w", n.path(raftLogName), errReplace)
	}
	return nil
}

// fetch is a fetchFunc: it reads from this node's own damaged ledger when peer is this node, and from the peer
// otherwise.
func (n *Node) fetch(ctx context.Context, peer raft.ServerID, from uint64, headersOnly bool, fn blockFunc) error {
	if peer == raft.ServerID(n.id.Name) {
		return n.rebuild.stream(from, headersOnly, fn)
	}
	return n.peers.fetch(ctx, peer, from, headersOnly, fn)
}

func (n *Node) path(name string) string { return filepath.Join(n.cfg.Dir, name) }

func (n *Node) snapshots() (*raft.FileSnapshotStore, error) {
	s, err := raft.NewFileSnapshotStoreWithLogger(n.path("snapshots"), retainedSnapshots, newHCLog(n.cfg.Logger))
	if err != nil {
		return nil, fmt.Errorf("open Raft snapshots: %w", err)
	}
	return s, nil
}

// openReplica starts raft with the gRPC transport and the stores of this node.
func (n *Node) openReplica(endorsements *store.Signatures) error {
	snaps, err := n.snapshots()
	if err != nil {
		return err
	}
	id := raft.ServerID(n.id.Name)
	p := dependencies{
		id: id, store: n.store, dir: n.cfg.Dir, logs: n.log, stable: n.log.stable, snaps: snaps,
		committed: n.raft.committed, announce: n.raft.announce,
		fetch: n.fetch, salvage: n.rebuild.salvage != nil, askIndex: n.peers.askIndex, askTerm: n.peers.askTerm,
		askApplied: n.peers.askApplied, peers: n.others, clock: n.clock.Median,
		endorsements: endorsements, metrics: n.metrics, logger: n.cfg.Logger, fatal: n.fatal, cfg: n.cfg,
	}
	for _, s := range n.handshaker.founders {
		p.servers = append(p.servers, raft.Server{Suffrage: raft.Voter, ID: s, Address: raft.ServerAddress(s)})
	}
	p.transport = func(installed func(index, term uint64), view func() RaftView) (raft.Transport, error) {
		t := NewTransport(TransportConfig{
			ID: id,
			Dial: func(peer raft.ServerID) (*grpc.ClientConn, error) {
				return n.peers.dial(peer, transportDialOptions()...) // with the handshaker's, as every connection between nodes
			},
			Raft: view, Heartbeat: n.cfg.HeartbeatTimeout,
			PeerID: callerID, OnSnapshotInstalled: installed, Logger: n.cfg.Logger,
		})
		n.raft.Use(t)
		return t, nil
	}
	n.replica, err = openReplica(p)
	return err
}

// serve starts the gRPC services and the background goroutines.
func (n *Node) serve() {
	options := append(n.cfg.Credentials.ServerOptions(acl()), transportServerOptions()...)
	n.server = grpc.NewServer(append(options, grpc.ChainUnaryInterceptor(n.handshaker.unary),
		grpc.ChainStreamInterceptor(n.handshaker.stream, n.stoppable))...)
	ltlv1.RegisterRaftTransportServer(n.server, n.raft)
	ltlv1.RegisterOrdererServer(n.server, &ordererService{r: n.replica})
	ltlv1.RegisterOperatorServer(n.server, &operatorService{r: n.replica, pulse: watchPulse})
	ltlv1.RegisterLedgerServer(n.server, query.New(n.store, query.Options{ReadIndex: n.replica.reads.waitFresh,
		Status: n.status}))
	ltlv1.RegisterEvidenceServer(n.server, checkpoint.NewServer(n.store, n.evidence))
	n.wg.Go(func() {
		if err := n.server.Serve(n.listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			n.fatal(fmt.Errorf("serve %s: %w", n.listener.Addr(), err))
		}
	})
	n.wg.Go(n.updateTrust)
	n.wg.Go(func() { n.handshaker.run(n.ctx) })
	n.wg.Go(n.finishRebuild)
	n.wg.Go(func() { n.scrubber.Run(n.ctx) })
	n.wg.Go(func() { n.scrubber.FetchOpenings(n.ctx) })
	n.wg.Go(n.hearClocks)
}

// hearClocks asks the other nodes for their clocks.
func (n *Node) hearClocks() {
	tick := time.NewTicker(skew.Interval)
	defer tick.Stop()
	for {
		ctx, cancel := context.WithTimeout(n.ctx, skew.Interval)
		var asked sync.WaitGroup
		for _, id := range n.others() {
			asked.Go(func() {
				known, _ := n.cfg.Trust.Node(string(id)) // nil for one that was removed meanwhile, which does not answer
				n.clock.Ask(known.GetOrganisation(), string(id), func() int64 {
					conn, err := n.peers.conn(id)
					if err != nil {
						return 0
					}
					st, err := ltlv1.NewLedgerClient(conn).Status(ctx, &ltlv1.StatusRequest{})
					if err != nil {
						return 0
					}
					return st.GetClockMs()
				})
			})
		}
		asked.Wait()
		cancel()
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// others returns the ids of the network's other nodes, as far as this node knows them.
func (n *Node) others() []raft.ServerID {
	var ids []raft.ServerID
	for _, id := range n.cfg.Trust.NodeIDs() {
		if id != n.id.Name {
			ids = append(ids, raft.ServerID(id))
		}
	}
	return ids
}

// updateTrust keeps the trust in step with the system chain: members of added organisations and added nodes can
// connect at once, and a removed node can connect as long as it is in Raft's configuration.
func (n *Node) updateTrust() {
	known := uint64(0)
	var members []raft.Server
	for next := n.store.Sequence(); n.waitSequence(next) == nil; {
		next = n.store.Sequence() + 1 // read before the tip: a block that arrives in between is seen in the next round
		tip, ok := n.store.Tip(ledger.SystemChain)
		now := n.replica.configuration()
		if !ok || tip.Header.Height == known && known != 0 && slices.Equal(now, members) {
			continue
		}
		members = now
		if err := n.cfg.Trust.Learn(n.store, tip.Header.Height, n.replica.member); err != nil {
			n.cfg.Logger.Error("cannot update the trusted organisations and nodes from the ledger", "error", err)
			continue
		}
		known = tip.Header.Height
	}
}

// waitSequence waits for block next, at most trustInterval: Raft's configuration changes without a block.
func (n *Node) waitSequence(next uint64) error {
	ctx, cancel := context.WithTimeout(n.ctx, trustInterval)
	defer cancel()
	err := n.store.WaitSequence(ctx, next)
	if n.ctx.Err() == nil && ctx.Err() != nil {
		return nil
	}
	return err
}

// fatal records the first fatal error, marks the directory of a removed node, and calls Config.Fatal.
func (n *Node) fatal(err error) {
	n.mu.Lock()
	if n.fault == nil {
		n.fault = err
	}
	n.mu.Unlock()
	if errors.Is(err, errRemoved) {
		if markErr := writeDurably(n.path(RemovedFile), []byte(err.Error()+"\n")); markErr != nil {
			n.cfg.Logger.Error("cannot mark the directory of a removed node", "error", markErr)
		}
	}
	n.cfg.Fatal(err)
}

// faultNow returns the first fatal error, or nil.
func (n *Node) faultNow() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault
}

// status fills in the node's part of a Ledger.Status response.
func (n *Node) status(out *ltlv1.StatusResponse) {
	s := n.replica.state()
	out.Id, out.Leader, out.Term = n.id.String(), string(s.leader), s.term
	out.Role = strings.ToLower(s.state.String())
	out.RestoreEpoch, out.RestoredBlocks = n.handshaker.dir.restoreEpoch(), n.handshaker.dir.restoredBlocks()
	out.Unrecorded = n.unrecordedText()
	for _, m := range n.replica.configuration() {
		out.Members = append(out.Members, &ltlv1.ConsensusMember{Id: string(m.ID), Voter: m.Suffrage == raft.Voter})
	}
	if err := n.faultNow(); err != nil {
		out.Fault = err.Error()
	} else if err := n.rebuildState(); err != nil {
		out.Fault = err.Error()
	} else {
		out.Fault, out.Lacking = cmp.Or(n.scrubber.Fault(), n.evidence.Fault()), n.scrubber.Lacking()
	}
}

// ready returns why this node cannot serve at present, or nil.
func (n *Node) ready() error {
	if err := n.faultNow(); err != nil {
		return err
	}
	if !n.handshaker.isOpen() {
		return errors.New("the peer handshake is not complete: too few other nodes have accepted this one; see its log")
	}
	if err := n.rebuildState(); err != nil {
		return err
	}
	if n.replica.fsm.catchUp.busy() {
		return errors.New("fetching blocks from the other nodes")
	}
	if n.replica.state().leader == "" {
		return errors.New("no leader is known")
	}
	return nil
}

// Addr returns the address of the gRPC services.
func (n *Node) Addr() string { return n.listener.Addr().String() }

// AdminAddr returns the address of the admin server; empty when there is none.
func (n *Node) AdminAddr() string {
	if n.admin == nil {
		return ""
	}
	return n.admin.Addr()
}

// Close stops the node and waits for every goroutine that it started. It may be called more than once.
//
// It closes in the reverse order of Open, except that raft stops before the services: entries that are being
// committed are answered first, and then no call waits for a raft that has stopped. The stores close last, when
// nothing uses them.
func (n *Node) Close() error {
	n.once.Do(func() { n.err = n.close() })
	return n.err
}

func (n *Node) close() error {
	var err error
	if n.admin != nil {
		err = errors.Join(err, n.admin.Close())
	}
	n.stop()
	if n.replica != nil {
		err = errors.Join(err, n.replica.close())
	}
	if n.server != nil {
		stopServer(n.server)
	} else if n.listener != nil {
		err = errors.Join(err, n.listener.Close())
	}
	n.wg.Wait()
	err = errors.Join(err, n.peers.close(), n.rebuild.close())
	if n.log != nil {
		err = errors.Join(err, n.log.Close())
	}
	if n.evidence != nil {
		err = errors.Join(err, n.evidence.Close())
	}
	if n.store != nil {
		err = errors.Join(err, n.store.Close())
	}
	return err
}

// stopServer waits for running calls, at most stopTimeout.
func stopServer(s *grpc.Server) {
	cut := time.AfterFunc(stopTimeout, s.Stop)
	defer cut.Stop()
	s.GracefulStop()
}

// stoppable cancels streams when the node stops. Without it, GracefulStop would wait until the clients end them.
func (n *Node) stoppable(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo,
	handler grpc.StreamHandler) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	return handler(server, &stoppableStream{ServerStream: stream, ctx: ctx})
}

type stoppableStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context ends with the stream or with the node.
func (s *stoppableStream) Context() context.Context { return s.ctx }
