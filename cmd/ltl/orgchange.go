package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// changeOrganisation writes one change of an organisation and prints the organisation as it is then. prepare completes the change.
func changeOrganisation(cmd *cobra.Command, id string, prepare func(con *connection) (*ltlv1.ModifyOrganisation, error)) error {
	return withOperator(cmd, id, func(c *client.Client, con *connection) error {
		m, err := prepare(con)
		if err != nil {
			return err
		}
		m.Id = id
		if _, err := submit(cmd.Context(), c, &ltlv1.Transaction{
			ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m},
		}, changeHints(id)...); err != nil {
			return err
		}
		rows, err := organisations(cmd, c, con)
		if err != nil {
			return fmt.Errorf("the organisation was changed, but couldn't be read afterwards: %w", err)
		}
		for _, r := range rows {
			if r.ID == id {
				con.saveTrust(cmd)
				return emit(cmd, r, func(w io.Writer) { showOrganisation(w, r) })
			}
		}
		return fmt.Errorf("the organisation %q was changed, but is not listed afterwards", id)
	})
}

func changeHints(id string) []hint {
	return []hint{
		{rules.Forbidden, "only an operator of organisation " + id + " may do this; give --identity DIRECTORY with one's certificate"},
		{rules.NotFound, "there is no such organisation; `ltl org list` shows those there are"},
		{rules.OutOfRange, "a name has 1 to 60 characters without commas, an address is HOST:PORT"},
	}
}

// withOperator is withClient in the name of an operator of the organisation. On a network of ltl up, whose authorities are all at hand,
// one is made where the network's own operator is of another organisation.
func withOperator(cmd *cobra.Command, organisation string, f func(c *client.Client, con *connection) error) error {
	con, err := connectionOf(cmd)
	if err != nil {
		return err
	}
	given, _ := cmd.Flags().GetString(flagIdentity)
	if con.network != nil && given == "" {
		if err := con.becomeOperator(organisation); err != nil {
			return err
		}
	}
	c, err := con.open()
	if err != nil {
		return err
	}
	return errors.Join(f(c, con), c.Close())
}

// becomeOperator takes the identity of an operator of the organisation.
func (c *connection) becomeOperator(organisation string) error {
	own, err := identity.ReadCertificate(c.identity)
	if err != nil {
		return err
	}
	if own.Identity.Organisation == organisation {
		return nil
	}
	dir := filepath.Join(c.pki(), "operators", organisation)
	if _, err := os.Stat(filepath.Join(dir, "tls.pem")); err == nil {
		c.identity = dir
		return nil
	}
	authority := filepath.Join(c.pki(), "orgs", organisation)
	if _, err := os.Stat(filepath.Join(authority, "ca.key")); err != nil {
		return fmt.Errorf("%s is of another organisation; give --identity DIRECTORY with the certificate of an operator of %s", own.Identity, organisation)
	}
	c.identity = dir
	return identity.Issue(authority, dir, identity.Identity{Organisation: organisation, Role: identity.RoleOperator, Name: "operator"}, time.Now())
}

// pki is the directory of the trust file, where ltl pki create made everything.
func (c *connection) pki() string { return filepath.Dir(c.trustPath) }

// saveTrust writes what was learned of organisations and certificates to the trust file, so that processes start with it. The change
// is on the ledger whether or not that works.
func (c *connection) saveTrust(cmd *cobra.Command) {
	if err := identity.SaveTrust(c.trustPath, c.trust); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "the change is on the ledger, but the trust file is as it was; run `ltl trust update` where it can be written: %v\n", err)
	}
}

func newOrgModify() *cobra.Command {
	var name, endorser string
	cmd := &cobra.Command{
		Use:     "modify ORGANISATION",
		Short:   "Change an organisation's name or the address of its endorser",
		Example: `  ltl org modify org2 --dir ltl-data --endorser endorser2.example:7201`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			m := &ltlv1.ModifyOrganisation{}
			if cmd.Flags().Changed("name") {
				m.Name = &name
			}
			if cmd.Flags().Changed("endorser") {
				m.EndorserAddress = &endorser
			}
			if m.Name == nil && m.EndorserAddress == nil {
				return errors.New("what shall change? give --name or --endorser")
			}
			return changeOrganisation(cmd, args[0], func(*connection) (*ltlv1.ModifyOrganisation, error) { return m, nil })
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "what people read, in endorsementNames too")
	cmd.Flags().StringVar(&endorser, "endorser", "", "HOST:PORT of its endorser, which listens there already")
	return cmd
}

func newOrgRotateKey() *cobra.Command {
	var dir string
	var compromised bool
	cmd := &cobra.Command{
		Use:   "rotate-endorser-key ORGANISATION",
		Short: "Give an organisation's endorser a new signing key",
		Long: `Makes a new signing key beside the endorser's sign.key and enters its public part on the ledger. The running endorser signs with the new
key from the moment at which it reads of it; nothing is restarted. What the former key signed before counts for 60 seconds of block time, so
that no write has to be repeated; with --compromised it counts no more at once, and clients have what is under way endorsed again. Afterwards the
former key's file may be deleted.

The ledger asks for the endorsement of the organisation itself, and its endorser gives that only for a key that it holds: so an
operator's certificate alone is not enough, and the endorser has to run.`,
		Example: `  ltl org rotate-endorser-key org2 --dir ltl-data
  ltl org rotate-endorser-key org2 --trust trust.json --identity operator --endorser-dir orgs/org2/endorser --compromised`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganisation(cmd, args[0], func(con *connection) (*ltlv1.ModifyOrganisation, error) {
				if dir == "" {
					dir = filepath.Join(con.pki(), "orgs", args[0], "endorser")
				}
				own, err := identity.ReadCertificate(dir)
				if err != nil {
					return nil, fmt.Errorf("the endorser's directory is needed, see --endorser-dir: %w", err)
				}
				if want := (identity.Identity{Organisation: args[0], Role: identity.RoleEndorser, Name: args[0]}); own.Identity != want {
					return nil, fmt.Errorf("%s is the directory of %s, not of %s", dir, own.Identity, want)
				}
				public, _, err := identity.CreateSignKey(dir)
				return &ltlv1.ModifyOrganisation{EndorserKey: public, Compromised: compromised}, err
			})
		},
	}
	cmd.Flags().StringVar(&dir, "endorser-dir", "", "directory with the endorser's certificate and sign.key; by default orgs/ORGANISATION/endorser beside the trust file")
	cmd.Flags().BoolVar(&compromised, "compromised", false, "the former key counts no more, at once")
	return cmd
}

func newOrgRotateCA() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "rotate-ca ORGANISATION",
		Short: "Give an organisation one more certificate authority, beside those that it has",
		Long: `Makes a new certificate authority and enters it on the ledger. From then on certificates under the former and the new one are accepted: renew
the organisation's certificates with ltl pki renew --ca, and retire the former authority with ltl org retire-ca. Nothing is restarted.`,
		Example: `  ltl org rotate-ca org2 --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganisation(cmd, args[0], func(con *connection) (*ltlv1.ModifyOrganisation, error) {
				if out == "" {
					out = filepath.Join(con.pki(), "orgs", args[0], "ca-"+time.Now().UTC().Format("20060102T150405"))
				}
				der, err := identity.CreateAuthority(out, args[0], time.Now())
				if err != nil {
					return nil, err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "the new authority is in %s\n", out)
				return &ltlv1.ModifyOrganisation{AddAuthority: der}, nil
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "directory to make ca.pem and ca.key in; by default one beside the organisation's first authority")
	return cmd
}

func newOrgRetireCA() *cobra.Command {
	return &cobra.Command{
		Use:   "retire-ca ORGANISATION FINGERPRINT",
		Short: "Retire a certificate authority: no certificate under it is accepted any more",
		Long: `Retires a certificate authority of an organisation, named by the SHA-256 that ltl org show prints. Connections of those who have a certificate
under it end. One authority has to be left.`,
		Example: `  ltl org retire-ca org2 9f2b… --dir ltl-data`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			hash, err := hex.DecodeString(args[1])
			if err != nil || len(hash) == 0 {
				return fmt.Errorf("%q is no fingerprint; `ltl org show %s` prints those of its authorities", args[1], args[0])
			}
			return changeOrganisation(cmd, args[0], func(*connection) (*ltlv1.ModifyOrganisation, error) {
				return &ltlv1.ModifyOrganisation{RetireAuthority: hash}, nil
			})
		},
	}
}

func newOrgRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove ORGANISATION",
		Short: "Remove an organisation from the network, for good",
		Long: `Removes an organisation. Its endorser, operators, facades and clients are refused from then on, and its accounts can neither write nor read. What
it signed stays on the chains and valid. It is refused while the organisation has a node, endorses on a chain or administers one, or
while the policy of the system chain needs it. Its id, name and key are never given to another.`,
		Example: `  ltl org remove org4 --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withClient(cmd, func(c *client.Client, con *connection) error {
				if _, err := submit(cmd.Context(), c, &ltlv1.Transaction{
					ChainId: ledger.SystemChain, Action: &ltlv1.Transaction_RemoveOrganisation{RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: args[0]}},
				}, changeHints(args[0])...); err != nil {
					return err
				}
				if _, err := organisations(cmd, c, con); err != nil {
					return fmt.Errorf("the organisation was removed, but the network couldn't be read afterwards: %w", err)
				}
				con.saveTrust(cmd)
				return emit(cmd, map[string]string{"id": args[0]}, func(w io.Writer) {
					fmt.Fprintf(w, "organisation %s is removed; its endorser may be stopped\n", args[0])
				})
			})
		},
	}
}
