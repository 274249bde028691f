package client

import (
	"context"
	"fmt"
	"time"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// A network with very many chains tells of the oldest ones together, and of each other one when it is asked for it.

// other is such a chain, as it was at a moment.
type other struct {
	chain *chain
	at    time.Time
}

// find returns a chain that is not among those told of together; nil when the network has none of this id.
func (d *directory) find(ctx context.Context, id string, stale bool) (*chain, error) {
	d.mu.Lock()
	o, asked := d.others[id]
	d.mu.Unlock()
	switch {
	case asked && stale:
		d.fetch.join() // its organisations' keys may have changed
		fallthrough
	case asked:
		if time.Since(o.at) < refreshAge {
			return o.chain, nil
		}
		return d.ask(ctx, id)
	}
	if err := d.wait(ctx); err != nil {
		return nil, err
	}
	one, _ := d.known(id)
	d.mu.Lock()
	more := d.more
	d.mu.Unlock()
	if one == nil && more {
		return d.ask(ctx, id)
	}
	return one, nil
}

// forget has the chain asked for again: its policy may have changed.
func (d *directory) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.others, id)
}

// ask asks a node for one chain; nil when the network has none of this id.
func (d *directory) ask(ctx context.Context, id string) (*chain, error) {
	in, err := read(ctx, d.client, ltlv1.LedgerClient.GetChain, &ltlv1.GetChainRequest{ChainId: id})
	if err != nil {
		return nil, err
	}
	if in.GetCode() == rules.NotFound {
		return nil, nil
	}
	if in.GetCode() != rules.OK || in.GetChain().GetChainId() != id {
		return nil, fmt.Errorf("%w: a node answers the question for chain %s with code %d", ErrUnavailable, id, in.GetCode())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	one, err := newChain(in.GetChain(), d.organisations)
	if err != nil {
		return nil, err
	}
	if len(d.others) >= maxOtherChains {
		clear(d.others)
	}
	d.others[id] = other{chain: one, at: time.Now()}
	return one, nil
}
