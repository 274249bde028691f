package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

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
	caller, _ := identity.FromContext(ctx) // the server knows every caller
	leave, err := s.r.order.enter(caller, proto.Size(in.GetBatch()))
	if err != nil {
		span.Failed(err)
		return nil, err
	}
	defer leave()
	results, err := s.r.order.submit(ctx, in.GetBatch())
	if err != nil {
		span.Failed(err)
		return nil, err
	}
	return &ltlv1.SubmitResponse{Results: results}, nil
}

// ReadIndex implements ltlv1.OrdererServer.
func (s *ordererService) ReadIndex(ctx context.Context, _ *ltlv1.ReadIndexRequest) (*ltlv1.ReadIndexResponse, error) {
	if caller, err := callerID(ctx); err == nil && s.r.announce != nil {
		s.r.announce(caller) // it executes the newest entries while this node confirms the read
	}
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

// PutSealed implements ltlv1.OperatorServer.
func (s *operatorService) PutSealed(ctx context.Context, in *ltlv1.PutSealedRequest) (*ltlv1.PutSealedResponse, error) {
	caller, _ := identity.FromContext(ctx) // the server knows every caller
	leave, err := s.r.order.enter(caller, proto.Size(in))
	if err != nil {
		return nil, err
	}
	defer leave()
	code, err := s.r.order.putSealed(ctx, &ltlv1.SealedKey{AccessKeyId: in.GetAccessKeyId(), Sealed: in.GetSealed()})
	if err != nil {
		return nil, err
	}
	return &ltlv1.PutSealedResponse{Code: code}, nil
}

// WatchSealed implements ltlv1.OperatorServer. It reports that everything has been sent only after it has sent every
// change that any node answered before the call: a backup must not miss what was just stored. It repeats the report
// after each pulse, also while there are changes: who hears none for long goes to another node.
func (s *operatorService) WatchSealed(in *ltlv1.WatchSealedRequest,
	stream ltlv1.Operator_WatchSealedServer) error {
	after, fresh, reported := in.GetAfterVersion(), false, time.Time{}
	for {
		keys, _, err := s.r.store.AccessKeys(after, accessKeyPage)
		if err != nil {
			return refuse(codes.Internal, "read AccessKeys: %v", err)
		}
		for _, k := range keys {
			if err := stream.Send(&ltlv1.WatchSealedResponse{Sealed: k}); err != nil {
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
		if reported.IsZero() {
			reported = time.Now()
			if err := stream.Send(&ltlv1.WatchSealedResponse{}); err != nil {
				return err
			}
		}
		quiet, cancel := context.WithDeadline(stream.Context(), reported.Add(s.pulse))
		err = s.r.store.WaitAccessKeys(quiet, after)
		overdue := quiet.Err() != nil && stream.Context().Err() == nil
		cancel()
		switch {
		case overdue: // ask the leader for a new read index, then report again
			fresh, reported = false, time.Time{}
		case err != nil:
			return refuse(codes.Unavailable, "%v", err)
		}
	}
}

// acl returns the roles that may call each method. A method that is not listed is denied.
func acl() identity.ACL {
	nodes := []identity.Role{identity.RoleNode}
	// What an endorser may submit is a Tick; the rules refuse anything else of it.
	submitters := []identity.Role{identity.RoleFacade, identity.RoleClient, identity.RoleOperator, identity.RoleEndorser}
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

		ltlv1.Operator_PutSealed_FullMethodName:   {identity.RoleOperator},
		ltlv1.Operator_WatchSealed_FullMethodName: {identity.RoleFacade, identity.RoleOperator},

		ltlv1.Evidence_Cosign_FullMethodName:           readers,
		ltlv1.Evidence_Inclusion_FullMethodName:        readers,
		ltlv1.Evidence_ProveConsistency_FullMethodName: readers,
		ltlv1.Evidence_ShowCheckpoint_FullMethodName:   readers,

		ltlv1.Ledger_Status_FullMethodName:                readers,
		ltlv1.Ledger_Blocks_FullMethodName:                readers,
		ltlv1.Ledger_Follow_FullMethodName:                readers,
		ltlv1.Ledger_GetRecord_FullMethodName:             readers,
		ltlv1.Ledger_ListHistory_FullMethodName:           readers,
		ltlv1.Ledger_CountHistory_FullMethodName:          readers,
		ltlv1.Ledger_ListChains_FullMethodName:            readers,
		ltlv1.Ledger_GetTransaction_FullMethodName:        readers,
		ltlv1.Ledger_Openings_FullMethodName:              readers,
		ltlv1.Ledger_GetNetwork_FullMethodName:            readers,
		ltlv1.Ledger_GetKeys_FullMethodName:               readers,
		ltlv1.Ledger_GetAccount_FullMethodName:            readers,
		ltlv1.Ledger_ListAccessKeys_FullMethodName:        readers,
		ltlv1.Ledger_GetChain_FullMethodName:              readers,
		ltlv1.Ledger_ListMembers_FullMethodName:           readers,
		ltlv1.Ledger_ListDeviceGroups_FullMethodName:      readers,
		ltlv1.Ledger_ListDevices_FullMethodName:           readers,
		ltlv1.Ledger_ListEnrolments_FullMethodName:        readers,
		ltlv1.Ledger_ListProducts_FullMethodName:          readers,
		ltlv1.Ledger_ListPhaseGroups_FullMethodName:       readers,
		ltlv1.Ledger_ListPhases_FullMethodName:            readers,
		ltlv1.Ledger_GetPhaseAuthorization_FullMethodName: readers,
		ltlv1.Ledger_GetPhaseRecord_FullMethodName:        readers,
		ltlv1.Ledger_ListPhaseRecords_FullMethodName:      readers,
		ltlv1.Ledger_Proposals_FullMethodName:             readers,
		ltlv1.Ledger_PrepareProposal_FullMethodName:       readers,
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
