package adversary

import (
	"testing"

	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

// TestCorrectionByAStranger: org2's member cannot declare a record of org1's account wrong, whatever it says that the
// record is, and the record stays as it was.
func TestCorrectionByAStranger(t *testing.T) {
	n := testkit.Start(t, testkit.Options{})
	ids := map[string]*ltlv1.Correction{}
	for name, account := range map[string]testkit.Account{"org1's": n.Admin, "org2's": n.Member} {
		r := n.Submit(identity.RoleFacade, n.AttachData(account, "reading", "12.5"))
		ids[name] = &ltlv1.Correction{TransactionId: reading(t, n, account).GetTransactionHash(), Key: n.Key(account, "reading"), BusinessId: r.GetOutput(),
			Reason: "wrong"}
	}
	correct := func(change func(c *ltlv1.Correction)) *ltlv1.Transaction {
		tx := n.AttachData(n.Member, "correction", "1")
		of := ids["org1's"]
		c := &ltlv1.Correction{TransactionId: of.TransactionId, Key: of.Key, BusinessId: of.BusinessId, Reason: of.Reason}
		change(c)
		tx.GetAttachData().Corrects = c
		return tx
	}
	refused(t, n, "org1's record", correct(func(*ltlv1.Correction) {}), rules.Forbidden, "under a Key of another account")
	refused(t, n, "org1's transaction under a Key of its own", correct(func(c *ltlv1.Correction) {
		c.Key, c.BusinessId = ids["org2's"].Key, ids["org2's"].BusinessId
	}), rules.NotFound, "not on this chain")
	refused(t, n, "another Key of its own", correct(func(c *ltlv1.Correction) { c.Key = n.Key(n.Member, "none") }),
		rules.NotFound, "not on this chain")
	own := n.AttachData(n.Member, "correction", "1")
	own.GetAttachData().Corrects = ids["org2's"]
	n.Submit(identity.RoleFacade, own)
	for name, want := range map[string]uint32{"org1's": 0, "org2's": 1} {
		account := map[string]testkit.Account{"org1's": n.Admin, "org2's": n.Member}[name]
		if r := reading(t, n, account); r.GetDeclaredWrong().GetTimes() != want {
			t.Errorf("%s record: %v, want %d corrections", name, r, want)
		}
	}
}

// reading is an account's record.
func reading(t *testing.T, n *testkit.Network, account testkit.Account) *ltlv1.Record {
	t.Helper()
	r, err := n.Client(identity.RoleFacade).Ledger().GetRecord(t.Context(), &ltlv1.GetRecordRequest{
		ChainCode: n.ChainCode, Key: n.Key(account, "reading"), AccountUid: account.UID,
	})
	if err != nil || r.GetCode() != rules.OK {
		t.Fatal(r, err)
	}
	return r.GetRecord()
}
