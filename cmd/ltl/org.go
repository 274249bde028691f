package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// orgRow is an organisation as `ltl org` prints it. Its JSON names are stable.
type orgRow struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Endorser    string `json:"endorser"`
	EndorserKey string `json:"endorserKey"`
	// CAFingerprint is the SHA-256 of the certificate authority's certificate, in hexadecimal digits.
	CAFingerprint string `json:"caFingerprint"`
	// Authorities are the SHA-256 of the certificates of all its authorities, oldest first.
	Authorities []string `json:"authorities"`
	// Nodes are the ids of the organisation's nodes.
	Nodes []string `json:"nodes"`
}

func newOrg() *cobra.Command {
	cmd := &cobra.Command{Use: "org", Short: "List, show, add, change and remove organisations"}
	addConnection(cmd)
	cmd.AddCommand(newOrgList(), newOrgShow(), newOrgAdd(), newOrgModify(), newOrgRemove(), newOrgRotateKey(), newOrgRotateCA(), newOrgRetireCA())
	return cmd
}

func newOrgList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the organisations that the system chain knows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				rows, err := organisations(cmd, c, con)
				if err != nil {
					return err
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "ORGANISATION\tNAME\tENDORSER\tNODES\tENDORSER KEY")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.Name, r.Endorser, strings.Join(r.Nodes, ", "), r.EndorserKey)
					}
				})
			})
		},
	}
}

func newOrgShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ORGANISATION",
		Short: "Show one organisation, by its id",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				rows, err := organisations(cmd, c, con)
				if err != nil {
					return err
				}
				for _, r := range rows {
					if r.ID == args[0] {
						return emit(cmd, r, func(w io.Writer) { showOrganisation(w, r) })
					}
				}
				return fmt.Errorf("there is no organisation %q; `ltl org list` shows those there are", args[0])
			})
		},
	}
}

func showOrganisation(w io.Writer, r orgRow) {
	fmt.Fprintf(w, "organisation\t%s\nname\t%s\nendorser\t%s\nendorser key\t%s\nauthorities (SHA-256)\t%s\nnodes\t%s\n",
		r.ID, r.Name, r.Endorser, r.EndorserKey, strings.Join(r.Authorities, ", "), strings.Join(r.Nodes, ", "))
}

// organisations reads all organisations with their nodes. The connection's trust takes over what the network says of them.
func organisations(cmd *cobra.Command, c *client.Client, con *connection) ([]orgRow, error) {
	res, err := c.Ledger().GetNetwork(cmd.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		return nil, err
	}
	if err := con.trust.Update(identity.MembershipOf(res)); err != nil {
		return nil, err
	}
	authorities := map[string][]string{}
	for _, a := range res.GetAuthorities() {
		for _, der := range a.GetCertificates() {
			authorities[a.GetOrganisation()] = append(authorities[a.GetOrganisation()], identity.Fingerprint(der))
		}
	}
	rows := make([]orgRow, 0, len(res.GetOrganisations()))
	for _, o := range res.GetOrganisations() {
		row := orgRowOf(o)
		if all := authorities[o.GetId()]; len(all) > 0 {
			row.Authorities = all
		}
		for _, n := range res.GetNodes() {
			if n.GetOrganisation() == o.GetId() {
				row.Nodes = append(row.Nodes, n.GetId())
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func orgRowOf(o *ltlv1.Organisation) orgRow {
	fingerprint := identity.Fingerprint(o.GetCaCertificate())
	return orgRow{
		ID: o.GetId(), Name: o.GetName(), Endorser: o.GetEndorserAddress(), EndorserKey: hex.EncodeToString(o.GetEndorserKey()),
		CAFingerprint: fingerprint, Authorities: []string{fingerprint}, Nodes: []string{},
	}
}

func newOrgAdd() *cobra.Command {
	return &cobra.Command{
		Use:   "add FILE",
		Short: "Add an organisation to the network, from the organisation.json that ltl pki organisation made",
		Long: `Adds an organisation to the network. FILE is the organisation.json that the organisation made with ltl pki organisation; make sure on a way
that you trust that it is theirs, by the endorser key that it shows. Chains that exist keep their organisations: ltl chain modify
--organisations changes them. Accounts of the organisation can be made at once.`,
		Example: `  ltl org add organisation.json --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := identity.LoadOrganisation(args[0])
			if err != nil {
				return err
			}
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if err := con.trust.CheckOrganisation(o); err != nil {
					return err
				}
				if _, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_CreateOrganisation{CreateOrganisation: &ltlv1.CreateOrganisation{Organisation: o}},
				}, orgHints()...); err != nil {
					return err
				}
				if _, err := organisations(cmd, c, con); err != nil {
					return fmt.Errorf("the organisation was added, but the network couldn't be read afterwards: %w", err)
				}
				con.saveTrust(cmd)
				row := orgRowOf(o)
				return emit(cmd, row, func(w io.Writer) { showOrganisation(w, row) })
			})
		},
	}
}

// orgHints say what to do when an organisation is refused.
func orgHints() []hint {
	return []hint{
		{rules.Conflict, "an organisation with this id, authority or endorser key is in the network already; `ltl org list` shows it"},
		{rules.OutOfRange, "an id has 1 to 32 characters of a-z, 0-9 and '-', a name 1 to 60 characters without commas, an address is HOST:PORT"},
		{rules.QuotaExceeded, fmt.Sprintf("a network has at most %d organisations", rules.MaxOrganisations)},
		{rules.Forbidden, "only an operator may do this; give --identity DIRECTORY with an operator's certificate"},
	}
}
