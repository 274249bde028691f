package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// maxPipelineQueue bounds the appends of one stream that raft has and has not answered. Raft takes one at a time, so
// one is being stored and one is decoded meanwhile; the following ones wait in gRPC's flow control window.
const maxPipelineQueue = 2

// RaftServer is the serving side of a Transport. It outlives the Transport, so that raft can be restarted under a
// running gRPC server.
type RaftServer struct {
	ltlv1.UnimplementedRaftTransportServer
	current atomic.Pointer[Transport]
	// OnHandshake answers a peer's handshake; nil answers Unimplemented. Set it before serving.
	OnHandshake func(peer raft.ServerID, in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error)
}

// Introduce implements ltlv1.RaftTransportServer.
func (s *RaftServer) Introduce(ctx context.Context,
	in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
	if s.OnHandshake == nil {
		return s.UnimplementedRaftTransportServer.Introduce(ctx, in)
	}
	peer, err := callerID(ctx)
	if err != nil {
		return nil, status.Error(codes.PermissionDenied, err.Error())
	}
	out, err := s.OnHandshake(peer, in)
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	return out, nil
}

// NewRaftServer returns a server that answers Unavailable until Use is called.
func NewRaftServer() *RaftServer { return &RaftServer{} }

// Use directs all further calls to t; nil makes the server answer Unavailable.
func (s *RaftServer) Use(t *Transport) { s.current.Store(t) }

// committed calls Committed of the transport in use, if there is one.
func (s *RaftServer) committed(index, term uint64) {
	if t := s.current.Load(); t != nil {
		t.Committed(index, term)
	}
}

// announce calls Announce of the transport in use, if there is one.
func (s *RaftServer) announce(id raft.ServerID) {
	if t := s.current.Load(); t != nil {
		t.Announce(id)
	}
}

// enter returns the transport in use. The caller must call running.Done on it.
func (s *RaftServer) enter() (*Transport, error) {
	t := s.current.Load()
	if t == nil || !t.enter() {
		return nil, statusOf(raft.ErrTransportShutdown)
	}
	return t, nil
}

// AppendEntries serves one append or heartbeat.
func (s *RaftServer) AppendEntries(ctx context.Context,
	m *ltlv1.AppendEntriesRequest) (*ltlv1.AppendEntriesResponse, error) {
	t, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer t.running.Done()
	request, err := t.checkAppend(ctx, m)
	if err != nil {
		return nil, err
	}
	answer, err := deliver[raft.AppendEntriesResponse](ctx, t, request)
	if err != nil {
		return nil, err
	}
	return encodeAppendResponse(answer), nil
}

// RequestVote serves a candidate.
func (s *RaftServer) RequestVote(ctx context.Context, m *ltlv1.RequestVoteRequest) (*ltlv1.RequestVoteResponse, error) {
	t, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer t.running.Done()
	if err := t.checkPeer(ctx, m.GetHeader(), m.GetCandidate()); err != nil {
		return nil, err
	}
	request, err := decodeVote(m)
	if err != nil {
		return nil, statusOf(err)
	}
	if err := t.checkTerm(m.GetHeader(), request.Term, false); err != nil {
		return nil, err
	}
	answer, err := deliver[raft.RequestVoteResponse](ctx, t, request)
	if err != nil {
		return nil, err
	}
	return encodeVoteResponse(answer), nil
}

// RequestPreVote serves a node that asks whether it could win an election.
func (s *RaftServer) RequestPreVote(ctx context.Context,
	m *ltlv1.RequestPreVoteRequest) (*ltlv1.RequestPreVoteResponse, error) {
	t, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer t.running.Done()
	if err := t.checkPeer(ctx, m.GetHeader(), nil); err != nil {
		return nil, err
	}
	request, err := decodePreVote(m)
	if err != nil {
		return nil, statusOf(err)
	}
	answer, err := deliver[raft.RequestPreVoteResponse](ctx, t, request)
	if err != nil {
		return nil, err
	}
	return encodePreVoteResponse(answer), nil
}

// TimeoutNow serves a leader that transfers leadership to this node.
func (s *RaftServer) TimeoutNow(ctx context.Context, m *ltlv1.TimeoutNowRequest) (*ltlv1.TimeoutNowResponse, error) {
	t, err := s.enter()
	if err != nil {
		return nil, err
	}
	defer t.running.Done()
	if err := t.checkPeer(ctx, m.GetHeader(), nil); err != nil {
		return nil, err
	}
	if t.cfg.Raft != nil && string(t.cfg.Raft().Leader) != string(m.GetHeader().GetId()) {
		return nil, status.Errorf(codes.PermissionDenied, "node %.64q does not lead", m.GetHeader().GetId())
	}
	answer, err := deliver[raft.TimeoutNowResponse](ctx, t,
		&raft.TimeoutNowRequest{RPCHeader: decodeHeader(m.GetHeader())})
	if err != nil {
		return nil, err
	}
	return &ltlv1.TimeoutNowResponse{Header: encodeHeader(answer.RPCHeader)}, nil
}

// AppendPipeline serves a leader's stream of appends: one goroutine receives them and hands them to raft, this one
// answers in order.
func (s *RaftServer) AppendPipeline(stream grpc.BidiStreamingServer[ltlv1.AppendPipelineRequest,
	ltlv1.AppendPipelineResponse]) error {
	t, err := s.enter()
	if err != nil {
		return err
	}
	defer t.running.Done()
	ctx := stream.Context()
	queue := make(chan chan raft.RPCResponse, maxPipelineQueue)
	ended := make(chan error, 1)
	t.running.Add(1) // safe without mu: this handler itself is counted
	go func() {
		defer t.running.Done()
		defer close(queue)
		ended <- t.receiveAppends(stream, queue)
	}()
	for pending := range queue {
		var answer raft.RPCResponse
		select {
		case answer = <-pending:
		case <-t.ctx.Done():
			return statusOf(raft.ErrTransportShutdown)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		m := &ltlv1.AppendPipelineResponse{}
		if r, ok := answer.Response.(*raft.AppendEntriesResponse); answer.Error != nil {
			m.Error = answer.Error.Error()
		} else if ok {
			m.Append = encodeAppendResponse(r)
		} else {
			m.Error = "raft gave no answer"
		}
		if err := stream.Send(m); err != nil {
			return err
		}
	}
	return <-ended
}

// receiveAppends hands each append of the stream to raft, and queues the channel of its answer.
func (t *Transport) receiveAppends(stream grpc.BidiStreamingServer[ltlv1.AppendPipelineRequest,
	ltlv1.AppendPipelineResponse], queue chan<- chan raft.RPCResponse) error {
	ctx := stream.Context()
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		request, err := t.checkAppend(ctx, m.GetAppend())
		if err != nil {
			return err
		}
		answer := make(chan raft.RPCResponse, 1) // buffered, so that raft never waits
		if err := t.hand(ctx, raft.RPC{Command: request, RespChan: answer}); err != nil {
			return err
		}
		select {
		case queue <- answer:
		case <-t.ctx.Done():
			return statusOf(raft.ErrTransportShutdown)
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// checkAppend checks the sender and the content of an append.
func (t *Transport) checkAppend(ctx context.Context,
	m *ltlv1.AppendEntriesRequest) (*raft.AppendEntriesRequest, error) {
	if err := t.checkPeer(ctx, m.GetHeader(), m.GetLeader()); err != nil {
		return nil, err
	}
	request, err := decodeAppend(m)
	if err != nil {
		return nil, statusOf(err)
	}
	if err := t.checkTerm(m.GetHeader(), request.Term, true); err != nil {
		return nil, err
	}
	return request, nil
}

// checkPeer binds a message to the caller's certificate. Raft trusts the header (it takes the leader's id from it),
// so id, address and the older leader or candidate field must be the caller's.
func (t *Transport) checkPeer(ctx context.Context, h *ltlv1.RaftHeader, named []byte) error {
	peer, err := t.cfg.PeerID(ctx)
	if err != nil {
		return status.Error(codes.PermissionDenied, fmt.Sprintf("caller has no node identity: %v", err))
	}
	if peer == "" || peer == t.cfg.ID {
		return status.Error(codes.PermissionDenied, fmt.Sprintf("caller %q is not a peer", peer))
	}
	if err := checkHeader(h); err != nil {
		return statusOf(err)
	}
	same := func(b []byte) bool { return len(b) == 0 || string(b) == string(peer) }
	if string(h.GetId()) != string(peer) || !same(h.GetAddress()) || !same(named) {
		t.cfg.Logger.Warn("raft message in another node's name refused", "caller", string(peer),
			"header", fmt.Sprintf("%.64q", h.GetId()))
		return status.Error(codes.PermissionDenied, fmt.Sprintf("message names another node than the caller %q", peer))
	}
	return nil
}

// checkTerm refuses a message by which its sender, whom checkPeer has found to be the caller, raises this node's term
// too far or too often, or claims to lead where another node does. leads is set for messages that only a leader
// sends.
func (t *Transport) checkTerm(h *ltlv1.RaftHeader, term uint64, leads bool) error {
	if err := t.terms.claim(raft.ServerID(h.GetId()), term, leads); err != nil {
		return status.Error(codes.ResourceExhausted, err.Error())
	}
	return nil
}

// hand gives an RPC to raft's main loop, or returns an error when the caller or this transport has ended.
func (t *Transport) hand(ctx context.Context, rpc raft.RPC) error {
	select {
	case t.consumer <- rpc:
		return nil
	case <-t.ctx.Done():
		return statusOf(raft.ErrTransportShutdown)
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// deliver gives a command to raft and waits for the answer.
func deliver[R any](ctx context.Context, t *Transport, command any) (*R, error) {
	answers := make(chan raft.RPCResponse, 1)
	if err := t.hand(ctx, raft.RPC{Command: command, RespChan: answers}); err != nil {
		return nil, err
	}
	return await[R](ctx, t, answers)
}

// await waits for raft's answer. After a shutdown raft does not answer commands that it has not read.
func await[R any](ctx context.Context, t *Transport, answers <-chan raft.RPCResponse) (*R, error) {
	select {
	case a := <-answers:
		if a.Error != nil {
			return nil, statusOf(a.Error)
		}
		r, ok := a.Response.(*R)
		if !ok {
			return nil, status.Error(codes.Internal, fmt.Sprintf("raft answered %T", a.Response))
		}
		return r, nil
	case <-t.ctx.Done():
		return nil, statusOf(raft.ErrTransportShutdown)
	case <-ctx.Done():
		return nil, status.FromContextError(ctx.Err()).Err()
	}
}

// statusOf returns the gRPC status of an error.
func statusOf(err error) error {
	switch {
	case errors.Is(err, errMalformed):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, raft.ErrTransportShutdown), errors.Is(err, raft.ErrRaftShutdown):
		return status.Error(codes.Unavailable, err.Error())
	default:
		return status.Error(codes.Unknown, err.Error())
	}
}
