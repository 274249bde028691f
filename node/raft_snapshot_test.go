package node

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func sampleTarget() *catchUpTarget {
	p := &catchUpTarget{network: ledger.Hash{1}, applied: 77, sequence: 12, tips: []targetTip{{ledger.SystemChain, 5,
		ledger.Hash{2}}, {"0000000000000001", 3, ledger.Hash{3}}}}
	for i := range 3 {
		p.accessKeys = append(p.accessKeys, &ltlv1.SealedKey{AccessKeyId: fmt.Sprint("k", i), Sealed: []byte("s"),
			Version: uint64(i + 1)})
	}
	return p
}

// TestTargetBytes: what is written is read back, and every changed or missing byte is noticed.
func TestTargetBytes(t *testing.T) {
	b := sampleTarget().encode()
	p, err := readTarget(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(p.encode(), b) || len(p.accessKeys) != 3 || p.tips[1].height != 3 {
		t.Errorf("read back %+v", p)
	}
	for i := range b {
		c := bytes.Clone(b)
		c[i] ^= 0x10
		if _, err := decodeTarget(c); !errors.Is(err, errTarget) {
			t.Errorf("byte %d changed: %v", i, err)
		}
		if _, err := decodeTarget(b[:i]); !errors.Is(err, errTarget) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := readTarget(io.LimitReader(neverEnding{}, maxTarget+10)); err == nil {
		t.Error("an endless snapshot was read")
	}
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }

// FuzzTarget: no bytes crash the decoder, and what it takes has one encoding. The checksum is made right, so that
// the fuzzer gets past it.
func FuzzTarget(f *testing.F) {
	f.Add(sampleTarget().encode())
	f.Add((&catchUpTarget{}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= targetSumBytes {
			n := len(b) - targetSumBytes
			b = binary.BigEndian.AppendUint32(bytes.Clone(b[:n]), crc32.Checksum(b[:n], crc32.MakeTable(crc32.Castagnoli)))
		}
		p, err := decodeTarget(b)
		if err != nil {
			return
		}
		again, err := decodeTarget(p.encode())
		if err != nil || !bytes.Equal(again.encode(), p.encode()) {
			t.Errorf("%x: %v", b, err)
		}
	})
}

// FuzzEntry: no bytes crash the decoder, and what it accepts is the same after another round.
func FuzzEntry(f *testing.F) {
	w := newWorld(f, 1)
	b, err := encodeEntry(&ltlv1.Entry{Entry: &ltlv1.Entry_Batches{Batches: &ltlv1.OrderedBatches{
		Batches: []*ltlv1.Batch{w.batch(ledger.SystemChain, []byte("x"))}}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte{entryVersion, 0x12, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := decodeEntry(b)
		if err != nil {
			if !errors.Is(err, errEntry) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		c, err := encodeEntry(e)
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeEntry(c)
		if err != nil || !proto.Equal(e, again) {
			t.Errorf("%x: %v", b, err)
		}
	})
}

// follower is one raft that the test drives by hand, as a leader L would.
type follower struct {
	t      *testing.T
	raft   *raft.Raft
	leader *simPort
	peers  raft.Configuration
}

// idleFSM executes nothing.
type idleFSM struct{}

func (idleFSM) Apply(*raft.Log) any { return nil }
func (idleFSM) Snapshot() (raft.FSMSnapshot, error) {
	return &targetSnapshot{encoded: []byte("x")}, nil
}
func (idleFSM) Restore(r io.ReadCloser) error { return r.Close() }

// runFollower starts a follower whose timers never run out. Its snapshots are not read.
func runFollower(t *testing.T, fn func(f *follower)) {
	synctest.Test(t, func(t *testing.T) {
		net, h := newSimNet(), &simHandle{disk: newSimDisk()}
		logs, err := newLogStore(h, func(err error) { t.Error(err) }, logOptions{logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		snaps, err := raft.NewFileSnapshotStoreWithLogger(t.TempDir(), retainedSnapshots, newHCLog(quiet()))
		if err != nil {
			t.Fatal(err)
		}
		f := &follower{t: t, peers: raft.Configuration{Servers: []raft.Server{{ID: "F", Address: "F"},
			{ID: "L", Address: "L"}, {ID: "M", Address: "M"}}}}
		c := raft.DefaultConfig()
		c.LocalID, c.Logger, c.HeartbeatTimeout, c.ElectionTimeout, c.TrailingLogs = "F", newHCLog(quiet()), time.Hour,
			time.Hour, 100
		c.SnapshotInterval = time.Hour
		port := net.port("F", func(uint64, uint64) {})
		f.leader = net.port("L", func(uint64, uint64) {})
		if err := raft.BootstrapCluster(c, logs, &simStable{h}, snaps, nil, f.peers); err != nil {
			t.Fatal(err)
		}
		port.installed = func(uint64, uint64) {
			if again, err := afterSnapshotInstall(logs, snaps); again || err != nil {
				t.Errorf("after an install: %v, %v", again, err)
			}
		}
		if f.raft, err = raft.NewRaft(c, idleFSM{}, &snapshotLogStore{logs, snaps}, &simStable{h}, snaps, port); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := f.raft.Shutdown().Error(); err != nil {
				t.Error(err)
			}
			_, _ = port.Close(), f.leader.Close()
			time.Sleep(time.Hour)
		}()
		fn(f)
	})
}

func (f *follower) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("L"), Addr: []byte("L")}
}

func (f *follower) install(index, term uint64) {
	f.t.Helper()
	var out raft.InstallSnapshotResponse
	err := f.leader.InstallSnapshot("F", "F", &raft.InstallSnapshotRequest{
		RPCHeader: f.header(), SnapshotVersion: raft.SnapshotVersionMax, Term: 3, Leader: []byte("L"), LastLogIndex: index,
		LastLogTerm:   term,
		Configuration: raft.EncodeConfiguration(f.peers), ConfigurationIndex: 1, Size: 1,
	}, &out, bytes.NewReader([]byte("x")))
	if err != nil || !out.Success {
		f.t.Fatalf("install at %d: %+v, %v", index, out, err)
	}
}

// add sends the entries behind prev up to last, all of term 3 and committed, and returns whether they were taken.
func (f *follower) add(prev, prevTerm, last uint64) bool {
	f.t.Helper()
	in := &raft.AppendEntriesRequest{RPCHeader: f.header(), Term: 3, Leader: []byte("L"), PrevLogEntry: prev,
		PrevLogTerm: prevTerm, LeaderCommitIndex: last}
	for i := prev + 1; i <= last; i++ {
		in.Entries = append(in.Entries, &raft.Log{Index: i, Term: 3, Type: raft.LogCommand, Data: []byte("x")})
	}
	var out raft.AppendEntriesResponse
	if err := f.leader.AppendEntries("F", "F", in, &out); err != nil {
		f.t.Fatal(err)
	}
	return out.Success
}

// TestLostAnswerAfterSnapshot: the leader installs a snapshot, appends behind it, does not get the answer, and begins
// again behind the snapshot. Raft alone refuses that forever.
func TestLostAnswerAfterSnapshot(t *testing.T) {
	runFollower(t, func(f *follower) {
		f.install(10, 2)
		for range 2 {
			if !f.add(10, 2, 15) {
				t.Fatal("the entries behind the snapshot are refused")
			}
		}
		if f.add(10, 1, 15) {
			t.Error("another term at the snapshot's index is taken")
		}
	})
}

// TestLostAnswerAfterOwnSnapshot: as before, but meanwhile the follower has made a newer snapshot of its own, while
// the leader still begins behind its older one.
func TestLostAnswerAfterOwnSnapshot(t *testing.T) {
	runFollower(t, func(f *follower) {
		f.install(10, 2)
		if !f.add(10, 2, 15) {
			t.Fatal("the entries behind the snapshot are refused")
		}
		time.Sleep(time.Second)
		if err := f.raft.Snapshot().Error(); err != nil {
			t.Fatal(err)
		}
		if !f.add(10, 2, 15) {
			t.Error("the entries behind the leader's snapshot are refused")
		}
		f.install(10, 2) // what raft's leader does then
		if !f.add(10, 2, 18) {
			t.Error("and refused again after the snapshot came once more: this repeats forever")
		}
	})
}
