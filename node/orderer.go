package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	"ltl/internal/tracing"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// maxQueueItems and maxQueueBytes bound what waits for the leader; beyond them callers are told at once to come again.
	maxQueueItems = 4096
	maxQueueBytes = 32 << 20
	// maxInFlight is how many entries are on their way at once. With one, disk and network idle while the other works; with
	// many, entries stay small and each pays for an append of its own.
	maxInFlight = 3
	// maxBatchSize bounds an encoded batch: transactions, endorsements, framing.
	maxBatchSize = rules.MaxBatch + 128<<10
	// maxEntrySize bounds the batches of an entry; the rest of rules.MaxEntry is framing.
	maxEntrySize = rules.MaxEntry - 64<<10
	// maxEntryBatches and maxEntryTransactions bound what an entry holds, because what execution remembers of a transaction is far
	// larger than the smallest one. Entries of usual transactions reach their size first.
	maxEntryBatches      = 1024
	maxEntryTransactions = 32 << 10
	// enqueueTimeout is how long raft's loop may take to accept an entry.
	enqueueTimeout = 5 * time.Second
	// maxAccessKey bounds the parts of an AccessKey.
	maxAccessKeyID = rules.MaxAccessKeyID
	maxSealed      = 4 << 10
)

// proposal is one batch or one AccessKey on its way.
type orderRequest struct {
	batch     *ltlv1.Batch
	accessKey *ltlv1.AccessKey
	size      int
	queued    time.Time
	span      tracing.Span

	// Under orderer.mu.
	taken, abandoned bool

	done    chan struct{}
	results []*ltlv1.Result
	version uint64
	err     error
}

// orderer turns proposals into Raft entries. An idle leader proposes at once; a busy one collects until an entry in flight comes
// back, so that a lone caller waits for nobody and a crowd shares an append.
type orderer struct {
	r  *replica
	wg sync.WaitGroup

	mu       sync.Mutex
	wake     *sync.Cond
	queue    []*orderRequest
	bytes    int
	inFlight int
	closed   bool
	lastMs   int64 // time of the newest entry: it never goes backwards
}

func newOrderer(r *replica) *orderer {
	o := &orderer{r: r}
	o.wake = sync.NewCond(&o.mu)
	o.wg.Add(1)
	go o.run()
	return o
}

// submit orders an endorsed batch and returns what execution made of it.
func (o *orderer) submit(ctx context.Context, b *ltlv1.Batch) ([]*ltlv1.Result, error) {
	if err := checkBatch(b); err != nil {
		return nil, err
	}
	if err := o.checkRoom(proto.Size(b)); err != nil {
		return nil, err // before any signature is verified: a flood must cost little
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

// recheckEndorsements judges by all that is committed what was refused by what this node has executed. Raft hears nothing of a refusal, so only
// the question tells whether another node leads by now; and a leader with a slow disk may be behind its followers, so that endorsers have
// seen blocks which it has not.
func (o *orderer) recheckEndorsements(ctx context.Context, b *ltlv1.Batch) ([]*ltlv1.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, maxReadWait)
	defer cancel()
	index, err := o.r.reads.leading.join(ctx)
	if err != nil {
		return nil, err
	}
	if err := o.r.store.WaitApplied(ctx, index); err != nil {
		return nil, refuse(waitCode(ctx), "this node leads, but it has not executed Raft entry %d in time: %v; nothing was written", index, err)
	}
	return o.checkEndorsements(b)
}

// putAccessKey replicates an AccessKey and returns its version.
func (o *orderer) putAccessKey(ctx context.Context, k *ltlv1.AccessKey) (uint64, error) {
	if n := len(k.GetAccessKeyId()); n == 0 || n > maxAccessKeyID || len(k.GetAccountUid()) > rules.MaxUID || len(k.GetSealed()) > maxSealed {
		return 0, refuse(codes.InvalidArgument, "AccessKey: an id of 1 to %d bytes, a uid of up to %d and a sealed secret of up to %d bytes are taken",
			maxAccessKeyID, rules.MaxUID, maxSealed)
	}
	if unknownFields(k) {
		return 0, refuse(codes.InvalidArgument, "AccessKey: it has fields that this node does not know")
	}
	if _, err := o.r.reads.leaderReady(ctx); err != nil {
		return 0, err
	}
	p := &orderRequest{accessKey: k, size: proto.Size(k), done: make(chan struct{})}
	if err := o.enqueue(ctx, p); err != nil {
		return 0, err
	}
	return p.version, nil
}

// checkBatch refuses what no node may ever see in an entry.
func checkBatch(b *ltlv1.Batch) error {
	switch n := len(b.GetTransactions()); {
	case !ledger.ValidChainID(b.GetChainId()):
		return refuse(codes.InvalidArgument, "batch: chain id %.32q is not %d digits", b.GetChainId(), ledger.ChainIDLen)
	case n == 0 || n > rules.MaxBatchTransactions:
		return refuse(codes.InvalidArgument, "batch: it has %d transactions, 1 to %d are taken", n, rules.MaxBatchTransactions)
	case len(b.GetEndorsements()) > rules.MaxEndorsements:
		return refuse(codes.InvalidArgument, "batch: it has %d endorsements, at most %d are taken", len(b.GetEndorsements()), rules.MaxEndorsements)
	case unknownInBatches([]*ltlv1.Batch{b}):
		return refuse(codes.InvalidArgument, "batch: it has fields that this node does not know")
	}
	sum := 0
	for i, t := range b.GetTransactions() {
		if len(t) == 0 || len(t) > rules.MaxTransaction {
			return refuse(codes.InvalidArgument, "batch: transaction %d has %d bytes, 1 to %d are taken", i, len(t), rules.MaxTransaction)
		}
		sum += len(t)
	}
	if sum > rules.MaxBatch || proto.Size(b) > maxBatchSize {
		return refuse(codes.InvalidArgument, "batch: its transactions have %d bytes, at most %d are taken", sum, rules.MaxBatch)
	}
	return nil
}

// admit verifies endorsements and policy before anything reaches Raft, once: execution finds the verdicts remembered. A batch
// is ordered when each of its transactions is endorsed or known, else it is answered here: nobody fills the ledger, outside all
// quotas, with what rides along with one endorsed transaction.
func (o *orderer) checkEndorsements(b *ltlv1.Batch) ([]*ltlv1.Result, error) {
	s := o.r.store
	tip, ok := s.Tip(b.GetChainId())
	system, systemOK := s.Tip(ledger.SystemChain)
	if !ok || !systemOK {
		return o.refuseAll(len(b.GetTransactions()), rules.NotFound), nil
	}
	in := rules.Input{
		NetworkID: s.NetworkID(), ChainID: b.GetChainId(), Height: tip.Header.Height + 1, Previous: tip.Hash,
		PreviousTimeMs: tip.Header.TimeMs, TimeMs: o.nowMs(), SystemHeight: system.Header.Height, Batches: []*ltlv1.Batch{b},
	}
	if b.GetChainId() == ledger.SystemChain {
		in.SystemHeight = in.Height
	}
	verdicts, err := rules.Admit(in, s, o.r.verify.verify)
	if err != nil {
		return nil, refuse(codes.Internal, "admit: %v", err)
	}
	results := make([]*ltlv1.Result, len(verdicts))
	all := true
	for i, code := range verdicts {
		if code == rules.OK { // nothing is wrong with it but its company: the same bytes may come again without that
			code = rules.NotEndorsed
		} else {
			all = false
			o.r.metrics.refused(code)
		}
		results[i] = &ltlv1.Result{Code: code}
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

// room refuses early when the queue is full.
func (o *orderer) checkRoom(size int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.checkRoomLocked(size)
}

func (o *orderer) checkRoomLocked(size int) error {
	if o.closed {
		return refuse(codes.Unavailable, "node is stopping; nothing was written")
	}
	if len(o.queue) >= maxQueueItems || o.bytes+size > maxQueueBytes {
		o.r.metrics.overloaded()
		return refuse(codes.ResourceExhausted, "%d batches of %d bytes wait to be ordered; nothing was written, try again later", len(o.queue), o.bytes)
	}
	return nil
}

// enqueue waits for the proposal's answer. Whoever gives up before it was taken leaves nothing behind.
func (o *orderer) enqueue(ctx context.Context, p *orderRequest) error {
	o.mu.Lock()
	if err := o.checkRoomLocked(p.size); err != nil {
		o.mu.Unlock()
		return err
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
	p.abandoned = !p.taken
	o.mu.Unlock()
	if p.abandoned {
		return refuse(contextCode(ctx), "gave up before the batch was ordered; nothing was written")
	}
	return refuse(contextCode(ctx), "gave up while the batch was being ordered; its outcome is unknown, send the same bytes again")
}

// run proposes until close; entries keep the order in which they were made because only this goroutine calls raft.Apply.
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

// next waits until something may be proposed and takes it: one AccessKey, or as many batches as fit an entry.
func (o *orderer) nextEntry() []*orderRequest {
	o.mu.Lock()
	defer o.mu.Unlock()
	for {
		for !o.closed && (len(o.queue) == 0 || o.inFlight >= maxInFlight) {
			o.wake.Wait()
		}
		if o.closed {
			return nil
		}
		if group := o.takeLocked(); len(group) > 0 {
			o.inFlight++
			o.r.progress.begin()
			return group
		}
	}
}

func (o *orderer) takeLocked() []*orderRequest {
	var group []*orderRequest
	size, transactions, n := 0, 0, 0
	for _, p := range o.queue {
		alone := p.accessKey != nil
		transactions += len(p.batch.GetTransactions())
		if len(group) > 0 && (alone || size+p.size > maxEntrySize || len(group) == maxEntryBatches || transactions > maxEntryTransactions) {
			break
		}
		n++
		o.bytes -= p.size
		if p.abandoned {
			continue
		}
		p.taken = true
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

// propose hands an entry to raft and answers in the background.
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
			o.reply(group, nil, refuse(codes.Unavailable, "the batch is committed but this node cannot execute it: %v; send the same bytes to another node", response))
		default:
			o.reply(group, nil, refuse(codes.Internal, "BUG: the state machine answered %T", response))
		}
	}()
}

func (o *orderer) entry(group []*orderRequest) *ltlv1.Entry {
	if k := group[0].accessKey; k != nil {
		return &ltlv1.Entry{Entry: &ltlv1.Entry_AccessKey{AccessKey: k}}
	}
	batches := make([]*ltlv1.Batch, len(group))
	for i, p := range group {
		batches[i] = p.batch
	}
	return &ltlv1.Entry{Entry: &ltlv1.Entry_Batches{Batches: &ltlv1.OrderedBatches{TimeMs: o.nowMs(), Batches: batches}}}
}

// nowMs is the leader's time, which never goes backwards even if the clock does.
func (o *orderer) nowMs() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastMs = max(o.lastMs, time.Now().UnixMilli())
	return o.lastMs
}

// finish answers a group.
func (o *orderer) reply(group []*orderRequest, result *store.EntryResult, err error) {
	if err == nil && group[0].accessKey == nil && len(result.Results) != len(group) {
		err = refuse(codes.Internal, "BUG: %d results for %d batches", len(result.Results), len(group))
	}
	for i, p := range group {
		if p.err = err; err == nil {
			if p.accessKey != nil {
				p.version = result.AccessKeyVersion
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

// depth is the number of waiting proposals, of their bytes, and of the entries on their way.
func (o *orderer) depth() (items, bytes, inFlight int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.queue), o.bytes, o.inFlight
}

// close refuses what waits and returns when nothing is in flight. Raft must still run.
func (o *orderer) close() {
	o.mu.Lock()
	o.closed = true
	queue := o.queue
	o.queue, o.bytes = nil, 0
	for _, p := range queue {
		p.taken = true
		p.err = refuse(codes.Unavailable, "node is stopping; nothing was written")
		close(p.done)
	}
	o.wake.Broadcast()
	o.mu.Unlock()
	o.wg.Wait()
}

// applyError tells apart what certainly was not written and what nobody knows.
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

// trace adds to the spans of a group what it waited for: its turn, the commit by a majority, and its execution.
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
