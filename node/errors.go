package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// refuse makes the error of an RPC.
func refuse(code codes.Code, format string, args ...any) error {
	return status.Error(code, fmt.Sprintf(format, args...))
}

// notLeader refuses what only the leader does. It promises that nothing was written.
func notLeader(leader raft.ServerID) error {
	s := status.New(codes.FailedPrecondition, "this node does not lead; nothing was written")
	if d, err := s.WithDetails(&ltlv1.NotLeader{Leader: string(leader)}); err == nil {
		s = d
	}
	return s.Err()
}

// contextCode is the code for a context that has ended.
func contextCode(ctx context.Context) codes.Code {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return codes.DeadlineExceeded
	}
	return codes.Canceled
}
