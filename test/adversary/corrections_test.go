package adversary

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/ledger"
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
	phaseCorrectionByAStranger(t, n, ids["org2's"])
}

// phaseCorrectionByAStranger: on a collaboration chain, where the records of several members are under one Key, org2's
// member corrects its own and nothing else, even in the phase that both write to. proof is a record of its own on a
// proof chain.
func phaseCorrectionByAStranger(t *testing.T, n *testkit.Network, proof *ltlv1.Correction) {
	p := newPhase(n)
	theirs, own := p.uploads(t, n.Admin, "theirs"), p.uploads(t, n.Member, "own")
	correct := func(of *ltlv1.Correction, change func(*ltlv1.Correction)) *ltlv1.Transaction {
		tx := p.upload(n.Member, "1", "")
		c := proto.CloneOf(of)
		change(c)
		tx.GetUploadPhaseData().Corrects = c
		return tx
	}
	asIs := func(*ltlv1.Correction) {}
	asAdministrator := func(c *ltlv1.Correction) { c.ByAdministrator = true }
	refused(t, n, "org1's record", correct(theirs, asIs), rules.Forbidden, "uploaded by another member")
	refused(t, n, "org1's record as the administrator", correct(theirs, asAdministrator), rules.Forbidden,
		"uploaded by another member")
	refused(t, n, "org1's record by its own transaction", correct(theirs, func(c *ltlv1.Correction) {
		c.TransactionId = own.TransactionId
	}), rules.NotFound, "not on this chain")
	refused(t, n, "a record of the proof chain", correct(proof, asIs), rules.OutOfRange, "")
	refused(t, n, "a transaction of the proof chain", correct(own, func(c *ltlv1.Correction) {
		c.TransactionId = proof.TransactionId
	}), rules.NotFound, "not on this chain")
	there := n.AttachData(n.Member, "correction", "1")
	there.GetAttachData().Corrects = own
	refused(t, n, "a record of this chain on the proof chain", there, rules.NotFound, "not on this chain")
	inName := correct(theirs, asAdministrator)
	inName.AccountUid = n.Admin.UID
	refusedWith(t, "in the administrator's name", n.Operator("org2"), inName, rules.NotEntitled, "")

	n.Submit(identity.RoleFacade, correct(own, asIs))
	byAdmin := p.upload(n.Admin, "2", "administrator")
	byAdmin.GetUploadPhaseData().Corrects = proto.CloneOf(own)
	byAdmin.GetUploadPhaseData().Corrects.ByAdministrator = true
	r := n.Submit(identity.RoleFacade, byAdmin)
	id := p.read(t, n.Admin, r.GetOutput()).GetTransactionHash()
	refused(t, n, "the administrator's correction of its record", correct(own, func(c *ltlv1.Correction) {
		c.TransactionId, c.BusinessId = id, r.GetOutput()
	}), rules.Forbidden, "uploaded by another member")
	for seq, want := range map[string]uint32{"theirs": 0, "own": 2, "administrator": 0} {
		if r := p.read(t, n.Member, seq); r.GetDeclaredWrong().GetTimes() != want {
			t.Errorf("the record %s: %v, want %d corrections", seq, r, want)
		}
	}
}

// phase is one of a collaboration chain that org1's administrator and org2's member write to.
type phase struct {
	n                *testkit.Network
	chain, group, id string
}

func newPhase(n *testkit.Network) *phase {
	p := &phase{n: n}
	p.chain = n.Submit(identity.RoleOperator, &ltlv1.Transaction{ChainId: ledger.SystemChain,
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: "collaboration",
			Service: ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, Edition: ltlv1.Edition_EDITION_ENTERPRISE,
			AdministratorUid: n.Admin.UID, Organisations: []string{"org1", "org2", "org3"}}}}).GetOutput()
	act := func(tx *ltlv1.Transaction) string {
		tx.ChainId, tx.AccountUid = p.chain, n.Admin.UID
		return n.Submit(identity.RoleFacade, tx).GetOutput()
	}
	member := act(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
		MemberUid: n.Member.UID, Name: "member", Contact: "contact", Phone: "123456"}}})
	p.group = act(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhaseGroup{CreatePhaseGroup: &ltlv1.CreatePhaseGroup{
		Name: "group"}}})
	p.id = act(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhase{CreatePhase: &ltlv1.CreatePhase{
		PhaseGroupId: p.group, Name: "phase"}}})
	act(&ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizePhases{AuthorizePhases: &ltlv1.AuthorizePhases{
		PhaseGroupId: p.group, MemberId: member, PhaseIds: []string{p.id}}}})
	return p
}

func (p *phase) upload(a testkit.Account, data, seq string) *ltlv1.Transaction {
	return &ltlv1.Transaction{ChainId: p.chain, AccountUid: a.UID, Action: &ltlv1.Transaction_UploadPhaseData{
		UploadPhaseData: &ltlv1.UploadPhaseData{PhaseGroupId: p.group, PhaseId: p.id, Form: ltlv1.DataForm_DATA_FORM_TEXT,
			Items: []*ltlv1.PhaseItem{{DataKey: "reading", PhaseData: data, DataSeq: seq}}}}}
}

// uploads writes a record and returns what a correction names it by.
func (p *phase) uploads(t *testing.T, a testkit.Account, seq string) *ltlv1.Correction {
	t.Helper()
	p.n.Submit(identity.RoleFacade, p.upload(a, "12.5", seq))
	r := p.read(t, a, seq)
	return &ltlv1.Correction{TransactionId: r.GetTransactionHash(), Key: r.GetKey(), BusinessId: seq, Reason: "wrong"}
}

func (p *phase) read(t *testing.T, a testkit.Account, seq string) *ltlv1.PhaseRecord {
	t.Helper()
	r, err := p.n.Client(identity.RoleFacade).Ledger().GetPhaseRecord(t.Context(), &ltlv1.GetPhaseRecordRequest{
		ChainId: p.chain, AccountUid: a.UID, PhaseGroupId: p.group, PhaseId: p.id, DataKey: "reading", DataSeq: seq,
	})
	if err != nil || r.GetCode() != rules.OK {
		t.Fatal(r, err)
	}
	return r.GetRecord()
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
