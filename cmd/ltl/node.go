package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
)

func newNode() *cobra.Command {
	var r role
	var scrub time.Duration
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a consensus node, until a signal",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runNode(cmd.Context(), &r, scrub) },
	}
	r.flags(cmd, "data directory of the node (required)")
	scrubFlag(cmd, &scrub)
	cmd.AddCommand(newNodeList())
	return cmd
}

// runNode runs a node until ctx ends. A node whose ledger is damaged asks to be opened again, which makes the ledger anew.
func runNode(ctx context.Context, r *role, scrub time.Duration) error {
	trust, credentials, err := r.load(identity.RoleNode)
	if err != nil {
		return err
	}
	for {
		n, err := node.Open(ctx, node.Config{
			Dir: r.dir, Listen: r.listen, AdminListen: r.admin,
			Credentials: credentials, Trust: trust, ScrubInterval: scrub, Logger: roleLogger(),
		})
		if err != nil {
			return err
		}
		serveUntil(ctx.Done(), n.Restart())
		if err := n.Close(); err != nil || ctx.Err() != nil {
			return err
		}
	}
}

type nodeRow struct {
	ID           string `json:"id"`
	Organisation string `json:"organisation"`
	Address      string `json:"address"`
}

func newNodeList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nodes that the system chain knows",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, _ *connection) error {
				res, err := c.Ledger().GetNetwork(cmd.Context(), &ltlv1.GetNetworkRequest{})
				if err != nil {
					return err
				}
				rows := make([]nodeRow, 0, len(res.GetNodes()))
				for _, n := range res.GetNodes() {
					rows = append(rows, nodeRow{ID: n.GetId(), Organisation: n.GetOrganisation(), Address: n.GetAddress()})
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "NODE\tORGANISATION\tADDRESS")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\n", r.ID, r.Organisation, r.Address)
					}
				})
			})
		},
	}
	addConnection(cmd)
	return cmd
}
