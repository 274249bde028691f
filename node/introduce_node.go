package node

import (
	"context"
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// openIntroducer finds out which disk this is.
func (n *Node) openIntroducer(snaps raft.SnapshotStore) error {
	used, err := raft.HasExistingState(n.log, n.log.stable, snaps)
	if err != nil {
		return fmt.Errorf("look at the Raft log: %w", err)
	}
	d, err := openDisk(n.log.stable, used)
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
	n.intro = &introducer{
		self: raft.ServerID(n.id.Name), disk: d, peers: n.others, founders: founders, incarnation: n.incarnation, removed: n.removed,
		position: n.position, call: n.peers.introduce, logger: n.cfg.Logger, fatal: n.fatal,
		welcome: map[raft.ServerID]bool{}, running: map[raft.ServerID]context.CancelFunc{},
	}
	n.peers.intro = n.intro
	n.raft.Answer = n.intro.answer
	return nil
}

// incarnation is the disk that the ledger names for a node that was added.
func (n *Node) incarnation(id raft.ServerID) ([]byte, error) {
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
