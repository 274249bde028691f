package rules

import (
	"fmt"

	ltlv1 "ltl/proto/ltl/v1"
)

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
// that account. Its product must be assigned to this chain and be of the account's organisation, so no other organisation
// can register it first.
func (e *exec) registerDeviceGroup(act action) (int32, string, error) {
	r := act.tx.GetRegisterDeviceGroup()
	if code, err := e.mayUseProduct(act.actor.account, r.GetProductKey()); code != OK || err != nil {
		return code, "", err
	}
	if used, err := e.groupOf(r.GetProductKey()); used != nil || err != nil {
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

// mayUseProduct judges whether an account may use a product's devices on this chain.
func (e *exec) mayUseProduct(a *Account, productKey string) (int32, error) {
	p, reason, err := e.productHere(productKey)
	if reason != "" || err != nil {
		return e.refuse(Forbidden, reason), err
	}
	if p.Organisation != a.Organisation {
		return e.refuse(Forbidden, fmt.Sprintf(reasonProductForeign, p.Organisation)), nil
	}
	return OK, nil
}

func checkModifyDeviceGroup(tx *ltlv1.Transaction) int32 {
	m := tx.GetModifyDeviceGroup()
	if (m.GetOwnerMemberId() == "") != m.GetRemoved() {
		return OutOfRange
	}
	return OK
}

// modifyDeviceGroup hands a device group over to another entry, or removes it. State has no deletes, so a removed group
// and its product's entry become the one byte 0, and its product may be registered again.
func (e *exec) modifyDeviceGroup(act action) (int32, string, error) {
	m := act.tx.GetModifyDeviceGroup()
	group, err := GetDeviceGroup(e, e.chain.ID, m.GetDeviceGroupId())
	if group == nil || err != nil {
		return NotFound, "", err
	}
	if m.GetRemoved() {
		e.put(prefixDeviceGroup+group.ID, []byte(former))
		e.put(prefixProductKey+group.ProductKey, []byte(former))
		return OK, "", nil
	}
	owner, err := MemberByID(e, e.chain, m.GetOwnerMemberId())
	if owner == nil || err != nil {
		return e.refuse(NotFound, reasonNoEntry), "", err
	}
	account, err := GetAccount(e, owner.UID)
	if account == nil || err != nil {
		return e.refuse(NotFound, reasonNoEntry), "", err
	}
	if code, err := e.mayUseProduct(account, group.ProductKey); code != OK || err != nil {
		return code, "", err
	}
	if group.OwnerID != owner.ID {
		group.OwnerID = owner.ID
		e.put(prefixDeviceGroup+group.ID, group.encode())
	}
	return OK, "", nil
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
	if group, err := GetDeviceGroup(e, e.chain.ID, device.GroupID); group == nil || err != nil {
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
