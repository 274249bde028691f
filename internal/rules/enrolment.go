package rules

import ltlv1 "ltl/proto/ltl/v1"

// enrollDevice makes a device's key known, in the name of the operator's organisation. A key is never replaced, revoked or not: what was
// signed with it must stay verifiable.
func (e *exec) enrollDevice(d *ltlv1.EnrollDevice, organisation string, here Locator) (int32, error) {
	if code := checkEnrollDevice(d); code != OK {
		return code, nil
	}
	key := enrolmentKey(d.GetProductKey(), d.GetIotId())
	if known, err := e.exists(key); known || err != nil {
		return e.refuse(Conflict, reasonEnrolled), err
	}
	made := Enrolment{
		ProductKey: d.GetProductKey(), IotID: d.GetIotId(), KeyType: d.GetKeyType(), PublicKey: d.GetPublicKey(), Organisation: organisation,
		CreatedHeight: here.Height, CreatedIndex: here.Index,
	}
	e.put(key, made.encode())
	return OK, nil
}

// revokeDevice ends an enrolment; doing it again changes nothing.
func (e *exec) revokeDevice(d *ltlv1.RevokeDevice, organisation string) (int32, error) {
	known, err := GetEnrolment(e, d.GetProductKey(), d.GetIotId())
	if known == nil || err != nil {
		return NotFound, err
	}
	if known.Organisation != organisation {
		return e.refuse(Forbidden, reasonOtherEnroller), nil
	}
	if !known.Revoked {
		known.Revoked = true
		e.put(enrolmentKey(known.ProductKey, known.IotID), known.encode())
	}
	return OK, nil
}

func checkEnrollDevice(d *ltlv1.EnrollDevice) int32 {
	key := false
	switch d.GetKeyType() {
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256:
		key = eccKey(d.GetPublicKey()) != nil
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048:
		key = rsaKey(d.GetPublicKey()) != nil
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		key = len(d.GetPublicKey()) == 0
	}
	if !key || !validProductKey(d.GetProductKey()) || !validIotID(d.GetIotId()) {
		return OutOfRange
	}
	return OK
}
