package console

import (
	"strings"

	ltlv1 "ltl/proto/ltl/v1"
)

// sourcesView is the page of a chain's device groups.
type sourcesView struct {
	By, Value string
	Groups    []*ltlv1.DeviceGroupInfo
	Pages     pager
	Any       bool
}

// sources lists the device groups of a chain that the account may see, of which a search takes those that equal a text.
func (v *visit) sources() (*view, error) {
	all, err := v.deviceGroups()
	if err != nil {
		return nil, err
	}
	q := v.r.URL.Query()
	out := &sourcesView{By: q.Get("by"), Value: strings.TrimSpace(q.Get("value")), Any: len(all) > 0}
	if out.Value != "" {
		all = matching(all, out.Value, func(g *ltlv1.DeviceGroupInfo) string {
			switch out.By {
			case "product":
				return g.GetProductKey()
			case "owner":
				return g.GetOwnerUid()
			}
			return g.GetName()
		})
	}
	out.Pages = v.pagerOf(uint64(len(all)))
	out.Groups = rowsOf(all, out.Pages)
	return &view{name: "sources", title: "sources.title", data: out}, nil
}

// deviceGroups reads the device groups that the account may see: the administrator all, a member its own.
func (v *visit) deviceGroups() ([]*ltlv1.DeviceGroupInfo, error) {
	return allPages(func(page uint32) ([]*ltlv1.DeviceGroupInfo, error) {
		out, err := v.ledger.ListDeviceGroups(v.r.Context(), &ltlv1.ListDeviceGroupsRequest{ChainId: v.chain.ID(),
			AccountUid: v.session.uid, Page: page, Size: rpcPage})
		return out.GetGroups(), err
	})
}

// devicesView is the page of a device group.
type devicesView struct {
	Group       *ltlv1.DeviceGroupInfo
	State, Name string
	Devices     []*ltlv1.DeviceInfo
	Pages       pager
	Searched    bool
}

// devices lists the devices of a group that have uploaded something, of which a search takes those of a state and a name.
func (v *visit) devices() (*view, error) {
	groups, err := v.deviceGroups()
	if err != nil {
		return nil, err
	}
	found := matching(groups, v.r.PathValue("group"), (*ltlv1.DeviceGroupInfo).GetDeviceGroupId)
	if len(found) == 0 {
		return nil, errNothing
	}
	q := v.r.URL.Query()
	out := &devicesView{Group: found[0], State: q.Get("state"), Name: strings.TrimSpace(q.Get("name"))}
	all, err := allPages(func(page uint32) ([]*ltlv1.DeviceInfo, error) {
		d, err := v.ledger.ListDevices(v.r.Context(), &ltlv1.ListDevicesRequest{ChainId: v.chain.ID(),
			AccountUid: v.session.uid, DeviceGroupId: out.Group.GetDeviceGroupId(), IotId: out.Name, Page: page, Size: rpcPage})
		return d.GetDevices(), err
	})
	if err != nil {
		return nil, err
	}
	if out.State == "on" || out.State == "off" {
		all = matching(all, out.State, func(d *ltlv1.DeviceInfo) string {
			if d.GetAuthorized() {
				return "on"
			}
			return "off"
		})
	}
	out.Searched = out.Name != "" || out.State != ""
	out.Pages = v.pagerOf(uint64(len(all)))
	out.Devices = rowsOf(all, out.Pages)
	return &view{name: "devices", title: "devices.title", data: out}, nil
}
