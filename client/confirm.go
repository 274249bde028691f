package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// What a node says of the network is not signed, and a client connects to, and trusts, whom it names. So the client takes
// what is new to it only when nodes of more than half of the organisations say the same, or a process of its own
// organisation does. Else one node could cut off all clients that ask it, by false addresses, or have them take its
// own certificate authority for another organisation's.

// errNotConfirmed is returned while it is not known which of the answers about the network is right.
var errNotConfirmed = errors.New("nodes of more than half of the organisations do not say the same of the network's " +
	"members and chains, and no process of this organisation answers; what was known stays in use: start the endorser of " +
	"this organisation, and audit the nodes that differ")

// said is what a process answers about the network.
type said struct {
	organisation string
	node         bool // it is a node; else the endorser of the client's own organisation
	in           *ltlv1.GetNetworkResponse
	hash         ledger.Hash
	err          error
}

// digest is the hash of all that a client takes from an answer about the network, whichever block it was read at.
func digest(in *ltlv1.GetNetworkResponse) ledger.Hash {
	out := &ltlv1.GetNetworkResponse{
		NetworkId: in.GetNetworkId(), Organisations: in.GetOrganisations(), Nodes: in.GetNodes(),
		TotalChains: in.GetTotalChains(), RemovedNodes: in.GetRemovedNodes(), Authorities: in.GetAuthorities(),
		Revocations: in.GetRevocations(), Removed: in.GetRemoved(),
	}
	for _, c := range in.GetChains() {
		out.Chains = append(out.Chains,
			&ltlv1.ChainInfo{ChainId: c.GetChainId(), ChainCode: c.GetChainCode(), Chain: c.GetChain()})
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(out)
	if err != nil { // text that is not UTF-8 was not received over gRPC
		return ledger.Hash{}
	}
	return sha256.Sum256(b)
}

// knows reports whether an answer says what was confirmed last.
func (n *network) knows(in *ltlv1.GetNetworkResponse) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.confirmed != (ledger.Hash{}) && digest(in) == n.confirmed
}

// hasNews reports whether the endorser of the client's own organisation says something else of the network than was
// confirmed last, and is not behind that: the node that was asked may hide a change by repeating what it said before.
func (n *network) hasNews(ctx context.Context) bool {
	e := n.client.peers.endorser(n.client.credentials.Identity().Organisation)
	if e == nil || e.breaker.open() {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	a := n.ask(ctx, e, nil)
	return a.err == nil && !n.knows(a.in) && a.height() >= n.trust.Height()
}

// confirm asks every node and the endorser of the client's own organisation, and returns what to believe. The word of its
// own organisation alone counts when the others have not agreed within statusTimeout: it may be behind them.
func (n *network) confirm(ctx context.Context, request *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own := n.client.credentials.Identity().Organisation
	nodes := n.client.peers.all()
	asked := slices.Clone(nodes)
	if e := n.client.peers.endorser(own); e != nil {
		asked = append(asked, e)
	}
	organisations := map[string]bool{}
	for _, p := range nodes {
		organisations[n.organisationOf(p)] = true
	}
	answers := make(chan said, len(asked))
	for _, p := range asked {
		go func() { answers <- n.ask(ctx, p, request) }()
	}
	enough := time.NewTimer(statusTimeout)
	defer enough.Stop()
	var all []said
	var last error
	for waiting, late := len(asked), false; waiting > 0; {
		select {
		case <-enough.C:
			late = true
		case a := <-answers:
			waiting--
			if a.err != nil {
				last = a.err
				break
			}
			all = append(all, a)
			if agreed := n.agreed(all, own, len(organisations)); agreed != nil {
				return agreed, nil
			}
		}
		for _, a := range all {
			if (late || waiting == 0) && a.organisation == own && a.height() >= n.trust.Height() {
				return a.in, nil
			}
		}
	}
	return nil, errors.Join(errNotConfirmed, last)
}

// ask asks one process. A node of another network gives no answer.
func (n *network) ask(ctx context.Context, p *peer, request *ltlv1.GetNetworkRequest) said {
	if p.role == identity.RoleEndorser { // it has no leader to ask how far the others are
		request = &ltlv1.GetNetworkRequest{Consistency: ltlv1.Consistency_CONSISTENCY_LOCAL}
	}
	in, err := ltlv1.NewLedgerClient(p.conn).GetNetwork(ctx, request)
	if err == nil && string(in.GetNetworkId()) != string(n.id[:]) {
		err = fmt.Errorf("%s answers for another network, %x", p.name, in.GetNetworkId())
	}
	return said{n.organisationOf(p), p.role == identity.RoleNode, in, digest(in), err}
}

func (a *said) height() uint64 { return identity.MembershipOf(a.in).Height }

// agreed returns what the newest answer says when nodes of more than half of the organisations say the same, or a process
// of the client's own organisation and one of another do; else nil. An endorser alone may be behind the nodes.
func (n *network) agreed(all []said, own string, organisations int) *ltlv1.GetNetworkResponse {
	newest := all[len(all)-1]
	of, ofNodes := map[string]bool{}, map[string]bool{}
	low, high := newest.height(), newest.height()
	for _, a := range all {
		if a.hash == newest.hash {
			of[a.organisation] = true
			if a.node {
				ofNodes[a.organisation] = true
			}
			low, high = min(low, a.height()), max(high, a.height())
		}
	}
	known := n.trust.Height()
	if len(ofNodes)*2 <= organisations && !(of[own] && len(of) > 1) || high < known {
		return nil
	}
	// One of those that say the same may have invented its height: too high a one would make all later changes seem old.
	for _, c := range newest.in.GetChains() {
		if c.GetChainId() == ledger.SystemChain {
			c.Height = max(low, known)
		}
	}
	return newest.in
}
