package identity

import (
	"context"
	"log/slog"
	"runtime/debug"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"ltl/internal/admission"
	ltlv1 "ltl/proto/ltl/v1"
)

// Keepalive. A server closes the connection of a client that pings more often than pingMinTime (ENHANCE_YOUR_CALM), so
// that must stay below keepaliveTime, which gRPC does not let go below ten seconds on clients.
const (
	keepaliveTime    = 10 * time.Second
	keepaliveTimeout = 5 * time.Second
	pingMinTime      = 5 * time.Second
)

// Bounds on a connection.
const (
	// connectionAge is when a server asks a caller to connect again; calls in progress have connectionGrace to end.
	connectionAge   = time.Hour
	connectionGrace = 5 * time.Minute
	// maxConcurrentStreams bounds the calls in progress on one connection.
	maxConcurrentStreams = 1024
	// maxBatchMessage bounds the messages that carry a batch. Its transactions have 1 MiB at most; the rest is so that a
	// batch that is somewhat too large gets an error in words. maxSmallMessage bounds those of all other methods, Raft's
	// apart.
	maxBatchMessage = 4 << 20
	maxSmallMessage = 256 << 10
	// streamWorkers is how many goroutines of a server wait for calls, with stacks that have grown already. A new one grows
	// its stack, by copies, in every call. More calls at the same time get goroutines of their own, so the number bounds
	// nothing; streams that stay open hold one each. Each takes some ten kilobytes.
	streamWorkers = 128
	// maxHeaderBytes bounds the metadata of one call.
	maxHeaderBytes = 16 << 10
	// bufferBytes is how much is read and written at once: batches are tens of kilobytes, and each system call and TLS
	// record costs.
	bufferBytes = 128 << 10
	// streamWindow and connWindow are fixed, and large enough for the messages in flight: no probing of the bandwidth,
	// and few window updates. A peer that sends unrequested data fills at most a connection's window.
	streamWindow = 2 << 20
	connWindow   = 8 << 20
)

// Reconnecting. Writes must go on within seconds of a failure, so the pauses are shorter than gRPC's defaults.
const (
	reconnectFirst  = 100 * time.Millisecond
	reconnectMost   = 2 * time.Second
	reconnectFactor = 1.6
	reconnectJitter = 0.2
	connectAtLeast  = 3 * time.Second
)

// stackBytesLogged bounds the stack in the log line about a handler's panic.
const stackBytesLogged = 4 << 10

// ACL lists the roles that may call each method, by its full name, for example "/ltl.v1.Orderer/Submit". A method that
// is not listed is denied.
type ACL map[string][]Role

// callerKey is the context key of the caller's identity.
type callerKey struct{}

// FromContext returns the caller of the RPC that ctx belongs to.
func FromContext(ctx context.Context) (Identity, bool) {
	id, ok := ctx.Value(callerKey{}).(Identity)
	return id, ok
}

// Gate bounds what callers take from the server of these credentials. Its listener must be bounded with Gate.Listen.
func (c *Credentials) Gate() *admission.Gate { return c.gate }

// ServerOptions are the options of every gRPC server: mutual TLS, the ACL, keepalive, message bounds. Further
// interceptors may be appended with grpc.ChainUnaryInterceptor and grpc.ChainStreamInterceptor; they run after the
// ACL. A handler that panics fails its own call with Internal, not the process: no message from outside may stop a
// server. Other goroutines are not covered.
func (c *Credentials) ServerOptions(acl ACL) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(trackedTLS{credentials.NewTLS(c.serverTLS()), c}),
		grpc.InTapHandle(admit(acl)),
		grpc.ChainUnaryInterceptor(recoverUnary(c.logger)),
		grpc.ChainStreamInterceptor(recoverStream(c.logger)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingMinTime, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout,
			MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: connectionGrace}),
		grpc.ConnectionTimeout(admission.HandshakeTimeout),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
		grpc.NumStreamWorkers(streamWorkers),
		grpc.MaxHeaderListSize(maxHeaderBytes),
		grpc.ReadBufferSize(bufferBytes),
		grpc.WriteBufferSize(bufferBytes),
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connWindow),
		grpc.MaxRecvMsgSize(MaxMessageBytes),
		grpc.MaxSendMsgSize(MaxMessageBytes),
	}
}

// DialOptions are the options of every gRPC client. The server must have the role, and the name unless peerName is "".
// A node's name is its id, an endorser's is its organisation's id.
func (c *Credentials) DialOptions(peerRole Role, peerName string) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(trackedTLS{credentials.NewTLS(c.clientTLS(peerRole, peerName)), c}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: keepaliveTime, Timeout: keepaliveTimeout,
			PermitWithoutStream: true}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{BaseDelay: reconnectFirst, Multiplier: reconnectFactor, Jitter: reconnectJitter,
				MaxDelay: reconnectMost},
			MinConnectTimeout: connectAtLeast,
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(MaxMessageBytes), grpc.MaxCallSendMsgSize(MaxMessageBytes)),
		grpc.WithMaxHeaderListSize(maxHeaderBytes),
		grpc.WithReadBufferSize(bufferBytes),
		grpc.WithWriteBufferSize(bufferBytes),
		grpc.WithInitialWindowSize(streamWindow),
		grpc.WithInitialConnWindowSize(connWindow),
		// Neither environment variables nor DNS TXT records may redirect these connections.
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	}
}

// admit decides about a call before any byte of its message is kept: gRPC runs the interceptors of a method with one
// request only when it has that request. It puts the caller into the call's context.
func admit(acl ACL) tap.ServerInHandle {
	return func(ctx context.Context, call *tap.Info) (context.Context, error) {
		p, ok := peer.FromContext(ctx)
		if !ok {
			return nil, status.Error(codes.Unauthenticated, errNoPeer.Error())
		}
		info, ok := p.AuthInfo.(callerInfo)
		if !ok {
			return nil, status.Error(codes.Unauthenticated, errNoPeer.Error())
		}
		if info.conn.hurryIfRefused() {
			return nil, status.Errorf(codes.Unavailable, "the certificate with which %s connected does not count any more; "+
				"connect again with the present one", info.id)
		}
		if !slices.Contains(acl[call.FullMethodName], info.id.Role) {
			return nil, status.Errorf(codes.PermissionDenied, "%s may not call %.128s: its role is not one of %v",
				info.id, call.FullMethodName, acl[call.FullMethodName])
		}
		limit, many := messages(call.FullMethodName)
		end, err := info.intake.Begin(limit, many)
		if err != nil {
			return nil, status.Error(codes.ResourceExhausted, err.Error())
		}
		context.AfterFunc(ctx, end)
		return context.WithValue(ctx, callerKey{}, info.id), nil
	}
}

// messages returns the bound on a message that a method takes, in bytes, and whether it takes more than one.
func messages(method string) (limit int, many bool) {
	switch method {
	case ltlv1.RaftTransport_AppendPipeline_FullMethodName, ltlv1.RaftTransport_InstallSnapshot_FullMethodName:
		return MaxMessageBytes, true
	case ltlv1.RaftTransport_AppendEntries_FullMethodName:
		return MaxMessageBytes, false
	case ltlv1.Orderer_Submit_FullMethodName, ltlv1.Endorser_Endorse_FullMethodName:
		return maxBatchMessage, false
	}
	return maxSmallMessage, false
}

func recoverUnary(logger *slog.Logger) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any,
		err error) {
		defer recoverHandler(logger, info.FullMethod, &err)
		return handler(ctx, request)
	}
}

func recoverStream(logger *slog.Logger) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo,
		handler grpc.StreamHandler) (err error) {
		defer recoverHandler(logger, info.FullMethod, &err)
		return handler(server, stream)
	}
}

func recoverHandler(logger *slog.Logger, method string, err *error) {
	if r := recover(); r != nil {
		stack := debug.Stack()
		logger.Error("a handler panicked", "method", method, "panic", r, "stack",
			string(stack[:min(len(stack), stackBytesLogged)]))
		*err = status.Errorf(codes.Internal, "internal error in %s", method)
	}
}
