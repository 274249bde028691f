package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

const (
	// shortestID is how many digits of a proposal's id are enough to name an open one.
	shortestID = 12
	// proposalPage is how many proposals one request asks for; one has at most 64 KiB, twice.
	proposalPage = 20
	// stateOpen is a proposal that takes votes; stateExpired (chain.go) one that took too few until its end.
	stateOpen     = "open"
	stateExecuted = "executed"
)

// proposalRow is a proposal as it is printed. Its JSON names are stable.
type proposalRow struct {
	ID       string `json:"id"`
	State    string `json:"state"`
	Words    string `json:"words"`
	Proposer string `json:"proposer"`
	// Votes are the last votes of the organisations.
	Votes []voteRow `json:"votes"`
	// Approvals of Quorum are there; Needed organisations must be among them. An excluded one has no vote.
	Approvals int      `json:"approvals"`
	Quorum    uint32   `json:"quorum"`
	Needed    []string `json:"needed"`
	Excluded  string   `json:"excluded,omitempty"`
	// Asked are those whose approval is still wanted; empty when the proposal is closed.
	Asked   []string  `json:"asked"`
	Expires time.Time `json:"expires"`
	// Code is what the rules answered to the change when it was to be made; 0 before that.
	Code         int32  `json:"code"`
	BlockHeight  uint64 `json:"blockHeight"`
	ClosedHeight uint64 `json:"closedHeight,omitempty"`
}

// voteRow is one organisation's vote.
type voteRow struct {
	Organisation string `json:"organisation"`
	Approves     bool   `json:"approves"`
	BlockHeight  uint64 `json:"blockHeight"`
}

// proposalRowOf is a proposal as it is printed. An open one whose time is over by the clock of this machine is expired;
// the ledger decides by its blocks' time.
func proposalRowOf(p *ltlv1.ProposalInfo, now time.Time) *proposalRow {
	row := &proposalRow{
		ID: hex.EncodeToString(p.GetProposalId()), State: word(p.GetState().String()), Words: p.GetWords(),
		Proposer: p.GetProposer(), Votes: []voteRow{}, Quorum: p.GetQuorum(), Needed: listed(p.GetNeeded()),
		Excluded: p.GetExcluded(), Asked: []string{}, Expires: time.UnixMilli(p.GetExpiryMs()).UTC(), Code: p.GetCode(),
		BlockHeight: p.GetBlockHeight(), ClosedHeight: p.GetClosedHeight(),
	}
	for _, v := range p.GetVotes() {
		row.Votes = append(row.Votes, voteRow{v.GetOrganisation(), v.GetApprove(), v.GetBlockHeight()})
		if v.GetApprove() && (len(p.GetElectorate()) == 0 || slices.Contains(p.GetElectorate(), v.GetOrganisation())) {
			row.Approvals++
		}
	}
	if row.State == stateOpen && !now.Before(row.Expires) {
		row.State = stateExpired
	}
	if row.State == stateOpen {
		row.Asked = listed(p.GetAsked())
	}
	return row
}

// listed is a list that is [] in JSON when it is empty.
func listed(all []string) []string { return append([]string{}, all...) }

// progress says in a few words how far a proposal is.
func (r *proposalRow) progress() string {
	switch {
	case r.State == stateOpen && len(r.Asked) > 0:
		return fmt.Sprintf("open %d of %d, asked: %s", r.Approvals, r.Quorum, strings.Join(r.Asked, ", "))
	case r.State == "failed":
		return fmt.Sprintf("failed with code %d: %s", r.Code, rules.Message(r.Code))
	}
	return r.State
}

// show prints a proposal.
func (r *proposalRow) show(cmd *cobra.Command) error {
	votes := make([]string, len(r.Votes))
	for i, v := range r.Votes {
		how := "rejects"
		if v.Approves {
			how = "approves"
		}
		votes[i] = fmt.Sprintf("%s %s (block %d)", v.Organisation, how, v.BlockHeight)
	}
	fields := []field{
		{"proposal", r.ID}, {"state", r.progress()}, {"words", r.Words}, {"proposer", r.Proposer},
		{"votes", strings.Join(votes, ", ")}, {"needed", strings.Join(r.Needed, ", ")},
	}
	if r.Excluded != "" {
		fields = append(fields, field{"without a vote", r.Excluded})
	}
	return emitFields(cmd, r, append(fields, field{"expires", formatTime(r.Expires)})...)
}

// closedError says why a closed proposal did not make its change; nil for an open or executed one.
func (r *proposalRow) closedError() error {
	why := ""
	switch r.State {
	case stateOpen, stateExecuted:
		return nil
	case "stale":
		why = "it is stale: what it rests on has changed since it was made"
	case "failed":
		why = "it " + r.progress()
	case "rejected":
		why = "it is rejected: it can no longer get the approvals that it needs"
	default:
		why = "it is " + r.State
	}
	return fmt.Errorf("proposal %s changes nothing, %s; `ltl proposals %s` shows its votes; propose again what is still "+
		"wanted", r.ID, why, r.ID)
}

func newProposals() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "proposals [ID]",
		Short: "List the open proposals, or show one in words, with its votes and who is asked",
		Long: `Lists the open proposals; with --all every proposal that there ever was, newest first, with what became of it. With
an ID it shows one, also when it is closed: the whole id, or the first 12 or more digits of an open one. What a node says is shown; ltl approve asks the endorser of the operator's own
organisation.`,
		Example: "  ltl proposals --dir ltl-data",
		Args:    cobra.MaximumNArgs(1),
		RunE: online(func(s *session, args []string) error {
			if len(args) == 0 {
				return s.listProposals(all)
			}
			if all {
				return errors.New("give an ID or --all, not both")
			}
			row, err := s.proposal(args[0])
			if err != nil {
				return err
			}
			return row.show(s.cmd)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "list the closed ones too, newest first")
	addConnection(cmd)
	return cmd
}

// listProposals prints the open proposals, or all.
func (s *session) listProposals(all bool) error {
	read := func(page uint32) (*ltlv1.ProposalsResponse, error) {
		in := &ltlv1.ProposalsRequest{}
		if all {
			in.All, in.Page, in.Size = true, page, proposalPage
		}
		return s.client.Ledger().Proposals(s.cmd.Context(), in)
	}
	now := time.Now()
	rows, err := allPages(read, (*ltlv1.ProposalsResponse).GetProposals,
		func(p *ltlv1.ProposalInfo) *proposalRow { return proposalRowOf(p, now) })
	if err != nil {
		return err
	}
	return emitRows(s.cmd, rows, "PROPOSAL|BY|STATE|EXPIRES|CHANGE", func(r *proposalRow) []any {
		by, _, _ := strings.Cut(r.Proposer, "/")
		id := r.ID
		if r.State == stateOpen {
			id = id[:shortestID]
		}
		return []any{id, by, r.progress(), formatTime(r.Expires), r.Words}
	})
}

// readProposals reads proposals from a node or an endorser.
type readProposals func(context.Context, *ltlv1.ProposalsRequest) (*ltlv1.ProposalsResponse, error)

// proposal reads from a node the proposal that an id, or the beginning of an open one's, names.
func (s *session) proposal(name string) (*proposalRow, error) {
	p, err := s.proposalNamed(name, s.client.Ledger().Proposals)
	if err != nil {
		return nil, err
	}
	return proposalRowOf(p, time.Now()), nil
}

// proposalNamed is proposal as the given process answers.
func (s *session) proposalNamed(name string, read readProposals) (*ltlv1.ProposalInfo, error) {
	if _, err := hex.DecodeString(name + strings.Repeat("0", len(name)%2)); err != nil || len(name) < shortestID {
		return nil, fmt.Errorf("%q names no proposal: give its id, or at least the first %d digits of it; `ltl proposals` "+
			"lists the open ones", name, shortestID)
	}
	ask := &ltlv1.ProposalsRequest{}
	if len(name) == 2*len(ledger.Hash{}) {
		ask.ProposalId, _ = hex.DecodeString(name)
	}
	res, err := read(s.cmd.Context(), ask)
	if err != nil {
		return nil, err
	}
	var found []*ltlv1.ProposalInfo
	for _, p := range res.GetProposals() {
		if strings.HasPrefix(hex.EncodeToString(p.GetProposalId()), strings.ToLower(name)) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 0:
		return nil, fmt.Errorf("%w %s; `ltl proposals` lists the open ones, and a closed one is named by its whole id: "+
			"`ltl proposals --all`", errNoProposal, name)
	case 1:
		return found[0], checkDigest(found[0])
	}
	return nil, fmt.Errorf("%d open proposals begin with %s; give the whole id", len(found), name)
}

// errNoProposal says that there is no proposal with an id.
var errNoProposal = errors.New("there is no proposal")

// checkDigest refuses an answer whose proposal is not what its id is the hash of.
func checkDigest(p *ltlv1.ProposalInfo) error {
	if !rules.ProposalFits(p) {
		return fmt.Errorf("the answering process shows another proposal under the id %x; ask another one, and audit this one",
			p.GetProposalId())
	}
	return nil
}
