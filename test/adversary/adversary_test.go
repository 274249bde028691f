package adversary

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
	"ltl/test/testkit"
)

// scene is a network in which org2 attacks org1.
func scene(n *testkit.Network) *insider.Scene {
	return &insider.Scene{Genesis: n.Trust().Genesis(), Network: n.Trust().NetworkID(), Attacker: "org2", Victim: "org1",
		Other: "org3", Account: n.Member.UID, Administrator: n.Admin.UID, ChainID: n.ChainID, Product: "product1",
		Device: "device1", Facade: "f1"}
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
	for what, tx := range scene(n).Takeovers() {
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

// TestRecoveryIsTheOwners: only the holder of org1's recovery key recovers org1: not by a key of his own, not with
// what the key signed before, and not with what it signed for a network with the same keys and another genesis.
func TestRecoveryIsTheOwners(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	operator := n.Operator("org2")
	key, mine := insider.Key(0), insider.Key(1)
	network, twin := n.Trust().NetworkID(), n.Trust().NetworkID()
	twin[0] ^= 1
	refused := func(what string, tx *ltlv1.Transaction, sentence string) {
		t.Helper()
		r, err := operator.Submit(t.Context(), tx)
		if err != nil || r.GetCode() != rules.Forbidden || !strings.Contains(r.GetReason(), sentence) {
			t.Errorf("%s: %v, error %v; want 403 and %q", what, r, err, sentence)
		}
	}
	refused("before org1 has a recovery key", scene(n).Recovery(network, 1, mine, mine), "has no recovery key")
	n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: &ltlv1.ModifyOrganisation{
			Id: "org1", RecoveryKey: key.Public().(ed25519.PublicKey),
		}}})
	refused("a key of its own", scene(n).Recovery(network, 1, mine, mine), "not by the organisation's recovery key")
	refused("signed for a twin network", scene(n).Recovery(twin, 1, mine, key), "not by the organisation's recovery key")
	refused("signed for a later change", scene(n).Recovery(network, 2, mine, key), "not by the organisation's recovery key")
	n.CheckLedgers(t)
}

// TestTwoRemoveNothing: of two organisations, one cannot remove the other, or its node, whatever is endorsed.
func TestTwoRemoveNothing(t *testing.T) {
	n := testkit.Start(t, testkit.Options{Orgs: 2, Nodes: 3})
	operator := n.Operator("org2")
	for what, tx := range map[string]*ltlv1.Transaction{
		"org1": {Action: &ltlv1.Transaction_RemoveOrganisation{
			RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: "org1"},
		}},
		"org1's node": {Action: &ltlv1.Transaction_ChangeNode{ChangeNode: &ltlv1.ChangeNode{
			Id: "n1", Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED,
		}}},
	} {
		tx.ChainId = ledger.SystemChain
		r, err := operator.Submit(t.Context(), tx)
		if err != nil || r.GetCode() != rules.Forbidden {
			t.Errorf("removing %s: %v, error %v; want 403", what, r, err)
		}
	}
	n.Submit(identity.RoleFacade, n.AttachData(n.Member, "after", "value"))
}

// TestOwnerAloneIsEnough: an organisation's own act goes on when no other endorser answers.
func TestOwnerAloneIsEnough(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.StopEndorser(1)
	n.StopEndorser(2)
	for i := range 2 {
		n.Submit(identity.RoleOperator, insider.Account("", fmt.Sprint("alone", i), "org1"))
	}
	n.RestartEndorser(1)
	n.RestartEndorser(2)
}

// TestForeignFacade: a facade of org2 to which no organisation delegates, with a certificate of org2's real authority, writes for
// no account of org1, and the nonce that it names stays usable.
func TestForeignFacade(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.Issue("evil", identity.Identity{Organisation: "org2", Role: identity.RoleFacade, Name: "evil"})
	n.PutAccessKey(n.Admin, "LTAIadmin", "secret")
	n.CheckLedgers(t) // every endorser knows it
	evil := n.OpenClient("evil")
	write := func(id string) *ltlv1.Transaction {
		tx := n.SetData(n.Admin, id, "v")
		tx.AccessKeyId, tx.SignatureNonce = "LTAIadmin", "nonceof"+id
		return tx
	}
	before := len(n.Blocks(n.ChainID))
	for _, c := range []struct {
		who    string
		submit func(*ltlv1.Transaction) (*ltlv1.Result, error)
		reason string
	}{
		{"a facade", func(tx *ltlv1.Transaction) (*ltlv1.Result, error) { return evil.Submit(t.Context(), tx) },
			"org2/facade/evil may not write for accounts of organisation org1"},
		{"an operator", func(tx *ltlv1.Transaction) (*ltlv1.Result, error) {
			return n.Operator("org2").Submit(t.Context(), tx)
		}, "Only a facade"},
	} {
		r, err := c.submit(write("stolen"))
		if err != nil || r.GetCode() != rules.NotEntitled || !strings.Contains(r.GetReason(), c.reason) {
			t.Errorf("%s of org2: %v, error %v; want 1007 and %q", c.who, r, err, c.reason)
		}
	}
	n.CheckLedgers(t)
	if after := len(n.Blocks(n.ChainID)); after != before {
		t.Errorf("%d blocks were made of refused transactions", after-before)
	}
	n.Submit(identity.RoleFacade, write("stolen")) // the same nonce, through the right facade
}
