package testkit_test

import (
	"net"
	"testing"
	"time"

	"ltl/internal/identity"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// TestNodeMoves: while records are written, the leader's address is changed on the ledger and the node comes back at
// the new one; the other nodes, the endorsers and the clients find it there, without a restart. Then another node
// stops, so that every write needs the one that moved.
func TestNodeMoves(t *testing.T) {
	moves, address := -1, ""
	n := testkit.Start(t, testkit.Options{Node: func(i int, cfg *node.Config) {
		if i == moves {
			cfg.Listen = address
		}
	}})
	l := startLoad(t, n)
	l.progress("started")
	i := n.Leader()
	id := n.Trust().Genesis().GetNodes()[i].GetId()
	organisation := n.Trust().Genesis().GetNodes()[i].GetOrganisation()
	address = freeAddress(t)
	n.SubmitAs(n.Operator(organisation), &ltlv1.Transaction{Action: &ltlv1.Transaction_SetNodeAddress{
		SetNodeAddress: &ltlv1.SetNodeAddress{Id: id, Address: address},
	}})
	l.progress("address recorded")
	n.StopNode(i)
	l.progress("node stopped at its former address")
	moves = i
	n.RestartNode(i)
	l.progress("node started at its new address")
	testkit.WaitFor(t, 20*time.Second, "a client reads from the node at its new address", func() bool {
		st, err := n.Client(identity.RoleOperator).Ledger().Status(t.Context(), id)
		return err == nil && st.GetFault() == ""
	})
	fresh := n.OperatorOf("org1")
	if _, err := fresh.Ledger().GetNetwork(t.Context(), &ltlv1.GetNetworkRequest{}); err != nil {
		t.Error(err)
	}
	if st, err := fresh.Ledger().Status(t.Context(), id); err != nil { // as a command that begins with the genesis asks
		t.Errorf("the node that moved, asked by a client that has just read the network: %v, %v", st, err)
	}
	n.StopNode((i + 1) % 3)
	l.progress("another node stopped, so that the one that moved is needed")
	n.RestartNode((i + 1) % 3)
	l.finish()
}

// freeAddress is an address that is free now.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}
