package endorser

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// source is a node that can be followed.
type source struct {
	Peer
	conn   *grpc.ClientConn
	ledger ltlv1.LedgerClient
	// unbelievedUntil is until when its report of more blocks is not believed, unbelieved how long that is. Only the
	// follower and the monitor that it waits for use them.
	unbelievedUntil time.Time
	unbelieved      time.Duration
}

// refreshSources connects to the nodes that the copy of the ledger names, and disconnects from those that were
// removed. Only the follower calls it, while it follows no node: it owns e.nodes.
func (e *Endorser) refreshSources() error {
	e.newNodes.Store(false)
	wanted, err := e.configuredNodes()
	if err != nil {
		return err
	}
	old := map[Peer]*source{}
	for _, n := range e.nodes {
		old[n.Peer] = n
	}
	var nodes []*source
	var errs []error
	for _, p := range wanted {
		if n := old[p]; n != nil {
			nodes = append(nodes, n)
			delete(old, p)
			continue
		}
		conn, err := grpc.NewClient(p.Address, e.cfg.Credentials.DialOptions(identity.RoleNode, p.ID)...)
		if err != nil {
			errs = append(errs, fmt.Errorf("node %s: %w", p.ID, err))
			continue
		}
		nodes = append(nodes, &source{Peer: p, conn: conn, ledger: ltlv1.NewLedgerClient(conn)})
	}
	if len(nodes) == 0 {
		return errors.Join(append(errs, errors.New("there is no node to follow"))...)
	}
	e.nodes = nodes
	e.sources.Store(&nodes)
	for _, n := range old {
		errs = append(errs, n.conn.Close())
	}
	return errors.Join(errs...)
}

// speakForNetwork reports whether what these nodes say is what the network says. Each organisation has one voice,
// that of more than half of its nodes, and more than half of the organisations that have nodes must agree: an
// organisation adds learners of its own as it likes, and must not outvote the others with them.
func (e *Endorser) speakForNetwork(ids []string) bool {
	all, saying, voices := map[string]int{}, map[string]int{}, 0
	for _, n := range e.nodes {
		known, _ := e.cfg.Trust.Node(n.ID) // nil for one that the ledger does not name, which cannot be connected to
		all[known.GetOrganisation()]++
		if slices.Contains(ids, n.ID) {
			saying[known.GetOrganisation()]++
		}
	}
	for organisation, n := range saying {
		if 2*n > all[organisation] {
			voices++
		}
	}
	return 2*voices > len(all)
}

// configuredNodes returns the nodes of the configuration, or else those that the ledger names.
func (e *Endorser) configuredNodes() ([]Peer, error) {
	if len(e.cfg.Nodes) > 0 {
		return e.cfg.Nodes, nil
	}
	all, err := rules.ListNodes(e.store)
	if err != nil {
		return nil, err
	}
	var peers []Peer
	for _, n := range all {
		if n.Membership != ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED {
			peers = append(peers, Peer{ID: n.ID, Address: n.Address})
		}
	}
	return peers, nil
}

// updateTrust keeps the trust in step with the system chain, so that members of added organisations can connect. An
// organisation that the trust refuses can never connect, which is not a reason to stop.
func (e *Endorser) updateTrust() {
	tip, ok := e.store.Tip(ledger.SystemChain)
	if !ok || e.trustHeight.Load() > tip.Header.Height {
		return
	}
	if err := e.cfg.Trust.Learn(e.store, tip.Header.Height, nil); err != nil {
		e.log.Error("cannot update the trusted organisations and nodes from the ledger", "error", err)
	}
	e.trustHeight.Store(tip.Header.Height + 1)
	if wanted, err := e.configuredNodes(); err != nil || !slices.EqualFunc(wanted, *e.sources.Load(),
		func(p Peer, s *source) bool { return p == s.Peer }) {
		e.newNodes.Store(true)
	}
}
