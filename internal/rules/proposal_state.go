package rules

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// Bounds on proposals.
const (
	// MaxOpenProposals is the largest number of open proposals of one organisation.
	MaxOpenProposals = 8
	// MaxProposal bounds the encoding of a Propose, in bytes.
	MaxProposal = 64 << 10
	// MinProposalMs and MaxProposalMs bound the time that a proposal is open, in milliseconds.
	MinProposalMs = 10 * 60 * 1000
	MaxProposalMs = 30 * 24 * 60 * 60 * 1000
)

// Proposal is what became of a proposal. It is kept for ever.
type Proposal struct {
	// Proposer is the identity that sent it.
	Proposer string
	State    ltlv1.ProposalState
	// ExpiryMs is the time at which it ends if it is still open.
	ExpiryMs int64
	// Votes are in the order of each organisation's first vote.
	Votes []Vote
	// Code is what the rules answered to the change: OK when it was executed, the code of the refusal when it failed or
	// was stale, otherwise 0.
	Code int32
	// Created is the place of the Propose; Closed that of the transaction that closed it, zero while it is open. Both
	// have no Extra.
	Created, Closed Locator
}

// Open reports whether the proposal takes votes at that time.
func (p *Proposal) Open(timeMs int64) bool {
	return p.State == ltlv1.ProposalState_PROPOSAL_STATE_OPEN && timeMs < p.ExpiryMs
}

// setVote records an organisation's vote in the place of its former one.
func (p *Proposal) setVote(v Vote) {
	if old := voteOf(p.Votes, v.Organisation); old != nil {
		*old = v
		return
	}
	p.Votes = append(p.Votes, v)
}

// openProposal is an entry in the list of an organisation's open proposals. An expired one is left there until the
// organisation proposes again.
type openProposal struct {
	id ledger.Hash
	// kind and object say what it changes: an organisation has one open proposal for both.
	kind, object string
	expiryMs     int64
}

func proposalKey(id ledger.Hash) string { return prefixProposal + hex.EncodeToString(id[:]) }

func proposedKey(id ledger.Hash) string { return prefixProposed + hex.EncodeToString(id[:]) }

func openProposalsKey(organisation string) string { return prefixOpenProposals + organisation }

// GetProposal returns what became of the proposal with that id; nil when there is none.
func GetProposal(v View, id ledger.Hash) (*Proposal, error) {
	return load(v, ledger.SystemChain, proposalKey(id), parseProposal)
}

// GetProposed returns the content of the proposal with that id; nil when there is none.
func GetProposed(v View, id ledger.Hash) (*ltlv1.Propose, error) {
	return load(v, ledger.SystemChain, proposedKey(id), func(b []byte) (*ltlv1.Propose, error) {
		p := &ltlv1.Propose{}
		return p, proto.Unmarshal(b, p)
	})
}

// ListOpenProposals returns the ids of the proposals that are open at that time, by organisation of the
// proposer, then oldest first.
func ListOpenProposals(r Reader, timeMs int64) ([]ledger.Hash, error) {
	lists, err := list(r, ledger.SystemChain, prefixOpenProposals, parseOpenProposals)
	var all []ledger.Hash
	for _, l := range lists {
		for _, p := range *l {
			if timeMs < p.expiryMs {
				all = append(all, p.id)
			}
		}
	}
	return all, err
}

// ListProposals returns the ids of all proposals that there ever were, newest first.
func ListProposals(r Reader) ([]ledger.Hash, error) {
	type made struct {
		id ledger.Hash
		at Locator
	}
	var all []made
	err := r.Scan(ledger.SystemChain, []byte(prefixProposal), func(key, b []byte) error {
		p, err := parseProposal(b)
		if err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
		m := made{at: p.Created}
		if n, err := hex.Decode(m.id[:], key[len(prefixProposal):]); err != nil || n != len(m.id) {
			return fmt.Errorf("%w: key %q of a proposal", ErrState, key)
		}
		all = append(all, m)
		return nil
	})
	slices.SortFunc(all, func(a, b made) int {
		return cmp.Or(cmp.Compare(b.at.Height, a.at.Height), cmp.Compare(b.at.Index, a.at.Index))
	})
	var ids []ledger.Hash
	for _, m := range all {
		ids = append(ids, m.id)
	}
	return ids, err
}

func (p *Proposal) encode() []byte {
	e := encoder{[]byte{stateVersion}}
	e.strings(p.Proposer)
	e.u32(uint32(p.State))
	e.i64(p.ExpiryMs)
	e.u32(uint32(len(p.Votes)))
	for _, v := range p.Votes {
		e.strings(v.Organisation)
		e.flag(v.Approve)
		e.place(v.At)
	}
	e.u32(uint32(p.Code))
	e.place(p.Created)
	e.place(p.Closed)
	return e.b
}

func parseProposal(b []byte) (*Proposal, error) {
	p, d := &Proposal{}, begin(b)
	d.strings(&p.Proposer)
	p.State = ltlv1.ProposalState(d.u32())
	p.ExpiryMs = d.i64()
	for range d.count(20) {
		var v Vote
		d.strings(&v.Organisation)
		v.Approve, v.At = d.flag(), d.place()
		p.Votes = append(p.Votes, v)
	}
	p.Code = int32(d.u32())
	p.Created, p.Closed = d.place(), d.place()
	return p, d.end("proposal")
}

func encodeOpenProposals(all []openProposal) []byte {
	e := encoder{[]byte{stateVersion}}
	e.u32(uint32(len(all)))
	for _, p := range all {
		e.b = append(e.b, p.id[:]...)
		e.strings(p.kind, p.object)
		e.i64(p.expiryMs)
	}
	return e.b
}

func parseOpenProposals(b []byte) (*[]openProposal, error) {
	d := begin(b)
	all := []openProposal{}
	for range d.count(48) {
		var p openProposal
		copy(p.id[:], d.take(len(p.id)))
		d.strings(&p.kind, &p.object)
		p.expiryMs = d.i64()
		all = append(all, p)
	}
	return &all, d.end("open proposals of an organisation")
}
