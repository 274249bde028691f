package console

import (
	"strings"

	ltlv1 "ltl/proto/ltl/v1"
)

// membersView is the page of a chain's members.
type membersView struct {
	By, Value string
	Members   []*ltlv1.MemberInfo
	Pages     pager
	Any       bool
}

// members lists the members of a chain for its administrator, of which a search takes those that equal a text.
func (v *visit) members() (*view, error) {
	all, err := v.allMembers()
	if err != nil {
		return nil, err
	}
	q := v.r.URL.Query()
	out := &membersView{By: q.Get("by"), Value: strings.TrimSpace(q.Get("value")), Any: len(all) > 0}
	if out.Value != "" {
		all = matching(all, out.Value, func(m *ltlv1.MemberInfo) string {
			switch out.By {
			case "name":
				return m.GetName()
			case "contact":
				return m.GetContact()
			}
			return m.GetUid()
		})
	}
	out.Pages = v.pagerOf(uint64(len(all)))
	out.Members = rowsOf(all, out.Pages)
	return &view{name: "members", title: "members.title", data: out}, nil
}

// rowsOf are the rows of a page.
func rowsOf[T any](all []T, p pager) []T {
	return all[min(p.first(), len(all)):min(p.first()+pageSize, len(all))]
}

// allMembers reads the members of the chain without its administrator, at most maxRows.
func (v *visit) allMembers() ([]*ltlv1.MemberInfo, error) {
	return allPages(func(page uint32) ([]*ltlv1.MemberInfo, error) {
		out, err := v.ledger.ListMembers(v.r.Context(), &ltlv1.ListMembersRequest{ChainId: v.chain.ID(),
			AccountUid: v.session.uid, Page: page, Size: rpcPage})
		return out.GetMembers(), err
	})
}

// rpcPage is the size of the pages that are read from the nodes.
const rpcPage = 100

// allPages reads page after page of a list, at most maxRows rows.
func allPages[T any](read func(page uint32) ([]T, error)) ([]T, error) {
	var all []T
	for page := uint32(1); len(all) < maxRows; page++ {
		some, err := read(page)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
		if len(some) < rpcPage {
			break
		}
	}
	return all, nil
}

// memberPage is the form on which a member is edited.
func (v *visit) memberPage() (*view, error) {
	all, err := v.allMembers()
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.GetMemberId() == v.r.PathValue("member") {
			return &view{name: "member", title: "member.title", data: m}, nil
		}
	}
	return nil, errNothing
}
