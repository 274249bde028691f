package query_test

import (
	"fmt"
	"sync"
	"testing"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/ltltest"
	"ltl/internal/query"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestNetworkOfManyChains: GetNetwork tells of the oldest chains up to its bound and of how many there are; the pages of ListChains tell of
// all, in the same order.
func TestNetworkOfManyChains(t *testing.T) {
	n := ltltest.Start(t, ltltest.Options{})
	c := n.Client(identity.RoleOperator)
	var group sync.WaitGroup
	for i := range query.MaxNetworkChains + 10 {
		group.Go(func() {
			r, err := c.Submit(t.Context(), &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
				Name: fmt.Sprint("chain-", i), Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: n.Admin.UID,
			}}})
			if err != nil || r.GetCode() != rules.OK {
				t.Errorf("chain %d: %v %v", i, r, err)
			}
		})
	}
	group.Wait()
	var listed []string
	for page := uint32(1); ; page++ {
		out, err := c.Ledger().ListChains(t.Context(), &ltlv1.ListChainsRequest{Page: page, Size: query.MaxPage})
		if err != nil {
			t.Fatal(err)
		}
		for _, chain := range out.GetChains() {
			listed = append(listed, chain.GetChainId())
		}
		if len(out.GetChains()) < query.MaxPage {
			break
		}
	}
	out, err := c.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	told := out.GetChains()
	if len(told) != query.MaxNetworkChains+1 || told[0].GetChainId() != ledger.SystemChain || out.GetTotalChains() != uint64(len(listed)) || len(listed) <= query.MaxNetworkChains {
		t.Fatalf("%d chains are told of, of %d; %d are listed", len(told)-1, out.GetTotalChains(), len(listed))
	}
	for i, chain := range told[1:] {
		if chain.GetChainId() != listed[i] {
			t.Fatalf("place %d: %s is told of, %s listed", i, chain.GetChainId(), listed[i])
		}
	}
	// The newest chain is not told of; a client finds it all the same.
	last := listed[len(listed)-1]
	if r, err := n.Client(identity.RoleFacade).Submit(t.Context(), &ltlv1.Transaction{
		ChainId: last, AccountUid: n.Admin.UID, Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{MemberUid: n.Member.UID, Name: "member", Contact: "contact", Phone: "1"}},
	}); err != nil || r.GetCode() != rules.OK {
		t.Errorf("a member of the newest chain: %v, %v", r, err)
	}
}
