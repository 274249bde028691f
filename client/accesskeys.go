package client

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// PutAccessKey creates or changes a sealed AccessKey and returns its version. The same AccessKey put twice is the same AccessKey
// under a newer version, so an unknown outcome is repeated.
func (c *Client) PutAccessKey(ctx context.Context, key *ltlv1.AccessKey) (uint64, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.SubmitTimeout)
		defer cancel()
	}
	var out *ltlv1.PutAccessKeyResponse
	err := c.onLeader(ctx, func(ctx context.Context, n *peer) (err error) {
		out, err = ltlv1.NewOperatorClient(n.conn).PutAccessKey(ctx, &ltlv1.PutAccessKeyRequest{AccessKey: key})
		return err
	})
	if err != nil {
		return 0, c.writeError(err)
	}
	if out.GetCode() != rules.OK {
		return 0, fmt.Errorf("AccessKey refused with code %d: %s", out.GetCode(), rules.Message(out.GetCode()))
	}
	return out.GetVersion(), nil
}

// WatchAccessKeys calls fn with every AccessKey whose version is above after, in the order of their versions, and goes on as they
// change, until ctx ends, the client is closed or fn returns an error, which it returns. fn gets nil each time everything up to that
// moment has been delivered, at least every 15 seconds while a node is reached that reaches the others. Broken connections are resumed at another node; nothing is delivered twice by that.
func (c *Client) WatchAccessKeys(ctx context.Context, after uint64, fn func(*ltlv1.AccessKey) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.base, cancel)()
	if !c.spawn(func() { c.directory.keep(ctx) }) {
		return ErrClosed
	}
	for pause := (backoff{}); ; {
		for _, n := range c.peers.all() {
			before := after
			stop, err := watch(ctx, n, &after, fn)
			if stop != nil {
				return stop
			}
			if c.base.Err() != nil {
				return ErrClosed
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if !elsewhere(err) {
				return fmt.Errorf("watch AccessKeys at node %s: %w", n.name, err)
			}
			n.breaker.record(false)
			c.log.Warn("watching AccessKeys breaks off, trying the next node", "node", n.name, "error", err)
			if after > before {
				pause = backoff{}
			}
		}
		pause.wait(ctx, ctx)
	}
}

// watch follows one node. It returns what fn said, or why the stream ended.
func watch(ctx context.Context, n *peer, after *uint64, fn func(*ltlv1.AccessKey) error) (stop, broken error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := ltlv1.NewOperatorClient(n.conn).WatchAccessKeys(ctx, &ltlv1.WatchAccessKeysRequest{AfterVersion: *after})
	if err != nil {
		return nil, err
	}
	for {
		out, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil, status.Error(codes.Unavailable, "the node ended the stream")
		}
		if err != nil {
			return nil, err
		}
		key := out.GetAccessKey()
		if key != nil && key.GetVersion() <= *after {
			continue
		}
		if err := fn(key); err != nil {
			return err, nil
		}
		if key != nil {
			*after = key.GetVersion()
		}
	}
}
