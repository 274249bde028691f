package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"ltl/internal/localnet"
)

func newSetup() *cobra.Command {
	var o localnet.BootstrapOptions
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Create the first accounts and chains of a network that runs elsewhere",
		Long: `Creates what ltl up creates on its own network, on one that runs in containers or on other machines: an
administrator, a member, accounts for experiments, a proof chain and a collaboration chain. Describes them in
DIR/network.json, with the AccessKeys. DIR/pki holds what ltl pki create made, including the operator's key. Running
it again changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			n, first, err := localnet.Bootstrap(cmd.Context(), o)
			if err != nil {
				return err
			}
			return emit(cmd, n, func(w io.Writer) { printBootstrapped(w, n, first) })
		},
	}
	cmd.Flags().StringVar(&o.Dir, flagDir, "", "directory that holds pki, and gets network.json (required)")
	cmd.Flags().StringArrayVar(&o.Endpoints, "endpoint", nil,
		"URL of a facade, as its callers know it; once each (required)")
	mustRequire(cmd, flagDir, "endpoint")
	return cmd
}

// printBootstrapped says where the API is and how to make the first call.
func printBootstrapped(w io.Writer, n *localnet.Network, first bool) {
	if !first {
		fmt.Fprintf(w, "The network is set up already; its API is at %s.\n", n.Endpoint)
		return
	}
	admin, key := firstRecord(n)
	writeCells(w, "API", fmt.Sprintf("%s (region %s)", n.Endpoint, n.Region))
	writeCells(w, "AccessKey", fmt.Sprintf("%s, secret %s", admin.AccessKeyID, admin.AccessKeySecret))
	writeCells(w, "chain", proofChainText(n))
	if len(n.Delegates) > 0 && len(n.Endorsers) > 1 {
		writeCells(w, "delegation", delegationText(n))
	}
	fmt.Fprintf(w, "\nYour first record:\n\n  ltl call SetData --endpoint %s --access-key-id %s --access-key-secret "+
		"%s %s Value=hello\n",
		n.Endpoint, admin.AccessKeyID, admin.AccessKeySecret, key)
}
