package main

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ltl/client"
	ltlv1 "ltl/proto/ltl/v1"
)

type orgRow struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Endorser    string `json:"endorser"`
	EndorserKey string `json:"endorserKey"`
}

func newOrg() *cobra.Command {
	cmd := &cobra.Command{Use: "org", Short: "List organisations"}
	cmd.AddCommand(&cobra.Command{
		Use:   "list",
		Short: "List the organisations that the system chain knows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				res, err := c.Ledger().GetNetwork(cmd.Context(), &ltlv1.GetNetworkRequest{})
				if err != nil {
					return err
				}
				rows := make([]orgRow, 0, len(res.GetOrganisations()))
				for _, o := range res.GetOrganisations() {
					rows = append(rows, orgRow{ID: o.GetId(), Name: o.GetName(), Endorser: o.GetEndorserAddress(), EndorserKey: hex.EncodeToString(o.GetEndorserKey())})
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "ORGANISATION\tNAME\tENDORSER\tENDORSER KEY")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r.ID, r.Name, r.Endorser, r.EndorserKey)
					}
				})
			})
		},
	})
	addConnection(cmd)
	return cmd
}
