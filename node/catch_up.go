package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	"ltl/internal/store"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// pendingFile holds the catch-up target that this ledger must reach before it executes further entries.
	pendingFile = "catch-up"
	// fetchIdle is how long a peer may send nothing before another peer is asked.
	fetchIdle = 5 * time.Second
	// fetchBlocks and fetchBytes bound the blocks that are kept in memory before they are stored.
	fetchBlocks = 256
	fetchBytes  = 4 << 20
	// fetchRetryMin and fetchRetryMax bound the pause after a peer that gave nothing; it doubles in between.
	fetchRetryMin = 50 * time.Millisecond
	fetchRetryMax = 2 * time.Second
)

// errFetched ends a stream that has sent everything that was asked for.
var errFetched = errors.New("fetched")

// blockFunc receives a block, or only its header, and its sequence number.
type blockFunc = func(sequence uint64, block *ltlv1.Block) error

// fetchFunc streams a peer's blocks, or only their headers, in order of sequence from the given one. It runs until fn
// returns an error, and returns that error.
type fetchFunc func(ctx context.Context, peer raft.ServerID, from uint64, headersOnly bool, fn blockFunc) error

// catchUp brings a ledger to the catch-up target of a snapshot. It fetches the headers of the missing blocks, which
// must lead to the target, then the blocks from any peer, executes and compares each, and only then lets further
// entries be executed.
//
// The target is durable from before the first block until the applied index is stored. In between the ledger has
// blocks whose entries raft might deliver once more, and executing a refused transaction again would make a block
// that others do not have.
type catchUp struct {
	ctx    context.Context
	store  *store.Store
	dir    string
	peers  func() []raft.ServerID
	fetch  fetchFunc
	logger *slog.Logger
	halt   func(error) error

	wg     sync.WaitGroup
	mu     sync.Mutex
	target *catchUpTarget
	done   chan struct{} // closed while there is no target
}

func newCatchUp(ctx context.Context, p *dependencies, halt func(error) error) *catchUp {
	c := &catchUp{ctx: ctx, store: p.store, dir: p.dir, peers: p.peers, fetch: p.fetch, logger: p.logger, halt: halt,
		done: make(chan struct{})}
	close(c.done)
	if c.peers == nil {
		c.peers = func() []raft.ServerID { return others(p.servers, p.id) }
	}
	if p.salvage {
		peers, self := c.peers, p.id
		// first: no network is crossed for what is good
		c.peers = func() []raft.ServerID { return append([]raft.ServerID{self}, peers()...) }
	}
	return c
}

// others returns the ids of all servers but self.
func others(servers []raft.Server, self raft.ServerID) []raft.ServerID {
	var ids []raft.ServerID
	for _, s := range servers {
		if s.ID != self {
			ids = append(ids, s.ID)
		}
	}
	return ids
}

// busy reports whether blocks are being fetched.
func (c *catchUp) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.target != nil
}

// wait returns when there is nothing to fetch.
func (c *catchUp) wait(ctx context.Context) error {
	c.mu.Lock()
	done := c.done
	c.mu.Unlock()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resume continues a catch-up that the end of the process interrupted. The target is in pendingFile or, after a crash
// between the two writes, only in raft's newest snapshot.
func (c *catchUp) resume(snaps raft.SnapshotStore) error {
	if f, err := os.Open(filepath.Join(c.dir, pendingFile)); err == nil {
		p, err := readTarget(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("read %s: %w", filepath.Join(c.dir, pendingFile), err)
		}
		if err := c.start(p); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	list, err := snaps.List()
	if err != nil || len(list) == 0 {
		return err
	}
	_, r, err := snaps.Open(list[0].ID)
	if err != nil {
		return fmt.Errorf("open the newest Raft snapshot: %w", err)
	}
	p, err := readTarget(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("read the newest Raft snapshot: %w", err)
	}
	return c.start(p)
}

// start makes p the target unless the ledger is there already. A target is never replaced by an older one.
func (c *catchUp) start(p *catchUpTarget) error {
	if p.applied <= c.store.AppliedIndex() {
		if err := p.check(c.store); err != nil {
			return c.halt(fmt.Errorf("compare this ledger with the leader's snapshot at Raft index %d: %w", p.applied, err))
		}
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return errStopped
	}
	if c.target != nil && c.target.applied >= p.applied {
		return nil
	}
	if err := writeDurably(filepath.Join(c.dir, pendingFile), p.encode()); err != nil {
		return c.halt(fmt.Errorf("store the target of the catch-up: %w", err))
	}
	running := c.target != nil
	c.target = p
	if !running {
		c.done = make(chan struct{})
		c.wg.Add(1)
		go c.run()
	}
	return nil
}

func (c *catchUp) run() {
	defer c.wg.Done()
	for {
		c.mu.Lock()
		p := c.target
		c.mu.Unlock()
		if err := c.reach(p); err != nil {
			if c.ctx.Err() == nil {
				// halt has reported it to the process; no caller waits here
				_ = c.halt(fmt.Errorf("catch up to Raft index %d: %w", p.applied, err))
			}
			return
		}
		if c.finish(p) {
			return
		}
	}
}

// finish removes the target if it is still p.
func (c *catchUp) finish(p *catchUpTarget) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.target != p {
		return false
	}
	// A file that remains after a crash does no harm: its target is reached.
	if err := os.Remove(filepath.Join(c.dir, pendingFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.logger.Warn("cannot remove the file of a finished catch-up", "error", err)
	}
	c.target = nil
	close(c.done)
	return true
}

// reach fetches blocks until the ledger is at p, and compares the two.
func (c *catchUp) reach(p *catchUpTarget) error {
	if p.network != c.store.NetworkID() {
		return p.check(c.store)
	}
	c.logger.Info("fetching blocks", "have", c.store.Sequence(), "want", p.sequence, "applied", p.applied)
	if err := c.fetchAll(p); err != nil {
		return err
	}
	if err := p.check(c.store); err != nil {
		return err
	}
	if err := c.store.RestoreAccessKeys(p.accessKeys); err != nil {
		return fmt.Errorf("store AccessKeys: %w", err)
	}
	if err := c.store.SetApplied(p.applied); err != nil {
		return fmt.Errorf("store the applied index: %w", err)
	}
	c.logger.Info("caught up", "sequence", p.sequence, "applied", p.applied)
	return nil
}

// fetchAll asks one peer after another until the ledger has every block up to p. A peer whose blocks do not lead to p
// is left out while there is another one.
func (c *catchUp) fetchAll(p *catchUpTarget) error {
	var known *headerChain
	defer func() { known.close() }()
	badPeers := map[raft.ServerID]bool{}
	pause := fetchRetryMin
	for turn := 0; c.store.Sequence() < p.sequence; turn++ {
		peers := c.peers()
		if len(peers) == 0 {
			return errors.New("there is no peer to fetch blocks from")
		}
		if len(badPeers) >= len(peers) {
			clear(badPeers) // all are excluded: try each again
		}
		peer, before := peers[turn%len(peers)], c.store.Sequence()
		if badPeers[peer] {
			continue
		}
		err := c.fetchFrom(peer, p, &known)
		if c.ctx.Err() != nil {
			return c.ctx.Err()
		}
		if errors.Is(err, rules.ErrNewerRules) || errors.Is(err, store.ErrFailed) || errors.Is(err, store.ErrCorrupt) ||
			errors.Is(err, errDiverged) || errors.Is(err, errHeaderFile) {
			return err
		}
		if errors.Is(err, errWrongBlocks) || errors.Is(err, verify.ErrBadBlock) {
			badPeers[peer] = true
			c.logger.Error("a peer gives blocks that are not those of the leader's snapshot; audit it", "peer", peer,
				"error", err)
		} else if err != nil {
			c.logger.Warn("peer did not give all missing blocks", "peer", peer, "from", before, "to", c.store.Sequence(),
				"error", err)
		}
		if c.store.Sequence() > before {
			pause = fetchRetryMin
			continue
		}
		select {
		case <-time.After(pause):
		case <-c.ctx.Done():
			return c.ctx.Err()
		}
		pause = min(2*pause, fetchRetryMax)
	}
	return nil
}

// fetchFrom fetches the headers that lead to p unless they are known, and stores the blocks that the peer has of
// them.
func (c *catchUp) fetchFrom(peer raft.ServerID, p *catchUpTarget, known **headerChain) error {
	if *known == nil {
		r, err := c.fetchHeaders(peer, p)
		if err != nil {
			return err
		}
		*known = r
	}
	return c.fetchBlocksAlong(peer, *known)
}

// fetchBlocksAlong stores the peer's blocks in the order of the header chain. The headers are checked before anything
// is executed; store.Append executes each block and compares every byte of it.
func (c *catchUp) fetchBlocksAlong(peer raft.ServerID, along *headerChain) error {
	var held []*ltlv1.Block
	size := 0
	flush := func() error {
		blocks := held
		held, size = nil, 0
		if len(blocks) == 0 {
			return nil
		}
		return c.store.Append(blocks)
	}
	err := c.stream(peer, c.store.Sequence(), along.until, false, func(sequence uint64, block *ltlv1.Block) error {
		if err := along.check(sequence, block.GetHeader()); err != nil {
			return err
		}
		held = append(held, block)
		if size += proto.Size(block); sequence+1 < along.until && len(held) < fetchBlocks && size < fetchBytes {
			return nil
		}
		return flush()
	})
	return errors.Join(err, flush())
}

// stream calls fn with a peer's blocks from one sequence number up to another, in order and without gaps. It gives up
// on a peer that sends nothing for fetchIdle.
func (c *catchUp) stream(peer raft.ServerID, from, until uint64, headersOnly bool, fn blockFunc) error {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	idle := time.AfterFunc(fetchIdle, cancel)
	defer idle.Stop()
	next := from
	err := c.fetch(ctx, peer, from, headersOnly, func(sequence uint64, block *ltlv1.Block) error {
		idle.Reset(fetchIdle)
		if sequence != next || block == nil {
			return fmt.Errorf("it sent sequence %d, want %d", sequence, next)
		}
		next++
		if err := fn(sequence, block); err != nil {
			return err
		}
		if next >= until {
			return errFetched
		}
		return nil
	})
	if errors.Is(err, errFetched) {
		return nil
	}
	return err
}

// close waits for the goroutine. The caller has cancelled the context before.
func (c *catchUp) close() { c.wg.Wait() }
