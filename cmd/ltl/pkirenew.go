package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
)

func newPKIRenew() *cobra.Command {
	var authority string
	var newKey bool
	cmd := &cobra.Command{
		Use:   "renew DIRECTORY…",
		Short: "Renew the certificates in directories of processes or people, for the same identities",
		Long: `Replaces tls.pem in each directory by a certificate for the same identity and the same key, under the authority of --ca, also when that one
has expired. A running process notices within a second and uses it for new connections; nothing is restarted. With --new-key the key is replaced
too: do that when it was stolen, and then revoke the stolen one, of which keep a copy of tls.pem, with ltl cert revoke --key-only.`,
		Example: `  ltl pki renew nodes/node1 facades/facade1 --ca orgs/org1`,
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			renew := identity.Renew
			if newKey {
				renew = identity.Rekey
			}
			rows := []certRow{}
			for _, dir := range args {
				if err := renew(authority, dir, time.Now()); err != nil {
					return fmt.Errorf("%s: %w", dir, err)
				}
				row, err := readCert(dir)
				if err != nil {
					return err
				}
				rows = append(rows, *row)
			}
			return emit(cmd, rows, func(w io.Writer) {
				fmt.Fprintln(w, "IDENTITY\tEXPIRES\tKEY (SHA-256)")
				for _, r := range rows {
					fmt.Fprintf(w, "%s\t%s\t%s\n", r.Identity, r.Expires.Format(time.RFC3339), r.KeyHash)
				}
			})
		},
	}
	cmd.Flags().StringVar(&authority, "ca", "", "directory with the organisation's ca.pem and ca.key (required)")
	cmd.Flags().BoolVar(&newKey, "new-key", false, "make a new key too")
	mustRequire(cmd, "ca")
	return cmd
}

func newPKIDeviceKey() *cobra.Command {
	return &cobra.Command{
		Use:   "renew-device-key DIRECTORY",
		Short: "Replace the key under which an endorser keeps its devices' AES keys",
		Long: `Makes a new key in the endorser's directory, devices.key.next. The running endorser, or one that starts, seals its devices' keys under it and
renames it to devices.key, within seconds. A backup of devices.sealed that was made before needs the former devices.key: keep a copy beside it.`,
		Example: `  ltl pki renew-device-key orgs/org2/endorser`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			own, err := identity.ReadCertificate(args[0])
			if err != nil {
				return err
			}
			if own.Identity.Role != identity.RoleEndorser {
				return fmt.Errorf("%s is the directory of %s, not of an endorser", args[0], own.Identity)
			}
			path, err := identity.NextDeviceKey(args[0])
			if err != nil {
				return err
			}
			return emit(cmd, map[string]string{"key": path}, func(w io.Writer) {
				fmt.Fprintf(w, "%s: the endorser takes it within seconds of running\n", path)
			})
		},
	}
}
