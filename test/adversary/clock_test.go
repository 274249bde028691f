package adversary

import (
	"context"
	"path/filepath"
	"strings"
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

// liarsChain makes a chain of all organisations whose policy one endorsement meets, and returns its id.
func liarsChain(n *testkit.Network) string {
	return n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: "any",
			Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: n.Admin.UID, Policy: "any"}}}).GetOutput()
}

// orderSigned has the leader order a transaction that org2's endorser key signed alone, with any submitter and clock.
func orderSigned(t *testing.T, n *testkit.Network, tx *ltlv1.Transaction, submitter string,
	clock time.Time) *ltlv1.Result {
	t.Helper()
	return orderSignedBy(t, n, tx, submitter, clock, "org2")
}

// orderSignedBy is orderSigned with the keys of any organisations.
func orderSignedBy(t *testing.T, n *testkit.Network, tx *ltlv1.Transaction, submitter string, clock time.Time,
	organisations ...string) *ltlv1.Result {
	t.Helper()
	tx.Version, tx.Submitter, tx.CreatedMs, tx.Nonce = 1, submitter, clock.UnixMilli(), make([]byte, rules.NonceLen)
	tx.Nonce[0] = byte(clock.UnixMilli())
	values := offline.Values{}
	payload := offline.Encode(t, values.Commit(tx))
	return orderBytes(t, n, tx.GetChainId(), payload, values.Openings(payload), clock, organisations...)
}

// orderBytes has the leader order a payload with any openings.
func orderBytes(t *testing.T, n *testkit.Network, chain string, payload []byte, openings []*ltlv1.Openings,
	clock time.Time, organisations ...string) *ltlv1.Result {
	t.Helper()
	var signers []offline.Signer
	for _, o := range organisations {
		key, err := identity.LoadKey(filepath.Join(n.Dir, "orgs", o, "endorser", "sign.key"))
		if err != nil {
			t.Fatal(err)
		}
		signers = append(signers, offline.Signer{Organisation: o, Key: key})
	}
	batch := offline.Batch(n.Trust().NetworkID(), chain, clock.UnixMilli(), [][]byte{payload}, signers)
	batch.Openings = openings
	leader := n.Trust().Genesis().GetNodes()[n.Leader()]
	conn, err := grpc.NewClient(leader.GetAddress(), n.Credentials("facades/f1", n.Trust()).DialOptions(identity.RoleNode,
		leader.GetId())...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	out, err := ltlv1.NewOrdererClient(conn).Submit(ctx, &ltlv1.SubmitRequest{Batch: batch})
	if err != nil {
		t.Fatal(err)
	}
	return out.GetResults()[0]
}

// TestClockOfALiar: org2's real endorser key states any clock on a chain where it may sign alone. It moves time by 30
// seconds at most, and the next honest write is there within a second.
func TestClockOfALiar(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	chain := liarsChain(n)
	record := func(id string) *ltlv1.Transaction { return onChain(t, n, chain, id, "value", nil) }
	for i, c := range []struct {
		ahead time.Duration
		code  int32
	}{
		{30 * 24 * time.Hour, rules.TooFewClocks}, {2 * time.Minute, rules.TooFewClocks},
		{20 * time.Second, rules.NotEntitled}, {-time.Hour, rules.EndorsementExpired},
		{-30 * 24 * time.Hour, rules.EndorsementExpired},
	} {
		r := orderSigned(t, n, record(string(rune('a'+i))), "org2/client/eve", time.Now().Add(c.ahead))
		if r.GetCode() != c.code {
			t.Errorf("a clock %v ahead: %v, want %d", c.ahead, r, c.code)
		}
		if c.code == rules.TooFewClocks && !strings.HasSuffix(strings.Split(r.GetReason(), "these did not: ")[1],
			"org1, org3. Start their endorsers, or set their clocks.") {
			t.Errorf("a clock %v ahead: the reason is %q", c.ahead, r.GetReason())
		}
		began := time.Now()
		honest, err := n.Client(identity.RoleFacade).Submit(t.Context(), record("honest"+string(rune('a'+i))))
		if err != nil || honest.GetCode() != rules.OK {
			t.Errorf("after a clock %v ahead: %v, %v", c.ahead, honest, err)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("after a clock %v ahead the write took %v", c.ahead, took)
		}
		if off := time.Until(time.UnixMilli(honest.GetTimeMs())); off.Abs() > 40*time.Second {
			t.Errorf("after a clock %v ahead a block is dated %v ahead", c.ahead, off)
		}
	}
}

// TestForgedSubmitter: on a chain whose policy one endorsement meets, org2's real endorser key writes nothing in the name
// of org1's facade: no record, no refusal that would stand on the ledger, and the nonce of org1's AccessKey is still there.
func TestForgedSubmitter(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	n.PutAccessKey(n.Admin, "LTAIadmin", "secret")
	n.CheckLedgers(t) // every endorser knows it
	chain := liarsChain(n)
	record := func(id string) *ltlv1.Transaction {
		tx := onChain(t, n, chain, id, "value", nil)
		tx.AccessKeyId, tx.SignatureNonce = "LTAIadmin", "the nonce"
		return tx
	}
	before := len(n.Blocks(chain))
	for _, submitter := range []string{"org1/facade/f1", "org1/client/bench", "org1/operator/operator"} {
		r := orderSigned(t, n, record("forged"), submitter, time.Now())
		if r.GetCode() != rules.NotEndorsed || !strings.Contains(r.GetReason(), "no endorsement of org1") {
			t.Errorf("in the name of %s: %v", submitter, r)
		}
	}
	if after := len(n.Blocks(chain)); after != before {
		t.Errorf("%d blocks were made of it", after-before)
	}
	r, err := n.Client(identity.RoleFacade).Submit(t.Context(), record("mine"))
	if err != nil || r.GetCode() != rules.OK {
		t.Errorf("org1's facade with the same nonce: %v, %v", r, err)
	}
}
