package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

func newMember() *cobra.Command {
	cmd := &cobra.Command{Use: "member", Short: "Add members to a chain"}
	addConnection(cmd)
	cmd.AddCommand(newMemberAdd())
	return cmd
}

func newMemberAdd() *cobra.Command {
	member := &ltlv1.CreateMember{}
	var administrator string
	cmd := &cobra.Command{
		Use:   "add CHAIN-ID UID",
		Short: "Make an account a member of a chain, on behalf of the chain's administrator",
		Long: `Makes an account a member of a chain. It is done in the name of the chain's administrator, so the operator who does it must be
of that account's organisation: give --identity when it is not the one of --dir.`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			member.MemberUid = args[1]
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				on, err := administratorOf(cmd, c, args[0], administrator)
				if err != nil {
					return err
				}
				result, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: args[0], AccountUid: on, Action: &ltlv1.Transaction_CreateMember{CreateMember: member},
				})
				if err != nil {
					return err
				}
				return emit(cmd, map[string]string{"memberId": result.GetOutput()}, func(w io.Writer) {
					fmt.Fprintf(w, "member\t%s\n", result.GetOutput())
				})
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&administrator, "administrator", "", "UID of the administrator (default the chain's)")
	f.StringVar(&member.Name, "name", "member", "name, 2 to 30 characters")
	f.StringVar(&member.Contact, "contact", "contact", "contact person, 2 to 30 characters")
	f.StringVar(&member.Phone, "phone", "000-0000", "telephone number")
	f.StringVar(&member.Remark, "remark", "", "remark")
	return cmd
}

// administratorOf returns given, or the account that manages the chain.
func administratorOf(cmd *cobra.Command, c *client.Client, chainID, given string) (string, error) {
	if given != "" {
		return given, nil
	}
	chains, err := allChains(cmd, c)
	if err != nil {
		return "", err
	}
	for _, chain := range chains {
		if chain.ChainID == chainID {
			return chain.Administrator, nil
		}
	}
	return "", fmt.Errorf("there is no chain with the id %q", chainID)
}
