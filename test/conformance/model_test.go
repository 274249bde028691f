package conformance

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"ltl/client/device"
)

// model is the expected state of one worker's two chains in testModel. It is as simple as possible: slices with
// linear search.
type model struct {
	w     *world
	t     testing.TB
	r     *rand.Rand
	calls int
	last  string // the last call, for the message of a failure

	admin *user
	users []*user // the administrator and accounts that may become members
	proof *place
	colla *place
	keys  []*proofKey
	// phaseGroups are those of the collaboration chain.
	phaseGroups []*phaseGroup
	// sent are the uploads that devices signed and that were accepted.
	sent []sent
}

// sent is an upload that may be repeated.
type sent struct {
	action string
	with   params
	// owner is the entry with the Key of a proof; phase is that of a phase's record.
	owner *entry
	phase *phase
	code  string // of a repetition
}

// place is a chain in the model.
type place struct {
	chain
	members []*entry
	groups  []*deviceGroup
	// product is the product of this chain's devices, devices the devices enrolled for it.
	product string
	devices []*device.Device
	ids     []string

	memberQuota, countQuota, capacityQuota int
	count, bytes                           int
}

// entry is an account on a chain. That of the administrator is the first.
type entry struct {
	user                             *user
	id, name, contact, phone, remark string
	typeCode                         string
	locked                           bool
	count, bytes                     int
}

// deviceGroup is a registered product.
type deviceGroup struct {
	id, remark string
	owner      *user
	off        bool
	devices    []*deviceEntry
}

// deviceEntry is a device that has uploaded.
type deviceEntry struct {
	id, iotID string
	off       bool
}

// proofKey is a Key with its records, the oldest first.
type proofKey struct {
	key     string
	owner   *entry
	single  bool
	records []datum
}

// datum is a record: its BusinessId or DataSeq, and its data. related is the data it refers to, "" for none.
type datum struct{ name, data, related, iotID string }

// phaseGroup and phase are those of the collaboration chain.
type phaseGroup struct {
	id, name, remark string
	phases           []*phase
}

type phase struct {
	id, name, remark string
	writers          map[string]bool // by MemberId
	keys             map[string][]datum
}

// entry is the entry of a user on a chain; nil if there is none.
func (p *place) entry(u *user) *entry {
	for _, e := range p.members {
		if e.user == u {
			return e
		}
	}
	return nil
}

// outside is the code with which a caller is refused that is not on a chain; "" for none.
func (m *model) outside(p *place, u *user) string {
	switch {
	case m.proof.entry(u) == nil && m.colla.entry(u) == nil:
		return "-339"
	case p.entry(u) == nil:
		return "403"
	}
	return ""
}

// membership is the code with which a caller is refused before all other checks on a chain; "" for none. Only a
// repeated upload is judged before the lock.
func (m *model) membership(p *place, u *user, adminOnly bool) string {
	if code := m.outside(p, u); code != "" {
		return code
	}
	return when(p.entry(u).locked || adminOnly && u != m.admin, "403")
}

// charge is the code with which further records are refused; "" for none. It does not count them.
func (p *place) charge(data ...string) string {
	if p.count+len(data) > p.countQuota || p.bytes+len(strings.Join(data, "")) > p.capacityQuota {
		return "429"
	}
	return ""
}

// charged counts records of an account.
func (p *place) charged(u *user, data ...string) {
	e := p.entry(u)
	n := len(strings.Join(data, ""))
	p.count, p.bytes, e.count, e.bytes = p.count+len(data), p.bytes+n, e.count+len(data), e.bytes+n
}

// first is the first code that is not ""; "200" if all are.
func first(codes ...string) string {
	for _, c := range codes {
		if c != "" {
			return c
		}
	}
	return "200"
}

// when is the code if the condition is true, else "".
func when(condition bool, code string) string {
	if condition {
		return code
	}
	return ""
}

// call makes a call and compares its code with that of the model.
func (m *model) call(u *user, action string, p params, want string) *response {
	m.t.Helper()
	m.calls++
	m.last = fmt.Sprintf("call %d: %s by %s with %v", m.calls, action, u.name, p)
	a := m.w.raw(m.t, u, action, p)
	if a.code != want {
		m.t.Fatalf("%s: %s, want %s", m.last, a, want)
	}
	return a
}

// same compares data that was read with the model.
func (m *model) same(what string, got, want any) {
	m.t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		m.t.Fatalf("%s: %s is %q, the model has %q", m.last, what, got, want)
	}
}

// list reads one page of a list, of any size, and compares its rows with the model.
func (m *model) list(u *user, action string, p params, code string, all [][]string, columns ...string) *response {
	m.t.Helper()
	size, num := 1+m.r.IntN(4), 1+m.r.IntN(3)
	if m.r.IntN(3) == 0 {
		size, num = 100, 1
	}
	a := m.call(u, action, p.with("Num", strconv.Itoa(num), "Size", strconv.Itoa(size)), code)
	if code != "200" {
		return a
	}
	from := min((num-1)*size, len(all))
	var got [][]string
	for _, row := range a.rows() {
		var cells []string
		for _, c := range columns {
			cells = append(cells, row.str(c))
		}
		got = append(got, cells)
	}
	m.same("the page", got, append([][]string(nil), all[from:min(from+size, len(all))]...))
	m.same("the rest", []string{a.data().str("Num"), a.data().str("Size"), a.data().str("Total")},
		[]string{strconv.Itoa(num), strconv.Itoa(size), strconv.Itoa(len(all))})
	return a
}

// one is a random element.
func one[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

// anyUser is a random user, more often the administrator.
func (m *model) anyUser() *user {
	if m.r.IntN(3) == 0 {
		return m.admin
	}
	return one(m.r, m.users...)
}

// anyPlace is a random one of the two chains.
func (m *model) anyPlace() *place { return one(m.r, m.proof, m.colla) }
