package main

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/ledger"
)

// newOrgSignRecovery makes `ltl org sign-recovery`. It needs no network and no trust file, since the machine with the
// recovery key has neither.
func newOrgSignRecovery() *cobra.Command {
	var key, out string
	cmd := &cobra.Command{
		Use:   "sign-recovery FILE",
		Short: "Sign, with an organisation's recovery key and without a network, what ltl org recover --out wrote",
		Long: `Signs what ltl org recover --out or ltl org modify --out wrote to FILE, with the recovery key, and writes it with
the signature to another file, which ltl org recover --from or ltl org modify --from sends. It prints what was signed:
compare it with what the machine of the endorser says, before the signed file leaves this machine. Who has a signed file
with a key of its own gets the organisation.`,
		Example: `  ltl org sign-recovery request.json --recovery-key org2-recovery.key --out signed.json`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := identity.LoadRecoveryRequest(args[0])
			if err != nil {
				return err
			}
			private, err := identity.LoadKey(key)
			if err != nil {
				return err
			}
			r.Sign(private)
			if err := r.Save(out); err != nil {
				return err
			}
			return showRequest(cmd, r, out)
		},
	}
	cmd.Flags().StringVar(&key, flagRecoveryKey, "", "file of the recovery key (required)")
	cmd.Flags().StringVar(&out, flagOut, "", "file to write what was signed (required)")
	mustRequire(cmd, flagRecoveryKey, flagOut)
	return cmd
}

// requestRow is a request to a recovery key as the commands print it. Its JSON names are stable.
type requestRow struct {
	File         string `json:"file"`
	NetworkID    string `json:"networkId"`
	Organisation string `json:"organisation"`
	Number       uint32 `json:"number"`
	EndorserKey  string `json:"endorserKey,omitempty"`
	// Authority is the SHA-256 of the new authority's certificate.
	Authority         string `json:"authority,omitempty"`
	RetireAuthorities bool   `json:"retireAuthorities"`
	RecoveryKey       string `json:"recoveryKey,omitempty"`
	Signed            bool   `json:"signed"`
}

// showRequest prints what a request, which is in a file, asks for.
func showRequest(cmd *cobra.Command, r *identity.RecoveryRequest, path string) error {
	row := requestRow{
		File: path, NetworkID: hex.EncodeToString(r.NetworkID), Organisation: r.Organisation, Number: r.Number,
		EndorserKey: hex.EncodeToString(r.EndorserKey), RetireAuthorities: r.RetireAuthorities,
		RecoveryKey: hex.EncodeToString(r.RecoveryKey), Signed: len(r.Signature) > 0,
	}
	fields := []field{{"file", path}, {"network id", row.NetworkID}, {"organisation", row.Organisation}, {"number", row.Number}}
	if len(r.Authority) > 0 {
		row.Authority = identity.Fingerprint(r.Authority)
		fields = append(fields, field{"new authority (SHA-256)", row.Authority}, field{"retires all others", row.RetireAuthorities})
	}
	if row.EndorserKey != "" {
		fields = append(fields, field{"new endorser key", row.EndorserKey})
	}
	if row.RecoveryKey != "" {
		fields = append(fields, field{"new recovery key", row.RecoveryKey})
	}
	return emitFields(cmd, row, append(fields, field{"signed", row.Signed})...)
}

// writeRecovery writes what the recovery key has to sign.
func (s *session) writeRecovery(r *recovery) error {
	request, err := s.prepareRecovery(r)
	if err != nil {
		return err
	}
	if err := request.Save(r.out); err != nil {
		return err
	}
	return showRequest(s.cmd, request, r.out)
}

// signedRequest reads a signed request for an organisation of this network.
func (s *session) signedRequest(organisation, path string) (*identity.RecoveryRequest, error) {
	r, err := identity.LoadRecoveryRequest(path)
	if err != nil {
		return nil, err
	}
	network := s.trust.NetworkID()
	switch {
	case len(r.Signature) == 0:
		return nil, fmt.Errorf("%s is not signed; sign it where the recovery key is, with `ltl org sign-recovery`", path)
	case ledger.Hash(r.NetworkID) != network:
		return nil, fmt.Errorf("%s is for the network %x, and this is %x", path, r.NetworkID, network)
	case r.Organisation != organisation:
		return nil, fmt.Errorf("%s is for organisation %s, not for %s", path, r.Organisation, organisation)
	}
	return r, nil
}

// sendRecovery sends a recovery that was signed elsewhere.
func (s *session) sendRecovery(organisation, path string) error {
	r, err := s.signedRequest(organisation, path)
	if err != nil {
		return err
	}
	if len(r.RecoveryKey) > 0 {
		return fmt.Errorf("%s names another recovery key; an operator of the organisation sends it, with `ltl org modify "+
			"%s --from %s`", path, organisation, path)
	}
	return s.submitRecovery(r)
}

// recoveryKeyChange are the options of `ltl org modify` about the recovery key.
type recoveryKeyChange struct{ fresh, former, out, from string }

// change writes or sends a change of the recovery key that is signed elsewhere.
func (c *recoveryKeyChange) change(cmd *cobra.Command, organisation string) error {
	return withOperator(cmd, organisation, func(s *session) error {
		if c.from != "" {
			r, err := s.signedRequest(organisation, c.from)
			if err != nil {
				return err
			}
			if len(r.RecoveryKey) == 0 {
				return fmt.Errorf("%s is a recovery; send it with `ltl org recover %s --from %s`", c.from, organisation, c.from)
			}
			if _, err := s.submitToSystem(r.Transaction(), orgChangeAdvice(organisation)); err != nil {
				return err
			}
			return s.showListed(organisation, "the recovery key was changed")
		}
		if c.fresh == "" {
			return errors.New("--out writes a change of the recovery key; give --recovery-key")
		}
		m, err := s.newRecoveryKey(organisation, c.fresh, "")
		if err != nil {
			return err
		}
		_, facts, err := s.organisation(organisation)
		if err != nil {
			return err
		}
		network := s.trust.NetworkID()
		request := &identity.RecoveryRequest{NetworkID: network[:], Organisation: organisation,
			Number: facts.GetRecoveries() + 1, RecoveryKey: m.GetRecoveryKey()}
		if err := request.Save(c.out); err != nil {
			return err
		}
		return showRequest(cmd, request, c.out)
	})
}
