package testkit_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/rules"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// stops are the errors with which nodes ended themselves.
type stops struct {
	mu  sync.Mutex
	err map[int]error
}

func (s *stops) of(i int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err[i]
}

// TestLeadingOrganisationIsRemoved: org3 leads, with two of four voters, so that none of the changes that remove it can be
// committed without its own nodes, and endorses on the chain that records are written to. The others remove it: its leader carries out the removal of both of its nodes and stops, a node of another
// leads, no write fails, is lost or happens twice, and nothing of org3 is accepted any more.
func TestLeadingOrganisationIsRemoved(t *testing.T) {
	ended := &stops{err: map[int]error{}}
	n := testkit.Start(t, testkit.Options{Nodes: 6, Node: func(i int, cfg *node.Config) {
		otherwise := cfg.Fatal
		cfg.Fatal = func(err error) {
			if i%3 != 2 || !strings.Contains(err.Error(), "removed from the network") {
				otherwise(err)
			}
			ended.mu.Lock()
			defer ended.mu.Unlock()
			ended.err[i] = err
		}
	}})
	for i, id := range []string{"n1", "n2"} {
		n.SubmitAs(n.Operator([]string{"org1", "org2"}[i]), &ltlv1.Transaction{Action: &ltlv1.Transaction_ChangeNode{
			ChangeNode: &ltlv1.ChangeNode{Id: id, Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER},
		}})
	}
	testkit.WaitFor(t, 30*time.Second, "two of the six nodes vote no more", func() bool { return voters(t, n) == 4 })
	for range 30 {
		i := n.Leader()
		if i%3 == 2 {
			break
		}
		n.StopNode(i)
		n.Leader()
		n.RestartNode(i)
	}
	l := startLoad(t, n)
	if i := n.Leader(); i%3 != 2 {
		t.Skipf("node %d leads, not one of org3", i)
	}
	n.Decide(n.Operator("org2"), &ltlv1.Transaction{Action: &ltlv1.Transaction_RemoveOrganisation{
		RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: "org3"},
	}})
	n.StopEndorser(2) // it cannot follow a node any more
	l.progress("organisation removed")
	for _, i := range []int{2, 5} {
		testkit.WaitFor(t, 30*time.Second, "its nodes stop", func() bool { return ended.of(i) != nil })
		n.StopNode(i)
	}
	l.progress("its nodes stopped")
	refusedSoon(t, n, "a removed organisation's operator", "operators/org3")
	c, err := n.Client(identity.RoleOperator).Ledger().GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: n.ChainID})
	if got := strings.Join(c.GetChain().GetChain().GetOrganisations(), " "); err != nil || got != "org1 org2" {
		t.Errorf("the chain's organisations: %q, %v", got, err)
	}
	l.finish()
}

// voters counts the voters in the leader's Raft configuration.
func voters(t *testing.T, n *testkit.Network) int {
	t.Helper()
	leader := n.Trust().Genesis().GetNodes()[n.Leader()].GetId()
	st, err := n.Client(identity.RoleOperator).Ledger().Status(t.Context(), leader)
	if err != nil {
		return 0
	}
	count := 0
	for _, m := range st.GetMembers() {
		if m.GetVoter() {
			count++
		}
	}
	return count
}

// TestOwnerIsRemoved: org2, which owns a chain, is removed. Records are refused with a sentence that says why, what is
// there is read by its members as before, and the chain has no other administrator, until its other organisations give it
// to one.
func TestOwnerIsRemoved(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	chain := n.SubmitAs(n.Operator("org2"), &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{
		CreateChain: &ltlv1.CreateChain{
			Name: "second", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: n.Member.UID,
			Policy: "majority",
		},
	}}).GetOutput()
	n.Submit(identity.RoleFacade, &ltlv1.Transaction{ChainId: chain, AccountUid: n.Member.UID,
		Action: &ltlv1.Transaction_CreateMember{
			CreateMember: &ltlv1.CreateMember{MemberUid: n.Admin.UID, Name: "member", Contact: "contact", Phone: "123456"},
		}})
	c := n.Client(identity.RoleFacade)
	own, err := c.Ledger().GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: chain, AccountUid: n.Admin.UID})
	if err != nil {
		t.Fatal(err)
	}
	code := own.GetChain().GetChainCode()
	key := rules.KeyVersion + "_" + code + "_" + own.GetChain().GetDataTypeCode() + "_kept"
	record := func(value string) *ltlv1.Transaction {
		return client.AttachData(chain, n.Admin.UID, key, value)
	}
	n.Submit(identity.RoleFacade, record("before"))
	n.StopNode(1) // it is of org2; its removal would stop it
	n.Decide(n.Operator("org3"), &ltlv1.Transaction{Action: &ltlv1.Transaction_RemoveOrganisation{
		RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: "org2"},
	}})
	n.StopEndorser(1)
	r, err := c.Submit(t.Context(), record("after"))
	if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), "can only be read") {
		t.Errorf("a record on a chain whose owner was removed: %v, %v", r, err)
	}
	read, err := c.Ledger().GetRecord(t.Context(), &ltlv1.GetRecordRequest{
		ChainCode: code, AccountUid: n.Admin.UID, Key: key,
	})
	if err != nil || read.GetRecord().GetValue() != "before" {
		t.Errorf("what is there: %v, %v", read, err)
	}
	after, err := c.Ledger().GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: chain})
	if err != nil || after.GetChain().GetChain().GetAdministratorUid() != n.Member.UID || !after.GetChain().GetClosed() ||
		own.GetChain().GetClosed() {
		t.Errorf("the chain: %v before, %v after, %v", own, after, err)
	}
	fresh := n.SubmitAs(n.Operator("org3"), &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{
		CreateAccount: &ltlv1.CreateAccount{
			Name: "new", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org3",
		},
	}}).GetOutput()
	n.Decide(n.Operator("org3"), &ltlv1.Transaction{Action: &ltlv1.Transaction_AdoptChain{
		AdoptChain: &ltlv1.AdoptChain{ChainId: chain, AdministratorUid: fresh},
	}})
	n.Submit(identity.RoleFacade, record("adopted"))
	if after, err = c.Ledger().GetChain(t.Context(), &ltlv1.GetChainRequest{ChainId: chain}); err != nil ||
		after.GetChain().GetClosed() {
		t.Errorf("the chain that was adopted: %v, %v", after, err)
	}
}
