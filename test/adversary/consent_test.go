package adversary

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
	"ltl/test/testkit"
)

// coups are what org2 attempts with an account and a learner of its own, and a product that org1 has.
func coups(t *testing.T, n *testkit.Network) map[string]*ltlv1.Transaction {
	t.Helper()
	s := scene(n)
	var err error
	s.Friend, err = identity.CreateOrganisation(t.TempDir(), n.Trust().NetworkID(),
		identity.OrgSpec{ID: "friend", Name: "Friend", EndorserAddress: "127.0.0.1:9"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s.Account = n.SubmitAs(n.Operator("org2"), insider.Account("", "eve", "org2")).GetOutput()
	n.SubmitAs(n.Operator("org1"), insider.Claim(s.Product, ""))
	n.SubmitAs(n.Operator("org2"), &ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{
		AddNode: s.Addition("n8", "org2", insider.Key(8), ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER, ""),
	}})
	return s.Coups("n8")
}

// TestOneOrganisationDecidesNothing: what several organisations decide is refused when it is sent directly. Proposed by
// org2 and approved by two of its operators, it stays open, and nothing of the state changes.
func TestOneOrganisationDecidesNothing(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	first := n.Operator("org2")
	n.Issue("second", identity.Identity{Organisation: "org2", Role: identity.RoleOperator, Name: "second"})
	second := n.OpenClient("second")
	all := coups(t, n)
	before := shared(t, n)
	for what, tx := range all {
		direct := proto.CloneOf(tx)
		direct.ChainId = ledger.SystemChain
		r, err := first.Submit(t.Context(), direct)
		if err != nil || r.GetCode() != rules.Forbidden {
			t.Errorf("%s, sent directly: %v, error %v", what, r, err)
		}
		id, refused := propose(t, first, tx)
		if refused != nil { // it can never be decided like this, as an activation of rules that do not exist
			t.Logf("%s cannot be proposed: %v", what, refused)
			continue
		}
		for _, operator := range []*client.Client{first, second, first} {
			r, err := operator.Submit(t.Context(), proposal.Approve(n.Trust().NetworkID(), id))
			if err != nil || r.GetCode() != rules.OK || !strings.HasPrefix(r.GetOutput(), "open ") {
				t.Errorf("%s, approved by org2: %v, error %v", what, r, err)
			}
		}
		p := n.Proposal(id)
		if p.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_OPEN || len(p.GetVotes()) != 1 || len(p.GetAsked()) == 0 {
			t.Errorf("%s: three approvals of one organisation give %v", what, p)
		}
		n.SubmitAs(second, proposal.Withdraw(n.Trust().NetworkID(), id)) // there is room for eight
	}
	if after := shared(t, n); !proto.Equal(before, after) {
		t.Errorf("one organisation changed what all share; its nodes are now %v", after.GetNodes())
	}
}

// TestVotesOfOthers: org2 can neither vote in the name of another organisation, nor vote on its own removal, nor take
// back what others proposed, nor use a vote made for another network.
func TestVotesOfOthers(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	owner, attacker, network := n.Operator("org1"), n.Operator("org2"), n.Trust().NetworkID()
	id, refused := propose(t, owner, &ltlv1.Transaction{Action: &ltlv1.Transaction_ChangeNode{ChangeNode: &ltlv1.ChangeNode{
		Id: "n2", Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED,
	}}})
	if refused != nil {
		t.Fatal(refused)
	}
	inName := proposal.Reject(network, id)
	inName.Submitter = "org3/operator/operator"
	for what, tx := range map[string]*ltlv1.Transaction{
		"a vote in org3's name":           inName,
		"a vote on its own removal":       proposal.Reject(network, id),
		"the withdrawal of others' words": proposal.Withdraw(network, id),
		"a vote made for another network": proposal.Approve(ledger.Hash{1}, id),
	} {
		if r, err := attacker.Submit(t.Context(), tx); err != nil || r.GetCode() != rules.Forbidden {
			t.Errorf("%s: %v, error %v", what, r, err)
		}
	}
	if p := n.Proposal(id); p.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_OPEN || len(p.GetVotes()) != 0 {
		t.Errorf("the proposal is %v", p)
	}
}

// TestNodeOfAnOpenProposal: org2 reads a node of org1 in an open proposal and enters its key as that of a learner of its
// own. That is refused, and the proposal can still be made.
func TestNodeOfAnOpenProposal(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	key, voter := insider.Key(0), ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER
	id, refused := propose(t, n.Operator("org1"), &ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{
		AddNode: scene(n).Addition("n9", "org1", key, voter, ""),
	}})
	if refused != nil {
		t.Fatal(refused)
	}
	seen := proto.CloneOf(n.Proposal(id).GetPropose().GetAddNode())
	own := insider.Key(1)
	for what, possession := range map[string][]byte{
		"the signature that it saw":       seen.GetPossession(),
		"a signature by a key of its own": scene(n).Addition("n9", "org2", own, voter, "").GetPossession(),
	} {
		theirs := proto.CloneOf(seen)
		theirs.Node.Organisation, theirs.Possession = "org2", possession
		theirs.Membership = ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER
		r, err := n.Operator("org2").Submit(t.Context(), &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_AddNode{AddNode: theirs}})
		if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), "did not sign") {
			t.Errorf("%s: %v, error %v", what, r, err)
		}
	}
	if p := n.Proposal(id); p.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_OPEN {
		t.Errorf("the proposal is %v", p)
	}
}

// TestAdmissionVeto: org2 reads in an open proposal which certificate authority an organisation will have and enters it as
// its own, with what signatures it can get. Processes trust no two organisations with one authority, so that would keep the
// newcomer out. It is refused, and the newcomer is let in.
func TestAdmissionVeto(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	network := n.Trust().NetworkID()
	invited, err := identity.CreateOrganisation(t.TempDir(), network,
		identity.OrgSpec{ID: "newcomer", Name: "Newcomer", EndorserAddress: "127.0.0.1:9"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	id, refused := propose(t, n.Operator("org1"), &ltlv1.Transaction{
		Action: &ltlv1.Transaction_CreateOrganisation{CreateOrganisation: invited}})
	if refused != nil {
		t.Fatal(refused)
	}
	seen := n.Proposal(id).GetPropose().GetCreateOrganisation()
	der := seen.GetOrganisation().GetCaCertificate()
	own, err := identity.LoadKey(filepath.Join(n.Dir, "orgs/org2/ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	for what, possession := range map[string][]byte{
		"the signature that it saw":              seen.GetAuthorityPossession(),
		"a signature by an authority of its own": ledger.SignAuthority(own, network, "org2", der),
	} {
		r, err := n.Operator("org2").Submit(t.Context(), &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: &ltlv1.ModifyOrganisation{
				Id: "org2", AddAuthority: der, AuthorityPossession: possession,
			}}})
		if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), "did not sign") {
			t.Errorf("%s: %v, error %v", what, r, err)
		}
	}
	for _, organisation := range []string{"org1", "org3"} {
		n.SubmitAs(n.Operator(organisation), proposal.Approve(network, id))
	}
	if p := n.Proposal(id); p.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED {
		t.Errorf("the proposal is %v", p)
	}
}

// propose proposes a change; refused is the result when the rules refuse it.
func propose(t *testing.T, c *client.Client, tx *ltlv1.Transaction) (id ledger.Hash, refused *ltlv1.Result) {
	t.Helper()
	tx.ChainId = ledger.SystemChain
	prepared, err := proposal.Prepare(t.Context(), c, tx)
	if err != nil || !prepared.GetProposal() {
		t.Fatalf("%v is no proposal: %v, error %v", tx, prepared, err)
	}
	made := proposal.New(prepared, proposal.DefaultLife)
	r, err := c.Submit(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	if r.GetCode() != rules.OK {
		return id, r
	}
	id, err = client.TransactionID(made)
	if err != nil {
		t.Fatal(err)
	}
	return id, nil
}

// shared is what the organisations share, without what every block changes.
func shared(t *testing.T, n *testkit.Network) *ltlv1.GetNetworkResponse {
	t.Helper()
	out, err := n.Client(identity.RoleOperator).Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range out.GetChains() {
		c.Height = 0
	}
	return &ltlv1.GetNetworkResponse{Organisations: out.GetOrganisations(), Nodes: out.GetNodes(),
		Memberships: out.GetMemberships(), Chains: out.GetChains()}
}
