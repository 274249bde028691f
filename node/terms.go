package node

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// maxTermStep is how far a message may raise this node's term. It is more elections than a network has while a node
	// is away, and the 64 bits of a term are used up by no number of such steps that a disk can store.
	maxTermStep = 1 << 20
	// termRaises is how often a peer may raise this node's term at once; termRaiseEvery is after how many heartbeat
	// timeouts it may do so again. A raise ends a leader's term, and an election takes about one such timeout.
	termRaises     = 8
	termRaiseEvery = 16
	// leaderless is after how many heartbeat timeouts without a leader a node that has no vote, as far as this node
	// knows, is taken for one that leads. An election takes two to three.
	leaderless = 4
)

// errTermRefused is wrapped when a message is dropped because it would raise this node's term too far or too often.
var errTermRefused = errors.New("node: a later term refused")

// termGuard bounds how peers raise this node's term. Raft takes every later term from every peer, gives up leading or
// standing for it, and has no term after the last number. A message that the guard refuses is as good as lost, which
// Raft endures. DESIGN.md, section Terms.
type termGuard struct {
	view      func() RaftView
	heartbeat time.Duration
	every     time.Duration
	started   time.Time

	own   atomic.Uint64 // a term that this node has reached
	mu    sync.Mutex
	peers map[raft.ServerID]*termAllowance
}

// termAllowance is what a peer may still do.
type termAllowance struct {
	paid uint64 // the latest term that it was allowed to raise this node to
	left int
	from time.Time // since when left was not added to
}

func newTermGuard(view func() RaftView, heartbeat time.Duration) *termGuard {
	return &termGuard{view: view, heartbeat: heartbeat, every: termRaiseEvery * heartbeat, started: time.Now(),
		peers: map[raft.ServerID]*termAllowance{}}
}

// claim returns an error, errTermRefused wrapped, when a message of a term, which leads says that its sender leads,
// must not reach raft. A term has one leader. A node without a vote leads and stands for nothing; only when no leader
// has been heard for leaderless heartbeat timeouts it may, because it can have got its vote while this node was away.
func (g *termGuard) claim(peer raft.ServerID, term uint64, leads bool) error {
	if g == nil || term < g.own.Load() {
		return nil
	}
	now := g.view()
	if leads && term == now.Term && now.Leader != "" && now.Leader != peer {
		return fmt.Errorf("%w: node %s leads in term %d, not %s", errTermRefused, now.Leader, term, peer)
	}
	if term > now.Term && now.Voter != nil && !now.Voter(peer) {
		heard := now.Contact
		if heard.Before(g.started) {
			heard = g.started
		}
		if now.Leader != "" || time.Since(heard) < leaderless*g.heartbeat {
			return fmt.Errorf("%w: node %s has no vote and names term %d", errTermRefused, peer, term)
		}
	}
	return g.allow(peer, term)
}

// allow returns an error, errTermRefused wrapped, when this node must not learn of a term from a peer. One that is not
// later than its own costs nothing. A nil guard allows everything.
func (g *termGuard) allow(peer raft.ServerID, term uint64) error {
	if g == nil || term <= g.own.Load() {
		return nil
	}
	now := g.view()
	if now.Voter == nil {
		return fmt.Errorf("%w: raft has not started", errTermRefused)
	}
	own := now.Term
	g.own.Store(own) // an older value stored late costs another look
	if term <= own {
		return nil
	}
	if term-own > maxTermStep {
		return fmt.Errorf("%w: node %s names term %d, this node is at %d", errTermRefused, peer, term, own)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[peer]
	if a == nil {
		a = &termAllowance{left: termRaises, from: time.Now()}
		g.peers[peer] = a
	}
	if term <= a.paid {
		return nil
	}
	if more := int(time.Since(a.from) / g.every); more > 0 {
		a.from = a.from.Add(time.Duration(more) * g.every)
		a.left = min(termRaises, a.left+more)
	}
	if a.left == 0 {
		return fmt.Errorf("%w: node %s has raised the term too often", errTermRefused, peer)
	}
	a.left, a.paid = a.left-1, term
	return nil
}

// answer is claim for the answer to a message of a term: raft looks only at one that is later.
func (g *termGuard) answer(peer raft.ServerID, asked, term uint64) error {
	if term <= asked {
		return nil
	}
	return g.claim(peer, term, false)
}
