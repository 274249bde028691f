package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// ordererService implements ltlv1.OrdererServer.
type ordererService struct {
	ltlv1.UnimplementedOrdererServer
	r *replica
}

// Submit implements ltlv1.OrdererServer.
func (s *ordererService) Submit(ctx context.Context, in *ltlv1.SubmitRequest) (*ltlv1.SubmitResponse, error) {
	ctx, span := s.r.cfg.Tracer.Serve(ctx, "order")
	defer span.End()
	span.Number("ltl.transactions", len(in.GetBatch().GetTransactions()))
	results, err := s.r.order.submit(ctx, in.GetBatch())
	if err != nil {
		span.Failed(err)
		return nil, err
	}
	return &ltlv1.SubmitResponse{Results: results}, nil
}

// ReadIndex implements ltlv1.OrdererServer.
func (s *ordererService) ReadIndex(ctx context.Context, _ *ltlv1.ReadIndexRequest) (*ltlv1.ReadIndexResponse, error) {
	index, err := s.r.reads.leading.join(ctx)
	if err != nil {
		return nil, err
	}
	return &ltlv1.ReadIndexResponse{Index: index}, nil
}

// ConfirmTerm implements ltlv1.OrdererServer. The caller relies on this order: raft stores a term before it votes in
// it.
func (s *ordererService) ConfirmTerm(context.Context, *ltlv1.ConfirmTermRequest) (*ltlv1.ConfirmTermResponse, error) {
	session, err := s.r.use()
	if err != nil {
		return nil, refuse(codes.Unavailable, "%v", err)
	}
	defer session.release()
	return &ltlv1.ConfirmTermResponse{Term: session.raft.CurrentTerm()}, nil
}

// operatorService implements ltlv1.OperatorServer.
type operatorService struct {
	ltlv1.UnimplementedOperatorServer
	r *replica
	// pulse is how often a watch without changes repeats that it is up to date.
	pulse time.Duration
}

// PutAccessKey implements ltlv1.OperatorServer.
func (s *operatorService) PutAccessKey(ctx context.Context,
	in *ltlv1.PutAccessKeyRequest) (*ltlv1.PutAccessKeyResponse, error) {
	if in.GetAccessKey() == nil {
		return nil, refuse(codes.InvalidArgument, "there is no AccessKey in the request")
	}
	version, err := s.r.order.putAccessKey(ctx, in.GetAccessKey())
	if err != nil {
		return nil, err
	}
	return &ltlv1.PutAccessKeyResponse{Code: 200, Version: version}, nil
}

// WatchAccessKeys implements ltlv1.OperatorServer. It reports that everything has been sent only after it has sent
// every change that any node answered before the call: an operator that has just disabled an AccessKey must not see
// it enabled here. It repeats the report after each pulse without changes, so that a facade notices a node that is
// cut off from the others.
func (s *operatorService) WatchAccessKeys(in *ltlv1.WatchAccessKeysRequest,
	stream ltlv1.Operator_WatchAccessKeysServer) error {
	after, fresh, reported := in.GetAfterVersion(), false, false
	for {
		keys, _, err := s.r.store.AccessKeys(after, accessKeyPage)
		if err != nil {
			return refuse(codes.Internal, "read AccessKeys: %v", err)
		}
		for _, k := range keys {
			if err := stream.Send(&ltlv1.WatchAccessKeysResponse{AccessKey: k}); err != nil {
				return err
			}
			after = k.GetVersion()
		}
		if len(keys) > 0 {
			continue
		}
		if !fresh {
			if err := s.r.reads.waitFresh(stream.Context()); err != nil {
				return err
			}
			fresh = true
			continue
		}
		if !reported {
			reported = true
			if err := stream.Send(&ltlv1.WatchAccessKeysResponse{}); err != nil {
				return err
			}
		}
		quiet, cancel := context.WithTimeout(stream.Context(), s.pulse)
		err = s.r.store.WaitAccessKeys(quiet, after)
		overdue := quiet.Err() != nil && stream.Context().Err() == nil
		cancel()
		switch {
		case overdue: // no change that this node knows of: ask the leader for a new read index, then report again
			fresh, reported = false, false
		case err != nil:
			return refuse(codes.Unavailable, "%v", err)
		}
	}
}

// acl returns the roles that may call each method. A method that is not listed is denied.
func acl() identity.ACL {
	nodes := []identity.Role{identity.RoleNode}
	submitters := []identity.Role{identity.RoleFacade, identity.RoleClient, identity.RoleOperator}
	readers := identity.Roles()
	return identity.ACL{
		ltlv1.RaftTransport_AppendPipeline_FullMethodName:  nodes,
		ltlv1.RaftTransport_AppendEntries_FullMethodName:   nodes,
		ltlv1.RaftTransport_RequestVote_FullMethodName:     nodes,
		ltlv1.RaftTransport_RequestPreVote_FullMethodName:  nodes,
		ltlv1.RaftTransport_TimeoutNow_FullMethodName:      nodes,
		ltlv1.RaftTransport_InstallSnapshot_FullMethodName: nodes,
		ltlv1.RaftTransport_Introduce_FullMethodName:       nodes,

		ltlv1.Orderer_Submit_FullMethodName:      submitters,
		ltlv1.Orderer_ReadIndex_FullMethodName:   nodes,
		ltlv1.Orderer_ConfirmTerm_FullMethodName: nodes,

		ltlv1.Operator_PutAccessKey_FullMethodName:    {identity.RoleOperator},
		ltlv1.Operator_WatchAccessKeys_FullMethodName: {identity.RoleFacade, identity.RoleOperator},

		ltlv1.Ledger_Status_FullMethodName:                readers,
		ltlv1.Ledger_Blocks_FullMethodName:                readers,
		ltlv1.Ledger_Follow_FullMethodName:                readers,
		ltlv1.Ledger_GetRecord_FullMethodName:             readers,
		ltlv1.Ledger_ListHistory_FullMethodName:           readers,
		ltlv1.Ledger_CountHistory_FullMethodName:          readers,
		ltlv1.Ledger_ListChains_FullMethodName:            readers,
		ltlv1.Ledger_GetTransaction_FullMethodName:        readers,
		ltlv1.Ledger_GetNetwork_FullMethodName:            readers,
		ltlv1.Ledger_GetAccount_FullMethodName:            readers,
		ltlv1.Ledger_GetChain_FullMethodName:              readers,
		ltlv1.Ledger_ListMembers_FullMethodName:           readers,
		ltlv1.Ledger_ListDeviceGroups_FullMethodName:      readers,
		ltlv1.Ledger_ListDevices_FullMethodName:           readers,
		ltlv1.Ledger_ListEnrolments_FullMethodName:        readers,
		ltlv1.Ledger_ListPhaseGroups_FullMethodName:       readers,
		ltlv1.Ledger_ListPhases_FullMethodName:            readers,
		ltlv1.Ledger_GetPhaseAuthorization_FullMethodName: readers,
		ltlv1.Ledger_GetPhaseRecord_FullMethodName:        readers,
		ltlv1.Ledger_ListPhaseRecords_FullMethodName:      readers,
	}
}

// errNoCaller is returned for a call whose certificate does not name a node.
var errNoCaller = errors.New("the caller is not a node")

// refuse returns the gRPC status error of a refused call.
func refuse(code codes.Code, format string, args ...any) error {
	return status.Error(code, fmt.Sprintf(format, args...))
}

// notLeader refuses a call that only the leader serves. It guarantees that nothing was written.
func notLeader(leader raft.ServerID) error {
	s := status.New(codes.FailedPrecondition, "this node does not lead; nothing was written")
	if d, err := s.WithDetails(&ltlv1.NotLeader{Leader: string(leader)}); err == nil {
		s = d
	}
	return s.Err()
}

// contextCode returns the gRPC code for a context that has ended.
func contextCode(ctx context.Context) codes.Code {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return codes.DeadlineExceeded
	}
	return codes.Canceled
}
