package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// membershipInterval is how often the leader compares Raft's configuration with the ledger.
	membershipInterval = 500 * time.Millisecond
	// membershipTimeout bounds one change of Raft's configuration.
	membershipTimeout = 10 * time.Second
	// maxBehind is how many Raft entries a learner may be behind when it becomes a voter.
	maxBehind = 256
	// removalTimeout is how long a removed node waits until Raft's configuration drops it; then it stops anyway.
	removalTimeout = 10 * time.Second
)

// The network's nodes are recorded on the system chain, where operators change them with endorsed transactions. Raft
// has a configuration of its own. The leader makes it follow the ledger, one change of one node at a time, so that
// any two successive configurations share a majority; the next leader continues. See DESIGN.md, Membership.
//
// configurationChange is one change of Raft's configuration; an empty id means none.
type configurationChange struct {
	id   raft.ServerID
	kind raft.ConfigurationChangeCommand
}

// nextChange returns the next change that brings the configuration closer to the ledger. ready reports whether a
// learner has caught up. nextChange is pure but for ready.
func nextChange(nodes []*rules.Node, now []raft.Server, ready func(raft.ServerID) bool) configurationChange {
	suffrage := map[raft.ServerID]raft.ServerSuffrage{}
	voters := 0
	for _, s := range now {
		suffrage[s.ID] = s.Suffrage
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	isVoter := func(id string) bool {
		s, in := suffrage[raft.ServerID(id)]
		return in && s == raft.Voter
	}
	// Additions first, so that the number of voters does not drop before a replacement votes.
	for _, n := range nodes {
		id := raft.ServerID(n.ID)
		_, in := suffrage[id]
		switch {
		case n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED:
		case !in:
			return configurationChange{id, raft.AddNonvoter}
		case n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER && !isVoter(n.ID) && ready(id):
			return configurationChange{id, raft.AddVoter}
		}
	}
	for _, n := range nodes {
		id := raft.ServerID(n.ID)
		if _, in := suffrage[id]; !in || isVoter(n.ID) && voters == 1 {
			continue // Raft needs at least one voter
		}
		switch {
		case n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER && isVoter(n.ID):
			return configurationChange{id, raft.DemoteVoter}
		case n.Membership == ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED && replaced(nodes, n, isVoter):
			return configurationChange{id, raft.RemoveServer}
		}
	}
	return configurationChange{}
}

// replaced reports whether a removed node may leave: it has no replacement, or its replacement is a voter.
func replaced(nodes []*rules.Node, n *rules.Node, isVoter func(string) bool) bool {
	for n.ReplacedBy != "" { // each node was added after the one it replaces, so the loop ends
		at := slices.IndexFunc(nodes, func(m *rules.Node) bool { return m.ID == n.ReplacedBy })
		if at < 0 {
			return true
		}
		if n = nodes[at]; n.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
			return n.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER || isVoter(n.ID)
		}
	}
	return true
}

// followMembership makes Raft's configuration follow the ledger while this node leads, and stops this node when the
// network has removed it.
func (r *replica) followMembership() {
	defer r.wg.Done()
	ticker := time.NewTicker(membershipInterval)
	defer ticker.Stop()
	var removed time.Time
	var settled membershipInputs
	logged := ""
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-ticker.C:
		}
		now := r.membershipInputs()
		if now == settled {
			continue
		}
		gone, pending := r.isRemoved(&removed)
		if gone {
			r.fatal(fmt.Errorf("%w; its directory has the ledger up to the removal and may be kept or deleted", errRemoved))
			return
		}
		if now.leads {
			step, err := r.changeConfiguration()
			pending = pending || step || err != nil
			if err != nil && r.ctx.Err() == nil && err.Error() != logged {
				logged = err.Error()
				r.logger.Warn("cannot change Raft's configuration; it is tried again", "error", err)
			}
		}
		if settled = (membershipInputs{}); !pending {
			settled = now
		}
	}
}

// membershipInputs are the values that membership depends on. While they are unchanged and nothing is pending, there
// is nothing to do.
type membershipInputs struct {
	leads  bool
	term   uint64
	height uint64 // of the system chain
	known  bool   // false of the zero value
}

func (r *replica) membershipInputs() membershipInputs {
	s := r.state()
	tip, known := r.store.Tip(ledger.SystemChain)
	return membershipInputs{leads: s.state == raft.Leader, term: s.term, height: tip.Header.Height, known: known}
}

// isRemoved reports whether this node has to stop: the ledger removed it, and Raft's configuration dropped it or
// removalTimeout has passed. pending reports that the ledger removed it and it still waits.
func (r *replica) isRemoved(since *time.Time) (gone, pending bool) {
	n, err := rules.GetNode(r.store, string(r.id))
	if err != nil || n == nil || n.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
		*since = time.Time{}
		return false, err != nil
	}
	if !r.member(string(r.id)) {
		return true, false
	}
	if r.state().state == raft.Leader || n.ReplacedBy != "" && !r.replacementIsVoter(n.ReplacedBy) {
		*since = time.Time{} // it is still needed
		return false, true
	}
	if since.IsZero() {
		*since = time.Now()
	}
	return time.Since(*since) > removalTimeout, true
}

func (r *replica) replacementIsVoter(id string) bool {
	return slices.ContainsFunc(r.configuration(),
		func(s raft.Server) bool { return s.ID == raft.ServerID(id) && s.Suffrage == raft.Voter })
}

// configuration returns Raft's newest configuration, committed or not. It is empty while raft restarts, and in a new
// node before it has received one.
func (r *replica) configuration() []raft.Server {
	s, err := r.use()
	if err != nil {
		return nil
	}
	defer s.release()
	return s.raft.GetConfiguration().Configuration().Servers
}

// member reports whether a node is in Raft's configuration, or that configuration is unknown.
func (r *replica) member(id string) bool {
	servers := r.configuration()
	return len(servers) == 0 || slices.ContainsFunc(servers, func(s raft.Server) bool { return s.ID == raft.ServerID(id) })
}

// changeConfiguration makes the next change, if there is one. pending reports that there may be more to do.
func (r *replica) changeConfiguration() (pending bool, err error) {
	ctx, cancel := context.WithTimeout(r.ctx, membershipTimeout)
	defer cancel()
	// The ledger must have every answered write: an older one could add a node again that was removed.
	if _, err := r.reads.leaderReady(ctx); err != nil {
		return true, nil // another node leads, or this one is not ready to lead
	}
	nodes, err := rules.ListNodes(r.store)
	if err != nil {
		return true, err
	}
	s, err := r.use()
	if err != nil {
		return true, nil
	}
	defer s.release()
	next := nextChange(nodes, s.raft.GetConfiguration().Configuration().Servers,
		func(id raft.ServerID) bool { return r.caughtUp(ctx, id) })
	if next.id == "" {
		return learnerPending(nodes, s.raft.GetConfiguration().Configuration().Servers), nil
	}
	r.logger.Info("changing Raft's configuration", "node", string(next.id), "change", next.kind.String())
	var change raft.IndexFuture
	switch next.kind { // only this goroutine changes the configuration, so it need not be compared (an index of 0)
	case raft.AddNonvoter:
		change = s.raft.AddNonvoter(next.id, raft.ServerAddress(next.id), 0, membershipTimeout)
	case raft.AddVoter:
		change = s.raft.AddVoter(next.id, raft.ServerAddress(next.id), 0, membershipTimeout)
	case raft.DemoteVoter:
		change = s.raft.DemoteVoter(next.id, 0, membershipTimeout)
	default:
		change = s.raft.RemoveServer(next.id, 0, membershipTimeout)
	}
	err = change.Error()
	if errors.Is(err, raft.ErrNotLeader) || errors.Is(err, raft.ErrLeadershipLost) {
		return true, nil // the next leader continues
	}
	if err != nil {
		return true, fmt.Errorf("%s of node %s: %w", next.kind, next.id, err)
	}
	return true, nil
}

// learnerPending reports whether the configuration differs from the ledger only because a learner has not caught up.
func learnerPending(nodes []*rules.Node, now []raft.Server) bool {
	return nextChange(nodes, now, func(raft.ServerID) bool { return true }).id != ""
}

// caughtUp asks a learner whether it is at most maxBehind entries behind.
func (r *replica) caughtUp(ctx context.Context, id raft.ServerID) bool {
	if r.askApplied == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	applied, err := r.askApplied(ctx, id)
	return err == nil && applied+maxBehind >= r.store.AppliedIndex()
}
