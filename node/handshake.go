package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// handshakeInterval is how often a node tells its peers how far it is; handshakeRetry how soon it comes again to one that it has
	// not been introduced to.
	handshakeInterval = time.Second
	handshakeRetry    = 100 * time.Millisecond
	// handshakeTimeout bounds one introduction.
	handshakeTimeout = 2 * time.Second
)

var (
	// errDirectoryMismatch ends a node whose peers knew it on another disk.
	errDirectoryMismatch = errors.New("this node's directory is not the one that its peers know")
	// errRolledBack ends a node whose disk has gone back in time.
	errRolledBack = errors.New("this node's directory is older than what this node has told its peers")
	// errEpochMismatch ends a node of a network that was restored from a backup without it.
	errEpochMismatch = errors.New("this node's directory belongs to another lineage of the network")
	// errRemoved ends a node that the network removed.
	errRemoved = errors.New("this node was removed from the network")
)

// position is how far a node is: a term and a committed index that are on its disk and that it never goes back behind, and the end of
// its log.
type position struct{ term, commit, last uint64 }

// handshaker knows which disk this node runs on, which disk each peer ran on when they first met, and how far each peer has got.
//
// Raft is safe only while nobody forgets a vote or an entry that he acknowledged. A node with an empty directory under a known id has
// forgotten everything, one whose directory was put back from a copy some of it, and Raft itself cannot tell either from a slow node.
// So nodes introduce themselves before they exchange anything else, and again about once a second. What a peer remembers of a node is
// on the peer's disk. DESIGN.md says what this finds and what not.
type handshaker struct {
	self  raft.ServerID
	dir   *directory
	peers func() []raft.ServerID
	// founders are the nodes that the network began with, by its genesis or by a restoration. Others were added by a transaction that
	// names their disk.
	founders []raft.ServerID
	// incarnation is what the ledger names as a node's disk, or nil; removed tells who is no node any more.
	ledgerStoreID func(raft.ServerID) ([]byte, error)
	removed       func(raft.ServerID) bool
	position      func() (position, error)
	call          func(ctx context.Context, peer raft.ServerID, in *ltlv1.PeerHandshakeRequest) (*ltlv1.PeerHandshakeResponse, error)
	logger        *slog.Logger
	fatal         func(error)

	mu       sync.Mutex
	open     bool
	accepted map[raft.ServerID]bool // who has welcomed this process at any time
	running  map[raft.ServerID]context.CancelFunc
	wg       sync.WaitGroup
}

// run introduces this node to every peer until ctx ends, to new ones as they become known.
func (h *handshaker) run(ctx context.Context) {
	defer h.wg.Wait()
	ticker := time.NewTicker(handshakeInterval)
	defer ticker.Stop()
	for {
		h.syncPeers(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// follow starts with peers that are new and ends with those that are none any more.
func (h *handshaker) syncPeers(ctx context.Context) {
	known := map[raft.ServerID]bool{}
	for _, peer := range h.peers() {
		known[peer] = true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for peer := range known {
		if h.running[peer] == nil {
			ctx, cancel := context.WithCancel(ctx)
			h.running[peer] = cancel
			h.wg.Go(func() { h.repeat(ctx, peer) })
		}
	}
	for peer, cancel := range h.running {
		if !known[peer] {
			cancel()
			delete(h.running, peer)
		}
	}
	h.openLocked()
}

// keep introduces this node to one peer again and again.
func (h *handshaker) repeat(ctx context.Context, peer raft.ServerID) {
	first, told := true, ""
	for {
		wait := handshakeInterval
		err := h.handshake(ctx, peer, first)
		switch {
		case err == nil:
			first, told = false, ""
		case ctx.Err() != nil:
			return
		default:
			wait = handshakeRetry
			if text := err.Error(); text != told { // the same trouble is told once
				told = text
				h.logger.Warn("cannot introduce this node to a peer", "peer", string(peer), "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// introduce is one introduction. The first one of a process is what a peer judges it by.
func (h *handshaker) handshake(ctx context.Context, peer raft.ServerID, first bool) error {
	at, err := h.position()
	if err != nil {
		return err
	}
	in := &ltlv1.PeerHandshakeRequest{
		StoreId: h.dir.storeID, RestoreEpoch: h.dir.restoreEpoch(), Joined: h.dir.hasJoined(), Term: at.term, Commit: at.commit, Last: at.last,
		First: first,
	}
	call, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	out, err := h.call(call, peer, in)
	if err != nil {
		return err
	}
	if err := h.handleVerdict(peer, in, out); err != nil {
		return err
	}
	return h.verifyPeer(peer, out)
}

// obey takes a peer's verdict.
func (h *handshaker) handleVerdict(peer raft.ServerID, in *ltlv1.PeerHandshakeRequest, out *ltlv1.PeerHandshakeResponse) error {
	var err error
	switch out.GetVerdict() {
	case ltlv1.Verdict_VERDICT_ACCEPTED:
		return nil
	case ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH:
		err = fmt.Errorf("%w: node %s met it on another disk before. It may have voted and stored what this directory lacks, so it must not come back "+
			"under its old id. Make keys and a directory under a new id and take its place: ltl node prepare, then ltl node replace", errDirectoryMismatch, peer)
	case ltlv1.Verdict_VERDICT_ROLLED_BACK:
		err = fmt.Errorf("%w: node %s heard of term %d and entry %d from it, and this directory is at term %d and entry %d. It was put back from a copy, "+
			"or its disk lost writes. Restore the newer directory, or take its place under a new id: ltl node prepare, then ltl node replace",
			errRolledBack, peer, out.GetTerm(), out.GetCommit(), in.GetTerm(), in.GetLast())
	case ltlv1.Verdict_VERDICT_EPOCH_MISMATCH:
		err = fmt.Errorf("%w: node %s goes on from another backup. Make this node anew from the same backup, or under a new id: docs/operate/backup.md, Restore", errEpochMismatch, peer)
	case ltlv1.Verdict_VERDICT_REMOVED:
		err = fmt.Errorf("%w, says node %s; its directory holds the ledger as it was and may be kept or deleted", errRemoved, peer)
	default:
		return fmt.Errorf("node %s answers an introduction with %v, which this version does not know", peer, out.GetVerdict())
	}
	h.fatal(err)
	return err
}

// meet checks who answered, and opens this node for consensus when enough have welcomed it.
func (h *handshaker) verifyPeer(peer raft.ServerID, out *ltlv1.PeerHandshakeResponse) error {
	if !slices.Contains(h.founders, h.self) {
		if err := h.dir.adoptEpoch(out.GetRestoreEpoch()); err != nil {
			return err
		}
	}
	verdict, err := h.peerVerdict(peer, out.GetStoreId(), out.GetRestoreEpoch())
	if err != nil {
		return err
	}
	if verdict != ltlv1.Verdict_VERDICT_ACCEPTED {
		return fmt.Errorf("node %s is not the one that is known under this id (%v): nothing is exchanged with it", peer, verdict)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accepted[peer] = true
	h.openLocked()
	return nil
}

// check holds a peer's disk against what is known of it, from the ledger or from when they first met.
func (h *handshaker) peerVerdict(peer raft.ServerID, storeID, epoch []byte) (ltlv1.Verdict, error) {
	known, err := h.ledgerStoreID(peer)
	if err != nil {
		return 0, err
	}
	switch {
	case string(epoch) != string(h.dir.restoreEpoch()):
		return ltlv1.Verdict_VERDICT_EPOCH_MISMATCH, nil
	case len(storeID) != storeIDLen:
		return ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, nil
	case len(known) > 0 && string(known) != string(storeID):
		return ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, nil
	}
	same, err := h.dir.recordPeer(peer, storeID)
	if err != nil {
		return 0, err
	}
	if !same {
		return ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH, nil
	}
	return ltlv1.Verdict_VERDICT_ACCEPTED, nil
}

// answer judges a peer that introduces itself.
func (h *handshaker) handle(peer raft.ServerID, in *ltlv1.PeerHandshakeRequest) (*ltlv1.PeerHandshakeResponse, error) {
	out := &ltlv1.PeerHandshakeResponse{StoreId: h.dir.storeID, RestoreEpoch: h.dir.restoreEpoch()}
	if h.removed(peer) {
		out.Verdict = ltlv1.Verdict_VERDICT_REMOVED
		return out, nil
	}
	epoch := in.GetRestoreEpoch()
	named, err := h.ledgerStoreID(peer)
	if err != nil {
		return nil, err
	}
	if !in.GetJoined() && len(epoch) == 0 && len(named) > 0 {
		epoch = out.RestoreEpoch // a new disk takes the lineage of the network that it was added to
	}
	if out.Verdict, err = h.peerVerdict(peer, in.GetStoreId(), epoch); err != nil || out.Verdict != ltlv1.Verdict_VERDICT_ACCEPTED {
		return out, err
	}
	seen, err := h.dir.recordPosition(peer, position{term: in.GetTerm(), commit: in.GetCommit()})
	if err != nil {
		return nil, err
	}
	// Only the first introduction of a process is judged: later ones may overtake one another.
	if in.GetFirst() && (in.GetTerm() < seen.term || in.GetLast() < seen.commit) {
		out.Verdict, out.Term, out.Commit = ltlv1.Verdict_VERDICT_ROLLED_BACK, seen.term, seen.commit
	}
	return out, nil
}

// openLocked opens this node for consensus. A disk that has taken part before needs one peer's word that it has not gone back in time:
// alone it could not win or help to win anything anyhow. A new disk of a founder could be the second one under its id, so as many
// of the others must welcome it that any two such groups share a member, who would have known the first one. That of an added node is
// named by the ledger.
func (h *handshaker) openLocked() {
	if h.open {
		return
	}
	need, have := 1, len(h.accepted)
	if !h.dir.hasJoined() && slices.Contains(h.founders, h.self) {
		others := len(h.founders) - 1
		need, have = min(others/2+1, others), 0
		for _, id := range h.founders {
			if h.accepted[id] {
				have++
			}
		}
	} else if h.dir.hasJoined() && len(h.running) == 0 {
		need = 0 // it is the only node that is left
	}
	if have < need {
		return
	}
	if err := h.dir.markJoined(); err != nil {
		h.logger.Error("cannot note that this disk takes part in consensus", "error", err)
		return
	}
	h.open = true
	h.logger.Info("this node takes part in consensus", "welcomedBy", have)
}

// isOpen reports whether this node may exchange Raft's messages.
func (h *handshaker) isOpen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// openHandshaker finds out which disk this is.
func (n *Node) openHandshaker(snaps raft.SnapshotStore) error {
	used, err := raft.HasExistingState(n.log, n.log.stable, snaps)
	if err != nil {
		return fmt.Errorf("look at the Raft log: %w", err)
	}
	d, err := openDirectory(n.log.stable, used)
	if err != nil {
		return fmt.Errorf("open the node's identity: %w", err)
	}
	founders := d.founders
	if len(founders) == 0 {
		for _, s := range n.cfg.Trust.Genesis().GetNodes() {
			founders = append(founders, raft.ServerID(s.GetId()))
		}
		slices.Sort(founders)
	}
	n.handshaker = &handshaker{
		self: raft.ServerID(n.id.Name), dir: d, peers: n.others, founders: founders, ledgerStoreID: n.ledgerStoreID, removed: n.removed,
		position: n.position, call: n.peers.handshake, logger: n.cfg.Logger, fatal: n.fatal,
		accepted: map[raft.ServerID]bool{}, running: map[raft.ServerID]context.CancelFunc{},
	}
	n.peers.handshaker = n.handshaker
	n.raft.OnHandshake = n.handshaker.handle
	return nil
}

// incarnation is the disk that the ledger names for a node that was added.
func (n *Node) ledgerStoreID(id raft.ServerID) ([]byte, error) {
	known, err := rules.GetNode(n.store, string(id))
	if known == nil || err != nil {
		return nil, err
	}
	return known.Incarnation, nil
}

// removed reports whether a node is neither the ledger's nor Raft's any more.
func (n *Node) removed(id raft.ServerID) bool {
	known, err := rules.GetNode(n.store, string(id))
	return err == nil && known != nil && known.Standing == ltlv1.NodeStanding_NODE_STANDING_REMOVED && !n.replica.member(string(id))
}

// position is how far this node is.
func (n *Node) position() (position, error) {
	s, err := n.replica.use()
	if err != nil {
		return position{}, err
	}
	defer s.release()
	at := position{term: s.raft.CurrentTerm(), commit: s.raft.CommitIndex()}
	at.last = s.raft.LastIndex() // afterwards: it is never below what was committed
	return at, nil
}
