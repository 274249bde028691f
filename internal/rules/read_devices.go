package rules

import (
	"cmp"
	"slices"

	"ltl/internal/ledger"
)

// GetDeviceGroup returns nil when there is none.
func GetDeviceGroup(v View, chainID, id string) (*DeviceGroup, error) {
	if !validAssignedID(id) {
		return nil, nil
	}
	return load(v, chainID, prefixDeviceGroup+id, parseDeviceGroup)
}

// GetDevice returns the record of a device of a group; nil while it has not uploaded anything.
func GetDevice(v View, chainID, groupID, iotID string) (*Device, error) {
	if !validAssignedID(groupID) || !validIotID(iotID) {
		return nil, nil
	}
	return load(v, chainID, deviceKey(groupID, iotID), parseDevice)
}

// GetEnrolment returns what the network knows of a device's key, revoked or not; nil when it was never enrolled.
func GetEnrolment(v View, productKey, iotID string) (*Enrolment, error) {
	if !validProductKey(productKey) || !validIotID(iotID) {
		return nil, nil
	}
	return load(v, ledger.SystemChain, enrolmentKey(productKey, iotID), parseEnrolment)
}

// MemberByID returns the entry with a member id, the administrator's included; nil when there is none.
func MemberByID(v View, chain *Chain, id string) (*Member, error) {
	if id == chain.AdministratorMemberID {
		return administrator(chain), nil
	}
	if !validAssignedID(id) {
		return nil, nil
	}
	uid, err := v.Get(chain.ID, []byte(prefixMemberID+id))
	if uid == nil || err != nil {
		return nil, err
	}
	return GetMember(v, chain, string(uid))
}

// ListDeviceGroups returns the device groups of a chain, oldest first.
func ListDeviceGroups(r Reader, chainID string) ([]*DeviceGroup, error) {
	all, err := list(r, chainID, prefixDeviceGroup, parseDeviceGroup)
	slices.SortStableFunc(all, func(a, b *DeviceGroup) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// ListDevices returns the devices of a group that have uploaded data, in the order of their first upload.
func ListDevices(r Reader, chainID, groupID string) ([]*Device, error) {
	if !validAssignedID(groupID) {
		return nil, nil
	}
	all, err := list(r, chainID, deviceKey(groupID, ""), parseDevice)
	slices.SortStableFunc(all, func(a, b *Device) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// ListEnrolments returns all devices that were ever enrolled, oldest first.
func ListEnrolments(r Reader) ([]*Enrolment, error) {
	all, err := list(r, ledger.SystemChain, prefixEnrolment, parseEnrolment)
	slices.SortStableFunc(all, func(a, b *Enrolment) int {
		return cmp.Or(cmp.Compare(a.CreatedHeight, b.CreatedHeight), cmp.Compare(a.CreatedIndex, b.CreatedIndex))
	})
	return all, err
}

// deviceKey and enrolmentKey are unambiguous because neither a group id nor a product key has a "/".
func deviceKey(groupID, iotID string) string { return prefixDevice + groupID + "/" + iotID }

func enrolmentKey(productKey, iotID string) string { return prefixEnrolment + productKey + "/" + iotID }
