package rules

import (
	"unicode/utf8"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// correctionKey is the key of the newest record that declares the record of a transaction wrong. Its locator's extra is
// how often that was done.
func correctionKey(id ledger.Hash) string { return string(classCorrection) + string(id[:]) }

// LocateCorrection returns where the newest record is that declares the record of a transaction wrong, and in Extra how
// often that was done; nil when it never was.
func LocateCorrection(v View, chainID string, id ledger.Hash) (*Locator, error) {
	return Locate(v, chainID, []byte(correctionKey(id)))
}

// CorrectionOf returns the record that a transaction declares wrong; nil when it declares none.
func CorrectionOf(tx *ltlv1.Transaction) *ltlv1.Correction {
	if k := kindOf(tx); k != nil && k.corrects != nil {
		return k.corrects(tx)
	}
	return nil
}

// ByAdministrator reports whether a correction is by the chain's administrator and not by the account whose record the
// wrong one is. key is that of the correcting record.
func ByAdministrator(c *ltlv1.Correction, key string) bool {
	version, _, wrong, _, _ := splitKey(c.GetKey())
	if version == PhaseKeyVersion {
		return c.GetByAdministrator()
	}
	_, _, own, _, _ := splitKey(key)
	return wrong != own
}

// checkCorrection checks the form of a correction; nil is none.
func checkCorrection(c *ltlv1.Correction) int32 {
	if c == nil {
		return OK
	}
	n := utf8.RuneCountInString(c.GetReason())
	if _, _, _, _, ok := splitKey(c.GetKey()); !ok || len(c.GetTransactionId()) != len(ledger.Hash{}) || n < 1 ||
		n > MaxReason || c.GetByAdministrator() { // the Keys say so
		return OutOfRange
	}
	return OK
}

// wrongRecord is a record that is to be declared wrong.
type wrongRecord struct {
	// key is that of its corrections.
	key string
	// times is how often it has been declared wrong before.
	times uint32
}

// admitCorrection judges whether the account may declare a record wrong: its own, or, as the chain's administrator, any.
// It writes nothing; when the transaction succeeds, pass the result to useCorrection. nil, OK without a correction.
func (e *exec) admitCorrection(a *actor, c *ltlv1.Correction) (*wrongRecord, int32, error) {
	if c == nil {
		return nil, OK, nil
	}
	if code := checkCorrection(c); code != OK {
		return nil, e.refuse(code, reasonCorrectionForm), nil
	}
	typeCode, code := CheckKey(e.chain.Code, c.GetKey())
	if code != OK {
		return nil, e.refuse(NotFound, reasonCorrectsNothing), nil
	}
	if typeCode != a.member.TypeCode && a.member.Role != RoleAdmin {
		return nil, e.refuse(Forbidden, reasonCorrectsForeign), nil
	}
	id := ledger.Hash(c.GetTransactionId())
	if there, err := e.isRecord(id, c.GetKey(), c.GetBusinessId()); !there || err != nil {
		return nil, e.refuse(NotFound, reasonCorrectsNothing), err
	}
	return e.wrongAt(correctionKey(id))
}

// wrongAt is a record that may be declared wrong, whose corrections have that key.
func (e *exec) wrongAt(key string) (*wrongRecord, int32, error) {
	wrong := &wrongRecord{key: key}
	b, err := e.get(key)
	if b == nil || err != nil {
		return wrong, OK, err
	}
	l, err := ParseLocator(b)
	wrong.times = l.Extra
	return wrong, OK, err
}

// isRecord reports whether a transaction of an earlier block wrote the record of a Key with a BusinessId, which is empty
// for a Key of SetData. Records of this block do not count: which transactions share a block is chance.
func (e *exec) isRecord(id ledger.Hash, key, businessID string) (bool, error) {
	at, found, err := e.find(appendTransactionKey(e.key[:0], id))
	if !found || at.Code() != OK || err != nil {
		return false, err
	}
	var record Locator
	if businessID != "" {
		record, found, err = e.find(appendBusinessKey(e.key[:0], key, businessID))
	} else if record, found, err = e.find(appendNewestKey(e.key[:0], key)); !record.Single() {
		found = false
	}
	return found && samePlace(at, record), err
}

// useCorrection writes the result of admitCorrection; nil writes nothing. here is the place of the correcting record.
func (e *exec) useCorrection(wrong *wrongRecord, here Locator) {
	if wrong == nil {
		return
	}
	here.Extra = wrong.times + 1
	e.put(wrong.key, here.Append(nil))
}

func attachDataCorrects(tx *ltlv1.Transaction) *ltlv1.Correction {
	return tx.GetAttachData().GetCorrects()
}
