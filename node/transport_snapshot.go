package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// snapshotPieceBytes is the size of the pieces that are sent.
const snapshotPieceBytes = 256 << 10

var (
	// errSnapshotStalled ends a snapshot when no piece arrived for SnapshotTimeout.
	errSnapshotStalled = errors.New("node: snapshot made no progress in time")
	// errSnapshotSize is wrapped when the snapshot does not have the size in its header.
	errSnapshotSize = errors.New("node: snapshot does not have the size in its header")
)

// InstallSnapshot implements raft.Transport. The deadline is for each piece: a big snapshot over a slow line
// succeeds, one that makes no progress fails.
func (t *Transport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, args *raft.InstallSnapshotRequest,
	resp *raft.InstallSnapshotResponse, data io.Reader) error {
	client, err := t.open(id)
	if err != nil {
		return err
	}
	defer t.running.Done()
	ctx, cancel := context.WithCancelCause(t.ctx)
	defer cancel(nil)
	progress := time.AfterFunc(t.cfg.SnapshotTimeout, func() { cancel(errSnapshotStalled) })
	defer progress.Stop()

	answer, err := t.sendSnapshot(ctx, client, args, data, progress)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return fmt.Errorf("node: snapshot to %q: %w", id, err)
	}
	*resp = *decodeSnapshotResponse(answer)
	return errors.Join(checkAnswer(id, resp.RPCHeader), t.terms.answer(id, args.Term, resp.Term))
}

func (t *Transport) sendSnapshot(ctx context.Context, client ltlv1.RaftTransportClient,
	args *raft.InstallSnapshotRequest, data io.Reader, progress *time.Timer) (*ltlv1.InstallSnapshotResponse, error) {
	stream, err := client.InstallSnapshot(ctx)
	if err != nil {
		return nil, err
	}
	err = stream.Send(&ltlv1.InstallSnapshotRequest{Header: encodeSnapshotHeader(args)})
	for rest := args.Size; err == nil && rest > 0; {
		piece := make([]byte, min(rest, snapshotPieceBytes)) // not reused: gRPC may keep a reference
		// ReadFull takes the bytes that a Read returns together with io.EOF.
		if n, err := io.ReadFull(data, piece); err != nil {
			return nil, fmt.Errorf("%w: it ends %d bytes early (%w)", errSnapshotSize, rest-int64(n), err)
		}
		rest -= int64(len(piece))
		err = stream.Send(&ltlv1.InstallSnapshotRequest{Data: piece})
		progress.Reset(t.cfg.SnapshotTimeout)
	}
	if err != nil && !errors.Is(err, io.EOF) { // io.EOF: the receiver ended the stream; CloseAndRecv returns its error
		return nil, err
	}
	if err == nil {
		if n, err := io.ReadFull(data, make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("%w: it continues after %d bytes (%v)", errSnapshotSize, args.Size, err)
		}
	}
	progress.Reset(t.cfg.SnapshotApplyTimeout)
	return stream.CloseAndRecv()
}

// InstallSnapshot serves a leader that sends its snapshot.
func (s *RaftServer) InstallSnapshot(stream grpc.ClientStreamingServer[ltlv1.InstallSnapshotRequest,
	ltlv1.InstallSnapshotResponse]) error {
	t, err := s.enter()
	if err != nil {
		return err
	}
	defer t.running.Done()
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	header := first.GetHeader()
	if err := t.checkPeer(stream.Context(), header.GetHeader(), header.GetLeader()); err != nil {
		return err
	}
	request, err := decodeSnapshotHeader(header)
	if err != nil {
		return statusOf(err)
	}
	if err := t.checkTerm(header.GetHeader(), request.Term, true); err != nil {
		return err
	}
	if len(first.GetData()) != 0 {
		return status.Error(codes.InvalidArgument, "data beside the snapshot's header")
	}
	answer, err := t.installSnapshot(stream, request)
	if err != nil {
		return err
	}
	if answer.Success && t.cfg.OnSnapshotInstalled != nil {
		t.cfg.OnSnapshotInstalled(request.LastLogIndex, request.LastLogTerm)
	}
	return stream.SendAndClose(encodeSnapshotResponse(answer))
}

// installSnapshot lets raft read the pieces from a pipe. Raft reads on its main loop, so a leader that stops sending
// must not block it: after SnapshotTimeout without a piece the pipe fails.
func (t *Transport) installSnapshot(stream grpc.ClientStreamingServer[ltlv1.InstallSnapshotRequest,
	ltlv1.InstallSnapshotResponse], request *raft.InstallSnapshotRequest) (*raft.InstallSnapshotResponse, error) {
	ctx := stream.Context()
	reader, writer := io.Pipe()
	defer func() { _ = reader.CloseWithError(io.ErrClosedPipe) }() // ends the receiving goroutine's writes
	answers := make(chan raft.RPCResponse, 1)
	if err := t.hand(ctx, raft.RPC{Command: request, Reader: reader, RespChan: answers}); err != nil {
		return nil, err
	}
	// Raft may be blocked in a read when this transport closes or the connection ends.
	unblock := func() { _ = writer.CloseWithError(raft.ErrTransportShutdown) }
	defer context.AfterFunc(t.ctx, unblock)()
	defer context.AfterFunc(ctx, unblock)()

	t.running.Add(1) // safe without mu: the handler itself is counted
	go func() {
		defer t.running.Done()
		stalled := time.AfterFunc(t.cfg.SnapshotTimeout, func() { _ = writer.CloseWithError(errSnapshotStalled) })
		defer stalled.Stop()
		_ = writer.CloseWithError(receiveSnapshot(stream, request.Size, writer,
			func() { stalled.Reset(t.cfg.SnapshotTimeout) }))
	}()
	return await[raft.InstallSnapshotResponse](ctx, t, answers)
}

// receiveSnapshot copies size bytes from the stream to w. It returns nil, which becomes the pipe's io.EOF, only when
// exactly size bytes came.
func receiveSnapshot(stream grpc.ClientStreamingServer[ltlv1.InstallSnapshotRequest, ltlv1.InstallSnapshotResponse],
	size int64, w io.Writer, moved func()) error {
	for rest := size; ; {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			if rest != 0 {
				return fmt.Errorf("%w: %d of %d bytes are missing", errSnapshotSize, rest, size)
			}
			return nil
		}
		if err != nil {
			return err
		}
		n := int64(len(m.GetData()))
		if m.GetHeader() != nil || n == 0 || n > maxSnapshotPieceBytes {
			return malformed("snapshot piece of %d bytes", n)
		}
		if rest -= n; rest < 0 {
			return fmt.Errorf("%w: it continues after %d bytes", errSnapshotSize, size)
		}
		if _, err := w.Write(m.GetData()); err != nil {
			return err
		}
		moved()
	}
}
