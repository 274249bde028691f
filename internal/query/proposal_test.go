package query_test

import (
	"encoding/hex"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// TestProposals: an open proposal is read with its words, its votes, who is asked, and the bytes that its id is the hash
// of; a closed one by its id only.
func TestProposals(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	network := n.Trust().NetworkID()
	voters := []*client.Client{n.OperatorOf("org1"), n.OperatorOf("org2")}
	net, err := voters[0].Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		t.Fatal(err)
	}
	former := net.GetChains()[0].GetChain().GetPolicy()
	id, err := hex.DecodeString(n.SubmitAs(voters[0], &ltlv1.Transaction{Action: &ltlv1.Transaction_Propose{
		Propose: &ltlv1.Propose{NetworkId: network[:], ExpiryMs: time.Now().Add(time.Hour).UnixMilli(),
			Action: &ltlv1.Propose_ModifyNetwork{ModifyNetwork: &ltlv1.ModifyNetwork{Policy: "all", Former: former}}},
	}}).GetOutput())
	if err != nil {
		t.Fatal(err)
	}
	approve := func(c *client.Client) string {
		return n.SubmitAs(c, &ltlv1.Transaction{Action: &ltlv1.Transaction_Approve{
			Approve: &ltlv1.Approve{NetworkId: network[:], ProposalId: id}}}).GetOutput()
	}
	read := func(id []byte) *ltlv1.ProposalsResponse {
		out, err := voters[0].Ledger().Proposals(t.Context(), &ltlv1.ProposalsRequest{ProposalId: id})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := approve(voters[0]); got != "open 1 of 2, asked: org2 org3" {
		t.Error(got)
	}
	for _, asked := range [][]byte{nil, id} {
		out := read(asked)
		if out.GetCode() != rules.OK || len(out.GetProposals()) != 1 {
			t.Fatal(out)
		}
		p := out.GetProposals()[0]
		if of := ledger.TransactionID(p.GetTransaction()); string(of[:]) != string(id) || string(p.GetProposalId()) != string(id) {
			t.Errorf("the transaction's id is %x, the proposal's %x, want %x", of, p.GetProposalId(), id)
		}
		if p.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_OPEN || p.GetProposer() != "org1/operator/rotating" ||
			p.GetQuorum() != 2 || !slices.Equal(p.GetAsked(), []string{"org2", "org3"}) || len(p.GetVotes()) != 1 ||
			!p.GetVotes()[0].GetApprove() || p.GetVotes()[0].GetBlockHeight() <= p.GetBlockHeight() ||
			p.GetWords() != `the policy of the network becomes "all" instead of "`+former+`"` {
			t.Error(p)
		}
	}
	if got := approve(voters[1]); got != "executed" {
		t.Error(got)
	}
	if out := read(nil); len(out.GetProposals()) != 0 {
		t.Error("still open:", out)
	}
	if p := read(id).GetProposals(); len(p) != 1 || p[0].GetState() != ltlv1.ProposalState_PROPOSAL_STATE_EXECUTED ||
		p[0].GetCode() != rules.OK || p[0].GetClosedHeight() <= p[0].GetVotes()[0].GetBlockHeight() || len(p[0].GetAsked()) != 0 {
		t.Error(p)
	}
	second, err := hex.DecodeString(n.SubmitAs(voters[1], &ltlv1.Transaction{Action: &ltlv1.Transaction_Propose{
		Propose: &ltlv1.Propose{NetworkId: network[:], ExpiryMs: time.Now().Add(time.Hour).UnixMilli(),
			Action: &ltlv1.Propose_ModifyNetwork{ModifyNetwork: &ltlv1.ModifyNetwork{Policy: former, Former: "all"}}},
	}}).GetOutput())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]byte{second, id, nil} { // newest first, open or not
		out, err := voters[0].Ledger().Proposals(t.Context(), &ltlv1.ProposalsRequest{All: true, Page: uint32(i) + 1, Size: 1})
		if err != nil || out.GetTotal() != 2 || len(out.GetProposals()) != min(1, 2-i) {
			t.Fatal(i, out, err)
		}
		if want != nil && string(out.GetProposals()[0].GetProposalId()) != string(want) {
			t.Errorf("page %d has %x, want %x", i+1, out.GetProposals()[0].GetProposalId(), want)
		}
	}
	if out := read(make([]byte, 32)); out.GetCode() != rules.NotFound {
		t.Error(out)
	}
	for what, in := range map[string]*ltlv1.ProposalsRequest{
		"an id of 31 bytes": {ProposalId: id[1:]}, "an id and all": {ProposalId: id, All: true, Page: 1, Size: 1},
		"all without a page": {All: true},
	} {
		if _, err = voters[0].Ledger().Proposals(t.Context(), in); status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
}
