package query

import (
	"context"
	"errors"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

var (
	// errNotReader refuses the values of a chain to a caller whose organisation is not one of the chain's.
	errNotReader = errors.New("the caller's organisation is not one of the chain's organisations, which read its " +
		"values; compare with ltl chain list")
	// errLacking answers for a value that this copy does not have.
	errLacking = errors.New("the value is not here yet: this process fetches it from the others; ask another node")
)

// mayOpen reports whether a caller may read the values of a chain: it is of one of the chain's organisations, or a
// facade that speaks for one. Every node holds the values of every chain, by the Raft log, so a node gets what it
// lacks. Those of the system chain are for every organisation.
func (s *server) mayOpen(ctx context.Context, chain *rules.Chain) (bool, error) {
	caller, ok := identity.FromContext(ctx)
	if !ok {
		return false, nil
	}
	if chain == nil || caller.Role == identity.RoleNode || slices.Contains(chain.Organisations, caller.Organisation) {
		return true, nil
	}
	if caller.Role != identity.RoleFacade {
		return false, nil
	}
	for _, o := range chain.Organisations {
		facts, err := rules.GetOrganisationFacts(s.store, o)
		if err != nil {
			return false, err
		}
		if slices.Contains(facts.Delegates, caller.String()) {
			return true, nil
		}
	}
	return false, nil
}

// reader returns errNotReader for a caller that may not read the values of a chain.
func (s *server) reader(ctx context.Context, chain *rules.Chain) error {
	may, err := s.mayOpen(ctx, chain)
	if err == nil && !may {
		err = errNotReader
	}
	return err
}

// mayOpenID is mayOpen for the chain with an id.
func (s *server) mayOpenID(ctx context.Context, id string) (bool, error) {
	if id == ledger.SystemChain {
		return s.mayOpen(ctx, nil)
	}
	chain, err := rules.GetChain(s.store, id)
	if err != nil || chain == nil {
		return false, err
	}
	return s.mayOpen(ctx, chain)
}

// open adds the openings to a block of a chain that the caller may read.
func (s *server) open(ctx context.Context, b *ltlv1.Block) error {
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		return err
	}
	may, err := s.mayOpenID(ctx, h.ChainID)
	if err != nil || !may {
		return err
	}
	return s.store.AddOpenings(b)
}

// value returns the value of a record's transaction, from its opening.
func (s *server) value(header *ledger.Header, index uint32) (string, error) {
	o, err := s.store.Openings(header, index)
	if err != nil {
		return "", err
	}
	for _, one := range o.GetOpenings() {
		if one.GetSlot() == rules.SlotValue {
			return string(one.GetValue()), nil
		}
	}
	return "", errLacking
}

// Openings implements ltlv1.LedgerServer.
func (s *server) Openings(ctx context.Context, in *ltlv1.OpeningsRequest) (*ltlv1.OpeningsResponse, error) {
	if n := len(in.GetHeights()); n == 0 || n > MaxOpeningBlocks {
		return nil, status.Errorf(codes.InvalidArgument, "openings of %d blocks: 1 to %d are answered", n, MaxOpeningBlocks)
	}
	may, err := s.mayOpenID(ctx, in.GetChainId())
	if err == nil && !may {
		err = errNotReader
	}
	if err != nil {
		return nil, failure(err)
	}
	out, size := &ltlv1.OpeningsResponse{}, 0
	for _, height := range in.GetHeights() {
		found, err := s.store.BlockOpenings(in.GetChainId(), height)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, failure(err)
		}
		block := &ltlv1.BlockOpenings{Height: height, Transactions: found}
		if size += proto.Size(block); size > maxOpeningBytes && len(out.GetBlocks()) > 0 {
			break
		}
		out.Blocks = append(out.Blocks, block)
	}
	return out, nil
}
