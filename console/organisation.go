package console

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"ltl/client"
	"ltl/internal/identity"
	ltlv1 "ltl/proto/ltl/v1"
)

// OrganisationConfig configures the console of an organisation. Client, Trust and Identity are required.
type OrganisationConfig struct {
	// Client has the certificate of Identity. The console does not close it.
	Client *client.Client
	Trust  *identity.Trust
	// Identity is the reader's: an operator or a client. Expires is the end of its certificate.
	Identity identity.Identity
	Expires  time.Time
	// Vote approves or rejects a proposal, which the id in hexadecimal digits names, as the command does. A refusal is a
	// Refusal. It is nil for a reader who may not vote.
	Vote func(ctx context.Context, id string, approve bool) error
	// Logger gets one line per event; by default slog.Default().
	Logger *slog.Logger
}

// organisation is what makes a console that of an organisation.
type organisation struct {
	cfg OrganisationConfig
	// key is the only one that signs in; its secret ends with the process.
	key *Key
}

// endorser is the name of the process whose copy is read.
func (o *organisation) endorser() string {
	return string(identity.RoleEndorser) + "/" + o.cfg.Identity.Organisation
}

// sessionKey is the length in bytes of the secrets of one process.
const sessionKey = 32

// NewOrganisation creates a console in which an operator or a client of an organisation reads the organisation's own
// copy of the ledger, that of its endorser. Only links of Link sign in.
func NewOrganisation(cfg OrganisationConfig) (*Console, error) {
	secret, sealing := make([]byte, sessionKey), make([]byte, sessionKey)
	rand.Read(secret) // never fails: it ends the process instead
	rand.Read(sealing)
	own := &organisation{cfg: cfg, key: &Key{ID: cfg.Identity.String(), MAC: func(message string) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(message))
		return mac.Sum(nil)
	}}}
	return build(Config{Options: Options{Trust: cfg.Trust}, Client: cfg.Client, SealingKey: sealing, Clock: time.Now,
		Logger: cfg.Logger, Facade: Facade{
			Key: func(_ context.Context, id string) (*Key, error) {
				if id != own.key.ID {
					return nil, ErrNoKey
				}
				return own.key, nil
			},
			Admit: func(context.Context, string) (func(), error) { return func() {}, nil },
		}}, own, organisationRoutes(cfg.Vote != nil))
}

// Link is an address that signs a browser in once, for a few minutes, to the console of an organisation that is served at
// an address.
func (c *Console) Link(address string) string {
	return NewLink(address, c.network, c.own.key, c.clock())
}

// organisationRoutes is the table of all that the console of an organisation answers.
func organisationRoutes(votes bool) []route {
	table := append(sharedRoutes(), []route{
		{"GET /console/{$}", signedIn, (*visit).ownOverview},
		{"GET /console/health", signedIn, (*visit).health},
		{"GET /console/proposals", signedIn, (*visit).proposals},
		{"GET /console/proposals/{id}", signedIn, (*visit).proposalPage},
		{"GET /console/organisations", signedIn, (*visit).organisations},
		{"GET /console/certificates", signedIn, (*visit).certificatesPage},
		{"GET /console/accounts", signedIn, (*visit).accounts},
		{"GET /console/accounts/{uid}", signedIn, (*visit).account},
		{"GET /console/enrolments", signedIn, (*visit).enrolments},
		{"GET /console/chains", signedIn, (*visit).chains},
		{"GET /console/search", signedIn, (*visit).search},
		{"GET /console/c/{chain}/{$}", member, (*visit).chainPage},
		{"GET /console/c/{chain}/endorsers", member, (*visit).endorsers},
		{"GET /console/c/{chain}/records", member, (*visit).records},
		{"GET /console/c/{chain}/records.csv", member, (*visit).recordsCSV},
		{"GET /console/c/{chain}/records.json", member, (*visit).recordsJSON},
		{"GET /console/c/{chain}/r/{tx}", member, (*visit).transaction},
		{"GET /console/c/{chain}/r/{tx}/certificate", member, (*visit).certificate},
		{"GET /console/c/{chain}/r/{tx}/verify", member, (*visit).verifyHere},
		{"GET /console/c/{chain}/blocks", member, (*visit).blocks},
		{"GET /console/c/{chain}/blocks/{height}", member, (*visit).block},
		{"GET /console/c/{chain}/live", member, (*visit).live},
		{Prefix, open, (*visit).nothing},
	}...)
	if votes {
		table = append(table, route{"POST /console/proposals/{id}", signedIn, (*visit).vote})
	}
	return table
}

// ownFrame says on every page whose copy it shows.
type ownFrame struct {
	Organisation string
	// Operator is set where the reader may vote.
	Operator bool
	// Answers is set when the organisation's endorser answered, Behind is by how many blocks its copy is behind the newest
	// that any process has.
	Answers bool
	Behind  uint64
}

func (v *visit) ownFrame() *ownFrame {
	f := &ownFrame{Organisation: v.own.cfg.Identity.Organisation, Operator: v.own.cfg.Vote != nil}
	network, err := v.ownNetwork()
	if err != nil {
		return f
	}
	all, _ := v.ask(network, briefTime)
	for _, p := range all.Processes {
		if p.Name == v.own.endorser() {
			f.Answers, f.Behind = p.Status != nil, p.Behind
		}
	}
	return f
}

// ownNetwork reads the network from the organisation's own copy.
func (v *visit) ownNetwork() (*ltlv1.GetNetworkResponse, error) {
	return v.ledger.GetNetwork(v.r.Context(), &ltlv1.GetNetworkRequest{})
}

// ownOverview is the first page of an organisation.
type ownOverview struct {
	Identity string
	Expires  time.Time
	// Ends is set when the certificate ends soon.
	Ends bool
	// Waiting are the proposals that wait for the organisation, Open is the number of all open ones.
	Waiting []*proposalRow
	Open    int
	// Ill are the processes with a fault, without an answer, or behind.
	Ill    []*process
	Heard  int
	Alerts []alert
	Tips   []tip
}

// ownOverview shows what needs the organisation's attention.
func (v *visit) ownOverview() (*view, error) {
	network, err := v.ownNetwork()
	if err != nil {
		return nil, err
	}
	res, err := v.ledger.Proposals(v.r.Context(), &ltlv1.ProposalsRequest{})
	if err != nil {
		return nil, err
	}
	out := &ownOverview{Identity: v.own.cfg.Identity.String(), Expires: v.own.cfg.Expires, Open: len(res.GetProposals()),
		Ends: v.own.cfg.Expires.Sub(v.clock()) < endsSoon}
	for _, p := range res.GetProposals() {
		if row := v.proposalRowOf(p); row.Mine {
			out.Waiting = append(out.Waiting, row)
		}
	}
	all, err := v.ask(network, processTime)
	if err != nil {
		return nil, err
	}
	for _, p := range all.Processes {
		if p.Ill() {
			out.Ill = append(out.Ill, p)
		}
	}
	out.Heard = len(all.Processes)
	for _, t := range all.Tips {
		if t.Differ {
			out.Tips = append(out.Tips, t)
		}
	}
	chains, _, err := v.allChains()
	if err != nil {
		return nil, err
	}
	for _, c := range chains {
		out.Alerts = append(out.Alerts, alertsOf(c, v.clock())...)
	}
	out.Alerts = out.Alerts[:min(len(out.Alerts), pageSize)]
	return &view{name: "own-overview", title: "overview.title", data: out}, nil
}

// endorserRow is how much of a chain's newest blocks an organisation endorsed.
type endorserRow struct {
	Organisation string
	Blocks       int
	Last         *blockRow // nil for none
}

// missingRow is a block with the organisations of the chain that endorsed nothing of it.
type missingRow struct {
	*blockRow
	Missing []string
}

// endorsersView is the page of who endorsed a chain's newest blocks.
type endorsersView struct {
	Organisations []endorserRow
	Blocks        []missingRow
	Policy        string
}

// endorsers shows who endorsed the newest blocks of a chain, and who is missing.
func (v *visit) endorsers() (*view, error) {
	tip := v.chain.info.GetHeight()
	rows, err := v.readBlocks(tip-min(tip, endorsedBlocks-1), endorsedBlocks)
	if err != nil {
		return nil, err
	}
	organisations := v.chain.info.GetChain().GetOrganisations()
	out := &endorsersView{Policy: v.chain.info.GetChain().GetPolicy()}
	for _, b := range rows {
		if b.Transactions == 0 { // there was nothing to endorse
			continue
		}
		row := missingRow{blockRow: b}
		for _, o := range organisations {
			if !slices.Contains(b.Organisations, o) {
				row.Missing = append(row.Missing, o)
			}
		}
		out.Blocks = append(out.Blocks, row)
	}
	for _, o := range organisations {
		row := endorserRow{Organisation: o}
		for _, b := range out.Blocks { // the newest first
			if slices.Contains(b.Organisations, o) {
				if row.Blocks++; row.Last == nil {
					row.Last = b.blockRow
				}
			}
		}
		out.Organisations = append(out.Organisations, row)
	}
	return &view{name: "own-endorsers", title: "endorsers.title", data: out}, nil
}

// fingerprint is the SHA-256 of what identifies a key or a certificate, in hexadecimal digits.
func fingerprint(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// awaitVote waits a moment until the own copy has the vote, so that the next page shows it.
func (v *visit) awaitVote(id string) {
	raw, err := hex.DecodeString(id)
	for end := time.Now().Add(voteSeen); err == nil && time.Now().Before(end); wait(v.r.Context(), voteSeen/20) {
		res, err := v.ledger.Proposals(v.r.Context(), &ltlv1.ProposalsRequest{ProposalId: raw})
		if err != nil {
			return
		}
		for _, p := range res.GetProposals() {
			if p.GetState() != ltlv1.ProposalState_PROPOSAL_STATE_OPEN || slices.ContainsFunc(p.GetVotes(),
				func(vote *ltlv1.ProposalVote) bool { return vote.GetOrganisation() == v.own.cfg.Identity.Organisation }) {
				return
			}
		}
	}
}

// vote is the answer to the form of a vote. A refusal is shown on the page of the proposal.
func (v *visit) vote() (*view, error) {
	id, choice := v.r.PathValue("id"), v.r.PostForm.Get("vote")
	if !hashForm.MatchString(id) || choice != "approve" && choice != "reject" {
		return nil, &failure{status: http.StatusBadRequest, key: "error.form"}
	}
	// What was sent is not taken back because the visitor goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.r.Context()), requestTime)
	defer cancel()
	err := v.own.cfg.Vote(ctx, id, choice == "approve")
	if refusal := new(Refusal); errors.As(err, &refusal) {
		v.refused = refusal
		shown, err := v.proposalPage()
		if err != nil {
			return nil, err
		}
		v.render(http.StatusConflict, shown)
		return nil, errAnswered
	}
	if err != nil {
		return nil, err
	}
	v.awaitVote(id)
	http.Redirect(v.w, v.r, v.r.URL.Path+"?voted="+choice, http.StatusSeeOther)
	return nil, errAnswered
}
