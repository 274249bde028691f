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
	// termsPerSecond bounds a term by the time: no term is later than as many for each second since 1970. A network has
	// one election in seconds, so no honest one comes near; the 64 bits last for longer than 10^8 years; and a node that a
	// peer has brought up to the bound is followed by the others, who have the same bound.
	termsPerSecond = 1 << 10
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
	// every is the length of the windows of time in which a peer gets back one raise. They begin at the same times for all
	// nodes with right clocks, so that a candidate that needs several of them is not refused by one after the other.
	every   time.Duration
	now     func() time.Time
	started time.Time

	own   atomic.Uint64 // a term that this node has reached
	mu    sync.Mutex
	peers map[raft.ServerID]*termAllowance
}

// termAllowance is what a peer may still do.
type termAllowance struct {
	paid   uint64 // the latest term that it was allowed to raise this node to
	left   int
	window int64 // in which left was added to last
}

func newTermGuard(view func() RaftView, heartbeat time.Duration) *termGuard {
	return &termGuard{view: view, heartbeat: heartbeat, every: termRaiseEvery * heartbeat, now: time.Now, started: time.Now(),
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
	if term > latestTerm(g.now()) {
		return fmt.Errorf("%w: node %s names term %d, which no network has reached today", errTermRefused, peer, term)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	a := g.peers[peer]
	window := g.now().UnixNano() / int64(g.every)
	if a == nil {
		a = &termAllowance{left: termRaises, window: window}
		g.peers[peer] = a
	}
	if !a.take(term, window) {
		return fmt.Errorf("%w: node %s has raised the term too often", errTermRefused, peer)
	}
	return nil
}

// latestTerm is the latest term that is taken from a peer.
func latestTerm(now time.Time) uint64 { return uint64(max(now.Unix(), 0)) * termsPerSecond }

// take reports whether a term may be raised in a window of time, or is paid for already.
func (a *termAllowance) take(term uint64, window int64) bool {
	if term <= a.paid {
		return true
	}
	if more := window - a.window; more > 0 {
		a.window, a.left = window, int(min(termRaises, int64(a.left)+more))
	}
	if a.left == 0 {
		return false
	}
	a.left, a.paid = a.left-1, term
	return true
}

// answer is claim for the answer to a message of a term: raft looks only at one that is later.
func (g *termGuard) answer(peer raft.ServerID, asked, term uint64) error {
	if term <= asked {
		return nil
	}
	return g.claim(peer, term, false)
}
