package node

import (
	"context"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// putSealed replicates a sealed secret and returns the code that every node came to. One to which the ledger does not
// commit, or that is stored already, does not go through Raft: nothing endorses sealed secrets, and an entry holds only
// one, so that any operator could keep the network busy with them.
func (o *orderer) putSealed(ctx context.Context, k *ltlv1.SealedKey) (int32, error) {
	if _, ok := ledger.ParseSealed(k.GetSealed()); !ok || !rules.ValidAccessKeyID(k.GetAccessKeyId()) {
		return 0, refuse(codes.InvalidArgument, "an AccessKey's id of 1 to %d letters and digits, and a sealed secret of "+
			"version %d and up to %d bytes are taken", rules.MaxAccessKeyID, ledger.SealedVersion, ledger.MaxSealed)
	}
	if _, err := o.r.reads.leaderReady(ctx); err != nil {
		return 0, err
	}
	for caughtUp := false; ; caughtUp = true {
		code, stored, err := o.r.store.SealedCode(k)
		switch {
		case err != nil:
			return 0, refuse(codes.Internal, "sealed secret: %v", err)
		case code == rules.OK && !stored:
			p := &orderRequest{sealed: k, size: proto.Size(k), done: make(chan struct{})}
			if err := o.enqueue(ctx, p); err != nil {
				return 0, err
			}
			return p.code, nil
		case caughtUp:
			return code, nil
		}
		if err := o.catchUp(ctx); err != nil {
			return 0, err
		}
	}
}
