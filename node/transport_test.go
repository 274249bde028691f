package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// raftTestPatience bounds every wait of these tests.
const raftTestPatience = 20 * time.Second

// raftTestNet is a set of gRPC servers on loopback whose links can be cut. The caller's id travels as metadata in the
// place of a certificate.
type raftTestNet struct {
	t     testing.TB
	mu    sync.Mutex
	addrs map[raft.ServerID]string
	cut   map[[2]raft.ServerID]bool
	open  map[[2]raft.ServerID][]net.Conn
}

func newRaftTestNet(t testing.TB) *raftTestNet {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) }) // registered first, so it runs last
	return &raftTestNet{t: t, addrs: map[raft.ServerID]string{}, cut: map[[2]raft.ServerID]bool{},
		open: map[[2]raft.ServerID][]net.Conn{}}
}

// listen starts a gRPC server for the id and returns what NewTransport's transports are put into.
func (n *raftTestNet) listen(id raft.ServerID) (*RaftServer, *grpc.Server) {
	server := NewRaftServer()
	return server, n.listenWith(id, server)
}

// listenWith starts a gRPC server for the id.
func (n *raftTestNet) listenWith(id raft.ServerID, server ltlv1.RaftTransportServer) *grpc.Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	g := grpc.NewServer(transportServerOptions()...)
	ltlv1.RegisterRaftTransportServer(g, server)
	go func() { _ = g.Serve(l) }()
	n.t.Cleanup(g.Stop)
	n.mu.Lock()
	n.addrs[id] = l.Addr().String()
	n.mu.Unlock()
	return g
}

func (n *raftTestNet) config(id raft.ServerID) TransportConfig {
	return TransportConfig{
		ID:     id,
		Dial:   func(to raft.ServerID) (*grpc.ClientConn, error) { return n.dial(id, to) },
		PeerID: raftTestPeerID,
		Logger: slog.New(slog.DiscardHandler),
	}
}

func raftTestPeerID(ctx context.Context) (raft.ServerID, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("test-peer"); len(v) == 1 {
		return raft.ServerID(v[0]), nil
	}
	return "", errors.New("no certificate")
}

func (n *raftTestNet) dial(from, to raft.ServerID) (*grpc.ClientConn, error) {
	link := [2]raft.ServerID{from, to}
	options := append(transportDialOptions(),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			addr, ok := n.addrs[to]
			if n.cut[link] || !ok {
				return nil, errors.New("link is cut")
			}
			c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
			if err == nil {
				n.open[link] = append(n.open[link], c)
			}
			return c, err
		}),
		grpc.WithUnaryInterceptor(func(ctx context.Context, m string, req, reply any, cc *grpc.ClientConn,
			inv grpc.UnaryInvoker, o ...grpc.CallOption) error {
			return inv(metadata.AppendToOutgoingContext(ctx, "test-peer", string(from)), m, req, reply, cc, o...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, d *grpc.StreamDesc, cc *grpc.ClientConn, m string,
			s grpc.Streamer, o ...grpc.CallOption) (grpc.ClientStream, error) {
			return s(metadata.AppendToOutgoingContext(ctx, "test-peer", string(from)), d, cc, m, o...)
		}))
	return grpc.NewClient("passthrough:///"+string(to), options...)
}

// isolate cuts or heals all links of a node, both ways.
func (n *raftTestNet) isolate(id raft.ServerID, cut bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for other := range n.addrs {
		for _, link := range [][2]raft.ServerID{{id, other}, {other, id}} {
			n.cut[link] = cut
			for _, c := range n.open[link] {
				_ = c.Close()
			}
			n.open[link] = nil
		}
	}
}

// pair returns the transports A and B of a net; no raft reads from B.
func (n *raftTestNet) pair(configure func(*TransportConfig)) (a, b *Transport) {
	for _, id := range []raft.ServerID{"A", "B"} {
		server, _ := n.listen(id)
		cfg := n.config(id)
		if configure != nil {
			configure(&cfg)
		}
		tr := NewTransport(cfg)
		server.Use(tr)
		n.t.Cleanup(func() { _ = tr.Close() })
		a, b = b, tr
	}
	return a, b
}

// raftTestServe answers what arrives at a transport like a raft that agrees to everything, until the test ends.
func raftTestServe(t testing.TB, tr *Transport, seen func(raft.RPC)) {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case rpc := <-tr.Consumer():
				if seen != nil {
					seen(rpc)
				}
				raftTestAgree(rpc, tr.cfg.ID)
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-done })
}

func raftTestHeader(id raft.ServerID) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: 3, ID: []byte(id), Addr: []byte(id)}
}

func raftTestAgree(rpc raft.RPC, id raft.ServerID) {
	switch m := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		rpc.Respond(&raft.AppendEntriesResponse{RPCHeader: raftTestHeader(id), Term: m.Term, Success: true,
			LastLog: m.PrevLogEntry + uint64(len(m.Entries))}, nil)
	case *raft.RequestVoteRequest:
		rpc.Respond(&raft.RequestVoteResponse{RPCHeader: raftTestHeader(id), Term: m.Term, Granted: true}, nil)
	case *raft.RequestPreVoteRequest:
		rpc.Respond(&raft.RequestPreVoteResponse{RPCHeader: raftTestHeader(id), Term: m.Term, Granted: true}, nil)
	case *raft.TimeoutNowRequest:
		rpc.Respond(&raft.TimeoutNowResponse{RPCHeader: raftTestHeader(id)}, nil)
	case *raft.InstallSnapshotRequest:
		_, err := io.Copy(io.Discard, rpc.Reader)
		rpc.Respond(&raft.InstallSnapshotResponse{RPCHeader: raftTestHeader(id), Term: m.Term, Success: err == nil}, err)
	}
}

func raftTestEntries(from, count int, size int) (out []*raft.Log) {
	for i := range count {
		out = append(out, &raft.Log{Index: uint64(from + i), Term: 1, Data: bytes.Repeat([]byte{byte(from + i)}, size)})
	}
	return out
}

func TestTransportCalls(t *testing.T) {
	n := newRaftTestNet(t)
	a, b := n.pair(nil)
	var got []any
	raftTestServe(t, b, func(r raft.RPC) { got = append(got, r.Command) })
	header := raftTestHeader("A")

	var vote raft.RequestVoteResponse
	if err := a.RequestVote("B", "B", &raft.RequestVoteRequest{RPCHeader: header, Term: 7, Candidate: []byte("A"),
		LastLogIndex: 3, LastLogTerm: 2, LeadershipTransfer: true}, &vote); err != nil || !vote.Granted || vote.Term != 7 {
		t.Fatalf("vote: %+v, %v", vote, err)
	}
	var pre raft.RequestPreVoteResponse
	if err := a.RequestPreVote("B", "B", &raft.RequestPreVoteRequest{RPCHeader: header, Term: 8}, &pre); err != nil ||
		!pre.Granted || pre.Term != 8 {
		t.Fatalf("pre-vote: %+v, %v", pre, err)
	}
	if err := a.TimeoutNow("B", "B", &raft.TimeoutNowRequest{RPCHeader: header}, &raft.TimeoutNowResponse{}); err != nil {
		t.Fatal(err)
	}
	var app raft.AppendEntriesResponse
	request := &raft.AppendEntriesRequest{RPCHeader: header, Term: 1, Leader: []byte("A"), PrevLogEntry: 4,
		PrevLogTerm: 1, LeaderCommitIndex: 4, Entries: raftTestEntries(5, 3, 100)}
	if err := a.AppendEntries("B", "B", request, &app); err != nil || !app.Success || app.LastLog != 7 {
		t.Fatalf("append: %+v, %v", app, err)
	}
	if m := got[3].(*raft.AppendEntriesRequest); len(m.Entries) != 3 || !bytes.Equal(m.Entries[2].Data,
		request.Entries[2].Data) || m.LeaderCommitIndex != 4 {
		t.Fatalf("receiver saw %+v", m)
	}
	if v := got[0].(*raft.RequestVoteRequest); !v.LeadershipTransfer || v.LastLogIndex != 3 || v.LastLogTerm != 2 {
		t.Fatalf("receiver saw %+v", v)
	}
}

// A header that names another node than the certificate must never reach raft.
func TestTransportForgedHeader(t *testing.T) {
	n := newRaftTestNet(t)
	a, b := n.pair(nil)
	raftTestServe(t, b, func(r raft.RPC) { t.Errorf("reached raft: %+v", r.Command) })
	forged, own := raftTestHeader("C"), raftTestHeader("A")
	wrongAddr := own
	wrongAddr.Addr = []byte("C")
	for name, call := range map[string]func() error{
		"append id": func() error {
			return a.AppendEntries("B", "", &raft.AppendEntriesRequest{RPCHeader: forged, Term: 9},
				&raft.AppendEntriesResponse{})
		},
		"append address": func() error {
			return a.AppendEntries("B", "", &raft.AppendEntriesRequest{RPCHeader: wrongAddr, Term: 9},
				&raft.AppendEntriesResponse{})
		},
		"append leader": func() error {
			return a.AppendEntries("B", "", &raft.AppendEntriesRequest{RPCHeader: own, Term: 9, Leader: []byte("C")},
				&raft.AppendEntriesResponse{})
		},
		"append without id": func() error {
			return a.AppendEntries("B", "", &raft.AppendEntriesRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: 3}, Term: 9},
				&raft.AppendEntriesResponse{})
		},
		"vote id": func() error {
			return a.RequestVote("B", "", &raft.RequestVoteRequest{RPCHeader: forged, Term: 9}, &raft.RequestVoteResponse{})
		},
		"vote candidate": func() error {
			return a.RequestVote("B", "", &raft.RequestVoteRequest{RPCHeader: own, Term: 9, Candidate: []byte("C")},
				&raft.RequestVoteResponse{})
		},
		"pre-vote": func() error {
			return a.RequestPreVote("B", "", &raft.RequestPreVoteRequest{RPCHeader: forged, Term: 9},
				&raft.RequestPreVoteResponse{})
		},
		"timeout now": func() error {
			return a.TimeoutNow("B", "", &raft.TimeoutNowRequest{RPCHeader: forged}, &raft.TimeoutNowResponse{})
		},
		"snapshot": func() error {
			return a.InstallSnapshot("B", "", raftTestSnapshot(forged, 4), &raft.InstallSnapshotResponse{},
				strings.NewReader("data"))
		},
		"snapshot leader": func() error {
			s := raftTestSnapshot(own, 4)
			s.Leader = []byte("C")
			return a.InstallSnapshot("B", "", s, &raft.InstallSnapshotResponse{}, strings.NewReader("data"))
		},
		"pipeline": func() error {
			p, err := a.AppendEntriesPipeline("B", "")
			if err != nil {
				return err
			}
			defer func() { _ = p.Close() }()
			f, err := p.AppendEntries(&raft.AppendEntriesRequest{RPCHeader: forged, Term: 9}, &raft.AppendEntriesResponse{})
			if err != nil {
				return err
			}
			return f.Error()
		},
	} {
		if err := call(); raftTestCode(err) != codes.PermissionDenied {
			t.Errorf("%s: %v, want PermissionDenied", name, err)
		}
	}
}

// raftTestCode finds the gRPC code in a wrapped error.
func raftTestCode(err error) codes.Code {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Code()
	}
	return codes.Unknown
}

func TestTransportPipelineOrderAndBound(t *testing.T) {
	const bound, count = 3, 200
	n := newRaftTestNet(t)
	a, b := n.pair(func(c *TransportConfig) { c.MaxInFlight = bound })
	gate := make(chan struct{})
	raftTestServe(t, b, func(raft.RPC) { <-gate })
	p, err := a.AppendEntriesPipeline("B", "B")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	sent := make(chan int, count)
	go func() {
		for i := range count {
			if _, err := p.AppendEntries(&raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1,
				PrevLogEntry: uint64(i), PrevLogTerm: 1, Entries: raftTestEntries(i+1, 1, 10)},
				&raft.AppendEntriesResponse{}); err != nil {
				t.Error(err)
			}
			sent <- i
		}
		close(sent)
	}()
	for range bound {
		<-sent
	}
	select {
	case <-sent:
		t.Fatalf("more than %d appends in flight", bound)
	case <-time.After(50 * time.Millisecond):
	}
	close(gate)
	go func() {
		for range sent { // drained so that the sender ends
		}
	}()
	for i := range count {
		f := <-p.Consumer()
		if f.Error() != nil || f.Request().PrevLogEntry != uint64(i) || f.Response().LastLog != uint64(i+1) ||
			f.Start().IsZero() {
			t.Fatalf("answer %d: %v, %+v", i, f.Error(), f.Response())
		}
	}
}

// Raft counts entries; the transport sends what fits and leaves the count of what it sent in the request.
func TestTransportBoundsBytes(t *testing.T) {
	n := newRaftTestNet(t)
	a, b := n.pair(nil)
	raftTestServe(t, b, nil)
	request := &raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1, Entries: raftTestEntries(1, 40,
		500<<10)}
	var resp raft.AppendEntriesResponse
	if err := a.AppendEntries("B", "B", request, &resp); err != nil {
		t.Fatal(err)
	}
	if want := maxAppendBytes / (500 << 10); len(request.Entries) != want || resp.LastLog != uint64(want) {
		t.Fatalf("%d entries sent, %d received, want %d", len(request.Entries), resp.LastLog, want)
	}
	biggest := &raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1, Entries: raftTestEntries(1, 2,
		maxEntryBytes)}
	if err := a.AppendEntries("B", "B", biggest, &resp); err != nil || len(biggest.Entries) != 1 {
		t.Fatalf("entry of the greatest size: %v, %d sent", err, len(biggest.Entries))
	}
	tooBig := &raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1, Entries: raftTestEntries(1, 1,
		maxEntryBytes+1)}
	if err := a.AppendEntries("B", "B", tooBig, &resp); !errors.Is(err, errMalformed) {
		t.Fatalf("entry that is too big: %v", err)
	}
}

// Raft that has stopped consuming must not hold up Close, on either side, whatever is under way.
func TestTransportCloseWhileRaftIsStuck(t *testing.T) {
	n := newRaftTestNet(t)
	a, b := n.pair(nil)
	var calls sync.WaitGroup
	for range 20 {
		calls.Add(2)
		go func() {
			defer calls.Done()
			if err := a.AppendEntries("B", "", &raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1},
				&raft.AppendEntriesResponse{}); err == nil {
				t.Error("an answer out of nothing")
			}
		}()
		go func() {
			defer calls.Done()
			p, err := a.AppendEntriesPipeline("B", "")
			if err != nil {
				return // closed meanwhile
			}
			defer func() { _ = p.Close() }()
			for i := range 10 {
				if _, err := p.AppendEntries(&raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1,
					PrevLogEntry: uint64(i), PrevLogTerm: 1, Entries: raftTestEntries(i+1, 1, 1<<20)},
					&raft.AppendEntriesResponse{}); err != nil {
					return
				}
			}
			t.Error("ten appends in flight")
		}()
	}
	calls.Add(1)
	go func() {
		defer calls.Done()
		err := a.InstallSnapshot("B", "", raftTestSnapshot(raftTestHeader("A"), 1<<20), &raft.InstallSnapshotResponse{},
			bytes.NewReader(make([]byte, 1<<20)))
		if err == nil {
			t.Error("a snapshot was installed without a raft")
		}
	}()
	<-b.Consumer() // one was taken and will never be answered
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = b.Close()
		_ = a.Close()
		_ = a.Close()
	}()
	select {
	case <-closed:
	case <-time.After(raftTestPatience):
		t.Fatal("Close hangs")
	}
	calls.Wait()
	if _, err := a.AppendEntriesPipeline("B", ""); !errors.Is(err, raft.ErrTransportShutdown) {
		t.Fatalf("pipeline on a closed transport: %v", err)
	}
}

func TestTransportDeadlines(t *testing.T) {
	n := newRaftTestNet(t)
	a, _ := n.pair(func(c *TransportConfig) { c.RPCTimeout = 50 * time.Millisecond })
	err := a.AppendEntries("B", "", &raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1},
		&raft.AppendEntriesResponse{})
	if raftTestCode(err) != codes.DeadlineExceeded {
		t.Fatalf("append without an answer: %v", err)
	}
	p, err := a.AppendEntriesPipeline("B", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	f, err := p.AppendEntries(&raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 1},
		&raft.AppendEntriesResponse{})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Error(); !errors.Is(err, errAnswerLate) {
		t.Fatalf("pipelined append without an answer: %v", err)
	}
}

// An answer that names another node is refused: a wrong address must not become a vote.
func TestTransportWrongAddress(t *testing.T) {
	n := newRaftTestNet(t)
	a, b := n.pair(nil)
	raftTestServe(t, b, nil)
	n.mu.Lock()
	n.addrs["C"] = n.addrs["B"]
	n.mu.Unlock()
	err := a.RequestVote("C", "", &raft.RequestVoteRequest{RPCHeader: raftTestHeader("A"), Term: 1},
		&raft.RequestVoteResponse{})
	if !errors.Is(err, errWrongPeer) {
		t.Fatal(err)
	}
}
