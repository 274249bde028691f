package testkit_test

import (
	"testing"

	"go.uber.org/goleak"

	"ltl/internal/identity"
	"ltl/test/testkit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNetwork(t *testing.T) {
	n := testkit.Start(t, testkit.Options{Verbose: testing.Verbose()})
	first := n.Submit(identity.RoleFacade, n.SetData(n.Member, "first", "1"))
	leader := n.Leader()
	n.StopNode(leader)
	n.StopEndorser(2)
	n.Submit(identity.RoleFacade, n.AttachData(n.Admin, "second", "2"))
	n.RestartNode(leader)
	n.RestartEndorser(2)
	last := n.Submit(identity.RoleClient, n.AttachData(n.Admin, "second", "3"))
	if last.GetBlockHeight() <= first.GetBlockHeight() {
		t.Errorf("the last record is in block %d, the first in %d", last.GetBlockHeight(), first.GetBlockHeight())
	}
	n.CheckLedgers(t)
}
