package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

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

// inAdministratorsName explains on whose behalf members are changed.
const inAdministratorsName = `The change is made in the name of the chain's administrator, so the operator has to be of
that account's organisation: give --identity when the operator of --dir is not.`

func newMember() *cobra.Command {
	cmd := &cobra.Command{Use: "member", Short: "List, show, add, modify, lock and unlock the members of a chain"}
	addConnection(cmd)
	cmd.AddCommand(newMemberList(), newMemberShow(), newMemberAdd(), newMemberModify(), newMemberLock(true),
		newMemberLock(false))
	return cmd
}

func newMemberList() *cobra.Command {
	return &cobra.Command{
		Use:   "list CHAIN",
		Short: "List the members of a chain, its administrator first",
		Args:  cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			chain, err := s.chain(args[0])
			if err != nil {
				return err
			}
			rows, err := s.members(chain.ChainID)
			if err != nil {
				return err
			}
			const columns = "MEMBER|UID|NAME|CONTACT|PHONE|ROLE|STATUS|TYPE CODE|RECORDS|SIZE"
			return emitRows(s.cmd, rows, columns, func(r memberRow) []any {
				return []any{r.MemberID, r.UID, r.Name, r.Contact, r.Phone, r.Role, r.Status, r.DataTypeCode, r.Records,
					formatSize(r.Bytes)}
			})
		}),
	}
}

func newMemberShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show CHAIN MEMBER",
		Short: "Show one member of a chain, by the account's UID or the member's id",
		Args:  cobra.ExactArgs(2),
		RunE: online(func(s *session, args []string) error {
			chain, err := s.chain(args[0])
			if err != nil {
				return err
			}
			row, err := s.member(chain, args[1])
			if err != nil {
				return err
			}
			return showMember(s.cmd, row)
		}),
	}
}

// showMember prints a member.
func showMember(cmd *cobra.Command, r *memberRow) error {
	return emitFields(cmd, r,
		field{"member", r.MemberID}, field{"uid", r.UID}, field{"name", r.Name}, field{"contact", r.Contact},
		field{"phone", r.Phone}, field{"remark", r.Remark}, field{"role", r.Role}, field{"status", r.Status},
		field{"type code", r.DataTypeCode}, field{"records", r.Records}, field{"size", formatSize(r.Bytes)})
}

// members reads the members of a chain, its administrator first.
func (s *session) members(chainID string) ([]memberRow, error) {
	read := func(page uint32) (*ltlv1.ListMembersResponse, error) {
		return s.client.Ledger().ListMembers(s.cmd.Context(), &ltlv1.ListMembersRequest{
			ChainId: chainID, WithAdministrator: true, Page: page, Size: pageSize,
		})
	}
	return allPages(read, (*ltlv1.ListMembersResponse).GetMembers, memberRowOf)
}

func memberRowOf(m *ltlv1.MemberInfo) memberRow {
	return memberRow{
		MemberID: m.GetMemberId(), UID: m.GetUid(), Name: m.GetName(), Contact: m.GetContact(), Phone: m.GetPhone(),
		Remark: m.GetRemark(),
		Role:   m.GetRole(), Status: m.GetStatus(), DataTypeCode: m.GetDataTypeCode(), Records: m.GetUsedCount(),
		Bytes: m.GetUsedBytes(),
	}
}

// member finds a member by the account's UID or the member's id.
func (s *session) member(chain *chainRow, name string) (*memberRow, error) {
	all, err := s.members(chain.ChainID)
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if r.UID == name || r.MemberID == name {
			return &r, nil
		}
	}
	return nil, fmt.Errorf("chain %s has no member with the UID or member id %q; `ltl member list %s` shows those it "+
		"has", chain.Name, name, chain.ChainID)
}

// membership is one change of a chain's members, in the name of an account.
type membership struct {
	*session
	chain *chainRow
	// administrator is the UID of that account.
	administrator string
}

// onMembers completes a command that changes the members of the chain in its first argument, given by its id, code or
// name.
func onMembers(cmd *cobra.Command, change func(m *membership, args []string) error) {
	administrator := cmd.Flags().String("administrator", "",
		"UID of the account in whose name it is done (default the chain's administrator)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withSession(cmd, func(s *session) error {
			chain, err := s.chain(args[0])
			if err != nil {
				return err
			}
			m := &membership{session: s, chain: chain, administrator: *administrator}
			if m.administrator == "" {
				m.administrator = chain.Administrator
			}
			return change(m, args)
		})
	}
}

// submit writes the change.
func (m *membership) submit(tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	tx.ChainId, tx.AccountUid = m.chain.ChainID, m.administrator
	return m.session.submit(tx, memberAdvice(m.administrator))
}

// show prints a member as it is after the change.
func (m *membership) show(name string) error {
	row, err := m.member(m.chain, name)
	if err != nil {
		return readBack("the member was changed", err)
	}
	return showMember(m.cmd, row)
}

// memberAdvice says what to do when a change of a chain's members is refused.
func memberAdvice(administrator string) advice {
	return advice{
		rules.Forbidden: "only the chain's administrator may do this, before the chain expires, and an operator only in " +
			"the name of an account " +
			"of its own organisation: `ltl account show " + administrator + "` shows which organisation that is; give " +
			"--identity " +
			"DIRECTORY with the " +
			"certificate of an operator of that organisation",
		rules.NotFound: "there is no account with this UID, or no such member; `ltl account list` and `ltl member list` " +
			"list the existing ones",
		rules.Conflict: "this account is on the chain already; `ltl member list` shows it",
		rules.OutOfRange: "a UID has 16 to 18 digits; names and contacts 2 to 30 letters, digits, '-', '_', '.', '(' or " +
			"')'; " +
			"telephone numbers 1 to 20 digits or '-'; remarks at most 100 characters",
	}
}

func newMemberAdd() *cobra.Command {
	member := &ltlv1.CreateMember{}
	cmd := &cobra.Command{
		Use:   "add CHAIN UID",
		Short: "Make an account a member of a chain, on behalf of the chain's administrator",
		Long: `Makes an account a member of a chain. ` + inAdministratorsName + `
A member whose organisation does not endorse on the chain can read there. Where the chain's policy asks for the submitter's
endorsement it cannot write, and a warning says so.`,
		Args: cobra.ExactArgs(2),
	}
	onMembers(cmd, func(m *membership, args []string) error {
		member.MemberUid = args[1]
		result, err := m.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: member}})
		if err != nil {
			return err
		}
		m.warnOfOutsider(member.GetMemberUid())
		return emitFields(m.cmd, map[string]string{"memberId": result.GetOutput()}, field{"member", result.GetOutput()})
	})
	f := cmd.Flags()
	f.StringVar(&member.Name, "name", "member", "name, 2 to 30 characters")
	f.StringVar(&member.Contact, "contact", "contact", "contact person, 2 to 30 characters")
	f.StringVar(&member.Phone, "phone", "000-0000", "telephone number, at most 20 digits and '-'")
	f.StringVar(&member.Remark, "remark", "", "remark, at most 100 characters")
	return cmd
}

// warnOfOutsider warns when a member's organisation does not endorse on the chain: its own processes write nothing there,
// and where the policy asks for it a facade that it delegates to does not either. The change itself is valid, so this is
// no error, and neither is a failure to find out.
func (m *membership) warnOfOutsider(uid string) {
	account, err := m.account(uid)
	if err != nil || slices.Contains(m.chain.Organisations, account.Organisation) {
		return
	}
	writes := "the member can read, and write only through a facade of one of those that its organisation delegates to"
	if slices.Contains(strings.Split(m.chain.Policy, " & "), "submitter") {
		writes = fmt.Sprintf("under the policy %q the member can read and not write", m.chain.Policy)
	}
	fmt.Fprintf(m.cmd.ErrOrStderr(), "ltl: warning: %s is an account of %s, which does not endorse on this chain (%s): %s; "+
		"`ltl chain modify %s --organisations …` adds its organisation\n",
		uid, account.Organisation, strings.Join(m.chain.Organisations, ", "), writes, m.chain.ChainID)
}

// newMemberModify makes `ltl member modify`. A transaction carries all fields but the remark, so the present values
// are read first and sent again where no option changes them.
func newMemberModify() *cobra.Command {
	var uid, name, contact, phone, remark string
	cmd := &cobra.Command{
		Use:   "modify CHAIN MEMBER",
		Short: "Change a member's data, or the account behind it; options that are not given change nothing",
		Long: `Changes a member, given by its account's UID or its member id. ` + inAdministratorsName + `
Another --uid hands the whole entry, with its type code and all records written under it, to that account; the former
account leaves the chain.`,
		Args: cobra.ExactArgs(2),
	}
	given := func(option string) bool { return cmd.Flags().Changed(option) }
	onMembers(cmd, func(m *membership, args []string) error {
		old, err := m.member(m.chain, args[1])
		if err != nil {
			return err
		}
		change := &ltlv1.ModifyMember{MemberId: old.MemberID, MemberUid: old.UID, Name: old.Name, Contact: old.Contact,
			Phone: old.Phone}
		for option, value := range map[string]struct{ to, from *string }{
			"uid": {&change.MemberUid, &uid}, "name": {&change.Name, &name},
			"contact": {&change.Contact, &contact}, "phone": {&change.Phone, &phone},
		} {
			if given(option) {
				*value.to = *value.from
			}
		}
		if given("remark") {
			change.Remark = &remark
		}
		result, err := m.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyMember{ModifyMember: change}})
		if err != nil {
			return err
		}
		if former := result.GetOutput(); former != "" {
			fmt.Fprintf(m.cmd.ErrOrStderr(), "ltl: the entry of member %s passed from account %s to account %s, with its type "+
				"code, records, use, device groups and rights on phases; account %s is no longer on the chain\n",
				old.MemberID, former, change.GetMemberUid(), former)
		}
		return m.show(change.GetMemberUid())
	})
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.ContainsFunc([]string{"uid", "name", "contact", "phone", "remark"}, given) {
			return errors.New("nothing to change; give --uid, --name, --contact, --phone or --remark")
		}
		return nil
	}
	f := cmd.Flags()
	f.StringVar(&uid, "uid", "", "UID of the account that takes over the entry")
	f.StringVar(&name, "name", "", "name, 2 to 30 characters")
	f.StringVar(&contact, "contact", "", "contact person, 2 to 30 characters")
	f.StringVar(&phone, "phone", "", "telephone number, at most 20 digits and '-'")
	f.StringVar(&remark, "remark", "", "remark, at most 100 characters; empty clears it")
	return cmd
}

// newMemberLock makes `ltl member lock` or `unlock`.
func newMemberLock(locked bool) *cobra.Command {
	use, short := "unlock CHAIN MEMBER", "Let a locked member read and write again"
	if locked {
		use, short = "lock CHAIN MEMBER", "Lock a member: it neither reads nor writes on the chain, from now on, at any "+
			"facade"
	}
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  short + ".\n" + inAdministratorsName + " Doing it again changes nothing.",
		Args:  cobra.ExactArgs(2),
	}
	onMembers(cmd, func(m *membership, args []string) error {
		member, err := m.member(m.chain, args[1])
		if err != nil {
			return err
		}
		if _, err := m.submit(&ltlv1.Transaction{
			Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: member.MemberID, Locked: locked}},
		}); err != nil {
			return err
		}
		return m.show(member.UID)
	})
	return cmd
}
