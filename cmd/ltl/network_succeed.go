package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/audit"
	"ltl/internal/identity"
	"ltl/internal/ledger"
)

const (
	flagStore      = "store"
	flagPKI        = "pki"
	flagConfirm    = "confirm"
	flagAcceptLoss = "accept-loss"
	// confirmDigits is how many digits of what is signed must be given.
	confirmDigits = 12
)

// newNetworkSucceed makes `ltl network succeed`.
func newNetworkSucceed() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "succeed",
		Short: "Go on in a new network when most organisations of this one are silent for good",
		Long: `Makes the genesis of a new network that names this one and the last block of it that is known, signed by every
organisation that continues. No process of the old network is asked, since a majority of it is silent. The old network, its
trust file and its certificates stay as they are. Accounts, chains and records are not carried over: the old ledger stays
readable, and the new one begins empty.

Each organisation that goes on describes itself (describe); one of them drafts the genesis from its copy of the old
ledger (draft); each compares the draft with its own copy and signs it (sign). The last signature makes the trust file.`,
	}
	cmd.AddCommand(newSucceedDescribe(), newSucceedDraft(), newSucceedSign())
	return cmd
}

func newSucceedDescribe() *cobra.Command {
	spec := identity.ContinuingSpec{}
	var dir string
	var nodes []string
	cmd := &cobra.Command{
		Use:   "describe ORGANISATION",
		Short: "Make new keys of an organisation that goes on, and describe it and its nodes",
		Long: `Makes a certificate authority, the keys of an endorser, of nodes, of an operator and of facades in --pki, and
describes the organisation in continuing.json there, which holds no secret: hand it to who drafts the genesis. All keys
are new, since the new network does not know what was revoked in the old one. ORGANISATION is its id in the old network.`,
		Example: `  ltl network succeed describe org4 --name "Fourth Ltd" --endorser endorser4.example:7101 \
    --node node4,node4.example:7000 --pki next`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec.ID, spec.Created = args[0], time.Now()
			for _, n := range nodes {
				id, address, ok := strings.Cut(n, ",")
				if !ok {
					return fmt.Errorf(`--node %q is not "ID,HOST:PORT", as in "node4,node4.example:7000"`, n)
				}
				spec.Nodes = append(spec.Nodes, identity.NodeSpec{ID: id, Address: address})
			}
			if _, err := identity.CreateContinuing(dir, &spec); err != nil {
				return err
			}
			path := filepath.Join(dir, identity.ContinuingFile)
			return emitFields(cmd, map[string]string{"keys": dir, "file": path}, field{"keys", dir},
				field{"for `ltl network succeed draft`", path})
		},
	}
	f := cmd.Flags()
	f.StringVar(&dir, flagPKI, "", "directory to make the keys in (required)")
	f.StringVar(&spec.Name, "name", "", "the name that people read, in endorsementNames too (required)")
	f.StringVar(&spec.EndorserAddress, "endorser", "", "HOST:PORT of its endorser (required)")
	f.StringArrayVar(&nodes, "node", nil, `node as "ID,HOST:PORT"; once each`)
	f.StringSliceVar(&spec.Facades, "facades", []string{"facade1"}, "names of its facades")
	mustRequire(cmd, flagPKI, "name", "endorser")
	return cmd
}

func newSucceedDraft() *cobra.Command {
	var network, copied, out string
	var from []string
	cmd := &cobra.Command{
		Use:   "draft",
		Short: "Make the genesis of the new network, for all to sign",
		Long: `Audits a copy of the old ledger, and writes a genesis that continues after its last block, with the organisations
whose descriptions are given. Draft from the copy with the most blocks: what it lacks is not continued.`,
		Example: `  ltl network succeed draft --network example-2 --store endorsers/org4 --trust trust.json \
    --from org4/continuing.json --from org5/continuing.json --out genesis.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			old, err := oldTrust(cmd)
			if err != nil {
				return err
			}
			if network == old.Genesis().GetNetwork() {
				return errors.New("--network is the name of the old network; give the new one a name of its own, so that people can tell " +
					"them apart")
			}
			var all []*identity.Continuing
			for _, path := range from {
				c, err := identity.LoadContinuing(path)
				if err != nil {
					return err
				}
				all = append(all, c)
			}
			head, err := audit.ReadHead(cmd.Context(), copied, old)
			if err != nil {
				return err
			}
			draft, err := draftOf(head, network, all)
			if err != nil {
				return err
			}
			link, err := audit.Succession(cmd.Context(), copied, old, draft.Genesis())
			if err != nil {
				return err
			}
			if err := draft.Save(out); err != nil {
				return err
			}
			return showSuccession(cmd, draft, link, out)
		},
	}
	f := cmd.Flags()
	f.StringVar(&network, "network", "", "name of the new network, which is not that of the old one (required)")
	f.StringVar(&copied, flagStore, "", "the copy of the old ledger: a backup, or the directory of a stopped endorser or node (required)")
	f.StringArrayVar(&from, flagFrom, nil, "continuing.json of an organisation that goes on; once each (required)")
	f.StringVar(&out, flagOut, "", "file to write the genesis to (required)")
	mustRequire(cmd, "network", flagStore, flagFrom, flagOut)
	return cmd
}

func draftOf(head *audit.Head, network string, all []*identity.Continuing) (*identity.Succession, error) {
	now := time.Now()
	if now.Before(head.Time) {
		return nil, fmt.Errorf("the old ledger's last block is dated %s, and the clock of this machine shows %s: set the clock first, "+
			"because the new network's time begins with it", formatTime(head.Time), formatTime(now))
	}
	p, err := head.Predecessor()
	if err != nil {
		return nil, err
	}
	return identity.NewSuccession(network, now, p, all)
}

// oldTrust reads the trust file of the old network, of which no process is asked.
func oldTrust(cmd *cobra.Command) (*identity.Trust, error) {
	path, err := trustPathOf(cmd)
	if err != nil {
		return nil, err
	}
	return identity.LoadTrust(path)
}

func newSucceedSign() *cobra.Command {
	var copied, pki, recovery, confirm string
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:   "sign GENESIS",
		Short: "Compare the genesis of the new network with the own copy of the old ledger, and sign it",
		Long: `Audits the organisation's own copy of the old ledger, compares the genesis with it and with the description in
--pki, shows what it says, and adds the signature to GENESIS. It signs with the organisation's endorser key of the old
network, in the endorser's directory --identity, or with its recovery key. Give the first 12 or more digits of what is
shown as "to confirm" with --confirm, after you have compared them with the other organisations. When all have signed,
the trust file of the new network is written to --pki.`,
		Example: `  ltl network succeed sign genesis.json --store endorsers/org5 --trust trust.json --identity pki/orgs/org5/endorser \
    --pki next --confirm 5f0c54a1b2c3`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, link, err := compareSuccession(cmd, args[0], copied)
			if err != nil {
				return err
			}
			own, err := identity.LoadContinuing(filepath.Join(pki, identity.ContinuingFile))
			if err != nil {
				return err
			}
			if err := mayContinue(s, link, own, acceptLoss); err != nil {
				return err
			}
			key, err := formerKey(cmd, own.Organisation.GetId(), recovery, link)
			if err != nil {
				return err
			}
			if err := confirmed(cmd, s, link, args[0], confirm); err != nil {
				return err
			}
			return signSuccession(cmd, s, link, own, key, args[0], pki)
		},
	}
	f := cmd.Flags()
	f.StringVar(&copied, flagStore, "",
		"the organisation's own copy of the old ledger: a backup, or the directory of a stopped endorser or node (required)")
	f.StringVar(&pki, flagPKI, "", "directory with the organisation's new keys, which ltl network succeed describe made (required)")
	f.StringVar(&recovery, flagRecoveryKey, "", "file of the organisation's recovery key, in the place of --identity")
	f.StringVar(&confirm, flagConfirm, "", "the first 12 or more digits of what is signed")
	f.BoolVar(&acceptLoss, flagAcceptLoss, false, "sign although the own copy has more blocks: the new network does not continue them")
	mustRequire(cmd, flagStore, flagPKI)
	return cmd
}

// compareSuccession reads a genesis and compares it with a copy of the old ledger.
func compareSuccession(cmd *cobra.Command, path, copied string) (*identity.Succession, *audit.Link, error) {
	old, err := oldTrust(cmd)
	if err != nil {
		return nil, nil, err
	}
	s, err := identity.LoadSuccession(path)
	if err != nil {
		return nil, nil, err
	}
	link, err := audit.Succession(cmd.Context(), copied, old, s.Genesis())
	return s, link, err
}

// mayContinue refuses a genesis that describes the organisation otherwise, or continues less than the own copy has.
func mayContinue(s *identity.Succession, link *audit.Link, own *identity.Continuing, acceptLoss bool) error {
	if !s.Matches(own) {
		return fmt.Errorf("the genesis does not have %s with the keys, nodes and addresses of its %s; have it drafted with that "+
			"file", own.Organisation.GetId(), identity.ContinuingFile)
	}
	if link.Beyond > 0 && !acceptLoss {
		return fmt.Errorf("the own copy has %d blocks after the %d that the new network continues; have it drafted from this copy, "+
			"or leave them behind with --%s", link.Beyond, link.Blocks, flagAcceptLoss)
	}
	return nil
}

// formerKey finds the key of the old network with which the organisation signs.
func formerKey(cmd *cobra.Command, organisation, recovery string, link *audit.Link) (ed25519.PrivateKey, error) {
	if recovery != "" {
		key, err := identity.LoadKey(recovery)
		if err != nil {
			return nil, err
		}
		if publicOf(key) != link.Recovery[organisation] {
			return nil, fmt.Errorf("%s is not the recovery key that the old ledger has for %s; give that one, or --identity", recovery,
				organisation)
		}
		return key, nil
	}
	dir, _ := cmd.Flags().GetString(flagIdentity)
	if dir == "" {
		return nil, fmt.Errorf("with which key? give --%s with the directory of the old endorser's keys, or --%s", flagIdentity,
			flagRecoveryKey)
	}
	keys, err := identity.SignKeysIn(dir)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if publicOf(key) == link.Keys[organisation] {
			return key, nil
		}
	}
	return nil, fmt.Errorf("%s has no key that the old ledger has for %s at its last block; give the directory of its endorser's keys, "+
		"or its recovery key with --%s", dir, organisation, flagRecoveryKey)
}

func publicOf(key ed25519.PrivateKey) string {
	return hex.EncodeToString(key.Public().(ed25519.PublicKey))
}

// confirmed shows the genesis and returns an error unless the digits of it were given.
func confirmed(cmd *cobra.Command, s *identity.Succession, link *audit.Link, path, confirm string) error {
	id, err := s.ID()
	if err != nil {
		return err
	}
	if len(confirm) >= confirmDigits && strings.HasPrefix(id, confirm) {
		return nil
	}
	if err := showSuccession(cmd, s, link, path); err != nil {
		return err
	}
	return fmt.Errorf("nothing was signed; compare this with the other organisations that go on, and repeat it with --%s %s",
		flagConfirm, id[:confirmDigits])
}

// signSuccession adds the signature, and writes the trust file once all have signed.
func signSuccession(cmd *cobra.Command, s *identity.Succession, link *audit.Link, own *identity.Continuing,
	key ed25519.PrivateKey, path, pki string) error {
	if err := s.Sign(own.Organisation.GetId(), key); err != nil {
		return err
	}
	if len(s.Unsigned()) == 0 {
		trust, err := s.Trust()
		if err != nil {
			return err
		}
		if err := identity.SaveTrust(filepath.Join(pki, "trust.json"), trust); err != nil {
			return err
		}
	}
	if err := s.Save(path); err != nil {
		return err
	}
	return showSuccession(cmd, s, link, path)
}

// successionRow is the genesis of a successor as the commands print it. Its JSON names are stable.
type successionRow struct {
	File     string      `json:"file"`
	Network  string      `json:"network"`
	Confirm  string      `json:"confirm"`
	Previous *audit.Link `json:"predecessor"`
	Signed   []string    `json:"signed"`
	Unsigned []string    `json:"unsigned"`
	// NetworkID is that of the new network; empty until all have signed.
	NetworkID string `json:"networkId,omitempty"`
}

// showSuccession prints a genesis and what the comparison with the old ledger found.
func showSuccession(cmd *cobra.Command, s *identity.Succession, link *audit.Link, path string) error {
	id, err := s.ID()
	if err != nil {
		return err
	}
	g := s.Genesis()
	row := successionRow{File: path, Network: g.GetNetwork(), Confirm: id, Previous: link, Signed: []string{}, Unsigned: s.Unsigned()}
	fields := []field{{"file", path}, {"new network", g.GetNetwork()}}
	for _, signed := range g.GetSuccessions() {
		row.Signed = append(row.Signed, signed.GetOrganisation())
	}
	if len(row.Unsigned) == 0 {
		trust, err := s.Trust()
		if err != nil {
			return err
		}
		id := trust.NetworkID()
		row.NetworkID, row.Unsigned = hex.EncodeToString(id[:]), []string{}
		fields = append(fields, field{"network id", row.NetworkID})
	}
	fields = append(fields, linkFields(link)...)
	for _, o := range g.GetOrganisations() {
		did := "has not signed"
		if slices.Contains(row.Signed, o.GetId()) {
			did = "has signed"
		}
		key := ledger.KeyID(o.GetEndorserKey())
		fields = append(fields, field{"goes on", o.GetId(), did, o.GetName(), o.GetEndorserAddress(), "new endorser key " +
			hex.EncodeToString(key[:])})
	}
	for _, n := range g.GetNodes() {
		fields = append(fields, field{"node", n.GetId(), n.GetOrganisation(), n.GetAddress()})
	}
	return emitFields(cmd, row, append(fields, field{"to confirm", id})...)
}

// linkFields says what a new network continues, and which organisations of the old one do not go on.
func linkFields(l *audit.Link) []field {
	fields := []field{
		{"continues network", l.NetworkID}, {"after its block number", l.Blocks}, {"with the hash", l.BlockHash},
		{"heads hash", l.Heads}, {"blocks of the copy after that", l.Beyond},
	}
	if len(l.NotContinuing) > 0 {
		fields = append(fields, field{"of the old network, but did not sign", strings.Join(l.NotContinuing, ", ")})
	}
	return fields
}
