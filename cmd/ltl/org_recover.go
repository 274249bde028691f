package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Options of the commands about recovery.
const (
	flagRecoveryKey = "recovery-key"
	flagOut         = "out"
	flagFrom        = "from"
	flagEndorserDir = "endorser-dir"
)

// newOrgRecoveryKey makes `ltl org recovery-key`. It needs no network: the key is best made on a machine that has none.
func newOrgRecoveryKey() *cobra.Command {
	return &cobra.Command{
		Use:   "recovery-key FILE",
		Short: "Make an organisation's recovery key, without a network",
		Long: `Makes a recovery key in FILE, which only its owner can read, and prints the public part. Run it on a machine
without a network if you can. Record the public part with ltl org modify --recovery-key, then take FILE off the
machine and keep it where neither an operator nor an endorser can be robbed of it: who holds it can give the
organisation another endorser key and another certificate authority (ltl org recover), and the ledger accepts no other
way to replace it.`,
		Example: `  ltl org recovery-key /media/stick/org2-recovery.key
  ltl org modify org2 --recovery-key 3b6a…29 --dir ltl-data`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			public, err := identity.CreateRecoveryKey(args[0])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "take %s off this machine once its public part is recorded with "+
				"`ltl org modify ORGANISATION --recovery-key`\n", args[0])
			text := hex.EncodeToString(public)
			return emitFields(cmd, map[string]string{"recoveryKey": text, "file": args[0]},
				field{"recovery key, public part", text}, field{"file", args[0]})
		},
	}
}

// newRecoveryKey is the change to another recovery key, given as its public part. former is the file of the present
// one; empty for the first.
func (s *session) newRecoveryKey(organisation, public, former string) (*ltlv1.ModifyOrganisation, error) {
	fresh, err := hex.DecodeString(public)
	if err != nil || !ledger.ValidKey(fresh) {
		return nil, fmt.Errorf("%q is no public part of a recovery key; `ltl org recovery-key FILE` makes a key and "+
			"prints it", public)
	}
	m := &ltlv1.ModifyOrganisation{RecoveryKey: fresh}
	if former == "" {
		return m, nil
	}
	key, err := identity.LoadKey(former)
	if err != nil {
		return nil, err
	}
	_, facts, err := s.organisation(organisation)
	if err != nil {
		return nil, err
	}
	m.RecoverySignature = ledger.SignNewRecoveryKey(key, s.trust.NetworkID(), organisation, facts.GetRecoveries()+1, fresh)
	return m, nil
}

// organisation reads one organisation.
func (s *session) organisation(id string) (*ltlv1.Organisation, *ltlv1.OrganisationFacts, error) {
	res, err := s.client.Ledger().GetNetwork(s.cmd.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		return nil, nil, err
	}
	i := slices.IndexFunc(res.GetOrganisations(), func(o *ltlv1.Organisation) bool { return o.GetId() == id })
	if i < 0 {
		return nil, nil, fmt.Errorf("there is no organisation %q; `ltl org list` lists the existing ones", id)
	}
	if i >= len(res.GetFacts()) {
		return nil, nil, errors.New("the node that answered runs an older program; start the present one on all nodes")
	}
	return res.GetOrganisations()[i], res.GetFacts()[i], nil
}

// recovery is what `ltl org recover` is asked for.
type recovery struct {
	organisation, recoveryKey, endorserDir, authority string
	retire                                            bool
	// out and from are the files of a recovery that is signed on another machine.
	out, from string
}

// newOrgRecover makes `ltl org recover`.
func newOrgRecover() *cobra.Command {
	r := &recovery{}
	cmd := &cobra.Command{
		Use:   "recover ORGANISATION",
		Short: "Give an organisation that lost its keys others, with its recovery key",
		Long: `Gives an organisation another endorser key, another certificate authority, or both, by the signature of its
recovery key. It takes effect at once: what the former endorser key signed stops counting. The organisation's own
endorser is not asked, so an operator of any organisation can run it. With --endorser-dir a new signing key is made in
the endorser's directory, before the ledger names it; with --new-ca a new certificate authority is made in that
directory and added; --retire retires all others, and then every certificate of the organisation has to be renewed
under the new one with ltl pki renew.

Keep the recovery key off every machine with a network: --out writes what is to be signed to a file, ltl org
sign-recovery signs it on the machine with the key, and --from sends what was signed. With --recovery-key all of that is
done here; the recovery key stays valid, take its file off the machine again.`,
		Example: `  ltl org recover org2 --endorser-dir orgs/org2/endorser --out request.json --dir ltl-data
  ltl org recover org2 --from signed.json --dir ltl-data
  ltl org recover org2 --recovery-key /media/stick/org2-recovery.key --endorser-dir orgs/org2/endorser --dir ltl-data`,
		Args: cobra.ExactArgs(1),
		RunE: online(func(s *session, args []string) error {
			r.organisation = args[0]
			switch {
			case r.from != "":
				return s.sendRecovery(r.organisation, r.from)
			case r.out != "":
				return s.writeRecovery(r)
			}
			return s.recover(r)
		}),
	}
	f := cmd.Flags()
	f.StringVar(&r.recoveryKey, flagRecoveryKey, "", "file of the recovery key, to sign here")
	f.StringVar(&r.out, flagOut, "", "file to write what the recovery key is to sign")
	f.StringVar(&r.from, flagFrom, "", "file that ltl org sign-recovery wrote; it is sent")
	f.StringVar(&r.endorserDir, flagEndorserDir, "", "directory of the endorser, to make a new signing key in")
	f.StringVar(&r.authority, "new-ca", "", "directory to make a new certificate authority in")
	f.BoolVar(&r.retire, "retire", false, "retire all other certificate authorities of the organisation; needs --new-ca")
	cmd.MarkFlagsMutuallyExclusive(flagRecoveryKey, flagOut, flagFrom)
	cmd.MarkFlagsOneRequired(flagRecoveryKey, flagOut, flagFrom)
	for _, made := range []string{flagEndorserDir, "new-ca", "retire"} {
		cmd.MarkFlagsMutuallyExclusive(flagFrom, made)
	}
	return cmd
}

func (s *session) recover(r *recovery) error {
	key, err := identity.LoadKey(r.recoveryKey)
	if err != nil {
		return err
	}
	request, err := s.prepareRecovery(r)
	if err != nil {
		return err
	}
	request.Sign(key)
	return s.submitRecovery(request)
}

// submitRecovery sends a signed recovery and prints the organisation after it.
func (s *session) submitRecovery(r *identity.RecoveryRequest) error {
	if _, err := s.submitToSystem(r.Transaction(), advice{rules.NotFound: adviceNoOrg}); err != nil {
		return err
	}
	return s.showListed(r.Organisation, "the organisation was recovered")
}

// prepareRecovery makes what the recovery key has to sign, and the new endorser key.
func (s *session) prepareRecovery(r *recovery) (*identity.RecoveryRequest, error) {
	if r.endorserDir == "" && r.authority == "" {
		return nil, errors.New("nothing to recover; give --endorser-dir for a new signing key, or --new-ca for a new authority")
	}
	if r.retire && r.authority == "" {
		return nil, errors.New("--retire would leave the organisation without an authority; give --new-ca too")
	}
	o, facts, err := s.organisation(r.organisation)
	if err != nil {
		return nil, err
	}
	network := s.trust.NetworkID()
	request := &identity.RecoveryRequest{
		NetworkID: network[:], Organisation: r.organisation, Number: facts.GetRecoveries() + 1, RetireAuthorities: r.retire,
	}
	if r.authority != "" {
		if request.Authority, err = identity.CreateAuthority(r.authority, r.organisation, time.Now()); err != nil {
			return nil, err
		}
		if request.AuthorityPossession, err = identity.SignAuthority(r.authority, network, r.organisation); err != nil {
			return nil, err
		}
		fmt.Fprintf(s.cmd.ErrOrStderr(), "the new authority is in %s\n", r.authority)
	}
	if r.endorserDir != "" {
		if _, err := os.Stat(filepath.Join(r.endorserDir, "tls.pem")); err != nil {
			return nil, fmt.Errorf("%s is not an endorser's directory; make one with `ltl pki issue`: %w", r.endorserDir, err)
		}
		fresh, err := identity.CreateSignKey(r.endorserDir)
		if err != nil {
			return nil, err
		}
		request.EndorserKey = fresh.Public().(ed25519.PublicKey)
		request.Possession = ledger.SignNewKey(fresh, network, r.organisation, ledger.KeyID(o.GetEndorserKey()))
	}
	return request, nil
}
