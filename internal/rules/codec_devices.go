package rules

import ltlv1 "ltl/proto/ltl/v1"

func (g *DeviceGroup) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(g.ID, g.ProductKey, g.Name, g.AuthorizeType, g.Remark, g.OwnerID)
	e.flag(g.Authorized)
	e.u64(g.CreatedHeight)
	e.u32(g.CreatedIndex)
	return e.b
}

func parseDeviceGroup(b []byte) (*DeviceGroup, error) {
	g, d := &DeviceGroup{}, begin(b)
	d.strings(&g.ID, &g.ProductKey, &g.Name, &g.AuthorizeType, &g.Remark, &g.OwnerID)
	g.Authorized = d.flag()
	g.CreatedHeight = d.u64()
	g.CreatedIndex = d.u32()
	return g, d.end("device group")
}

func (v *Device) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(v.ID, v.GroupID, v.IotID)
	e.flag(v.Authorized)
	e.i64(v.LastSaveMs)
	e.u64(v.CreatedHeight)
	e.u32(v.CreatedIndex)
	return e.b
}

func parseDevice(b []byte) (*Device, error) {
	v, d := &Device{}, begin(b)
	d.strings(&v.ID, &v.GroupID, &v.IotID)
	v.Authorized = d.flag()
	v.LastSaveMs = d.i64()
	v.CreatedHeight = d.u64()
	v.CreatedIndex = d.u32()
	return v, d.end("device")
}

func (v *Enrolment) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(v.ProductKey, v.IotID)
	e.u32(uint32(v.KeyType))
	e.bytes(v.PublicKey)
	e.strings(v.Organisation)
	e.flag(v.Revoked)
	e.u64(v.CreatedHeight)
	e.u32(v.CreatedIndex)
	return e.b
}

func parseEnrolment(b []byte) (*Enrolment, error) {
	v, d := &Enrolment{}, begin(b)
	d.strings(&v.ProductKey, &v.IotID)
	v.KeyType = ltlv1.DeviceKeyType(d.u32())
	v.PublicKey = d.bytes()
	d.strings(&v.Organisation)
	v.Revoked = d.flag()
	v.CreatedHeight = d.u64()
	v.CreatedIndex = d.u32()
	return v, d.end("enrolment")
}
