package main

import (
	"github.com/spf13/cobra"

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
		Long: `Adds to the trust file, in addition to the genesis, what the system chain says of organisations, their certificate
authorities and addresses, and of revoked certificates. A process uses this from its start until it has read the
ledger itself. A file that is out of date keeps a process from starting after its own organisation's authority was
replaced, and from reaching a network in which all authorities were replaced. The genesis and the network's id stay
as they are. The data come from one node: run this only where you trust its answer, and protect the file on its way
like the first one.`,
		Args: cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			if _, err := s.organisations(); err != nil {
				return err
			}
			if err := identity.SaveTrust(s.trustPath, s.trust); err != nil {
				return err
			}
			result := trustResult{Trust: s.trustPath, Height: s.trust.Height()}
			return emitSentence(s.cmd, result, "%s holds the state at height %d of the system chain", result.Trust,
				result.Height)
		}),
	}
}
