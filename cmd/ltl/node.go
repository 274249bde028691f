package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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
	cmd.AddCommand(newNodeList(), newNodePrepare(), newNodeAdd(), newNodeReplace(),
		newNodeStanding("promote", "Make a learner a voter, once it has caught up", "Makes a learner a voter: it takes part in elections and quorums once it has caught up.", ltlv1.NodeStanding_NODE_STANDING_VOTER),
		newNodeStanding("demote", "Make a voter a learner", "Makes a voter a learner: it keeps the ledger and serves reads, and counts in no quorum.", ltlv1.NodeStanding_NODE_STANDING_LEARNER),
		newNodeStanding("remove", "Remove a node for good", `Removes a node for good: its id and keys never come back. Its process stops by itself. To put another one in its place, use ltl node replace,
which keeps the number of voters.`, ltlv1.NodeStanding_NODE_STANDING_REMOVED))
	return cmd
}

// runNode runs a node until ctx ends. A node whose ledger is damaged asks to be opened again, which makes the ledger anew.
func runNode(ctx context.Context, r *role, scrub time.Duration) (err error) {
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
	for {
		n, err := node.Open(ctx, node.Config{
			Dir: r.dir, Listen: r.listen, AdminListen: r.admin, Metrics: metrics, Tracer: tracer,
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
	// Standing is what the ledger wants it to be, Raft what the leader's Raft has it as: voter, learner, or empty for none.
	Standing string `json:"standing"`
	Raft     string `json:"raft"`
}

func newNodeList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nodes that the system chain knows, and what Raft has them as",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				res, err := c.Ledger().GetNetwork(cmd.Context(), &ltlv1.GetNetworkRequest{})
				if err != nil {
					return err
				}
				rows := make([]nodeRow, 0, len(res.GetNodes()))
				members := membersOf(askAll(cmd.Context(), c, con))
				for i, n := range res.GetNodes() {
					row := nodeRow{ID: n.GetId(), Organisation: n.GetOrganisation(), Address: n.GetAddress(), Raft: members[n.GetId()]}
					if i < len(res.GetStandings()) {
						row.Standing = standingName(res.GetStandings()[i])
					}
					rows = append(rows, row)
				}
				return emit(cmd, rows, func(w io.Writer) {
					fmt.Fprintln(w, "NODE\tORGANISATION\tADDRESS\tSTANDING\tRAFT")
					for _, r := range rows {
						fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.ID, r.Organisation, r.Address, r.Standing, r.Raft)
					}
				})
			})
		},
	}
	addConnection(cmd)
	return cmd
}

// membersOf is what the leader's Raft has each node as.
func membersOf(rows []statusRow) map[string]string {
	members := map[string]string{}
	for _, r := range rows {
		if r.Role != roleLeader {
			continue
		}
		for _, m := range r.Members {
			if id, kind, ok := strings.Cut(m, " "); ok {
				members[id] = kind
			}
		}
	}
	return members
}
