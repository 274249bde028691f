package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrAnotherNode is returned by the function given to WatchSealed to have another node asked for everything.
var ErrAnotherNode = errors.New("the node lacks a sealed secret to which the ledger commits")

// errWithholds ends the watch of sealed secrets at one node.
var errWithholds = errors.New("the node has not said for long that everything has been delivered")

// PutSealed stores the sealed secret of an AccessKey that the ledger has, whose commitment must be that of these bytes.
// Putting the same again changes nothing, so a call whose outcome is unknown may be repeated.
func (c *Client) PutSealed(ctx context.Context, accessKeyID string, sealed []byte) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.SubmitTimeout)
		defer cancel()
	}
	var out *ltlv1.PutSealedResponse
	err := c.onLeader(ctx, func(ctx context.Context, n *peer) (err error) {
		out, err = ltlv1.NewOperatorClient(n.conn).PutSealed(ctx,
			&ltlv1.PutSealedRequest{AccessKeyId: accessKeyID, Sealed: sealed})
		return err
	})
	if err != nil {
		return c.writeError(err)
	}
	switch out.GetCode() {
	case rules.OK:
		return nil
	case rules.NotFound:
		return fmt.Errorf("the ledger has no AccessKey %s; put it there first", accessKeyID)
	}
	return fmt.Errorf("the sealed secret is not the one to which AccessKey %s on the ledger commits; it was changed "+
		"meanwhile, look at it again", accessKeyID)
}

// WatchSealed calls fn with every sealed secret whose version is above after, in the order of their versions, and goes
// on as they change. It returns when ctx ends, the client is closed, or fn returns an error, which it returns. fn
// receives nil each time everything up to that moment has been delivered, at least every 15 seconds while a node is
// reached that reaches the others. When a node breaks off, or does not say for sealedSilence that everything has been
// delivered, it goes on at another one; fn receives each version once.
// What a node sends proves itself by the ledger's commitment, or is worthless: fn returns ErrAnotherNode when something
// is missing, and the watch begins again at another node, with version 0.
func (c *Client) WatchSealed(ctx context.Context, after uint64, fn func(*ltlv1.SealedKey) error) error {
	return c.Ledger().stream(ctx, "watching sealed AccessKeys", func(ctx context.Context, n *peer) (bool, error, error) {
		before := after
		stop, broken := watch(ctx, n, &after, c.sealedSilence, fn)
		if errors.Is(stop, ErrAnotherNode) {
			after = 0
			return false, nil, status.Error(codes.Unavailable, stop.Error())
		}
		return after > before, stop, broken
	})
}

// watch watches the sealed secrets of one node, which must say within the silence, again and again, that everything has
// been delivered: one that withholds a secret, or sends others without end, does not. It returns what fn returned, or why
// the stream ended.
func watch(
	ctx context.Context, n *peer, after *uint64, silence time.Duration, fn func(*ltlv1.SealedKey) error,
) (stop, broken error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil) // ends the stream
	silent := time.AfterFunc(silence, func() { cancel(errWithholds) })
	defer silent.Stop()
	stream, err := ltlv1.NewOperatorClient(n.conn).WatchSealed(ctx, &ltlv1.WatchSealedRequest{AfterVersion: *after})
	if err != nil {
		return nil, err
	}
	for {
		out, err := stream.Recv()
		switch {
		case errors.Is(context.Cause(ctx), errWithholds):
			return nil, status.Error(codes.Unavailable, errWithholds.Error())
		case errors.Is(err, io.EOF):
			return nil, status.Error(codes.Unavailable, "the node ended the stream")
		case err != nil:
			return nil, err
		}
		key := out.GetSealed()
		if key != nil && key.GetVersion() <= *after {
			continue
		}
		if err := fn(key); err != nil {
			return err, nil
		}
		if key != nil {
			*after = key.GetVersion()
		} else {
			silent.Reset(silence)
		}
	}
}

// WatchAccessKeys calls fn with the AccessKeys of the ledger, as the endorser of the caller's own organisation has them,
// and with those that change, until ctx ends or the endorser does not answer. fn gets an empty list every few seconds,
// which says that the endorser is there and follows the network. There is no other source: the caller trusts its own
// organisation's endorser, and no node.
func (c *Client) WatchAccessKeys(ctx context.Context, fn func([]*ltlv1.AccessKeyInfo)) error {
	organisation := c.credentials.Identity().Organisation
	p := c.peers.endorser(organisation)
	if p == nil {
		if err := c.network.refresh(ctx); err != nil {
			return c.writeError(err)
		}
		if p = c.peers.endorser(organisation); p == nil {
			return fmt.Errorf("the network has no endorser of organisation %s; check the identity that the client runs with",
				organisation)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	defer context.AfterFunc(c.base, cancel)()
	stream, err := ltlv1.NewEndorserClient(p.conn).WatchAccessKeys(ctx, &ltlv1.WatchAccessKeysRequest{})
	if err != nil {
		return fmt.Errorf("the endorser of organisation %s: %w", organisation, err)
	}
	for {
		out, err := stream.Recv()
		if err != nil {
			return fmt.Errorf("the endorser of organisation %s: %w", organisation, err)
		}
		fn(out.GetAccessKeys())
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
