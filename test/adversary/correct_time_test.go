package adversary

import (
	"context"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"ltl/client"
	"ltl/client/proof"
	"ltl/endorser"
	"ltl/internal/identity"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// setBack corrects the network's time to the present one.
func setBack() *ltlv1.Transaction {
	return &ltlv1.Transaction{Action: &ltlv1.Transaction_CorrectTime{
		CorrectTime: &ltlv1.CorrectTime{ToMs: time.Now().UnixMilli()}}}
}

// TestTimeAheadOfAllClocks: all clocks were 30 days ahead for one write. Until the organisations have set the time back
// nothing is written, and org2 alone does not set it back. Then everything goes on, reads find the records of both
// times, and every copy of the ledger verifies.
func TestTimeAheadOfAllClocks(t *testing.T) {
	n := testkit.Start(t, testkit.Options{
		Node:     func(_ int, cfg *node.Config) { cfg.AdminListen = "127.0.0.1:0" },
		Endorser: func(_ int, cfg *endorser.Config) { cfg.AdminListen = "127.0.0.1:0" },
	})
	facade := n.Client(identity.RoleFacade)
	record := func(value string) *ltlv1.Transaction { return onChain(t, n, n.ChainID, "history", value, nil) }
	write := func(value string, patience time.Duration) (*ltlv1.Result, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return facade.Submit(ctx, record(value))
	}
	if r, err := write("before", 10*time.Second); err != nil || r.GetCode() != rules.OK {
		t.Fatal(r, err)
	}
	leap := 30 * 24 * time.Hour
	if r := orderSignedBy(t, n, record("ahead"), "org1/facade/f1", time.Now().Add(leap), "org1", "org2",
		"org3"); r.GetCode() != rules.OK {
		t.Fatal(r)
	}
	if r, err := write("stopped", 2*time.Second); err == nil && r.GetCode() == rules.OK {
		t.Fatalf("a write while the ledger is ahead: %v", r)
	}
	aheadBy(t, n, leap)
	attacker := n.Operator("org2")
	id, refused := propose(t, attacker, setBack())
	if refused != nil {
		t.Fatal(refused)
	}
	for range 2 {
		r, err := attacker.Submit(t.Context(), proposal.Approve(n.Trust().NetworkID(), id))
		if err != nil || r.GetOutput() != "open 1 of 2, asked: org1 org3" {
			t.Fatalf("approved by org2 alone: %v, %v", r, err)
		}
	}
	if r := orderSigned(t, n, record("stopped too"), "org1/facade/f1", time.Now()); r.GetCode() == rules.OK {
		t.Fatal("org2 alone has set the time back")
	}
	n.SubmitAs(attacker, proposal.Withdraw(n.Trust().NetworkID(), id))

	n.Decide(n.Operator("org1"), setBack())
	r, err := write("after", 10*time.Second)
	if err != nil || r.GetCode() != rules.OK {
		t.Fatal(r, err)
	}
	if off := time.Until(time.UnixMilli(r.GetTimeMs())); off.Abs() > 10*time.Second {
		t.Errorf("after the correction a record is dated %v ahead", off)
	}
	aheadBy(t, n, 0)
	windows(t, n, record("").GetAttachData().GetKey(), leap)
	certificateOfVote(t, n, facade)
}

// aheadBy waits until the metrics of all nodes and endorsers say that the network's time is ahead by d.
func aheadBy(t *testing.T, n *testkit.Network, d time.Duration) {
	t.Helper()
	name := regexp.MustCompile(`(?m)^ltl_network_time_ahead_seconds (\S+)$`)
	for _, address := range n.AdminAddresses() {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			r, err := http.Get("http://" + address + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			page, err := io.ReadAll(r.Body)
			r.Body.Close()
			found := name.FindSubmatch(page)
			if err != nil || found == nil {
				t.Fatalf("%s: no metric of the network's time: %v", address, err)
			}
			seconds, err := strconv.ParseFloat(string(found[1]), 64)
			if err == nil && (time.Duration(seconds*float64(time.Second))-d).Abs() < time.Minute {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("%s: the network's time is %v s ahead, want %v: %v", address, seconds, d, err)
				break
			}
		}
	}
}

// windows counts the records of a Key before, at and after a time that the chain has passed twice.
func windows(t *testing.T, n *testkit.Network, key string, leap time.Duration) {
	t.Helper()
	now := time.Now()
	ledger := n.Client(identity.RoleFacade).Ledger()
	for _, c := range []struct {
		from, to time.Duration
		want     []string // newest first
	}{
		{-time.Hour, time.Hour, []string{"after", "before"}},
		{-time.Hour, leap + time.Hour, []string{"after", "ahead", "before"}},
		{time.Hour, leap + time.Hour, []string{"ahead"}}, {leap + time.Hour, leap + 2*time.Hour, nil},
	} {
		in := &ltlv1.ListHistoryRequest{ChainCode: n.ChainCode, Key: key, StartMs: now.Add(c.from).UnixMilli(),
			EndMs: now.Add(c.to).UnixMilli(), Page: 1, Size: 10}
		out, err := ledger.ListHistory(t.Context(), in)
		if err != nil || out.GetCode() != rules.OK || out.GetTotal() != uint64(len(c.want)) {
			t.Errorf("%v to %v: %v, %v", c.from, c.to, out, err)
			continue
		}
		var got []string
		for _, r := range out.GetRecords() {
			got = append(got, r.GetValue())
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v to %v: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// certificateOfVote: the vote that set the time back was signed by right clocks, in a block that was ahead of them; its
// certificate says so.
func certificateOfVote(t *testing.T, n *testkit.Network, c *client.Client) {
	t.Helper()
	out, err := c.Ledger().Proposals(t.Context(), &ltlv1.ProposalsRequest{All: true, Page: 1, Size: 10})
	if err != nil || len(out.GetProposals()) < 2 {
		t.Fatal(out, err)
	}
	made := out.GetProposals()[0]
	if made.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED {
		t.Fatal(made)
	}
	certificate, err := c.Ledger().Certificate(t.Context(), [32]byte(made.GetProposalId()), "", "")
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(n.TrustPath())
	if err != nil {
		t.Fatal(err)
	}
	trust, err := proof.ParseTrust(file)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := certificate.Encode()
	if err != nil {
		t.Fatal(err)
	}
	v := proof.Verify(encoded, trust)
	if v.Failure != nil || !slices.Contains(v.Reservations, "time-ahead") {
		t.Errorf("%v, %v", v.Failure, v.Reservations)
	}
}
