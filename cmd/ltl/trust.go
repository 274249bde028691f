package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
)

// trustResult is what `ltl trust update` prints.
type trustResult struct {
	Trust  string `json:"trust"`
	Height uint64 `json:"height"`
}

func newTrust() *cobra.Command {
	cmd := &cobra.Command{Use: "trust", Short: "Keep the trust file up to date"}
	addConnection(cmd)
	cmd.AddCommand(newTrustUpdate())
	return cmd
}

func newTrustUpdate() *cobra.Command {
	return &cobra.Command{
		Use:   "update",
		Short: "Write what the ledger says of organisations, authorities and revoked certificates to the trust file",
		Long: `A trust file holds the genesis, and from this command on also what the system chain says since of organisations, their certificate
authorities and addresses, and revoked certificates. A process that starts believes it until it has read the ledger itself. Without it, a process
could not start after its own organisation's authority was replaced, nor reach a network in which all were. The genesis stays as it is, and
with it the network's id. What is written is what a node says: run this where you trust the answer, and hand the file on as the first one.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if _, err := organisations(cmd, c, con); err != nil {
					return err
				}
				if err := identity.SaveTrust(con.trustPath, con.trust); err != nil {
					return err
				}
				result := trustResult{Trust: con.trustPath, Height: con.trust.Height()}
				return emit(cmd, result, func(w io.Writer) {
					fmt.Fprintf(w, "%s is that of height %d of the system chain\n", result.Trust, result.Height)
				})
			})
		},
	}
}
