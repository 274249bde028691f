package query

import (
	"context"
	"slices"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// collaboration is authorize for collaboration chains; others are not found.
func (s *server) collaboration(chainID, uid string) (*rules.Chain, *rules.Member, int32, error) {
	chain, member, code, err := s.authorize(chainID, uid)
	if err == nil && chain != nil && !rules.CollaborationChain(chain) {
		code = rules.NotFound
	}
	return chain, member, code, err
}

// ListPhaseGroups implements ltlv1.LedgerServer.
func (s *server) ListPhaseGroups(
	ctx context.Context, in *ltlv1.ListPhaseGroupsRequest,
) (*ltlv1.ListPhaseGroupsResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, _, code, err := s.collaboration(in.GetChainId(), in.GetAccountUid())
	if err != nil || code != rules.OK {
		return &ltlv1.ListPhaseGroupsResponse{Code: code}, failure(err)
	}
	groups, err := rules.ListPhaseGroups(s.store, chain.ID)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListPhaseGroupsResponse{Code: rules.OK}
	for _, g := range groups {
		if in.GetName() != "" && g.Name != in.GetName() {
			continue
		}
		if out.Total >= page.from && out.Total < page.to {
			out.Groups = append(out.Groups, &ltlv1.PhaseGroupInfo{PhaseGroupId: g.ID, Name: g.Name, Remark: g.Remark,
				UsedPhases: uint64(len(g.Phases))})
		}
		out.Total++
	}
	return out, nil
}

// ListPhases implements ltlv1.LedgerServer.
func (s *server) ListPhases(ctx context.Context, in *ltlv1.ListPhasesRequest) (*ltlv1.ListPhasesResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, member, code, err := s.collaboration(in.GetChainId(), in.GetAccountUid())
	if err != nil || code != rules.OK {
		return &ltlv1.ListPhasesResponse{Code: code}, failure(err)
	}
	phases, code, err := s.phases(chain, member, in.GetPhaseGroupId())
	if err != nil || code != rules.OK {
		return &ltlv1.ListPhasesResponse{Code: code}, failure(err)
	}
	out := &ltlv1.ListPhasesResponse{Code: rules.OK}
	for _, p := range phases {
		if in.GetName() != "" && p.GetName() != in.GetName() {
			continue
		}
		if out.Total >= page.from && out.Total < page.to {
			out.Phases = append(out.Phases, p)
		}
		out.Total++
	}
	return out, nil
}

// GetPhaseAuthorization implements ltlv1.LedgerServer.
func (s *server) GetPhaseAuthorization(
	ctx context.Context, in *ltlv1.GetPhaseAuthorizationRequest,
) (*ltlv1.GetPhaseAuthorizationResponse, error) {
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, caller, code, err := s.collaboration(in.GetChainId(), in.GetAccountUid())
	if code == rules.OK && !seesAll(caller) {
		code = rules.Forbidden
	}
	if err != nil || code != rules.OK {
		return &ltlv1.GetPhaseAuthorizationResponse{Code: code}, failure(err)
	}
	member, err := rules.MemberByID(s.store, chain, in.GetMemberId())
	if err != nil || member == nil {
		return &ltlv1.GetPhaseAuthorizationResponse{Code: rules.NotFound}, failure(err)
	}
	phases, code, err := s.phases(chain, member, in.GetPhaseGroupId())
	if err != nil || code != rules.OK {
		return &ltlv1.GetPhaseAuthorizationResponse{Code: code}, failure(err)
	}
	out := &ltlv1.GetPhaseAuthorizationResponse{Code: rules.OK}
	for _, p := range phases {
		if p.GetPermission() == rules.PermissionReadWrite {
			out.Authorized = append(out.Authorized, p)
		} else {
			out.Unauthorized = append(out.Unauthorized, p)
		}
	}
	return out, nil
}

// phases returns those of a group, oldest first, with the permission of a member; nil, an operator, may read them all.
func (s *server) phases(chain *rules.Chain, m *rules.Member, groupID string) ([]*ltlv1.PhaseInfo, int32, error) {
	group, err := rules.GetPhaseGroup(s.store, chain.ID, groupID)
	if err != nil || group == nil {
		return nil, rules.NotFound, err
	}
	all, err := rules.ListPhases(s.store, chain.ID, group)
	if err != nil {
		return nil, 0, err
	}
	var writable []string
	if m != nil {
		if writable, err = rules.WritablePhases(s.store, chain.ID, m, group); err != nil {
			return nil, 0, err
		}
	}
	var list []*ltlv1.PhaseInfo
	for _, p := range all {
		info := &ltlv1.PhaseInfo{
			PhaseId: p.ID, PhaseGroupId: p.GroupID, Name: p.Name, Remark: p.Remark, DataTypeCode: p.Code,
			Permission: rules.PermissionRead,
		}
		if slices.Contains(writable, p.ID) {
			info.Permission = rules.PermissionReadWrite
		}
		list = append(list, info)
	}
	return list, rules.OK, nil
}
