package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// rulesRow is a process as `ltl rules` prints it. Its JSON names are stable.
type rulesRow struct {
	Process string `json:"process"`
	// InForce is the version under which the process executes its next block, Known the newest that its program knows; 0
	// without an answer.
	InForce uint32 `json:"inForce"`
	Known   uint32 `json:"known"`
	Fault   string `json:"fault,omitempty"`
}

func newRules() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Show which version of the rules is in force, and put the next one in force",
		Long: `A program knows versions of the rules: which transactions exist and what they do. The ledger says which
version is in force. A newer program runs under the older rules until the next version is activated;
docs/operate/upgrade.md describes the upgrade of a network.`,
		Args: cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			return emitRows(s.cmd, s.rulesOfAll(s.cmd.Context()), "PROCESS|IN FORCE|KNOWN|FAULT", func(r rulesRow) []any {
				return []any{r.Process, r.InForce, r.Known, r.Fault}
			})
		}),
	}
	addConnection(cmd)
	cmd.AddCommand(newRulesActivate())
	return cmd
}

// newRulesActivate makes `ltl rules activate`. The check of the processes is a courtesy of this command: the ledger
// itself cannot know which programs run.
func newRulesActivate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "activate VERSION",
		Short: "Propose to put the next version of the rules in force, when every node and endorser knows it",
		Long: `Asks every node and endorser, and refuses while one does not answer or runs a program that does not know
the version, because that process would stop. Then it proposes the activation, and approves it for the organisation of
the operator who runs this command; a majority of the organisations must approve. The activation cannot be undone. A
process with an older program does not start on the ledger any more.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			version, err := strconv.ParseUint(args[0], 10, 32)
			if err != nil {
				return fmt.Errorf("%q is no version of the rules: give a whole number, as `ltl version` shows one", args[0])
			}
			return withSession(cmd, func(s *session) error {
				if err := allKnow(s.rulesOfAll(s.cmd.Context()), uint32(version)); err != nil {
					return err
				}
				d, err := s.decide(activation(uint32(version)), nil)
				if err != nil || !d.made {
					return err
				}
				return emitSentence(cmd, map[string]uint64{"version": version, "blockHeight": d.height},
					"version %d of the rules is in force", version)
			})
		},
	}
	addConnection(cmd)
	addWait(cmd)
	return cmd
}

// activation is the transaction that puts a version of the rules in force.
func activation(version uint32) *ltlv1.Transaction {
	return &ltlv1.Transaction{
		ChainId: ledger.SystemChain,
		Action:  &ltlv1.Transaction_ActivateRules{ActivateRules: &ltlv1.ActivateRules{Version: version}},
	}
}

// rulesOfAll asks every node and endorser which rules it follows and knows.
func (s *session) rulesOfAll(ctx context.Context) []rulesRow {
	answers := s.askAll(ctx)
	rows := make([]rulesRow, len(answers))
	for i, a := range answers {
		rows[i].Process = a.peer
		if a.err != nil {
			rows[i].Fault = a.err.Error()
			continue
		}
		// A program from before the status named versions knows the first one.
		rows[i].InForce, rows[i].Known, rows[i].Fault = max(1, a.status.GetRulesInForce()), max(1,
			a.status.GetRulesKnown()), a.status.GetFault()
	}
	return rows
}

// allKnow returns an error that names the processes that the activation of a version would stop, and those that do not
// answer.
func allKnow(rows []rulesRow, version uint32) error {
	var old []error
	for _, r := range rows {
		switch {
		case r.Known == 0:
			old = append(old, fmt.Errorf("%s does not answer, start it or remove it from the network (%s)", r.Process, r.Fault))
		case r.Known < version:
			old = append(old, fmt.Errorf("%s runs a program that knows the rules up to version %d, replace the program",
				r.Process, r.Known))
		}
	}
	if len(old) > 0 {
		return fmt.Errorf("version %d of the rules is not put in force: every node and endorser has to answer and to "+
			"know it first: %w",
			version, errors.Join(old...))
	}
	if version > rules.Version {
		return fmt.Errorf("this program knows the rules up to version %d; use the newer program for this, too", rules.Version)
	}
	return nil
}
