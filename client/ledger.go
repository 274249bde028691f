package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// Ledger reads from the nodes: the preferred one while it answers, else any other. Reads are linearizable unless the request asks
// for CONSISTENCY_LOCAL.
type Ledger struct{ c *Client }

// Ledger returns the reading side of the client.
func (c *Client) Ledger() *Ledger { return &Ledger{c: c} }

// GetRecord finds one record by Key and BusinessId.
func (l *Ledger) GetRecord(ctx context.Context, in *ltlv1.GetRecordRequest) (*ltlv1.GetRecordResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.GetRecord, in)
}

// ListHistory pages through the records of a Key, newest first.
func (l *Ledger) ListHistory(ctx context.Context, in *ltlv1.ListHistoryRequest) (*ltlv1.ListHistoryResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListHistory, in)
}

// CountHistory counts the records of a Key.
func (l *Ledger) CountHistory(ctx context.Context, in *ltlv1.CountHistoryRequest) (*ltlv1.CountHistoryResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.CountHistory, in)
}

// ListChains pages through the chains an account takes part in.
func (l *Ledger) ListChains(ctx context.Context, in *ltlv1.ListChainsRequest) (*ltlv1.ListChainsResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.ListChains, in)
}

// GetTransaction finds a transaction by its id.
func (l *Ledger) GetTransaction(ctx context.Context, in *ltlv1.GetTransactionRequest) (*ltlv1.GetTransactionResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.GetTransaction, in)
}

// GetNetwork returns organisations, nodes and chains.
func (l *Ledger) GetNetwork(ctx context.Context, in *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.GetNetwork, in)
}

// GetAccount returns an account; operators list all with an empty uid.
func (l *Ledger) GetAccount(ctx context.Context, in *ltlv1.GetAccountRequest) (*ltlv1.GetAccountResponse, error) {
	return read(ctx, l.c, ltlv1.LedgerClient.GetAccount, in)
}

// Status asks one node (by its id) or one organisation's endorser (by "endorser/<organisation>") how it is; there is no fail-over.
func (l *Ledger) Status(ctx context.Context, peer string) (*ltlv1.StatusResponse, error) {
	p := l.c.peers.find(peer)
	if p == nil { // it may have joined since
		if err := l.c.directory.wait(ctx); err != nil {
			return nil, err
		}
		p = l.c.peers.find(peer)
	}
	if p == nil {
		return nil, fmt.Errorf("the network has no node or endorser %q", peer)
	}
	out, err := ltlv1.NewLedgerClient(p.conn).Status(ctx, &ltlv1.StatusRequest{})
	if err != nil {
		return nil, l.c.readError(err)
	}
	return out, nil
}

// Blocks calls fn with a chain's blocks from a height up to the newest that the node has at the time of the call, which may lag behind
// the network's. It goes on at another node where one breaks off; blocks that fn had are not given again.
func (l *Ledger) Blocks(ctx context.Context, in *ltlv1.BlocksRequest, fn func(*ltlv1.Block) error) error {
	next := in.GetFromHeight()
	var last error
	for _, node := range l.c.peers.all() {
		var stop error // what fn said
		last = eachBlock(ctx, node, &ltlv1.BlocksRequest{ChainId: in.GetChainId(), FromHeight: next}, func(b *ltlv1.Block) error {
			if stop = fn(b); stop == nil {
				next++
			}
			return stop
		})
		if stop != nil {
			return stop
		}
		if last == nil || !elsewhere(last) || ctx.Err() != nil {
			break
		}
		node.breaker.record(false)
	}
	return l.c.readError(last)
}

func eachBlock(ctx context.Context, node *peer, in *ltlv1.BlocksRequest, fn func(*ltlv1.Block) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream when fn does
	stream, err := ltlv1.NewLedgerClient(node.conn).Blocks(ctx, in)
	if err != nil {
		return err
	}
	for {
		out, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(out.GetBlock()); err != nil {
			return err
		}
	}
}

// method is one method of the Ledger service, for example ltlv1.LedgerClient.GetRecord.
type method[In, Out any] func(ltlv1.LedgerClient, context.Context, In, ...grpc.CallOption) (Out, error)

// read asks one node after the other, round after round until the deadline: a network that elects a leader answers a little later.
func read[In, Out any](ctx context.Context, c *Client, call method[In, Out], in In) (Out, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readDeadline)
		defer cancel()
	}
	c.directory.touch()
	var pause backoff
	for {
		out, err := readOnce(ctx, c, call, in)
		if err == nil || !elsewhere(err) || !pause.wait(ctx, c.base) {
			return out, c.readError(err)
		}
	}
}

// readOnce asks each node at most once.
func readOnce[In, Out any](ctx context.Context, c *Client, call method[In, Out], in In) (out Out, err error) {
	err = status.Error(codes.Unavailable, "the network has no node")
	for _, node := range c.peers.all() {
		attempt, cancel := context.WithTimeout(ctx, readTimeout)
		stop := context.AfterFunc(c.base, cancel)
		out, err = call(ltlv1.NewLedgerClient(node.conn), attempt, in)
		stop()
		cancel()
		if err == nil || !elsewhere(err) {
			node.breaker.record(true)
			return out, err
		}
		if ctx.Err() != nil || c.base.Err() != nil {
			break // it was the caller who ran out of time
		}
		node.breaker.record(false)
	}
	return out, err
}

// elsewhere reports whether another process, or the same one later, may do better.
func elsewhere(err error) bool {
	switch status.Code(err) {
	case codes.OK, codes.InvalidArgument, codes.NotFound, codes.AlreadyExists, codes.PermissionDenied, codes.Unauthenticated,
		codes.OutOfRange, codes.Unimplemented:
		return false
	}
	return true
}

// readError puts an error of the transport into the client's own words.
func (c *Client) readError(err error) error {
	switch {
	case err == nil:
		return nil
	case c.base.Err() != nil:
		return ErrClosed
	case elsewhere(err):
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return err
}
