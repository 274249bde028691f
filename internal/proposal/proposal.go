// Package proposal makes the transactions with which operators change what several organisations share: the proposal of
// a change, and the votes on it.
package proposal

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// DefaultLife is how long a proposal takes votes unless its proposer says otherwise.
const DefaultLife = 7 * 24 * time.Hour

// Prepare asks a node whether the client's operator has to propose a change of the system chain. Then the answer holds
// the proposal; otherwise the change is an act of its owner, and tx itself is submitted. tx is not changed.
func Prepare(ctx context.Context, c *client.Client, tx *ltlv1.Transaction) (*ltlv1.PrepareProposalResponse, error) {
	payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
	if err != nil {
		return nil, fmt.Errorf("couldn't encode the change: %w", err)
	}
	return c.Ledger().PrepareProposal(ctx, &ltlv1.PrepareProposalRequest{Transaction: payload})
}

// New returns the transaction of a proposal that Prepare has made and that takes votes for the given time from now on. Where
// the system chain's time is ahead of this clock it is counted from there, since proposals expire by it.
func New(prepared *ltlv1.PrepareProposalResponse, life time.Duration) *ltlv1.Transaction {
	p := proto.CloneOf(prepared.GetPropose())
	p.ExpiryMs = max(time.Now().UnixMilli(), prepared.GetSystemMs()) + life.Milliseconds()
	return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_Propose{Propose: p}})
}

// Approve returns an organisation's vote for a proposal.
func Approve(network, id ledger.Hash) *ltlv1.Transaction {
	return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_Approve{
		Approve: &ltlv1.Approve{NetworkId: network[:], ProposalId: id[:]},
	}})
}

// Reject returns an organisation's vote against a proposal.
func Reject(network, id ledger.Hash) *ltlv1.Transaction {
	return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_Reject{
		Reject: &ltlv1.Reject{NetworkId: network[:], ProposalId: id[:]},
	}})
}

// Withdraw returns the end of a proposal by the organisation that proposed it.
func Withdraw(network, id ledger.Hash) *ltlv1.Transaction {
	return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_Withdraw{
		Withdraw: &ltlv1.Withdraw{NetworkId: network[:], ProposalId: id[:]},
	}})
}

func system(tx *ltlv1.Transaction) *ltlv1.Transaction {
	tx.ChainId = ledger.SystemChain
	return tx
}
