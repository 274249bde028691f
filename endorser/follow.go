package endorser

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// Reasons to stop following one node.
var (
	errBehind = errors.New("another node has more blocks")
	errOrder  = errors.New("the node sent something else than the next block")
	errNodes  = errors.New("the network has other nodes now")
)

// follow keeps the copy up to date until ctx ends, or most organisations' nodes have a block that is bad for this copy.
// It tries the nodes in turn, with a pause that grows while no node has blocks.
func (e *Endorser) follow(ctx context.Context) {
	pause := firstPause
	for at := 0; ctx.Err() == nil && e.faultText() == ""; {
		if err := e.refreshSources(); err != nil {
			e.log.Error("cannot connect to the network's nodes", "error", err)
		}
		at %= len(e.nodes) // refreshSources leaves at least one
		before := e.store.Sequence()
		next, err := e.followNode(ctx, e.nodes[at])
		e.following.Store(nil)
		switch {
		case ctx.Err() != nil || errors.Is(err, store.ErrClosed):
			return
		case errors.Is(err, verify.ErrBadBlock) && e.accuse(e.nodes[at]):
			e.log.Error("a node sent a bad block, which is not stored; others are asked for the right one", "node", e.nodes[at].ID,
				"error", err)
			next = e.nextNode(e.nodes[at])
		case unsound(err):
			e.stopSigning(fmt.Errorf("following node %s: %w", e.nodes[at].ID, err))
			return
		}
		e.log.Warn("stopped following a node", "node", e.nodes[at].ID, "next", e.nodes[next].ID, "error", err)
		at = next
		if e.store.Sequence() > before || errors.Is(err, errBehind) || errors.Is(err, errNodes) {
			pause = firstPause
			continue
		}
		select {
		case <-time.After(pause/2 + rand.N(pause/2)):
		case <-ctx.Done():
		}
		pause = min(2*pause, lastPause)
	}
}

// followNode stores one node's blocks until an error. It returns which node to try next, and the error.
func (e *Endorser) followNode(ctx context.Context, n *source) (next int, err error) {
	next = e.nextNode(n)
	ctx, cancel := context.WithCancelCause(ctx)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel(nil)
	e.metrics.switches.Inc()
	from := e.store.Sequence()
	stream, err := n.ledger.Follow(ctx, &ltlv1.FollowRequest{FromSequence: from, Openings: true})
	if err != nil {
		return next, err
	}
	var better int
	group.Go(func() {
		other, why := e.monitorNodes(ctx, n)
		if why != nil {
			better = other
			cancel(why)
		}
	})
	b := newBuffer()
	group.Go(func() { b.close(receive(stream, b, from)) })
	context.AfterFunc(ctx, func() { b.close(context.Cause(ctx)) })
	e.following.Store(&n.ID)
	err = e.storeBlocks(ctx, b)
	cancel(err)
	group.Wait()
	switch cause := context.Cause(ctx); {
	case unsound(err):
		return next, err
	case errors.Is(cause, errBehind), errors.Is(cause, errNodes):
		return better, cause
	case unsound(cause):
		return next, cause
	}
	return next, err
}

// storeBlocks appends groups of buffered blocks until the buffer is closed. A block after a pause is stored at once.
// On a busy network blocks collect for groupDelay, because a commit costs the same for any number of blocks and no
// caller waits for this copy.
func (e *Endorser) storeBlocks(ctx context.Context, b *buffer) error {
	for last := (time.Time{}); ; last = time.Now() {
		select {
		case <-time.After(groupDelay - time.Since(last)):
		case <-ctx.Done(): // the buffer is closed, what is in it is still stored
		}
		group, err := b.take()
		if err != nil {
			return err
		}
		err = e.store.Append(group)
		if errors.Is(err, verify.ErrBadBlock) {
			err = e.appendOneByOne(group)
		}
		if err == nil {
			err = e.fillIn(group)
		}
		if err != nil {
			return err
		}
		e.updateTrust()
		e.metrics.appended.Add(float64(len(group)))
	}
}

// appendOneByOne appends the blocks of a group that contains a bad block, so that the blocks before it are stored.
func (e *Endorser) appendOneByOne(group []*ltlv1.Block) error {
	for _, block := range group {
		if err := e.store.Append([]*ltlv1.Block{block}); err != nil {
			return err
		}
	}
	return nil
}

// receive puts a stream's blocks into the buffer until the stream ends.
func receive(stream grpc.ServerStreamingClient[ltlv1.FollowResponse], b *buffer, next uint64) error {
	for ; ; next++ {
		in, err := stream.Recv()
		if err != nil {
			return err
		}
		if in.GetSequence() != next || in.GetBlock() == nil {
			return fmt.Errorf("%w: sequence %d, want %d", errOrder, in.GetSequence(), next)
		}
		// A header that cannot be read is left to the store, which says what is wrong with it. A block at another place
		// than its own is known as such without the ledger, so it is the sender's fault and only the sender is left.
		if h, err := ledger.ParseHeader(in.GetBlock().GetHeader()); err == nil && h.Sequence != next {
			return fmt.Errorf("%w: block %d of chain %s, which is number %d in the order of execution, as number %d",
				errOrder, h.Height, h.ChainID, h.Sequence, next)
		}
		if !b.put(in.GetBlock()) {
			return context.Canceled
		}
	}
}

// accused says at which place of the order of execution a node sent a bad block, and until when it is left out.
type accused struct {
	sequence uint64
	until    time.Time
}

// accuse notes that a node sent a bad block as the next one. What proves a block bad is this copy's own execution, so
// it is either that node that is wrong or this program. It reports whether it is the node: not so many others sent a
// bad block at the same place that they speak for the network.
func (e *Endorser) accuse(n *source) bool {
	at := e.store.Sequence()
	if e.accusations == nil {
		e.accusations = map[string]accused{}
	}
	e.accusations[n.ID] = accused{at, time.Now().Add(accusedFor)}
	var same []string
	for id, a := range e.accusations {
		if a.sequence == at {
			same = append(same, id)
		}
	}
	return !e.speakForNetwork(same)
}

// leftOut reports whether a node sent a bad block lately.
func (e *Endorser) leftOut(n *source) bool { return time.Now().Before(e.accusations[n.ID].until) }

// nextNode returns the index of the node after n, without those that sent a bad block lately while there is another.
func (e *Endorser) nextNode(n *source) int {
	at := max(0, slices.Index(e.nodes, n))
	for i := range e.nodes {
		if next := (at + 1 + i) % len(e.nodes); !e.leftOut(e.nodes[next]) {
			return next
		}
	}
	return (at + 1) % len(e.nodes)
}

// monitorNodes asks all nodes for their status every pollInterval: for the metrics, to detect that the copy is a
// fork, and to abandon a node that is behind, cut off or hanging. It returns errFork, errNodes or errBehind. With
// errBehind, better is the index of the node to follow, because the copy has not grown for maxStalls polls although a
// node has more blocks by its own word. That word alone must not draw the endorser from nodes that work: one that is
// followed and does not give what it reports is left, and not believed for a while.
func (e *Endorser) monitorNodes(ctx context.Context, n *source) (better int, why error) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	var own uint64 // the own copy's sequence when it last grew
	var last []*ltlv1.StatusResponse
	stalls := 0
	for turn := 0; ; turn++ {
		if e.newNodes.Load() {
			return 0, errNodes
		}
		e.takeNextSealingKey()
		answers := e.nodeStatuses(ctx)
		e.noteSequences(answers)
		e.noteEpochs(answers)
		// The copy has by now what the nodes had one interval ago, also under load.
		if err := errors.Join(e.checkFork(last, turn), e.checkFork(answers, turn)); err != nil {
			return 0, err
		}
		last = answers
		now := e.store.Sequence()
		best, promises := e.promising(answers, n, now)
		if now > own || best == nil && !promises {
			own, stalls = now, 0
		} else if stalls++; stalls >= maxStalls {
			if promises {
				n.disbelieve(time.Now())
			}
			if best == nil {
				return e.nextNode(n), errBehind
			}
			return slices.Index(e.nodes, best), errBehind
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, nil
		}
	}
}

// promising returns the node other than n that reports most blocks, if it is believed and these are more than now, and
// whether n itself reports more than now.
func (e *Endorser) promising(answers []*ltlv1.StatusResponse, n *source, now uint64) (best *source, promises bool) {
	most := now
	for i, a := range answers {
		switch one := e.nodes[i]; {
		case a.GetSequence() <= now:
		case one == n:
			promises = true
		case a.GetSequence() > most && !e.leftOut(one) && !time.Now().Before(one.unbelievedUntil):
			best, most = one, a.GetSequence()
		}
	}
	return best, promises
}

// disbelieve makes the source's word count for nothing for a while, which doubles each time that it does not hold.
func (s *source) disbelieve(now time.Time) {
	if now.Sub(s.unbelievedUntil) > lastDisbelief {
		s.unbelieved = 0 // that was long ago
	}
	s.unbelieved = min(max(2*s.unbelieved, firstDisbelief), lastDisbelief)
	s.unbelievedUntil = now.Add(s.unbelieved)
}

// noteSequences notes how far the ledger is by what the nodes report. A node that reports more blocks than there are
// must not make this copy look old for ever, which would stop all facades of the organisation. So each organisation
// has one voice, the highest of its nodes, and the lower median counts; what a node of the own organisation reports
// counts anyway.
func (e *Endorser) noteSequences(answers []*ltlv1.StatusResponse) {
	highest := map[string]int64{}
	for i, a := range answers {
		if a != nil {
			known, _ := e.cfg.Trust.Node(e.nodes[i].ID)
			organisation := known.GetOrganisation()
			highest[organisation] = max(highest[organisation], int64(min(a.GetSequence(), math.MaxInt64)))
		}
	}
	if len(highest) > 0 {
		voices := slices.Collect(maps.Values(highest))
		e.target.Store(uint64(max(rules.LowerMedian(voices), highest[e.organisation])))
	}
}

// nodeStatuses returns the status of each node, nil for those that do not answer in time.
func (e *Endorser) nodeStatuses(ctx context.Context) []*ltlv1.StatusResponse {
	ctx, cancel := context.WithTimeout(ctx, pollInterval)
	defer cancel()
	answers := make([]*ltlv1.StatusResponse, len(e.nodes))
	var group sync.WaitGroup
	for i, n := range e.nodes {
		group.Go(func() {
			known, _ := e.cfg.Trust.Node(n.ID) // nil for one that the ledger does not name, which cannot be connected to
			e.clock.Ask(known.GetOrganisation(), n.ID, func() int64 {
				if st, err := n.ledger.Status(ctx, &ltlv1.StatusRequest{}); err == nil {
					answers[i] = st
				}
				return answers[i].GetClockMs()
			})
		})
	}
	group.Wait()
	return answers
}

// buffer holds blocks between the stream and the store, so that blocks that arrive while one group is stored form the
// next.
type buffer struct {
	mu     sync.Mutex
	change sync.Cond
	blocks []*ltlv1.Block
	sizes  []int
	bytes  int
	err    error
}

func newBuffer() *buffer {
	b := &buffer{}
	b.change.L = &b.mu
	return b
}

// put adds a block, and waits for room. It returns false when the buffer is closed.
func (b *buffer) put(block *ltlv1.Block) bool {
	size := proto.Size(block)
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && b.bytes > maxBuffered {
		b.change.Wait()
	}
	if b.err != nil {
		return false
	}
	b.blocks, b.sizes = append(b.blocks, block), append(b.sizes, size)
	b.bytes += size
	b.change.Broadcast()
	return true
}

// take waits for a block and returns all that are there, up to a group. Blocks from before close are still returned.
func (b *buffer) take() ([]*ltlv1.Block, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.err == nil && len(b.blocks) == 0 {
		b.change.Wait()
	}
	if len(b.blocks) == 0 {
		return nil, b.err
	}
	n, size := 0, 0
	for n < len(b.blocks) && n < maxGroup && (n == 0 || size+b.sizes[n] <= maxGroupBytes) {
		size += b.sizes[n]
		n++
	}
	group := b.blocks[:n:n]
	b.blocks, b.sizes = b.blocks[n:], b.sizes[n:]
	b.bytes -= size
	b.change.Broadcast()
	return group, nil
}

// close closes the buffer; only the first reason counts.
func (b *buffer) close(why error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = why
	}
	b.change.Broadcast()
}

// errFork is wrapped when the copy has another history than most nodes.
var errFork = errors.New("this copy of the ledger is another history than that of most nodes")

// maxCompared bounds the chains that are compared in a poll. The next poll starts after them, so every chain has its
// turn.
const maxCompared = 64

// checkFork compares the newest blocks that the nodes report with the copy. Executing a block again proves that it
// follows from its content, not that it is the block that a quorum committed: a lying node could change its time or
// leave out a batch, and compute the rest accordingly. So a copy that differs from nodes that speak for the network
// stops the signing. Fewer nodes that differ are named in the log.
func (e *Endorser) checkFork(answers []*ltlv1.StatusResponse, turn int) error {
	differ := map[string][]string{} // chain → nodes that have another block where the own copy has one
	for i, a := range answers {
		chains := a.GetChains()
		for j := range min(len(chains), maxCompared) {
			c := chains[(turn*maxCompared+j)%len(chains)]
			own, known, err := e.hashAt(c.GetChainId(), c.GetHeight())
			if err != nil {
				return err
			}
			if known && string(own[:]) != string(c.GetBlockHash()) {
				differ[c.GetChainId()] = append(differ[c.GetChainId()], e.nodes[i].ID)
				e.log.Warn("a node has another block than this copy", "node", e.nodes[i].ID, "chain", c.GetChainId(),
					"height", c.GetHeight(),
					"own", fmt.Sprintf("%x", own), "node_has", fmt.Sprintf("%x", c.GetBlockHash()))
			}
		}
	}
	for chain, nodes := range differ {
		if e.speakForNetwork(nodes) {
			return fmt.Errorf("%w: chain %s differs from nodes %v; find out which node served it, then move %s away and "+
				"start again",
				errFork, chain, nodes, e.cfg.Dir)
		}
	}
	return nil
}

// hashAt returns the hash of the copy's block. known is false above the tip, and for a block whose stored bytes are
// damaged: that is no other history, reading it has called the scrubber, which repairs it or reports that it cannot.
func (e *Endorser) hashAt(chainID string, height uint64) (hash ledger.Hash, known bool, err error) {
	tip, ok := e.store.Tip(chainID)
	switch {
	case !ok || height > tip.Header.Height:
		return hash, false, nil
	case height == tip.Header.Height:
		return tip.Hash, true, nil
	}
	block, err := e.store.Block(chainID, height)
	if errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrCorrupt) {
		return hash, false, nil
	}
	if err != nil {
		return hash, false, fmt.Errorf("block %d of chain %s: %w", height, chainID, err)
	}
	return ledger.BlockHash(block.GetHeader()), true, nil
}
