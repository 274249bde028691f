package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

func newNetwork() *cobra.Command {
	cmd := &cobra.Command{Use: "network", Short: "Change what the organisations of the network decide together"}
	addConnection(cmd)
	cmd.AddCommand(newNetworkModify(), newNetworkRecordRestoration(), newCorrectTime(), newNetworkSucceed())
	return cmd
}

func newNetworkModify() *cobra.Command {
	var policy string
	cmd := &cobra.Command{
		Use:   "modify",
		Short: "Propose how many organisations decide for the network",
		Long: `Changes the policy of the system chain, which says how many organisations decide for the network: majority, all,
or N-of. It is proposed, and as many must approve as the present policy or the new one asks for, whichever is more. More
than half of the organisations always decide, and never more than all but one where that is more than half.`,
		Example: `  ltl network modify --policy 3-of --dir ltl-data`,
		Args:    cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			if policy == "" {
				return errors.New("nothing to change; give --policy")
			}
			former, err := s.networkPolicy()
			if err != nil {
				return err
			}
			d, err := s.decide(&ltlv1.Transaction{Action: &ltlv1.Transaction_ModifyNetwork{
				ModifyNetwork: &ltlv1.ModifyNetwork{Policy: policy, Former: former},
			}}, advice{rules.OutOfRange: "--policy is majority, all or N-of, as 3-of"})
			if err != nil || !d.made {
				return err
			}
			return emitSentence(s.cmd, map[string]any{"policy": policy, "blockHeight": d.height},
				"the policy of the network is %q", policy)
		}),
	}
	cmd.Flags().StringVar(&policy, "policy", "", "majority, all or N-of")
	addWait(cmd)
	return cmd
}

func newCorrectTime() *cobra.Command {
	var to timeFlag
	cmd := &cobra.Command{
		Use:   "correct-time",
		Short: "Propose to set the network's time back, after all clocks were wrong together",
		Long: `Sets the network's time, and that of every chain, back to the time of the clocks. It is for a network whose clocks
were all ahead together and are right again: until its time is set back nothing else can be written, because the
endorsements of right clocks count as expired. It is proposed, and a majority of the organisations must approve within
the time of a proposal. Set the clocks of all endorsers right first; --to is the present time unless it is given, and at
most ten minutes before it. Blocks that were dated ahead keep their times.`,
		Example: `  ltl network correct-time --dir ltl-data`,
		Args:    cobra.NoArgs,
		RunE: online(func(s *session, _ []string) error {
			if to.IsZero() {
				to.Time = time.Now()
			}
			d, err := s.decide(&ltlv1.Transaction{Action: &ltlv1.Transaction_CorrectTime{
				CorrectTime: &ltlv1.CorrectTime{ToMs: to.UnixMilli()},
			}}, advice{
				rules.Conflict: "the network's time is not after --to; `ltl status` says how far it is ahead. Or such a proposal " +
					"is open: `ltl proposals` lists it",
				rules.OutOfRange: "--to is within ten minutes before the clocks of the endorsers and a minute after them; set the " +
					"clocks right first, or leave --to out",
			})
			if err != nil || !d.made {
				return err
			}
			return emitSentence(s.cmd, map[string]any{"to": to.UTC(), "blockHeight": d.height},
				"the network's time is set back to %s", formatTime(to.Time))
		}),
	}
	cmd.Flags().Var(&to, "to", "the time to set it to, RFC 3339 (default now)")
	addWait(cmd)
	return cmd
}

// networkPolicy reads the policy of the system chain.
func (s *session) networkPolicy() (string, error) {
	res, err := s.client.Ledger().GetNetwork(s.cmd.Context(), &ltlv1.GetNetworkRequest{})
	if err != nil {
		return "", err
	}
	for _, c := range res.GetChains() {
		if c.GetChainId() == ledger.SystemChain {
			return c.GetChain().GetPolicy(), nil
		}
	}
	return "", errors.New("the answering node names no system chain; audit it with `ltl audit`")
}
