package localnet

import (
	"path/filepath"
	"reflect"
	"testing"

	"ltl/client"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// TestSetupTwice: a set-up that is repeated, as after an interrupted start, writes nothing twice and has the same
// result.
func TestSetupTwice(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	p, err := loadPlan(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := n.Client(identity.RoleOperator)
	organisations := []string{"org1", "org2", "org3"}
	s := &setup{plan: p, client: c, sealingKeys: map[string][]byte{}, networkID: n.Trust().NetworkID(),
		organisations: organisations, operators: map[string]*client.Client{}, facades: []string{"org1/facade/f1"}}
	for _, o := range organisations {
		s.operators[o] = n.Operator(o)
		dir := "operator"
		if o != "org1" {
			dir = filepath.Join("operators", o)
		}
		if s.sealingKeys[o], err = identity.LoadSealingKey(filepath.Join(n.Dir, dir, "sealing.key")); err != nil {
			t.Fatal(err)
		}
	}
	blocks := func() (sequence, accounts int) {
		t.Helper()
		status, err := c.Ledger().Status(t.Context(), "n1")
		if err != nil {
			t.Fatal(err)
		}
		res, err := c.Ledger().GetAccount(t.Context(), &ltlv1.GetAccountRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return int(status.GetSequence()), len(res.GetAccounts())
	}
	_, before := blocks()
	chains, accounts, err := s.run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sequence, all := blocks()
	if all != before+len(accounts) || len(accounts) != 2+guests || len(chains) != 2 {
		t.Errorf("the set-up made accounts %v and chains %v; the ledger has %d accounts, had %d", accounts, chains, all,
			before)
	}
	for range 2 {
		chainsAgain, accountsAgain, err := s.run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(chains, chainsAgain) || !reflect.DeepEqual(accounts, accountsAgain) {
			t.Errorf("the set-up came to %v, %v and then to %v, %v", chains, accounts, chainsAgain, accountsAgain)
		}
		if now, count := blocks(); now != sequence || count != all {
			t.Errorf("doing it again made %d blocks and %d accounts more", now-sequence, count-all)
		}
	}
}
