package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/node"
	ltlv1 "ltl/proto/ltl/v1"
)

func newNode() *cobra.Command {
	var r role
	cmd := &cobra.Command{
		Use:   "node",
		Short: "Run a consensus node, until a signal",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runNode(cmd.Context(), &r) },
	}
	r.flags(cmd, "data directory of the node (required)")
	cmd.AddCommand(newNodeList())
	return cmd
}

func runNode(ctx context.Context, r *role) (err error) {
	trust, credentials, err := r.load(identity.RoleNode)
	if err != nil {
		return err
	}
	metrics, err := r.shown(credentials)
	if err != nil {
		return err
	}
	tracer, err := r.tracer(credentials.Identity())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tracer.Close()) }()
	n, err := node.Open(ctx, node.Config{
		Dir: r.dir, Listen: r.listen, AdminListen: r.admin, Metrics: metrics, Tracer: tracer,
		Credentials: credentials, Trust: trust, Logger: roleLogger(),
	})
	if err != nil {
		return err
	}
	serveUntil(ctx.Done())
	return n.Close()
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
