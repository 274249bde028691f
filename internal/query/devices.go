package query

import (
	"context"
	"fmt"

	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// ListDeviceGroups implements ltlv1.LedgerServer. A member sees what it registered itself.
func (s *server) ListDeviceGroups(
	ctx context.Context, in *ltlv1.ListDeviceGroupsRequest,
) (*ltlv1.ListDeviceGroupsResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, member, code, err := s.authorize(in.GetChainId(), in.GetAccountUid())
	if err != nil || code != rules.OK {
		return &ltlv1.ListDeviceGroupsResponse{Code: code}, failure(err)
	}
	all, err := rules.ListDeviceGroups(s.store, chain.ID)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListDeviceGroupsResponse{Code: rules.OK}
	for _, g := range all {
		if !seesGroup(member, g) || in.GetProductKey() != "" && in.GetProductKey() != g.ProductKey {
			continue
		}
		if page.holds(out.Total) {
			info, err := s.groupInfo(chain, g)
			if err != nil {
				return nil, failure(err)
			}
			out.Groups = append(out.Groups, info)
		}
		out.Total++
	}
	return out, nil
}

func seesGroup(m *rules.Member, g *rules.DeviceGroup) bool { return seesAll(m) || m.ID == g.OwnerID }

func (s *server) groupInfo(chain *rules.Chain, g *rules.DeviceGroup) (*ltlv1.DeviceGroupInfo, error) {
	owner, err := rules.MemberByID(s.store, chain, g.OwnerID)
	if err == nil && owner == nil {
		// A block may have given the membership to another account between the two reads that this takes; not twice.
		owner, err = rules.MemberByID(s.store, chain, g.OwnerID)
	}
	if err == nil && owner == nil {
		err = fmt.Errorf("%w: device group %s of chain %s belongs to no entry", store.ErrCorrupt, g.ID, chain.ID)
	}
	if err != nil {
		return nil, err
	}
	name, err := s.nameOf(owner)
	return &ltlv1.DeviceGroupInfo{
		DeviceGroupId: g.ID, ProductKey: g.ProductKey, Name: g.Name, AuthorizeType: g.AuthorizeType, Remark: g.Remark,
		OwnerUid: owner.UID, OwnerName: name, Authorized: g.Authorized,
	}, err
}

// ListDevices implements ltlv1.LedgerServer. A caller that may see the group may see its devices.
func (s *server) ListDevices(ctx context.Context, in *ltlv1.ListDevicesRequest) (*ltlv1.ListDevicesResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	chain, member, code, err := s.authorize(in.GetChainId(), in.GetAccountUid())
	if err != nil || code != rules.OK {
		return &ltlv1.ListDevicesResponse{Code: code}, failure(err)
	}
	group, err := rules.GetDeviceGroup(s.store, chain.ID, in.GetDeviceGroupId())
	if group == nil || err != nil {
		return &ltlv1.ListDevicesResponse{Code: rules.NotFound}, failure(err)
	}
	if !seesGroup(member, group) {
		return &ltlv1.ListDevicesResponse{Code: rules.Forbidden}, nil
	}
	all, err := rules.ListDevices(s.store, chain.ID, group.ID)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListDevicesResponse{Code: rules.OK}
	for _, d := range all {
		if in.GetIotId() != "" && in.GetIotId() != d.IotID {
			continue
		}
		if page.holds(out.Total) {
			out.Devices = append(out.Devices, &ltlv1.DeviceInfo{DeviceId: d.ID, IotId: d.IotID, LastSaveMs: d.LastSaveMs,
				Authorized: d.Authorized})
		}
		out.Total++
	}
	return out, nil
}

// ListEnrolments implements ltlv1.LedgerServer.
func (s *server) ListEnrolments(
	ctx context.Context, in *ltlv1.ListEnrolmentsRequest,
) (*ltlv1.ListEnrolmentsResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	all, err := rules.ListEnrolments(s.store)
	if err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListEnrolmentsResponse{Code: rules.OK}
	for _, d := range all {
		if in.GetProductKey() != "" && in.GetProductKey() != d.ProductKey || in.GetIotId() != "" && in.GetIotId() != d.IotID {
			continue
		}
		if page.holds(out.Total) {
			out.Devices = append(out.Devices, &ltlv1.EnrolmentInfo{
				Device: &ltlv1.EnrollDevice{ProductKey: d.ProductKey, IotId: d.IotID, KeyType: d.KeyType,
					PublicKey: d.PublicKey},
				Organisation: d.Organisation, Revoked: d.Revoked, EnrolledHeight: d.CreatedHeight,
			})
		}
		out.Total++
	}
	return out, nil
}
