package rules

import (
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// AuthorizeType is the only way in which a device group's devices are told apart from others.
const AuthorizeType = "ID2"

// registerDeviceGroup is for members and the administrator alike; the group belongs to the entry of who registers it.
func (e *exec) registerDeviceGroup(a *actor, r *ltlv1.RegisterDeviceGroup, id ledger.Hash, here Locator) (int32, string, error) {
	if code := checkRegisterDeviceGroup(r); code != OK {
		return code, "", nil
	}
	if used, err := e.exists(prefixProductKey + r.GetProductKey()); used || err != nil {
		return e.refuse(Conflict, reasonProductKey), "", err
	}
	made := DeviceGroup{
		ProductKey: r.GetProductKey(), Name: r.GetName(), AuthorizeType: r.GetAuthorizeType(), Remark: r.GetRemark(), OwnerID: a.member.ID,
		Authorized: true, CreatedHeight: here.Height, CreatedIndex: here.Index,
	}
	var err error
	made.ID, err = firstFree(id, forDeviceGroup, digits16, func(s string) (bool, error) { return e.exists(prefixDeviceGroup + s) })
	if err != nil {
		return 0, "", err
	}
	e.put(prefixDeviceGroup+made.ID, made.encode())
	e.put(prefixProductKey+made.ProductKey, []byte(made.ID))
	e.put(outputKey(id), []byte(made.ID))
	return OK, made.ID, nil
}

func (e *exec) authorizeDeviceGroup(a *actor, r *ltlv1.AuthorizeDeviceGroup) (int32, error) {
	if a.member.Role != RoleAdmin {
		return e.refuse(Forbidden, reasonAdministrator), nil
	}
	group, err := GetDeviceGroup(e, e.chain.ID, r.GetDeviceGroupId())
	if group == nil || err != nil {
		return NotFound, err
	}
	if group.Authorized != r.GetAuthorized() {
		group.Authorized = r.GetAuthorized()
		e.put(prefixDeviceGroup+group.ID, group.encode())
	}
	return OK, nil
}

func (e *exec) authorizeDevice(a *actor, r *ltlv1.AuthorizeDevice) (int32, error) {
	if a.member.Role != RoleAdmin {
		return e.refuse(Forbidden, reasonAdministrator), nil
	}
	if !validAssignedID(r.GetDeviceId()) {
		return NotFound, nil
	}
	at, err := e.get(prefixDeviceID + r.GetDeviceId())
	if at == nil || err != nil {
		return NotFound, err
	}
	device, err := load(e, e.chain.ID, prefixDevice+string(at), parseDevice)
	if device == nil || err != nil {
		return NotFound, err
	}
	if device.GroupID != r.GetDeviceGroupId() {
		return NotFound, nil
	}
	if device.Authorized != r.GetAuthorized() {
		device.Authorized = r.GetAuthorized()
		e.put(prefixDevice+string(at), device.encode())
	}
	return OK, nil
}

func checkRegisterDeviceGroup(r *ltlv1.RegisterDeviceGroup) int32 {
	if !validProductKey(r.GetProductKey()) || !validName(r.GetName()) || r.GetAuthorizeType() != AuthorizeType || !validRemark(r.GetRemark()) {
		return OutOfRange
	}
	return OK
}

// validAssignedID reports whether s has the form of identifiers that the ledger assigns: 16 digits.
func validAssignedID(s string) bool { return len(s) == AssignedIDLen && allDigits(s) }

// validProductKey reports whether s is 1 to MaxProductKey letters, digits, "-", "." and "_". Without "/" and zero bytes it can be part
// of a key of state.
func validProductKey(s string) bool {
	return s != "" && len(s) <= MaxProductKey && !containsOther(s, "-._")
}

// validIotID reports whether s is 1 to MaxIotID letters, digits, "-", ".", "_", ":" and "@".
func validIotID(s string) bool { return s != "" && len(s) <= MaxIotID && !containsOther(s, "-._:@") }

// containsOther reports whether s has a byte that is no letter, no digit and not in also.
func containsOther(s, also string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if letter || '0' <= c && c <= '9' {
			continue
		}
		other := true
		for j := range len(also) {
			other = other && also[j] != c
		}
		if other {
			return true
		}
	}
	return false
}
