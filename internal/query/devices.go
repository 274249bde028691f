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
	var all []*rules.Enrolment
	if in.GetProductKey() != "" && in.GetIotId() != "" { // there may be very many others
		one, err := rules.GetEnrolment(s.store, in.GetProductKey(), in.GetIotId())
		if err != nil {
			return nil, failure(err)
		}
		if one != nil {
			all = append(all, one)
		}
	} else if all, err = rules.ListEnrolments(s.store); err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListEnrolmentsResponse{Code: rules.OK}
	for _, d := range all {
		if in.GetProductKey() != "" && in.GetProductKey() != d.ProductKey || in.GetIotId() != "" && in.GetIotId() != d.IotID {
			continue
		}
		if page.holds(out.Total) {
			out.Devices = append(out.Devices, enrolmentInfo(d))
		}
		out.Total++
	}
	return out, nil
}

func enrolmentInfo(d *rules.Enrolment) *ltlv1.EnrolmentInfo {
	out := &ltlv1.EnrolmentInfo{
		Device: &ltlv1.EnrollDevice{ProductKey: d.ProductKey, IotId: d.IotID, KeyType: d.Newest().Type,
			PublicKey: d.Newest().Public},
		Organisation: d.Organisation, Revoked: d.Revoked, EnrolledHeight: d.CreatedHeight,
	}
	for i := range d.Keys {
		k := &d.Keys[i]
		out.Keys = append(out.Keys, &ltlv1.DeviceKeyInfo{
			Number: uint32(i) + 1, KeyType: k.Type, PublicKey: k.Public, FromHeight: k.From, UntilHeight: k.Until, End: k.End,
			DoubtfulHeight: k.Doubtful,
		})
	}
	return out
}

// ListProducts implements ltlv1.LedgerServer.
func (s *server) ListProducts(ctx context.Context, in *ltlv1.ListProductsRequest) (*ltlv1.ListProductsResponse, error) {
	page, err := pageOf(in.GetPage(), in.GetSize())
	if err != nil {
		return nil, err
	}
	if err := s.fresh(ctx, in.GetConsistency()); err != nil {
		return nil, err
	}
	var all []*rules.Product
	if in.GetProductKey() != "" { // there may be very many others
		one, err := rules.GetProduct(s.store, in.GetProductKey())
		if err != nil {
			return nil, failure(err)
		}
		if one != nil {
			all = append(all, one)
		}
	} else if all, err = rules.ListProducts(s.store); err != nil {
		return nil, failure(err)
	}
	out := &ltlv1.ListProductsResponse{Code: rules.OK}
	for _, p := range all {
		if page.holds(out.Total) {
			out.Products = append(out.Products, &ltlv1.ProductInfo{
				ProductKey: p.Key, Organisation: p.Organisation, ChainId: p.ChainID, FromMs: p.FromMs,
				ChangedHeight: p.ChangedHeight,
			})
		}
		out.Total++
	}
	return out, nil
}
