package rules

import ltlv1 "ltl/proto/ltl/v1"

// AuthorizeType is the only supported way to authenticate the devices of a group.
const AuthorizeType = "ID2"

func checkRegisterDeviceGroup(tx *ltlv1.Transaction) int32 {
	r := tx.GetRegisterDeviceGroup()
	if !ValidProductKey(r.GetProductKey()) || !ValidName(r.GetName()) || r.GetAuthorizeType() != AuthorizeType ||
		!ValidRemark(r.GetRemark()) {
		return OutOfRange
	}
	return OK
}

// registerDeviceGroup registers a device group for a member or the administrator. The group belongs to the entry of
// that account.
func (e *exec) registerDeviceGroup(act action) (int32, string, error) {
	r := act.tx.GetRegisterDeviceGroup()
	if used, err := e.exists(prefixProductKey + r.GetProductKey()); used || err != nil {
		return e.refuse(Conflict, reasonProductKey), "", err
	}
	made := DeviceGroup{
		ProductKey: r.GetProductKey(), Name: r.GetName(), AuthorizeType: r.GetAuthorizeType(), Remark: r.GetRemark(),
		OwnerID:    act.actor.member.ID,
		Authorized: true, CreatedHeight: act.here.Height, CreatedIndex: act.here.Index,
	}
	var err error
	made.ID, err = firstFree(act.id, forDeviceGroup, digits16,
		func(s string) (bool, error) { return e.exists(prefixDeviceGroup + s) })
	if err != nil {
		return 0, "", err
	}
	e.put(prefixDeviceGroup+made.ID, made.encode())
	e.put(prefixProductKey+made.ProductKey, []byte(made.ID))
	return OK, made.ID, nil
}

func (e *exec) authorizeDeviceGroup(act action) (int32, string, error) {
	r := act.tx.GetAuthorizeDeviceGroup()
	group, err := GetDeviceGroup(e, e.chain.ID, r.GetDeviceGroupId())
	if group == nil || err != nil {
		return NotFound, "", err
	}
	if group.Authorized != r.GetAuthorized() {
		group.Authorized = r.GetAuthorized()
		e.put(prefixDeviceGroup+group.ID, group.encode())
	}
	return OK, "", nil
}

func (e *exec) authorizeDevice(act action) (int32, string, error) {
	r := act.tx.GetAuthorizeDevice()
	if !validAssignedID(r.GetDeviceId()) {
		return NotFound, "", nil
	}
	at, err := e.get(prefixDeviceID + r.GetDeviceId())
	if at == nil || err != nil {
		return NotFound, "", err
	}
	device, err := load(e, e.chain.ID, prefixDevice+string(at), parseDevice)
	if device == nil || err != nil {
		return NotFound, "", err
	}
	if device.GroupID != r.GetDeviceGroupId() {
		return NotFound, "", nil
	}
	if device.Authorized != r.GetAuthorized() {
		device.Authorized = r.GetAuthorized()
		e.put(prefixDevice+string(at), device.encode())
	}
	return OK, "", nil
}

func checkEnrollDevice(tx *ltlv1.Transaction) int32 {
	d := tx.GetEnrollDevice()
	key := false
	switch d.GetKeyType() {
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_ECC_P256:
		key = eccKey(d.GetPublicKey()) != nil
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_RSA_2048:
		key = rsaKey(d.GetPublicKey()) != nil
	case ltlv1.DeviceKeyType_DEVICE_KEY_TYPE_AES:
		key = len(d.GetPublicKey()) == 0
	}
	if !key || !ValidProductKey(d.GetProductKey()) || !ValidIotID(d.GetIotId()) {
		return OutOfRange
	}
	return OK
}

// enrollDevice records a device's key, in the name of the operator's organisation. A key is never replaced, revoked
// or not: records signed with it must stay verifiable.
func (e *exec) enrollDevice(act action) (int32, string, error) {
	d := act.tx.GetEnrollDevice()
	key := enrolmentKey(d.GetProductKey(), d.GetIotId())
	if known, err := e.exists(key); known || err != nil {
		return e.refuse(Conflict, reasonEnrolled), "", err
	}
	made := Enrolment{
		ProductKey: d.GetProductKey(), IotID: d.GetIotId(), KeyType: d.GetKeyType(), PublicKey: d.GetPublicKey(),
		Organisation:  act.submitter.organisation,
		CreatedHeight: act.here.Height, CreatedIndex: act.here.Index,
	}
	e.put(key, made.encode())
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
