package query

import (
	"context"
	"fmt"

	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// GetChain implements ltlv1.LedgerServer.
func (s *server) GetChain(ctx context.Context, in *ltlv1.GetChainRequest) (*ltlv1.GetChainResponse, error) {
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, member, code, err := s.authorize(in.GetChainId(), in.GetAccountUid())
	if err != nil || code != rules.OK {
		return &ltlv1.GetChainResponse{Code: code}, failure(err)
	}
	info, err := s.chainInfo(chain, member)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.GetChainResponse{Code: rules.OK, Chain: info}
	total, err := rules.GetUsage(s.store, chain.ID, "")
	if err != nil {
		return nil, failure(err)
	}
	phases, err := rules.GetPhaseTotals(s.store, chain.ID)
	if err != nil {
		return nil, failure(err)
	}
	out.UsedMembers, out.UsedPhaseGroups = total.Members, phases.Groups
	if member != nil {
		own, err := rules.GetUsage(s.store, chain.ID, member.UID)
		if err != nil {
			return nil, failure(err)
		}
		out.OwnCount, out.OwnBytes = own.Count, own.Bytes
	}
	return out, nil
}

// ListMembers implements ltlv1.LedgerServer.
func (s *server) ListMembers(ctx context.Context, in *ltlv1.ListMembersRequest) (*ltlv1.ListMembersResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, member, code, err := s.authorize(in.GetChainId(), in.GetAccountUid())
	if err != nil || code != rules.OK {
		return &ltlv1.ListMembersResponse{Code: code}, failure(err)
	}
	if !seesAll(member) {
		return &ltlv1.ListMembersResponse{Code: rules.Forbidden}, nil
	}
	all, err := rules.ListMembers(s.store, chain)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListMembersResponse{Code: rules.OK}
	for _, m := range all {
		if m.Role == rules.RoleAdmin && !in.GetWithAdministrator() || in.GetMemberUid() != "" && in.GetMemberUid() != m.UID {
			continue
		}
		if page.holds(out.Total) {
			info, err := s.memberInfo(chain, m)
			if err != nil {
				return nil, failure(err)
			}
			out.Members = append(out.Members, info)
		}
		out.Total++
	}
	return out, nil
}

func (s *server) memberInfo(chain *rules.Chain, m *rules.Member) (*ltlv1.MemberInfo, error) {
	usage, err := rules.GetUsage(s.store, chain.ID, m.UID)
	if err != nil {
		return nil, err
	}
	name, err := s.nameOf(m)
	return &ltlv1.MemberInfo{
		MemberId: m.ID, Uid: m.UID, Name: name, Contact: m.Contact, Phone: m.Phone, Remark: m.Remark, Role: m.Role,
		Status:       m.Status,
		DataTypeCode: m.TypeCode, UsedCount: usage.Count, UsedBytes: usage.Bytes,
	}, err
}

// nameOf is the name of a member. The administrator was not entered on the chain with a name; its name is its
// account's.
func (s *server) nameOf(m *rules.Member) (string, error) {
	if m.Role != rules.RoleAdmin {
		return m.Name, nil
	}
	a, err := rules.GetAccount(s.store, m.UID)
	if err == nil && a == nil {
		err = fmt.Errorf("%w: the account %s of an administrator is missing", store.ErrCorrupt, m.UID)
	}
	if err != nil {
		return "", err
	}
	return a.Name, nil
}

// authorize finds a business chain and the caller's membership there. member is nil for operators and auditors, who
// call without an account. A code other than OK is the refusal.
func (s *server) authorize(chainID, uid string) (chain *rules.Chain, member *rules.Member, code int32, err error) {
	chain, err = rules.GetChain(s.store, chainID)
	if chain == nil || err != nil {
		return nil, nil, rules.NotFound, err
	}
	if uid == "" {
		return chain, nil, rules.OK, nil
	}
	member, code, err = rules.MemberOf(s.store, chain, uid)
	return chain, member, code, err
}

// seesAll reports whether a caller may see everything on a chain: the administrator, or an operator, who is no member.
func seesAll(m *rules.Member) bool { return m == nil || m.Role == rules.RoleAdmin }
