package testkit

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/proposal"
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

// Decide makes a change of the system chain: by c's operator where only its organisation decides, else by a proposal of
// that operator which an operator of each organisation that is asked approves. It fails the test unless that succeeds.
func (n *Network) Decide(c *client.Client, tx *ltlv1.Transaction) {
	n.t.Helper()
	tx.ChainId = ledger.SystemChain
	prepared, err := proposal.Prepare(context.Background(), c, tx)
	if err != nil {
		n.t.Fatalf("prepare %T: %v", tx.GetAction(), err)
	}
	if !prepared.GetProposal() {
		n.SubmitAs(c, tx)
		return
	}
	propose := proposal.New(prepared, proposal.DefaultLife)
	n.SubmitAs(c, propose)
	id, err := client.TransactionID(propose)
	if err != nil {
		n.t.Fatal(err)
	}
	p := n.Proposal(id)
	for _, organisation := range p.GetAsked() {
		if p.GetState() == ltlv1.ProposalState_PROPOSAL_STATE_OPEN {
			n.SubmitAs(n.Operator(organisation), proposal.Approve(n.Trust().NetworkID(), id))
			p = n.Proposal(id)
		}
	}
	if p.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED {
		n.t.Fatalf("%s: %v", p.GetWords(), p)
	}
}

// Proposal reads a proposal.
func (n *Network) Proposal(id ledger.Hash) *ltlv1.ProposalInfo {
	n.t.Helper()
	res, err := n.Client(identity.RoleOperator).Ledger().Proposals(context.Background(),
		&ltlv1.ProposalsRequest{ProposalId: id[:]})
	if err != nil || len(res.GetProposals()) != 1 {
		n.t.Fatalf("proposal %x: %v, error %v", id, res, err)
	}
	return res.GetProposals()[0]
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

// AddOrganisation makes keys of one more organisation, invites it, starts its endorser, and has it accept. It returns
// its place.
func (n *Network) AddOrganisation(id string) int {
	n.t.Helper()
	spec := identity.OrgSpec{ID: id, Name: "Organisation " + id, EndorserAddress: freeAddresses(n.t, 1)[0]}
	invited, err := identity.CreateOrganisation(n.Dir, n.Trust().NetworkID(), spec, time.Now())
	if err != nil {
		n.t.Fatal(err)
	}
	n.Decide(n.Client(identity.RoleOperator), &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateOrganisation{
		CreateOrganisation: invited,
	}})
	n.genesis.Organisations = append(n.genesis.Organisations, invited.GetOrganisation())
	n.endorsers = append(n.endorsers, nil)
	n.RestartEndorser(len(n.endorsers) - 1)
	n.accept(id)
	return len(n.endorsers) - 1
}

// accept has an invited organisation accept its invitation.
func (n *Network) accept(id string) {
	n.t.Helper()
	key, err := identity.LoadKey(filepath.Join(n.Dir, "orgs", id, "endorser", "sign.key"))
	if err != nil {
		n.t.Fatal(err)
	}
	in, err := n.Client(identity.RoleOperator).Ledger().GetNetwork(context.Background(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		n.t.Fatal(err)
	}
	n.Issue("operators/"+id, identity.Identity{Organisation: id, Role: identity.RoleOperator, Name: "operator"})
	for i, o := range in.GetOrganisations() {
		if o.GetId() == id {
			n.SubmitAs(n.Operator(id), &ltlv1.Transaction{Action: &ltlv1.Transaction_AcceptMembership{
				AcceptMembership: &ltlv1.AcceptMembership{
					Id: id, Signature: ledger.SignAcceptance(key, n.Trust().NetworkID(), id, in.GetFacts()[i].GetLapsesMs()),
				},
			}})
		}
	}
}
