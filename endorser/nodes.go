package endorser

import (
	"errors"
	"fmt"
	"slices"

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
}

// renewSources connects to the nodes that the own copy of the ledger names, and leaves those that were removed. Only the follower calls
// it, while it follows nobody: it owns e.nodes.
func (e *Endorser) renewSources() error {
	e.newNodes.Store(false)
	wanted, err := e.wanted()
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

// wanted are the nodes of the configuration, else those that the ledger names.
func (e *Endorser) wanted() ([]Peer, error) {
	if len(e.cfg.Nodes) > 0 {
		return e.cfg.Nodes, nil
	}
	all, err := rules.ListNodes(e.store)
	if err != nil {
		return nil, err
	}
	var peers []Peer
	for _, n := range all {
		if n.Standing != ltlv1.NodeStanding_NODE_STANDING_REMOVED {
			peers = append(peers, Peer{ID: n.ID, Address: n.Address})
		}
	}
	return peers, nil
}

// learn keeps the trust at what the system chain says, so that whoever belongs to an organisation that was added can connect.
// Whom the trust refuses can never connect, which is no reason to stop.
func (e *Endorser) learn() {
	tip, ok := e.store.Tip(ledger.SystemChain)
	if !ok || e.learned.Load() > tip.Header.Height {
		return
	}
	if err := e.cfg.Trust.Learn(e.store, tip.Header.Height, nil); err != nil {
		e.log.Error("cannot learn who belongs to the network", "error", err)
	}
	e.learned.Store(tip.Header.Height + 1)
	if wanted, err := e.wanted(); err != nil || !slices.EqualFunc(wanted, *e.sources.Load(), func(p Peer, s *source) bool { return p == s.Peer }) {
		e.newNodes.Store(true)
	}
}
