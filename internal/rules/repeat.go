package rules

import ltlv1 "ltl/proto/ltl/v1"

// A record that is on the chain already is reported as such, whatever has become of the chain since: the caller of a
// repeated upload must learn that the first one was written, not that the quota is full, the term over, the member
// locked, or that the device should sign once more, which would make a second record. See DESIGN.md, "Repeated
// uploads".

// repeatedCode returns the code of a refused transaction: that of a duplicate if the transaction is a repeated upload,
// else the given one. It is called after the account and the submitter were found to be entitled.
func (e *exec) repeatedCode(k *kind, act action, refused int32) (int32, error) {
	if refused != Forbidden && refused != QuotaExceeded {
		return refused, nil // a wrong form, what does not exist, or a duplicate already
	}
	reason := e.reason
	code, err := k.repeated(e, act)
	if err == nil && code == OK {
		code, e.reason = refused, reason
	}
	return code, err
}

func setDataRepeated(e *exec, act action) (int32, error) {
	d := act.tx.GetSetData()
	if checkSetData(act.tx) != OK || !e.ownKey(act.actor, d.GetKey()) {
		return OK, nil
	}
	newest, found, err := e.newestOf(d.GetKey())
	if !found || !newest.locator.Single() || err != nil {
		return OK, err
	}
	if d.GetDevice() == nil {
		return e.refuse(DuplicateKey, ""), nil
	}
	first, found, err := e.signedBefore(d.GetDevice())
	if !found || !samePlace(first.at, newest.locator) || err != nil {
		return OK, err
	}
	return e.refuse(DuplicateKey, reasonRepeated), nil
}

func attachDataRepeated(e *exec, act action) (int32, error) {
	d := act.tx.GetAttachData()
	if checkAttachData(act.tx) != OK || !e.ownKey(act.actor, d.GetKey()) {
		return OK, nil
	}
	if d.GetDevice() == nil {
		if d.GetBusinessId() == "" { // the ledger would assign another one: a new record
			return OK, nil
		}
		_, used, err := e.businessAt(d.GetKey(), d.GetBusinessId())
		if !used || err != nil {
			return OK, err
		}
		return e.refuse(DuplicateKey, ""), nil
	}
	same, err := e.signedUnder(d.GetDevice(), d.GetKey(), func() (Locator, bool, error) {
		return e.businessAt(d.GetKey(), d.GetBusinessId())
	}, d.GetBusinessId() != "")
	if !same || err != nil {
		return OK, err
	}
	return e.refuse(DuplicateKey, reasonRepeated), nil
}

// uploadPhaseDataRepeated also asks for the right to write to the phase. A phase has Keys of several members, and what
// names a record does not say who wrote it. So without a device's signature a locked member, which may not read, learns
// nothing; and a signature counts only if it is by a device of the account's own group.
func uploadPhaseDataRepeated(e *exec, act action) (int32, error) {
	u := act.tx.GetUploadPhaseData()
	if CheckPhaseUpload(u) != OK {
		return OK, nil
	}
	phase, code, err := e.writablePhase(act.actor, u.GetPhaseGroupId(), u.GetPhaseId())
	if code != OK || err != nil {
		return OK, err
	}
	items, _ := PhaseItems(u) // CheckPhaseUpload has read them
	if u.GetDevice() == nil {
		return e.itemsRepeated(act.actor, u, phase, items)
	}
	group, err := e.groupOf(u.GetDevice().GetProductKey())
	if group == nil || group.OwnerID != act.actor.member.ID || err != nil {
		return OK, err
	}
	// The text that was signed covers all items of a list. It does not cover Key and DataSeq of a single one.
	key, seq := PhaseKey(e.chain.Code, phase.Code, items[0].GetDataKey()), items[0].GetDataSeq()
	same, err := e.signedUnder(u.GetDevice(), key, func() (Locator, bool, error) { return e.sequenceAt(key, seq) },
		seq != "")
	if !same || err != nil {
		return OK, err
	}
	return e.refuse(duplicateOf(u), reasonRepeated), nil
}

// itemsRepeated judges an upload that no device signed: it is repeated if each item has a DataSeq that its Key has.
func (e *exec) itemsRepeated(a *actor, u *ltlv1.UploadPhaseData, phase *Phase, items []*ltlv1.PhaseItem) (int32,
	error) {
	if a.member.Status != StatusUnlock {
		return OK, nil
	}
	for _, item := range items {
		if item.GetDataSeq() == "" {
			return OK, nil
		}
		key := PhaseKey(e.chain.Code, phase.Code, item.GetDataKey())
		if _, used, err := e.sequenceAt(key, item.GetDataSeq()); !used || err != nil {
			return OK, err
		}
	}
	return e.refuse(duplicateOf(u), ""), nil
}

// ownKey reports whether a Key is one that the account writes under.
func (e *exec) ownKey(a *actor, key string) bool {
	typeCode, code := CheckKey(e.chain.Code, key)
	return code == OK && typeCode == a.member.TypeCode
}

// signedUse is where the record is that a signed text was accepted with. Its locator has the version under its Key;
// key is known for records of this block only.
type signedUse struct {
	at  Locator
	key string
}

// signedBefore finds the record that the text which a device signed was accepted with.
func (e *exec) signedBefore(p *ltlv1.DeviceProof) (use signedUse, found bool, err error) {
	s, ok := parseDeviceSignature(p.GetSignature())
	if !ok {
		return use, false, nil
	}
	return e.signedAt(s.hash(p))
}

// signedUnder reports whether the text that a device signed was accepted with a record of this Key. If the record is
// named, by a BusinessId or DataSeq, named must find it at the same place.
func (e *exec) signedUnder(p *ltlv1.DeviceProof, key string, named func() (Locator, bool, error),
	isNamed bool) (bool, error) {
	first, found, err := e.signedBefore(p)
	if !found || err != nil {
		return false, err
	}
	var there Locator
	switch {
	case isNamed:
		there, found, err = named()
	case first.key != "":
		return first.key == key, nil
	default:
		there, found, err = e.find(appendVersionKey(e.key[:0], key, first.at.Extra))
	}
	return found && samePlace(first.at, there), err
}

// samePlace reports whether two locators lead to one transaction.
func samePlace(a, b Locator) bool { return a.Height == b.Height && a.Index == b.Index }
