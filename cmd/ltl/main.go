// Command ltl is everything a Link Trusted Ledger network runs and is run with: its roles (node, endorser, facade), a
// whole network on one machine (up), and the tools of operators, auditors and developers. One file a subcommand; what
// they do lives in the packages they wire together.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ltl:", err)
		os.Exit(1)
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ltl",
		Short:         "A permissioned ledger that speaks the LTL API",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String(flagOutput, outputTable, "how results are printed: json or table")
	root.PersistentPreRunE = checkOutput
	root.AddCommand(
		newUp(), newNode(), newEndorser(), newFacade(), newHealth(), newSetup(),
		newPKI(), newStatus(), newChain(), newAccount(), newMember(), newOrg(), newCert(), newTrust(), newDevice(), newRules(),
		newCall(), newAudit(), newBackup(), newRestore(), newBench(), newVersion(),
	)
	refuseUnknown(root.Commands())
	return root
}

// refuseUnknown makes commands that only hold others fail on a name they do not hold. Cobra would print their help and succeed,
// and a script would go on.
func refuseUnknown(commands []*cobra.Command) {
	for _, cmd := range commands {
		if !cmd.Runnable() && cmd.HasSubCommands() {
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		refuseUnknown(cmd.Commands())
	}
}
