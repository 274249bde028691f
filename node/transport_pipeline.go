package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"

	ltlv1 "ltl/proto/ltl/v1"
)

// errAnswerLate ends a pipeline whose receiver did not answer within RPCTimeout.
var errAnswerLate = errors.New("node: no answer to an append in time")

const (
	// idleAppend is how often an append that says nothing new is sent nevertheless.
	idleAppend = time.Second
	// staleContact is how old the newest message may be before entries are sent without an empty append first.
	staleContact = 100 * time.Millisecond
)

// appendPipeline is a raft.AppendPipeline over one AppendPipeline stream. Raft calls AppendEntries from one
// goroutine.
//
// Raft sends an idle follower the newest commit index every CommitTimeout, whether or not that is new. The pipeline
// differs in two ways, for which DESIGN.md has the reasons: it announces a commit at once to a follower that waits for
// it, and it holds back an append that says nothing new.
type appendPipeline struct {
	t        *Transport
	id       raft.ServerID
	stream   grpc.BidiStreamingClient[ltlv1.AppendPipelineRequest, ltlv1.AppendPipelineResponse]
	ctx      context.Context
	cancel   context.CancelCauseFunc
	inFlight chan *appendFuture     // sent or being sent, in order; its capacity is the bound
	answered chan raft.AppendFuture // what raft consumes
	ended    chan struct{}          // both goroutines have ended
	wake     chan struct{}          // the follower asks for the newest commit; it holds one

	sending sync.Mutex                // held while a message is sent; guards the fields below
	from    raft.AppendEntriesRequest // sender and term of the newest append, and nothing else of it
	held    *appendFuture             // the newest append that says nothing new, until something is sent
	sent    uint64                    // the newest entry that the follower has when it has handled what was sent
	told    uint64                    // the newest entry that it then knows to be committed
	last    time.Time                 // when a message was sent last
	asked   bool                      // announce once the committed entry has been sent
}

// entryID is an entry of the Raft log. Two logs that both have an entry with this index and term are the same up to it.
type entryID struct{ index, term uint64 }

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
		wake:     make(chan struct{}, 1),
	}
	t.mu.Lock()
	t.streams[p] = struct{}{}
	t.mu.Unlock()
	go p.run()
	return p, nil
}

// Committed notes that an entry is committed, for Announce.
func (t *Transport) Committed(index, term uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed = entryID{index, term}
}

// Announce tells a follower at once of the newest commit. Call it on whichever node is asked: only one that leads has
// pipelines. It does not block.
func (t *Transport) Announce(id raft.ServerID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for p := range t.streams {
		if p.id != id {
			continue
		}
		select {
		case p.wake <- struct{}{}:
		default: // it looks at the newest anyway
		}
	}
}

// AppendEntries implements raft.AppendPipeline. It blocks while MaxInFlight appends are unanswered.
func (p *appendPipeline) AppendEntries(args *raft.AppendEntriesRequest,
	resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	p.sending.Lock()
	defer p.sending.Unlock()
	if p.ctx.Err() != nil {
		return nil, raft.ErrPipelineShutdown
	}
	f := &appendFuture{start: time.Now(), args: args, resp: resp, done: make(chan struct{})}
	p.from = raft.AppendEntriesRequest{RPCHeader: args.RPCHeader, Term: args.Term,
		//lint:ignore SA1019 raft still fills and reads it
		Leader: args.Leader}
	if p.saysNothing(args) {
		p.held = f
		return f, nil
	}
	if p.held != nil && time.Since(p.last) > staleContact {
		if err := p.send(p.held); err != nil {
			return nil, err
		}
	}
	if err := p.send(f); err != nil {
		return nil, err
	}
	if p.asked {
		return f, p.announce()
	}
	return f, nil
}

// saysNothing reports whether the follower learns nothing from an append. Raft hears nothing of one that is held back:
// neither of success nor of failure, so that no leader's lease rests on it.
func (p *appendPipeline) saysNothing(args *raft.AppendEntriesRequest) bool {
	return len(args.Entries) == 0 && args.PrevLogEntry <= p.sent && min(args.LeaderCommitIndex, args.PrevLogEntry) <= p.told &&
		time.Since(p.last) < idleAppend
}

// send sends an append when there is room for it.
func (p *appendPipeline) send(f *appendFuture) error {
	m, err := encodeAppend(f.args)
	if err != nil {
		return err
	}
	p.held = nil
	select {
	case p.inFlight <- f:
	case <-p.ctx.Done():
		return raft.ErrPipelineShutdown
	}
	if err := p.stream.Send(&ltlv1.AppendPipelineRequest{Append: m}); err != nil {
		p.cancel(err)
		return fmt.Errorf("node: append to %q: %w", p.id, err)
	}
	reached := f.args.PrevLogEntry + uint64(len(f.args.Entries))
	p.sent, p.told = max(p.sent, reached), max(p.told, min(f.args.LeaderCommitIndex, reached))
	p.last = time.Now()
	return nil
}

// announce sends an empty append with the newest commit, unless the follower knows it. Where the entry itself has not
// been sent, the announcement follows it.
//
// The append names the committed entry as the one before it. A follower that has another entry there refuses it, so it
// never takes a branch of its own for committed. Its term is the one in which raft opened the pipeline: a follower that
// knows a later one refuses it.
func (p *appendPipeline) announce() error {
	p.t.mu.Lock()
	c := p.t.committed
	p.t.mu.Unlock()
	p.asked = c.index > p.sent
	if c.index <= p.told || p.asked || c.term > p.from.Term {
		return nil
	}
	args := p.from
	args.PrevLogEntry, args.PrevLogTerm, args.LeaderCommitIndex = c.index, c.term, c.index
	return p.send(&appendFuture{start: time.Now(), args: &args, resp: &raft.AppendEntriesResponse{},
		done: make(chan struct{}), announces: true})
}

// Consumer implements raft.AppendPipeline.
func (p *appendPipeline) Consumer() <-chan raft.AppendFuture { return p.answered }

// Close implements raft.AppendPipeline. Raft calls it after its last AppendEntries has returned.
func (p *appendPipeline) Close() error {
	p.cancel(raft.ErrPipelineShutdown)
	<-p.ended
	return nil
}

// run sends announcements and receives answers until the stream, the pipeline or the transport ends.
func (p *appendPipeline) run() {
	defer p.t.running.Done()
	defer close(p.ended)
	var announcing sync.WaitGroup
	announcing.Go(func() {
		for {
			select {
			case <-p.wake:
			case <-p.ctx.Done():
				return
			}
			p.sending.Lock()
			_ = p.announce() // raft hears of it at its next append
			p.sending.Unlock()
		}
	})
	p.receive()
	announcing.Wait()
	p.t.mu.Lock()
	delete(p.t.streams, p)
	p.t.mu.Unlock()
}

// receive answers the futures in order. Raft also gets the first failed future from Consumer, and then abandons the
// pipeline; the later ones only get the error.
func (p *appendPipeline) receive() {
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
			err = errors.Join(checkAnswer(p.id, f.resp.RPCHeader), p.t.terms.answer(p.id, f.args.Term, f.resp.Term))
		}
		f.respond(err)
		if f.announces && err == nil {
			continue // raft has not sent it; what a refusal means it hears from its own messages
		}
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
	// announces is set for one that raft has not sent.
	announces bool
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
