package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// accountRow is an account as `ltl account` prints it. Its JSON names are stable.
type accountRow struct {
	UID          string `json:"uid"`
	Name         string `json:"name"`
	Type         string `json:"type"`
	Organisation string `json:"organisation"`
	// AccessKeys and Chains are what the account has; only `show` reads them.
	AccessKeys []keyResult    `json:"accessKeys,omitempty"`
	Chains     []accountChain `json:"chains,omitempty"`
}

// accountChain is a chain that an account takes part in.
type accountChain struct {
	ChainID      string `json:"bizChainId"`
	Name         string `json:"name"`
	Role         string `json:"role"`
	DataTypeCode string `json:"dataTypeCode"`
}

func newAccount() *cobra.Command {
	cmd := &cobra.Command{Use: "account", Short: "List, show and create accounts, and manage their AccessKeys"}
	addConnection(cmd)
	cmd.AddCommand(newAccountList(), newAccountShow(), newAccountCreate(), newAccountKey())
	return cmd
}

func newAccountList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List all accounts",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				rows, err := accounts(cmd, c)
				if err != nil {
					return err
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

// accounts reads all accounts, page by page.
func accounts(cmd *cobra.Command, c *client.Client) ([]accountRow, error) {
	rows := []accountRow{}
	for page := uint32(1); ; page++ {
		res, err := c.Ledger().GetAccount(cmd.Context(), &ltlv1.GetAccountRequest{Page: page, Size: pageSize})
		if err != nil {
			return nil, err
		}
		if err := refused(res.GetCode()); err != nil {
			return nil, err
		}
		for _, a := range res.GetAccounts() {
			rows = append(rows, accountRowOf(a))
		}
		if len(res.GetAccounts()) == 0 || uint64(len(rows)) >= res.GetTotal() {
			return rows, nil
		}
	}
}

func accountRowOf(a *ltlv1.AccountInfo) accountRow {
	return accountRow{UID: a.GetUid(), Name: a.GetName(), Organisation: a.GetOrganisation(), Type: word(a.GetType().String())}
}

// accountOf reads one account.
func accountOf(cmd *cobra.Command, c *client.Client, uid string) (*accountRow, error) {
	if uid == "" { // it would mean all
		return nil, fmt.Errorf("a UID is missing; %s", seeAccounts)
	}
	res, err := c.Ledger().GetAccount(cmd.Context(), &ltlv1.GetAccountRequest{Uid: uid})
	if err != nil {
		return nil, err
	}
	if res.GetCode() == rules.NotFound || len(res.GetAccounts()) == 0 {
		return nil, fmt.Errorf("there is no account with the UID %q; %s", uid, seeAccounts)
	}
	row := accountRowOf(res.GetAccounts()[0])
	return &row, refused(res.GetCode())
}

const seeAccounts = "`ltl account list` shows those there are"

func newAccountShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show UID",
		Short: "Show one account with its AccessKeys, without their secrets, and its chains",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				row, err := accountOf(cmd, c, args[0])
				if err != nil {
					return err
				}
				if row.AccessKeys, err = keysOf(cmd.Context(), c, row.UID); err != nil {
					return err
				}
				if row.Chains, err = chainsOf(cmd, c, row.UID); err != nil {
					return err
				}
				return emit(cmd, row, func(w io.Writer) { showAccount(w, row) })
			})
		},
	}
}

func showAccount(w io.Writer, r *accountRow) {
	fmt.Fprintf(w, "uid\t%s\nname\t%s\ntype\t%s\norganisation\t%s\n", r.UID, r.Name, r.Type, r.Organisation)
	for _, k := range r.AccessKeys {
		fmt.Fprintf(w, "AccessKey\t%s\t%s\n", k.AccessKeyID, k.state())
	}
	for _, c := range r.Chains {
		fmt.Fprintf(w, "chain\t%s\t%s\t%s\ttype code %s\n", c.ChainID, c.Name, strings.ToLower(c.Role), c.DataTypeCode)
	}
}

// chainsOf reads the chains that an account takes part in; not those on which it is locked.
func chainsOf(cmd *cobra.Command, c *client.Client, uid string) ([]accountChain, error) {
	rows := []accountChain{}
	for page := uint32(1); ; page++ {
		res, err := c.Ledger().ListChains(cmd.Context(), &ltlv1.ListChainsRequest{AccountUid: uid, Page: page, Size: pageSize})
		if err != nil {
			return nil, err
		}
		if err := refused(res.GetCode()); err != nil {
			return nil, err
		}
		for _, i := range res.GetChains() {
			rows = append(rows, accountChain{ChainID: i.GetChainId(), Name: i.GetChain().GetName(), Role: i.GetRole(), DataTypeCode: i.GetDataTypeCode()})
		}
		if len(res.GetChains()) == 0 || uint64(len(rows)) >= res.GetTotal() {
			return rows, nil
		}
	}
}

func newAccountCreate() *cobra.Command {
	account := &ltlv1.CreateAccount{}
	var kind string
	cmd := &cobra.Command{
		Use:     "create NAME",
		Short:   "Create an account; `ltl account key create` gives it an AccessKey",
		Example: `  ltl account create alice --dir ltl-data --organisation org2`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			account.Name = args[0]
			account.Type = ltlv1.AccountType(ltlv1.AccountType_value["ACCOUNT_TYPE_"+strings.ToUpper(kind)])
			if account.Type == 0 {
				return fmt.Errorf("--type is %q; it can be ram (a user, which can be a member of chains) or root (a main account)", kind)
			}
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if account.Organisation == "" {
					account.Organisation = con.trust.Genesis().GetOrganisations()[0].GetId()
				}
				result, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateAccount{CreateAccount: account},
				}, accountHints()...)
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
	cmd.Flags().StringVar(&account.Organisation, "organisation", "", "organisation of the account, which never changes (default the first)")
	cmd.Flags().StringVar(&kind, "type", "ram", "ram (a user) or root (a main account)")
	return cmd
}

// accountHints say what to do when an account is refused.
func accountHints() []hint {
	return []hint{
		{rules.OutOfRange, "a name has 2 to 30 letters, digits, '-', '_', '.', '(' or ')', a --uid 16 to 18 digits"},
		{rules.NotFound, "there is no such organisation; `ltl org list` shows those there are"},
		{rules.Conflict, "an account with this --uid exists already; leave it out to have one assigned"},
		{rules.Forbidden, "only an operator may do this; give --identity DIRECTORY with an operator's certificate"},
	}
}
