package rules

import (
	"encoding/binary"
	"fmt"

	ltlv1 "ltl/proto/ltl/v1"
)

// The layout of state values: one version byte, then the fields in the order of the struct. Integers are big-endian;
// strings, byte strings and lists have a 32-bit length before them. Each value has exactly one encoding.

const stateVersion = 1

type encoder struct{ b []byte }

func (e *encoder) u32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }

func (e *encoder) u64(v uint64) { e.b = binary.BigEndian.AppendUint64(e.b, v) }

func (e *encoder) i64(v int64) { e.u64(uint64(v)) }

// flag writes a truth value as 0 or 1.
func (e *encoder) flag(v bool) {
	if v {
		e.u32(1)
		return
	}
	e.u32(0)
}

func (e *encoder) strings(list ...string) {
	for _, s := range list {
		e.u32(uint32(len(s)))
		e.b = append(e.b, s...)
	}
}

func (e *encoder) bytes(v []byte) {
	e.u32(uint32(len(v)))
	e.b = append(e.b, v...)
}

func (e *encoder) list(list []string) {
	e.u32(uint32(len(list)))
	e.strings(list...)
}

type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if d.bad || n < 0 || n > len(d.b) {
		d.bad = true
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) u32() uint32 {
	if v := d.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if v := d.take(8); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

func (d *decoder) i64() int64 { return int64(d.u64()) }

func (d *decoder) flag() bool {
	v := d.u32()
	d.bad = d.bad || v > 1
	return v == 1
}

func (d *decoder) strings(list ...*string) {
	for _, s := range list {
		*s = string(d.take(int(d.u32())))
	}
}

func (d *decoder) bytes() []byte { return append([]byte(nil), d.take(int(d.u32()))...) }

func (d *decoder) list() []string {
	n := int(d.u32())
	if d.bad || n > len(d.b)/4 {
		d.bad = true
		return nil
	}
	var list []string
	for range n {
		var s string
		d.strings(&s)
		list = append(list, s)
	}
	return list
}

// begin opens a value. end checks that it was read completely; its error names the kind of value.
func begin(b []byte) *decoder {
	if len(b) == 0 || b[0] != stateVersion {
		return &decoder{bad: true}
	}
	return &decoder{b: b[1:]}
}

func (d *decoder) end(kind string) error {
	if d.bad || len(d.b) != 0 {
		return fmt.Errorf("%w: %s", ErrState, kind)
	}
	return nil
}

func (n *Network) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(n.Name)
	e.i64(n.CreatedMs)
	e.strings(n.Policy)
	e.list(n.Organisations)
	e.list(n.Nodes)
	e.list(n.Invited)
	return e.b
}

func parseNetwork(b []byte) (*Network, error) {
	n, d := &Network{}, begin(b)
	d.strings(&n.Name)
	n.CreatedMs = d.i64()
	d.strings(&n.Policy)
	n.Organisations = d.list()
	n.Nodes = d.list()
	n.Invited = d.list()
	return n, d.end("network")
}

func (o *Organisation) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(o.ID, o.Name)
	e.bytes(o.CACertificate)
	e.bytes(o.EndorserKey)
	e.strings(o.EndorserAddress)
	return e.b
}

func parseOrganisation(b []byte) (*Organisation, error) {
	o, d := &Organisation{}, begin(b)
	d.strings(&o.ID, &o.Name)
	o.CACertificate = d.bytes()
	o.EndorserKey = d.bytes()
	d.strings(&o.EndorserAddress)
	return o, d.end("organisation")
}

func (n *Node) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(n.ID, n.Organisation, n.Address)
	e.bytes(n.Key)
	return e.b
}

func parseNode(b []byte) (*Node, error) {
	n, d := &Node{}, begin(b)
	d.strings(&n.ID, &n.Organisation, &n.Address)
	n.Key = d.bytes()
	return n, d.end("node")
}

func (a *Account) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(a.UID, a.Name)
	e.u32(uint32(a.Type))
	e.strings(a.Organisation)
	e.u64(a.CreatedHeight)
	e.u32(a.CreatedIndex)
	return e.b
}

func parseAccount(b []byte) (*Account, error) {
	a, d := &Account{}, begin(b)
	d.strings(&a.UID, &a.Name)
	a.Type = ltlv1.AccountType(d.u32())
	d.strings(&a.Organisation)
	a.CreatedHeight = d.u64()
	a.CreatedIndex = d.u32()
	return a, d.end("account")
}

func (c *Chain) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(c.ID, c.Code, c.Name, c.Remark)
	e.u32(uint32(c.Service))
	e.u32(uint32(c.Edition))
	e.strings(c.Region)
	e.i64(c.EffectiveMs)
	e.i64(c.ExpiredMs)
	for _, q := range [...]uint64{c.CapacityQuota, c.CountQuota, c.MemberQuota, c.PhaseGroupQuota, c.PhaseQuota} {
		e.u64(q)
	}
	e.strings(c.Policy)
	e.list(c.Organisations)
	e.strings(c.AdministratorUID, c.AdministratorTypeCode, c.AdministratorMemberID)
	e.i64(c.CreatedMs)
	e.u64(c.CreatedHeight)
	e.u32(c.CreatedIndex)
	e.flag(c.TimeStands)
	return e.b
}

func parseChain(b []byte) (*Chain, error) {
	c, d := &Chain{}, begin(b)
	d.strings(&c.ID, &c.Code, &c.Name, &c.Remark)
	c.Service = ltlv1.ChainService(d.u32())
	c.Edition = ltlv1.Edition(d.u32())
	d.strings(&c.Region)
	c.EffectiveMs = d.i64()
	c.ExpiredMs = d.i64()
	for _, q := range [...]*uint64{&c.CapacityQuota, &c.CountQuota, &c.MemberQuota, &c.PhaseGroupQuota, &c.PhaseQuota} {
		*q = d.u64()
	}
	d.strings(&c.Policy)
	c.Organisations = d.list()
	d.strings(&c.AdministratorUID, &c.AdministratorTypeCode, &c.AdministratorMemberID)
	c.CreatedMs = d.i64()
	c.CreatedHeight = d.u64()
	c.CreatedIndex = d.u32()
	c.TimeStands = d.flag()
	return c, d.end("chain")
}

func (m *Member) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(m.UID, m.ID, m.Name, m.Contact, m.Phone, m.Remark, m.Role, m.TypeCode, m.Status)
	e.i64(m.CreatedMs)
	e.u64(m.CreatedHeight)
	e.u32(m.CreatedIndex)
	return e.b
}

func parseMember(b []byte) (*Member, error) {
	m, d := &Member{}, begin(b)
	d.strings(&m.UID, &m.ID, &m.Name, &m.Contact, &m.Phone, &m.Remark, &m.Role, &m.TypeCode, &m.Status)
	m.CreatedMs = d.i64()
	m.CreatedHeight = d.u64()
	m.CreatedIndex = d.u32()
	return m, d.end("member")
}

// former is the value under the uid of a former member, and under the id and the product key of a removed device
// group. State has no deletes.
const former = "\x00"

// parseEntry reads the value under a member's uid; nil for a former member.
func parseEntry(b []byte) (*Member, error) {
	if string(b) == former {
		return nil, nil
	}
	return parseMember(b)
}

const usageLen = 1 + 3*8

// append appends the usageLen bytes of u.
func (u *Usage) append(b []byte) []byte {
	b = append(b, stateVersion)
	b = binary.BigEndian.AppendUint64(b, u.Count)
	b = binary.BigEndian.AppendUint64(b, u.Bytes)
	return binary.BigEndian.AppendUint64(b, u.Members)
}

func parseUsage(b []byte) (Usage, error) {
	d := begin(b)
	u := Usage{Count: d.u64(), Bytes: d.u64(), Members: d.u64()}
	return u, d.end("usage")
}

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

// parseGroupEntry reads the value under a device group's id; nil for one that was removed.
func parseGroupEntry(b []byte) (*DeviceGroup, error) {
	if string(b) == former {
		return nil, nil
	}
	return parseDeviceGroup(b)
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

// place writes height and index of a locator.
func (e *encoder) place(l Locator) {
	e.u64(l.Height)
	e.u32(l.Index)
}

func (d *decoder) place() Locator { return Locator{Height: d.u64(), Index: d.u32()} }

// count reads the number of items that follow, each of at least size bytes.
func (d *decoder) count(size int) int {
	n := int(d.u32())
	if d.bad || n > len(d.b)/size {
		d.bad = true
		return 0
	}
	return n
}
