package client

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ltlv1 "ltl/proto/ltl/v1"
)

// PutDeviceKey hands the AES key of a device, 16, 24 or 32 bytes, to the endorser of the caller's own organisation. It is done before
// the device is enrolled, by an operator of the organisation that enrols it. The key goes nowhere else. When it returns nil, the
// endorser has stored the key; doing it again with the same key is harmless.
func (c *Client) PutDeviceKey(ctx context.Context, productKey, iotID string, key []byte) error {
	organisation := c.cfg.Credentials.Identity().Organisation
	if err := c.directory.wait(ctx); err != nil { // the organisation, or its endorser's address, may be newer than the genesis
		return c.writeError(err)
	}
	p := c.peers.endorser(organisation)
	if p == nil {
		return fmt.Errorf("the network does not know an endorser of organisation %s", organisation)
	}
	// An endorser that is a little behind must not take the device for one that is not enrolled yet.
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
	return fmt.Errorf("the endorser of organisation %s refuses the key: %w", organisation, errors.New(status.Convert(err).Message()))
}
