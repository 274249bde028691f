package checkpoint

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// patience is how long Cosign waits for blocks that this copy lacks.
const patience = 2 * time.Second

// Read is what a signer reads of a store; Key and Restored are left to the caller.
func Read(s *store.Store) Source {
	return Source{
		Network: s.NetworkID(), BlockHash: s.BlockHash,
		Sequence: func(chainID string, height uint64) (uint64, error) {
			b, err := s.Block(chainID, height)
			if err != nil {
				return 0, err
			}
			h, err := ledger.ParseHeader(b.GetHeader())
			return h.Sequence, err
		},
		Chain: func(chainID string) (Chain, bool) {
			due, ok := s.Due(chainID)
			return Chain{Blocks: due.Height, TimeMs: due.PreviousTimeMs}, ok
		},
	}
}

// NewServer returns the Evidence service over a store, whose signer is given.
func NewServer(s *store.Store, signer *Signer) ltlv1.EvidenceServer {
	return &server{store: s, signer: signer}
}

type server struct {
	ltlv1.UnimplementedEvidenceServer
	store  *store.Store
	signer *Signer
}

// Cosign implements ltlv1.EvidenceServer.
func (s *server) Cosign(ctx context.Context, in *ltlv1.CosignRequest) (*ltlv1.CosignResponse, error) {
	s.await(ctx, in.GetChainId(), in.GetSize())
	note, err := s.signer.Cosign(ctx, in.GetChainId(), in.GetSize())
	if err != nil {
		return nil, failure(err)
	}
	return &ltlv1.CosignResponse{Note: note}, nil
}

// await waits for a chain to have that many blocks, or for the end of patience or ctx.
func (s *server) await(ctx context.Context, chainID string, size uint64) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		next := s.store.Sequence() + 1
		if tip, ok := s.store.Tip(chainID); ok && tip.Header.Height+1 >= size {
			return
		}
		if s.store.WaitSequence(ctx, next) != nil {
			return
		}
	}
}

// Inclusion implements ltlv1.EvidenceServer.
func (s *server) Inclusion(ctx context.Context, in *ltlv1.InclusionRequest) (*ltlv1.InclusionResponse, error) {
	path, err := s.signer.Inclusion(ctx, in.GetChainId(), in.GetHeight(), in.GetSize())
	if err != nil {
		return nil, failure(err)
	}
	return &ltlv1.InclusionResponse{Path: path}, nil
}

// ProveConsistency implements ltlv1.EvidenceServer.
func (s *server) ProveConsistency(
	ctx context.Context, in *ltlv1.ProveConsistencyRequest,
) (*ltlv1.ProveConsistencyResponse, error) {
	path, err := s.signer.Consistency(ctx, in.GetChainId(), in.GetBefore(), in.GetSize())
	if err != nil {
		return nil, failure(err)
	}
	root, err := s.signer.root(ctx, in.GetChainId(), in.GetBefore())
	if err != nil {
		return nil, failure(err)
	}
	return &ltlv1.ProveConsistencyResponse{Path: path, Root: root[:]}, nil
}

// ShowCheckpoint implements ltlv1.EvidenceServer.
func (s *server) ShowCheckpoint(
	ctx context.Context, in *ltlv1.ShowCheckpointRequest,
) (*ltlv1.ShowCheckpointResponse, error) {
	files, err := s.signer.Show(ctx, in.GetNote())
	if err != nil {
		return nil, failure(err)
	}
	return &ltlv1.ShowCheckpointResponse{Misbehaviours: files}, nil
}

// failure is the gRPC status of an error, from which the caller sees that another process may answer.
func failure(err error) error {
	switch {
	case errors.Is(err, ErrShown):
		return status.Error(codes.InvalidArgument, err.Error())
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(err).Err()
	case errors.Is(err, store.ErrCorrupt):
		return status.Errorf(codes.DataLoss, "%v: ask another process, and audit this one", err)
	}
	return status.Error(codes.FailedPrecondition, err.Error())
}
