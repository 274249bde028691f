package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/localnet"
)

func newConsole() *cobra.Command {
	cmd := &cobra.Command{Use: "console", Short: "The web console of a network on this machine"}
	cmd.AddCommand(newConsoleLink())
	return cmd
}

func newConsoleLink() *cobra.Command {
	var dir, role string
	cmd := &cobra.Command{
		Use:   "link",
		Short: "Print an address that signs in to the console, once",
		Long: `Prints an address of the console of a network that ltl up runs. Opened within 15 minutes, it signs a browser in as
the first account of the role; a second time it does not work. The secret of the AccessKey is not in it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := localnet.Load(dir)
			if err != nil {
				return err
			}
			link, err := consoleLink(dir, n, strings.ToUpper(role))
			if err != nil {
				return err
			}
			return emitSentence(cmd, linkResult{link}, "%s", link)
		},
	}
	cmd.Flags().StringVar(&dir, flagDir, "ltl-data", "directory of a network that ltl up started")
	cmd.Flags().StringVar(&role, "role", localnet.RoleAdmin, "role of the account: ADMIN, MEMBER or NONE")
	return cmd
}

// linkResult is what `ltl console link` prints. Its JSON name is stable.
type linkResult struct {
	Link string `json:"link"`
}

// consoleLink is an address that signs in to the network's console as the first account of a role.
func consoleLink(dir string, n *localnet.Network, role string) (string, error) {
	if n.Console == "" {
		return "", fmt.Errorf("the network in %s has no console; restart it with this program's ltl up", dir)
	}
	account, ok := n.Account(role)
	if !ok {
		return "", fmt.Errorf("no account of the network has the role %q; --role can be ADMIN, MEMBER or NONE", role)
	}
	trust, err := identity.LoadTrust(localnet.Path(dir, n.Trust))
	if err != nil {
		return "", err
	}
	return n.ConsoleLink(trust.NetworkID(), account, time.Now()), nil
}
