package main

import (
	"github.com/spf13/cobra"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// newChainAdopt makes `ltl chain adopt`.
func newChainAdopt() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "adopt CHAIN UID",
		Short: "Propose another administrator for a chain whose owner is not of the network any more",
		Long: `Gives a chain that can only be read, because the organisation that owns it was removed, to another administrator,
an account that is not on the chain yet. It takes records again then. The change is proposed: a majority of the chain's
organisations, in which the former owner is counted and has no vote, and the organisation of the new administrator must
approve.`,
		Example: `  ltl chain adopt deliveries 535180792728945537 --dir ltl-data`,
		Args:    cobra.ExactArgs(2),
		RunE: online(func(s *session, args []string) error {
			row, err := s.chain(args[0])
			if err != nil {
				return err
			}
			d, err := s.decide(&ltlv1.Transaction{Action: &ltlv1.Transaction_AdoptChain{
				AdoptChain: &ltlv1.AdoptChain{ChainId: row.ChainID, AdministratorUid: args[1]},
			}}, advice{
				rules.NotFound:   "there is no account with this UID; `ltl account list` lists the existing ones",
				rules.OutOfRange: "a UID has 16 to 18 digits; `ltl account list` lists the existing ones",
			})
			if err != nil || !d.made {
				return err
			}
			return emitSentence(s.cmd, map[string]string{"bizChainId": row.ChainID, "administrator": args[1]},
				"chain %s has the administrator %s and takes records again", row.Name, args[1])
		}),
	}
	addWait(cmd)
	return cmd
}
