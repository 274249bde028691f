package rules

import (
	"strings"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// KeyVersion is the version part of the Key of proof data.
const KeyVersion = "0001"

func checkSetData(tx *ltlv1.Transaction) int32 {
	d := tx.GetSetData()
	return checkUpload(d.GetKey(), d.GetValue(), "", d.GetDevice())
}

func checkAttachData(tx *ltlv1.Transaction) int32 {
	d := tx.GetAttachData()
	if code := checkUpload(d.GetKey(), d.GetValue(), d.GetBusinessId(), d.GetDevice()); code != OK {
		return code
	}
	return checkCorrection(d.GetCorrects())
}

// checkUpload checks the fields of an upload of proof data.
func checkUpload(key string, value *ltlv1.Value, businessID string, p *ltlv1.DeviceProof) int32 {
	if code := checkRecord(key, value); code != OK {
		return code
	}
	if code := checkBusinessID(businessID); code != OK || p == nil {
		return code
	}
	return checkProofForm(p)
}

// checkRecord checks Key and value without the chain.
func checkRecord(key string, value *ltlv1.Value) int32 {
	_, pk, _, _, ok := splitKey(key)
	if !ok {
		return BadKey
	}
	if _, code := CheckKey(pk, key); code != OK {
		return code
	}
	return checkValue(value)
}

// checkValue checks the length that the payload states; CheckOpenings compares it with the value.
func checkValue(value *ltlv1.Value) int32 {
	switch {
	case value.GetBytes() == 0:
		return BadValue
	case value.GetBytes() > MaxValue:
		return ValueTooLong
	}
	return OK
}

func checkBusinessID(id string) int32 {
	if id != "" && !validBusinessID(id) {
		return OutOfRange
	}
	return OK
}

// splitKey splits VERSION_PK_TYPE_ID; ok is false unless these are four parts that are not empty.
func splitKey(key string) (version, pk, typeCode, id string, ok bool) {
	version, rest, ok1 := strings.Cut(key, "_")
	pk, rest, ok2 := strings.Cut(rest, "_")
	typeCode, id, ok3 := strings.Cut(rest, "_")
	ok = ok1 && ok2 && ok3 && version != "" && pk != "" && typeCode != "" && id != "" && strings.IndexByte(id, '_') < 0
	return version, pk, typeCode, id, ok
}

// CheckKey checks the form of a Key against the code of its chain, and returns its data type code. It does not check
// whether an account has the type code.
func CheckKey(chainCode, key string) (typeCode string, code int32) {
	version, pk, typeCode, id, ok := splitKey(key)
	switch {
	case !ok:
		return "", BadKey
	case version != KeyVersion || len(id) > MaxKeyID || !allIDRunes(id):
		return "", BadKey
	case len(pk) != ChainCodeLen:
		return "", BadChainCode
	case pk != chainCode:
		return "", ChainCodeDiffers
	case !validTypeCode(typeCode):
		return "", BadTypeCode
	}
	return typeCode, OK
}

func validTypeCode(s string) bool {
	if len(s) != TypeCodeLen {
		return false
	}
	for i := range len(s) {
		if (s[i] < '0' || s[i] > '9') && (s[i] < 'A' || s[i] > 'Z') {
			return false
		}
	}
	return true
}

// admitRecord makes the checks that SetData and AttachData share.
func (e *exec) admitRecord(a *actor, key string, value *ltlv1.Value) int32 {
	if e.timeMs < e.chain.EffectiveMs {
		return e.refuse(Forbidden, reasonNotEffective)
	}
	typeCode, code := CheckKey(e.chain.Code, key)
	if code != OK {
		return code
	}
	if typeCode != a.member.TypeCode {
		return BadTypeCode
	}
	return checkValue(value)
}

// quotaLeft judges whether count more records of so many bytes in total fit into the chain's quota.
func (e *exec) quotaLeft(count, bytes int) (int32, error) {
	if err := e.openTotal(); err != nil {
		return 0, err
	}
	u := &e.total.usage
	if u.Count+uint64(count) > e.chain.CountQuota || u.Bytes+uint64(bytes) > e.chain.CapacityQuota {
		return QuotaExceeded, nil
	}
	return OK, nil
}

// openTotal reads the usage of the whole chain, once a block.
func (e *exec) openTotal() (err error) {
	if e.total == nil {
		e.total, err = e.meterOf("")
	}
	return err
}

// chargeRecords adds records to the usage of the account and of the chain.
func (e *exec) chargeRecords(a *actor, count, bytes int) {
	e.charge(a.usage, uint64(count), uint64(bytes), 0)
	e.charge(e.total, uint64(count), uint64(bytes), 0)
}

func (e *exec) setData(act action) (int32, string, error) {
	d := act.tx.GetSetData()
	if code := e.admitRecord(act.actor, d.GetKey(), d.GetValue()); code != OK {
		return code, "", nil
	}
	device, code, err := e.admitDevice(act, d.GetDevice(), checkProofForm(d.GetDevice()))
	if code != OK || err != nil {
		return code, "", err
	}
	old, found, err := e.newestOf(d.GetKey())
	if err != nil {
		return 0, "", err
	}
	if found && !old.locator.Single() {
		return e.refuse(DuplicateKey, reasonRepeatableKey), "", nil
	}
	if found {
		return DuplicateKey, "", nil
	}
	if code, err := e.quotaLeft(1, int(d.GetValue().GetBytes())); code != OK || err != nil {
		return code, "", err
	}
	here := act.here
	here.Extra = 1 | singleBit
	e.setNewest(d.GetKey(), here, old.at)
	e.chargeRecords(act.actor, 1, int(d.GetValue().GetBytes()))
	e.useDevice(device, here, d.GetKey())
	return OK, "", nil
}

func (e *exec) attachData(act action) (int32, string, error) {
	d := act.tx.GetAttachData()
	if code := e.admitRecord(act.actor, d.GetKey(), d.GetValue()); code != OK {
		return code, "", nil
	}
	if code := checkBusinessID(d.GetBusinessId()); code != OK {
		return code, "", nil
	}
	device, code, err := e.admitDevice(act, d.GetDevice(), checkProofForm(d.GetDevice()))
	if code != OK || err != nil {
		return code, "", err
	}
	wrong, code, err := e.admitCorrection(act.actor, d.GetCorrects())
	if code != OK || err != nil {
		return code, "", err
	}
	old, found, err := e.newestOf(d.GetKey())
	if err != nil {
		return 0, "", err
	}
	if found && old.locator.Single() {
		return e.refuse(DuplicateKey, reasonSingleKey), "", nil
	}
	business := businessID(act.id, d)
	if found {
		// Two ids that the ledger assigns under one Key are equal with a probability of 10^-16. Such a transaction is
		// refused too: the id must depend only on the transaction.
		if _, used, err := e.businessAt(d.GetKey(), business); used || err != nil {
			return DuplicateKey, "", err
		}
	}
	if code, err := e.quotaLeft(1, int(d.GetValue().GetBytes())); code != OK || err != nil {
		return code, "", err
	}
	here := act.here
	here.Extra = old.locator.Version() + 1
	e.setNewest(d.GetKey(), here, old.at)
	e.writeLocator(appendVersionKey(e.room(6+len(d.GetKey())), d.GetKey(), here.Extra), here)
	e.useBusiness(d.GetKey(), business, here)
	e.chargeRecords(act.actor, 1, int(d.GetValue().GetBytes()))
	e.useDevice(device, here, d.GetKey())
	e.useCorrection(wrong, here)
	return OK, business, nil
}

// businessID returns the BusinessId of an AttachData: the caller's, or the one that the ledger derives from the
// transaction id.
func businessID(id ledger.Hash, a *ltlv1.AttachData) string {
	if given := a.GetBusinessId(); given != "" {
		return given
	}
	return digits16(derive(id, forBusinessID, 0))
}

// ProofRecord returns the Key, value and BusinessId of a transaction that puts a record on a proof chain; ok is false
// for any other transaction.
func ProofRecord(tx *ltlv1.Transaction, id ledger.Hash) (key string, value *ltlv1.Value, businessID string, ok bool) {
	k := kindOf(tx)
	if k == nil || k.record == nil {
		return "", nil, "", false
	}
	return k.record(tx), CommittedValue(tx), k.output(tx, id), true
}

// Fields of the table of kinds for the records of proof chains.

func setDataRecord(tx *ltlv1.Transaction) (key string) { return tx.GetSetData().GetKey() }

func setDataValue(tx *ltlv1.Transaction) **ltlv1.Value {
	if d := tx.GetSetData(); d != nil {
		return &d.Value
	}
	return nil
}

func setDataDevice(tx *ltlv1.Transaction) *ltlv1.DeviceProof { return tx.GetSetData().GetDevice() }

func attachDataRecord(tx *ltlv1.Transaction) (key string) { return tx.GetAttachData().GetKey() }

func attachDataValue(tx *ltlv1.Transaction) **ltlv1.Value {
	if d := tx.GetAttachData(); d != nil {
		return &d.Value
	}
	return nil
}

func attachDataDevice(tx *ltlv1.Transaction) *ltlv1.DeviceProof {
	return tx.GetAttachData().GetDevice()
}

func attachDataOutput(tx *ltlv1.Transaction, id ledger.Hash) string {
	return businessID(id, tx.GetAttachData())
}
