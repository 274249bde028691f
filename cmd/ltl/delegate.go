package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// delegateResult is what `ltl org delegate` prints.
type delegateResult struct {
	Organisation string `json:"organisation"`
	// Delegates are all facades of other organisations that may now speak for its accounts.
	Delegates []string `json:"delegates"`
}

func newOrgDelegate() *cobra.Command {
	var organisation, key, export string
	var none bool
	cmd := &cobra.Command{
		Use:   "delegate [FACADE...]",
		Short: "Let facades of other organisations speak for an organisation's accounts",
		Long: `Records on the ledger which facades of other organisations may write in the name of the organisation's
accounts, in place of those named before: at most 8, each by its exact identity, organisation/facade/name. Its own
facades may do so anyway. Endorsers and nodes refuse every other facade with 1007.

A facade that may speak for an account can write whatever it likes in that account's name: delegate only to one that
you trust as your own. To open the AccessKeys of the accounts the facade needs the organisation's sealing keys: --export
writes them to a file that only the facade whose ltl pki transfer-key made the file of --facade-key can open, with ltl pki
import-sealing. A former delegate knew the secrets: to stop what it told others, make new AccessKeys. --none ends all delegations; what such a facade wrote before stays.`,
		Example: `  ltl org delegate org1/facade/facade1 --organisation org2 --dir ltl-data
  ltl org delegate org1/facade/facade1 --facade-key transfer.json --export org2-keys.json --trust trust.json --identity operator
  ltl org delegate --none --trust trust.json --identity operator`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if none == (len(args) > 0) {
				return errors.New("name the facades, or end all delegations with --none")
			}
			facades := slices.Compact(slices.Sorted(slices.Values(args)))
			if (key == "") != (export == "") {
				return errors.New("--export writes the sealing keys to the facade that --facade-key names; give both")
			}
			set := func(s *session) error {
				to, err := s.transferTo(key, facades)
				if err != nil {
					return err
				}
				return s.delegate(facades, to, export)
			}
			if organisation == "" {
				return withSession(cmd, set)
			}
			return withOperator(cmd, organisation, set)
		},
	}
	cmd.Flags().StringVar(&organisation, "organisation", "", "the organisation; by default that of the caller's certificate")
	cmd.Flags().StringVar(&key, "facade-key", "", "transfer.json of the facade that gets the sealing keys")
	cmd.Flags().StringVar(&export, "export", "", "file to write the sealing keys to, sealed to that facade")
	cmd.Flags().BoolVar(&none, "none", false, "no facade of another organisation may speak for its accounts any more")
	return cmd
}

// transferTo reads the key of the facade that gets the sealing keys, which must be one of those that are named; nil
// without one.
func (s *session) transferTo(path string, facades []string) (*identity.TransferKey, error) {
	if path == "" {
		return nil, nil
	}
	if _, err := s.organisations(); err != nil { // for certificates under newer authorities
		return nil, err
	}
	to, err := s.trust.ReadTransferKey(path)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(facades, to.Facade.String()) {
		return nil, fmt.Errorf("%s is the key of %s, which you do not name; only a facade that may speak for the accounts "+
			"gets the sealing keys", path, to.Facade)
	}
	return to, nil
}

// delegate names the facades that may speak for the accounts of the session's organisation, and exports the sealing keys
// to one of them if there is one.
func (s *session) delegate(facades []string, to *identity.TransferKey, export string) error {
	certificate, err := identity.ReadCertificate(s.identity)
	if err != nil {
		return err
	}
	own := certificate.Identity.Organisation
	_, err = s.submitToSystem(&ltlv1.Transaction{
		Action: &ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{Facades: facades}},
	}, advice{
		rules.Forbidden: adviceOperator,
		rules.NotFound:  adviceNoOrg,
		rules.OutOfRange: "at most 8 facades of other organisations, each as organisation/facade/name; an organisation's own " +
			"facades need no delegation",
	})
	if err != nil {
		return err
	}
	if to != nil {
		if err := identity.ExportSealingKeys(s.identity, own, s.trust.NetworkID(), to, export); err != nil {
			return fmt.Errorf("%s delegates to %s, but its sealing keys were not written; repeat it: %w", own,
				strings.Join(facades, ", "), err)
		}
		fmt.Fprintf(s.cmd.ErrOrStderr(), "the sealing keys for %s are in %s; `ltl pki import-sealing` takes them there\n",
			to.Facade, export)
	}
	result := delegateResult{Organisation: own, Delegates: append([]string{}, facades...)}
	if len(facades) == 0 {
		return emitSentence(s.cmd, result, "%s delegates to no facade of another organisation", own)
	}
	return emitSentence(s.cmd, result, "%s delegates to %s", own, strings.Join(facades, ", "))
}
