package main

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"ltl/internal/localnet"
)

func newSetup() *cobra.Command {
	var o localnet.FurnishOptions
	cmd := &cobra.Command{
		Use:   "setup",
		Short: "Give a network that runs elsewhere its first accounts and chains",
		Long: `Makes what ltl up makes for its own network, for one that runs in containers or on other machines: an administrator, a member, accounts
to play with, a proof chain and a collaboration chain; and describes it in DIR/network.json, with the AccessKeys. DIR/pki holds what
ltl pki create made, the operator's key included. Calling it again changes nothing.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			n, first, err := localnet.Furnish(cmd.Context(), o)
			if err != nil {
				return err
			}
			return emit(cmd, n, func(w io.Writer) { welcomeElsewhere(w, n, first) })
		},
	}
	cmd.Flags().StringVar(&o.Dir, flagDir, "", "directory that holds pki, and gets network.json (required)")
	cmd.Flags().StringArrayVar(&o.Endpoints, "endpoint", nil, "URL of a facade, as its callers know it; once each (required)")
	for _, name := range []string{flagDir, "endpoint"} {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(fmt.Sprintf("BUG: %v", err))
		}
	}
	return cmd
}

// welcomeElsewhere says how to make the first call.
func welcomeElsewhere(w io.Writer, n *localnet.Network, first bool) {
	if !first {
		fmt.Fprintf(w, "The network is set up already; its API is at %s.\n", n.Endpoint)
		return
	}
	admin, _ := n.Account(localnet.RoleAdmin)
	proof, _ := n.Chain(localnet.ServiceProof)
	fmt.Fprintf(w, "API\t%s (region %s)\n", n.Endpoint, n.Region)
	fmt.Fprintf(w, "AccessKey\t%s, secret %s\n", admin.AccessKeyID, admin.AccessKeySecret)
	fmt.Fprintf(w, "chain\t%s, its code is %s; your data type code there is %s\n", proof.BizChainID, proof.BizChainCode, admin.DataTypeCode)
	fmt.Fprintf(w, "\nYour first record:\n\n  ltl call SetData --endpoint %s --access-key-id %s --access-key-secret %s ProductKey=%s Key=0001_%s_%s_%032d Value=hello\n",
		n.Endpoint, admin.AccessKeyID, admin.AccessKeySecret, proof.BizChainCode, proof.BizChainCode, admin.DataTypeCode, 1)
}
