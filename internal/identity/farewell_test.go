package identity_test

import (
	"context"
	"crypto/sha256"
	"net"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// leaving is a service of which a call has the trust refuse its caller, as the ledger does when an operator leaves the
// network or revokes its own certificate.
type leaving struct {
	ltlv1.UnimplementedLedgerServer
	trust  *identity.Trust
	refuse func(*identity.Membership)
}

func (l leaving) Status(context.Context, *ltlv1.StatusRequest) (*ltlv1.StatusResponse, error) {
	m := &identity.Membership{Height: 5, Organisations: l.trust.Genesis().GetOrganisations()}
	l.refuse(m)
	if err := l.trust.Update(m); err != nil {
		return nil, err
	}
	return &ltlv1.StatusResponse{Id: "done"}, nil
}

func (leaving) Blocks(_ *ltlv1.BlocksRequest, stream grpc.ServerStreamingServer[ltlv1.BlocksResponse]) error {
	<-stream.Context().Done()
	return stream.Context().Err()
}

// TestAnswerBeforeTheEnd: a caller whose own act has it refused gets the answer. It can call nothing afterwards, and its
// connection, with a stream that goes on, ends.
func TestAnswerBeforeTheEnd(t *testing.T) {
	var hash [sha256.Size]byte // of the client's key
	for what, refuse := range map[string]func(*identity.Membership){
		"left": func(m *identity.Membership) { m.Organisations, m.Removed = nil, []string{"org1"} },
		"revoked": func(m *identity.Membership) {
			m.Revocations = []*ltlv1.RevokeCertificate{{Identity: "org1/client/bench"}}
		},
		"its key revoked": func(m *identity.Membership) {
			m.Revocations = []*ltlv1.RevokeCertificate{{Identity: "org1/client/bench", KeyHash: hash[:], KeyOnly: true}}
		},
	} {
		f := start(t)
		cert, err := identity.ReadCertificate(filepath.Join(f.dir, "clients", "bench"))
		if err != nil {
			t.Fatal(err)
		}
		hash = sha256.Sum256(cert.Key)
		server := grpc.NewServer(f.own.ServerOptions(testACL())...)
		ltlv1.RegisterLedgerServer(server, leaving{trust: f.trust, refuse: refuse})
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		conn, err := grpc.NewClient(listener.Addr().String(),
			f.credentials(t, "clients/bench").DialOptions(identity.RoleNode, "n1")...)
		if err != nil {
			t.Fatal(err)
		}
		client := ltlv1.NewLedgerClient(conn)
		stream, err := client.Blocks(t.Context(), &ltlv1.BlocksRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := client.Status(t.Context(), &ltlv1.StatusRequest{}); err != nil || out.GetId() != "done" {
			t.Errorf("%s: the answer: %v, %v", what, out, err)
		}
		// Unavailable has a caller with a newer certificate connect again; any other code would be its last word.
		if _, err := client.Status(t.Context(), &ltlv1.StatusRequest{}); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: another call: %v, want Unavailable", what, err)
		}
		ended := make(chan error, 1)
		go func() { _, err := stream.Recv(); ended <- err }()
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s: the stream gave a block", what)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s: the connection is still open", what)
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
