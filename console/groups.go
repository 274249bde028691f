package console

import (
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// groupsView is the page of a collaboration chain's phase groups.
type groupsView struct{ Groups []phaseGroup }

// groups lists the phase groups of a collaboration chain with their phases.
func (v *visit) groups() (*view, error) {
	if v.chain.proof() {
		return nil, errNothing
	}
	all, err := v.phaseGroups()
	if err != nil {
		return nil, err
	}
	return &view{name: "groups", title: "groups.title", data: &groupsView{all}}, nil
}

// groupView is the page of a phase group: who may write to which phase.
type groupView struct {
	Group phaseGroup
	// Members are the rows of the matrix; only for the administrator.
	Members []matrixRow
	Pages   pager
}

// matrixRow is a member with its rights on the phases of a group, in their order.
type matrixRow struct {
	*ltlv1.MemberInfo
	May []mayWrite
}

// mayWrite is the right of a member to write to a phase.
type mayWrite struct {
	Phase *ltlv1.PhaseInfo
	Yes   bool
}

// group shows one phase group.
func (v *visit) group() (*view, error) {
	if v.chain.proof() {
		return nil, errNothing
	}
	all, err := v.phaseGroups()
	if err != nil {
		return nil, err
	}
	out := &groupView{}
	for _, g := range all {
		if g.GetPhaseGroupId() == v.r.PathValue("group") {
			out.Group = g
		}
	}
	if out.Group.PhaseGroupInfo == nil {
		return nil, errNothing
	}
	page := &view{name: "group", title: "group.title", data: out}
	if !v.chain.administrator {
		return page, nil
	}
	members, err := v.allMembers()
	if err != nil {
		return nil, err
	}
	out.Pages = v.pagerOf(uint64(len(members)))
	for _, m := range rowsOf(members, out.Pages) {
		row, err := v.matrixRow(out.Group, m)
		if err != nil {
			return nil, err
		}
		out.Members = append(out.Members, row)
	}
	return page, nil
}

// matrixRow reads the rights of a member.
func (v *visit) matrixRow(g phaseGroup, m *ltlv1.MemberInfo) (matrixRow, error) {
	a, err := v.ledger.GetPhaseAuthorization(v.r.Context(), &ltlv1.GetPhaseAuthorizationRequest{ChainId: v.chain.ID(),
		AccountUid: v.session.uid, PhaseGroupId: g.GetPhaseGroupId(), MemberId: m.GetMemberId()})
	if err != nil {
		return matrixRow{}, err
	}
	if a.GetCode() != rules.OK {
		return matrixRow{}, errNothing // the member or the group is gone since it was listed
	}
	may := map[string]bool{}
	for _, p := range a.GetAuthorized() {
		may[p.GetPhaseId()] = true
	}
	row := matrixRow{MemberInfo: m}
	for _, p := range g.Phases {
		row.May = append(row.May, mayWrite{p, may[p.GetPhaseId()]})
	}
	return row, nil
}
