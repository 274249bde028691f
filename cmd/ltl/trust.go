package main

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/audit"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// trustResult is what `ltl trust update` prints.
type trustResult struct {
	Trust  string `json:"trust"`
	Height uint64 `json:"height"`
}

func newTrust() *cobra.Command {
	cmd := &cobra.Command{Use: "trust", Short: "Show the trust file, and keep it up to date"}
	addConnection(cmd)
	cmd.AddCommand(newTrustShow(), newTrustUpdate())
	return cmd
}

// trustRow is what `ltl trust show` prints. Its JSON names are stable.
type trustRow struct {
	Network       string   `json:"network"`
	NetworkID     string   `json:"networkId"`
	Created       string   `json:"created"`
	Organisations []string `json:"organisations"`
	Nodes         []string `json:"nodes"`
	// Continues is what the genesis says of the network that this one continues; absent for nearly all networks.
	Continues *audit.Continues `json:"continues,omitempty"`
	// Checked is what a comparison with a copy of that network's ledger found.
	Checked *audit.Link `json:"checked,omitempty"`
}

func newTrustShow() *cobra.Command {
	var copied, oldTrust string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print whose network a trust file is, and which network it continues",
		Long: `Prints the network's name and id, and the organisations and nodes of its genesis. No process is asked. Where the
network continues another one, it prints which one, after which block, and who signed that. With --predecessor, a copy of
the old network's ledger, and --predecessor-trust it also executes that copy again and compares: whether the blocks are
those, whether the signatures are by keys that the organisations had there, and which organisations did not sign.`,
		Example: `  ltl trust show --trust next/trust.json --predecessor backup --predecessor-trust trust.json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			con, err := trustOf(cmd)
			if err != nil {
				return err
			}
			if (copied == "") != (oldTrust == "") {
				return errors.New("give --predecessor and --predecessor-trust, or neither: the copy is checked under its own trust file")
			}
			g, id := con.trust.Genesis(), con.trust.NetworkID()
			row := trustRow{Network: g.GetNetwork(), NetworkID: hex.EncodeToString(id[:]),
				Created: formatTime(time.UnixMilli(g.GetCreatedMs())), Continues: audit.ContinuesOf(g)}
			for _, o := range g.GetOrganisations() {
				row.Organisations = append(row.Organisations, o.GetId())
			}
			for _, n := range g.GetNodes() {
				row.Nodes = append(row.Nodes, n.GetId())
			}
			if copied != "" {
				old, err := identity.LoadTrust(oldTrust)
				if err != nil {
					return err
				}
				if row.Checked, err = audit.Succession(cmd.Context(), copied, old, g); err != nil {
					return err
				}
			}
			return showTrust(cmd, &row)
		},
	}
	cmd.Flags().StringVar(&copied, "predecessor", "",
		"copy of the old network's ledger: a backup, or the directory of a stopped endorser or node")
	cmd.Flags().StringVar(&oldTrust, "predecessor-trust", "", "trust file of the old network")
	return cmd
}

func showTrust(cmd *cobra.Command, row *trustRow) error {
	fields := []field{{"network", row.Network}, {"network id", row.NetworkID}, {"since", row.Created},
		{"organisations", strings.Join(row.Organisations, ", ")}, {"nodes", strings.Join(row.Nodes, ", ")}}
	switch {
	case row.Checked != nil:
		fields = append(fields, linkFields(row.Checked)...)
		for _, s := range row.Checked.Signed {
			fields = append(fields, field{"signed by", s.Organisation, "with its " + s.Kind + " of the old network"})
		}
		fields = append(fields, field{"compared", "the old ledger has these blocks, and these organisations had these keys"})
	case row.Continues != nil:
		c := row.Continues
		fields = append(fields, field{"continues network", c.NetworkID}, field{"after its block number", c.Blocks},
			field{"with the hash", c.BlockHash}, field{"heads hash", c.Heads})
		for _, s := range c.Signed {
			fields = append(fields, field{"signed by", s.Organisation, "with the key " + s.FormerKey})
		}
		fields = append(fields, field{"not compared", "give --predecessor, a copy of the old ledger, and --predecessor-trust"})
	}
	return emitFields(cmd, row, fields...)
}

func newTrustUpdate() *cobra.Command {
	return &cobra.Command{
		Use:   "update",
		Short: "Write what the ledger says of organisations, authorities and revoked certificates to the trust file",
		Long: `Adds to the trust file, in addition to the genesis, what the system chain says of organisations, their certificate
authorities and addresses, and of revoked certificates. A process uses this from its start until it has read the
ledger itself. A file that is out of date keeps a process from starting after its own organisation's authority was
replaced, and from reaching a network in which all authorities were replaced. The genesis and the network's id stay
as they are. The data come from one node: run this only where you trust its answer, and protect the file on its way
like the first one.`,
		Args: cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			if _, err := s.organisations(); err != nil {
				return err
			}
			keys, err := s.client.Ledger().GetKeys(s.cmd.Context(), &ltlv1.GetKeysRequest{})
			if err != nil {
				return err
			}
			s.trust.LearnKeys(keys)
			if err := identity.SaveTrust(s.trustPath, s.trust); err != nil {
				return err
			}
			result := trustResult{Trust: s.trustPath, Height: s.trust.Height()}
			return emitSentence(s.cmd, result, "%s holds the state at height %d of the system chain", result.Trust,
				result.Height)
		}),
	}
}
