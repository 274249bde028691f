package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// groupRow is a device group as `ltl device group` prints it. Its JSON names are stable.
type groupRow struct {
	DeviceGroupID string `json:"deviceGroupId"`
	ProductKey    string `json:"productKey"`
	Name          string `json:"name"`
	OwnerUID      string `json:"ownerUid"`
	Authorized    bool   `json:"authorized"`
}

// newDeviceGroup makes `ltl device group`: what the LTL API cannot do with device groups.
func newDeviceGroup() *cobra.Command {
	cmd := &cobra.Command{Use: "group", Short: "List, hand over and remove the device groups of a chain"}
	cmd.AddCommand(newGroupList(), newGroupHandOver(), newGroupRemove())
	return cmd
}

func newGroupList() *cobra.Command {
	return &cobra.Command{
		Use:   "list CHAIN",
		Short: "List the device groups of a chain, oldest first",
		Args:  cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			chain, err := s.chain(args[0])
			if err != nil {
				return err
			}
			rows, err := s.groups(chain.ChainID)
			if err != nil {
				return err
			}
			return emitRows(s.cmd, rows, "GROUP|PRODUCT KEY|NAME|OWNER|AUTHORISED", func(r groupRow) []any {
				return []any{r.DeviceGroupID, r.ProductKey, r.Name, r.OwnerUID, r.Authorized}
			})
		}),
	}
}

func (s *session) groups(chainID string) ([]groupRow, error) {
	read := func(page uint32) (*ltlv1.ListDeviceGroupsResponse, error) {
		return s.client.Ledger().ListDeviceGroups(s.cmd.Context(), &ltlv1.ListDeviceGroupsRequest{ChainId: chainID,
			Page: page, Size: pageSize})
	}
	return allPages(read, (*ltlv1.ListDeviceGroupsResponse).GetGroups, func(g *ltlv1.DeviceGroupInfo) groupRow {
		return groupRow{DeviceGroupID: g.GetDeviceGroupId(), ProductKey: g.GetProductKey(), Name: g.GetName(),
			OwnerUID: g.GetOwnerUid(), Authorized: g.GetAuthorized()}
	})
}

func newGroupHandOver() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "handover CHAIN GROUP MEMBER",
		Short: "Hand a device group over to another member, by the account's UID or the member's id",
		Long: `Hands a device group over: from then on only that account uploads what the group's devices sign. Its account must
be of the organisation that claimed the product.

` + inAdministratorsName,
		Args: cobra.ExactArgs(3),
	}
	onMembers(cmd, func(m *membership, args []string) error {
		to, err := m.member(m.chain, args[2])
		if err != nil {
			return err
		}
		return m.modifyGroup(&ltlv1.ModifyDeviceGroup{DeviceGroupId: args[1], OwnerMemberId: to.MemberID})
	})
	return cmd
}

func newGroupRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove CHAIN GROUP",
		Short: "Remove a device group from a chain; its product may then be registered again",
		Long: `Removes a device group: what its devices sign is refused on this chain until the product is registered again.
Records that they signed stay.

` + inAdministratorsName,
		Args: cobra.ExactArgs(2),
	}
	onMembers(cmd, func(m *membership, args []string) error {
		return m.modifyGroup(&ltlv1.ModifyDeviceGroup{DeviceGroupId: args[1], Removed: true})
	})
	return cmd
}

// modifyGroup changes a device group and prints those that the chain has then.
func (m *membership) modifyGroup(change *ltlv1.ModifyDeviceGroup) error {
	_, err := m.session.submit(&ltlv1.Transaction{
		ChainId: m.chain.ChainID, AccountUid: m.administrator,
		Action: &ltlv1.Transaction_ModifyDeviceGroup{ModifyDeviceGroup: change},
	}, advice{
		rules.Forbidden: memberAdvice(m.administrator)[rules.Forbidden],
		rules.NotFound: fmt.Sprintf("chain %s has no device group %q; `ltl device group list %s` shows those it has",
			m.chain.Name, change.GetDeviceGroupId(), m.chain.ChainID),
	})
	if err != nil {
		return err
	}
	rows, err := m.groups(m.chain.ChainID)
	if err != nil {
		return readBack("the device group was changed", err)
	}
	return emitRows(m.cmd, rows, "GROUP|PRODUCT KEY|NAME|OWNER|AUTHORISED", func(r groupRow) []any {
		return []any{r.DeviceGroupID, r.ProductKey, r.Name, r.OwnerUID, r.Authorized}
	})
}
