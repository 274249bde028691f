package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	flagYes   = "yes"
	flagAllOf = "all-of"
	// copyWait is how long a vote waits for the own endorser's copy to hold the proposal.
	copyWait = 10 * time.Second
)

func newApprove() *cobra.Command {
	var yes bool
	var allOf string
	cmd := &cobra.Command{
		Use:   "approve ID",
		Short: "Approve a proposal for your organisation",
		Long: `Shows the change that is proposed, in words that the endorser of the operator's organisation makes of it in
its own copy of the ledger, and approves it. The approval that completes what the change needs also makes the change.

ID is the whole id. With --yes its first 12 or more digits are enough, if no other open proposal begins with them. A newer
version of the rules is not approved while a node or endorser runs that does not know it, as it would stop, and no voter
is taken away while too few of those that are left answer (--force). The record of a restoration that the nodes do not
report is not approved (--force). With --all-of the operators of several organisations approve, one after the other: those whose certificates are in
DIR/operator, DIR/operators/ORG and DIR/ORG/operator.`,
		Example: `  ltl approve 5f0c… --trust trust.json --identity operator
  ltl approve 5f0c54a1b2c3 --yes --all-of ltl-data/pki`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if allOf != "" {
				return approveWithAll(cmd, args[0], allOf, yes)
			}
			return withSession(cmd, func(s *session) error {
				row, err := s.shownProposal(args[0], yes)
				if err != nil {
					return err
				}
				if row, err = s.approve(row.ID); err != nil {
					return err
				}
				return errors.Join(row.show(cmd), row.closedError())
			})
		},
	}
	addConnection(cmd)
	addForce(cmd)
	cmd.Flags().BoolVar(&yes, flagYes, false, "approve although only the first digits of the id are given")
	cmd.Flags().StringVar(&allOf, flagAllOf, "", "directory with the operators of several organisations, who all approve")
	return cmd
}

// shownProposal reads a proposal from the endorser of the operator's organisation and shows its words on standard error.
// An abbreviated id needs yes.
func (s *session) shownProposal(name string, yes bool) (*proposalRow, error) {
	p, err := s.ownCopy(name)
	if err != nil {
		return nil, err
	}
	row := proposalRowOf(p, time.Now())
	if row.State != stateOpen {
		return nil, fmt.Errorf("proposal %s takes no votes any more: it is %s; `ltl proposals` lists the open ones", row.ID,
			row.progress())
	}
	if !yes && len(name) != len(row.ID) {
		return nil, fmt.Errorf("nothing was approved; repeat it with the whole id, %s, or with --yes", row.ID)
	}
	if version := p.GetPropose().GetActivateRules().GetVersion(); version != 0 {
		running := slices.DeleteFunc(s.rulesOfAll(s.cmd.Context()), func(r rulesRow) bool { return r.Known == 0 })
		return row, allKnow(running, version)
	}
	if err := s.nodesConfirm(p.GetPropose().GetRecordRestoration()); err != nil {
		return nil, err
	}
	return row, s.approvalKeepsQuorum(p.GetPropose())
}

// ownCopy reads a proposal from the endorser of the operator's organisation, and shows its words on standard error. It
// waits for a proposal that the endorser does not have yet.
func (s *session) ownCopy(name string) (*ltlv1.ProposalInfo, error) {
	own, err := identity.ReadCertificate(s.identity)
	if err != nil {
		return nil, err
	}
	endorser := string(identity.RoleEndorser) + "/" + own.Identity.Organisation
	read := func(ctx context.Context, in *ltlv1.ProposalsRequest) (*ltlv1.ProposalsResponse, error) {
		return s.client.Ledger().ProposalsAt(ctx, endorser, in)
	}
	ctx, cancel := context.WithTimeout(s.cmd.Context(), copyWait)
	defer cancel()
	for {
		p, err := s.proposalNamed(name, read)
		if !errors.Is(err, errNoProposal) {
			if err == nil {
				fmt.Fprintf(s.cmd.ErrOrStderr(), "proposal %x by %s:\n%s\n", p.GetProposalId(), p.GetProposer(), p.GetWords())
			}
			return p, err
		}
		if _, err := s.proposalNamed(name, s.client.Ledger().Proposals); err != nil {
			return nil, err // the nodes do not have it either
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(waitPoll):
		}
	}
}

// approve writes the approval of the operator's organisation, says on standard error what came of it, and returns the
// proposal after it.
func (s *session) approve(id string) (*proposalRow, error) {
	own, err := identity.ReadCertificate(s.identity)
	if err != nil {
		return nil, err
	}
	row, err := s.vote(id, proposal.Approve)
	if err != nil {
		return nil, fmt.Errorf("%s does not approve: %w", own.Identity, err)
	}
	fmt.Fprintf(s.cmd.ErrOrStderr(), "%s approves: %s\n", own.Identity, row.progress())
	return row, nil
}

// vote writes a transaction about a proposal and returns the proposal after it.
func (s *session) vote(id string, make func(network, id ledger.Hash) *ltlv1.Transaction) (*proposalRow, error) {
	raw, err := hex.DecodeString(id)
	if err != nil {
		return nil, fmt.Errorf("%q is no id of a proposal: %w", id, err)
	}
	if _, err := s.submit(make(s.trust.NetworkID(), ledger.Hash(raw)), voteAdvice()); err != nil {
		return nil, err
	}
	row, err := s.proposal(id)
	if err != nil {
		return nil, readBack("the vote counts", err)
	}
	return row, nil
}

// voteAdvice says what to do when a vote is refused.
func voteAdvice() advice {
	return advice{
		rules.NotFound:  "there is no such proposal; `ltl proposals` lists the open ones",
		rules.Conflict:  "the proposal takes no votes any more; `ltl proposals ID` shows what became of it",
		rules.Forbidden: "this organisation has no vote on it; `ltl proposals ID` shows who is asked",
	}
}

// approveWithAll approves as the operator of each organisation whose certificate is in dir, until the proposal is closed.
func approveWithAll(cmd *cobra.Command, name, dir string, yes bool) error {
	operators, err := operatorsIn(dir)
	if err != nil {
		return err
	}
	f := cmd.Flags()
	if !f.Changed(flagDir) && !f.Changed(flagTrust) {
		if err := f.Set(flagTrust, filepath.Join(dir, "trust.json")); err != nil {
			return err
		}
	}
	if err := f.Set(flagIdentity, operators[0]); err != nil {
		return err
	}
	return withSession(cmd, func(s *session) error {
		row, err := s.shownProposal(name, yes)
		if err != nil {
			return err
		}
		if row, err = s.approveAs(operators, row); err != nil {
			return err
		}
		return errors.Join(row.show(cmd), row.closedError())
	})
}

// operatorsIn are the directories of operators in a directory as `ltl up` and `ltl pki create` lay them out, one for
// each organisation.
func operatorsIn(dir string) ([]string, error) {
	var found []string
	seen := map[string]bool{}
	for _, pattern := range []string{"operator", "operators/*", "*/operator"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, fmt.Errorf("--%s: %w", flagAllOf, err)
		}
		for _, path := range paths {
			own, err := identity.ReadCertificate(path)
			if err != nil || own.Identity.Role != identity.RoleOperator || seen[own.Identity.Organisation] {
				continue // not an operator's directory, or one that this user may not read
			}
			seen[own.Identity.Organisation] = true
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no operator's directory that can be read; `ltl pki create` makes operator and "+
			"operators/ORG", dir)
	}
	return found, nil
}

// approveAs approves with the certificates in directories, where their organisations are still asked, until the proposal
// is closed.
func (s *session) approveAs(operators []string, row *proposalRow) (*proposalRow, error) {
	for _, dir := range operators {
		own, err := identity.ReadCertificate(dir)
		if err != nil {
			return row, err
		}
		if !slices.Contains(row.Asked, own.Identity.Organisation) {
			continue
		}
		as := *s.connection
		as.identity = dir
		err = as.with(s.cmd, func(s *session) error {
			after, err := s.approve(row.ID)
			if err == nil {
				row = after
			}
			return err
		})
		if err != nil {
			return row, err
		}
	}
	return row, nil
}

func newReject() *cobra.Command {
	return newVote("reject ID", "Vote against a proposal for your organisation",
		`Votes against a proposal. A proposal that can no longer get what it needs is closed. ID is the whole id, or its
first 12 or more digits. While the proposal is open, ltl approve changes the vote.`, proposal.Reject)
}

func newWithdraw() *cobra.Command {
	return newVote("withdraw ID", "Take back a proposal of your organisation",
		`Closes a proposal, as an operator of the organisation that proposed it. ID is the whole id, or its first 12 or
more digits.`, proposal.Withdraw)
}

// newVote makes reject or withdraw.
func newVote(use, short, long string, make func(network, id ledger.Hash) *ltlv1.Transaction) *cobra.Command {
	name, _, _ := strings.Cut(use, " ")
	cmd := &cobra.Command{
		Use: use, Short: short, Long: long, Args: cobra.ExactArgs(1),
		Example: "  ltl " + name + " 5f0c54a1b2c3 --trust trust.json --identity operator",
		RunE: online(func(s *session, args []string) error {
			p, err := s.ownCopy(args[0])
			if err != nil {
				return err
			}
			row, err := s.vote(hex.EncodeToString(p.GetProposalId()), make)
			if err != nil {
				return err
			}
			return row.show(s.cmd)
		}),
	}
	addConnection(cmd)
	return cmd
}

// operatorsAtHand are the operators of organisations whose keys are in the directory of a network that `ltl up` or `ltl
// setup` describes, this session's first; only its own otherwise, and where --identity was given.
func (s *session) operatorsAtHand(organisations []string) []string {
	hand := []string{s.identity}
	if given, _ := s.cmd.Flags().GetString(flagIdentity); s.network == nil || given != "" {
		return hand
	}
	for _, o := range organisations {
		as := *s.connection
		if err := as.becomeOperator(o); err != nil {
			fmt.Fprintf(s.cmd.ErrOrStderr(), "%s is asked, and its operator is not at hand: %v\n", o, err)
			continue
		}
		if _, err := os.Stat(as.identity); err == nil && !slices.Contains(hand, as.identity) {
			hand = append(hand, as.identity)
		}
	}
	return hand
}
