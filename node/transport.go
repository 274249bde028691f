package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/keepalive"

	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// defaultRPCTimeout is longer than a slow fsync of the receiver, which delays every answer (DESIGN.md, Timers), and
	// short enough that a call over a dead connection does not delay a peer that is back.
	defaultRPCTimeout = 5 * time.Second
	// defaultSnapshotTimeout bounds the time without progress.
	defaultSnapshotTimeout = 10 * time.Second
	// defaultSnapshotApplyTimeout is large, because the receiver may have to fetch and execute a long chain.
	defaultSnapshotApplyTimeout = time.Hour
	// defaultMaxInFlight lets the next append travel while the receiver stores the one before.
	defaultMaxInFlight = 4

	// A connection that lost its peer is detected after at most keepaliveTime+keepaliveTimeout when idle, and after
	// keepaliveTimeout when something was sent (gRPC sets TCP_USER_TIMEOUT to it).
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 3 * time.Second
	// Reconnecting must be quick, because a peer that came back is needed at once. gRPC's own bounds are 20 s and 120 s.
	connectTimeout  = 2 * time.Second
	connectDelay    = 100 * time.Millisecond
	connectMaxDelay = time.Second
	connectFactor   = 1.6
	connectJitter   = 0.2
)

// errWrongPeer is wrapped when the answer names another node than the one that was asked.
var errWrongPeer = errors.New("node: answer comes from another node")

// TransportConfig configures how a Transport reaches its peers and identifies its callers.
type TransportConfig struct {
	// ID is this node's id. Raft addresses are ids; Dial resolves them.
	ID raft.ServerID
	// Dial makes the one connection to a peer; use transportDialOptions. gRPC reconnects it by itself.
	Dial func(id raft.ServerID) (*grpc.ClientConn, error)
	// PeerID returns the caller of an incoming RPC, from its certificate.
	PeerID func(ctx context.Context) (raft.ServerID, error)
	// Raft returns what this node's raft knows, a zero RaftView while it has not started. nil: no message is refused for
	// its term or for who leads.
	Raft func() RaftView
	// Heartbeat is raft's HeartbeatTimeout; Raft needs it.
	Heartbeat time.Duration
	// OnSnapshotInstalled is called after raft installed a snapshot and before the leader gets the answer: the place for
	// afterSnapshotInstall. It must not wait for raft or the transport to shut down. May be nil.
	OnSnapshotInstalled func(index, term uint64)
	// Logger receives events; nil means slog.Default.
	Logger *slog.Logger
	// RPCTimeout bounds one call, and the wait for one answer of a pipeline. Zero means defaultRPCTimeout.
	RPCTimeout time.Duration
	// SnapshotTimeout bounds each piece of a snapshot, not the whole. Zero means defaultSnapshotTimeout.
	SnapshotTimeout time.Duration
	// SnapshotApplyTimeout bounds the wait for a receiver that has every piece and restores from it. Zero means
	// defaultSnapshotApplyTimeout.
	SnapshotApplyTimeout time.Duration
	// MaxInFlight bounds the unanswered appends of a pipeline. Zero means defaultMaxInFlight.
	MaxInFlight int
}

// RaftView is what a node's raft knows.
type RaftView struct {
	Term uint64 // 0 in a new directory
	// Leader is the leader of the term; empty while none is known.
	Leader raft.ServerID
	// Contact is when a leader was heard last.
	Contact time.Time
	// Voter reports whether a node has a vote, as far as this node knows; nil while raft has not started.
	Voter func(raft.ServerID) bool
}

func (c TransportConfig) withDefaults() TransportConfig {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.RPCTimeout == 0 {
		c.RPCTimeout = defaultRPCTimeout
	}
	if c.SnapshotTimeout == 0 {
		c.SnapshotTimeout = defaultSnapshotTimeout
	}
	if c.SnapshotApplyTimeout == 0 {
		c.SnapshotApplyTimeout = defaultSnapshotApplyTimeout
	}
	if c.MaxInFlight == 0 {
		c.MaxInFlight = defaultMaxInFlight
	}
	return c
}

// Transport carries hashicorp/raft's messages over gRPC. It is a raft.Transport, raft.WithPreVote and raft.WithClose.
// RaftServer is its serving side: the method names of raft.Transport and of the gRPC service clash.
type Transport struct {
	cfg   TransportConfig
	terms *termGuard // nil: none is refused
	// consumer has no buffer, so that a request whose sender gave up is never handed to raft late.
	consumer chan raft.RPC

	ctx    context.Context // ends with Close; the parent of every call and stream
	cancel context.CancelFunc

	mu      sync.Mutex
	closed  bool
	conns   map[raft.ServerID]*grpc.ClientConn
	streams map[*appendPipeline]struct{} // the open pipelines
	// committed is the newest entry that this node knows to be committed.
	committed entryID
	running   sync.WaitGroup // calls, pipelines, handlers; Add only under mu while not closed
}

// NewTransport returns a transport. Pass it to RaftServer.Use and to raft.NewRaft.
func NewTransport(cfg TransportConfig) *Transport {
	ctx, cancel := context.WithCancel(context.Background())
	var terms *termGuard
	if cfg.Raft != nil {
		terms = newTermGuard(cfg.Raft, cfg.Heartbeat)
	}
	return &Transport{
		cfg:      cfg.withDefaults(),
		terms:    terms,
		consumer: make(chan raft.RPC),
		ctx:      ctx,
		cancel:   cancel,
		conns:    make(map[raft.ServerID]*grpc.ClientConn),
		streams:  make(map[*appendPipeline]struct{}),
	}
}

// Consumer implements raft.Transport.
func (t *Transport) Consumer() <-chan raft.RPC { return t.consumer }

// LocalAddr implements raft.Transport. It is the node's id.
func (t *Transport) LocalAddr() raft.ServerAddress { return raft.ServerAddress(t.cfg.ID) }

// EncodePeer implements raft.Transport. Addresses are ids.
func (t *Transport) EncodePeer(id raft.ServerID, _ raft.ServerAddress) []byte { return []byte(id) }

// DecodePeer implements raft.Transport.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport. It does nothing, on purpose: heartbeats go through Consumer like
// every other message.
//
// The handler would run raft's appendEntries on the transport's goroutine, beside raft's main loop. A heartbeat of a
// newer term would then change term and state under a leader that is about to store a client's entry, and the entry
// would be stored under a term that this node never led: two nodes could commit different entries at one index
// (https://github.com/hashicorp/raft/issues/695, TestHeartbeatRace). The price is that a slow fsync delays the answer
// to a heartbeat; the timers allow for it (DESIGN.md, Timers).
func (t *Transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntries implements raft.Transport.
func (t *Transport) AppendEntries(id raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	request, err := encodeAppend(args)
	if err != nil {
		return err
	}
	return t.call(id, func(ctx context.Context, c ltlv1.RaftTransportClient) error {
		answer, err := c.AppendEntries(ctx, request)
		if err != nil {
			return err
		}
		*resp = *decodeAppendResponse(answer)
		return errors.Join(checkAnswer(id, resp.RPCHeader), t.terms.answer(id, args.Term, resp.Term))
	})
}

// RequestVote implements raft.Transport.
func (t *Transport) RequestVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	return t.call(id, func(ctx context.Context, c ltlv1.RaftTransportClient) error {
		answer, err := c.RequestVote(ctx, encodeVote(args))
		if err != nil {
			return err
		}
		*resp = *decodeVoteResponse(answer)
		return errors.Join(checkAnswer(id, resp.RPCHeader), t.terms.answer(id, args.Term, resp.Term))
	})
}

// RequestPreVote implements raft.WithPreVote.
func (t *Transport) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	return t.call(id, func(ctx context.Context, c ltlv1.RaftTransportClient) error {
		answer, err := c.RequestPreVote(ctx, encodePreVote(args))
		if err != nil {
			return err
		}
		*resp = *decodePreVoteResponse(answer)
		return errors.Join(checkAnswer(id, resp.RPCHeader), t.terms.answer(id, args.Term, resp.Term))
	})
}

// TimeoutNow implements raft.Transport.
func (t *Transport) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, args *raft.TimeoutNowRequest,
	resp *raft.TimeoutNowResponse) error {
	return t.call(id, func(ctx context.Context, c ltlv1.RaftTransportClient) error {
		answer, err := c.TimeoutNow(ctx, &ltlv1.TimeoutNowRequest{Header: encodeHeader(args.RPCHeader)})
		if err != nil {
			return err
		}
		*resp = raft.TimeoutNowResponse{RPCHeader: decodeHeader(answer.GetHeader())}
		return checkAnswer(id, resp.RPCHeader)
	})
}

// checkAnswer refuses the answer of another node: a wrong address must not become a vote.
func checkAnswer(id raft.ServerID, h raft.RPCHeader) error {
	if len(h.ID) > 0 && string(h.ID) != string(id) {
		return fmt.Errorf("%w: asked %q, answered by %q", errWrongPeer, id, h.ID)
	}
	return nil
}

// call runs one unary call within RPCTimeout.
func (t *Transport) call(id raft.ServerID, fn func(context.Context, ltlv1.RaftTransportClient) error) error {
	client, err := t.open(id)
	if err != nil {
		return err
	}
	defer t.running.Done()
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.RPCTimeout)
	defer cancel()
	return fn(ctx, client)
}

// open returns a client for the peer, and connects if there is no connection yet. It counts the caller as running:
// the caller must call running.Done.
func (t *Transport) open(id raft.ServerID) (ltlv1.RaftTransportClient, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, raft.ErrTransportShutdown
	}
	conn, ok := t.conns[id]
	if !ok {
		var err error
		if conn, err = t.cfg.Dial(id); err != nil {
			return nil, fmt.Errorf("node: connect to %q: %w", id, err)
		}
		t.conns[id] = conn
	}
	t.running.Add(1)
	return ltlv1.NewRaftTransportClient(conn), nil
}

// enter counts an incoming call as running, unless the transport is closed.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.running.Add(1)
	return true
}

// Close ends every call, pipeline, handler and connection, and waits for them. It implements raft.WithClose.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	conns := t.conns
	t.conns = make(map[raft.ServerID]*grpc.ClientConn)
	t.mu.Unlock()

	t.cancel()
	t.running.Wait()
	var errs []error
	for id, conn := range conns {
		if err := conn.Close(); err != nil {
			errs = append(errs, fmt.Errorf("node: close connection to %q: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// transportDialOptions returns what Dial must add to the credentials: message bounds, quick reconnects, detection of
// dead peers. The server's keepalive enforcement must allow a ping every keepaliveTime.
func transportDialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxRaftMessageBytes),
			grpc.MaxCallSendMsgSize(maxRaftMessageBytes)),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: connectDelay, Multiplier: connectFactor, Jitter: connectJitter,
				MaxDelay: connectMaxDelay},
			MinConnectTimeout: connectTimeout,
		}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout,
			PermitWithoutStream: true}),
	}
}

// transportServerOptions bounds what a peer may send in one message.
func transportServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.MaxRecvMsgSize(maxRaftMessageBytes), grpc.MaxSendMsgSize(maxRaftMessageBytes)}
}
