package rules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// collaboration is a world whose chain is a collaboration chain with the members m1 and m2, a phase group of two
// phases, and another group of one phase.
type collaboration struct {
	*world
	group, other         string
	first, second, else_ string // phases; else_ is of the other group
	m1, m2               string // member ids
}

func collaborationChain() *ltlv1.CreateChain {
	c := proofChain()
	c.Name, c.Service = "协同链", ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION
	return c
}

// onCollaborationChain moves the world to a new collaboration chain with members m1 and m2, and nothing else.
func onCollaborationChain(t testing.TB, c *ltlv1.CreateChain) *collaboration {
	t.Helper()
	w := newWorld(t)
	w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput())
	ids := w.must(w.tx(rootUID, member(m1UID)), w.tx(rootUID, member(m2UID)))
	return &collaboration{world: w, m1: ids[0].GetOutput(), m2: ids[1].GetOutput()}
}

func newCollaboration(t testing.TB) *collaboration {
	t.Helper()
	c := onCollaborationChain(t, collaborationChain())
	groups := c.must(c.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "水稻溯源"}),
		c.act(rootUID, &ltlv1.CreatePhaseGroup{Name: "other"}))
	c.group, c.other = groups[0].GetOutput(), groups[1].GetOutput()
	phases := c.must(c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "种植"}),
		c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "加工"}), c.act(rootUID,
			&ltlv1.CreatePhase{PhaseGroupId: c.other, Name: "else"}))
	c.first, c.second, c.else_ = phases[0].GetOutput(), phases[1].GetOutput(), phases[2].GetOutput()
	c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1, PhaseIds: []string{c.first}}))
	return c
}

// act is a transaction with an action of collaboration chains.
func (w *world) act(uid string, action any) *ltlv1.Transaction {
	tx := w.tx(uid, nil)
	switch a := action.(type) {
	case *ltlv1.CreatePhaseGroup:
		tx.Action = &ltlv1.Transaction_CreatePhaseGroup{CreatePhaseGroup: a}
	case *ltlv1.ModifyPhaseGroup:
		tx.Action = &ltlv1.Transaction_ModifyPhaseGroup{ModifyPhaseGroup: a}
	case *ltlv1.CreatePhase:
		tx.Action = &ltlv1.Transaction_CreatePhase{CreatePhase: a}
	case *ltlv1.ModifyPhase:
		tx.Action = &ltlv1.Transaction_ModifyPhase{ModifyPhase: a}
	case *ltlv1.AuthorizePhases:
		tx.Action = &ltlv1.Transaction_AuthorizePhases{AuthorizePhases: a}
	case *ltlv1.UploadPhaseData:
		tx.Action = &ltlv1.Transaction_UploadPhaseData{UploadPhaseData: a}
	case *ltlv1.LockMember:
		tx.Action = &ltlv1.Transaction_LockMember{LockMember: a}
	case *ltlv1.ModifyMember:
		tx.Action = &ltlv1.Transaction_ModifyMember{ModifyMember: a}
	default:
		w.t.Fatalf("no action: %T", action)
	}
	return tx
}

// upload is a single upload to the first phase.
func (c *collaboration) upload(dataKey, data, seq string, related ...*ltlv1.RelatedData) *ltlv1.UploadPhaseData {
	return &ltlv1.UploadPhaseData{
		PhaseGroupId: c.group, PhaseId: c.first, Form: ltlv1.DataForm_DATA_FORM_TEXT,
		Items: []*ltlv1.PhaseItem{{DataKey: dataKey, PhaseData: data, DataSeq: seq, Related: related}},
	}
}

// batchOf is a batch upload to the first phase.
func (c *collaboration) batchOf(items ...*ltlv1.PhaseItem) *ltlv1.UploadPhaseData {
	return &ltlv1.UploadPhaseData{
		PhaseGroupId: c.group, PhaseId: c.first, Form: ltlv1.DataForm_DATA_FORM_TEXT, Batch: true, Items: items,
	}
}

// record returns the locator of a record; the version is that of its Key.
func (c *collaboration) record(phaseID, dataKey, seq string) *Locator {
	c.t.Helper()
	p, err := GetPhase(c.state, c.chain.ID, phaseID)
	if err != nil || p == nil {
		c.t.Fatal(p, err)
	}
	key := PhaseKey(c.chain.Code, p.Code, dataKey)
	lookup := NewestKey(key)
	if seq != "" {
		lookup = SequenceKey(key, seq)
	}
	l, err := Locate(c.state, c.chain.ID, lookup)
	if err != nil {
		c.t.Fatal(err)
	}
	return l
}

func TestCollaborationMainPath(t *testing.T) {
	c := newCollaboration(t)
	one := c.must(c.act(m1UID, c.upload("rice", "数据一", "")))[0]
	if seq := one.GetOutput(); len(seq) != 64 || strings.ToLower(seq) != seq {
		t.Errorf("assigned DataSeq %q", seq)
	}
	two := c.must(c.act(m1UID, c.batchOf(
		&ltlv1.PhaseItem{DataKey: "rice", PhaseData: "a"}, &ltlv1.PhaseItem{DataKey: "rice", PhaseData: "b", DataSeq: "s2"},
		&ltlv1.PhaseItem{DataKey: "corn", PhaseData: "c"})))[0]
	seqs := strings.Split(two.GetOutput(), ",")
	if len(seqs) != 3 || seqs[1] != "s2" || seqs[0] == seqs[2] {
		t.Fatalf("DataSeqs %v", seqs)
	}
	for _, want := range []struct {
		dataKey, seq string
		version      uint32
		result       *ltlv1.Result
	}{{"rice", one.GetOutput(), 1, one}, {"rice", seqs[0], 2, two}, {"rice", "s2", 3, two}, {"corn", seqs[2], 1,
		two}, {"rice", "", 3, two}} {
		l := c.record(c.first, want.dataKey, want.seq)
		if l == nil || l.Version() != want.version || l.Height != want.result.GetBlockHeight() ||
			l.Index != want.result.GetTransactionIndex() {
			t.Errorf("%s %s: %+v, want version %d of block %d", want.dataKey, want.seq, l, want.version,
				want.result.GetBlockHeight())
		}
	}
	for uid, want := range map[string]Usage{"": {Count: 4, Bytes: 12, Members: 2}, m1UID: {Count: 4, Bytes: 12}} {
		if got, err := GetUsage(c.state, c.chain.ID, uid); err != nil || got != want {
			t.Errorf("usage of %q: %+v, %v, want %+v", uid, got, err, want)
		}
	}
	groups, err := ListPhaseGroups(c.state, c.chain.ID)
	if err != nil || len(groups) != 2 || groups[0].ID != c.group ||
		!slices.Equal(groups[0].Phases, []string{c.first, c.second}) {
		t.Fatal(groups, err)
	}
	totals, err := GetPhaseTotals(c.state, c.chain.ID)
	if err != nil || totals != (PhaseTotals{Groups: 2, Phases: 3}) {
		t.Errorf("totals %+v, %v", totals, err)
	}
	again := c.act(m1UID, c.upload("rice", "x", "s3"))
	c.must(again)
	if r := c.apply(again)[0]; r.GetOutput() != "s3" || fmt.Sprint(r.GetCode()) != "200" {
		t.Errorf("the same transaction again: %v", r)
	}
}

// TestCollaborationRules: which accounts may change phase groups and phases, and every value at its bound and just
// past it.
func TestCollaborationRules(t *testing.T) {
	c := newCollaboration(t)
	remark := func(n int) string { return strings.Repeat("备", n) }
	text := func(s string) *string { return &s }
	const nowhere = "0000000000000000"
	for _, v := range []struct {
		what   string
		action any
		want   int32
	}{
		{"a group", &ltlv1.CreatePhaseGroup{Name: "ab", Remark: remark(100)}, OK},
		{"a group of a name that there is", &ltlv1.CreatePhaseGroup{Name: "水稻溯源"}, OK},
		{"a name of one", &ltlv1.CreatePhaseGroup{Name: "a"}, OutOfRange},
		{"a name of 30", &ltlv1.CreatePhaseGroup{Name: strings.Repeat("组", 30)}, OK},
		{"a name of 31", &ltlv1.CreatePhaseGroup{Name: strings.Repeat("a", 31)}, OutOfRange},
		{"a name with a blank", &ltlv1.CreatePhaseGroup{Name: "a b"}, OutOfRange},
		{"a remark of 101", &ltlv1.CreatePhaseGroup{Name: "ab", Remark: remark(101)}, OutOfRange},
		{"group renamed", &ltlv1.ModifyPhaseGroup{PhaseGroupId: c.group, Name: "ab", Remark: text(remark(100))}, OK},
		{"group with a bad name", &ltlv1.ModifyPhaseGroup{PhaseGroupId: c.group, Name: "a"}, OutOfRange},
		{"group with a bad remark", &ltlv1.ModifyPhaseGroup{PhaseGroupId: c.group, Name: "ab", Remark: text(remark(101))},
			OutOfRange},
		{"no group renamed", &ltlv1.ModifyPhaseGroup{PhaseGroupId: nowhere, Name: "ab"}, NotFound},
		{"a phase as a group", &ltlv1.ModifyPhaseGroup{PhaseGroupId: c.first, Name: "ab"}, NotFound},
		{"a phase", &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "ab", Remark: remark(100)}, OK},
		{"a phase with a bad name", &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "a"}, OutOfRange},
		{"a phase with a bad remark", &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "ab", Remark: remark(101)}, OutOfRange},
		{"a phase of no group", &ltlv1.CreatePhase{PhaseGroupId: nowhere, Name: "ab"}, NotFound},
		{"a phase of a bad group", &ltlv1.CreatePhase{PhaseGroupId: "", Name: "ab"}, NotFound},
		{"phase renamed", &ltlv1.ModifyPhase{PhaseId: c.first, Name: "ab"}, OK},
		{"phase with a bad name", &ltlv1.ModifyPhase{PhaseId: c.first, Name: "a"}, OutOfRange},
		{"phase with a bad remark", &ltlv1.ModifyPhase{PhaseId: c.first, Name: "ab", Remark: text(remark(101))}, OutOfRange},
		{"no phase renamed", &ltlv1.ModifyPhase{PhaseId: c.group, Name: "ab"}, NotFound},
		{"all phases", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1,
			PhaseIds: []string{c.second, c.first}}, OK},
		{"none", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1}, OK},
		{"one twice", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1,
			PhaseIds: []string{c.second, c.second}}, OutOfRange},
		{"an unknown one", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1,
			PhaseIds: []string{c.second, nowhere}}, NotFound},
		{"one of another group", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1,
			PhaseIds: []string{c.else_}}, NotFound},
		{"in no group", &ltlv1.AuthorizePhases{PhaseGroupId: nowhere, MemberId: c.m1}, NotFound},
		{"no member", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: nowhere}, NotFound},
		{"a uid", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: m1UID}, NotFound},
		{"the administrator", &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.chain.AdministratorMemberID},
			Forbidden},
	} {
		c.want(v.what, c.act(rootUID, v.action), v.want)
		c.want(v.what+", by a member", c.act(m1UID, v.action), Forbidden)
	}
}

// TestModifyPhases: a remark that is absent stays, an empty one is cleared; nothing else changes.
func TestModifyPhases(t *testing.T) {
	c := newCollaboration(t)
	text := func(s string) *string { return &s }
	group := func() *PhaseGroup {
		g, err := GetPhaseGroup(c.state, c.chain.ID, c.group)
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	phase := func() *Phase {
		p, err := GetPhase(c.state, c.chain.ID, c.second)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	g, p := group(), phase()
	for i, step := range []struct {
		remark *string
		want   string
	}{{nil, ""}, {text("one"), "one"}, {nil, "one"}, {text(""), ""}} {
		g.Name, g.Remark = fmt.Sprint("group", i), step.want
		p.Name, p.Remark = fmt.Sprint("phase", i), step.want
		c.must(c.act(rootUID, &ltlv1.ModifyPhaseGroup{PhaseGroupId: c.group, Name: g.Name, Remark: step.remark}),
			c.act(rootUID, &ltlv1.ModifyPhase{PhaseId: c.second, Name: p.Name, Remark: step.remark}))
		if !reflect.DeepEqual(group(), g) || !reflect.DeepEqual(phase(), p) {
			t.Errorf("step %d: %+v %+v, want %+v %+v", i, group(), phase(), g, p)
		}
	}
}

// TestAuthorizePhases: the list replaces the former one in its group and touches no other.
func TestAuthorizePhases(t *testing.T) {
	c := newCollaboration(t)
	member, err := MemberByID(c.state, c.chain, c.m1)
	if err != nil {
		t.Fatal(err)
	}
	writable := func(id string) []string {
		g, err := GetPhaseGroup(c.state, c.chain.ID, id)
		if err != nil {
			t.Fatal(err)
		}
		list, err := WritablePhases(c.state, c.chain.ID, member, g)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.other, MemberId: c.m1, PhaseIds: []string{c.else_}}))
	for _, list := range [][]string{{c.second}, {c.first, c.second}, nil, {c.first}} {
		c.must(c.act(rootUID, &ltlv1.AuthorizePhases{PhaseGroupId: c.group, MemberId: c.m1, PhaseIds: list}))
		if got := writable(c.group); !slices.Equal(got, list) {
			t.Errorf("%v, want %v", got, list)
		}
		if got := writable(c.other); !slices.Equal(got, []string{c.else_}) {
			t.Errorf("the other group: %v", got)
		}
	}
	if all, err := WritablePhases(c.state, c.chain.ID, administrator(c.chain),
		&PhaseGroup{ID: c.group, Phases: []string{"a"}}); err != nil || !slices.Equal(all, []string{"a"}) {
		t.Errorf("the administrator: %v, %v", all, err)
	}
}

// TestPhaseCodesRunOut: the phases of a chain end before its phase codes do, whatever the quotas.
func TestPhaseCodesRunOut(t *testing.T) {
	c := newCollaboration(t)
	for totals, want := range map[PhaseTotals]int32{{Groups: 2, Phases: maxPhases - 1}: OK,
		{Groups: 2, Phases: maxPhases}: QuotaExceeded} {
		c.state[c.chain.ID][keyPhaseTotals] = totals.encode()
		c.want(fmt.Sprintf("%+v", totals), c.act(rootUID, &ltlv1.CreatePhase{PhaseGroupId: c.group, Name: "phase"}), want)
	}
}
