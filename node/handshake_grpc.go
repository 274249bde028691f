package node

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// Metadata of a call between nodes: the caller's store id, the store id of the node that the caller means, and the
// restore epoch of both.
const (
	metadataFrom         = "ltl-from"
	metadataTo           = "ltl-to"
	metadataRestoreEpoch = "ltl-lineage"
)

// betweenNodes reports whether a method needs a handshake before it: all methods by which Raft or a read depends on
// what a node remembers.
func betweenNodes(method string) bool {
	switch method {
	case ltlv1.RaftTransport_Introduce_FullMethodName:
		return false
	case ltlv1.Orderer_ReadIndex_FullMethodName, ltlv1.Orderer_ConfirmTerm_FullMethodName:
		return true
	}
	return strings.HasPrefix(method, "/"+ltlv1.RaftTransport_ServiceDesc.ServiceName+"/")
}

// outgoing adds the store ids and the restore epoch to a call. It fails at once while there was no handshake with the
// peer. A handshake in an earlier process is enough: a peer with another directory refuses the call.
func (h *handshaker) outgoing(ctx context.Context, peer raft.ServerID) (context.Context, error) {
	to, err := h.dir.storeIDOf(peer)
	if err != nil {
		return nil, err
	}
	if len(to) == 0 || !h.isOpen() {
		return nil, status.Errorf(codes.Unavailable, "there was no peer handshake with node %s yet", peer)
	}
	return metadata.AppendToOutgoingContext(ctx, metadataFrom, hex.EncodeToString(h.dir.storeID), metadataTo,
		hex.EncodeToString(to),
		metadataRestoreEpoch, hex.EncodeToString(h.dir.restoreEpoch())), nil
}

// incoming refuses a call of a node whose store id is not the known one, or that means another directory than this
// one.
func (h *handshaker) incoming(ctx context.Context) error {
	peer, err := callerID(ctx)
	if err != nil {
		return status.Error(codes.PermissionDenied, err.Error())
	}
	if !h.isOpen() {
		return status.Error(codes.Unavailable, "this node does not take part in consensus yet: too few other nodes have "+
			"accepted it")
	}
	if h.removed(peer) {
		return status.Errorf(codes.PermissionDenied, "node %s was removed from the network", peer)
	}
	from, err := h.dir.storeIDOf(peer)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	given, _ := metadata.FromIncomingContext(ctx)
	same := func(key string, want []byte) bool {
		values := given.Get(key)
		return len(values) == 1 && values[0] == hex.EncodeToString(want)
	}
	if len(from) == 0 || !same(metadataFrom, from) || !same(metadataTo, h.dir.storeID) || !same(metadataRestoreEpoch,
		h.dir.restoreEpoch()) {
		return status.Errorf(codes.FailedPrecondition, "store ids or restore epoch differ: node %s must perform the peer "+
			"handshake first", peer)
	}
	return nil
}

// dialOptions returns the interceptors that add the metadata to every call to a peer.
func (h *handshaker) dialOptions(peer raft.ServerID) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainUnaryInterceptor(func(ctx context.Context, method string, in, out any, conn *grpc.ClientConn,
			next grpc.UnaryInvoker, options ...grpc.CallOption) error {
			if !betweenNodes(method) {
				return next(ctx, method, in, out, conn, options...)
			}
			ctx, err := h.outgoing(ctx, peer)
			if err != nil {
				return err
			}
			return next(ctx, method, in, out, conn, options...)
		}),
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn,
			method string, next grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
			if !betweenNodes(method) {
				return next(ctx, desc, conn, method, options...)
			}
			ctx, err := h.outgoing(ctx, peer)
			if err != nil {
				return nil, err
			}
			return next(ctx, desc, conn, method, options...)
		}),
	}
}

// unary checks calls between nodes.
func (h *handshaker) unary(ctx context.Context, in any, info *grpc.UnaryServerInfo,
	next grpc.UnaryHandler) (any, error) {
	if betweenNodes(info.FullMethod) {
		if err := h.incoming(ctx); err != nil {
			return nil, err
		}
	}
	return next(ctx, in)
}

// stream checks streams between nodes when they are opened.
func (h *handshaker) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo,
	next grpc.StreamHandler) error {
	if betweenNodes(info.FullMethod) {
		if err := h.incoming(stream.Context()); err != nil {
			return err
		}
	}
	return next(server, stream)
}
