package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"ltl/internal/admission"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	"ltl/internal/tracing"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// maxQueueItems and maxQueueBytes bound the queue, beside what each organisation has of its own, so that others
	// together cannot take all. A full queue refuses at once with ResourceExhausted.
	maxQueueItems = 4096
	maxQueueBytes = 32 << 20
	ownItems      = 16
	ownBytes      = 2 * maxBatchSize
	// maxInFlight is how many entries raft works on at a time. With one entry, the disk is idle while the network works
	// and the other way round. With many, entries stay small and each pays for an append of its own.
	maxInFlight = 3
	// maxBatchSize bounds an encoded batch in bytes: transactions, endorsements, framing.
	maxBatchSize = rules.MaxBatch + 128<<10
	// maxEntrySize bounds the batches of an entry in bytes; the rest of rules.MaxEntry is framing.
	maxEntrySize = rules.MaxEntry - 64<<10
	// maxEntryBatches and maxEntryTransactions bound the number of batches and transactions in an entry, because what
	// execution stores for a transaction is far larger than the smallest transaction. Entries of usual transactions
	// reach maxEntrySize first.
	maxEntryBatches      = 1024
	maxEntryTransactions = 32 << 10
	// enqueueTimeout is how long raft's main loop may take to accept an entry.
	enqueueTimeout = 5 * time.Second
)

// orderRequest is one batch or one sealed secret that waits to be ordered.
type orderRequest struct {
	batch  *ltlv1.Batch
	sealed *ltlv1.SealedKey
	size   int
	queued time.Time
	span   tracing.Span

	done    chan struct{} // closed when the fields below are set
	results []*ltlv1.Result
	code    int32 // of a sealed secret
	err     error
}

// orderer puts requests into Raft entries. An idle leader sends a request at once. A busy leader collects requests
// until an entry in flight is answered, so that many callers share one append and a single caller never waits for
// others.
type orderer struct {
	r  *replica
	wg sync.WaitGroup
	// items and bytes of the requests that are here, in the queue or with raft, by caller and organisation.
	callerItems, callerBytes *admission.Shares

	mu       sync.Mutex
	wake     *sync.Cond
	queue    []*orderRequest
	bytes    int
	inFlight int
	closed   bool
}

func newOrderer(r *replica) *orderer {
	shares := func(queue, own int64) *admission.Shares {
		return admission.NewShares(queue, queue/2, queue*3/4, own)
	}
	o := &orderer{r: r, callerItems: shares(maxQueueItems, ownItems), callerBytes: shares(maxQueueBytes, ownBytes)}
	o.wake = sync.NewCond(&o.mu)
	o.wg.Add(1)
	go o.run()
	return o
}

// submit orders an endorsed batch and returns the results of its execution. A batch that is refused before ordering
// gets results too. An error is a gRPC status; its text says whether something may have been written.
func (o *orderer) submit(ctx context.Context, b *ltlv1.Batch) ([]*ltlv1.Result, error) {
	if err := checkBatch(b); err != nil {
		return nil, err
	}
	if _, err := o.r.reads.leaderReady(ctx); err != nil {
		return nil, err
	}
	refused, err := o.checkEndorsements(b)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		if refused, err = o.recheckEndorsements(ctx, b); err != nil {
			return nil, err
		}
	}
	if refused != nil {
		return refused, nil
	}
	p := &orderRequest{batch: b, size: proto.Size(b), span: o.r.cfg.Tracer.Of(ctx), done: make(chan struct{})}
	if err := o.enqueue(ctx, p); err != nil {
		return nil, err
	}
	return p.results, nil
}

// enter counts a request for its caller until the function that it returns is called, before any signature of it is
// verified, so that a flood of requests costs little. It refuses one for which there is no room.
func (o *orderer) enter(caller identity.Identity, size int) (leave func(), err error) {
	name, organisation, n := caller.String(), caller.Organisation, int64(size)
	ok := o.callerItems.Take(name, organisation, 1)
	if ok && !o.callerBytes.Take(name, organisation, n) {
		o.callerItems.Give(name, organisation, 1)
		ok = false
	}
	if !ok {
		o.r.metrics.overloaded()
		return nil, refuse(codes.ResourceExhausted, "too many batches wait to be ordered, in all or of %s or its "+
			"organisation; nothing was written, try again later", caller)
	}
	return func() {
		o.callerItems.Give(name, organisation, 1)
		o.callerBytes.Give(name, organisation, n)
	}, nil
}

// recheckEndorsements checks a refused batch again after this node has executed everything that is committed. A
// refusal does not go through Raft, so only the read index shows whether another node leads by now. A leader with a
// slow disk may also be behind its followers; endorsers that follow them have then judged by blocks that the leader
// has not executed.
func (o *orderer) recheckEndorsements(ctx context.Context, b *ltlv1.Batch) ([]*ltlv1.Result, error) {
	if err := o.catchUp(ctx); err != nil {
		return nil, err
	}
	return o.checkEndorsements(b)
}

// catchUp waits until this node, if it still leads, has executed everything that is committed.
func (o *orderer) catchUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, maxReadWait)
	defer cancel()
	index, err := o.r.reads.leading.join(ctx)
	if err != nil {
		return err
	}
	if err := o.r.store.WaitApplied(ctx, index); err != nil {
		return refuse(waitCode(ctx), "this node leads, but it has not executed Raft entry %d in time: %v; nothing "+
			"was written", index, err)
	}
	return nil
}

// checkBatch refuses a batch that no Raft entry may contain.
func checkBatch(b *ltlv1.Batch) error {
	switch n := len(b.GetTransactions()); {
	case !ledger.ValidChainID(b.GetChainId()):
		return refuse(codes.InvalidArgument, "batch: chain id %.32q is not %d digits", b.GetChainId(), ledger.ChainIDLen)
	case n == 0 || n > rules.MaxBatchTransactions:
		return refuse(codes.InvalidArgument, "batch: it has %d transactions, 1 to %d are taken", n,
			rules.MaxBatchTransactions)
	case len(b.GetEndorsements()) > rules.MaxEndorsements:
		return refuse(codes.InvalidArgument, "batch: it has %d endorsements, at most %d are taken", len(b.GetEndorsements()),
			rules.MaxEndorsements)
	case unknownInBatches([]*ltlv1.Batch{b}):
		return refuse(codes.InvalidArgument, "batch: it has fields that this node does not know")
	}
	sum := 0
	for i, t := range b.GetTransactions() {
		if len(t) == 0 || len(t) > rules.MaxTransaction {
			return refuse(codes.InvalidArgument, "batch: transaction %d has %d bytes, 1 to %d are taken", i, len(t),
				rules.MaxTransaction)
		}
		sum += len(t)
	}
	for i, all := range b.GetOpenings() {
		if n := len(all.GetOpenings()); n > rules.MaxValues {
			return refuse(codes.InvalidArgument, "batch: transaction %d has %d openings, at most %d are taken", i, n,
				rules.MaxValues)
		}
	}
	if sum > rules.MaxBatch {
		return refuse(codes.InvalidArgument, "batch: its transactions have %d bytes, at most %d are taken", sum,
			rules.MaxBatch)
	}
	if n := proto.Size(b); n > maxBatchSize {
		return refuse(codes.InvalidArgument, "batch: with openings and endorsements it has %d bytes, at most %d are taken", n,
			maxBatchSize)
	}
	return nil
}

// checkEndorsements verifies endorsements and policy before a batch goes into Raft. Execution finds the signatures in
// the cache and does not verify them again. It returns nil when the batch may be ordered, and otherwise a result for
// each transaction.
//
// Every transaction must be endorsed or already on the ledger. Otherwise one endorsed transaction could carry any
// number of unendorsed ones into the ledger, outside all quotas.
func (o *orderer) checkEndorsements(b *ltlv1.Batch) ([]*ltlv1.Result, error) {
	s := o.r.store
	in, ok := s.Due(b.GetChainId())
	if !ok {
		return o.refuseAll(len(b.GetTransactions()), rules.NotFound), nil
	}
	in.Batches = []*ltlv1.Batch{b}
	admitted, err := rules.Admit(in, s, o.r.endorsements.Verify)
	if err != nil {
		return nil, refuse(codes.Internal, "admit: %v", err)
	}
	if ms := o.withheldMs(admitted.ClockMs); ms != 0 {
		return o.refuseWithheld(len(b.GetTransactions()), ms), nil
	}
	results := make([]*ltlv1.Result, len(admitted.Codes))
	all := true
	for i, code := range admitted.Codes {
		if code == rules.OK { // endorsed, but others of the batch are not: the same bytes may come again without them
			code = rules.NotEndorsed
		} else {
			all = false
			o.r.metrics.refused(code)
		}
		results[i] = &ltlv1.Result{Code: code, Reason: admitted.Reasons[i]}
	}
	if all {
		return nil, nil
	}
	return results, nil
}

func (o *orderer) refuseAll(n int, code int32) []*ltlv1.Result {
	results := make([]*ltlv1.Result, n)
	for i := range results {
		o.r.metrics.refused(code)
		results[i] = &ltlv1.Result{Code: code}
	}
	return results
}

// enqueue queues a request that has entered, and waits for its answer. A caller that gives up before the request is in
// an entry has written nothing, and the request leaves the queue; later the outcome is unknown.
func (o *orderer) enqueue(ctx context.Context, p *orderRequest) error {
	o.mu.Lock()
	if o.closed {
		o.mu.Unlock()
		return refuse(codes.Unavailable, "node is stopping; nothing was written")
	}
	p.queued = time.Now()
	o.queue = append(o.queue, p)
	o.bytes += p.size
	o.wake.Signal()
	o.mu.Unlock()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
	}
	o.mu.Lock()
	at := slices.Index(o.queue, p)
	if at >= 0 {
		o.queue = slices.Delete(o.queue, at, at+1)
		o.bytes -= p.size
	}
	o.mu.Unlock()
	if at >= 0 {
		return refuse(contextCode(ctx), "gave up before the batch was ordered; nothing was written")
	}
	return refuse(contextCode(ctx), "gave up while the batch was being ordered; its outcome is unknown, send the same "+
		"bytes again")
}

// run sends entries until close. Only this goroutine calls raft.Apply, so entries keep the order in which they are
// made.
func (o *orderer) run() {
	defer o.wg.Done()
	for {
		group := o.nextEntry()
		if group == nil {
			return
		}
		o.replicate(group)
	}
}

// nextEntry waits until an entry may be sent, and takes its content from the queue: one sealed secret, or as many
// batches as fit. It returns nil after close.
func (o *orderer) nextEntry() []*orderRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.closed && (len(o.queue) == 0 || o.inFlight >= maxInFlight) {
		o.wake.Wait()
	}
	if o.closed {
		return nil
	}
	o.inFlight++
	o.r.progress.begin()
	return o.takeLocked()
}

func (o *orderer) takeLocked() []*orderRequest {
	var group []*orderRequest
	size, transactions, n := 0, 0, 0
	for _, p := range o.queue {
		alone := p.sealed != nil
		transactions += len(p.batch.GetTransactions())
		if len(group) > 0 && (alone || size+p.size > maxEntrySize || len(group) == maxEntryBatches ||
			transactions > maxEntryTransactions) {
			break
		}
		n++
		o.bytes -= p.size
		group = append(group, p)
		if size += p.size + 8; alone {
			break
		}
	}
	clear(o.queue[:n])
	if o.queue = o.queue[n:]; len(o.queue) == 0 {
		o.queue = nil
	}
	return group
}

// replicate passes an entry to raft, and answers its requests in the background when the entry is executed.
func (o *orderer) replicate(group []*orderRequest) {
	s, err := o.r.use()
	if err != nil {
		o.reply(group, nil, refuse(codes.Unavailable, "%v; nothing was written", err))
		return
	}
	data, err := encodeEntry(o.entry(group))
	if err != nil {
		s.release()
		o.reply(group, nil, refuse(codes.Internal, "%v", err))
		return
	}
	o.r.metrics.replicating(len(group), len(data))
	taken := time.Now()
	for _, p := range group {
		o.r.metrics.dequeued(taken.Sub(p.queued))
	}
	future := s.raft.Apply(data, enqueueTimeout)
	o.wg.Add(1)
	go func() {
		defer o.wg.Done()
		defer s.release()
		err := future.Error()
		if err != nil {
			_, leader := s.raft.LeaderWithID()
			o.reply(group, nil, applyError(err, leader))
			return
		}
		switch response := future.Response().(type) {
		case *store.EntryResult:
			o.trace(group, taken, future.Index())
			o.reply(group, response, nil)
		case error:
			o.reply(group, nil, refuse(codes.Unavailable, "the batch is committed but this node cannot execute it: %v; send "+
				"the same bytes to another node", response))
		default:
			o.reply(group, nil, refuse(codes.Internal, "BUG: the state machine answered %T", response))
		}
	}()
}

func (o *orderer) entry(group []*orderRequest) *ltlv1.Entry {
	if k := group[0].sealed; k != nil {
		return &ltlv1.Entry{Entry: &ltlv1.Entry_Sealed{Sealed: k}}
	}
	batches := make([]*ltlv1.Batch, len(group))
	for i, p := range group {
		batches[i] = p.batch
	}
	return &ltlv1.Entry{Entry: &ltlv1.Entry_Batches{Batches: &ltlv1.OrderedBatches{Batches: batches}}}
}

// reply answers the requests of an entry.
func (o *orderer) reply(group []*orderRequest, result *store.EntryResult, err error) {
	if err == nil && group[0].sealed == nil && len(result.Results) != len(group) {
		err = refuse(codes.Internal, "BUG: %d results for %d batches", len(result.Results), len(group))
	}
	for i, p := range group {
		if p.err = err; err == nil {
			if p.sealed != nil {
				p.code = result.SealedCode
			} else {
				p.results = result.Results[i]
			}
			o.r.metrics.committed(time.Since(p.queued), p.results)
		}
		close(p.done)
	}
	o.r.progress.end(err == nil)
	o.mu.Lock()
	o.inFlight--
	o.wake.Signal()
	o.mu.Unlock()
}

// depth returns the number of waiting requests, their bytes, and the number of entries in flight.
func (o *orderer) depth() (items, bytes, inFlight int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue), o.bytes, o.inFlight
}

// close refuses the waiting requests and returns when no entry is in flight. Raft must still be running.
func (o *orderer) close() {
	o.mu.Lock()
	o.closed = true
	queue := o.queue
	o.queue, o.bytes = nil, 0
	for _, p := range queue {
		p.err = refuse(codes.Unavailable, "node is stopping; nothing was written")
		close(p.done)
	}
	o.wake.Broadcast()
	o.mu.Unlock()
	o.wg.Wait()
}

// applyError translates an error of raft.Apply. It tells apart a batch that was certainly not written from one whose
// outcome is unknown.
func applyError(err error, leader raft.ServerID) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader):
		return notLeader(leader)
	case errors.Is(err, raft.ErrEnqueueTimeout), errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return refuse(codes.Unavailable, "%v; nothing was written", err)
	default:
		return refuse(codes.Unavailable, "%v: the outcome is unknown, send the same bytes again", fmt.Errorf("raft: %w", err))
	}
}

// trace adds to the spans of an entry's requests the time in the queue, until a majority committed it, and in
// execution.
func (o *orderer) trace(group []*orderRequest, taken time.Time, index uint64) {
	x, known := o.r.fsm.executed.of(index)
	for _, p := range group {
		if !p.span.Recorded() {
			continue
		}
		p.span.Child("queue", p.queued, taken)
		if known {
			p.span.Child("commit", taken, x.began)
			p.span.Child("execute", x.began, x.over)
		}
	}
}
