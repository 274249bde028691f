package node

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hashicorp/raft"

	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/quick"
)

func raftTestSnapshot(h raft.RPCHeader, size int64) *raft.InstallSnapshotRequest {
	c := raft.Configuration{Servers: []raft.Server{{ID: "A", Address: "A"}, {ID: "B", Address: "B"}}}
	return &raft.InstallSnapshotRequest{RPCHeader: h, SnapshotVersion: 1, Term: 3, Leader: h.ID, LastLogIndex: 10,
		LastLogTerm:   2,
		Configuration: raft.EncodeConfiguration(c), ConfigurationIndex: 1, Size: size}
}

func TestTransportSnapshot(t *testing.T) {
	n := newRaftTestNet(t)
	installed := make(chan uint64, 10)
	a, b := n.pair(func(c *TransportConfig) {
		c.OnSnapshotInstalled = func(index, term uint64) { installed <- index*1000 + term }
	})
	var got []byte
	var readErr error
	go func() {
		for rpc := range b.Consumer() {
			got, readErr = io.ReadAll(rpc.Reader)
			rpc.Respond(&raft.InstallSnapshotResponse{RPCHeader: raftTestHeader("B"), Term: 3, Success: readErr == nil}, readErr)
			if len(got) == 1 {
				return
			}
		}
	}()
	for _, size := range []int{0, 4, snapshotPieceBytes, 3*snapshotPieceBytes + 17} {
		data := bytes.Repeat([]byte("0123456789"), size/10+1)[:size]
		var resp raft.InstallSnapshotResponse
		// DataErrReader returns the last bytes together with io.EOF; OneByteReader returns less than was asked for.
		for _, r := range []io.Reader{iotest.DataErrReader(bytes.NewReader(data)), iotest.HalfReader(bytes.NewReader(data))} {
			if err := a.InstallSnapshot("B", "", raftTestSnapshot(raftTestHeader("A"), int64(size)), &resp, r); err != nil ||
				!resp.Success {
				t.Fatalf("%d bytes: %v", size, err)
			}
			if !bytes.Equal(got, data) {
				t.Fatalf("%d bytes sent, %d received", size, len(got))
			}
			if k := <-installed; k != 10002 {
				t.Fatalf("installed %d", k)
			}
		}
	}
	for name, size := range map[string]int64{"short": 11, "long": 9} {
		err := a.InstallSnapshot("B", "", raftTestSnapshot(raftTestHeader("A"), size), &raft.InstallSnapshotResponse{},
			strings.NewReader("0123456789"))
		if !errors.Is(err, errSnapshotSize) {
			t.Fatalf("%s snapshot: %v", name, err)
		}
	}
	if err := a.InstallSnapshot("B", "", raftTestSnapshot(raftTestHeader("A"), 1), &raft.InstallSnapshotResponse{},
		strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	<-installed
	if len(installed) != 0 {
		t.Fatal("a refused snapshot was reported as installed")
	}
}

// slowReader gives a piece every so often.
type slowReader struct {
	pieces, bytes int
	wait          time.Duration
}

func (r *slowReader) Read(p []byte) (int, error) {
	if r.pieces == 0 {
		return 0, io.EOF
	}
	time.Sleep(r.wait)
	r.pieces--
	return copy(p, make([]byte, r.bytes)), nil
}

// The deadline is per piece: fourteen pieces of 150 ms pass a deadline of 1.5 s, a receiver that takes nothing does
// not.
func TestTransportSnapshotDeadline(t *testing.T) {
	quick.Skip(t)
	n := newRaftTestNet(t)
	a, b := n.pair(func(c *TransportConfig) { c.SnapshotTimeout = 1500 * time.Millisecond })
	taken := make(chan error, 1)
	go func() {
		rpc := <-b.Consumer()
		raftTestAgree(rpc, "B")
		select {
		case rpc = <-b.Consumer(): // takes it and does not read
			<-a.ctx.Done()
		case <-a.ctx.Done():
			return
		}
		_, err := io.ReadAll(rpc.Reader)
		taken <- err
	}()
	const pieces = 14
	slow := &slowReader{pieces: pieces, bytes: snapshotPieceBytes, wait: 150 * time.Millisecond}
	if err := a.InstallSnapshot("B", "", raftTestSnapshot(raftTestHeader("A"), pieces*snapshotPieceBytes),
		&raft.InstallSnapshotResponse{}, slow); err != nil {
		t.Fatalf("slow but steady: %v", err)
	}
	const big = 64 << 20
	err := a.InstallSnapshot("B", "", raftTestSnapshot(raftTestHeader("A"), big), &raft.InstallSnapshotResponse{},
		bytes.NewReader(make([]byte, big)))
	if err == nil {
		t.Fatal("a snapshot without a reader was sent")
	}
	_ = a.Close()
	if err := <-taken; err == nil {
		t.Fatal("the receiver's raft got the end of a snapshot that was given up")
	}
}

// A leader that stops sending must not hold the receiver's raft, which reads on its main loop.
func TestTransportSnapshotStalledSender(t *testing.T) {
	n := newRaftTestNet(t)
	_, b := n.pair(func(c *TransportConfig) { c.SnapshotTimeout = 100 * time.Millisecond })
	conn, err := n.dial("A", "B")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), raftTestPatience)
	defer cancel()
	stream, err := ltlv1.NewRaftTransportClient(conn).InstallSnapshot(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&ltlv1.InstallSnapshotRequest{Header: encodeSnapshotHeader(raftTestSnapshot(raftTestHeader("A"),
		10))}); err != nil {
		t.Fatal(err)
	}
	rpc := <-b.Consumer()
	_, err = io.ReadAll(rpc.Reader)
	if !errors.Is(err, errSnapshotStalled) {
		t.Fatalf("raft read: %v", err)
	}
	rpc.Respond(nil, err)
	if err := stream.RecvMsg(&ltlv1.InstallSnapshotResponse{}); err == nil {
		t.Fatal("answered")
	}
}
