package rules

import (
	"slices"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Sentences as in reasons.go.
const (
	reasonNotCollaboration = "This is no collaboration chain; use the Actions of its own service."
	reasonNoPermission     = "The account may read this phase, but not write to it; ask the chain's administrator to call UpdateMPCoSAuthorizedInfo."
	reasonAllPhases        = "The administrator may write to every phase; its authorisation cannot be changed."
	reasonNoPhase          = "There is no such phase in this phase group."
	reasonRelatedPhase     = "Related data must belong to phases of the same phase group; a relatedPhaseId names none of them."
	reasonRelatedKey       = "A relatedDataKey in its whole form, 0002_chain code_type code_data key, is not of this chain and its relatedPhaseId."
	reasonRelatedRecord    = "A record that is referred to was not on the chain before this upload; check relatedDataKey and relatedDataSeq."
	reasonUnknownPhases    = "The list names a phase that this phase group does not have."
)

// applyCollaboration runs the rules of the actions of collaboration chains.
func (e *exec) applyCollaboration(a *actor, tx *ltlv1.Transaction, id ledger.Hash, here Locator) (code int32, output string, err error) {
	if !CollaborationChain(e.chain) {
		return e.refuse(NotFound, reasonNotCollaboration), "", nil
	}
	if act, ok := tx.GetAction().(*ltlv1.Transaction_UploadPhaseData); ok {
		return e.uploadPhaseData(a, act.UploadPhaseData, id, here)
	}
	if a.member.Role != RoleAdmin {
		return e.refuse(Forbidden, reasonAdministrator), "", nil
	}
	if code := checkCollaboration(tx); code != OK {
		return code, "", nil
	}
	switch act := tx.GetAction().(type) {
	case *ltlv1.Transaction_CreatePhaseGroup:
		return e.createPhaseGroup(act.CreatePhaseGroup, id, here)
	case *ltlv1.Transaction_ModifyPhaseGroup:
		code, err = e.modifyPhaseGroup(act.ModifyPhaseGroup)
	case *ltlv1.Transaction_CreatePhase:
		return e.createPhase(act.CreatePhase, id, here)
	case *ltlv1.Transaction_ModifyPhase:
		code, err = e.modifyPhase(act.ModifyPhase)
	case *ltlv1.Transaction_AuthorizePhases:
		code, err = e.authorizePhases(act.AuthorizePhases)
	default:
		code = Malformed
	}
	return code, "", err
}

// checkCollaboration is Check for the actions of collaboration chains.
func checkCollaboration(tx *ltlv1.Transaction) int32 {
	switch a := tx.GetAction().(type) {
	case *ltlv1.Transaction_CreatePhaseGroup:
		return checkNamed(a.CreatePhaseGroup.GetName(), a.CreatePhaseGroup.GetRemark())
	case *ltlv1.Transaction_ModifyPhaseGroup:
		return checkNamed(a.ModifyPhaseGroup.GetName(), a.ModifyPhaseGroup.GetRemark())
	case *ltlv1.Transaction_CreatePhase:
		return checkNamed(a.CreatePhase.GetName(), a.CreatePhase.GetRemark())
	case *ltlv1.Transaction_ModifyPhase:
		return checkNamed(a.ModifyPhase.GetName(), a.ModifyPhase.GetRemark())
	case *ltlv1.Transaction_AuthorizePhases:
		return checkDistinct(a.AuthorizePhases.GetPhaseIds())
	case *ltlv1.Transaction_UploadPhaseData:
		return CheckPhaseUpload(a.UploadPhaseData)
	}
	return Malformed
}

func checkNamed(name, remark string) int32 {
	if !validName(name) || !validRemark(remark) {
		return OutOfRange
	}
	return OK
}

func checkDistinct(list []string) int32 {
	seen := make(map[string]bool, len(list))
	for _, s := range list {
		if seen[s] {
			return OutOfRange
		}
		seen[s] = true
	}
	return OK
}

func (e *exec) createPhaseGroup(c *ltlv1.CreatePhaseGroup, id ledger.Hash, here Locator) (int32, string, error) {
	totals, err := GetPhaseTotals(e, e.chain.ID)
	if err != nil {
		return 0, "", err
	}
	if totals.Groups+1 > e.chain.PhaseGroupQuota {
		return QuotaExceeded, "", nil
	}
	made := PhaseGroup{Name: c.GetName(), Remark: c.GetRemark(), CreatedHeight: here.Height, CreatedIndex: here.Index}
	made.ID, err = firstFree(id, forPhaseGroup, digits16, func(s string) (bool, error) { return e.exists(prefixPhaseGroup + s) })
	if err != nil {
		return 0, "", err
	}
	totals.Groups++
	e.put(prefixPhaseGroup+made.ID, made.encode())
	e.put(keyPhaseTotals, totals.encode())
	e.put(outputKey(id), []byte(made.ID))
	return OK, made.ID, nil
}

func (e *exec) modifyPhaseGroup(m *ltlv1.ModifyPhaseGroup) (int32, error) {
	group, err := GetPhaseGroup(e, e.chain.ID, m.GetPhaseGroupId())
	if group == nil || err != nil {
		return NotFound, err
	}
	group.Name = m.GetName()
	if m.Remark != nil {
		group.Remark = m.GetRemark()
	}
	e.put(prefixPhaseGroup+group.ID, group.encode())
	return OK, nil
}

func (e *exec) createPhase(c *ltlv1.CreatePhase, id ledger.Hash, here Locator) (int32, string, error) {
	group, err := GetPhaseGroup(e, e.chain.ID, c.GetPhaseGroupId())
	if group == nil || err != nil {
		return NotFound, "", err
	}
	totals, err := GetPhaseTotals(e, e.chain.ID)
	if err != nil {
		return 0, "", err
	}
	if uint64(len(group.Phases))+1 > e.chain.PhaseQuota || totals.Phases+1 > maxPhases {
		return QuotaExceeded, "", nil
	}
	made := Phase{GroupID: group.ID, Name: c.GetName(), Remark: c.GetRemark(), CreatedHeight: here.Height, CreatedIndex: here.Index}
	made.ID, err = firstFree(id, forPhase, digits16, func(s string) (bool, error) { return e.exists(prefixPhase + s) })
	if err != nil {
		return 0, "", err
	}
	spell := func(h [32]byte) string { return letters(h, TypeCodeLen, hexadecimal) }
	made.Code, err = firstFree(id, forPhaseCode, spell, func(s string) (bool, error) { return e.exists(prefixPhaseCode + s) })
	if err != nil {
		return 0, "", err
	}
	group.Phases = append(group.Phases, made.ID)
	totals.Phases++
	e.put(prefixPhase+made.ID, made.encode())
	e.put(prefixPhaseCode+made.Code, []byte(made.ID))
	e.put(prefixPhaseGroup+group.ID, group.encode())
	e.put(keyPhaseTotals, totals.encode())
	e.put(outputKey(id), []byte(made.ID))
	return OK, made.ID, nil
}

func (e *exec) modifyPhase(m *ltlv1.ModifyPhase) (int32, error) {
	phase, err := GetPhase(e, e.chain.ID, m.GetPhaseId())
	if phase == nil || err != nil {
		return NotFound, err
	}
	phase.Name = m.GetName()
	if m.Remark != nil {
		phase.Remark = m.GetRemark()
	}
	e.put(prefixPhase+phase.ID, phase.encode())
	return OK, nil
}

// authorizePhases replaces what a member may write to in one group; other groups are untouched.
func (e *exec) authorizePhases(p *ltlv1.AuthorizePhases) (int32, error) {
	group, err := GetPhaseGroup(e, e.chain.ID, p.GetPhaseGroupId())
	if group == nil || err != nil {
		return NotFound, err
	}
	m, err := MemberByID(e, e.chain, p.GetMemberId())
	switch {
	case m == nil || err != nil:
		return NotFound, err
	case m.Role == RoleAdmin:
		return e.refuse(Forbidden, reasonAllPhases), nil
	}
	known := make(map[string]bool, len(group.Phases))
	for _, id := range group.Phases {
		known[id] = true
	}
	if slices.ContainsFunc(p.GetPhaseIds(), func(id string) bool { return !known[id] }) {
		return e.refuse(NotFound, reasonUnknownPhases), nil
	}
	right := permission{phases: p.GetPhaseIds()}
	e.put(permissionKey(m.ID, group.ID), right.encode())
	return OK, nil
}
