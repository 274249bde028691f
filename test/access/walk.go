// Package access walks over the RPCs of a server with wrong credentials; for tests only.
package access

import (
	"context"
	"crypto/tls"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"ltl/internal/identity"
)

// callTimeout bounds each call; a refusal takes milliseconds.
const callTimeout = 5 * time.Second

// method is one RPC of a server.
type method struct {
	name   string
	stream bool
}

// WalkRPCs calls every RPC of srv, which listens on addr, without a certificate, and with each role that acl does not
// allow, and fails t unless all are refused. It also fails for an entry of acl that srv does not have: the names are
// easily misspelt. dir is a directory made by identity.CreateNetwork.
func WalkRPCs(t *testing.T, srv *grpc.Server, addr, dir string, acl identity.ACL) {
	t.Helper()
	methods := methodsOf(srv)
	if len(methods) == 0 {
		t.Fatal("the server has no RPCs")
	}
	for name := range acl {
		if !slices.ContainsFunc(methods, func(m method) bool { return m.name == name }) {
			t.Errorf("the ACL names %s, which the server does not have", name)
		}
	}
	withoutCertificate(t, addr, methods)
	for _, role := range identity.Roles() {
		conn := dial(t, addr, certificate(t, dir, role))
		for _, m := range methods {
			if slices.Contains(acl[m.name], role) {
				continue
			}
			if err := call(t, conn, m.name, m.stream); status.Code(err) != codes.PermissionDenied {
				t.Errorf("%s as %s: %v, want PermissionDenied", m.name, role, err)
			}
			// gRPC once let a path without its slash pass by the interceptors' rules (CVE-2026-33186).
			bare := strings.TrimPrefix(m.name, "/")
			if err := call(t, conn, bare, m.stream); !slices.Contains([]codes.Code{codes.PermissionDenied, codes.Unimplemented},
				status.Code(err)) {
				t.Errorf("%s as %s: %v, want PermissionDenied or Unimplemented", bare, role, err)
			}
		}
	}
}

// withoutCertificate checks that a caller without a certificate is turned away in the handshake, and that no RPC
// answers it.
func withoutCertificate(t *testing.T, addr string, methods []method) {
	t.Helper()
	raw, err := tls.DialWithDialer(&net.Dialer{Timeout: callTimeout}, "tcp", addr,
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err == nil {
		defer raw.Close()
		// In TLS 1.3 the client is done first; it learns of the refusal from its first read.
		if err := raw.SetReadDeadline(time.Now().Add(callTimeout)); err != nil {
			t.Fatal(err)
		}
		_, err = raw.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("without a certificate the handshake ended in %v, want the alert \"certificate required\"", err)
	}
	conn := dial(t, addr, nil)
	for _, m := range methods {
		code := status.Code(call(t, conn, m.name, m.stream))
		if code != codes.Unavailable && code != codes.Unauthenticated {
			t.Errorf("%s without a certificate: %v, want Unavailable (no handshake) or Unauthenticated", m.name, code)
		}
	}
}

func methodsOf(srv *grpc.Server) []method {
	var methods []method
	for service, info := range srv.GetServiceInfo() {
		for _, m := range info.Methods {
			methods = append(methods, method{name: "/" + service + "/" + m.Name, stream: m.IsClientStream || m.IsServerStream})
		}
	}
	return methods
}

// call sends an empty message and returns how the RPC ended; a nil answer is an answer.
func call(t *testing.T, conn *grpc.ClientConn, name string, stream bool) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), callTimeout)
	defer cancel()
	if !stream {
		return conn.Invoke(ctx, name, &emptypb.Empty{}, &emptypb.Empty{})
	}
	s, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, name)
	if err != nil {
		return err
	}
	// A send fails with EOF when the server has refused already; the receive returns why.
	if s.SendMsg(&emptypb.Empty{}) == nil {
		if err := s.CloseSend(); err != nil {
			return err
		}
	}
	return s.RecvMsg(&emptypb.Empty{})
}

func dial(t *testing.T, addr string, cert *tls.Certificate) *grpc.ClientConn {
	t.Helper()
	config := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
	if cert != nil {
		config.Certificates = []tls.Certificate{*cert}
	}
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(config)), grpc.WithNoProxy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// certificate finds a certificate of the role in a network's directory; for a network without facades it makes one.
func certificate(t *testing.T, dir string, role identity.Role) *tls.Certificate {
	t.Helper()
	patterns := map[identity.Role]string{
		identity.RoleNode:     "nodes/*",
		identity.RoleEndorser: "orgs/*/endorser",
		identity.RoleFacade:   "facades/*",
		identity.RoleClient:   "clients/*",
		identity.RoleOperator: "operator",
	}
	found, err := filepath.Glob(filepath.Join(dir, patterns[role], "tls.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		found = []string{filepath.Join(issue(t, dir, role), "tls.pem")}
	}
	cert, err := tls.LoadX509KeyPair(found[0], filepath.Join(filepath.Dir(found[0]), "tls.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &cert
}

func issue(t *testing.T, dir string, role identity.Role) string {
	t.Helper()
	authorities, err := filepath.Glob(filepath.Join(dir, "orgs", "*"))
	if err != nil || len(authorities) == 0 {
		t.Fatalf("no organisation in %s: %v", dir, err)
	}
	out := t.TempDir()
	id := identity.Identity{Organisation: filepath.Base(authorities[0]), Role: role, Name: "walker"}
	if err := identity.Issue(authorities[0], out, id, time.Now()); err != nil {
		t.Fatal(err)
	}
	return out
}
