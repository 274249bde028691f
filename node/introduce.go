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

	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// introduceInterval is how often a node tells its peers how far it is; introduceRetry how soon it comes again to one that it has
	// not been introduced to.
	introduceInterval = time.Second
	introduceRetry    = 100 * time.Millisecond
	// introduceTimeout bounds one introduction.
	introduceTimeout = 2 * time.Second
)

var (
	// errOtherDisk ends a node whose peers knew it on another disk.
	errOtherDisk = errors.New("this node's directory is not the one that its peers know")
	// errRolledBack ends a node whose disk has gone back in time.
	errRolledBack = errors.New("this node's directory is older than what this node has told its peers")
	// errOtherLineage ends a node of a network that was restored from a backup without it.
	errOtherLineage = errors.New("this node's directory belongs to another lineage of the network")
	// errRemoved ends a node that the network removed.
	errRemoved = errors.New("this node was removed from the network")
)

// position is how far a node is: a term and a committed index that are on its disk and that it never goes back behind, and the end of
// its log.
type position struct{ term, commit, last uint64 }

// introducer knows which disk this node runs on, which disk each peer ran on when they first met, and how far each peer has got.
//
// Raft is safe only while nobody forgets a vote or an entry that he acknowledged. A node with an empty directory under a known id has
// forgotten everything, one whose directory was put back from a copy some of it, and Raft itself cannot tell either from a slow node.
// So nodes introduce themselves before they exchange anything else, and again about once a second. What a peer remembers of a node is
// on the peer's disk. DESIGN.md says what this finds and what not.
type introducer struct {
	self  raft.ServerID
	disk  *disk
	peers func() []raft.ServerID
	// founders are the nodes that the network began with, by its genesis or by a restoration. Others were added by a transaction that
	// names their disk.
	founders []raft.ServerID
	// incarnation is what the ledger names as a node's disk, or nil; removed tells who is no node any more.
	incarnation func(raft.ServerID) ([]byte, error)
	removed     func(raft.ServerID) bool
	position    func() (position, error)
	call        func(ctx context.Context, peer raft.ServerID, in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error)
	logger      *slog.Logger
	fatal       func(error)

	mu      sync.Mutex
	open    bool
	welcome map[raft.ServerID]bool // who has welcomed this process at any time
	running map[raft.ServerID]context.CancelFunc
	wg      sync.WaitGroup
}

// run introduces this node to every peer until ctx ends, to new ones as they become known.
func (i *introducer) run(ctx context.Context) {
	defer i.wg.Wait()
	ticker := time.NewTicker(introduceInterval)
	defer ticker.Stop()
	for {
		i.follow(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// follow starts with peers that are new and ends with those that are none any more.
func (i *introducer) follow(ctx context.Context) {
	known := map[raft.ServerID]bool{}
	for _, peer := range i.peers() {
		known[peer] = true
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for peer := range known {
		if i.running[peer] == nil {
			ctx, cancel := context.WithCancel(ctx)
			i.running[peer] = cancel
			i.wg.Go(func() { i.keep(ctx, peer) })
		}
	}
	for peer, cancel := range i.running {
		if !known[peer] {
			cancel()
			delete(i.running, peer)
		}
	}
	i.openLocked()
}

// keep introduces this node to one peer again and again.
func (i *introducer) keep(ctx context.Context, peer raft.ServerID) {
	first, told := true, ""
	for {
		wait := introduceInterval
		err := i.introduce(ctx, peer, first)
		switch {
		case err == nil:
			first, told = false, ""
		case ctx.Err() != nil:
			return
		default:
			wait = introduceRetry
			if text := err.Error(); text != told { // the same trouble is told once
				told = text
				i.logger.Warn("cannot introduce this node to a peer", "peer", string(peer), "error", err)
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
func (i *introducer) introduce(ctx context.Context, peer raft.ServerID, first bool) error {
	at, err := i.position()
	if err != nil {
		return err
	}
	in := &ltlv1.IntroduceRequest{
		Incarnation: i.disk.incarnation, Lineage: i.disk.lineageNow(), Admitted: i.disk.isAdmitted(), Term: at.term, Commit: at.commit, Last: at.last,
		First: first,
	}
	call, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	out, err := i.call(call, peer, in)
	if err != nil {
		return err
	}
	if err := i.obey(peer, in, out); err != nil {
		return err
	}
	return i.meet(peer, out)
}

// obey takes a peer's verdict.
func (i *introducer) obey(peer raft.ServerID, in *ltlv1.IntroduceRequest, out *ltlv1.IntroduceResponse) error {
	var err error
	switch out.GetVerdict() {
	case ltlv1.Verdict_VERDICT_WELCOME:
		return nil
	case ltlv1.Verdict_VERDICT_OTHER_DISK:
		err = fmt.Errorf("%w: node %s met it on another disk before. It may have voted and stored what this directory lacks, so it must not come back "+
			"under its old id. Make keys and a directory under a new id and take its place: ltl node prepare, then ltl node replace", errOtherDisk, peer)
	case ltlv1.Verdict_VERDICT_ROLLED_BACK:
		err = fmt.Errorf("%w: node %s heard of term %d and entry %d from it, and this directory is at term %d and entry %d. It was put back from a copy, "+
			"or its disk lost writes. Restore the newer directory, or take its place under a new id: ltl node prepare, then ltl node replace",
			errRolledBack, peer, out.GetTerm(), out.GetCommit(), in.GetTerm(), in.GetLast())
	case ltlv1.Verdict_VERDICT_OTHER_LINEAGE:
		err = fmt.Errorf("%w: node %s goes on from another backup. Make this node anew from the same backup, or under a new id: docs/operate/backup.md, Restore", errOtherLineage, peer)
	case ltlv1.Verdict_VERDICT_REMOVED:
		err = fmt.Errorf("%w, says node %s; its directory holds the ledger as it was and may be kept or deleted", errRemoved, peer)
	default:
		return fmt.Errorf("node %s answers an introduction with %v, which this version does not know", peer, out.GetVerdict())
	}
	i.fatal(err)
	return err
}

// meet checks who answered, and opens this node for consensus when enough have welcomed it.
func (i *introducer) meet(peer raft.ServerID, out *ltlv1.IntroduceResponse) error {
	if !slices.Contains(i.founders, i.self) {
		if err := i.disk.adopt(out.GetLineage()); err != nil {
			return err
		}
	}
	verdict, err := i.check(peer, out.GetIncarnation(), out.GetLineage())
	if err != nil {
		return err
	}
	if verdict != ltlv1.Verdict_VERDICT_WELCOME {
		return fmt.Errorf("node %s is not the one that is known under this id (%v): nothing is exchanged with it", peer, verdict)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.welcome[peer] = true
	i.openLocked()
	return nil
}

// check holds a peer's disk against what is known of it, from the ledger or from when they first met.
func (i *introducer) check(peer raft.ServerID, incarnation, lineage []byte) (ltlv1.Verdict, error) {
	known, err := i.incarnation(peer)
	if err != nil {
		return 0, err
	}
	switch {
	case string(lineage) != string(i.disk.lineageNow()):
		return ltlv1.Verdict_VERDICT_OTHER_LINEAGE, nil
	case len(incarnation) != incarnationLen:
		return ltlv1.Verdict_VERDICT_OTHER_DISK, nil
	case len(known) > 0 && string(known) != string(incarnation):
		return ltlv1.Verdict_VERDICT_OTHER_DISK, nil
	}
	same, err := i.disk.remember(peer, incarnation)
	if err != nil {
		return 0, err
	}
	if !same {
		return ltlv1.Verdict_VERDICT_OTHER_DISK, nil
	}
	return ltlv1.Verdict_VERDICT_WELCOME, nil
}

// answer judges a peer that introduces itself.
func (i *introducer) answer(peer raft.ServerID, in *ltlv1.IntroduceRequest) (*ltlv1.IntroduceResponse, error) {
	out := &ltlv1.IntroduceResponse{Incarnation: i.disk.incarnation, Lineage: i.disk.lineageNow()}
	if i.removed(peer) {
		out.Verdict = ltlv1.Verdict_VERDICT_REMOVED
		return out, nil
	}
	lineage := in.GetLineage()
	named, err := i.incarnation(peer)
	if err != nil {
		return nil, err
	}
	if !in.GetAdmitted() && len(lineage) == 0 && len(named) > 0 {
		lineage = out.Lineage // a new disk takes the lineage of the network that it was added to
	}
	if out.Verdict, err = i.check(peer, in.GetIncarnation(), lineage); err != nil || out.Verdict != ltlv1.Verdict_VERDICT_WELCOME {
		return out, err
	}
	seen, err := i.disk.heard(peer, position{term: in.GetTerm(), commit: in.GetCommit()})
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
func (i *introducer) openLocked() {
	if i.open {
		return
	}
	need, have := 1, len(i.welcome)
	if !i.disk.isAdmitted() && slices.Contains(i.founders, i.self) {
		others := len(i.founders) - 1
		need, have = min(others/2+1, others), 0
		for _, id := range i.founders {
			if i.welcome[id] {
				have++
			}
		}
	} else if i.disk.isAdmitted() && len(i.running) == 0 {
		need = 0 // it is the only node that is left
	}
	if have < need {
		return
	}
	if err := i.disk.admit(); err != nil {
		i.logger.Error("cannot note that this disk takes part in consensus", "error", err)
		return
	}
	i.open = true
	i.logger.Info("this node takes part in consensus", "welcomedBy", have)
}

// isOpen reports whether this node may exchange Raft's messages.
func (i *introducer) isOpen() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.open
}
