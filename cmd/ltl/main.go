// Command ltl runs and operates a Link Trusted Ledger network: its roles (node, endorser, facade), a whole network on
// one machine (up), and the tools of operators, auditors and developers. There is one file per subcommand. The
// subcommands read options, call the packages of this module and print; session.go, ledger.go and output.go hold what
// they have in common.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// main runs the command of the arguments until it returns, or until SIGINT or SIGTERM ends its context. Errors are one
// line on standard error and exit status 1, except where a command documents others.
func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := tuneMemory()
	if err == nil {
		err = newRoot().ExecuteContext(ctx)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ltl:", err)
		os.Exit(exitStatus(err))
	}
}

// statusError is an error after which the process ends with another status than 1.
type statusError struct {
	status int
	error
}

// Unwrap is the error that ended the process.
func (e statusError) Unwrap() error { return e.error }

func exitStatus(err error) int {
	if e, ok := errors.AsType[statusError](err); ok {
		return e.status
	}
	return 1
}

// newRoot makes the whole tree of commands. It makes a new one at each call, as commands hold the values of their
// options.
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
		newPKI(), newStatus(), newChain(), newAccount(), newMember(), newOrg(), newCert(), newTrust(), newProof(), newDevice(),
		newNetwork(), newRules(), newProposals(), newApprove(), newReject(), newWithdraw(), newCall(), newConsole(), newCorrect(),
		newImport(), newExport(), newNotarise(), newCheck(),
		newAudit(), newBackup(), newRestore(), newBench(), newVersion(),
	)
	refuseUnknown(root.Commands())
	return root
}

// refuseUnknown makes a command that only groups others fail on an unknown name. Cobra would print its help and
// succeed, and a script would continue.
func refuseUnknown(commands []*cobra.Command) {
	for _, cmd := range commands {
		if !cmd.Runnable() && cmd.HasSubCommands() {
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		refuseUnknown(cmd.Commands())
	}
}

// mustRequire marks options as required.
func mustRequire(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		if err := cmd.MarkFlagRequired(name); err != nil {
			panic(fmt.Sprintf("BUG: %v", err))
		}
	}
}
