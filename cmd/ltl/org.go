package main

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// orgRow is an organisation as `ltl org` prints it. Its JSON names are stable.
type orgRow struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Endorser    string `json:"endorser"`
	EndorserKey string `json:"endorserKey"`
	// CAFingerprint is the SHA-256 of the certificate authority's certificate, in hexadecimal digits.
	CAFingerprint string `json:"caFingerprint"`
	// Authorities are the SHA-256 of the certificates of all its authorities, oldest first.
	Authorities []string `json:"authorities"`
	// Standing is invited or active.
	Standing string `json:"standing,omitempty"`
	// RecoveryKey is the public part of its recovery key; empty while it has none.
	RecoveryKey string `json:"recoveryKey,omitempty"`
	// Nodes are the ids of the organisation's nodes.
	Nodes []string `json:"nodes"`
	// Delegates are the facades of other organisations that may speak for its accounts.
	Delegates []string `json:"delegates"`
}

func newOrg() *cobra.Command {
	cmd := &cobra.Command{Use: "org", Short: "List, show, add, change and remove organisations"}
	addConnection(cmd)
	cmd.AddCommand(newOrgList(), newOrgShow(), newOrgAdd(), newOrgModify(), newOrgRemove(),
		newOrgRotateKey(), newOrgRotateCA(), newOrgRetireCA(), newOrgRecoveryKey(), newOrgRecover(), newOrgSignRecovery(),
		newOrgAccept(), newOrgLeave(), newOrgDelegate())
	return cmd
}

func newOrgList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the organisations that the system chain knows",
		Args:  cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			rows, err := s.organisations()
			if err != nil {
				return err
			}
			const header = "ORGANISATION|NAME|STANDING|ENDORSER|NODES|DELEGATES|ENDORSER KEY"
			return emitRows(s.cmd, rows, header, func(r orgRow) []any {
				return []any{r.ID, r.Name, r.Standing, r.Endorser, strings.Join(r.Nodes, ", "), strings.Join(r.Delegates, ", "),
					r.EndorserKey}
			})
		}),
	}
}

func newOrgShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show ORGANISATION",
		Short: "Show one organisation, by its id",
		Args:  cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			rows, err := s.organisations()
			if err != nil {
				return err
			}
			for _, r := range rows {
				if r.ID == args[0] {
					return showOrganisation(s.cmd, r)
				}
			}
			return fmt.Errorf("there is no organisation %q; `ltl org list` lists the existing ones", args[0])
		}),
	}
}

// showOrganisation prints an organisation.
func showOrganisation(cmd *cobra.Command, r orgRow) error {
	return emitFields(cmd, r,
		field{"organisation", r.ID}, field{"name", r.Name}, field{"standing", r.Standing}, field{"endorser", r.Endorser},
		field{"endorser key", r.EndorserKey}, field{"recovery key", cmp.Or(r.RecoveryKey, "none; see `ltl org recovery-key`")},
		field{"authorities (SHA-256)", strings.Join(r.Authorities, ", ")}, field{"nodes", strings.Join(r.Nodes, ", ")},
		field{"delegates", strings.Join(r.Delegates, ", ")})
}

// organisations reads all organisations with their nodes, and updates the session's trust with what the network says of
// them.
func (s *session) organisations() ([]orgRow, error) {
	res, err := s.client.Ledger().GetNetwork(s.cmd.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		return nil, err
	}
	if err := s.trust.Update(identity.MembershipOf(res)); err != nil {
		return nil, err
	}
	authorities := map[string][]string{}
	for _, a := range res.GetAuthorities() {
		for _, der := range a.GetCertificates() {
			authorities[a.GetOrganisation()] = append(authorities[a.GetOrganisation()], identity.Fingerprint(der))
		}
	}
	rows := make([]orgRow, 0, len(res.GetOrganisations()))
	for i, o := range res.GetOrganisations() {
		row := orgRowOf(o)
		if i < len(res.GetFacts()) {
			f := res.GetFacts()[i]
			row.Delegates = append(row.Delegates, f.GetDelegates()...)
			row.Standing, row.RecoveryKey = standingName(f.GetStanding()), hex.EncodeToString(f.GetRecoveryKey())
		}
		if all := authorities[o.GetId()]; len(all) > 0 {
			row.Authorities = all
		}
		for _, n := range res.GetNodes() {
			if n.GetOrganisation() == o.GetId() {
				row.Nodes = append(row.Nodes, n.GetId())
			}
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// standingName is the word for an organisation's standing.
func standingName(s ltlv1.OrganisationStanding) string {
	return strings.ToLower(strings.TrimPrefix(s.String(), "ORGANISATION_STANDING_"))
}

// refreshTrust reads the organisations after a change, done, and saves the trust file with them.
func (s *session) refreshTrust(done string) ([]orgRow, error) {
	rows, err := s.organisations()
	if err != nil {
		return nil, readBack(done, err)
	}
	s.saveTrust(s.cmd)
	return rows, nil
}

// showListed prints an organisation after a change, done.
func (s *session) showListed(id, done string) error {
	rows, err := s.refreshTrust(done)
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row.ID == id {
			return showOrganisation(s.cmd, row)
		}
	}
	return fmt.Errorf("%s, but %q is not listed afterwards; `ltl org list` lists the existing ones", done, id)
}

// orgRowOf is an organisation as its description has it: with one authority and no nodes.
func orgRowOf(o *ltlv1.Organisation) orgRow {
	fingerprint := identity.Fingerprint(o.GetCaCertificate())
	return orgRow{
		ID: o.GetId(), Name: o.GetName(), Endorser: o.GetEndorserAddress(),
		EndorserKey:   hex.EncodeToString(o.GetEndorserKey()),
		CAFingerprint: fingerprint, Authorities: []string{fingerprint}, Nodes: []string{}, Delegates: []string{},
	}
}

func newOrgAdd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add FILE",
		Short: "Propose to invite an organisation, from the organisation.json that ltl pki organisation made",
		Long: `Invites an organisation to the network, when a majority of its organisations approve: the change is proposed, and
approved for the organisation of the operator who runs this command. FILE is the organisation.json that the organisation
made with ltl pki organisation. Compare the endorser key that it shows with the organisation over a channel that you
trust. The invited organisation is counted and has a vote when it has accepted, with ltl org accept, within 30 days; until
then it stops nothing. ltl org remove withdraws an invitation. Existing chains keep their organisations: ltl chain modify --organisations changes them.`,
		Example: `  ltl org add organisation.json --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withSession(cmd, func(s *session) error {
				invited, err := identity.LoadOrganisation(args[0], s.trust.NetworkID())
				if err != nil {
					return err
				}
				o := invited.GetOrganisation()
				if err := s.trust.CheckOrganisation(o); err != nil {
					return err
				}
				d, err := s.decide(&ltlv1.Transaction{
					Action: &ltlv1.Transaction_CreateOrganisation{CreateOrganisation: invited},
				}, orgAdvice())
				if err != nil || !d.made {
					return err
				}
				return s.showListed(o.GetId(), "the organisation was invited")
			})
		},
	}
	addWait(cmd)
	return cmd
}

// orgAdvice says what to do when a new organisation is refused.
func orgAdvice() advice {
	return advice{
		rules.Conflict: "the network has an organisation with this id, authority or endorser key already; `ltl org list` " +
			"shows it",
		rules.OutOfRange: "an id has 1 to 32 characters of a-z, 0-9 and '-', a name 1 to 60 characters without " +
			"commas, an address is HOST:PORT",
		rules.QuotaExceeded: fmt.Sprintf("a network has at most %d organisations", rules.MaxOrganisations),
		rules.Forbidden:     adviceOperator,
	}
}

// orgChangeAdvice says what to do when a change of an organisation is refused.
func orgChangeAdvice(id string) advice {
	return advice{
		rules.Forbidden: "only an operator of organisation " + id + " may do this; give --identity DIRECTORY with the " +
			"certificate of one",
		rules.NotFound:   adviceNoOrg,
		rules.OutOfRange: "a name has 1 to 60 characters without commas, an address is HOST:PORT",
	}
}

// changeOrganisation writes one change of an organisation and prints the organisation after it. prepare makes the
// change.
func changeOrganisation(cmd *cobra.Command, id string, prepare func(s *session) (*ltlv1.ModifyOrganisation, error)) error {
	return withOperator(cmd, id, func(s *session) error {
		m, err := prepare(s)
		if err != nil {
			return err
		}
		m.Id = id
		if _, err := s.submitToSystem(&ltlv1.Transaction{
			Action: &ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m},
		}, orgChangeAdvice(id)); err != nil {
			return err
		}
		return s.showListed(id, "the organisation was changed")
	})
}

func newOrgModify() *cobra.Command {
	var name, endorser string
	var recovery recoveryKeyChange
	cmd := &cobra.Command{
		Use:   "modify ORGANISATION",
		Short: "Change an organisation's name, the address of its endorser, or its recovery key",
		Long: `Changes an organisation's name, the address of its endorser, or its recovery key. The organisation's own endorser
endorses the change, so it is asked at the address that the ledger has. If that one is wrong, --reach says where the
endorser is now.`,
		Example: `  ltl org modify org2 --dir ltl-data --endorser endorser2.example:7201
  ltl org modify org2 --dir ltl-data --endorser endorser2.example:7201 --reach endorser2.example:7201
  ltl org modify org2 --dir ltl-data --recovery-key 3b6a…29`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if recovery.out != "" || recovery.from != "" {
				return recovery.change(cmd, args[0])
			}
			if name == "" && endorser == "" && recovery.fresh == "" {
				return errors.New("nothing to change; give --name, --endorser or --recovery-key")
			}
			return changeOrganisation(cmd, args[0], func(s *session) (*ltlv1.ModifyOrganisation, error) {
				m := &ltlv1.ModifyOrganisation{}
				if recovery.fresh != "" {
					var err error
					if m, err = s.newRecoveryKey(args[0], recovery.fresh, recovery.former); err != nil {
						return nil, err
					}
				}
				if cmd.Flags().Changed("name") {
					m.Name = &name
				}
				if cmd.Flags().Changed("endorser") {
					m.EndorserAddress = &endorser
				}
				return m, nil
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&name, "name", "", "the name that people read, in endorsementNames too")
	f.StringVar(&endorser, "endorser", "", "HOST:PORT of its endorser, which listens there already")
	f.String(flagReach, "", "HOST:PORT where its endorser is reached now, if its address on the ledger is wrong")
	f.StringVar(&recovery.fresh, flagRecoveryKey, "", "public part of its recovery key, which `ltl org recovery-key` prints")
	f.StringVar(&recovery.former, "former-recovery-key", "", "file of the present recovery key, which has to sign the new one")
	f.StringVar(&recovery.out, flagOut, "", "file to write what the present recovery key is to sign, on another machine")
	f.StringVar(&recovery.from, flagFrom, "", "file that ltl org sign-recovery wrote; it is sent")
	cmd.MarkFlagsMutuallyExclusive("former-recovery-key", flagOut, flagFrom)
	cmd.MarkFlagsMutuallyExclusive(flagRecoveryKey, flagFrom)
	for _, other := range []string{"name", "endorser", flagReach} {
		cmd.MarkFlagsMutuallyExclusive(other, flagOut)
		cmd.MarkFlagsMutuallyExclusive(other, flagFrom)
	}
	return cmd
}

// newOrgRotateKey makes `ltl org rotate-endorser-key`. The new key is written to disk before the ledger names it: an
// endorser must never be asked for signatures of a key that it does not have.
func newOrgRotateKey() *cobra.Command {
	var dir string
	var compromised bool
	cmd := &cobra.Command{
		Use:   "rotate-endorser-key ORGANISATION",
		Short: "Give an organisation's endorser a new signing key",
		Long: `Makes a new signing key next to the endorser's sign.key and records its public part on the ledger. The
running endorser signs with the new key as soon as it has read the record; nothing is restarted. Signatures of the
former key count for 60 more seconds of block time, so that no write has to be repeated. With --compromised they
stop counting at once, and clients have pending writes endorsed again. The former key's file may be deleted
afterwards.

The ledger requires the endorsement of the organisation itself, and its endorser endorses only a key that it holds.
So an operator's certificate alone is not enough, and the endorser has to run.`,
		Example: `  ltl org rotate-endorser-key org2 --dir ltl-data
  ltl org rotate-endorser-key org2 --trust trust.json --identity operator --endorser-dir orgs/org2/endorser --compromised`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganisation(cmd, args[0], func(s *session) (*ltlv1.ModifyOrganisation, error) {
				if dir == "" {
					dir = filepath.Join(s.pki(), "orgs", args[0], "endorser")
				}
				own, err := identity.ReadCertificate(dir)
				if err != nil {
					return nil, fmt.Errorf("the endorser's directory is needed, see --endorser-dir: %w", err)
				}
				want := identity.Identity{Organisation: args[0], Role: identity.RoleEndorser, Name: args[0]}
				if own.Identity != want {
					return nil, fmt.Errorf("%s is the directory of %s, not of %s; see --endorser-dir", dir, own.Identity, want)
				}
				m, err := s.newEndorserKey(args[0], dir)
				if err == nil {
					m.Compromised = compromised
				}
				return m, err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, "endorser-dir", "",
		"directory with the endorser's certificate and sign.key; by default orgs/ORGANISATION/endorser next to the trust "+
			"file")
	f.BoolVar(&compromised, "compromised", false, "signatures of the former key stop counting at once")
	return cmd
}

// newEndorserKey makes a signing key in an endorser's directory. It signs that it takes the place of the one that the
// ledger names.
func (s *session) newEndorserKey(organisation, dir string) (*ltlv1.ModifyOrganisation, error) {
	o, _, err := s.organisation(organisation)
	if err != nil {
		return nil, err
	}
	key, err := identity.CreateSignKey(dir)
	if err != nil {
		return nil, err
	}
	former := ledger.KeyID(o.GetEndorserKey())
	return &ltlv1.ModifyOrganisation{
		EndorserKey: key.Public().(ed25519.PublicKey),
		Possession:  ledger.SignNewKey(key, s.trust.NetworkID(), organisation, former),
	}, nil
}

// newOrgRotateCA makes `ltl org rotate-ca`. Authorities overlap, so that certificates can be renewed one after the
// other while everything runs.
func newOrgRotateCA() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "rotate-ca ORGANISATION",
		Short: "Give an organisation one more certificate authority, in addition to those that it has",
		Long: `Makes a new certificate authority and records it on the ledger. From then on certificates under the former
and the new one are accepted: renew the organisation's certificates with ltl pki renew --ca, and retire the former
authority with ltl org retire-ca. Nothing is restarted.`,
		Example: `  ltl org rotate-ca org2 --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return changeOrganisation(cmd, args[0], func(s *session) (*ltlv1.ModifyOrganisation, error) {
				if out == "" {
					out = filepath.Join(s.pki(), "orgs", args[0], "ca-"+time.Now().UTC().Format("20060102T150405"))
				}
				der, err := identity.CreateAuthority(out, args[0], time.Now())
				if err != nil {
					return nil, err
				}
				fmt.Fprintf(cmd.ErrOrStderr(), "the new authority is in %s\n", out)
				possession, err := identity.SignAuthority(out, s.trust.NetworkID(), args[0])
				return &ltlv1.ModifyOrganisation{AddAuthority: der, AuthorityPossession: possession}, err
			})
		},
	}
	cmd.Flags().StringVar(&out, "out", "",
		"directory to make ca.pem and ca.key in; by default next to the organisation's first authority")
	return cmd
}

func newOrgRetireCA() *cobra.Command {
	return &cobra.Command{
		Use:   "retire-ca ORGANISATION FINGERPRINT",
		Short: "Retire a certificate authority: no certificate under it is accepted any more",
		Long: `Retires a certificate authority of an organisation, named by the SHA-256 that ltl org show prints.
Connections that use a certificate under it are closed. An organisation's last authority cannot be retired.`,
		Example: `  ltl org retire-ca org2 9f2b… --dir ltl-data`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			hash, err := hex.DecodeString(args[1])
			if err != nil || len(hash) == 0 {
				return fmt.Errorf("%q is no fingerprint; `ltl org show %s` prints those of its authorities", args[1], args[0])
			}
			return changeOrganisation(cmd, args[0], func(*session) (*ltlv1.ModifyOrganisation, error) {
				return &ltlv1.ModifyOrganisation{RetireAuthority: hash}, nil
			})
		},
	}
}

func newOrgRemove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove ORGANISATION",
		Short: "Propose to remove an organisation from the network, for good",
		Long: `Removes an organisation with its nodes, when enough of the others approve: the change is proposed, and approved for
the organisation of the operator who runs this command. The organisation counts in the number and has no vote. Its
endorser, operators, facades and clients are refused from then on, and its accounts can neither write nor read. Other
chains go on without it; chains that its accounts administer can only be read, and no other account administers them. What
it signed stays on the chains and valid. Its id and key are never given to another organisation.`,
		Example: `  ltl org remove org4 --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			leaves := func(n *ltlv1.Node) bool { return n.GetOrganisation() == args[0] }
			if err := s.keepsQuorum(leaves); err != nil {
				return err
			}
			d, err := s.decide(&ltlv1.Transaction{
				Action: &ltlv1.Transaction_RemoveOrganisation{RemoveOrganisation: &ltlv1.RemoveOrganisation{Id: args[0]}},
			}, orgChangeAdvice(args[0]))
			if err != nil || !d.made {
				return err
			}
			if _, err := s.refreshTrust("the organisation was removed"); err != nil {
				return err
			}
			return emitSentence(s.cmd, map[string]string{"id": args[0]},
				"organisation %s is removed; its nodes stop by themselves, its endorser may be stopped", args[0])
		}),
	}
	addWait(cmd)
	addForce(cmd)
	return cmd
}
