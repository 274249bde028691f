// Package query serves the Ledger service over a store: status, blocks, records, chains and members. Nodes and
// endorsers serve it alike, each from its own copy. A node makes a read linearizable with Options.ReadIndex; an
// endorser answers from what its organisation has verified.
//
// All methods may be called concurrently. No read holds a database transaction for long: lists are paged, streams read
// one block at a time.
package query

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds on what one call returns.
const (
	// MaxPage is the largest page of any list.
	MaxPage = 100
	// MaxNetworkChains is the number of business chains that GetNetwork lists: with the longest policies they fit into
	// one message.
	MaxNetworkChains = 500
	// MaxAccounts is the number of accounts that GetAccount lists when the request names no page.
	MaxAccounts = 1000
	// MaxHistory is the number of records that are listed without a time window; LTL manual, GetHistoryDataList.
	MaxHistory = 500
	// MaxOpeningBlocks is the number of blocks whose openings one call asks for.
	MaxOpeningBlocks = 64
	// maxOpeningBytes bounds an answer with openings of several blocks. Those of one block are of one Raft entry, so that
	// with them it fits into one message.
	maxOpeningBytes = 4 << 20
)

// Options configure how a process serves its copy.
type Options struct {
	// ReadIndex returns once this copy holds every write that was answered before the call; nil makes every read local.
	ReadIndex func(ctx context.Context) error
	// Status adds to an answer what the store does not know: id, role, leader, term, fault. It may be nil.
	Status func(*ltlv1.StatusResponse)
}

// New returns the service over s.
func New(s *store.Store, o Options) ltlv1.LedgerServer { return &server{store: s, options: o} }

type server struct {
	ltlv1.UnimplementedLedgerServer
	store   *store.Store
	options Options
}

// fresh waits until the copy is as new as the caller demands.
func (s *server) fresh(ctx context.Context, c ltlv1.Consistency) error {
	if c == ltlv1.Consistency_CONSISTENCY_LOCAL || s.options.ReadIndex == nil {
		return nil
	}
	return s.options.ReadIndex(ctx)
}

// Status implements ltlv1.LedgerServer.
func (s *server) Status(context.Context, *ltlv1.StatusRequest) (*ltlv1.StatusResponse, error) {
	out := &ltlv1.StatusResponse{AppliedIndex: s.store.AppliedIndex(), Sequence: s.store.Sequence(),
		ClockMs: time.Now().UnixMilli()}
	out.NetworkMs = NetworkMs(s.store)
	for _, t := range s.store.Tips() {
		out.Chains = append(out.Chains, &ltlv1.ChainStatus{
			ChainId: t.ChainID, Height: t.Header.Height, BlockHash: t.Hash[:], TimeMs: t.Header.TimeMs,
		})
	}
	if out.Sequence > 0 { // before the genesis no rules are in force
		// Damaged state must not hide the status, which reports the damage; the answer has no version then.
		out.RulesInForce, _ = rules.VersionInForce(s.store)
	}
	out.RulesKnown = rules.Version
	if s.options.Status != nil {
		s.options.Status(out)
	}
	return out, nil
}

// NetworkMs is the network's time by a ledger, in milliseconds since 1970; 0 before the genesis.
func NetworkMs(s *store.Store) int64 {
	due, _ := s.Due(ledger.SystemChain)
	return max(due.PreviousTimeMs, due.PreviousReferenceMs)
}

// Blocks implements ltlv1.LedgerServer.
func (s *server) Blocks(in *ltlv1.BlocksRequest, stream ltlv1.Ledger_BlocksServer) error {
	tip, ok := s.store.Tip(in.GetChainId())
	if !ok {
		return status.Errorf(codes.NotFound, "there is no chain %q", in.GetChainId())
	}
	for h := in.GetFromHeight(); h <= tip.Header.Height; h++ {
		block, err := s.store.Block(in.GetChainId(), h)
		if err != nil {
			return failure(err)
		}
		if in.GetOpenings() {
			if err := s.open(stream.Context(), block); err != nil {
				return failure(err)
			}
		}
		if err := stream.Send(&ltlv1.BlocksResponse{Block: block}); err != nil {
			return err
		}
	}
	return nil
}

// Follow implements ltlv1.LedgerServer.
func (s *server) Follow(in *ltlv1.FollowRequest, stream ltlv1.Ledger_FollowServer) error {
	for n := in.GetFromSequence(); ; n++ {
		if err := s.store.WaitSequence(stream.Context(), n+1); err != nil {
			return failure(err)
		}
		block, err := s.store.BlockAt(n)
		if err != nil {
			return failure(err)
		}
		switch {
		case in.GetHeadersOnly():
			block = &ltlv1.Block{Header: block.GetHeader()}
		case in.GetOpenings():
			if err := s.open(stream.Context(), block); err != nil {
				return failure(err)
			}
		}
		if err := stream.Send(&ltlv1.FollowResponse{Sequence: n, Block: block}); err != nil {
			return err
		}
	}
}

// GetTransaction implements ltlv1.LedgerServer.
func (s *server) GetTransaction(
	ctx context.Context, in *ltlv1.GetTransactionRequest,
) (*ltlv1.GetTransactionResponse, error) {
	if len(in.GetTransactionHash()) != 32 {
		return nil, status.Error(codes.InvalidArgument, "transaction_hash must be 32 bytes")
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	key := rules.TransactionKey([32]byte(in.GetTransactionHash()))
	for _, t := range s.store.Tips() {
		at, err := rules.Locate(s.store, t.ChainID, key)
		if err != nil {
			return nil, failure(err)
		}
		if at == nil {
			continue
		}
		payload, result, _, header, hash, err := s.store.Transaction(t.ChainID, at.Height, at.Index)
		if err != nil {
			return nil, failure(err)
		}
		out := &ltlv1.GetTransactionResponse{
			Code: rules.OK, Transaction: payload, ChainId: t.ChainID, BlockHeight: at.Height, TransactionIndex: at.Index,
			Result: result, BlockHash: hash[:], TimeMs: header.TimeMs,
		}
		may, err := s.mayOpenID(ctx, t.ChainID)
		if err == nil && may {
			out.Openings, err = s.store.Openings(&header, at.Index)
		}
		return out, failure(err)
	}
	return &ltlv1.GetTransactionResponse{Code: rules.NotFound}, nil
}

// failure turns an error of the store into a gRPC status, from which the caller sees whether to try another process.
func failure(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the caller went away")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the caller's deadline has passed")
	case errors.Is(err, errNotReader):
		return status.Error(codes.PermissionDenied, err.Error())
	case errors.Is(err, errLacking):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, store.ErrNotFound):
		return status.Error(codes.NotFound, err.Error())
	case errors.Is(err, store.ErrCorrupt):
		return status.Errorf(codes.DataLoss, "%v: read from another node, and audit this one", err)
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrFailed), errors.Is(err, store.ErrNotInitialised):
		return status.Error(codes.Unavailable, err.Error())
	}
	return status.Error(codes.Internal, err.Error())
}
