package testkit

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// OpenClient makes a client with the credentials in a directory below Dir. The cleanup closes it.
func (n *Network) OpenClient(dir string) *client.Client {
	n.t.Helper()
	c := n.open(dir)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.others = append(n.others, c)
	return c
}

// Issue makes credentials below Dir for an identity, under its organisation's first authority.
func (n *Network) Issue(dir string, id identity.Identity) {
	n.t.Helper()
	if err := identity.Issue(filepath.Join(n.Dir, "orgs", id.Organisation), filepath.Join(n.Dir, dir), id,
		time.Now()); err != nil {
		n.t.Fatalf("issue %s: %v", id, err)
	}
}

// OperatorOf makes a client of a new operator of an organisation.
func (n *Network) OperatorOf(organisation string) *client.Client {
	n.t.Helper()
	dir := "operator-" + organisation
	n.Issue(dir, identity.Identity{Organisation: organisation, Role: identity.RoleOperator, Name: "rotating"})
	return n.OpenClient(dir)
}

// SubmitAs writes to the system chain with a client and fails the test unless that succeeds.
func (n *Network) SubmitAs(c *client.Client, tx *ltlv1.Transaction) *ltlv1.Result {
	n.t.Helper()
	tx.ChainId = ledger.SystemChain
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	r, err := c.Submit(ctx, tx)
	if err != nil || r.GetCode() != rules.OK {
		n.t.Fatalf("submit %T: %v, error %v", tx.GetAction(), r, err)
	}
	return r
}

// UpdateTrust brings the trust file up to date, as `ltl trust update` does.
func (n *Network) UpdateTrust() {
	n.t.Helper()
	in, err := n.Client(identity.RoleOperator).Ledger().GetNetwork(context.Background(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		n.t.Fatal(err)
	}
	trust := n.Trust()
	if err := errors.Join(trust.Update(identity.MembershipOf(in)), identity.SaveTrust(n.TrustPath(), trust)); err != nil {
		n.t.Fatal(err)
	}
}

// AddOrganisation makes keys of one more organisation, adds it to the network, and starts its endorser. It returns its
// place.
func (n *Network) AddOrganisation(id string) int {
	n.t.Helper()
	spec := identity.OrgSpec{ID: id, Name: "Organisation " + id, EndorserAddress: freeAddresses(n.t, 1)[0]}
	o, err := identity.CreateOrganisation(n.Dir, spec, time.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	n.SubmitAs(n.Client(identity.RoleOperator), &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateOrganisation{
		CreateOrganisation: &ltlv1.CreateOrganisation{Organisation: o},
	}})
	n.genesis.Organisations = append(n.genesis.Organisations, o)
	n.endorsers = append(n.endorsers, nil)
	n.RestartEndorser(len(n.endorsers) - 1)
	return len(n.endorsers) - 1
}
