package identity_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledgerService answers with the caller, and panics on request.
type ledgerService struct {
	ltlv1.UnimplementedLedgerServer
}

func (ledgerService) Status(ctx context.Context, _ *ltlv1.StatusRequest) (*ltlv1.StatusResponse, error) {
	id, ok := identity.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Internal, "no caller in the context")
	}
	return &ltlv1.StatusResponse{Id: id.String()}, nil
}

func (ledgerService) GetNetwork(context.Context, *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	panic("a bug in a handler")
}

func (ledgerService) Blocks(_ *ltlv1.BlocksRequest, stream grpc.ServerStreamingServer[ltlv1.BlocksResponse]) error {
	id, _ := identity.FromContext(stream.Context())
	return stream.Send(&ltlv1.BlocksResponse{Block: &ltlv1.Block{Header: []byte(id.String())}})
}

func (ledgerService) Follow(*ltlv1.FollowRequest, grpc.ServerStreamingServer[ltlv1.FollowResponse]) error {
	panic("a bug in a stream's handler")
}

func testACL() identity.ACL {
	return identity.ACL{
		ltlv1.Ledger_Status_FullMethodName:     {identity.RoleClient, identity.RoleFacade},
		ltlv1.Ledger_GetNetwork_FullMethodName: {identity.RoleClient},
		ltlv1.Ledger_Blocks_FullMethodName:     {identity.RoleEndorser, identity.RoleClient},
		ltlv1.Ledger_Follow_FullMethodName:     {identity.RoleEndorser},
		ltlv1.Ledger_GetRecord_FullMethodName:  {}, // listed without a role
	}
}

type fixture struct {
	dir, addr string
	trust     *identity.Trust
	server    *grpc.Server
	own       *identity.Credentials // the server's
	log       *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T) fixture {
	t.Helper()
	f := fixture{dir: t.TempDir(), log: &lockedBuffer{}}
	spec := identity.NetworkSpec{
		Network: "grpc", Facades: []string{"f1"},
		Organisations: []identity.OrgSpec{{ID: "org1", Name: "One", EndorserAddress: "127.0.0.1:1"}},
		Nodes:         []identity.NodeSpec{{ID: "n1", Organisation: "org1", Address: "127.0.0.1:2"}},
	}
	if err := identity.CreateNetwork(f.dir, spec); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.trust, err = identity.LoadTrust(filepath.Join(f.dir, "trust.json")); err != nil {
		t.Fatal(err)
	}
	f.own = f.credentials(t, "nodes/n1")
	f.server = grpc.NewServer(f.own.ServerOptions(testACL())...)
	ltlv1.RegisterLedgerServer(f.server, ledgerService{})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.addr = listener.Addr().String()
	done := make(chan error, 1)
	go func() { done <- f.server.Serve(f.own.Gate().Listen(listener)) }()
	t.Cleanup(func() {
		f.server.Stop() // perhaps before Serve began
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return f
}

func (f fixture) credentials(t *testing.T, sub string) *identity.Credentials {
	t.Helper()
	c, err := identity.LoadCredentials(filepath.Join(f.dir, sub), f.trust,
		identity.WithLogger(slog.New(slog.NewTextHandler(f.log, nil))))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f fixture) ledger(t *testing.T, sub string) ltlv1.LedgerClient {
	t.Helper()
	conn, err := grpc.NewClient(f.addr, f.credentials(t, sub).DialOptions(identity.RoleNode, "n1")...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return ltlv1.NewLedgerClient(conn)
}

func testContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestWalkRefusesEveryWrongRole(t *testing.T) {
	f := start(t)
	access.WalkRPCs(t, f.server, f.addr, f.dir, testACL())
}

func TestHandlersKnowTheirCaller(t *testing.T) {
	f := start(t)
	ctx := testContext(t)
	got, err := f.ledger(t, "clients/bench").Status(ctx, &ltlv1.StatusRequest{})
	if err != nil || got.GetId() != "org1/client/bench" {
		t.Errorf("Status = %v, %v", got, err)
	}
	stream, err := f.ledger(t, "orgs/org1/endorser").Blocks(ctx, &ltlv1.BlocksRequest{})
	if err != nil {
		t.Fatal(err)
	}
	block, err := stream.Recv()
	if err != nil || string(block.GetBlock().GetHeader()) != "org1/endorser/org1" {
		t.Errorf("Blocks = %v, %v", block, err)
	}
	if _, ok := identity.FromContext(ctx); ok {
		t.Error("a context without a call has a caller")
	}
}

func TestRefusalSaysWhoAndWhat(t *testing.T) {
	f := start(t)
	_, err := f.ledger(t, "operator").Status(testContext(t), &ltlv1.StatusRequest{})
	if status.Code(err) != codes.PermissionDenied || !strings.Contains(err.Error(), "org1/operator/operator") ||
		!strings.Contains(err.Error(), "/ltl.v1.Ledger/Status") {
		t.Errorf("%v", err)
	}
}

// TestHandlerPanicFailsItsCallOnly also shows that the server still answers afterwards.
func TestHandlerPanicFailsItsCallOnly(t *testing.T) {
	f := start(t)
	ctx := testContext(t)
	client := f.ledger(t, "clients/bench")
	if _, err := client.GetNetwork(ctx, &ltlv1.GetNetworkRequest{}); status.Code(err) != codes.Internal ||
		strings.Contains(err.Error(), "a bug") {
		t.Errorf("GetNetwork: %v", err)
	}
	stream, err := f.ledger(t, "orgs/org1/endorser").Follow(ctx, &ltlv1.FollowRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); status.Code(err) != codes.Internal {
		t.Errorf("Follow: %v", err)
	}
	if _, err := client.Status(ctx, &ltlv1.StatusRequest{}); err != nil {
		t.Errorf("Status after the panics: %v", err)
	}
	if got := f.log.String(); strings.Count(got, "a handler panicked") != 2 ||
		!strings.Contains(got, "a bug in a handler") {
		t.Errorf("log: %s", got)
	}
}

// gather reads metrics by name, with the label's value in braces where there is one.
func gather(t *testing.T, collectors []prometheus.Collector) map[string]float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors...)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, label := range m.GetLabel() {
				name += "{" + label.GetValue() + "}"
			}
			all[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return all
}
