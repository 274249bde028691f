package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ltl/internal/localnet"
)

func newUp() *cobra.Command {
	o := localnet.Options{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole network on this machine, until a signal",
		Long: `Runs one process a node, endorser and facade. The first start makes keys, a genesis, accounts and chains in DIR;
later starts on the same DIR continue the same ledger. DIR/network.json describes what runs; DIR/logs holds the logs.
Prints "ready" on a line of its own when the first write would succeed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("couldn't find this program's file: %w", err)
			}
			o.Binary = binary
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			o.Ready = func(n *localnet.Network, first bool) { welcome(cmd.OutOrStdout(), o.Dir, n, first) }
			return localnet.Run(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Dir, flagDir, "ltl-data", "directory of the network")
	cmd.Flags().StringVar(&o.HTTP, "http", "127.0.0.1:8800", "HOST:PORT of the LTL API; port 0 takes a free one")
	cmd.Flags().IntVar(&o.Nodes, "nodes", 0, "number of nodes of a new network (default 3)")
	cmd.Flags().IntVar(&o.Orgs, "orgs", 0, "number of organisations of a new network (default 3)")
	cmd.Flags().BoolVar(&o.Restart, "restart", false, "start a process again when it ends")
	return cmd
}

// welcome says where everything is and how to make the first call.
func welcome(w io.Writer, dir string, n *localnet.Network, first bool) {
	if first {
		fmt.Fprintf(w, "A new network of %d nodes and %d organisations.\n", len(n.Nodes), len(n.Endorsers))
	} else {
		fmt.Fprintf(w, "The network of %s goes on.\n", dir)
	}
	admin, _ := n.Account(localnet.RoleAdmin)
	proof, _ := n.Chain(localnet.ServiceProof)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "  %-11s "+format+"\n", append([]any{label}, args...)...)
	}
	fmt.Fprintln(w)
	line("API", "%s (region %s)", n.Endpoint, n.Region)
	line("console", "%s", n.Console)
	line("AccessKey", "%s, secret %s", admin.AccessKeyID, admin.AccessKeySecret)
	line("chain", "%s, its code is %s; your data type code there is %s", proof.BizChainID, proof.BizChainCode, admin.DataTypeCode)
	line("everything", "%s; logs are in %s", filepath.Join(dir, localnet.NetworkFile), filepath.Join(dir, "logs"))
	key := fmt.Sprintf("ProductKey=%s Key=0001_%s_%s_%032d", proof.BizChainCode, proof.BizChainCode, admin.DataTypeCode, 1)
	fmt.Fprintf(w, "\nYour first record, and its proof:\n\n  %s call SetData --dir %s %s Value=hello\n", os.Args[0], dir, key)
	fmt.Fprintf(w, "  %s call GetBlockChainInfo --dir %s %s\n\nready\n", os.Args[0], dir, key)
}
