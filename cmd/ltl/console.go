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
	var listen string
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Serve the web console of an organisation on this machine, until a signal",
		Long: `Serves pages on which an operator or a client of an organisation reads the organisation's own copy of the ledger, that
of its endorser: proposals that wait for its vote, health of all processes, organisations, nodes, certificates, accounts,
chains and their records. An operator can vote. Prints an address that signs a browser in once, within 15 minutes.

It listens on this machine only. The console of accounts, for holders of AccessKeys, is served by a facade.`,
		Example: "  ltl console --trust trust.json --identity operator",
		Args:    cobra.NoArgs,
		RunE:    online(func(s *session, _ []string) error { return s.serveConsole(listen) }),
	}
	f := cmd.Flags()
	f.String(flagDir, "", "directory of a network that ltl up started; no other connection option is needed then")
	f.String(flagTrust, "", "trust file of the network")
	f.String(flagIdentity, "", "directory with the caller's tls.pem and tls.key, of an operator or a client")
	f.StringVar(&listen, "listen", "127.0.0.1:0", "HOST:PORT to serve on, of this machine; port 0 takes a free one")
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
