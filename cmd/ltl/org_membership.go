package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// newOrgAccept makes `ltl org accept`.
func newOrgAccept() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "accept ORGANISATION",
		Short: "Accept the network's invitation, as an operator of the invited organisation",
		Long: `Makes an organisation that ltl org add invited one of the network's: from then on it is counted, has a vote and
endorses. An operator of the organisation runs it, with the directory of its endorser, whose signing key signs the
acceptance. An invitation lapses 30 days after it was made; until it is accepted, the organisation's endorser and
operators may read the ledger and do nothing else.`,
		Example: `  ltl org accept org4 --dir ltl-data
  ltl org accept org4 --trust trust.json --identity operator --endorser-dir orgs/org4/endorser`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withOperator(cmd, args[0], func(s *session) error {
				if dir == "" {
					dir = filepath.Join(s.pki(), "orgs", args[0], "endorser")
				}
				return s.accept(args[0], dir)
			})
		},
	}
	cmd.Flags().StringVar(&dir, "endorser-dir", "",
		"directory with the endorser's certificate and sign.key; by default orgs/ORGANISATION/endorser next to the trust "+
			"file")
	return cmd
}

func (s *session) accept(id, dir string) error {
	o, facts, err := s.organisation(id)
	if err != nil {
		return err
	}
	key, err := s.endorserKey(dir, o.GetEndorserKey())
	if err != nil {
		return err
	}
	if _, err := s.submitToSystem(&ltlv1.Transaction{Action: &ltlv1.Transaction_AcceptMembership{
		AcceptMembership: &ltlv1.AcceptMembership{
			Id: id, Signature: ledger.SignAcceptance(key, s.trust.NetworkID(), id, facts.GetLapsesMs()),
		},
	}}, advice{rules.NotFound: adviceNoOrg}); err != nil {
		return err
	}
	return s.showListed(id, "the organisation accepted")
}

// endorserKey reads the signing key in an endorser's directory whose public part the ledger names.
func (s *session) endorserKey(dir string, public []byte) (ed25519.PrivateKey, error) {
	credentials, err := identity.LoadCredentials(dir, s.trust)
	if err != nil {
		return nil, fmt.Errorf("the endorser's directory is needed, see --endorser-dir: %w", err)
	}
	keys, err := credentials.SignKeys()
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if string(key.Public().(ed25519.PublicKey)) == string(public) {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s has no signing key that the ledger names for this organisation; see --endorser-dir", dir)
}

// newOrgLeave makes `ltl org leave`.
func newOrgLeave() *cobra.Command {
	return &cobra.Command{
		Use:   "leave ORGANISATION",
		Short: "Leave the network, for good, as an operator of the organisation",
		Long: `Ends an organisation's membership by its own decision. It is refused while the organisation has a node, owns a
chain whose term is not over, or is the only organisation of the network. Other chains go on without it, what it signed
stays valid, and its id and key are never given to another organisation.`,
		Example: `  ltl org leave org4 --dir ltl-data`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			err := withOperator(cmd, args[0], func(s *session) error {
				_, err := s.submitToSystem(&ltlv1.Transaction{
					Action: &ltlv1.Transaction_LeaveNetwork{LeaveNetwork: &ltlv1.LeaveNetwork{}},
				}, orgChangeAdvice(args[0]))
				return err
			})
			if errors.Is(err, client.ErrUnavailable) {
				err = hasLeft(cmd, args[0], err)
			}
			if err != nil {
				return err
			}
			return emitSentence(cmd, map[string]string{"id": args[0]},
				"organisation %s has left the network; its endorser may be stopped", args[0])
		},
	}
}

// hasLeft returns nil if an organisation has left, although its operator got no answer: nodes end the connections of one
// that has left, and that may be before the answer. With --dir another organisation's operator looks.
func hasLeft(cmd *cobra.Command, id string, lost error) error {
	var rows []orgRow
	err := withSession(cmd, func(s *session) (err error) {
		rows, err = s.organisations()
		return err
	})
	if err != nil || slices.ContainsFunc(rows, func(r orgRow) bool { return r.ID == id }) {
		return fmt.Errorf("organisation %s may have left, and then the network refuses its own operator; `ltl org list` by "+
			"another organisation's operator shows whether it is still there: %w", id, lost)
	}
	return nil
}
