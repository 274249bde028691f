package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

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
		RunE: online(func(s *session, _ []string) error {
			rows, err := s.accounts()
			if err != nil {
				return err
			}
			return emitRows(s.cmd, rows, "UID|NAME|TYPE|ORGANISATION", func(r accountRow) []any {
				return []any{r.UID, r.Name, r.Type, r.Organisation}
			})
		}),
	}
}

// accounts reads all accounts.
func (s *session) accounts() ([]accountRow, error) {
	read := func(page uint32) (*ltlv1.GetAccountResponse, error) {
		return s.client.Ledger().GetAccount(s.cmd.Context(), &ltlv1.GetAccountRequest{Page: page, Size: pageSize})
	}
	return allPages(read, (*ltlv1.GetAccountResponse).GetAccounts, accountRowOf)
}

func accountRowOf(a *ltlv1.AccountInfo) accountRow {
	return accountRow{UID: a.GetUid(), Name: a.GetName(), Organisation: a.GetOrganisation(),
		Type: word(a.GetType().String())}
}

// seeAccounts ends the refusals that concern an unknown account.
const seeAccounts = "`ltl account list` lists the existing ones"

// account reads one account.
func (s *session) account(uid string) (*accountRow, error) {
	if uid == "" { // the ledger would return all accounts
		return nil, fmt.Errorf("a UID is missing; %s", seeAccounts)
	}
	res, err := s.client.Ledger().GetAccount(s.cmd.Context(), &ltlv1.GetAccountRequest{Uid: uid})
	if err != nil {
		return nil, err
	}
	if res.GetCode() == rules.NotFound || len(res.GetAccounts()) == 0 {
		return nil, fmt.Errorf("there is no account with the UID %q; %s", uid, seeAccounts)
	}
	row := accountRowOf(res.GetAccounts()[0])
	return &row, refused(res.GetCode())
}

func newAccountShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show UID",
		Short: "Show one account with its AccessKeys, without their secrets, and its chains",
		Args:  cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			row, err := s.account(args[0])
			if err != nil {
				return err
			}
			if row.AccessKeys, err = s.keysOf(row.UID); err != nil {
				return err
			}
			if row.Chains, err = s.chainsOf(row.UID); err != nil {
				return err
			}
			return showAccount(s.cmd, row)
		}),
	}
}

// showAccount prints an account with a line for each AccessKey and each chain.
func showAccount(cmd *cobra.Command, r *accountRow) error {
	fields := []field{{"uid", r.UID}, {"name", r.Name}, {"type", r.Type}, {"organisation", r.Organisation}}
	for _, k := range r.AccessKeys {
		fields = append(fields, field{"AccessKey", k.AccessKeyID, k.State})
	}
	for _, c := range r.Chains {
		fields = append(fields, field{"chain", c.ChainID, c.Name, strings.ToLower(c.Role), "type code " + c.DataTypeCode})
	}
	return emitFields(cmd, r, fields...)
}

// chainsOf reads the chains that an account takes part in; not those on which it is locked.
func (s *session) chainsOf(uid string) ([]accountChain, error) {
	read := func(page uint32) (*ltlv1.ListChainsResponse, error) {
		return s.client.Ledger().ListChains(s.cmd.Context(),
			&ltlv1.ListChainsRequest{AccountUid: uid, Page: page, Size: pageSize})
	}
	return allPages(read, (*ltlv1.ListChainsResponse).GetChains, func(i *ltlv1.ChainInfo) accountChain {
		return accountChain{ChainID: i.GetChainId(), Name: i.GetChain().GetName(), Role: i.GetRole(),
			DataTypeCode: i.GetDataTypeCode()}
	})
}

// newAccountCreate makes `ltl account create`. The organisation of an account decides which operators may act for it
// and whose endorsement the policy term "submitter" asks for. It never changes.
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
				return fmt.Errorf("--type is %q; it can be ram (a user, which can be a member of chains) or root (a main "+
					"account)", kind)
			}
			con, err := trustOf(cmd)
			if err != nil {
				return err
			}
			if account.Organisation == "" {
				account.Organisation = con.trust.Genesis().GetOrganisations()[0].GetId()
			}
			return withOperator(cmd, account.Organisation, func(s *session) error {
				result, err := s.submitToSystem(&ltlv1.Transaction{
					Action: &ltlv1.Transaction_CreateAccount{CreateAccount: account},
				}, accountAdvice())
				if err != nil {
					return err
				}
				return emitFields(cmd, map[string]string{"uid": result.GetOutput()}, field{"uid", result.GetOutput()})
			})
		},
	}
	cmd.Flags().StringVar(&account.Uid, "uid", "", "16 to 18 digits (default assigned by the ledger)")
	cmd.Flags().StringVar(&account.Organisation, "organisation", "",
		"organisation of the account, which never changes (default the first)")
	cmd.Flags().StringVar(&kind, "type", "ram", "ram (a user) or root (a main account)")
	return cmd
}

// accountAdvice says what to do when an account is refused.
func accountAdvice() advice {
	return advice{
		rules.OutOfRange: "a name has 2 to 30 letters, digits, '-', '_', '.', '(' or ')', a --uid 16 to 18 digits",
		rules.NotFound:   adviceNoOrg,
		rules.Conflict:   "an account with this --uid exists already; leave it out to have one assigned",
		rules.Forbidden:  adviceOperator,
	}
}
