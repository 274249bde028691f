package rules

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// assembly is a model of how a network's organisations decide, written without the code of the rules: who is of the
// network, who of them is dead, the proposals and their votes. It runs beside a world.
type assembly struct {
	*world
	members   []string
	invited   []string // they do not count until they accept
	founders  []string // those that have a node
	dead      map[string]bool
	policy    string
	proposals []*motion
	joined    int
	restored  uint32 // the number of the restoration that was recorded last
	corrected int    // how often the time was set back
}

// motion is a proposal of the model.
type motion struct {
	id       []byte
	proposer string
	target   string // the organisation that is to be removed; empty otherwise
	newcomer string // the organisation that is to join; empty otherwise
	policy   string // the policy that is to be; empty otherwise
	former   string
	restores uint32 // the number of the restoration that is to be recorded; 0 otherwise
	toMs     int64  // what the time is to be set back to; 0 otherwise
	// corrected is how often it had been set back when the motion was made.
	corrected int
	votes     map[string]bool
	state     string
}

func (m *motion) open() bool { return m.state == "open" }

// object says what a motion is about: an organisation has one open motion for it.
func (m *motion) object() string {
	return "-" + m.target + "+" + m.newcomer + "=" + fmt.Sprint(m.policy != "", m.restores != 0, m.toMs != 0)
}

// assemble makes a network of n organisations with a node each.
func assemble(t testing.TB, n int) *assembly {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprint("o", i+1))
	}
	g := offline.Genesis(ids...)
	g.Policy = "majority"
	a := &assembly{world: bareOf(t, offline.GenesisPayload(t, g)), members: ids, founders: ids, dead: map[string]bool{},
		policy: "majority", joined: n}
	for _, o := range ids {
		a.keys[o] = offline.Key(o)
	}
	return a
}

// fork is a copy whose acts do not change the original.
func (a *assembly) fork() *assembly {
	w := *a.world
	w.state, w.tips, w.keys = memory{}, maps.Clone(a.tips), maps.Clone(a.keys)
	for chain, values := range a.state {
		w.state[chain] = maps.Clone(values)
	}
	c := &assembly{world: &w, members: slices.Clone(a.members),
		invited: slices.Clone(a.invited), founders: a.founders, dead: maps.Clone(a.dead), policy: a.policy, joined: a.joined,
		restored: a.restored, corrected: a.corrected}
	for _, m := range a.proposals {
		n := *m
		n.votes = maps.Clone(m.votes)
		c.proposals = append(c.proposals, &n)
	}
	return c
}

// quorum is how many of n decide under a policy: the table of the design.
func quorum(policy string, n int) int {
	majority := []int{0, 1, 2, 2, 3, 3, 4, 4, 5, 5}[n]
	if policy == "all" {
		return []int{0, 1, 2, 2, 3, 4, 5, 6, 7, 8}[n]
	}
	return majority
}

func (a *assembly) live() (orgs []string) {
	return slices.DeleteFunc(slices.Clone(a.members), func(o string) bool { return a.dead[o] })
}

// hasAllNodes reports whether no node would be left without an organisation.
func (a *assembly) hasAllNodes(o string) bool {
	return o != "" && !slices.ContainsFunc(a.founders, func(f string) bool { return f != o && a.member(f) })
}

func (a *assembly) member(o string) bool { return slices.Contains(a.members, o) }

// needed is how many approvals a motion needs, and whether an organisation's counts.
func (a *assembly) needed(m *motion) (int, func(string) bool) {
	q := quorum(a.policy, len(a.members))
	if m.policy != "" {
		q = max(q, quorum(m.policy, len(a.members)))
	}
	return q, func(o string) bool { return a.member(o) && o != m.target }
}

// moved makes a motion in the world and in the model. It returns nil when the rules refuse it, and checks that they do
// when the model says so.
func (a *assembly) moved(t *rapid.T, m *motion) *motion {
	m.former, m.votes, m.state, m.corrected = a.policy, map[string]bool{}, "open", a.corrected
	var action any
	switch {
	case m.target != "":
		action = removeOrg(m.target)
	case m.newcomer != "":
		action = a.joins(m.newcomer)
	case m.restores != 0:
		action = restoration(m.restores, a.sequence)
	case m.toMs != 0:
		action = setBack(m.toMs)
	default:
		action = &ltlv1.Transaction_ModifyNetwork{ModifyNetwork: &ltlv1.ModifyNetwork{Policy: m.policy, Former: a.policy}}
	}
	open := 0
	want := OK
	for _, other := range a.proposals {
		if other.proposer == m.proposer && other.open() {
			open++
			if other.object() == m.object() {
				want = Conflict
			}
		}
	}
	if want == OK && open >= 8 {
		want = QuotaExceeded
	}
	q, counts := a.needed(m)
	voters := 0
	for _, o := range a.members {
		if counts(o) {
			voters++
		}
	}
	if want == OK && (q > voters || a.hasAllNodes(m.target)) { // of two, none can remove the other
		want = Forbidden
	}
	tx := a.proposal(m.proposer, action)
	r := a.alone(tx)
	if r.GetCode() != want {
		t.Fatalf("%+v of %v: %d %s, want %d", m, a.members, r.GetCode(), r.GetReason(), want)
	}
	if want != OK {
		return nil
	}
	id := ledger.TransactionID(marshal(a.t, tx))
	m.id = id[:]
	a.proposals = append(a.proposals, m)
	return m
}

// voted casts a vote in the world and in the model, and fails unless both come to the same.
func (a *assembly) voted(t *rapid.T, m *motion, o string, approve bool) {
	tx := a.rejection(o, m.id)
	if approve {
		tx = a.approval(o, m.id)
	}
	before := slices.Clone(mustMembers(t, a.world))
	r := a.alone(tx)
	q, counts := a.needed(m)
	want, word := OK, ""
	gone := m.target != "" && !a.member(m.target) && !slices.Contains(a.invited, m.target)
	known := m.newcomer != "" && (a.member(m.newcomer) || slices.Contains(a.invited, m.newcomer))
	switch {
	case !m.open():
		want = Conflict
	case !counts(o):
		want = Forbidden
	case gone || known || m.restores != 0 && m.restores != a.restored+1,
		m.toMs != 0 && m.corrected != a.corrected:
		word = "stale"
	default:
		m.votes[o] = approve
		yes, no, voters := 0, 0, 0
		for _, v := range a.members {
			if !counts(v) {
				continue
			}
			voters++
			if vote, cast := m.votes[v]; cast && vote {
				yes++
			} else if cast {
				no++
			}
		}
		switch {
		case voters-no < q:
			word = "rejected"
		case approve && yes >= q && m.policy != "" && m.former != a.policy:
			word = "failed 409"
		case approve && yes >= q && a.hasAllNodes(m.target):
			word = "failed 403"
		case approve && yes >= q:
			word = "executed"
		default:
			word = fmt.Sprintf("open %d of %d", yes, q)
		}
	}
	said, _, _ := strings.Cut(r.GetOutput(), ", asked")
	if r.GetCode() != want || said != word {
		t.Fatalf("%s votes %v on %+v of %v: %d %q %s, want %d %q", o, approve, m, a.members, r.GetCode(), r.GetOutput(),
			r.GetReason(), want, word)
	}
	if want == OK && !strings.HasPrefix(word, "open") {
		m.state = word
	}
	if word == "executed" {
		a.carryOut(m)
	} else if after := mustMembers(t, a.world); !slices.Equal(before, after) {
		t.Fatalf("%s changed the members from %v to %v", word, before, after)
	}
}

// carryOut makes the change in the model.
func (a *assembly) carryOut(m *motion) {
	switch {
	case m.target != "":
		is := func(o string) bool { return o == m.target }
		a.members = slices.DeleteFunc(slices.Clone(a.members), is)
		a.invited = slices.DeleteFunc(slices.Clone(a.invited), is)
	case m.newcomer != "":
		a.invited = append(slices.Clone(a.invited), m.newcomer)
		a.keys[m.newcomer] = offline.Key(m.newcomer)
	case m.restores != 0:
		a.restored = m.restores
	case m.toMs != 0:
		if a.corrected++; a.referenceMs != m.toMs {
			a.t.Errorf("the time was set back to %d, and is %d", m.toMs, a.referenceMs)
		}
	default:
		a.policy = m.policy
	}
}

func mustMembers(t *rapid.T, w *world) []string {
	n, err := GetNetwork(w.state)
	if err != nil {
		t.Fatal(err)
	}
	return n.Organisations
}

// TestGovernanceModel draws networks of 1 to 7 organisations, deaths, and acts of every organisation that lives, and
// holds each answer against the model: nothing is executed without the votes of present organisations, and nothing
// twice. In each state in which enough organisations live, they can remove a dead one in N acts; when each of them has
// eight open proposals, in one act more.
func TestGovernanceModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a := assemble(t, rapid.IntRange(1, 7).Draw(rt, "organisations"))
		for range rapid.IntRange(1, 25).Draw(rt, "acts") {
			a.step(rt)
			if got := mustMembers(rt, a.world); !slices.Equal(got, a.members) {
				rt.Fatalf("the members are %v, the model has %v", got, a.members)
			}
			if got := len(mustRestorations(rt, a.world)); got != int(a.restored) {
				rt.Fatalf("%d restorations are recorded, the model has %d", got, a.restored)
			}
			if got := len(mustCorrections(rt, a.world)); got != a.corrected {
				rt.Fatalf("the time was set back %d times, in the model %d times", got, a.corrected)
			}
			a.canRemoveTheDead(rt)
		}
	})
}

// step lets one living organisation act, or one die.
func (a *assembly) step(t *rapid.T) {
	actor := rapid.SampledFrom(a.live()).Draw(t, "actor")
	switch rapid.SampledFrom([]string{"move", "vote", "vote", "vote", "vote", "withdraw", "accept", "intrude", "die"}).Draw(t,
		"act") {
	case "accept":
		if len(a.invited) > 0 && len(a.members) < 8 {
			o := a.invited[0]
			a.must(a.acceptance(o, o))
			a.members, a.invited = append(slices.Clone(a.members), o), slices.Clone(a.invited[1:])
		}
	case "intrude": // who was only invited does not vote
		if m := a.drawn(t); m != nil && len(a.invited) > 0 {
			if r := a.alone(a.approval(a.invited[0], m.id)); r.GetCode() == OK {
				t.Fatalf("%s, which is invited, votes on %+v: %s", a.invited[0], m, r.GetOutput())
			}
		}
	case "die":
		if len(a.live()) > 1 {
			a.dead[actor] = true
		}
	case "move":
		m := &motion{proposer: actor}
		switch rapid.SampledFrom([]string{"remove", "join", "policy", "restoration", "time"}).Draw(t, "motion") {
		case "remove":
			m.target = rapid.SampledFrom(slices.Concat(a.members, a.invited)).Draw(t, "target")
		case "join":
			if len(a.members) >= 8 {
				return
			}
			a.joined++
			m.newcomer = fmt.Sprint("o", a.joined)
		case "restoration":
			m.restores = a.restored + 1
		case "time":
			m.toMs = a.referenceMs - rapid.Int64Range(1, MaxCorrectionAgeMs/2).Draw(t, "back")
			if o := rapid.SampledFrom(a.live()).Draw(t, "another"); o != actor { // of two only one is executed
				a.moved(t, &motion{proposer: o, toMs: m.toMs})
			}
		default:
			m.policy = rapid.SampledFrom([]string{"majority", "all"}).Draw(t, "policy")
		}
		a.moved(t, m)
	case "withdraw":
		if m := a.drawn(t); m != nil && m.open() {
			want := map[bool]int32{true: OK, false: Forbidden}[m.proposer == actor]
			if r := a.alone(a.withdrawal(actor, m.id)); r.GetCode() != want {
				t.Fatalf("%s withdraws %+v: %d %s", actor, m, r.GetCode(), r.GetReason())
			} else if want == OK {
				m.state = "withdrawn"
			}
		}
	default:
		if m := a.drawn(t); m != nil {
			a.voted(t, m, actor, rapid.IntRange(0, 3).Draw(t, "approves") > 0)
		}
	}
}

// drawn is a motion, mostly one of the last; nil when there is none.
func (a *assembly) drawn(t *rapid.T) *motion {
	if len(a.proposals) == 0 {
		return nil
	}
	last := a.proposals[max(0, len(a.proposals)-3):]
	return rapid.SampledFrom(append(slices.Clone(last), a.proposals...)).Draw(t, "proposal")
}

// canRemoveTheDead fails unless the living ones can remove a dead organisation, if they are enough.
func (a *assembly) canRemoveTheDead(t *rapid.T) {
	live := a.live()
	i := slices.IndexFunc(a.members, func(o string) bool { return a.dead[o] && !a.hasAllNodes(o) })
	if i < 0 || len(live) < quorum(a.policy, len(a.members)) {
		return
	}
	c, target, acts := a.fork(), a.members[i], 0
	at := slices.IndexFunc(c.proposals, func(m *motion) bool {
		return m.open() && m.target == target && slices.Contains(live, m.proposer)
	})
	var m *motion
	if at >= 0 {
		m = c.proposals[at]
	}
	for _, o := range live {
		if m != nil {
			break
		}
		if open := c.openOf(o); len(open) < 8 || o == live[len(live)-1] {
			if len(open) == 8 {
				c.alone(c.withdrawal(o, open[0].id))
				open[0].state = "withdrawn"
			} else {
				acts++
			}
			m = c.moved(t, &motion{proposer: o, target: target})
		}
	}
	for _, o := range live {
		if m.open() && !m.votes[o] {
			acts++
			c.voted(t, m, o, true)
		}
	}
	for _, o := range live { // the votes of those that were removed meanwhile were not counted: asking again is enough
		if m.open() {
			acts++
			c.voted(t, m, o, true)
		}
	}
	if c.member(target) || acts > len(a.members) {
		t.Fatalf("%s of %v cannot be removed by %v in %d acts: %+v, %d acts", target, a.members, live, len(a.members), m, acts)
	}
}

func (a *assembly) openOf(o string) (open []*motion) {
	for _, m := range a.proposals {
		if m.proposer == o && m.open() {
			open = append(open, m)
		}
	}
	return open
}
