package node

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	ltlv1 "ltl/proto/ltl/v1"
)

// wire sends a message through its encoding, as gRPC does.
func wire[M proto.Message](t interface{ Fatal(...any) }, m, to M) M {
	b, err := proto.Marshal(m)
	if err == nil {
		err = proto.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
	return to
}

func drawHeader(t *rapid.T) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(rapid.IntRange(0, 3).Draw(t, "version")),
		ID: drawBytes(t, "id"), Addr: drawBytes(t, "addr")}
}

// drawBytes draws nil instead of an empty slice: they are the same on the wire.
func drawBytes(t *rapid.T, label string) []byte {
	if b := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, label); len(b) > 0 {
		return b
	}
	return nil
}

func drawAppend(t *rapid.T) *raft.AppendEntriesRequest {
	prev, term := rapid.Uint64Range(0, 1<<60).Draw(t, "prev"), rapid.Uint64Range(0, 1<<60).Draw(t, "prevTerm")
	r := &raft.AppendEntriesRequest{RPCHeader: drawHeader(t), Leader: drawBytes(t, "leader"), PrevLogEntry: prev,
		PrevLogTerm:       term,
		LeaderCommitIndex: rapid.Uint64().Draw(t, "commit"), Entries: []*raft.Log{}}
	for i := range rapid.IntRange(0, 5).Draw(t, "entries") {
		term += rapid.Uint64Range(0, 3).Draw(t, "step")
		l := &raft.Log{Index: prev + uint64(i) + 1, Term: term, Data: drawBytes(t, "data"), Extensions: drawBytes(t,
			"extensions"),
			Type: rapid.SampledFrom([]raft.LogType{raft.LogCommand, raft.LogNoop, raft.LogBarrier,
				raft.LogConfiguration}).Draw(t, "type")}
		if l.Type == raft.LogConfiguration {
			l.Data = raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}}})
		}
		if ns := rapid.Int64().Draw(t, "at"); ns != 0 {
			l.AppendedAt = time.Unix(0, ns)
		}
		r.Entries = append(r.Entries, l)
	}
	r.Term = term + rapid.Uint64Range(0, 3).Draw(t, "ahead")
	return r
}

func TestRaftMessagesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		equal := func(got, want any, err error) {
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("got %+v, want %+v (%v)", got, want, err)
			}
		}
		u, b := rapid.Uint64(), rapid.Bool()
		app := drawAppend(t)
		m, err := encodeAppend(app)
		if err != nil {
			t.Fatal(err)
		}
		gotApp, err := decodeAppend(wire(t, m, &ltlv1.AppendEntriesRequest{}))
		equal(gotApp, app, err)

		appResp := &raft.AppendEntriesResponse{RPCHeader: drawHeader(t), Term: u.Draw(t, "t"), LastLog: u.Draw(t, "l"),
			Success: b.Draw(t, "s"), NoRetryBackoff: b.Draw(t, "n")}
		equal(decodeAppendResponse(wire(t, encodeAppendResponse(appResp), &ltlv1.AppendEntriesResponse{})), appResp, nil)

		vote := &raft.RequestVoteRequest{RPCHeader: drawHeader(t), Term: u.Draw(t, "t"), Candidate: drawBytes(t, "c"),
			LastLogIndex: u.Draw(t, "i"), LastLogTerm: u.Draw(t, "lt"), LeadershipTransfer: b.Draw(t, "tr")}
		gotVote, err := decodeVote(wire(t, encodeVote(vote), &ltlv1.RequestVoteRequest{}))
		equal(gotVote, vote, err)
		voteResp := &raft.RequestVoteResponse{RPCHeader: drawHeader(t), Term: u.Draw(t, "t"), Peers: drawBytes(t, "p"),
			Granted: b.Draw(t, "g")}
		equal(decodeVoteResponse(wire(t, encodeVoteResponse(voteResp), &ltlv1.RequestVoteResponse{})), voteResp, nil)

		pre := &raft.RequestPreVoteRequest{RPCHeader: drawHeader(t), Term: u.Draw(t, "t"), LastLogIndex: u.Draw(t, "i"),
			LastLogTerm: u.Draw(t, "lt")}
		gotPre, err := decodePreVote(wire(t, encodePreVote(pre), &ltlv1.RequestPreVoteRequest{}))
		equal(gotPre, pre, err)
		preResp := &raft.RequestPreVoteResponse{RPCHeader: drawHeader(t), Term: u.Draw(t, "t"), Granted: b.Draw(t, "g")}
		equal(decodePreVoteResponse(wire(t, encodePreVoteResponse(preResp), &ltlv1.RequestPreVoteResponse{})), preResp, nil)

		last := rapid.Uint64().Draw(t, "last")
		snap := &raft.InstallSnapshotRequest{RPCHeader: drawHeader(t), SnapshotVersion: 1, Term: last,
			Leader: drawBytes(t, "leader"), LastLogIndex: last, LastLogTerm: rapid.Uint64Range(0, last).Draw(t, "lt"),
			Peers: drawBytes(t, "peers"), ConfigurationIndex: rapid.Uint64Range(0, last).Draw(t, "ci"),
			Size:          rapid.Int64Range(0, maxSnapshotBytes).Draw(t, "size"),
			Configuration: raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "a"}}})}
		gotSnap, err := decodeSnapshotHeader(wire(t, encodeSnapshotHeader(snap), &ltlv1.InstallSnapshotHeader{}))
		equal(gotSnap, snap, err)
		snapResp := &raft.InstallSnapshotResponse{RPCHeader: drawHeader(t), Term: u.Draw(t, "t"), Success: b.Draw(t, "s")}
		equal(decodeSnapshotResponse(wire(t, encodeSnapshotResponse(snapResp), &ltlv1.InstallSnapshotResponse{})), snapResp,
			nil)
	})
}

// Each message here would break raft's invariants or make it panic.
func TestRaftMessagesRefused(t *testing.T) {
	header := &ltlv1.RaftHeader{ProtocolVersion: 3, Id: []byte("A")}
	good := func() *ltlv1.AppendEntriesRequest {
		return &ltlv1.AppendEntriesRequest{Header: header, Term: 5, PrevLogEntry: 3, PrevLogTerm: 2,
			Entries: []*ltlv1.RaftLog{{Index: 4, Term: 2, Data: []byte("a")}, {Index: 5, Term: 5, Data: []byte("b")}}}
	}
	if _, err := decodeAppend(good()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*ltlv1.AppendEntriesRequest){
		"no header": func(m *ltlv1.AppendEntriesRequest) { m.Header = nil },
		"long id": func(m *ltlv1.AppendEntriesRequest) {
			m.Header = &ltlv1.RaftHeader{Id: make([]byte,
				maxPeerIDBytes+1)}
		},
		"version":         func(m *ltlv1.AppendEntriesRequest) { m.Header = &ltlv1.RaftHeader{ProtocolVersion: -1} },
		"long leader":     func(m *ltlv1.AppendEntriesRequest) { m.Leader = make([]byte, maxPeerIDBytes+1) },
		"nil entry":       func(m *ltlv1.AppendEntriesRequest) { m.Entries[0] = nil },
		"gap":             func(m *ltlv1.AppendEntriesRequest) { m.Entries[1].Index = 6 },
		"not after prev":  func(m *ltlv1.AppendEntriesRequest) { m.PrevLogEntry = 2 },
		"term goes back":  func(m *ltlv1.AppendEntriesRequest) { m.Entries[1].Term = 1 },
		"term ahead":      func(m *ltlv1.AppendEntriesRequest) { m.Entries[1].Term = 6 },
		"unknown type":    func(m *ltlv1.AppendEntriesRequest) { m.Entries[0].Type = 6 },
		"type beyond u8":  func(m *ltlv1.AppendEntriesRequest) { m.Entries[0].Type = 256 },
		"retired type":    func(m *ltlv1.AppendEntriesRequest) { m.Entries[0].Type = uint32(raft.LogAddPeerDeprecated) },
		"configuration":   func(m *ltlv1.AppendEntriesRequest) { m.Entries[0].Type = uint32(raft.LogConfiguration) },
		"too much data":   func(m *ltlv1.AppendEntriesRequest) { m.Entries[0].Data = make([]byte, maxEntryBytes+1) },
		"too many":        func(m *ltlv1.AppendEntriesRequest) { m.Entries = make([]*ltlv1.RaftLog, maxAppendCount+1) },
		"no index beyond": func(m *ltlv1.AppendEntriesRequest) { m.PrevLogEntry, m.Entries[0].Index = ^uint64(0), 0 },
	} {
		m := good()
		spoil(m)
		if _, err := decodeAppend(m); !errors.Is(err, errMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	snap := func() *ltlv1.InstallSnapshotHeader {
		return encodeSnapshotHeader(raftTestSnapshot(raftTestHeader("A"), 5))
	}
	if _, err := decodeSnapshotHeader(snap()); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*ltlv1.InstallSnapshotHeader){
		"negative size":  func(m *ltlv1.InstallSnapshotHeader) { m.Size = -1 },
		"great size":     func(m *ltlv1.InstallSnapshotHeader) { m.Size = maxSnapshotBytes + 1 },
		"version":        func(m *ltlv1.InstallSnapshotHeader) { m.SnapshotVersion = 0 },
		"term":           func(m *ltlv1.InstallSnapshotHeader) { m.LastLogTerm = m.Term + 1 },
		"configuration":  func(m *ltlv1.InstallSnapshotHeader) { m.Configuration = []byte{0x93, 0xff} },
		"no header":      func(m *ltlv1.InstallSnapshotHeader) { m.Header = nil },
		"future members": func(m *ltlv1.InstallSnapshotHeader) { m.ConfigurationIndex = m.LastLogIndex + 1 },
	} {
		m := snap()
		spoil(m)
		if _, err := decodeSnapshotHeader(m); !errors.Is(err, errMalformed) {
			t.Errorf("snapshot %s: %v", name, err)
		}
	}
}

// FuzzRaftMessages feeds arbitrary bytes to each decoder: it may refuse, it may not panic, and what it accepts survives
// another trip over the wire.
func FuzzRaftMessages(f *testing.F) {
	app, _ := encodeAppend(&raft.AppendEntriesRequest{RPCHeader: raftTestHeader("A"), Term: 2, Entries: raftTestEntries(1,
		3, 10)})
	for _, m := range []proto.Message{app, encodeSnapshotHeader(raftTestSnapshot(raftTestHeader("A"), 5)),
		encodeVote(&raft.RequestVoteRequest{RPCHeader: raftTestHeader("A"), Term: 3})} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m := (&ltlv1.AppendEntriesRequest{}); proto.Unmarshal(b, m) == nil {
			if r, err := decodeAppend(m); err == nil {
				again, err := encodeAppend(r)
				if err != nil {
					t.Fatal(err)
				}
				if r2, err := decodeAppend(wire(t, again, &ltlv1.AppendEntriesRequest{})); err != nil ||
					len(r2.Entries) != len(r.Entries) || r2.Term != r.Term {
					t.Fatalf("%+v became %+v (%v)", r, r2, err)
				}
			}
		}
		if m := (&ltlv1.InstallSnapshotHeader{}); proto.Unmarshal(b, m) == nil {
			if r, err := decodeSnapshotHeader(m); err == nil {
				if _, err := decodeSnapshotHeader(wire(t, encodeSnapshotHeader(r), &ltlv1.InstallSnapshotHeader{})); err != nil {
					t.Fatal(err)
				}
			}
		}
		if m := (&ltlv1.RequestVoteRequest{}); proto.Unmarshal(b, m) == nil {
			if r, err := decodeVote(m); err == nil {
				if _, err := decodeVote(wire(t, encodeVote(r), &ltlv1.RequestVoteRequest{})); err != nil {
					t.Fatal(err)
				}
			}
		}
		if m := (&ltlv1.RequestPreVoteRequest{}); proto.Unmarshal(b, m) == nil {
			_, _ = decodePreVote(m)
		}
		if m := (&ltlv1.AppendEntriesResponse{}); proto.Unmarshal(b, m) == nil {
			_ = decodeAppendResponse(m)
		}
		if m := (&ltlv1.InstallSnapshotResponse{}); proto.Unmarshal(b, m) == nil {
			_ = decodeSnapshotResponse(m)
		}
	})
}
