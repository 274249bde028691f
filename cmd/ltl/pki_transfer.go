package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
)

// newPKITransferKey makes `ltl pki transfer-key`.
func newPKITransferKey() *cobra.Command {
	var trustPath string
	cmd := &cobra.Command{
		Use:   "transfer-key DIRECTORY",
		Short: "Make the key with which a facade takes the sealing keys of organisations that delegate to it",
		Long: `Makes transfer.key in a facade's directory, unless it is there, and transfer.json with its public half, which the
facade's certificate has signed. Hand transfer.json to an operator of the organisation that delegates; it holds no secret,
and a changed one is refused. transfer.key never leaves the directory.`,
		Example: `  ltl pki transfer-key facades/facade1 --trust trust.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			trust, err := identity.LoadTrust(trustPath)
			if err != nil {
				return err
			}
			path, err := identity.CreateTransferKey(args[0], trust.NetworkID())
			if err != nil {
				return err
			}
			k, err := trust.ReadTransferKey(path)
			if err != nil {
				return fmt.Errorf("the trust file does not know this certificate; update it with `ltl trust update`: %w", err)
			}
			row := map[string]string{"facade": k.Facade.String(), "file": path, "fingerprint": k.Fingerprint()}
			return emitFields(cmd, row, field{"facade", row["facade"]}, field{"for `ltl org delegate`", path},
				field{"fingerprint (SHA-256)", row["fingerprint"]})
		},
	}
	cmd.Flags().StringVar(&trustPath, flagTrust, "", "trust file of the network (required)")
	mustRequire(cmd, flagTrust)
	return cmd
}

// importResult is what `ltl pki import-sealing` prints.
type importResult struct {
	Organisation string `json:"organisation"`
	Keys         int    `json:"keys"`
	Directory    string `json:"directory"`
}

// newPKIImportSealing makes `ltl pki import-sealing`.
func newPKIImportSealing() *cobra.Command {
	var trustPath string
	cmd := &cobra.Command{
		Use:   "import-sealing DIRECTORY FILE",
		Short: "Take the sealing keys that another organisation exported to a facade",
		Long: `Opens FILE, which ltl org delegate --export wrote for this facade, with transfer.key in its directory, and puts the
keys beside it: the one in force as sealing-ORGANISATION.key, others as sealing-FINGERPRINT.key. A running facade reads them
without a restart.`,
		Example: `  ltl pki import-sealing facades/facade1 org2-keys.json --trust trust.json`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			trust, err := identity.LoadTrust(trustPath)
			if err != nil {
				return err
			}
			of, n, err := identity.ImportSealingKeys(args[0], args[1], trust.NetworkID())
			if err != nil {
				return err
			}
			return emitSentence(cmd, importResult{of, n, args[0]}, "%d sealing keys of %s are in %s", n, of, args[0])
		},
	}
	cmd.Flags().StringVar(&trustPath, flagTrust, "", "trust file of the network (required)")
	mustRequire(cmd, flagTrust)
	return cmd
}
