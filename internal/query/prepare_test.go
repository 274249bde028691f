package query_test

import (
	"bytes"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/proposal"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// TestPrepareProposal: whether a change is proposed depends on who asks: the demotion of a node is an act of its own
// organisation, and a proposal of any other one. What cannot be a change of the system chain is refused.
func TestPrepareProposal(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	demotion := func() *ltlv1.Transaction {
		return &ltlv1.Transaction{ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_ChangeNode{ChangeNode: &ltlv1.ChangeNode{
			Id: "n2", Membership: ltlv1.NodeMembership_NODE_MEMBERSHIP_LEARNER,
		}}}
	}
	for organisation, proposed := range map[string]bool{"org1": true, "org2": false, "org3": true} {
		out, err := proposal.Prepare(t.Context(), n.Operator(organisation), demotion())
		if err != nil || out.GetProposal() != proposed || (out.GetWords() != "") != proposed {
			t.Errorf("an operator of %s: %v, error %v", organisation, out, err)
		}
		network := n.Trust().NetworkID()
		if proposed && (!proto.Equal(out.GetPropose().GetChangeNode(), demotion().GetChangeNode()) ||
			!bytes.Equal(out.GetPropose().GetNetworkId(), network[:])) {
			t.Errorf("an operator of %s would propose %v", organisation, out.GetPropose())
		}
	}
	elsewhere := demotion()
	elsewhere.ChainId = n.ChainID
	if _, err := proposal.Prepare(t.Context(), n.Operator("org1"), elsewhere); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a change of another chain: %v", err)
	}
	asked := &ltlv1.PrepareProposalRequest{Transaction: []byte("nonsense")}
	_, err := n.Operator("org1").Ledger().PrepareProposal(t.Context(), asked)
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("no transaction: %v", err)
	}
}
