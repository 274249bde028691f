package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// memberRow is a member as `ltl member` prints it. Its JSON names are stable.
type memberRow struct {
	MemberID string `json:"memberId"`
	UID      string `json:"uid"`
	Name     string `json:"name"`
	Contact  string `json:"contact"`
	Phone    string `json:"phone"`
	Remark   string `json:"remark"`
	// Role is ADMIN or MEMBER, Status UNLOCK or LOCK, as in the LTL API.
	Role         string `json:"role"`
	Status       string `json:"status"`
	DataTypeCode string `json:"dataTypeCode"`
	Records      uint64 `json:"records"`
	Bytes        uint64 `json:"bytes"`
}

func newMember() *cobra.Command {
	cmd := &cobra.Command{Use: "member", Short: "List, show, add, modify, lock and unlock the members of a chain"}
	addConnection(cmd)
	cmd.AddCommand(newMemberList(), newMemberShow(), newMemberAdd(), newMemberModify(), newMemberLock(true), newMemberLock(false))
	return cmd
}

func newMemberList() *cobra.Command {
	return &cobra.Command{
		Use:   "list CHAIN",
		Short: "List the members of a chain, its administrator first",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				chain, err := chainOf(cmd, c, args[0])
				if err != nil {
					return err
				}
				rows, err := members(cmd, c, chain.ChainID, "")
				if err != nil {
					return err
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "MEMBER\tUID\tNAME\tCONTACT\tPHONE\tROLE\tSTATUS\tTYPE CODE\tRECORDS\tSIZE")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
							r.MemberID, r.UID, r.Name, r.Contact, r.Phone, r.Role, r.Status, r.DataTypeCode, r.Records, formatSize(r.Bytes))
					}
				})
			})
		},
	}
}

func newMemberShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show CHAIN MEMBER",
		Short: "Show one member of a chain, by the account's UID or the member's id",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				chain, err := chainOf(cmd, c, args[0])
				if err != nil {
					return err
				}
				row, err := memberOf(cmd, c, chain, args[1])
				if err != nil {
					return err
				}
				return emit(cmd, row, func(w io.Writer) { showMember(w, row) })
			})
		},
	}
}

func showMember(w io.Writer, r *memberRow) {
	for _, line := range [][2]string{
		{"member", r.MemberID}, {"uid", r.UID}, {"name", r.Name}, {"contact", r.Contact}, {"phone", r.Phone}, {"remark", r.Remark},
		{"role", r.Role}, {"status", r.Status}, {"type code", r.DataTypeCode}, {"records", fmt.Sprint(r.Records)}, {"size", formatSize(r.Bytes)},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
}

// members reads the members of a chain, or the one with a uid, page by page.
func members(cmd *cobra.Command, c *client.Client, chainID, uid string) ([]memberRow, error) {
	rows := []memberRow{}
	for page := uint32(1); ; page++ {
		res, err := c.Ledger().ListMembers(cmd.Context(), &ltlv1.ListMembersRequest{
			ChainId: chainID, MemberUid: uid, WithAdministrator: true, Page: page, Size: pageSize,
		})
		if err != nil {
			return nil, err
		}
		if err := refused(res.GetCode()); err != nil {
			return nil, err
		}
		for _, m := range res.GetMembers() {
			rows = append(rows, memberRow{
				MemberID: m.GetMemberId(), UID: m.GetUid(), Name: m.GetName(), Contact: m.GetContact(), Phone: m.GetPhone(), Remark: m.GetRemark(),
				Role: m.GetRole(), Status: m.GetStatus(), DataTypeCode: m.GetDataTypeCode(), Records: m.GetUsedCount(), Bytes: m.GetUsedBytes(),
			})
		}
		if len(res.GetMembers()) == 0 || uint64(len(rows)) >= res.GetTotal() {
			return rows, nil
		}
	}
}

// memberOf finds a member by the account's UID or the member's id.
func memberOf(cmd *cobra.Command, c *client.Client, chain *chainRow, name string) (*memberRow, error) {
	all, err := members(cmd, c, chain.ChainID, "")
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.UID == name || r.MemberID == name {
			return &r, nil
		}
	}
	return nil, fmt.Errorf("chain %s has no member with the UID or member id %q; `ltl member list %s` shows those it has", chain.Name, name, chain.ChainID)
}

// typeCodeRow is a data type code of a chain, with the member or the phase it belongs to. Its JSON names are stable.
type typeCodeRow struct {
	DataTypeCode string `json:"dataTypeCode"`
	// Of is "member" or "phase".
	Of           string `json:"of"`
	Name         string `json:"name"`
	MemberID     string `json:"memberId,omitempty"`
	UID          string `json:"uid,omitempty"`
	Status       string `json:"status,omitempty"`
	PhaseGroupID string `json:"phaseGroupId,omitempty"`
	PhaseID      string `json:"phaseId,omitempty"`
}

func newTypeCodes() *cobra.Command {
	return &cobra.Command{
		Use:   "type-codes CHAIN",
		Short: "List the data type codes of a chain with the members, and on a collaboration chain the phases, they belong to",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				chain, err := chainOf(cmd, c, args[0])
				if err != nil {
					return err
				}
				rows, err := typeCodes(cmd, c, chain)
				if err != nil {
					return err
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "TYPE CODE\tOF\tNAME\tUID\tMEMBER\tSTATUS\tPHASE GROUP\tPHASE")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.DataTypeCode, r.Of, r.Name, r.UID, r.MemberID, r.Status, r.PhaseGroupID, r.PhaseID)
					}
				})
			})
		},
	}
}

func typeCodes(cmd *cobra.Command, c *client.Client, chain *chainRow) ([]typeCodeRow, error) {
	all, err := members(cmd, c, chain.ChainID, "")
	if err != nil {
		return nil, err
	}
	rows := []typeCodeRow{}
	for _, m := range all {
		rows = append(rows, typeCodeRow{DataTypeCode: m.DataTypeCode, Of: "member", Name: m.Name, MemberID: m.MemberID, UID: m.UID, Status: m.Status})
	}
	if chain.Service != word(ltlv1.ChainService_CHAIN_SERVICE_COLLABORATION.String()) {
		return rows, nil
	}
	for page, seen := uint32(1), uint64(0); ; page++ {
		res, err := c.Ledger().ListPhaseGroups(cmd.Context(), &ltlv1.ListPhaseGroupsRequest{ChainId: chain.ChainID, Page: page, Size: pageSize})
		if err != nil {
			return nil, err
		}
		if err := refused(res.GetCode()); err != nil {
			return nil, err
		}
		for _, g := range res.GetGroups() {
			phases, err := phaseCodes(cmd, c, chain.ChainID, g.GetPhaseGroupId())
			if err != nil {
				return nil, err
			}
			rows = append(rows, phases...)
		}
		seen += uint64(len(res.GetGroups()))
		if len(res.GetGroups()) == 0 || seen >= res.GetTotal() {
			return rows, nil
		}
	}
}

// phaseCodes reads the type codes of the phases of one group.
func phaseCodes(cmd *cobra.Command, c *client.Client, chainID, groupID string) ([]typeCodeRow, error) {
	var rows []typeCodeRow
	for page := uint32(1); ; page++ {
		res, err := c.Ledger().ListPhases(cmd.Context(), &ltlv1.ListPhasesRequest{ChainId: chainID, PhaseGroupId: groupID, Page: page, Size: pageSize})
		if err != nil {
			return nil, err
		}
		if err := refused(res.GetCode()); err != nil {
			return nil, err
		}
		for _, p := range res.GetPhases() {
			rows = append(rows, typeCodeRow{DataTypeCode: p.GetDataTypeCode(), Of: "phase", Name: p.GetName(), PhaseGroupID: groupID, PhaseID: p.GetPhaseId()})
		}
		if len(res.GetPhases()) == 0 || uint64(len(rows)) >= res.GetTotal() {
			return rows, nil
		}
	}
}

// memberHints say what to do when a change of a chain's members is refused.
func memberHints(administrator string) []hint {
	return []hint{
		{rules.Forbidden, "only the chain's administrator may do this, before the chain expires, and an operator only in the name of an account of its own organisation: " +
			"`ltl account show " + administrator + "` tells the administrator's; give --identity DIRECTORY with the certificate of an operator of that organisation"},
		{rules.NotFound, "there is no account with this UID, or no such member; `ltl account list` and `ltl member list` show those there are"},
		{rules.Conflict, "this account is on the chain already; `ltl member list` shows it"},
		{rules.OutOfRange, "a UID has 16 to 18 digits; names and contacts 2 to 30 letters, digits, '-', '_', '.', '(' or ')'; telephone numbers 1 to 20 digits or '-'; remarks at most 100 characters"},
	}
}
