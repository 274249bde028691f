package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// simLatency is how long a message travels, simTimeout how long a caller waits for an answer that does not come.
const (
	simLatency = time.Millisecond
	simTimeout = time.Second
)

var errSimLost = errors.New("simulated network: no answer")

// simNet is a network in memory. A link may be cut in one direction.
type simNet struct {
	mu    sync.Mutex
	ports map[raft.ServerID]*simPort // the transport that answers at an address at present
	hosts map[raft.ServerID]*simHost
	cut   map[[2]raft.ServerID]bool
	// starved is a node that gets no blocks.
	starved raft.ServerID
}

// simHost is what a running node answers besides raft's messages.
type simHost struct {
	replica *replica
	store   *store.Store
}

func newSimNet() *simNet {
	return &simNet{ports: make(map[raft.ServerID]*simPort), hosts: make(map[raft.ServerID]*simHost),
		cut: make(map[[2]raft.ServerID]bool)}
}

func (n *simNet) setCut(from, to raft.ServerID, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]raft.ServerID{from, to}] = cut
}

func (n *simNet) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.cut)
}

func (n *simNet) open(from, to raft.ServerID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return !n.cut[[2]raft.ServerID{from, to}]
}

// setHost makes a node answer, or with nil be silent.
func (n *simNet) setHost(id raft.ServerID, h *simHost) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[id] = h
}

// host returns a node that the caller can reach, after the time that a question travels.
func (n *simNet) host(ctx context.Context, from, to raft.ServerID) (*simHost, error) {
	select {
	case <-time.After(simLatency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	h := n.hosts[to]
	n.mu.Unlock()
	if h == nil || !n.open(from, to) {
		select {
		case <-time.After(simTimeout):
		case <-ctx.Done():
		}
		return nil, errSimLost
	}
	return h, nil
}

// answered loses the answer when the way back is cut.
func (n *simNet) answered(from, to raft.ServerID) error {
	if !n.open(to, from) {
		return errSimLost
	}
	return nil
}

func (n *simNet) askTerm(from raft.ServerID) func(context.Context, raft.ServerID) (uint64, error) {
	return func(ctx context.Context, to raft.ServerID) (uint64, error) {
		h, err := n.host(ctx, from, to)
		if err != nil {
			return 0, err
		}
		out, err := (&ordererService{r: h.replica}).ConfirmTerm(ctx, nil)
		return out.GetTerm(), errors.Join(err, n.answered(from, to))
	}
}

func (n *simNet) askIndex(from raft.ServerID) func(context.Context, raft.ServerID) (uint64, error) {
	return func(ctx context.Context, to raft.ServerID) (uint64, error) {
		h, err := n.host(ctx, from, to)
		if err != nil {
			return 0, err
		}
		out, err := (&ordererService{r: h.replica}).ReadIndex(ctx, nil)
		return out.GetIndex(), errors.Join(err, n.answered(from, to))
	}
}

func (n *simNet) fetch(from raft.ServerID) fetchFunc {
	return func(ctx context.Context, to raft.ServerID, sequence uint64, headersOnly bool,
		fn func(uint64, *ltlv1.Block) error) error {
		for ; ; sequence++ {
			n.mu.Lock()
			starved := n.starved == from
			n.mu.Unlock()
			if starved {
				<-ctx.Done()
				return ctx.Err()
			}
			h, err := n.host(ctx, from, to)
			if err != nil {
				return err
			}
			if err := h.store.WaitSequence(ctx, sequence+1); err != nil {
				return err
			}
			b, err := h.store.BlockAt(sequence)
			if err := errors.Join(err, n.answered(from, to)); err != nil {
				return err
			}
			if headersOnly {
				b = &ltlv1.Block{Header: b.GetHeader()}
			}
			if err := fn(sequence, b); err != nil {
				return err
			}
		}
	}
}

// simPort is a raft.Transport over a simNet.
type simPort struct {
	net       *simNet
	id        raft.ServerID
	consumer  chan raft.RPC
	installed func(index, term uint64)
	closed    chan struct{}
	once      sync.Once
}

// port makes the transport of one run of raft; it answers at its address from now on.
func (n *simNet) port(id raft.ServerID, installed func(index, term uint64)) *simPort {
	p := &simPort{net: n, id: id, consumer: make(chan raft.RPC), installed: installed, closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ports[id] = p
	return p
}

func (p *simPort) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *simPort) Consumer() <-chan raft.RPC                               { return p.consumer }
func (p *simPort) LocalAddr() raft.ServerAddress                           { return raft.ServerAddress(p.id) }
func (p *simPort) EncodePeer(_ raft.ServerID, a raft.ServerAddress) []byte { return []byte(a) }
func (p *simPort) DecodePeer(b []byte) raft.ServerAddress                  { return raft.ServerAddress(b) }
func (p *simPort) SetHeartbeatHandler(func(raft.RPC))                      {}

// call sends one message and waits for its answer.
func (p *simPort) call(to raft.ServerID, command any, r io.Reader) (any, *simPort, error) {
	timeout := time.NewTimer(simTimeout)
	defer timeout.Stop()
	time.Sleep(simLatency)
	p.net.mu.Lock()
	target := p.net.ports[to]
	p.net.mu.Unlock()
	lost := func() (any, *simPort, error) {
		select {
		case <-timeout.C:
		case <-p.closed:
		}
		return nil, nil, errSimLost
	}
	if target == nil || !p.net.open(p.id, to) {
		return lost()
	}
	answer := make(chan raft.RPCResponse, 1)
	select {
	case target.consumer <- raft.RPC{Command: command, Reader: r, RespChan: answer}:
	case <-target.closed:
		return lost()
	case <-timeout.C:
		return nil, nil, errSimLost
	case <-p.closed:
		return nil, nil, errSimLost
	}
	select {
	case a := <-answer:
		if !p.net.open(to, p.id) {
			return lost()
		}
		return a.Response, target, a.Error
	case <-target.closed:
		return lost()
	case <-timeout.C:
		return nil, nil, errSimLost
	case <-p.closed:
		return nil, nil, errSimLost
	}
}

// copyAppend gives the receiver entries of its own, as a wire would.
func copyAppend(m *raft.AppendEntriesRequest) *raft.AppendEntriesRequest {
	c := *m
	c.Entries = make([]*raft.Log, len(m.Entries))
	for i, l := range m.Entries {
		e := *l
		c.Entries[i] = &e
	}
	return &c
}

func (p *simPort) AppendEntries(id raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) error {
	return simAnswer(p, id, copyAppend(args), nil, resp)
}

func (p *simPort) RequestVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestVoteRequest,
	resp *raft.RequestVoteResponse) error {
	return simAnswer(p, id, args, nil, resp)
}

func (p *simPort) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestPreVoteRequest,
	resp *raft.RequestPreVoteResponse) error {
	return simAnswer(p, id, args, nil, resp)
}

func (p *simPort) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, args *raft.TimeoutNowRequest,
	resp *raft.TimeoutNowResponse) error {
	return simAnswer(p, id, args, nil, resp)
}

func (p *simPort) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	b, err := io.ReadAll(data)
	if err != nil {
		return err
	}
	a, target, err := p.call(id, args, bytes.NewReader(b))
	if err != nil {
		return err
	}
	*resp = *a.(*raft.InstallSnapshotResponse)
	if resp.Success {
		target.installed(args.LastLogIndex, args.LastLogTerm)
	}
	return nil
}

func simAnswer[T any](p *simPort, to raft.ServerID, command any, r io.Reader, resp *T) error {
	a, _, err := p.call(to, command, r)
	if err != nil {
		return err
	}
	*resp = *a.(*T)
	return nil
}

// simPipeline sends appends in order, each after the answer to the one before; raft's side of it is that of a real one.
type simPipeline struct {
	port   *simPort
	to     raft.ServerID
	queue  chan *simAppend
	done   chan raft.AppendFuture
	closed chan struct{}
	once   sync.Once
}

type simAppend struct {
	start    time.Time
	request  *raft.AppendEntriesRequest
	response *raft.AppendEntriesResponse
	ready    chan struct{}
	err      error
}

func (a *simAppend) Error() error                          { <-a.ready; return a.err }
func (a *simAppend) Start() time.Time                      { return a.start }
func (a *simAppend) Request() *raft.AppendEntriesRequest   { return a.request }
func (a *simAppend) Response() *raft.AppendEntriesResponse { return a.response }

func (p *simPort) AppendEntriesPipeline(id raft.ServerID, _ raft.ServerAddress) (raft.AppendPipeline, error) {
	l := &simPipeline{port: p, to: id, queue: make(chan *simAppend, 4), done: make(chan raft.AppendFuture, 64),
		closed: make(chan struct{})}
	go l.run()
	return l, nil
}

func (l *simPipeline) run() {
	for {
		select {
		case a := <-l.queue:
			a.err = simAnswer(l.port, l.to, copyAppend(a.request), nil, a.response)
			close(a.ready)
			select {
			case l.done <- a:
			case <-l.closed:
				return
			case <-l.port.closed:
				return
			}
			if a.err != nil {
				_ = l.Close() // a stream that broke does not come back; raft makes another
				return
			}
		case <-l.closed:
			return
		case <-l.port.closed:
			return
		}
	}
}

func (l *simPipeline) AppendEntries(args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	a := &simAppend{start: time.Now(), request: args, response: resp, ready: make(chan struct{})}
	select {
	case l.queue <- a:
		return a, nil
	case <-l.closed:
		return nil, raft.ErrPipelineShutdown
	case <-l.port.closed:
		return nil, raft.ErrPipelineShutdown
	}
}

func (l *simPipeline) Consumer() <-chan raft.AppendFuture { return l.done }

func (l *simPipeline) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}
