package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/proposal"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// votePoll is how often an open proposal is looked at while a command waits for votes.
const votePoll = 500 * time.Millisecond

// addWait adds the option that says how long a command waits for the approvals of other organisations. It is for
// commands whose change may have to be proposed.
func addWait(cmd *cobra.Command) {
	cmd.Flags().Duration(flagWait, defaultWait,
		"how long to wait for what others approve or carry out; 0s returns when the change or its proposal is recorded")
}

// decision is what became of a change.
type decision struct {
	// made is false while a proposal is open and the command does not wait for it; it has been printed then.
	made bool
	// height is the block of the system chain that made the change.
	height uint64
	// deadline is until when the command waits.
	deadline time.Time
}

// decide carries out a change of the system chain. What only its owner decides is done at once. Anything else is
// proposed, and approved by the operators that are at hand; then decide waits for the others, as --wait says.
func (s *session) decide(tx *ltlv1.Transaction, a advice) (*decision, error) {
	wait, err := s.cmd.Flags().GetDuration(flagWait)
	if err != nil {
		return nil, err
	}
	d := &decision{deadline: time.Now().Add(wait)}
	tx.ChainId = ledger.SystemChain
	prepared, err := proposal.Prepare(s.cmd.Context(), s.client, tx)
	if err != nil {
		return nil, err
	}
	if !prepared.GetProposal() {
		result, err := s.submit(tx, a)
		d.made, d.height = err == nil, result.GetBlockHeight()
		return d, err
	}
	row, err := s.propose(prepared, a)
	if err != nil {
		return nil, err
	}
	if row, err = s.approveAs(s.operatorsAtHand(row.Asked), row); err != nil {
		return nil, fmt.Errorf("the change is proposed as %s, and stays open: %w", row.ID, err)
	}
	if row, err = s.awaitVotes(row, d.deadline); err != nil {
		return nil, err
	}
	if err := row.closedError(); err != nil {
		return nil, err
	}
	if d.made, d.height = row.State == stateExecuted, row.ClosedHeight; d.made {
		return d, nil
	}
	if wait > 0 {
		return nil, fmt.Errorf("the change is not made yet: %s has not approved proposal %s, which stays open until %s; "+
			"`ltl proposals %s` shows it", strings.Join(row.Asked, ", "), row.ID, formatTime(row.Expires), row.ID)
	}
	return d, row.show(s.cmd)
}

// propose writes a proposal and says so on standard error.
func (s *session) propose(prepared *ltlv1.PrepareProposalResponse, a advice) (*proposalRow, error) {
	tx := proposal.New(prepared, proposal.DefaultLife)
	if _, err := s.submit(tx, a.or(proposeAdvice())); err != nil {
		return nil, err
	}
	id, err := client.TransactionID(tx)
	if err != nil {
		return nil, err
	}
	row, err := s.proposal(hex.EncodeToString(id[:]))
	if err != nil {
		return nil, readBack("the change is proposed", err)
	}
	fmt.Fprintf(s.cmd.ErrOrStderr(), "proposal %s: %s\n", row.ID, row.Words)
	return row, nil
}

// proposeAdvice says what to do when a proposal is refused.
func proposeAdvice() advice {
	return advice{
		rules.Conflict: "the same change is proposed already, or what it rests on has just changed; `ltl proposals` lists " +
			"the open ones, approve that one or withdraw it",
		rules.QuotaExceeded: "the organisation has as many open proposals as it may; `ltl proposals` lists them, withdraw one",
	}
}

// awaitVotes waits until the proposal is closed, at most until the deadline, and returns it as it is then.
func (s *session) awaitVotes(row *proposalRow, deadline time.Time) (*proposalRow, error) {
	said := false
	for row.State == stateOpen && time.Now().Before(deadline) {
		if !said {
			said = true
			fmt.Fprintf(s.cmd.ErrOrStderr(), "waiting for %s until %s; the proposal stays open when this command is stopped\n",
				strings.Join(row.Asked, ", "), formatTime(deadline))
		}
		select {
		case <-s.cmd.Context().Done():
			return nil, fmt.Errorf("stopped; proposal %s stays open", row.ID)
		case <-time.After(votePoll):
		}
		now, err := s.proposal(row.ID)
		if err != nil {
			return nil, fmt.Errorf("proposal %s stays open, but it cannot be read: %w", row.ID, err)
		}
		row = now
	}
	return row, nil
}
