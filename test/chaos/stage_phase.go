package chaos

import (
	"context"
	"fmt"

	"ltl/internal/localnet"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
)

// stagePhase makes a collaboration chain with a phase that the administrator and the malicious member write to, and a record
// of the administrator's in it.
func (h *honest) stagePhase(ctx context.Context, member localnet.Account) (p insider.Phase, err error) {
	made, err := h.asOperator(ctx, "the collaboration chain", insider.System(&ltlv1.Transaction{
		Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: "phases",
			Service: ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION, Edition: ltlv1.Edition_EDITION_ENTERPRISE,
			AdministratorUid: h.admin.UID}}}))
	if err != nil {
		return p, err
	}
	p.ChainID = made.GetOutput()
	act := func(what string, tx *ltlv1.Transaction) (string, error) {
		tx.ChainId, tx.AccountUid = p.ChainID, h.admin.UID
		r, err := h.asOperator(ctx, what+" of the collaboration chain", tx)
		return r.GetOutput(), err
	}
	entry, err := act("the malicious member", &ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{
		CreateMember: &ltlv1.CreateMember{MemberUid: member.UID, Name: member.Name, Contact: member.Name,
			Phone: "000-0000", Remark: "malicious"}}})
	if err != nil {
		return p, err
	}
	if p.Group, err = act("the group", &ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhaseGroup{
		CreatePhaseGroup: &ltlv1.CreatePhaseGroup{Name: "group"}}}); err != nil {
		return p, err
	}
	if p.ID, err = act("the phase", &ltlv1.Transaction{Action: &ltlv1.Transaction_CreatePhase{
		CreatePhase: &ltlv1.CreatePhase{PhaseGroupId: p.Group, Name: "phase"}}}); err != nil {
		return p, err
	}
	if _, err = act("the right to write", &ltlv1.Transaction{Action: &ltlv1.Transaction_AuthorizePhases{
		AuthorizePhases: &ltlv1.AuthorizePhases{PhaseGroupId: p.Group, MemberId: entry,
			PhaseIds: []string{p.ID}}}}); err != nil {
		return p, err
	}
	if _, err = act("the administrator's record", &ltlv1.Transaction{Action: &ltlv1.Transaction_UploadPhaseData{
		UploadPhaseData: &ltlv1.UploadPhaseData{PhaseGroupId: p.Group, PhaseId: p.ID, Form: ltlv1.DataForm_DATA_FORM_TEXT,
			Items: []*ltlv1.PhaseItem{{DataKey: "reading", PhaseData: "12.5", DataSeq: "1"}}}}}); err != nil {
		return p, err
	}
	r, err := h.operator().Ledger().GetPhaseRecord(ctx, &ltlv1.GetPhaseRecordRequest{ChainId: p.ChainID,
		AccountUid: h.admin.UID, PhaseGroupId: p.Group, PhaseId: p.ID, DataKey: "reading", DataSeq: "1"})
	if err != nil {
		return p, err
	}
	if r.GetCode() != rules.OK {
		return p, fmt.Errorf("the administrator's record on the collaboration chain: code %d", r.GetCode())
	}
	p.Record = &ltlv1.Correction{TransactionId: r.GetRecord().GetTransactionHash(), Key: r.GetRecord().GetKey(),
		BusinessId: "1", Reason: "wrong"}
	return p, nil
}
