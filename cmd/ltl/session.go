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
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	flagDir      = "dir"
	flagTrust    = "trust"
	flagIdentity = "identity"
	flagReach    = "reach"
)

// session is one run of a command that talks to a network. Most commands are a function of one: the frame opens it and
// closes it.
type session struct {
	*connection
	cmd    *cobra.Command
	client *client.Client
}

// online makes the RunE of a command that needs nothing but its arguments and the network.
func online(f func(s *session, args []string) error) func(cmd *cobra.Command, args []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return withSession(cmd, func(s *session) error { return f(s, args) })
	}
}

// withSession runs f with a client for the network that the options name, and closes the client.
func withSession(cmd *cobra.Command, f func(s *session) error) error {
	con, err := connectionOf(cmd)
	if err != nil {
		return err
	}
	return con.with(cmd, f)
}

// withOperator is withSession in the name of an operator of the organisation. `ltl up` keeps the authorities of all
// organisations in DIR, so on such a network the certificate is made where the network's own operator belongs to
// another organisation.
func withOperator(cmd *cobra.Command, organisation string, f func(s *session) error) error {
	con, err := connectionOf(cmd)
	if err != nil {
		return err
	}
	given, _ := cmd.Flags().GetString(flagIdentity)
	if con.network != nil && given == "" {
		if err := con.becomeOperator(organisation); err != nil {
			return err
		}
	}
	return con.with(cmd, f)
}

// withOwner is withOperator for something on the ledger: owner looks up the organisation that it belongs to; empty when
// there is no such thing, which the ledger then says.
func withOwner(cmd *cobra.Command, owner func(s *session) (string, error), f func(s *session) error) error {
	organisation := ""
	err := withSession(cmd, func(s *session) (err error) {
		organisation, err = owner(s)
		return err
	})
	if err != nil {
		return err
	}
	if organisation == "" {
		return withSession(cmd, f)
	}
	return withOperator(cmd, organisation, f)
}

// ownerOfAccount returns the organisation of an account; empty when there is none.
func (s *session) ownerOfAccount(uid string) (string, error) {
	if uid == "" {
		return "", nil
	}
	res, err := s.client.Ledger().GetAccount(s.cmd.Context(), &ltlv1.GetAccountRequest{Uid: uid})
	if err != nil || res.GetCode() != rules.OK || len(res.GetAccounts()) == 0 {
		return "", err
	}
	return res.GetAccounts()[0].GetOrganisation(), nil
}

// ownerOfNode returns the organisation of a node; empty when there is none.
func (s *session) ownerOfNode(id string) (string, error) {
	res, err := s.client.Ledger().GetNetwork(s.cmd.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		return "", err
	}
	for _, n := range res.GetNodes() {
		if n.GetId() == id {
			return n.GetOrganisation(), nil
		}
	}
	return "", nil
}

// addConnection adds the options that say which network to talk to, and with which certificate.
func addConnection(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.String(flagDir, "", "directory of a network that ltl up started; no other connection option is needed then")
	f.String(flagTrust, "", "trust file of the network")
	f.String(flagIdentity, "", "directory with the caller's tls.pem and tls.key")
}

// connection is the network that a command talks to, and the certificate it uses there.
type connection struct {
	// network is nil when the connection was not given by --dir.
	network *localnet.Network
	trust   *identity.Trust
	// trustPath is the trust file, identity the directory with the caller's certificate.
	trustPath, identity string
	// endorser is where the caller's own endorser is reached, in place of the address on the ledger; mostly empty.
	endorser string
}

// trustOf reads the connection options of a command that can do without a certificate: identity may stay empty.
func trustOf(cmd *cobra.Command) (*connection, error) {
	dir, _ := cmd.Flags().GetString(flagDir)
	trustPath, _ := cmd.Flags().GetString(flagTrust)
	c := &connection{}
	c.identity, _ = cmd.Flags().GetString(flagIdentity)
	c.endorser, _ = cmd.Flags().GetString(flagReach)
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

// trustPathOf returns the path of the trust file that the options of a command name, which needs no network.
func trustPathOf(cmd *cobra.Command) (string, error) {
	if path, _ := cmd.Flags().GetString(flagTrust); path != "" {
		return path, nil
	}
	dir, _ := cmd.Flags().GetString(flagDir)
	if dir == "" {
		return "", errors.New("under which trust file? give --trust, or --dir")
	}
	network, err := localnet.Load(dir)
	if err != nil {
		return "", err
	}
	return localnet.Path(dir, network.Trust), nil
}

// connectionOf reads the connection options of a command.
func connectionOf(cmd *cobra.Command) (*connection, error) {
	c, err := trustOf(cmd)
	if err == nil && c.identity == "" {
		err = errors.New("which certificate? give --dir, or --identity with --trust")
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// credentials loads the certificate and key of the caller.
func (c *connection) credentials() (*identity.Credentials, error) {
	return identity.LoadCredentials(c.identity, c.trust)
}

// open makes a client; the caller closes it.
func (c *connection) open() (*client.Client, error) {
	credentials, err := c.credentials()
	if err != nil {
		return nil, err
	}
	return client.Open(client.Config{Credentials: credentials, Trust: c.trust, OwnEndorser: c.endorser, Logger: quietLogger()})
}

// with opens a client, runs f and closes the client.
func (c *connection) with(cmd *cobra.Command, f func(s *session) error) error {
	opened, err := c.open()
	if err != nil {
		return err
	}
	return errors.Join(f(&session{connection: c, cmd: cmd, client: opened}), opened.Close())
}

// pki is the directory of the trust file, where ltl pki create made everything.
func (c *connection) pki() string { return filepath.Dir(c.trustPath) }

// sealingKey reads the key that seals the AccessKeys of the operator's organisation, in the directory of the operator's
// certificate. An operator of an organisation that ltl up runs gets a new one where there is none, and so do all
// facades; elsewhere that is the organisation's own affair.
func (c *connection) sealingKey() ([]byte, error) {
	path := filepath.Join(c.identity, "sealing.key")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return identity.LoadSealingKey(path)
	}
	own, err := identity.ReadCertificate(c.identity)
	if err != nil {
		return nil, err
	}
	if c.network == nil {
		return nil, fmt.Errorf("AccessKeys are made with their organisation's sealing key, and %s holds no sealing.key; "+
			"copy it from another operator of %s, or make the first one: `head -c 32 /dev/urandom`, mode 0600; each of its "+
			"facades needs a copy, and a facade that it delegates to one named %s", c.identity, own.Identity.Organisation,
			identity.SealingKeyOf(own.Identity.Organisation))
	}
	key, err := identity.CreateSealingKey(path)
	if err != nil {
		return nil, err
	}
	facades, err := filepath.Glob(filepath.Join(c.pki(), "facades", "*"))
	for _, dir := range facades {
		err = errors.Join(err, identity.AddSealingKey(dir, key))
	}
	return key, err
}

// becomeOperator takes the identity of an operator of the organisation, and makes its certificate when there is none.
func (c *connection) becomeOperator(organisation string) error {
	own, err := identity.ReadCertificate(c.identity)
	if err != nil {
		return err
	}
	if own.Identity.Organisation == organisation {
		return nil
	}
	dir := filepath.Join(c.pki(), "operators", organisation)
	if _, err := os.Stat(filepath.Join(dir, "tls.pem")); err == nil {
		c.identity = dir
		return nil
	}
	authority := filepath.Join(c.pki(), "orgs", organisation)
	if _, err := os.Stat(filepath.Join(authority, "ca.key")); err != nil {
		return fmt.Errorf("%s belongs to another organisation; give --identity DIRECTORY with the certificate of an "+
			"operator of %s; `ltl org list` lists the organisations",
			own.Identity, organisation)
	}
	c.identity = dir
	operator := identity.Identity{Organisation: organisation, Role: identity.RoleOperator, Name: "operator"}
	return identity.Issue(authority, dir, operator, time.Now())
}

// saveTrust writes what was learned of organisations and certificates to the trust file, so that processes start with
// it. It only warns when that fails, because the change is on the ledger either way.
func (c *connection) saveTrust(cmd *cobra.Command) {
	if err := identity.SaveTrust(c.trustPath, c.trust); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "the change is on the ledger, but the trust file could not be written; "+
			"run `ltl trust update` where it can be: %v\n", err)
	}
}

// participants are the nodes and organisations of a network.
type participants struct {
	nodes         []*ltlv1.Node
	organisations []*ltlv1.Organisation
	// memberships are those of the nodes; empty when no node answered.
	memberships []ltlv1.NodeMembership
}

// participantsTimeout bounds the request for the participants; without an answer those of the genesis are taken.
const participantsTimeout = 2 * time.Second

// participants asks any node for the present participants, and adds them to the trust. When no node answers, it returns
// those of the genesis.
func (s *session) participants(ctx context.Context) participants {
	ctx, cancel := context.WithTimeout(ctx, participantsTimeout)
	defer cancel()
	g := s.trust.Genesis()
	p := participants{nodes: g.GetNodes(), organisations: g.GetOrganisations()}
	now, err := s.client.Ledger().GetNetwork(ctx,
		&ltlv1.GetNetworkRequest{Consistency: ltlv1.Consistency_CONSISTENCY_LOCAL})
	if err != nil || len(now.GetNodes()) == 0 {
		return p
	}
	p = participants{nodes: now.GetNodes(), organisations: now.GetOrganisations(), memberships: now.GetMemberships()}
	// A participant that cannot be trusted cannot be connected to either, and is reported as one that does not answer.
	_ = s.trust.Update(identity.MembershipOf(now))
	for _, n := range p.nodes {
		_ = s.trust.AddNode(n)
	}
	return p
}
