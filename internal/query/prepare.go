package query

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// PrepareProposal implements ltlv1.LedgerServer. The caller is taken for the submitter of the change.
func (s *server) PrepareProposal(
	ctx context.Context, in *ltlv1.PrepareProposalRequest,
) (*ltlv1.PrepareProposalResponse, error) {
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "the caller has no identity")
	}
	tx, err := rules.Decode(in.GetTransaction())
	if err != nil || tx.GetChainId() != ledger.SystemChain {
		return nil, status.Error(codes.InvalidArgument, "transaction is no change of the system chain")
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	tx.Submitter = caller.String()
	out := &ltlv1.PrepareProposalResponse{}
	if out.Proposal, err = rules.NeedsProposal(s.store, tx); err != nil || !out.Proposal {
		return out, failure(err)
	}
	due, _ := s.store.Due(ledger.SystemChain)
	out.SystemMs = due.PreviousTimeMs
	network := s.store.NetworkID()
	out.Propose = rules.ProposeOf(tx)
	out.Propose.NetworkId = network[:]
	if out.Propose.Basis, err = rules.BasisOf(s.store, out.Propose); err != nil {
		return nil, failure(err)
	}
	if out.Words, err = rules.Words(s.store, out.Propose); err != nil {
		return nil, failure(err)
	}
	return out, nil
}
