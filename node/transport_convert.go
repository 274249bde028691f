package node

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"

	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// maxRaftMessageBytes bounds a gRPC message of this service: maxAppendBytes and room for everything that is not
	// data.
	maxRaftMessageBytes = 16 << 20
	// maxAppendBytes bounds the data of one append with several entries; a single entry may fill it.
	maxAppendBytes = 8 << 20
	// maxEntryBytes bounds data and extensions of one entry. The orderer's bounds are below it.
	maxEntryBytes = maxAppendBytes
	// maxAppendCount bounds the entries of one append.
	maxAppendCount = 4096
	// maxPeerIDBytes bounds ids and addresses in headers.
	maxPeerIDBytes = 256
	// maxConfigurationBytes bounds a cluster configuration.
	maxConfigurationBytes = 1 << 20
	// maxSnapshotBytes bounds the size that a snapshot's header may give.
	maxSnapshotBytes = 1 << 30
	// maxSnapshotPieceBytes bounds one piece of a snapshot.
	maxSnapshotPieceBytes = 1 << 20
)

// errMalformed is wrapped by every refusal of a message that raft must not get.
var errMalformed = errors.New("node: malformed raft message")

func malformed(format string, a ...any) error {
	return fmt.Errorf("%w: %s", errMalformed, fmt.Sprintf(format, a...))
}

func encodeHeader(h raft.RPCHeader) *ltlv1.RaftHeader {
	return &ltlv1.RaftHeader{ProtocolVersion: int64(h.ProtocolVersion), Id: h.ID, Address: h.Addr}
}

func decodeHeader(h *ltlv1.RaftHeader) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(h.GetProtocolVersion()), ID: h.GetId(),
		Addr: h.GetAddress()}
}

// checkHeader bounds a header. The server checks whether it names the caller.
func checkHeader(h *ltlv1.RaftHeader) error {
	switch {
	case h == nil:
		return malformed("no header")
	case len(h.GetId()) > maxPeerIDBytes || len(h.GetAddress()) > maxPeerIDBytes:
		return malformed("header with an id of %d bytes and an address of %d bytes", len(h.GetId()), len(h.GetAddress()))
	case h.GetProtocolVersion() < 0 || h.GetProtocolVersion() > math.MaxInt32:
		return malformed("protocol version %d", h.GetProtocolVersion())
	}
	return nil
}

// encodeAppend makes the message of an append. It references the entries' data and does not copy it.
//
// It shortens args.Entries to what fits in maxAppendBytes. Raft bounds the number of entries, not of bytes, and reads
// args.Entries after the call to find out what was sent (pipelineSend and updateLastAppended), so the rest follows in
// the next append. A message too big for the receiver would be retried forever.
func encodeAppend(args *raft.AppendEntriesRequest) (*ltlv1.AppendEntriesRequest, error) {
	total, fit := 0, 0
	for _, l := range args.Entries {
		n := len(l.Data) + len(l.Extensions)
		if n > maxEntryBytes {
			if fit > 0 {
				break
			}
			return nil, malformed("entry %d has %d bytes", l.Index, n)
		}
		if total += n; total > maxAppendBytes && fit > 0 || fit == maxAppendCount {
			break
		}
		fit++
	}
	args.Entries = args.Entries[:fit]

	logs := make([]ltlv1.RaftLog, fit)
	entries := make([]*ltlv1.RaftLog, fit)
	for i, l := range args.Entries {
		e := &logs[i]
		e.Index, e.Term, e.Type, e.Data, e.Extensions = l.Index, l.Term, uint32(l.Type), l.Data, l.Extensions
		if !l.AppendedAt.IsZero() {
			e.AppendedAtNs = l.AppendedAt.UnixNano()
		}
		entries[i] = e
	}
	return &ltlv1.AppendEntriesRequest{
		//lint:ignore SA1019 raft still fills and reads it
		Header: encodeHeader(args.RPCHeader), Term: args.Term, Leader: args.Leader,
		PrevLogEntry: args.PrevLogEntry, PrevLogTerm: args.PrevLogTerm,
		Entries: entries, LeaderCommitIndex: args.LeaderCommitIndex,
	}, nil
}

// decodeAppend refuses what no raft sends, such as entries with gaps, and configurations that make raft panic.
func decodeAppend(m *ltlv1.AppendEntriesRequest) (*raft.AppendEntriesRequest, error) {
	if err := checkHeader(m.GetHeader()); err != nil {
		return nil, err
	}
	if len(m.GetLeader()) > maxPeerIDBytes {
		return nil, malformed("leader of %d bytes", len(m.GetLeader()))
	}
	if len(m.GetEntries()) > maxAppendCount {
		return nil, malformed("%d entries", len(m.GetEntries()))
	}
	logs := make([]raft.Log, len(m.GetEntries()))
	entries := make([]*raft.Log, len(logs))
	index, term := m.GetPrevLogEntry(), m.GetPrevLogTerm()
	for i, e := range m.GetEntries() {
		if err := decodeLog(&logs[i], e); err != nil {
			return nil, err
		}
		if index == math.MaxUint64 || e.GetIndex() != index+1 {
			return nil, malformed("entry %d after entry %d", e.GetIndex(), index)
		}
		if e.GetTerm() < term || e.GetTerm() > m.GetTerm() {
			return nil, malformed("entry %d has term %d after term %d in an append of term %d", e.GetIndex(), e.GetTerm(), term,
				m.GetTerm())
		}
		index, term = e.GetIndex(), e.GetTerm()
		entries[i] = &logs[i]
	}
	return &raft.AppendEntriesRequest{
		RPCHeader: decodeHeader(m.GetHeader()), Term: m.GetTerm(), Leader: m.GetLeader(),
		PrevLogEntry: m.GetPrevLogEntry(), PrevLogTerm: m.GetPrevLogTerm(),
		Entries: entries, LeaderCommitIndex: m.GetLeaderCommitIndex(),
	}, nil
}

func decodeLog(to *raft.Log, e *ltlv1.RaftLog) error {
	if e == nil {
		return malformed("no entry")
	}
	if n := len(e.GetData()) + len(e.GetExtensions()); n > maxEntryBytes {
		return malformed("entry %d has %d bytes", e.GetIndex(), n)
	}
	if e.GetType() > uint32(raft.LogConfiguration) {
		return malformed("entry %d is of unknown type %d", e.GetIndex(), e.GetType())
	}
	kind := raft.LogType(e.GetType())
	switch kind {
	case raft.LogAddPeerDeprecated, raft.LogRemovePeerDeprecated:
		return malformed("entry %d is of the retired type %d", e.GetIndex(), kind)
	case raft.LogConfiguration:
		if err := checkConfiguration(e.GetData()); err != nil {
			return err
		}
	}
	*to = raft.Log{Index: e.GetIndex(), Term: e.GetTerm(), Type: kind, Data: e.GetData(), Extensions: e.GetExtensions()}
	if ns := e.GetAppendedAtNs(); ns != 0 {
		to.AppendedAt = time.Unix(0, ns)
	}
	return nil
}

// checkConfiguration decodes a configuration only to check it: raft.DecodeConfiguration panics on a malformed one,
// and raft calls it on its own goroutine.
func checkConfiguration(b []byte) (err error) {
	if len(b) > maxConfigurationBytes {
		return malformed("configuration of %d bytes", len(b))
	}
	defer func() {
		if r := recover(); r != nil {
			err = malformed("configuration: %v", r)
		}
	}()
	for _, s := range raft.DecodeConfiguration(b).Servers {
		if len(s.ID) > maxPeerIDBytes || len(s.Address) > maxPeerIDBytes {
			return malformed("configuration with an id of %d bytes", max(len(s.ID), len(s.Address)))
		}
	}
	return nil
}

func encodeAppendResponse(r *raft.AppendEntriesResponse) *ltlv1.AppendEntriesResponse {
	return &ltlv1.AppendEntriesResponse{
		Header: encodeHeader(r.RPCHeader), Term: r.Term, LastLog: r.LastLog, Success: r.Success,
		NoRetryBackoff: r.NoRetryBackoff,
	}
}

func decodeAppendResponse(m *ltlv1.AppendEntriesResponse) *raft.AppendEntriesResponse {
	return &raft.AppendEntriesResponse{
		RPCHeader: decodeHeader(m.GetHeader()), Term: m.GetTerm(), LastLog: m.GetLastLog(), Success: m.GetSuccess(),
		NoRetryBackoff: m.GetNoRetryBackoff(),
	}
}

func encodeVote(r *raft.RequestVoteRequest) *ltlv1.RequestVoteRequest {
	return &ltlv1.RequestVoteRequest{
		//lint:ignore SA1019 raft still fills and reads it
		Header: encodeHeader(r.RPCHeader), Term: r.Term, Candidate: r.Candidate, LastLogIndex: r.LastLogIndex,
		LastLogTerm:        r.LastLogTerm,
		LeadershipTransfer: r.LeadershipTransfer,
	}
}

func decodeVote(m *ltlv1.RequestVoteRequest) (*raft.RequestVoteRequest, error) {
	if err := checkHeader(m.GetHeader()); err != nil {
		return nil, err
	}
	if len(m.GetCandidate()) > maxPeerIDBytes {
		return nil, malformed("candidate of %d bytes", len(m.GetCandidate()))
	}
	return &raft.RequestVoteRequest{
		RPCHeader: decodeHeader(m.GetHeader()), Term: m.GetTerm(), Candidate: m.GetCandidate(),
		LastLogIndex: m.GetLastLogIndex(), LastLogTerm: m.GetLastLogTerm(),
		LeadershipTransfer: m.GetLeadershipTransfer(),
	}, nil
}

func encodeVoteResponse(r *raft.RequestVoteResponse) *ltlv1.RequestVoteResponse {
	return &ltlv1.RequestVoteResponse{Header: encodeHeader(r.RPCHeader), Term: r.Term, Peers: r.Peers, Granted: r.Granted}
}

func decodeVoteResponse(m *ltlv1.RequestVoteResponse) *raft.RequestVoteResponse {
	return &raft.RequestVoteResponse{RPCHeader: decodeHeader(m.GetHeader()), Term: m.GetTerm(), Peers: m.GetPeers(),
		Granted: m.GetGranted()}
}

func encodePreVote(r *raft.RequestPreVoteRequest) *ltlv1.RequestPreVoteRequest {
	return &ltlv1.RequestPreVoteRequest{Header: encodeHeader(r.RPCHeader), Term: r.Term, LastLogIndex: r.LastLogIndex,
		LastLogTerm: r.LastLogTerm}
}

func decodePreVote(m *ltlv1.RequestPreVoteRequest) (*raft.RequestPreVoteRequest, error) {
	if err := checkHeader(m.GetHeader()); err != nil {
		return nil, err
	}
	return &raft.RequestPreVoteRequest{RPCHeader: decodeHeader(m.GetHeader()), Term: m.GetTerm(),
		LastLogIndex: m.GetLastLogIndex(), LastLogTerm: m.GetLastLogTerm()}, nil
}

func encodePreVoteResponse(r *raft.RequestPreVoteResponse) *ltlv1.RequestPreVoteResponse {
	return &ltlv1.RequestPreVoteResponse{Header: encodeHeader(r.RPCHeader), Term: r.Term, Granted: r.Granted}
}

func decodePreVoteResponse(m *ltlv1.RequestPreVoteResponse) *raft.RequestPreVoteResponse {
	return &raft.RequestPreVoteResponse{RPCHeader: decodeHeader(m.GetHeader()), Term: m.GetTerm(), Granted: m.GetGranted()}
}

func encodeSnapshotHeader(r *raft.InstallSnapshotRequest) *ltlv1.InstallSnapshotHeader {
	return &ltlv1.InstallSnapshotHeader{
		Header: encodeHeader(r.RPCHeader), SnapshotVersion: int64(r.SnapshotVersion), Term: r.Term, Leader: r.Leader,
		LastLogIndex: r.LastLogIndex, LastLogTerm: r.LastLogTerm, Peers: r.Peers,
		Configuration: r.Configuration, ConfigurationIndex: r.ConfigurationIndex, Size: r.Size,
	}
}

// decodeSnapshotHeader accepts only the snapshot version of raft's protocol 3.
func decodeSnapshotHeader(m *ltlv1.InstallSnapshotHeader) (*raft.InstallSnapshotRequest, error) {
	if err := checkHeader(m.GetHeader()); err != nil {
		return nil, err
	}
	switch {
	case len(m.GetLeader()) > maxPeerIDBytes:
		return nil, malformed("leader of %d bytes", len(m.GetLeader()))
	case m.GetSnapshotVersion() != int64(raft.SnapshotVersionMax):
		return nil, malformed("snapshot version %d", m.GetSnapshotVersion())
	case m.GetSize() < 0 || m.GetSize() > maxSnapshotBytes:
		return nil, malformed("snapshot of %d bytes", m.GetSize())
	case len(m.GetPeers()) > maxConfigurationBytes:
		return nil, malformed("peers of %d bytes", len(m.GetPeers()))
	case m.GetLastLogTerm() > m.GetTerm():
		return nil, malformed("snapshot of term %d in an install of term %d", m.GetLastLogTerm(), m.GetTerm())
	case m.GetConfigurationIndex() > m.GetLastLogIndex():
		return nil, malformed("configuration of index %d in a snapshot at %d", m.GetConfigurationIndex(), m.GetLastLogIndex())
	}
	if err := checkConfiguration(m.GetConfiguration()); err != nil {
		return nil, err
	}
	return &raft.InstallSnapshotRequest{
		RPCHeader: decodeHeader(m.GetHeader()), SnapshotVersion: raft.SnapshotVersion(m.GetSnapshotVersion()),
		Term: m.GetTerm(), Leader: m.GetLeader(),
		LastLogIndex: m.GetLastLogIndex(), LastLogTerm: m.GetLastLogTerm(), Peers: m.GetPeers(),
		Configuration: m.GetConfiguration(), ConfigurationIndex: m.GetConfigurationIndex(), Size: m.GetSize(),
	}, nil
}

func encodeSnapshotResponse(r *raft.InstallSnapshotResponse) *ltlv1.InstallSnapshotResponse {
	return &ltlv1.InstallSnapshotResponse{Header: encodeHeader(r.RPCHeader), Term: r.Term, Success: r.Success}
}

func decodeSnapshotResponse(m *ltlv1.InstallSnapshotResponse) *raft.InstallSnapshotResponse {
	return &raft.InstallSnapshotResponse{RPCHeader: decodeHeader(m.GetHeader()), Term: m.GetTerm(),
		Success: m.GetSuccess()}
}
