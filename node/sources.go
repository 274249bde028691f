package node

import (
	"errors"
	"fmt"

	"ltl/internal/rules"
	"ltl/internal/scrub"
	ltlv1 "ltl/proto/ltl/v1"
)

// sources returns the copies of others, from which damaged blocks are repaired and lost values are fetched: those of the
// other voters, and after them those of the endorsers.
func (n *Node) sources() []scrub.Source {
	return append(n.nodeSources(), n.endorserSources()...)
}

// endorserSources are the endorsers' copies, which have the values of what they signed also where a leader left them
// out.
func (n *Node) endorserSources() (out []scrub.Source) {
	all, err := rules.ListOrganisations(n.store)
	if err != nil {
		return nil
	}
	for _, o := range all {
		address := func() (string, error) {
			now, err := rules.GetOrganisation(n.store, o.ID)
			if err != nil || now == nil {
				return "", errors.Join(err, fmt.Errorf("organisation %s is not of the network", o.ID))
			}
			return now.EndorserAddress, nil
		}
		if conn, err := n.peers.endorser(o.ID, address); err == nil {
			out = append(out, scrub.Source{Name: "endorser/" + o.ID, Ledger: ltlv1.NewLedgerClient(conn)})
		}
	}
	return out
}

// nodeSources are the copies of the other nodes.
func (n *Node) nodeSources() []scrub.Source {
	_, others, err := n.replica.voters()
	if err != nil {
		return nil
	}
	var out []scrub.Source
	for _, id := range others {
		if conn, err := n.peers.conn(id); err == nil {
			out = append(out, scrub.Source{Name: string(id), Ledger: ltlv1.NewLedgerClient(conn)})
		}
	}
	return out
}
