package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

// asAdministrator explains in whose name members are changed.
const asAdministrator = `It is done in the name of the chain's administrator, so the operator who does it must be of that account's organisation: give
--identity when it is not the one of --dir.`

// memberAct is a change of a chain's members in the name of its administrator.
type memberAct struct {
	cmd *cobra.Command
	c   *client.Client
	// administrator is given by an option; else it is the chain's.
	administrator string
	chain         *chainRow
}

// flags adds the option that every change of members has.
func administratorFlag(cmd *cobra.Command, to *string) {
	cmd.Flags().StringVar(to, "administrator", "", "UID of the account in whose name it is done (default the chain's administrator)")
}

// withMembers runs f for a chain, given by its id, code or name.
func withMembers(cmd *cobra.Command, chain, administrator string, f func(a *memberAct) error) error {
	return withClient(cmd, func(c *client.Client, _ *connection) error {
		row, err := chainOf(cmd, c, chain)
		if err != nil {
			return err
		}
		if administrator == "" {
			administrator = row.Administrator
		}
		return f(&memberAct{cmd: cmd, c: c, administrator: administrator, chain: row})
	})
}

// submit writes the change.
func (a *memberAct) submit(tx *ltlv1.Transaction) (*ltlv1.Result, error) {
	tx.ChainId, tx.AccountUid = a.chain.ChainID, a.administrator
	return submit(a.cmd.Context(), a.c, tx, memberHints(a.administrator)...)
}

// show prints a member as it is after the change.
func (a *memberAct) show(name string) error {
	row, err := memberOf(a.cmd, a.c, a.chain, name)
	if err != nil {
		return fmt.Errorf("the change was made, but couldn't be read afterwards: %w", err)
	}
	return emit(a.cmd, row, func(w io.Writer) { showMember(w, row) })
}

func newMemberAdd() *cobra.Command {
	member := &ltlv1.CreateMember{}
	var administrator string
	cmd := &cobra.Command{
		Use:   "add CHAIN UID",
		Short: "Make an account a member of a chain, on behalf of the chain's administrator",
		Long: `Makes an account a member of a chain. ` + asAdministrator + ` A member whose organisation does not endorse on
the chain can read there; where the chain's policy asks for the submitter's endorsement it cannot write, and a warning says so.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			member.MemberUid = args[1]
			return withMembers(cmd, args[0], administrator, func(a *memberAct) error {
				result, err := a.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateMember{CreateMember: member}})
				if err != nil {
					return err
				}
				a.warnOfOutsider(member.GetMemberUid())
				return emit(cmd, map[string]string{"memberId": result.GetOutput()}, func(w io.Writer) {
					fmt.Fprintf(w, "member\t%s\n", result.GetOutput())
				})
			})
		},
	}
	administratorFlag(cmd, &administrator)
	f := cmd.Flags()
	f.StringVar(&member.Name, "name", "member", "name, 2 to 30 characters")
	f.StringVar(&member.Contact, "contact", "contact", "contact person, 2 to 30 characters")
	f.StringVar(&member.Phone, "phone", "000-0000", "telephone number, at most 20 digits and '-'")
	f.StringVar(&member.Remark, "remark", "", "remark, at most 100 characters")
	return cmd
}

// warnOfOutsider says when a member's organisation does not endorse on the chain although the policy asks for it. What was done stays
// right, so that it is no error, and neither is a failure to find out.
func (a *memberAct) warnOfOutsider(uid string) {
	if !slices.Contains(strings.Split(a.chain.Policy, " & "), "submitter") {
		return
	}
	account, err := accountOf(a.cmd, a.c, uid)
	if err != nil || slices.Contains(a.chain.Organisations, account.Organisation) {
		return
	}
	fmt.Fprintf(a.cmd.ErrOrStderr(), "ltl: warning: %s is an account of %s, which does not endorse on this chain (%s): under the policy %q the member can read and not write; "+
		"`ltl chain modify %s --organisations …` adds its organisation\n", uid, account.Organisation, strings.Join(a.chain.Organisations, ", "), a.chain.Policy, a.chain.ChainID)
}

func newMemberModify() *cobra.Command {
	var administrator, uid, name, contact, phone, remark string
	cmd := &cobra.Command{
		Use:   "modify CHAIN MEMBER",
		Short: "Change a member's data, or the account behind it; what is not named stays",
		Long: `Changes a member, given by its account's UID or its member id. ` + asAdministrator + `
Another --uid hands the whole entry, with its type code and all that was written under it, to that account; the former one is on the
chain no more.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			given := cmd.Flags().Changed
			if !slices.ContainsFunc([]string{"uid", "name", "contact", "phone", "remark"}, given) {
				return errors.New("what shall change? give --uid, --name, --contact, --phone or --remark")
			}
			return withMembers(cmd, args[0], administrator, func(a *memberAct) error {
				old, err := memberOf(cmd, a.c, a.chain, args[1])
				if err != nil {
					return err
				}
				m := &ltlv1.ModifyMember{MemberId: old.MemberID, MemberUid: old.UID, Name: old.Name, Contact: old.Contact, Phone: old.Phone}
				for option, change := range map[string]struct{ to, from *string }{
					"uid": {&m.MemberUid, &uid}, "name": {&m.Name, &name}, "contact": {&m.Contact, &contact}, "phone": {&m.Phone, &phone},
				} {
					if given(option) {
						*change.to = *change.from
					}
				}
				if given("remark") {
					m.Remark = &remark
				}
				if _, err := a.submit(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyMember{ModifyMember: m}}); err != nil {
					return err
				}
				return a.show(m.GetMemberUid())
			})
		},
	}
	administratorFlag(cmd, &administrator)
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
	var administrator string
	use, short := "unlock CHAIN MEMBER", "Let a locked member read and write again"
	if locked {
		use, short = "lock CHAIN MEMBER", "Lock a member: it neither reads nor writes on the chain, from now on, at any facade"
	}
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long:  short + ".\n" + asAdministrator + " Doing it again changes nothing.",
		Args:  cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withMembers(cmd, args[0], administrator, func(a *memberAct) error {
				member, err := memberOf(cmd, a.c, a.chain, args[1])
				if err != nil {
					return err
				}
				if _, err := a.submit(&ltlv1.Transaction{
					Action: &ltlv1.Transaction_LockMember{LockMember: &ltlv1.LockMember{MemberId: member.MemberID, Locked: locked}},
				}); err != nil {
					return err
				}
				return a.show(member.UID)
			})
		},
	}
	administratorFlag(cmd, &administrator)
	return cmd
}
