package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"

	ltlv1 "ltl/proto/ltl/v1"
)

// errAnswerLate ends a pipeline whose receiver did not answer within RPCTimeout.
var errAnswerLate = errors.New("node: no answer to an append in time")

// appendPipeline is a raft.AppendPipeline over one AppendPipeline stream. Raft calls AppendEntries from one
// goroutine.
type appendPipeline struct {
	t        *Transport
	id       raft.ServerID
	stream   grpc.BidiStreamingClient[ltlv1.AppendPipelineRequest, ltlv1.AppendPipelineResponse]
	ctx      context.Context
	cancel   context.CancelCauseFunc
	inFlight chan *appendFuture     // sent or being sent, in order; its capacity is the bound
	answered chan raft.AppendFuture // what raft consumes
	ended    chan struct{}          // the receiving goroutine has ended
}

// AppendEntriesPipeline implements raft.Transport.
func (t *Transport) AppendEntriesPipeline(id raft.ServerID, _ raft.ServerAddress) (raft.AppendPipeline, error) {
	client, err := t.open(id)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(t.ctx)
	stream, err := client.AppendPipeline(ctx)
	if err != nil {
		cancel(err)
		t.running.Done()
		return nil, fmt.Errorf("node: open append stream to %q: %w", id, err)
	}
	p := &appendPipeline{
		t: t, id: id, stream: stream, ctx: ctx, cancel: cancel,
		// One less: the receiving goroutine has taken one more out of the channel.
		inFlight: make(chan *appendFuture, max(t.cfg.MaxInFlight-1, 0)),
		answered: make(chan raft.AppendFuture, t.cfg.MaxInFlight),
		ended:    make(chan struct{}),
	}
	go p.receive()
	return p, nil
}

// AppendEntries implements raft.AppendPipeline. It blocks while MaxInFlight appends are unanswered.
func (p *appendPipeline) AppendEntries(args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	if p.ctx.Err() != nil {
		return nil, raft.ErrPipelineShutdown
	}
	m, err := encodeAppend(args)
	if err != nil {
		return nil, err
	}
	f := &appendFuture{start: time.Now(), args: args, resp: resp, done: make(chan struct{})}
	select {
	case p.inFlight <- f:
	case <-p.ctx.Done():
		return nil, raft.ErrPipelineShutdown
	}
	if err := p.stream.Send(&ltlv1.AppendPipelineRequest{Append: m}); err != nil {
		p.cancel(err)
		return nil, fmt.Errorf("node: append to %q: %w", p.id, err)
	}
	return f, nil
}

// Consumer implements raft.AppendPipeline.
func (p *appendPipeline) Consumer() <-chan raft.AppendFuture { return p.answered }

// Close implements raft.AppendPipeline. Raft calls it after its last AppendEntries has returned.
func (p *appendPipeline) Close() error {
	p.cancel(raft.ErrPipelineShutdown)
	<-p.ended
	return nil
}

// receive answers the futures in order until the stream, the pipeline or the transport ends. Raft also gets the first
// failed future from Consumer, and then abandons the pipeline; the later ones only get the error.
func (p *appendPipeline) receive() {
	defer p.t.running.Done()
	defer close(p.ended)
	err := p.answer()
	p.cancel(err)
	for {
		select {
		case f := <-p.inFlight:
			f.respond(err)
		default:
			return
		}
	}
}

func (p *appendPipeline) answer() error {
	for {
		var f *appendFuture
		select {
		case f = <-p.inFlight:
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
		late := time.AfterFunc(p.t.cfg.RPCTimeout, func() { p.cancel(errAnswerLate) })
		m, err := p.stream.Recv()
		late.Stop()
		if err != nil && p.ctx.Err() != nil {
			err = context.Cause(p.ctx)
		}
		if err == nil && m.GetError() != "" {
			err = errors.New(m.GetError())
		}
		if err == nil {
			*f.resp = *decodeAppendResponse(m.GetAppend())
			err = checkAnswer(p.id, f.resp.RPCHeader)
		}
		f.respond(err)
		select {
		case p.answered <- f:
		case <-p.ctx.Done():
			return context.Cause(p.ctx)
		}
		if err != nil {
			return err
		}
	}
}

// appendFuture is a raft.AppendFuture.
type appendFuture struct {
	start time.Time
	args  *raft.AppendEntriesRequest
	resp  *raft.AppendEntriesResponse
	done  chan struct{}
	err   error // set before done is closed
}

func (f *appendFuture) respond(err error) {
	if err != nil {
		*f.resp = raft.AppendEntriesResponse{} // raft reads Success without checking the error
	}
	f.err = err
	close(f.done)
}

// Error implements raft.Future; it waits for the answer.
func (f *appendFuture) Error() error {
	<-f.done
	return f.err
}

// Start implements raft.AppendFuture.
func (f *appendFuture) Start() time.Time { return f.start }

// Request implements raft.AppendFuture.
func (f *appendFuture) Request() *raft.AppendEntriesRequest { return f.args }

// Response implements raft.AppendFuture.
func (f *appendFuture) Response() *raft.AppendEntriesResponse { return f.resp }
