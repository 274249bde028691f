package console

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// proposalRow is a proposal as pages show it.
type proposalRow struct {
	*ltlv1.ProposalInfo
	ID string
	// State is the key of a sentence; Mine is set when the reader's organisation is asked.
	State string
	Open  bool
	Mine  bool
	// Forged is set when the words come with an id that is not the hash of the proposal.
	Forged    bool
	Expires   time.Time
	Approvals int
	// Message says why the change was refused; empty when it was not.
	Message string
}

// proposalRowOf is a proposal as pages show it. An open one whose time is over by this machine's clock is expired; the
// ledger decides by its blocks' time.
func (v *visit) proposalRowOf(p *ltlv1.ProposalInfo) *proposalRow {
	row := &proposalRow{ProposalInfo: p, ID: hex.EncodeToString(p.GetProposalId()),
		State: enumKey("proposal.state.", p.GetState()), Expires: time.UnixMilli(p.GetExpiryMs()),
		Open: p.GetState() == ltlv1.ProposalState_PROPOSAL_STATE_OPEN, Forged: !rules.ProposalFits(p)}
	if row.Open && !v.clock().Before(row.Expires) {
		row.Open, row.State = false, "proposal.expired"
	}
	for _, vote := range p.GetVotes() {
		if vote.GetApprove() && (len(p.GetElectorate()) == 0 || slices.Contains(p.GetElectorate(), vote.GetOrganisation())) {
			row.Approvals++
		}
	}
	row.Mine = row.Open && slices.Contains(p.GetAsked(), v.own.cfg.Identity.Organisation)
	if code := p.GetCode(); code != 0 && code != rules.OK {
		row.Message = rules.Message(code)
	}
	return row
}

// proposalsView is a list of proposals.
type proposalsView struct {
	All   bool
	Rows  []*proposalRow
	Pages pager
}

// proposals lists the open proposals as the organisation's own copy has them; with all=1 also the closed ones, the newest
// first.
func (v *visit) proposals() (*view, error) {
	out := &proposalsView{All: v.r.URL.Query().Get("all") == "1"}
	in := &ltlv1.ProposalsRequest{}
	if out.All {
		in.All, in.Page, in.Size = true, uint32(v.pagerOf(1<<40).Number), pageSize
	}
	res, err := v.ledger.Proposals(v.r.Context(), in)
	if err != nil {
		return nil, err
	}
	for _, p := range res.GetProposals() {
		out.Rows = append(out.Rows, v.proposalRowOf(p))
	}
	if out.All {
		out.Pages = v.pagerOf(res.GetTotal())
	}
	return &view{name: "own-proposals", title: "proposals.title", data: out}, nil
}

// proposalView is the page of a proposal.
type proposalView struct {
	*proposalRow
	// Fields are those of the change, as JSON. Voted is what the reader has just done; empty for nothing.
	Fields, Voted string
	// MayVote is set where the page has the form of a vote.
	MayVote bool
}

// proposalPage shows a proposal in words, with its digest, its votes and who is asked.
func (v *visit) proposalPage() (*view, error) {
	id, err := hex.DecodeString(v.r.PathValue("id"))
	if err != nil || len(id) != len(ledger.Hash{}) {
		return nil, errNothing
	}
	res, err := v.ledger.Proposals(v.r.Context(), &ltlv1.ProposalsRequest{ProposalId: id})
	if err != nil {
		return nil, err
	}
	if len(res.GetProposals()) != 1 || !bytes.Equal(res.GetProposals()[0].GetProposalId(), id) {
		return nil, errNothing
	}
	out := &proposalView{proposalRow: v.proposalRowOf(res.GetProposals()[0])}
	out.MayVote = out.Open && !out.Forged && v.own.cfg.Vote != nil
	if voted := v.r.URL.Query().Get("voted"); voted == "approve" || voted == "reject" {
		out.Voted = "proposal.voted." + voted
	}
	raw, err := protojson.Marshal(out.GetPropose())
	if err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, raw, "", "  "); err != nil { // protojson varies its spaces on purpose
		return nil, err
	}
	out.Fields = indented.String()
	return &view{name: "own-proposal", title: "proposal.title", data: out}, nil
}
