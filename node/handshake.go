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
	// handshakeInterval is how often a node sends its position to each peer. handshakeRetry is the pause after a
	// handshake that failed.
	handshakeInterval = time.Second
	handshakeRetry    = 100 * time.Millisecond
	// handshakeTimeout bounds one handshake.
	handshakeTimeout = 2 * time.Second
)

var (
	// errDirectoryMismatch stops a node that its peers know with another store id.
	errDirectoryMismatch = errors.New("this node's directory is not the one that its peers know")
	// errRolledBack stops a node whose directory went back to an older state.
	errRolledBack = errors.New("this node's directory is older than what this node has told its peers")
	// errEpochMismatch stops a node of a network that was restored from a backup without this node.
	errEpochMismatch = errors.New("this node's directory belongs to another restore epoch of the network")
	// errRemoved stops a node that the network removed.
	errRemoved = errors.New("this node was removed from the network")
)

// position says how far a node is: a term and a committed index, which are on its disk and never decrease, and the
// index of the last entry of its log.
type position struct{ term, commit, last uint64 }

// handshaker performs the peer handshake. It knows this node's store id, the store id of each peer since their first
// handshake, and the highest position that each peer has reported.
//
// Raft is safe only while no node forgets a vote or an entry that it acknowledged. A node with an empty directory
// under a known id has forgotten all of them, and one whose directory was restored from a copy has forgotten some;
// Raft cannot tell either from a slow node. So nodes perform a handshake before they exchange any other message, and
// repeat it once a second. What a peer remembers of a node is on the peer's disk. DESIGN.md, section Peer handshake,
// says what this detects and what it does not.
type handshaker struct {
	self  raft.ServerID
	dir   *directory
	peers func() []raft.ServerID
	// founders are the nodes that the network began with, by its genesis or by a restoration. Later nodes were added by
	// a transaction that names their store id.
	founders []raft.ServerID
	// ledgerStoreID returns the store id that the ledger names for a node, or nil. removed reports whether a node was
	// removed from the network.
	ledgerStoreID func(raft.ServerID) ([]byte, error)
	removed       func(raft.ServerID) bool
	// position returns this node's position; call performs the RPC.
	position func() (position, error)
	call     func(ctx context.Context, peer raft.ServerID,
		in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error)
	// organisation returns the organisation of a node.
	organisation func(raft.ServerID) string
	signer       *positionSigner
	logger       *slog.Logger
	fatal        func(error)

	mu       sync.Mutex
	open     bool
	accepted map[raft.ServerID]bool          // peers that have accepted this process at any time
	verdicts map[raft.ServerID]ltlv1.Verdict // the newest of each peer
	offers   map[raft.ServerID]epochOffer    // what peers reported to a new directory
	running  map[raft.ServerID]context.CancelFunc
	wg       sync.WaitGroup
}

// run performs handshakes with every peer until ctx ends, and starts with new peers as they become known.
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

// syncPeers starts a goroutine for each new peer, and stops those of peers that are no longer in the network.
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

// repeat performs handshakes with one peer until ctx ends.
func (h *handshaker) repeat(ctx context.Context, peer raft.ServerID) {
	first, logged := true, ""
	for {
		wait := handshakeInterval
		err := h.handshake(ctx, peer, first)
		switch {
		case err == nil:
			first, logged = false, ""
		case ctx.Err() != nil:
			return
		default:
			wait = handshakeRetry
			if text := err.Error(); text != logged { // the same error is logged once
				logged = text
				h.logger.Warn("peer handshake failed; it is tried again", "peer", string(peer), "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// handshake performs one handshake. The peer compares this node's position with what it remembers only when first is
// set: in the handshakes of a process until one succeeds.
func (h *handshaker) handshake(ctx context.Context, peer raft.ServerID, first bool) error {
	at, err := h.position()
	if err != nil {
		return err
	}
	in := &ltlv1.IntroduceRequest{
		StoreId: h.dir.storeID, RestoreEpoch: h.dir.restoreEpoch(), Joined: h.dir.hasJoined(), Term: at.term,
		Commit: at.commit, Last: at.last,
		First:           first,
		TermSignature:   h.signer.sign(signedTerm, h.dir.storeID, h.dir.restoreEpoch(), at.term),
		CommitSignature: h.signer.sign(signedCommit, h.dir.storeID, h.dir.restoreEpoch(), at.commit),
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

// handleVerdict returns nil when the peer accepts this node. Any other verdict that this version knows ends the process
// when this node's own signatures prove it, or when enough peers give it; another restore epoch only while this node
// takes no part, since either side of a handshake can be the one that was not restored. By the word of one peer this
// node only exchanges no messages with it: a node that lies ends no other.
func (h *handshaker) handleVerdict(peer raft.ServerID, in *ltlv1.IntroduceRequest,
	out *ltlv1.IntroduceResponse) error {
	believed := h.noteVerdict(peer, out.GetVerdict())
	var err error
	switch out.GetVerdict() {
	case ltlv1.Verdict_VERDICT_ACCEPTED:
		return nil
	case ltlv1.Verdict_VERDICT_DIRECTORY_MISMATCH:
		err = fmt.Errorf("%w: node %s knows this node with another store id. The node may have voted and stored entries "+
			"that this directory lacks, so it must not start "+
			"under its old id. Replace it by a node with a new id, new keys and an empty directory: ltl node prepare, then "+
			"ltl node replace", errDirectoryMismatch, peer)
	case ltlv1.Verdict_VERDICT_ROLLED_BACK:
		err = fmt.Errorf("%w: this node reported term %d and entry %d to node %s, and this directory is at term %d and "+
			"entry %d. The directory was restored from a copy, "+
			"or its disk lost writes. Put the newer directory back, or replace the node by one with a new id: ltl node "+
			"prepare, then ltl node replace",
			errRolledBack, out.GetTerm(), out.GetCommit(), peer, in.GetTerm(), in.GetLast())
	case ltlv1.Verdict_VERDICT_EPOCH_MISMATCH:
		err = fmt.Errorf("%w: node %s was restored from another backup. Restore this node from the same backup, or add it "+
			"under a new id: docs/operate/backup.md, Restore", errEpochMismatch, peer)
		believed = believed && !h.isOpen()
	case ltlv1.Verdict_VERDICT_REMOVED:
		err = fmt.Errorf("%w, according to node %s; its directory has the ledger up to the removal and may be kept or "+
			"deleted", errRemoved, peer)
	default:
		return fmt.Errorf("node %s answers the peer handshake with %v, which this version does not know", peer,
			out.GetVerdict())
	}
	if believed || h.proves(out) {
		h.fatal(err)
	}
	return err
}

// verifyPeer checks the identity of the peer that accepted this node, and opens this node for consensus when enough
// peers have accepted it.
func (h *handshaker) verifyPeer(peer raft.ServerID, out *ltlv1.IntroduceResponse) error {
	if !slices.Contains(h.founders, h.self) {
		if err := h.adoptEpoch(peer, out); err != nil {
			return err
		}
	}
	verdict, err := h.peerVerdict(peer, out.GetStoreId(), out.GetRestoreEpoch())
	if err != nil {
		return err
	}
	if verdict != ltlv1.Verdict_VERDICT_ACCEPTED {
		return fmt.Errorf("node %s is not the node that is known under this id (%v): no messages are exchanged with it",
			peer, verdict)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.accepted[peer] = true
	h.openLocked()
	return nil
}

// peerVerdict compares a peer's store id and restore epoch with what is known of the peer, from the ledger or from
// their first handshake.
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

// handle answers a peer's handshake with a verdict.
func (h *handshaker) handle(peer raft.ServerID, in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
	out := &ltlv1.IntroduceResponse{StoreId: h.dir.storeID, RestoreEpoch: h.dir.restoreEpoch(),
		RestoredBlocks: h.dir.restoredBlocks()}
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
		epoch = out.RestoreEpoch // a new directory takes the restore epoch of the network that it was added to
	}
	if out.Verdict, err = h.peerVerdict(peer, in.GetStoreId(), epoch); err != nil {
		return nil, err
	}
	if out.Verdict == ltlv1.Verdict_VERDICT_EPOCH_MISMATCH && !h.dir.hasJoined() && !slices.Contains(h.founders, h.self) {
		return nil, errors.New("this node is new and does not know the network's restore epoch yet")
	}
	if out.Verdict != ltlv1.Verdict_VERDICT_ACCEPTED {
		known, err := h.dir.lastReport(peer)
		out.KnownStoreId, out.Term, out.TermSignature = known.storeID, known.term, known.termSignature
		return out, err
	}
	seen, err := h.dir.recordPosition(peer, position{term: in.GetTerm(), commit: in.GetCommit()}, in.GetTermSignature(),
		in.GetCommitSignature())
	if err != nil {
		return nil, err
	}
	// Only the first handshake of a process is compared: later ones may overtake one another.
	if in.GetFirst() && (in.GetTerm() < seen.term || in.GetLast() < seen.commit) {
		out.Verdict, out.Term, out.Commit = ltlv1.Verdict_VERDICT_ROLLED_BACK, seen.term, seen.commit
		out.TermSignature, out.CommitSignature = seen.termSignature, seen.commitSignature
	}
	return out, nil
}

// openLocked opens this node for consensus once enough peers have accepted it. A directory that has taken part before
// needs one peer to confirm that it is not older than it was: alone it could neither win an election nor help another
// node to win. A new directory of a founder could be the second one under its id. So many of the other founders must
// accept it that any two such groups have a common member, which would have known the first directory. The directory
// of a node that was added is named by the ledger; enough peers accept it that one alone gives it no wrong restore
// epoch.
func (h *handshaker) openLocked() {
	if h.open {
		return
	}
	need, have := 1, len(h.accepted)
	switch joined, founder := h.dir.hasJoined(), slices.Contains(h.founders, h.self); {
	case joined && len(h.running) == 0:
		need = 0 // it is the only node that is left
	case !joined && !founder:
		if !h.believed(func(id raft.ServerID) bool { return h.accepted[id] }) {
			return
		}
	case !joined:
		others := len(h.founders) - 1
		need, have = min(others/2+1, others), 0
		for _, id := range h.founders {
			if h.accepted[id] {
				have++
			}
		}
	}
	if have < need {
		return
	}
	if err := h.dir.markJoined(); err != nil {
		h.logger.Error("cannot record that this directory takes part in consensus", "error", err)
		return
	}
	h.open = true
	h.logger.Info("this node takes part in consensus", "acceptedBy", have)
}

// isOpen reports whether this node may exchange Raft's messages.
func (h *handshaker) isOpen() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.open
}

// openHandshaker reads or creates the directory's store id and makes the handshaker.
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
	keys, err := n.cfg.Credentials.SignKeys()
	if err != nil {
		return err
	}
	n.handshaker = &handshaker{
		self: raft.ServerID(n.id.Name), dir: d, peers: n.others, founders: founders, ledgerStoreID: n.ledgerStoreID,
		removed:  n.removed,
		position: n.position, call: n.peers.handshake, logger: n.cfg.Logger, fatal: n.fatal,
		organisation: n.organisationOf, signer: &positionSigner{n.store.NetworkID(), raft.ServerID(n.id.Name), keys},
		accepted: map[raft.ServerID]bool{}, verdicts: map[raft.ServerID]ltlv1.Verdict{},
		offers:  map[raft.ServerID]epochOffer{},
		running: map[raft.ServerID]context.CancelFunc{},
	}
	n.peers.handshaker = n.handshaker
	n.raft.OnHandshake = n.handshaker.handle
	return nil
}

// organisationOf returns the organisation of a node; empty for one that the network has not.
func (n *Node) organisationOf(id raft.ServerID) string {
	if id == raft.ServerID(n.id.Name) {
		return n.id.Organisation
	}
	known, _ := n.cfg.Trust.Node(string(id))
	return known.GetOrganisation()
}

// ledgerStoreID returns the store id that the ledger names for a node that was added; nil for other nodes.
func (n *Node) ledgerStoreID(id raft.ServerID) ([]byte, error) {
	known, err := rules.GetNode(n.store, string(id))
	if known == nil || err != nil {
		return nil, err
	}
	return known.StoreID, nil
}

// removed reports whether the ledger has removed a node and Raft's configuration does not have it any more.
func (n *Node) removed(id raft.ServerID) bool {
	known, err := rules.GetNode(n.store, string(id))
	return err == nil && known != nil && known.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED &&
		!n.replica.member(string(id))
}

// position returns how far this node is.
func (n *Node) position() (position, error) {
	s, err := n.replica.use()
	if err != nil {
		return position{}, err
	}
	defer s.release()
	at := position{term: s.raft.CurrentTerm(), commit: s.raft.CommitIndex()}
	at.last = s.raft.LastIndex() // read after the commit index, so it is never below it
	return at, nil
}
