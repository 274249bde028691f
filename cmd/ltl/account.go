package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

type accountRow struct {
	UID          string `json:"uid"`
	Name         string `json:"name"`
	Type         string `json:"type"`
	Organisation string `json:"organisation"`
}

func newAccount() *cobra.Command {
	cmd := &cobra.Command{Use: "account", Short: "List and create accounts and their AccessKeys"}
	addConnection(cmd)
	cmd.AddCommand(newAccountList(), newAccountCreate(), newAccountKey())
	return cmd
}

func newAccountList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all accounts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				res, err := c.Ledger().GetAccount(cmd.Context(), &ltlv1.GetAccountRequest{})
				if err != nil {
					return err
				}
				rows := make([]accountRow, 0, len(res.GetAccounts()))
				for _, a := range res.GetAccounts() {
					rows = append(rows, accountRow{
						UID: a.GetUid(), Name: a.GetName(), Organisation: a.GetOrganisation(),
						Type: strings.ToLower(strings.TrimPrefix(a.GetType().String(), "ACCOUNT_TYPE_")),
					})
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "UID\tNAME\tTYPE\tORGANISATION")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.UID, r.Name, r.Type, r.Organisation)
					}
				})
			})
		},
	}
}

func newAccountCreate() *cobra.Command {
	account := &ltlv1.CreateAccount{}
	var kind string
	cmd := &cobra.Command{
		Use:   "create NAME",
		Short: "Create an account; `ltl account key create` gives it an AccessKey",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			account.Name = args[0]
			account.Type = ltlv1.AccountType(ltlv1.AccountType_value["ACCOUNT_TYPE_"+strings.ToUpper(kind)])
			if account.Type == 0 {
				return fmt.Errorf("--type is %q; it can be ram or root", kind)
			}
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if account.Organisation == "" {
					account.Organisation = con.trust.Genesis().GetOrganisations()[0].GetId()
				}
				result, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateAccount{CreateAccount: account},
				})
				if err != nil {
					return err
				}
				return emit(cmd, map[string]string{"uid": result.GetOutput()}, func(w io.Writer) {
					fmt.Fprintf(w, "uid\t%s\n", result.GetOutput())
				})
			})
		},
	}
	cmd.Flags().StringVar(&account.Uid, "uid", "", "16 to 18 digits (default assigned by the ledger)")
	cmd.Flags().StringVar(&account.Organisation, "organisation", "", "organisation of the account (default the first)")
	cmd.Flags().StringVar(&kind, "type", "ram", "ram (a user) or root (a main account)")
	return cmd
}
