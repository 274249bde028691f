package rules

import (
	"unicode/utf8"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// memberIDLen is the length of an entry's id.
const memberIDLen = 16

// appendUploaderKey appends the key that an upload of phase data has if the entry with that id uploaded it. A phase has
// records of several entries under one Key, and only this says whose a record is.
func appendUploaderKey(b []byte, id ledger.Hash, memberID string) []byte {
	b = append(b, classUploader)
	b = append(b, id[:]...)
	return append(b, memberID...)
}

// UploadedBy reports whether the entry with that id uploaded the phase data of a transaction.
func UploadedBy(v View, chainID string, id ledger.Hash, memberID string) (bool, error) {
	l, err := Locate(v, chainID, appendUploaderKey(nil, id, memberID))
	return l != nil, err
}

// at is the place alone.
func at(l Locator) Locator {
	l.Extra = 0
	return l
}

// phaseCorrectionKey is the key of the newest record that declares the record of a phase with this Key and DataSeq
// wrong. Its locator's extra is how often that was done.
func phaseCorrectionKey(key, dataSeq string) string {
	return string(classCorrection) + key + "\x00" + dataSeq
}

// LocatePhaseCorrection returns where the newest record is that declares the record with this Key and DataSeq wrong, and
// in Extra how often that was done; nil when it never was.
func LocatePhaseCorrection(v View, chainID, key, dataSeq string) (*Locator, error) {
	return Locate(v, chainID, []byte(phaseCorrectionKey(key, dataSeq)))
}

func uploadPhaseDataCorrects(tx *ltlv1.Transaction) *ltlv1.Correction {
	return tx.GetUploadPhaseData().GetCorrects()
}

// checkPhaseCorrection checks the form of the correction in an upload. A batch corrects nothing: one record takes the
// place of one other.
func checkPhaseCorrection(u *ltlv1.UploadPhaseData) int32 {
	c := u.GetCorrects()
	if c == nil {
		return OK
	}
	n := utf8.RuneCountInString(c.GetReason())
	version, _, code, dataKey, ok := splitKey(c.GetKey())
	switch {
	case u.GetBatch(), len(c.GetTransactionId()) != len(ledger.Hash{}), n < 1, n > MaxReason,
		!ok || version != PhaseKeyVersion || len(code) != TypeCodeLen || !validDataName(dataKey, MaxDataKey),
		!ValidDataSeq(c.GetBusinessId()):
		return OutOfRange
	}
	return OK
}

// admitPhaseCorrection judges whether the account may declare a record of a phase wrong: one that its entry uploaded,
// or, as the chain's administrator who says so, any. It writes nothing; when the transaction succeeds, pass the result
// to useCorrection. nil, OK without a correction.
func (e *exec) admitPhaseCorrection(a *actor, u *ltlv1.UploadPhaseData) (*wrongRecord, int32, error) {
	c := u.GetCorrects()
	if c == nil {
		return nil, OK, nil
	}
	if code := checkPhaseCorrection(u); code != OK {
		return nil, e.refuse(code, reasonPhaseCorrectionForm), nil
	}
	id := ledger.Hash(c.GetTransactionId())
	here, found, err := e.find(appendTransactionKey(e.key[:0], id))
	if !found || here.Code() != OK || err != nil {
		return nil, e.refuse(NotFound, reasonCorrectsNothing), err
	}
	record, found, err := e.find(appendSequenceKey(e.key[:0], c.GetKey(), c.GetBusinessId()))
	if !found || !samePlace(here, record) || err != nil {
		return nil, e.refuse(NotFound, reasonCorrectsNothing), err
	}
	if c.GetByAdministrator() {
		found = a.member.Role == RoleAdmin
	} else if _, found, err = e.find(appendUploaderKey(e.key[:0], id, a.member.ID)); err != nil {
		return nil, 0, err
	}
	if !found {
		return nil, e.refuse(Forbidden, reasonPhaseCorrectsForeign), nil
	}
	return e.wrongAt(phaseCorrectionKey(c.GetKey(), c.GetBusinessId()))
}
