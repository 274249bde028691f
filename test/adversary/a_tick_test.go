package adversary

import (
	"testing"
	"time"

	"google.golang.org/grpc"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
	"ltl/test/testkit/offline"
)

// The name of this file puts it first: what is withheld ages while the other tests of the package run.

// TestWithheldEndsWithATick: a client has the real endorsers sign a record and keeps it back, on a network without other
// writes. The endorsers have one Tick written, and no more; then the record counts by no rule, whichever node leads.
func TestWithheldEndsWithATick(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the end of an endorsement's life")
	}
	n := testkit.Start(t, testkit.Options{})
	kept := withhold(t, n, onChain(t, n, n.ChainID, "kept", "value", nil))
	s, err := ledger.ParseStatement(kept.GetEndorsements()[0].GetStatement())
	if err != nil {
		t.Fatal(err)
	}
	before := len(n.Blocks(ledger.SystemChain))
	t.Parallel() // goes on when the tests that are not parallel have ended
	testkit.WaitFor(t, 5*time.Minute, "a Tick is written", func() bool { return len(n.Blocks(ledger.SystemChain)) > before })
	time.Sleep(30 * time.Second) // the turns of the other organisations come
	blocks := n.Blocks(ledger.SystemChain)
	if len(blocks) != before+1 {
		t.Errorf("%d blocks for one Tick", len(blocks)-before)
	}
	tx, err := rules.Decode(blocks[before].GetBatches()[0].GetTransactions()[0])
	if err != nil || tx.GetTick() == nil {
		t.Errorf("%v, %v", tx, err)
	}
	h, err := ledger.ParseHeader(blocks[before].GetHeader())
	if err != nil || h.ReferenceMs-s.ClockMs <= rules.EndorsementLifeMs {
		t.Errorf("the reference time is %d ms after the clock of what was kept back, %v", h.ReferenceMs-s.ClockMs, err)
	}
	out, err := ltlv1.NewOrdererClient(leader(t, n)).Submit(t.Context(), &ltlv1.SubmitRequest{Batch: kept})
	if err != nil || out.GetResults()[0].GetCode() != rules.EndorsementExpired {
		t.Errorf("what was kept back: %v, %v", out, err)
	}
	n.Submit(identity.RoleFacade, onChain(t, n, n.ChainID, "after", "value", nil))
}

// withhold has all endorsers sign a transaction of facade f1, and does not have it ordered.
func withhold(t *testing.T, n *testkit.Network, tx *ltlv1.Transaction) *ltlv1.Batch {
	t.Helper()
	tx.Version, tx.Submitter, tx.CreatedMs, tx.Nonce = 1, "org1/facade/f1", time.Now().UnixMilli(), make([]byte, rules.NonceLen)
	values := offline.Values{}
	b := values.Open(&ltlv1.Batch{ChainId: tx.GetChainId(), Transactions: [][]byte{offline.Encode(t, values.Commit(tx))}})
	for _, o := range n.Trust().Genesis().GetOrganisations() {
		conn := dialed(t, n, o.GetEndorserAddress(), identity.RoleEndorser, o.GetId())
		out, err := ltlv1.NewEndorserClient(conn).Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: b.GetChainId(),
			Transactions: b.GetTransactions(), Openings: b.GetOpenings()})
		if err != nil || out.GetEndorsement() == nil {
			t.Fatal(out, err)
		}
		b.Endorsements = append(b.Endorsements, out.GetEndorsement())
	}
	return b
}

func leader(t *testing.T, n *testkit.Network) *grpc.ClientConn {
	at := n.Trust().Genesis().GetNodes()[n.Leader()]
	return dialed(t, n, at.GetAddress(), identity.RoleNode, at.GetId())
}

// dialed connects to a process as facade f1.
func dialed(t *testing.T, n *testkit.Network, address string, role identity.Role, name string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, n.Credentials("facades/f1", n.Trust()).DialOptions(role, name)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// TestOneOrganisationMakesNoTicks: org2's real keys alone make no Tick, and no endorser helps with one that is not needed.
func TestOneOrganisationMakesNoTicks(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	tx := &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_Tick{Tick: &ltlv1.Tick{}}}
	if r := orderSigned(t, n, tx, "org2/endorser/org2", time.Now()); r.GetCode() != rules.NotEndorsed {
		t.Errorf("endorsed by org2 alone: %v", r)
	}
	tx.Version, tx.Submitter, tx.CreatedMs, tx.Nonce = 1, "org2/endorser/org2", time.Now().UnixMilli(), make([]byte, rules.NonceLen)
	own := n.Credentials("orgs/org2/endorser", n.Trust())
	for _, o := range []int{0, 2} {
		of := n.Trust().Genesis().GetOrganisations()[o]
		conn, err := grpc.NewClient(of.GetEndorserAddress(), own.DialOptions(identity.RoleEndorser, of.GetId())...)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		for _, c := range []struct {
			what string
			tx   *ltlv1.Transaction
			code int32
		}{
			{"a Tick that is not needed", tx, rules.Conflict},
			{"an account", asEndorser(&ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
				Uid: "1000000000000091", Name: "made", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "org2"}}), rules.Forbidden},
		} {
			out, err := ltlv1.NewEndorserClient(conn).Endorse(t.Context(), &ltlv1.EndorseRequest{ChainId: ledger.SystemChain,
				Transactions: [][]byte{offline.Encode(t, c.tx)}})
			if err != nil || out.GetEndorsement() != nil || out.GetCodes()[0] != c.code {
				t.Errorf("%s: %v, %v", c.what, out, err)
			}
		}
	}
}

// asEndorser is a transaction of the system chain by org2's endorser.
func asEndorser(action any) *ltlv1.Transaction {
	tx := &ltlv1.Transaction{Version: 1, ChainId: ledger.SystemChain, Submitter: "org2/endorser/org2",
		CreatedMs: time.Now().UnixMilli(), Nonce: make([]byte, rules.NonceLen)}
	offline.SetAction(tx, action)
	return tx
}
