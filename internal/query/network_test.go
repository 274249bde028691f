package query_test

import (
	"fmt"
	"sync"
	"testing"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/query"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// TestNetworkOfManyChains: GetNetwork tells of the oldest chains up to its bound and of how many there are; the pages
// of ListChains tell of all, in the same order.
func TestNetworkOfManyChains(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	c := n.Client(identity.RoleOperator)
	var group sync.WaitGroup
	for i := range query.MaxNetworkChains + 10 {
		group.Go(func() {
			r, err := c.Submit(t.Context(), &ltlv1.Transaction{ChainId: ledger.SystemChain,
				Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{
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
	if len(told) != query.MaxNetworkChains+1 || told[0].GetChainId() != ledger.SystemChain ||
		out.GetTotalChains() != uint64(len(listed)) || len(listed) <= query.MaxNetworkChains {
		t.Fatalf("GetNetwork lists %d chains of %d; ListChains lists %d", len(told)-1, out.GetTotalChains(), len(listed))
	}
	for i, chain := range told[1:] {
		if chain.GetChainId() != listed[i] {
			t.Fatalf("place %d: GetNetwork lists %s, ListChains %s", i, chain.GetChainId(), listed[i])
		}
	}
	// The newest chain is not told of; a client finds it all the same.
	last := listed[len(listed)-1]
	if r, err := n.Client(identity.RoleFacade).Submit(t.Context(), &ltlv1.Transaction{
		ChainId: last, AccountUid: n.Admin.UID,
		Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{MemberUid: n.Member.UID, Name: "member",
			Contact: "contact", Phone: "1"}},
	}); err != nil || r.GetCode() != rules.OK {
		t.Errorf("a member of the newest chain: %v, %v", r, err)
	}
}

// TestManyAccounts: without a page the oldest accounts come, up to a bound; pages hold all of them, each once and in
// the same order.
func TestManyAccounts(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	c := n.Client(identity.RoleOperator)
	var group sync.WaitGroup
	for i := range query.MaxAccounts + 10 {
		group.Go(func() {
			r, err := c.Submit(t.Context(), &ltlv1.Transaction{ChainId: ledger.SystemChain,
				Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
					Name: fmt.Sprint("account-", i), Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: n.Admin.Organisation,
				}}})
			if err != nil || r.GetCode() != rules.OK {
				t.Errorf("account %d: %v %v", i, r, err)
			}
		})
	}
	group.Wait()
	seen, total := []string{}, uint64(0)
	for page := uint32(1); ; page++ {
		out, err := c.Ledger().GetAccount(t.Context(), &ltlv1.GetAccountRequest{Page: page, Size: query.MaxPage})
		if err != nil {
			t.Fatal(err)
		}
		total = out.GetTotal()
		for _, a := range out.GetAccounts() {
			seen = append(seen, a.GetUid())
		}
		if len(out.GetAccounts()) < query.MaxPage {
			break
		}
	}
	out, err := c.Ledger().GetAccount(t.Context(), &ltlv1.GetAccountRequest{})
	if err != nil || len(out.GetAccounts()) != query.MaxAccounts || out.GetTotal() != total ||
		uint64(len(seen)) != total || total < query.MaxAccounts+10 {
		t.Fatalf("%d accounts without a page, %d on pages, in all %d and %d; %v",
			len(out.GetAccounts()), len(seen), out.GetTotal(), total, err)
	}
	known := map[string]bool{}
	for i, uid := range seen {
		if known[uid] || i < query.MaxAccounts && out.GetAccounts()[i].GetUid() != uid {
			t.Fatalf("place %d: %s stands twice, or elsewhere", i, uid)
		}
		known[uid] = true
	}
	if _, err := c.Ledger().GetAccount(t.Context(), &ltlv1.GetAccountRequest{Page: 1}); err == nil {
		t.Error("a page of size 0 is answered")
	}
	if one, err := c.Ledger().GetAccount(t.Context(), &ltlv1.GetAccountRequest{Uid: n.Admin.UID}); err != nil ||
		len(one.GetAccounts()) != 1 || one.GetTotal() != 1 {
		t.Errorf("one account: %v, %v", one, err)
	}
}
