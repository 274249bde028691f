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
	// handshakeTimeout bounds how long a connection may stay open without a certificate.
	handshakeTimeout = 10 * time.Second
	// maxConcurrentStreams bounds the calls in progress on one connection.
	maxConcurrentStreams = 1024
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

// ServerOptions are the options of every gRPC server: mutual TLS, the ACL, keepalive, message bounds. Further
// interceptors may be appended with grpc.ChainUnaryInterceptor and grpc.ChainStreamInterceptor; they run after the
// ACL. A handler that panics fails its own call with Internal, not the process: no message from outside may stop a
// server. Other goroutines are not covered.
func (c *Credentials) ServerOptions(acl ACL) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(trackedTLS{credentials.NewTLS(c.serverTLS()), c}),
		grpc.ChainUnaryInterceptor(c.unary(acl)),
		grpc.ChainStreamInterceptor(c.stream(acl)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingMinTime, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
		grpc.ConnectionTimeout(handshakeTimeout),
		grpc.MaxConcurrentStreams(maxConcurrentStreams),
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

func (c *Credentials) unary(acl ACL) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any,
		err error) {
		ctx, err = authorise(ctx, acl, info.FullMethod)
		if err != nil {
			return nil, err
		}
		defer recoverHandler(c.logger, info.FullMethod, &err)
		return handler(ctx, request)
	}
}

func (c *Credentials) stream(acl ACL) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo,
		handler grpc.StreamHandler) (err error) {
		ctx, err := authorise(stream.Context(), acl, info.FullMethod)
		if err != nil {
			return err
		}
		defer recoverHandler(c.logger, info.FullMethod, &err)
		return handler(server, &authorisedStream{ServerStream: stream, ctx: ctx})
	}
}

// authorisedStream is a stream whose context names the caller.
type authorisedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context is the stream's context with the caller in it.
func (s *authorisedStream) Context() context.Context { return s.ctx }

// authorise puts the caller into the context when the ACL lets its role call the method.
func authorise(ctx context.Context, acl ACL, method string) (context.Context, error) {
	id, err := caller(ctx)
	if err != nil {
		return nil, status.Error(codes.Unauthenticated, err.Error())
	}
	if !slices.Contains(acl[method], id.Role) {
		return nil, status.Errorf(codes.PermissionDenied, "%s may not call %s: its role is not one of %v",
			id, method, acl[method])
	}
	return context.WithValue(ctx, callerKey{}, id), nil
}

// caller reads the identity from the certificate that the handshake verified.
func caller(ctx context.Context) (Identity, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return Identity{}, errNoPeer
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) != 1 {
		return Identity{}, errNoPeer
	}
	return identityOf(info.State.PeerCertificates[0])
}

func recoverHandler(logger *slog.Logger, method string, err *error) {
	if r := recover(); r != nil {
		stack := debug.Stack()
		logger.Error("a handler panicked", "method", method, "panic", r, "stack",
			string(stack[:min(len(stack), stackBytesLogged)]))
		*err = status.Errorf(codes.Internal, "internal error in %s", method)
	}
}
