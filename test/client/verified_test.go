package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	proofs "ltl/client/proof"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// falseNode serves as the node n1, with its key, what the node n2 answers, altered.
type falseNode struct {
	ltlv1.UnimplementedLedgerServer
	ltlv1.UnimplementedEvidenceServer
	ledger   ltlv1.LedgerClient
	evidence ltlv1.EvidenceClient
	// lie is the one that it tells; nil for none.
	lie atomic.Pointer[lie]
}

// lie alters answers. Each part may be nil.
type lie struct {
	what   string
	ask    func(*ltlv1.GetRecordRequest)
	record func(*ltlv1.GetRecordResponse)
	block  func(*ltlv1.Block)
	path   func([]byte)
}

// GetRecord implements ltlv1.LedgerServer.
func (f *falseNode) GetRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse, error) {
	in = proto.CloneOf(in)
	if l := f.lie.Load(); l != nil && l.ask != nil {
		l.ask(in)
	}
	out, err := f.ledger.GetRecord(ctx, in)
	if l := f.lie.Load(); err == nil && l != nil && l.record != nil {
		l.record(out)
	}
	return out, err
}

// GetNetwork implements ltlv1.LedgerServer.
func (f *falseNode) GetNetwork(ctx context.Context, in *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	return f.ledger.GetNetwork(ctx, in)
}

// Blocks implements ltlv1.LedgerServer.
func (f *falseNode) Blocks(in *ltlv1.BlocksRequest, to ltlv1.Ledger_BlocksServer) error {
	from, err := f.ledger.Blocks(to.Context(), in)
	if err != nil {
		return err
	}
	out, err := from.Recv()
	if err != nil {
		return err
	}
	if l := f.lie.Load(); l != nil && l.block != nil {
		l.block(out.GetBlock())
	}
	return to.Send(out)
}

// Inclusion implements ltlv1.EvidenceServer.
func (f *falseNode) Inclusion(ctx context.Context, in *ltlv1.InclusionRequest) (*ltlv1.InclusionResponse, error) {
	out, err := f.evidence.Inclusion(ctx, in)
	if l := f.lie.Load(); err == nil && l != nil && l.path != nil {
		l.path(out.GetPath())
	}
	return out, err
}

// serveFalseNode stops n1 and serves in its place.
func serveFalseNode(t *testing.T, n *testkit.Network) *falseNode {
	t.Helper()
	trust := n.Trust()
	nodes := trust.Genesis().GetNodes()
	conn, err := grpc.NewClient(nodes[1].GetAddress(),
		n.Credentials("facades/f1", trust).DialOptions(identity.RoleNode, nodes[1].GetId())...)
	if err != nil {
		t.Fatal(err)
	}
	f := &falseNode{ledger: ltlv1.NewLedgerClient(conn), evidence: ltlv1.NewEvidenceClient(conn)}
	n.StopNode(0)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", nodes[0].GetAddress())
	if err != nil {
		t.Fatal(err)
	}
	acl := identity.ACL{}
	for _, d := range []grpc.ServiceDesc{ltlv1.Ledger_ServiceDesc, ltlv1.Evidence_ServiceDesc} {
		for _, m := range d.Methods {
			acl["/"+d.ServiceName+"/"+m.MethodName] = identity.Roles()
		}
		for _, s := range d.Streams {
			acl["/"+d.ServiceName+"/"+s.StreamName] = identity.Roles()
		}
	}
	s := grpc.NewServer(append(n.Credentials(filepath.Join("nodes", "n1"), trust).ServerOptions(acl),
		grpc.WaitForHandlers(true))...)
	ltlv1.RegisterLedgerServer(s, f)
	ltlv1.RegisterEvidenceServer(s, f)
	done := make(chan error, 1)
	go func() { done <- s.Serve(listener) }()
	t.Cleanup(func() {
		s.Stop()
		if err := errors.Join(<-done, conn.Close()); err != nil {
			t.Error(err)
		}
		n.RestartNode(0)
	})
	return f
}

// verifying opens a client that verifies reads and asks n1 first.
func verifying(t testing.TB, n *testkit.Network, log *bytes.Buffer) *client.Client {
	t.Helper()
	trust := n.Trust()
	c, err := client.Open(client.Config{Credentials: n.Credentials("facades/f1", trust), Trust: trust, PreferNode: "n1",
		Verify: proofs.Witnessed, Logger: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// lies are all that the false node tells of the newest record of a Key, whose value is "value 4711". older is the
// BusinessId of the one before, other another Key.
func lies(older, other string, block func(height uint64) *ltlv1.Block) []*lie {
	record := func(fn func(r *ltlv1.Record)) func(*ltlv1.GetRecordResponse) {
		return func(out *ltlv1.GetRecordResponse) { fn(out.GetRecord()) }
	}
	hashOf := func(value string) []byte {
		h := ledger.DataHash(value)
		return h[:]
	}
	later := func(b *ltlv1.Block) { b.Header[len(b.Header)-1] ^= 1 } // in the header's last field, the reference time
	return []*lie{
		{what: "value", record: record(func(r *ltlv1.Record) { r.Value, r.DataHash = "value 4712", hashOf("value 4712") })},
		{what: "value, with its hash kept", record: record(func(r *ltlv1.Record) { r.Value = "value 4712" })},
		{what: "data hash", record: record(func(r *ltlv1.Record) { r.DataHash[0] ^= 1 })},
		{what: "time", record: record(func(r *ltlv1.Record) { r.TimeMs++ })},
		{what: "block hash", record: record(func(r *ltlv1.Record) { r.BlockHash[0] ^= 1 })},
		{what: "previous hash", record: record(func(r *ltlv1.Record) { r.PreviousHash[0] ^= 1 })},
		{what: "transaction hash", record: record(func(r *ltlv1.Record) { r.TransactionHash[0] ^= 1 })},
		{what: "height", record: record(func(r *ltlv1.Record) { r.BlockHeight-- })},
		{what: "account", record: record(func(r *ltlv1.Record) { r.AccountUid += "0" })},
		{what: "BusinessId", record: record(func(r *ltlv1.Record) { r.BusinessId = "x" })},
		{what: "a device", record: record(func(r *ltlv1.Record) { r.IotId = "x" })},
		{what: "a correction", record: record(func(r *ltlv1.Record) { r.Corrects = &ltlv1.Correction{Key: "x"} })},
		{what: "another header, whose hash it names", block: later, record: record(func(r *ltlv1.Record) {
			b := block(r.GetBlockHeight())
			later(b)
			h := ledger.BlockHash(b.GetHeader())
			r.BlockHash = h[:]
		})},
		{what: "the value beside the block, too", record: record(func(r *ltlv1.Record) {
			r.Value, r.DataHash = "value 4713", hashOf("value 4713")
		}),
			block: func(b *ltlv1.Block) {
				for _, batch := range b.GetBatches() {
					for _, all := range batch.GetOpenings() {
						for _, o := range all.GetOpenings() {
							o.Value = []byte("value 4713")
						}
					}
				}
			}},
		{what: "place", record: record(func(r *ltlv1.Record) { r.TransactionIndex++ })},
		{what: "none, with success", record: func(out *ltlv1.GetRecordResponse) { out.Record = nil }},
		{what: "the way to the checkpoint", path: func(path []byte) { path[0] ^= 1 }},
		{what: "there is none", record: func(out *ltlv1.GetRecordResponse) { out.Code, out.Record = rules.NotFound, nil }},
		{what: "an older one", ask: func(in *ltlv1.GetRecordRequest) { in.BusinessId = older }},
		{what: "another Key", ask: func(in *ltlv1.GetRecordRequest) { in.Key = other }},
	}
}

// TestVerifiedReads: whatever a node says of a record that is not so, a client with Config.Verify gets the true answer
// from another node, and the log names the one that lied. With the truth from the same node nothing is logged.
func TestVerifiedReads(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	key, other := n.Key(n.Admin, "read"), n.Key(n.Admin, "other")
	for i, value := range []string{"older", "value 4711"} {
		n.Submit(identity.RoleFacade, attach(n, key, strings.Repeat(string(rune('a'+i)), 64), value))
	}
	n.Submit(identity.RoleFacade, attach(n, other, strings.Repeat("c", 64), "other"))
	blocks := n.Blocks(n.ChainID)
	awaitEndorser(t, n)
	f := serveFalseNode(t, n)
	in := &ltlv1.GetRecordRequest{ChainCode: n.ChainCode, Key: key, AccountUid: n.Admin.UID}
	for _, l := range append([]*lie{nil}, lies(strings.Repeat("a", 64), other, func(height uint64) *ltlv1.Block {
		return proto.CloneOf(blocks[height])
	})...) {
		var log bytes.Buffer
		c := verifying(t, n, &log)
		f.lie.Store(l)
		out, by, err := c.Ledger().VerifiedRecord(t.Context(), in)
		if err != nil || out.GetRecord().GetValue() != "value 4711" || by == nil || by.Size <= out.GetRecord().GetBlockHeight() {
			t.Fatalf("%+v: %v %v %v", l, out, by, err)
		}
		if err := c.Close(); err != nil { // and so nothing more is logged
			t.Fatal(err)
		}
		switch {
		case l == nil && (c.Caught() != 0 || log.Len() != 0):
			t.Errorf("the truth: %d lies, %s", c.Caught(), log.String())
		case l != nil && (c.Caught() != 1 || !strings.Contains(log.String(), "node=n1")):
			t.Errorf("%s: %d lies were found; %s", l.what, c.Caught(), log.String())
		case strings.Contains(log.String(), "value 471"):
			t.Errorf("the log has a value: %s", log.String())
		}
	}
	f.lie.Store(nil)
	var log bytes.Buffer
	c := verifying(t, n, &log)
	var held uint64
	for i := range 4 { // each under a checkpoint that continues the one before
		n.Submit(identity.RoleFacade, attach(n, key, strings.Repeat(string(rune('0'+i)), 64), "more"))
		out, by, err := c.Ledger().VerifiedRecord(t.Context(), in)
		if err != nil || out.GetRecord().GetValue() != "more" || by.Size <= held {
			t.Fatalf("%v after %d blocks, %v", by, held, err)
		}
		held = by.Size
		if i == 2 { // what is signed from now on has a key that the trust file does not have
			rotate(t, n)
			n.StopEndorser(0)
			n.RestartEndorser(0)
		}
	}
}

// attach is a record with a BusinessId of its own.
func attach(n *testkit.Network, key, businessID, value string) *ltlv1.Transaction {
	return &ltlv1.Transaction{ChainId: n.ChainID, AccountUid: n.Admin.UID, Openings: client.Values(value),
		Action: &ltlv1.Transaction_AttachData{AttachData: &ltlv1.AttachData{Key: key, BusinessId: businessID}}}
}

// awaitEndorser waits until the endorser of org1 has what the nodes have.
func awaitEndorser(t *testing.T, n *testkit.Network) {
	t.Helper()
	l := n.Client(identity.RoleFacade).Ledger()
	want, err := l.Status(t.Context(), "n1")
	for err == nil {
		var st *ltlv1.StatusResponse
		if st, err = l.Status(t.Context(), "endorser/org1"); st.GetSequence() >= want.GetSequence() {
			return
		}
	}
	t.Fatal(err)
}

// BenchmarkRead measures a read of a record of a block with others, plain and verified under a checkpoint that is held;
// and one that needs a new checkpoint, with the write before it.
func BenchmarkRead(b *testing.B) {
	n := testkit.Start(b, testkit.Options{})
	const together = 100
	key := n.Key(n.Admin, "read")
	var group sync.WaitGroup
	for i := range together {
		group.Go(func() { n.Submit(identity.RoleFacade, n.AttachData(n.Admin, fmt.Sprint("with", i), "value")) })
	}
	group.Go(func() { n.Submit(identity.RoleFacade, n.AttachData(n.Admin, "read", "value")) })
	group.Wait()
	var log bytes.Buffer
	plain, verified := n.Client(identity.RoleFacade), verifying(b, n, &log)
	in := &ltlv1.GetRecordRequest{ChainCode: n.ChainCode, Key: key, AccountUid: n.Admin.UID}
	for name, c := range map[string]*client.Client{"plain": plain, "verified": verified} {
		if _, err := c.Ledger().GetRecord(b.Context(), in); err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.Ledger().GetRecord(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	for name, c := range map[string]*client.Client{"plain": plain, "verified": verified} {
		b.Run(name+"-after-write", func(b *testing.B) {
			for b.Loop() {
				n.Submit(identity.RoleFacade, n.AttachData(n.Admin, "read", "value"))
				if _, err := c.Ledger().GetRecord(b.Context(), in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
