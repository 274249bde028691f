package rules

import (
	"encoding/hex"
	"slices"
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func checkUploadPhaseData(tx *ltlv1.Transaction) int32 {
	return CheckPhaseUpload(tx.GetUploadPhaseData())
}

func uploadPhaseDataDevice(tx *ltlv1.Transaction) *ltlv1.DeviceProof {
	return tx.GetUploadPhaseData().GetDevice()
}

// uploadPhaseDataOutput returns the DataSeqs of the upload's records, joined by commas.
func uploadPhaseDataOutput(tx *ltlv1.Transaction, id ledger.Hash) string {
	items, _ := PhaseItems(tx.GetUploadPhaseData()) // it succeeded, so its items can be read
	return strings.Join(DataSeqs(id, items), ",")
}

// uploadPhaseData writes one record, or all records of a batch or none. It checks everything before it writes, so the
// records that an upload refers to were on the chain before it.
func (e *exec) uploadPhaseData(act action) (int32, string, error) {
	u := act.tx.GetUploadPhaseData()
	if e.timeMs < e.chain.EffectiveMs {
		return e.refuse(Forbidden, reasonNotEffective), "", nil
	}
	phase, code, err := e.writablePhase(act.actor, u.GetPhaseGroupId(), u.GetPhaseId())
	if code != OK || err != nil {
		return code, "", err
	}
	items, code := PhaseItems(u)
	if code == OK {
		code = checkPhaseItems(u, items)
	}
	if code != OK {
		return code, "", nil
	}
	for _, item := range items {
		for _, r := range item.GetRelated() {
			if code, err := e.findRelated(phase.GroupID, r); code != OK || err != nil {
				return code, "", err
			}
		}
	}
	payload, signed := signedPayload(u)
	if !signed && u.GetDevice() != nil {
		return CheckPhaseUpload(u), "", nil
	}
	device, code, err := e.admitDevice(act, u.GetDevice(), CheckPhaseProof(u.GetDevice(), payload, itself(u)))
	if code != OK || err != nil {
		return code, "", err
	}
	wrong, code, err := e.admitPhaseCorrection(act.actor, u)
	if code != OK || err != nil {
		return code, "", err
	}
	keys, seqs := make([]string, len(items)), DataSeqs(act.id, items)
	for i, item := range items {
		keys[i] = PhaseKey(e.chain.Code, phase.Code, item.GetDataKey())
		if _, used, err := e.sequenceAt(keys[i], seqs[i]); used || err != nil {
			return duplicateOf(u), "", err
		}
	}
	bytes := 0
	for _, item := range items {
		bytes += len(item.GetPhaseData())
	}
	if code, err := e.quotaLeft(len(items), bytes); code != OK || err != nil {
		return code, "", err
	}
	old, _, err := e.newestOf(keys[0])
	if err != nil {
		return 0, "", err
	}
	first := act.here
	first.Extra = old.locator.Version() + 1
	for i, key := range keys {
		if err := e.addPhaseRecord(key, seqs[i], act.here); err != nil {
			return 0, "", err
		}
	}
	e.writeLocator(appendUploaderKey(e.room(1+len(act.id)+memberIDLen), act.id, act.actor.member.ID), at(act.here))
	e.chargeRecords(act.actor, len(items), bytes)
	e.useDevice(device, first, keys[0])
	e.useCorrection(wrong, act.here)
	return OK, strings.Join(seqs, ","), nil
}

func duplicateOf(u *ltlv1.UploadPhaseData) int32 {
	if u.GetBatch() {
		return BatchDuplicateKey
	}
	return DuplicateKey
}

// writablePhase finds a phase of the group, and judges whether the account may write to it.
func (e *exec) writablePhase(a *actor, groupID, phaseID string) (*Phase, int32, error) {
	phase, err := GetPhase(e, e.chain.ID, phaseID)
	if phase == nil || phase.GroupID != groupID || err != nil {
		return nil, e.refuse(NotFound, reasonNoPhase), err
	}
	if a.member.Role == RoleAdmin {
		return phase, OK, nil
	}
	right, err := load(e, e.chain.ID, permissionKey(a.member.ID, groupID), parsePermission)
	if err != nil {
		return nil, 0, err
	}
	if right != nil && slices.Contains(right.phases, phaseID) {
		return phase, OK, nil
	}
	return nil, e.refuse(Forbidden, reasonNoPermission), nil
}

// findRelated checks that the record which another one refers to is on the chain.
func (e *exec) findRelated(groupID string, r *ltlv1.RelatedData) (int32, error) {
	phase, err := GetPhase(e, e.chain.ID, r.GetPhaseId())
	if phase == nil || phase.GroupID != groupID || err != nil {
		return e.refuse(NotFound, reasonRelatedPhase), err
	}
	dataKey, code := PlainDataKey(e.chain, phase, r.GetDataKey())
	if code != OK {
		return e.refuse(code, reasonRelatedKey), nil
	}
	key, found := PhaseKey(e.chain.Code, phase.Code, dataKey), false
	if r.GetDataSeq() == "" {
		_, found, err = e.newestOf(key)
	} else {
		_, found, err = e.sequenceAt(key, r.GetDataSeq())
	}
	if !found {
		return e.refuse(NotFound, reasonRelatedRecord), err
	}
	return OK, err
}

// addPhaseRecord writes the next version of a Key, as attachData does.
func (e *exec) addPhaseRecord(key, seq string, here Locator) error {
	old, _, err := e.newestOf(key)
	if err != nil {
		return err
	}
	here.Extra = old.locator.Version() + 1
	e.setNewest(key, here, old.at)
	e.writeLocator(appendVersionKey(e.room(6+len(key)), key, here.Extra), here)
	e.business[[2]string{key, seq}] = here
	e.writeLocator(appendSequenceKey(e.room(2+len(key)+len(seq)), key, seq), here)
	return nil
}

// sequenceAt finds the record of a Key with this DataSeq. Unlike that of a BusinessId, its case matters. The two kinds
// of Keys differ in their version part.
func (e *exec) sequenceAt(key, seq string) (Locator, bool, error) {
	if l, ok := e.business[[2]string{key, seq}]; ok {
		return l, true, nil
	}
	return e.find(appendSequenceKey(e.key[:0], key, seq))
}

// DataSeqs returns the DataSeqs of an upload's records: the caller's, or those that the ledger derives from the
// transaction id.
func DataSeqs(id ledger.Hash, items []*ltlv1.PhaseItem) []string {
	seqs := make([]string, len(items))
	for i, item := range items {
		if seqs[i] = item.GetDataSeq(); seqs[i] == "" {
			h := derive(id, forDataSeq, uint32(i))
			seqs[i] = hex.EncodeToString(h[:])
		}
	}
	return seqs
}
