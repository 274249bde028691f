package endorser

import (
	"errors"
	"fmt"

	"google.golang.org/grpc"

	"ltl/internal/identity"
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
