package rules

import "slices"

// Ballot says whose votes decide on a proposal. It is computed from the state again for each vote, so only the votes of
// organisations that are of the network now count.
type Ballot struct {
	// Electorate are the organisations whose votes are counted.
	Electorate []string
	// Quorum is how many of the electorate must approve.
	Quorum int
	// Needed are the organisations that must approve whatever the quorum says.
	Needed []string
	// Excluded is the organisation that the change takes something from: it counts in the number that the quorum is made
	// of, is not in the electorate, and has no vote. Empty for none.
	Excluded string
}

// Vote is the last vote of an organisation on a proposal.
type Vote struct {
	Organisation string
	// Approve is set for Approve and not for Reject.
	Approve bool
	// At is the place of the vote on the system chain.
	At Locator
}

// HasVote reports whether an organisation's vote makes a difference.
func (b *Ballot) HasVote(organisation string) bool {
	return slices.Contains(b.Electorate, organisation) || slices.Contains(b.Needed, organisation)
}

// Approved counts the electorate's votes for the proposal.
func (b *Ballot) Approved(votes []Vote) (n int) {
	for _, o := range b.Electorate {
		if v := voteOf(votes, o); v != nil && v.Approve {
			n++
		}
	}
	return n
}

// Complete reports whether the votes are enough.
func (b *Ballot) Complete(votes []Vote) bool {
	for _, o := range b.Needed {
		if v := voteOf(votes, o); v == nil || !v.Approve {
			return false
		}
	}
	return b.Approved(votes) >= b.Quorum
}

// Possible reports whether the votes can still become enough, unless those that rejected change their vote.
func (b *Ballot) Possible(votes []Vote) bool {
	left := 0
	for _, o := range b.Electorate {
		if v := voteOf(votes, o); v == nil || v.Approve {
			left++
		}
	}
	rejected := func(o string) bool { v := voteOf(votes, o); return v != nil && !v.Approve }
	return left >= b.Quorum && !slices.ContainsFunc(b.Needed, rejected)
}

// Asked returns the organisations that have not voted and whose approval brings the proposal closer to its execution:
// the needed ones, then, while the quorum is not reached, the rest of the electorate.
func (b *Ballot) Asked(votes []Vote) []string {
	candidates := slices.Clone(b.Needed)
	if b.Approved(votes) < b.Quorum {
		for _, o := range b.Electorate {
			if !slices.Contains(candidates, o) {
				candidates = append(candidates, o)
			}
		}
	}
	return slices.DeleteFunc(candidates, func(o string) bool { return voteOf(votes, o) != nil })
}

// voteOf returns an organisation's vote; nil when it has none.
func voteOf(votes []Vote, organisation string) *Vote {
	for i := range votes {
		if votes[i].Organisation == organisation {
			return &votes[i]
		}
	}
	return nil
}
