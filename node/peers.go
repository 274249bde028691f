package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// peers has the connections for everything but Raft's own messages: blocks, read indexes, handshakes, values that
// endorsers have. Raft has separate connections, so that a long catch-up never delays a heartbeat.
type peers struct {
	credentials *identity.Credentials
	trust       *identity.Trust
	handshaker  *handshaker

	mu    sync.Mutex
	conns map[raft.ServerID]*grpc.ClientConn
	// endorsers are the connections to endorsers, by organisation.
	endorsers map[string]*grpc.ClientConn
	closed    bool
}

// dial makes a connection to a node of the network. It does not wait until the connection is established.
func (p *peers) dial(id raft.ServerID, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	if _, err := p.address(id); err != nil {
		return nil, err
	}
	options = append(append(p.credentials.DialOptions(identity.RoleNode, string(id)), p.handshaker.dialOptions(id)...),
		options...)
	// The address is looked up each time a connection is made, so that a node that moves is found again where the ledger
	// says.
	dialer := func(ctx context.Context, _ string) (net.Conn, error) {
		address, err := p.address(id)
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", address)
	}
	return grpc.NewClient("passthrough:///"+string(id), append(options, grpc.WithContextDialer(dialer))...)
}

// address returns where a node is reached.
func (p *peers) address(id raft.ServerID) (string, error) {
	n, ok := p.trust.Node(string(id))
	if !ok {
		return "", fmt.Errorf("the network has no node %s", id)
	}
	return n.GetAddress(), nil
}

// conn returns the shared connection to a node.
func (p *peers) conn(id raft.ServerID) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.conns[id]; c != nil {
		return c, nil
	}
	if p.closed {
		return nil, errStopped
	}
	c, err := p.dial(id)
	if err != nil {
		return nil, err
	}
	p.conns[id] = c
	return c, nil
}

// endorser returns the shared connection to an organisation's endorser. Where it is reached is looked up each time a
// connection is made.
func (p *peers) endorser(organisation string, address func() (string, error)) (*grpc.ClientConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.endorsers[organisation]; c != nil {
		return c, nil
	}
	if p.closed {
		return nil, errStopped
	}
	dialer := func(ctx context.Context, _ string) (net.Conn, error) {
		at, err := address()
		if err != nil {
			return nil, err
		}
		return (&net.Dialer{}).DialContext(ctx, "tcp", at)
	}
	c, err := grpc.NewClient("passthrough:///endorser-"+organisation, append(
		p.credentials.DialOptions(identity.RoleEndorser, organisation), grpc.WithContextDialer(dialer))...)
	if err != nil {
		return nil, err
	}
	if p.endorsers == nil {
		p.endorsers = map[string]*grpc.ClientConn{}
	}
	p.endorsers[organisation] = c
	return c, nil
}

// fetch is a fetchFunc.
func (p *peers) fetch(ctx context.Context, peer raft.ServerID, from uint64, headersOnly bool, fn blockFunc) error {
	conn, err := p.conn(peer)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx) // ends the stream when fn returns an error
	defer cancel()
	stream, err := ltlv1.NewLedgerClient(conn).Follow(ctx, &ltlv1.FollowRequest{FromSequence: from,
		HeadersOnly: headersOnly, Openings: !headersOnly})
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if err := fn(m.GetSequence(), m.GetBlock()); err != nil {
			return err
		}
	}
}

// askIndex asks the leader for its read index.
func (p *peers) askIndex(ctx context.Context, leader raft.ServerID) (uint64, error) {
	conn, err := p.conn(leader)
	if err != nil {
		return 0, err
	}
	m, err := ltlv1.NewOrdererClient(conn).ReadIndex(ctx, &ltlv1.ReadIndexRequest{})
	return m.GetIndex(), err
}

// askTerm asks a node for its term.
func (p *peers) askTerm(ctx context.Context, peer raft.ServerID) (uint64, error) {
	conn, err := p.conn(peer)
	if err != nil {
		return 0, err
	}
	m, err := ltlv1.NewOrdererClient(conn).ConfirmTerm(ctx, &ltlv1.ConfirmTermRequest{})
	return m.GetTerm(), err
}

// askApplied asks a node for its applied index.
func (p *peers) askApplied(ctx context.Context, peer raft.ServerID) (uint64, error) {
	conn, err := p.conn(peer)
	if err != nil {
		return 0, err
	}
	m, err := ltlv1.NewLedgerClient(conn).Status(ctx, &ltlv1.StatusRequest{})
	if m.GetFault() != "" {
		return 0, errors.New(m.GetFault())
	}
	return m.GetAppliedIndex(), err
}

// handshake calls a peer's Introduce.
func (p *peers) handshake(ctx context.Context, peer raft.ServerID,
	in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
	conn, err := p.conn(peer)
	if err != nil {
		return nil, err
	}
	return ltlv1.NewRaftTransportClient(conn).Introduce(ctx, in)
}

// close ends all connections and the calls on them.
func (p *peers) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	var err error
	for _, c := range p.conns {
		err = errors.Join(err, c.Close())
	}
	for _, c := range p.endorsers {
		err = errors.Join(err, c.Close())
	}
	p.conns, p.endorsers = nil, nil
	return err
}

// callerID returns the id of the calling node, from its certificate.
func callerID(ctx context.Context) (raft.ServerID, error) {
	id, ok := identity.FromContext(ctx)
	if !ok || id.Role != identity.RoleNode {
		return "", errNoCaller
	}
	return raft.ServerID(id.Name), nil
}
