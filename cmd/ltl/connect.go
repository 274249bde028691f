package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/localnet"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	flagDir      = "dir"
	flagTrust    = "trust"
	flagIdentity = "identity"
)

// addConnection adds the options that say which network to talk to, and as whom.
func addConnection(cmd *cobra.Command) {
	cmd.PersistentFlags().String(flagDir, "", "directory of a network that ltl up started; no other connection option is needed then")
	cmd.PersistentFlags().String(flagTrust, "", "trust file of the network")
	cmd.PersistentFlags().String(flagIdentity, "", "directory with the caller's tls.pem and tls.key")
}

// connection is where a command finds the network, and who it is there.
type connection struct {
	// network is nil when the connection was not given by --dir.
	network *localnet.Network
	trust   *identity.Trust
	// trustPath is the trust file, identity the directory with the caller's certificate.
	trustPath, identity string
}

// trustOf reads which network is meant; who the caller is may stay open.
func trustOf(cmd *cobra.Command) (*connection, error) {
	dir, _ := cmd.Flags().GetString(flagDir)
	trustPath, _ := cmd.Flags().GetString(flagTrust)
	c := &connection{}
	c.identity, _ = cmd.Flags().GetString(flagIdentity)
	if dir != "" {
		network, err := localnet.Load(dir)
		if err != nil {
			return nil, err
		}
		c.network = network
		if trustPath == "" {
			trustPath = localnet.Path(dir, network.Trust)
		}
		if c.identity == "" {
			c.identity = filepath.Dir(localnet.Path(dir, network.Operator))
		}
	}
	if trustPath == "" {
		return nil, errors.New("which network? give --dir or --trust")
	}
	trust, err := identity.LoadTrust(trustPath)
	if err != nil {
		return nil, err
	}
	c.trust, c.trustPath = trust, trustPath
	return c, nil
}

// connectionOf reads the connection options of a command.
func connectionOf(cmd *cobra.Command) (*connection, error) {
	c, err := trustOf(cmd)
	if err == nil && c.identity == "" {
		err = errors.New("who are you? give --dir, or --identity beside --trust")
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (c *connection) credentials() (*identity.Credentials, error) {
	return identity.LoadCredentials(c.identity, c.trust)
}

// open makes a client. The caller closes it.
func (c *connection) open() (*client.Client, error) {
	credentials, err := c.credentials()
	if err != nil {
		return nil, err
	}
	return client.Open(client.Config{Credentials: credentials, Trust: c.trust, Logger: quietLogger()})
}

// sealingKey reads the key under which AccessKeys are sealed; it lies beside the operator's certificate.
func (c *connection) sealingKey() ([]byte, error) {
	path := filepath.Join(c.identity, "sealing.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("AccessKeys are made by the operator: %s holds no sealing.key", c.identity)
	}
	return identity.LoadSealingKey(path)
}

// withClient runs f with a client for the network that the options name.
func withClient(cmd *cobra.Command, f func(c *client.Client, con *connection) error) error {
	con, err := connectionOf(cmd)
	if err != nil {
		return err
	}
	c, err := con.open()
	if err != nil {
		return err
	}
	return errors.Join(f(c, con), c.Close())
}

// company is who belongs to a network.
type company struct {
	nodes         []*ltlv1.Node
	organisations []*ltlv1.Organisation
}

// membersTimeout bounds the question who belongs to the network; without an answer those of the genesis are taken.
const membersTimeout = 2 * time.Second

// company asks any node who belongs to the network by now, and makes the trust know them. When none answers, it is those of the genesis.
func (c *connection) company(ctx context.Context, cl *client.Client) company {
	ctx, cancel := context.WithTimeout(ctx, membersTimeout)
	defer cancel()
	g := c.trust.Genesis()
	m := company{nodes: g.GetNodes(), organisations: g.GetOrganisations()}
	now, err := cl.Ledger().GetNetwork(ctx, &ltlv1.GetNetworkRequest{Consistency: ltlv1.Consistency_CONSISTENCY_LOCAL})
	if err != nil || len(now.GetNodes()) == 0 {
		return m
	}
	m = company{nodes: now.GetNodes(), organisations: now.GetOrganisations()}
	// Who cannot be trusted cannot be connected to either, and is told as one that does not answer.
	_ = c.trust.Update(identity.MembershipOf(now))
	for _, n := range m.nodes {
		_ = c.trust.AddNode(n)
	}
	return m
}

// ask is company for a command that has no client.
func (c *connection) ask(ctx context.Context) (m company, err error) {
	cl, err := c.open()
	if err != nil {
		return m, err
	}
	return c.company(ctx, cl), cl.Close()
}
