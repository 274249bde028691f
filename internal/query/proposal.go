package query

import (
	"context"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Proposals implements ltlv1.LedgerServer.
func (s *server) Proposals(ctx context.Context, in *ltlv1.ProposalsRequest) (*ltlv1.ProposalsResponse, error) {
	if n := len(in.GetProposalId()); n != 0 && (n != len(ledger.Hash{}) || in.GetAll()) {
		return nil, status.Error(codes.InvalidArgument, "proposal_id must be 32 bytes, or empty for all that are open and "+
			"with all")
	}
	if in.GetAll() {
		return s.allProposals(ctx, in)
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	var ids []ledger.Hash
	if len(in.GetProposalId()) != 0 {
		ids = append(ids, ledger.Hash(in.GetProposalId()))
	} else {
		now := time.Now().UnixMilli() // an idle chain's newest block is old
		if due, ok := s.store.Due(ledger.SystemChain); ok {
			now = max(now, due.PreviousTimeMs)
		}
		var err error
		if ids, err = rules.ListOpenProposals(s.store, now); err != nil {
			return nil, failure(err)
		}
	}
	out := &ltlv1.ProposalsResponse{Code: rules.OK}
	for _, id := range ids {
		info, err := s.proposalInfo(id)
		if err != nil {
			return nil, failure(err)
		}
		if info == nil {
			return &ltlv1.ProposalsResponse{Code: rules.NotFound}, nil
		}
		out.Proposals = append(out.Proposals, info)
	}
	slices.SortStableFunc(out.Proposals, func(a, b *ltlv1.ProposalInfo) int {
		return slices.Compare([]uint64{a.GetBlockHeight(), uint64(a.GetTransactionIndex())},
			[]uint64{b.GetBlockHeight(), uint64(b.GetTransactionIndex())})
	})
	return out, nil
}

// allProposals returns a page of all proposals, newest first.
func (s *server) allProposals(ctx context.Context, in *ltlv1.ProposalsRequest) (*ltlv1.ProposalsResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	ids, err := rules.ListProposals(s.store)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ProposalsResponse{Code: rules.OK, Total: uint64(len(ids))}
	for i, id := range ids {
		if !page.holds(uint64(i)) {
			continue
		}
		info, err := s.proposalInfo(id)
		if err != nil {
			return nil, failure(err)
		}
		out.Proposals = append(out.Proposals, info)
	}
	return out, nil
}

// proposalInfo describes a proposal; nil when there is none with that id.
func (s *server) proposalInfo(id ledger.Hash) (*ltlv1.ProposalInfo, error) {
	p, err := rules.GetProposal(s.store, id)
	if p == nil || err != nil {
		return nil, err
	}
	content, err := rules.GetProposed(s.store, id)
	if err != nil {
		return nil, err
	}
	payload, _, _, _, _, err := s.store.Transaction(ledger.SystemChain, p.Created.Height, p.Created.Index)
	if err != nil {
		return nil, err
	}
	info := &ltlv1.ProposalInfo{
		ProposalId: id[:], Proposer: p.Proposer, State: p.State, ExpiryMs: p.ExpiryMs, Propose: content, Code: p.Code,
		BlockHeight: p.Created.Height, TransactionIndex: p.Created.Index, ClosedHeight: p.Closed.Height,
		ClosedIndex: p.Closed.Index, Transaction: payload,
	}
	for _, v := range p.Votes {
		info.Votes = append(info.Votes, &ltlv1.ProposalVote{Organisation: v.Organisation, Approve: v.Approve,
			BlockHeight: v.At.Height, TransactionIndex: v.At.Index})
	}
	if p.State != ltlv1.ProposalState_PROPOSAL_STATE_OPEN {
		info.Words, err = rules.Words(nil, content) // the present values are not those that it replaced
		return info, err
	}
	if info.Words, err = rules.Words(s.store, content); err != nil {
		return nil, err
	}
	b, err := rules.BallotOf(s.store, p.Proposer, content)
	if b == nil || err != nil {
		return info, err
	}
	info.Electorate, info.Quorum, info.Needed, info.Excluded = b.Electorate, uint32(b.Quorum), b.Needed, b.Excluded
	info.Asked = b.Asked(p.Votes)
	return info, nil
}
