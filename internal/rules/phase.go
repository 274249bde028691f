package rules

import (
	"slices"

	ltlv1 "ltl/proto/ltl/v1"
)

func checkCreatePhaseGroup(tx *ltlv1.Transaction) int32 {
	return checkNamed(tx.GetCreatePhaseGroup().GetName(), tx.GetCreatePhaseGroup().GetRemark())
}

func checkModifyPhaseGroup(tx *ltlv1.Transaction) int32 {
	return checkNamed(tx.GetModifyPhaseGroup().GetName(), tx.GetModifyPhaseGroup().GetRemark())
}

func checkCreatePhase(tx *ltlv1.Transaction) int32 {
	return checkNamed(tx.GetCreatePhase().GetName(), tx.GetCreatePhase().GetRemark())
}

func checkModifyPhase(tx *ltlv1.Transaction) int32 {
	return checkNamed(tx.GetModifyPhase().GetName(), tx.GetModifyPhase().GetRemark())
}

func checkAuthorizePhases(tx *ltlv1.Transaction) int32 {
	return checkDistinct(tx.GetAuthorizePhases().GetPhaseIds())
}

func checkNamed(name, remark string) int32 {
	if !ValidName(name) || !ValidRemark(remark) {
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

func (e *exec) createPhaseGroup(act action) (int32, string, error) {
	c := act.tx.GetCreatePhaseGroup()
	totals, err := GetPhaseTotals(e, e.chain.ID)
	if err != nil {
		return 0, "", err
	}
	if totals.Groups+1 > e.chain.PhaseGroupQuota {
		return QuotaExceeded, "", nil
	}
	made := PhaseGroup{Name: c.GetName(), Remark: c.GetRemark(), CreatedHeight: act.here.Height,
		CreatedIndex: act.here.Index}
	made.ID, err = firstFree(act.id, forPhaseGroup, digits16,
		func(s string) (bool, error) { return e.exists(prefixPhaseGroup + s) })
	if err != nil {
		return 0, "", err
	}
	totals.Groups++
	e.put(prefixPhaseGroup+made.ID, made.encode())
	e.put(keyPhaseTotals, totals.encode())
	return OK, made.ID, nil
}

func (e *exec) modifyPhaseGroup(act action) (int32, string, error) {
	m := act.tx.GetModifyPhaseGroup()
	group, err := GetPhaseGroup(e, e.chain.ID, m.GetPhaseGroupId())
	if group == nil || err != nil {
		return NotFound, "", err
	}
	group.Name = m.GetName()
	if m.Remark != nil {
		group.Remark = m.GetRemark()
	}
	e.put(prefixPhaseGroup+group.ID, group.encode())
	return OK, "", nil
}

func (e *exec) createPhase(act action) (int32, string, error) {
	c := act.tx.GetCreatePhase()
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
	made := Phase{GroupID: group.ID, Name: c.GetName(), Remark: c.GetRemark(), CreatedHeight: act.here.Height,
		CreatedIndex: act.here.Index}
	made.ID, err = firstFree(act.id, forPhase, digits16, func(s string) (bool, error) { return e.exists(prefixPhase + s) })
	if err != nil {
		return 0, "", err
	}
	spell := func(h [32]byte) string { return letters(h, TypeCodeLen, hexadecimal) }
	made.Code, err = firstFree(act.id, forPhaseCode, spell,
		func(s string) (bool, error) { return e.exists(prefixPhaseCode + s) })
	if err != nil {
		return 0, "", err
	}
	group.Phases = append(group.Phases, made.ID)
	totals.Phases++
	e.put(prefixPhase+made.ID, made.encode())
	e.put(prefixPhaseCode+made.Code, []byte(made.ID))
	e.put(prefixPhaseGroup+group.ID, group.encode())
	e.put(keyPhaseTotals, totals.encode())
	return OK, made.ID, nil
}

func (e *exec) modifyPhase(act action) (int32, string, error) {
	m := act.tx.GetModifyPhase()
	phase, err := GetPhase(e, e.chain.ID, m.GetPhaseId())
	if phase == nil || err != nil {
		return NotFound, "", err
	}
	phase.Name = m.GetName()
	if m.Remark != nil {
		phase.Remark = m.GetRemark()
	}
	e.put(prefixPhase+phase.ID, phase.encode())
	return OK, "", nil
}

// authorizePhases replaces the phases of one group that a member may write to.
func (e *exec) authorizePhases(act action) (int32, string, error) {
	p := act.tx.GetAuthorizePhases()
	group, err := GetPhaseGroup(e, e.chain.ID, p.GetPhaseGroupId())
	if group == nil || err != nil {
		return NotFound, "", err
	}
	m, err := MemberByID(e, e.chain, p.GetMemberId())
	switch {
	case m == nil || err != nil:
		return NotFound, "", err
	case m.Role == RoleAdmin:
		return e.refuse(Forbidden, reasonAllPhases), "", nil
	}
	known := make(map[string]bool, len(group.Phases))
	for _, id := range group.Phases {
		known[id] = true
	}
	if slices.ContainsFunc(p.GetPhaseIds(), func(id string) bool { return !known[id] }) {
		return e.refuse(NotFound, reasonUnknownPhases), "", nil
	}
	right := permission{phases: p.GetPhaseIds()}
	e.put(permissionKey(m.ID, group.ID), right.encode())
	return OK, "", nil
}
