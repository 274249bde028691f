package rules

import (
	"bytes"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Enrolment is what the network knows of a device. Its owner is that of the device's product.
type Enrolment struct {
	ProductKey, IotID string
	// Organisation is that of the operator that enrolled the device last; only its endorser has an AES key of the device.
	Organisation string
	Revoked      bool
	// Keys are those that the device has had, oldest first; at least one.
	Keys []DeviceKey
	// CreatedHeight and CreatedIndex locate the transaction on the system chain that enrolled it first.
	CreatedHeight uint64
	CreatedIndex  uint32
}

// DeviceKey is a key of a device.
type DeviceKey struct {
	Type ltlv1.DeviceKeyType
	// Public is the DER of a SubjectPublicKeyInfo; empty for AES, whose key only the organisation's endorser has.
	Public []byte
	// From and Until are the heights of the system chain between which its signatures count, Until not included; Until is
	// 0 while the key has not ended.
	From, Until uint64
	// End is how it ended; unspecified while it has not.
	End ltlv1.DeviceKeyEnd
	// Doubtful is the height from which what it signed is in doubt, as its owner declared; 0 for none.
	Doubtful uint64
}

// KeyAt returns the key whose signatures count in blocks with a system height; nil when there is none. Signatures stay
// judged by the height of the block that they are in.
func (v *Enrolment) KeyAt(height uint64) *DeviceKey {
	for i := range v.Keys {
		if k := &v.Keys[i]; k.From <= height && (k.Until == 0 || height < k.Until) {
			return k
		}
	}
	return nil
}

// Newest returns the newest key, in force or not.
func (v *Enrolment) Newest() *DeviceKey { return &v.Keys[len(v.Keys)-1] }

func (v *Enrolment) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(v.ProductKey, v.IotID, v.Organisation)
	e.flag(v.Revoked)
	e.u64(v.CreatedHeight)
	e.u32(v.CreatedIndex)
	e.u32(uint32(len(v.Keys)))
	for i := range v.Keys {
		k := &v.Keys[i]
		e.u32(uint32(k.Type))
		e.bytes(k.Public)
		e.u64(k.From)
		e.u64(k.Until)
		e.u32(uint32(k.End))
		e.u64(k.Doubtful)
	}
	return e.b
}

func parseEnrolment(b []byte) (*Enrolment, error) {
	v, d := &Enrolment{}, begin(b)
	d.strings(&v.ProductKey, &v.IotID, &v.Organisation)
	v.Revoked = d.flag()
	v.CreatedHeight = d.u64()
	v.CreatedIndex = d.u32()
	n := d.u32()
	d.bad = d.bad || n < 1 || n > MaxDeviceKeys
	for i := uint32(0); i < n && !d.bad; i++ {
		k := DeviceKey{Type: ltlv1.DeviceKeyType(d.u32()), Public: d.bytes(), From: d.u64(), Until: d.u64()}
		k.End, k.Doubtful = ltlv1.DeviceKeyEnd(d.u32()), d.u64()
		v.Keys = append(v.Keys, k)
	}
	return v, d.end("enrolment")
}

// validDeviceKey reports whether a key is one of its type; an AES key is on no chain.
func validDeviceKey(kind ltlv1.DeviceKeyType, public []byte) bool {
	switch kind {
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256:
		return eccKey(public) != nil
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048:
		return rsaKey(public) != nil
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		return len(public) == 0
	}
	return false
}

func checkEnrollDevice(tx *ltlv1.Transaction) int32 {
	d := tx.GetEnrollDevice()
	if !validDeviceKey(d.GetKeyType(), d.GetPublicKey()) || !ValidProductKey(d.GetProductKey()) ||
		!ValidIotID(d.GetIotId()) {
		return OutOfRange
	}
	return OK
}

// enrollDevice records a device's key, in the name of the operator's organisation. An unclaimed product becomes that
// organisation's. A device whose key has ended gets another one; a key that it had never counts again.
func (e *exec) enrollDevice(act action) (int32, string, error) {
	d := act.tx.GetEnrollDevice()
	known, err := GetEnrolment(e, d.GetProductKey(), d.GetIotId())
	if err != nil {
		return 0, "", err
	}
	if known == nil {
		known = &Enrolment{
			ProductKey: d.GetProductKey(), IotID: d.GetIotId(), Organisation: act.submitter.organisation,
			CreatedHeight: act.here.Height, CreatedIndex: act.here.Index,
		}
	} else if code := e.mayAddKey(known, d.GetPublicKey(), false); code != OK {
		return code, "", nil
	}
	if code, err := e.claimFor(known.ProductKey, act.submitter.organisation, act.here); code != OK || err != nil {
		return code, "", err
	}
	known.Organisation = act.submitter.organisation // another one may have had the product before
	known.add(d.GetKeyType(), d.GetPublicKey(), act.here.Height)
	e.put(enrolmentKey(known.ProductKey, known.IotID), known.encode())
	return OK, "", nil
}

// add makes a key the newest one, from a height on.
func (v *Enrolment) add(kind ltlv1.DeviceKeyType, public []byte, height uint64) {
	v.Keys = append(v.Keys, DeviceKey{Type: kind, Public: public, From: height})
}

// mayAddKey judges whether a device may get another key: in the place of one that is in force, or after all have ended.
func (e *exec) mayAddKey(v *Enrolment, public []byte, inPlace bool) int32 {
	switch inForce := v.Newest().Until == 0; {
	case v.Revoked:
		return e.refuse(Conflict, reasonEnrolmentEnded)
	case inForce && !inPlace:
		return e.refuse(Conflict, reasonEnrolled)
	case !inForce && inPlace:
		return e.refuse(Conflict, reasonKeyEnded)
	case len(v.Keys) == MaxDeviceKeys:
		return e.refuse(Conflict, reasonDeviceKeys)
	}
	for i := range v.Keys {
		if len(public) > 0 && bytes.Equal(v.Keys[i].Public, public) {
			return e.refuse(Conflict, reasonDeviceKeyUsed)
		}
	}
	return OK
}

func checkRotateDeviceKey(tx *ltlv1.Transaction) int32 {
	r := tx.GetRotateDeviceKey()
	if r.GetKeyType() == ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES || !validDeviceKey(r.GetKeyType(), r.GetPublicKey()) {
		return OutOfRange
	}
	return OK
}

// rotateDeviceKey gives a device another key, which the former one and the new one have signed.
func (e *exec) rotateDeviceKey(act action) (int32, string, error) {
	r := act.tx.GetRotateDeviceKey()
	known, err := GetEnrolment(e, r.GetProductKey(), r.GetIotId())
	if known == nil || err != nil {
		return NotFound, "", err
	}
	if code := e.mayAddKey(known, r.GetPublicKey(), true); code != OK {
		return code, "", nil
	}
	text := string(ledger.DeviceKeyText(e.in.NetworkID, known.ProductKey, known.IotID, uint32(len(known.Keys))+1,
		uint32(r.GetKeyType()), r.GetPublicKey()))
	former := known.Newest()
	bySecret := former.Type == ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES && len(r.GetFormerSignature()) == 0
	if !bySecret && !verifyDevice(former.Type, former.Public, text, r.GetFormerSignature()) ||
		!verifyDevice(r.GetKeyType(), r.GetPublicKey(), text, r.GetNewSignature()) {
		return e.refuse(Forbidden, reasonRotation), "", nil
	}
	former.Until, former.End = act.here.Height, ltlv1.DeviceKeyEnd_DEVICE_KEY_END_ROTATED
	known.add(r.GetKeyType(), r.GetPublicKey(), act.here.Height)
	e.put(enrolmentKey(known.ProductKey, known.IotID), known.encode())
	return OK, "", nil
}

func checkDeclareDeviceKey(tx *ltlv1.Transaction) int32 {
	switch tx.GetDeclareDeviceKey().GetEnd() {
	case ltlv1.DeviceKeyEnd_DEVICE_KEY_END_LOST, ltlv1.DeviceKeyEnd_DEVICE_KEY_END_COMPROMISED:
		return OK
	}
	return OutOfRange
}

// declareDeviceKey ends a device's key, or says of one that ended that it is compromised. A height that was declared
// before is not moved up again.
func (e *exec) declareDeviceKey(act action) (int32, string, error) {
	d := act.tx.GetDeclareDeviceKey()
	known, err := GetEnrolment(e, d.GetProductKey(), d.GetIotId())
	if known == nil || err != nil {
		return NotFound, "", err
	}
	if d.GetNumber() > uint32(len(known.Keys)) || d.GetSinceHeight() > act.here.Height {
		return e.refuse(OutOfRange, reasonDeclaration), "", nil
	}
	key := known.Newest()
	if d.GetNumber() > 0 {
		key = &known.Keys[d.GetNumber()-1]
	}
	if key.Until != 0 && d.GetEnd() != ltlv1.DeviceKeyEnd_DEVICE_KEY_END_COMPROMISED {
		return e.refuse(Conflict, reasonKeyEnded), "", nil
	}
	before, since := *key, d.GetSinceHeight()
	if since == 0 {
		since = act.here.Height
	}
	if key.Until == 0 {
		key.Until = act.here.Height
	}
	key.End = d.GetEnd()
	if since = max(since, key.From); key.Doubtful == 0 || since < key.Doubtful {
		key.Doubtful = since
	}
	if before.Until != key.Until || before.End != key.End || before.Doubtful != key.Doubtful {
		e.put(enrolmentKey(known.ProductKey, known.IotID), known.encode())
	}
	return OK, "", nil
}

// revokeDevice ends an enrolment. Repeating it changes nothing.
func (e *exec) revokeDevice(act action) (int32, string, error) {
	d := act.tx.GetRevokeDevice()
	known, err := GetEnrolment(e, d.GetProductKey(), d.GetIotId())
	if known == nil || err != nil {
		return NotFound, "", err
	}
	if !known.Revoked {
		known.Revoked = true
		e.put(enrolmentKey(known.ProductKey, known.IotID), known.encode())
	}
	return OK, "", nil
}

// The owners of what is done to a device.

func ownerOfNewEnrolment(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.ownerOfProduct(tx.GetEnrollDevice().GetProductKey())
}

func ownerOfRotation(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.ownerOfDevice(tx.GetRotateDeviceKey().GetProductKey(), tx.GetRotateDeviceKey().GetIotId())
}

func ownerOfDeclaration(e *exec, tx *ltlv1.Transaction) (string, error) {
	return e.ownerOfDevice(tx.GetDeclareDeviceKey().GetProductKey(), tx.GetDeclareDeviceKey().GetIotId())
}

// ownerOfDevice returns the organisation that has the product of a device; empty when the device is not enrolled. So who
// gets a product gets its devices, also those that another organisation enrolled.
func (e *exec) ownerOfDevice(productKey, iotID string) (string, error) {
	known, err := GetEnrolment(e, productKey, iotID)
	if known == nil || err != nil {
		return "", err
	}
	return e.ownerOfProduct(productKey)
}
