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

// PutAccessKey creates or changes a sealed AccessKey and returns its version. Putting the same AccessKey again gives it
// a newer version and changes nothing else, so a call whose outcome is unknown may be repeated.
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
		return 0, fmt.Errorf("the AccessKey is refused with code %d: %s", out.GetCode(), rules.Message(out.GetCode()))
	}
	return out.GetVersion(), nil
}

// WatchAccessKeys calls fn with every AccessKey whose version is above after, in the order of their versions, and goes
// on as they change. It returns when ctx ends, the client is closed, or fn returns an error, which it returns. fn
// receives nil each time everything up to that moment has been delivered, at least every 15 seconds while a node is
// reached that reaches the others. When a node breaks off, it goes on at another one; fn receives each version once.
func (c *Client) WatchAccessKeys(ctx context.Context, after uint64, fn func(*ltlv1.AccessKey) error) error {
	return c.stream(ctx, "watching AccessKeys", func(ctx context.Context, n *peer) (bool, error, error) {
		before := after
		stop, broken := watch(ctx, n, &after, fn)
		return after > before, stop, broken
	})
}

// watch watches the AccessKeys of one node. It returns what fn returned, or why the stream ended.
func watch(ctx context.Context, n *peer, after *uint64, fn func(*ltlv1.AccessKey) error) (stop, broken error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := ltlv1.NewOperatorClient(n.conn).WatchAccessKeys(ctx,
		&ltlv1.WatchAccessKeysRequest{AfterVersion: *after})
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

// PutDeviceKey gives the AES key of a device, 16, 24 or 32 bytes, to the endorser of the caller's own organisation. An
// operator of the organisation that enrols the device calls it before the enrolment. The key goes nowhere else. When it
// returns nil, the endorser has stored the key. Calling it again with the same key is harmless.
func (c *Client) PutDeviceKey(ctx context.Context, productKey, iotID string, key []byte) error {
	organisation := c.credentials.Identity().Organisation
	// The organisation, or its endorser's address, may be newer than the genesis.
	if err := c.network.refresh(ctx); err != nil {
		return c.writeError(err)
	}
	p := c.peers.endorser(organisation)
	if p == nil {
		return fmt.Errorf("the network has no endorser of organisation %s; check the identity that the client runs with",
			organisation)
	}
	// The endorser must be as new as the leader: one that is behind takes an enrolled device for one that is not enrolled
	// yet.
	st, err := c.statuses.do(ctx)
	if err != nil {
		return c.writeError(err)
	}
	ctx, cancel := context.WithTimeout(ctx, endorseTimeout)
	defer cancel()
	defer context.AfterFunc(c.base, cancel)()
	_, err = ltlv1.NewEndorserClient(p.conn).PutDeviceKey(ctx, &ltlv1.PutDeviceKeyRequest{
		ProductKey: productKey, IotId: iotID, Key: key, MinSequence: st.sequence,
	})
	switch status.Code(err) {
	case codes.OK:
		return nil
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return c.writeError(fmt.Errorf("%w: the endorser of organisation %s: %w", ErrUnavailable, organisation, err))
	}
	return fmt.Errorf("the endorser of organisation %s refuses the key: %w", organisation,
		errors.New(status.Convert(err).Message()))
}
