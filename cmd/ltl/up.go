package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ltl/internal/localnet"
)

func newUp() *cobra.Command {
	o := localnet.Options{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a whole network on this machine, until a signal",
		Long: `Runs one process per node, endorser and facade. The first start makes keys, a genesis, accounts and chains
in DIR; later starts on the same DIR continue the same ledger. DIR/network.json describes the network; DIR/logs
holds the logs. Prints "ready" on a line of its own when the first write would succeed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			binary, err := os.Executable()
			if err != nil {
				return fmt.Errorf("couldn't find this program's file: %w", err)
			}
			o.Binary = binary
			o.Logger = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			o.Ready = func(n *localnet.Network, first bool) { printReady(cmd.OutOrStdout(), o.Dir, n, first) }
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

// printReady says where everything is and how to make the first call, and then that the network is ready.
func printReady(w io.Writer, dir string, n *localnet.Network, first bool) {
	if first {
		fmt.Fprintf(w, "Started a new network of %d nodes and %d organisations\n", len(n.Nodes), len(n.Endorsers))
	} else {
		fmt.Fprintf(w, "Resuming network in %s\n", dir)
	}
	admin, key := firstRecord(n)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(w, "  %-11s "+format+"\n", append([]any{label}, args...)...)
	}
	fmt.Fprintln(w)
	line("API", "%s (region %s)", n.Endpoint, n.Region)
	line("console", "%s", n.Console)
	line("AccessKey", "%s, secret %s", admin.AccessKeyID, admin.AccessKeySecret)
	line("chain", "%s", proofChainText(n))
	if len(n.Delegates) > 0 && len(n.Endorsers) > 1 {
		line("delegation", "%s", delegationText(n))
	}
	line("config", "%s", filepath.Join(dir, localnet.NetworkFile))
	line("logs", "%s", filepath.Join(dir, "logs"))
	if link, err := consoleLink(dir, n, localnet.RoleAdmin); err == nil {
		fmt.Fprintf(w, "\nLook at it in a browser, signed in as the administrator, once within 15 minutes:\n\n  %s\n"+
			"  %s console link --dir %s   # makes another one\n", link, os.Args[0], dir)
	}
	fmt.Fprintf(w, "\nYour first record, and its proof:\n\n  %s call SetData --dir %s %s Value=hello\n", os.Args[0],
		dir, key)
	fmt.Fprintf(w, "  %s call GetBlockChainInfo --dir %s %s\n\nready\n", os.Args[0], dir, key)
}

// delegationText says which organisations delegate to which facades.
func delegationText(n *localnet.Network) string {
	var others []string
	for _, e := range n.Endorsers[1:] {
		others = append(others, e.Organisation)
	}
	return fmt.Sprintf("accounts of %s may be used through %s (ltl org list)", strings.Join(others, ", "),
		strings.Join(n.Delegates, ", "))
}

// firstRecord is the administrator of the proof chain, and the parameters that name the first record it may write
// there.
func firstRecord(n *localnet.Network) (admin localnet.Account, key string) {
	admin, _ = n.Account(localnet.RoleAdmin)
	proof, _ := n.Chain(localnet.ServiceProof)
	return admin, fmt.Sprintf("ProductKey=%s Key=0001_%s_%s_%032d", proof.BizChainCode, proof.BizChainCode,
		admin.DataTypeCode, 1)
}

// proofChainText describes the proof chain to its administrator.
func proofChainText(n *localnet.Network) string {
	admin, _ := n.Account(localnet.RoleAdmin)
	proof, _ := n.Chain(localnet.ServiceProof)
	return fmt.Sprintf("%s, its code is %s; your data type code there is %s", proof.BizChainID, proof.BizChainCode,
		admin.DataTypeCode)
}
