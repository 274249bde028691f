package localnet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// FurnishOptions say which network is furnished, and where it is described.
type FurnishOptions struct {
	// Dir gets network.json. It holds the keys below "pki", as `ltl pki create --dir DIR/pki` makes them.
	Dir string
	// Endpoints are the URLs of the facades as their callers know them.
	Endpoints []string
	Logger    *slog.Logger
}

// Furnish gives a network that runs elsewhere, in containers or on other machines, the accounts and chains that Run gives its
// own, and describes it in Dir/network.json. It may be called again: what is there stays. first tells whether anything was made. Processes have no
// pid in the description, and their directories are theirs alone. It waits until the network takes writes, or ctx ends.
func Furnish(ctx context.Context, o FurnishOptions) (d *Network, first bool, err error) {
	n := &network{Options: Options{Dir: o.Dir, Logger: o.Logger}}
	if n.trust, err = identity.LoadTrust(n.trustPath()); err != nil {
		return nil, false, err
	}
	if d, err = Load(o.Dir); err != nil && !errors.Is(err, ErrNoNetwork) {
		return nil, false, err
	}
	first = d == nil
	if first {
		c, err := n.open()
		if err != nil {
			return nil, false, err
		}
		defer c.Close()
		if err := awaitLeader(ctx, c); err != nil {
			return nil, false, err
		}
		if d, err = n.setUp(ctx, c); err != nil {
			return nil, false, err
		}
	}
	n.describeElsewhere(d, o.Endpoints)
	if err := d.Save(o.Dir); err != nil {
		return nil, false, err
	}
	if err := os.Remove(filepath.Join(o.Dir, planFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("couldn't remove the plan of the set-up: %w", err)
	}
	return d, first, nil
}

// awaitLeader waits until the ledger answers a linearizable read.
func awaitLeader(ctx context.Context, c *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(retryAfter)
	defer ticker.Stop()
	for {
		_, err := c.Ledger().GetNetwork(ctx, &ltlv1.GetNetworkRequest{})
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("the network did not serve in time: %w", err)
		}
	}
}

// describeElsewhere writes into d what the genesis and the caller say of a network that others run.
func (n *network) describeElsewhere(d *Network, endpoints []string) {
	g := n.trust.Genesis()
	d.Region, d.Trust, d.Operator = Region, filepath.Join(pkiDir, "trust.json"), filepath.Join(pkiDir, "operator", "tls.key")
	d.Nodes, d.Endorsers, d.Facades = nil, nil, nil
	for _, node := range g.GetNodes() {
		d.Nodes = append(d.Nodes, Node{ID: node.GetId(), GRPC: node.GetAddress()})
	}
	for _, o := range g.GetOrganisations() {
		d.Endorsers = append(d.Endorsers, Endorser{Organisation: o.GetId(), GRPC: o.GetEndorserAddress()})
	}
	for i, e := range endpoints {
		if i == 0 {
			d.Endpoint, d.Console = e, e
		}
		d.Facades = append(d.Facades, Facade{HTTP: e})
	}
}
