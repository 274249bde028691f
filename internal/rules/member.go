package rules

import ltlv1 "ltl/proto/ltl/v1"

func checkCreateMember(tx *ltlv1.Transaction) int32 {
	m := tx.GetCreateMember()
	return checkMember(m.GetMemberUid(), m.GetName(), m.GetContact(), m.GetPhone(), m.GetRemark())
}

func checkMember(uid, name, contact, phone, remark string) int32 {
	if !ValidUID(uid) || !ValidName(name) || !ValidName(contact) || !ValidPhone(phone) || !ValidRemark(remark) {
		return OutOfRange
	}
	return OK
}

func checkModifyMember(tx *ltlv1.Transaction) int32 {
	m := tx.GetModifyMember()
	return checkMember(m.GetMemberUid(), m.GetName(), m.GetContact(), m.GetPhone(), m.GetRemark())
}

func (e *exec) createMember(act action) (int32, string, error) {
	m := act.tx.GetCreateMember()
	target, code, err := e.newcomer(m.GetMemberUid())
	if code != OK || err != nil {
		return code, "", err
	}
	if err := e.openTotal(); err != nil {
		return 0, "", err
	}
	if e.total.usage.Members+1 > min(e.chain.MemberQuota, maxMembers) {
		return QuotaExceeded, "", nil
	}
	made := &Member{
		UID: target.uid, Name: m.GetName(), Contact: m.GetContact(), Phone: m.GetPhone(), Remark: m.GetRemark(),
		Role: RoleMember, Status: StatusUnlock, CreatedMs: e.timeMs, CreatedHeight: act.here.Height,
		CreatedIndex: act.here.Index,
	}
	made.ID, err = firstFree(act.id, forMember, digits16, func(s string) (bool, error) {
		used, err := e.exists(prefixMemberID + s)
		return used || s == e.chain.AdministratorMemberID, err
	})
	if err != nil {
		return 0, "", err
	}
	made.TypeCode, err = firstFree(act.id, forTypeCode, spellTypeCode, func(s string) (bool, error) {
		used, err := e.exists(prefixTypeCode + s)
		return used || s == e.chain.AdministratorTypeCode, err
	})
	if err != nil {
		return 0, "", err
	}
	e.putMember(target, made)
	// The output is written here, and not only by apply: its place among the block's writes, before the usage, is
	// covered by the writes hash.
	e.put(outputKey(act.id), []byte(made.ID))
	e.charge(e.total, 0, 0, 1)
	return OK, made.ID, nil
}

func spellTypeCode(h [32]byte) string { return letters(h, TypeCodeLen, capitals) }

// newcomer judges whether an account may become a member.
func (e *exec) newcomer(uid string) (target *actor, code int32, err error) {
	if target, err = e.actor(uid); err != nil {
		return nil, 0, err
	}
	switch {
	case target.account == nil:
		return nil, NotFound, nil
	case target.account.Type != ltlv1.AccountType_ACCOUNT_TYPE_RAM:
		return nil, NotRAM, nil
	case target.member != nil:
		return nil, e.refuse(Conflict, reasonOnChain), nil
	}
	return target, OK, nil
}

// putMember writes an entry and the index from its id and its type code.
func (e *exec) putMember(target *actor, m *Member) {
	e.put(prefixMember+m.UID, m.encode())
	e.put(prefixMemberID+m.ID, []byte(m.UID))
	e.put(prefixTypeCode+m.TypeCode, []byte(m.UID))
	target.member = m
}

// managed finds the member that the administrator wants to change. The administrator's own entry is on the system
// chain and cannot be changed here.
func (e *exec) managed(id string) (target *actor, code int32, err error) {
	switch {
	case id == e.chain.AdministratorMemberID:
		return nil, e.refuse(Forbidden, reasonOwnEntry), nil
	case !validAssignedID(id):
		return nil, NotFound, nil
	}
	uid, err := e.get(prefixMemberID + id)
	if uid == nil || err != nil {
		return nil, NotFound, err
	}
	if target, err = e.actor(string(uid)); err != nil {
		return nil, 0, err
	}
	if target.member == nil {
		// Impossible in a block. An endorser's copy may receive, during a preview, the block in which another account takes
		// over the entry.
		return nil, NotFound, nil
	}
	return target, OK, nil
}

// modifyMember replaces a member's data. Another uid takes over the whole entry: its id, its type code, its usage,
// and what else belongs to the id. The former account is no longer on the chain; its uid is the output.
func (e *exec) modifyMember(act action) (int32, string, error) {
	m := act.tx.GetModifyMember()
	target, code, err := e.managed(m.GetMemberId())
	if err != nil || code == Forbidden {
		return code, "", err
	}
	if form := checkModifyMember(act.tx); form != OK {
		return form, "", nil
	}
	if code != OK {
		return code, "", nil
	}
	to := target
	if m.GetMemberUid() != target.uid {
		if to, code, err = e.newcomer(m.GetMemberUid()); code != OK || err != nil {
			return code, "", err
		}
	}
	changed := *target.member
	changed.UID, changed.Name, changed.Contact, changed.Phone = m.GetMemberUid(), m.GetName(), m.GetContact(), m.GetPhone()
	if m.Remark != nil {
		changed.Remark = m.GetRemark()
	}
	if to == target {
		e.put(prefixMember+changed.UID, changed.encode())
		target.member = &changed
		return OK, "", nil
	}
	e.put(prefixMember+target.uid, []byte(former))
	target.member = nil
	e.putMember(to, &changed)
	if u := target.usage.usage; u.Count > 0 || u.Bytes > 0 {
		e.charge(to.usage, u.Count, u.Bytes, 0)
		e.charge(target.usage, -u.Count, -u.Bytes, 0)
	}
	return OK, target.uid, nil
}

// lockMember locks or unlocks a member. Repeating it changes nothing.
func (e *exec) lockMember(act action) (int32, string, error) {
	m := act.tx.GetLockMember()
	target, code, err := e.managed(m.GetMemberId())
	if code != OK || err != nil {
		return code, "", err
	}
	status := StatusUnlock
	if m.GetLocked() {
		status = StatusLock
	}
	if target.member.Status == status {
		return OK, "", nil
	}
	changed := *target.member
	changed.Status = status
	e.put(prefixMember+changed.UID, changed.encode())
	target.member = &changed
	return OK, "", nil
}
