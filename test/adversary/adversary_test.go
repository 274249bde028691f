package adversary

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// takeovers are the changes that an operator of org2 would have to make of what is org1's.
func takeovers(n *testkit.Network, genesis *ltlv1.Genesis) map[string]*ltlv1.Transaction {
	system := func(tx *ltlv1.Transaction) *ltlv1.Transaction {
		tx.ChainId = ledger.SystemChain
		return tx
	}
	chain := func(change func(m *ltlv1.ModifyChain)) *ltlv1.Transaction {
		m := &ltlv1.ModifyChain{ChainId: n.ChainID}
		change(m)
		return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyChain{ModifyChain: m}})
	}
	organisation := func(change func(m *ltlv1.ModifyOrganisation)) *ltlv1.Transaction {
		m := &ltlv1.ModifyOrganisation{Id: "org1"}
		change(m)
		return system(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m}})
	}
	former := ledger.KeyID(genesis.GetOrganisations()[0].GetEndorserKey())
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	return map[string]*ltlv1.Transaction{
		"an account in org1's name": system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{
			CreateAccount: &ltlv1.CreateAccount{
				Name: "eve", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1",
			},
		}}),
		"a chain that org1's account administers": system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{
			CreateChain: &ltlv1.CreateChain{
				Name: "trap", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: n.Admin.UID,
				Policy: "any", Organisations: []string{"org2"},
			},
		}}),
		"the administrator of org1's chain": chain(func(m *ltlv1.ModifyChain) { m.AdministratorUid = &n.Member.UID }),
		"the organisations of org1's chain": chain(func(m *ltlv1.ModifyChain) {
			m.Organisations, m.Policy = []string{"org1", "org2"}, proto.String("any")
		}),
		"the policy of org1's chain": chain(func(m *ltlv1.ModifyChain) { m.Policy = proto.String("any") }),
		"the end of org1's chain":    chain(func(m *ltlv1.ModifyChain) { m.CountQuota = proto.Uint64(1) }),
		"org1's address":             organisation(func(m *ltlv1.ModifyOrganisation) { m.EndorserAddress = proto.String("h:1") }),
		"org1's key": organisation(func(m *ltlv1.ModifyOrganisation) {
			m.EndorserKey, m.Compromised = key.Public().(ed25519.PublicKey), true
			m.Possession = ledger.SignNewKey(key, n.Trust().NetworkID(), "org1", former)
		}),
		"org1's facade": system(&ltlv1.Transaction{Action: &ltlv1.Transaction_RevokeCertificate{
			RevokeCertificate: &ltlv1.RevokeCertificate{Identity: "org1/facade/f1"},
		}}),
		"a node in the place of org1's": system(&ltlv1.Transaction{Action: &ltlv1.Transaction_AddNode{
			AddNode: &ltlv1.AddNode{
				Node: &ltlv1.Node{
					Id: "n9", Organisation: "org1", Address: "127.0.0.1:9", Key: key.Public().(ed25519.PublicKey),
					StoreId: make([]byte, rules.StoreIDLen),
				},
				Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_VOTER, Replaces: "n1",
			},
		}}),
		"org1's device": system(&ltlv1.Transaction{Action: &ltlv1.Transaction_RevokeDevice{
			RevokeDevice: &ltlv1.RevokeDevice{ProductKey: "product1", IotId: "device1"},
		}}),
	}
}

// TestOperatorTakesNothing: an operator of org2, with its own real key, changes nothing that is org1's. Each attempt is
// refused in words that name org1, and every block of the system chain stays as it was.
func TestOperatorTakesNothing(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_EnrollDevice{EnrollDevice: &ltlv1.EnrollDevice{
			ProductKey: "product1", IotId: "device1", KeyType: ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES,
		}}})
	n.CheckLedgers(t) // Blocks asks a node that may be a block behind
	before := len(n.Blocks(ledger.SystemChain))
	operator := n.Operator("org2")
	for what, tx := range takeovers(n, n.Trust().Genesis()) {
		r, err := operator.Submit(t.Context(), tx)
		if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), "organisation org1:") {
			t.Errorf("%s: %v, error %v; want 403 and its owner", what, r, err)
		}
	}
	n.CheckLedgers(t)
	if after := len(n.Blocks(ledger.SystemChain)); after != before {
		t.Errorf("%d blocks were made of refused transactions", after-before)
	}
}

// TestOwnerAloneIsEnough: an organisation's own act goes on when no other endorser answers.
func TestOwnerAloneIsEnough(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.StopEndorser(1)
	n.StopEndorser(2)
	for i := range 2 {
		n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
			Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
				Name: fmt.Sprint("alone", i), Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org1",
			}}})
	}
	n.RestartEndorser(1)
	n.RestartEndorser(2)
}
