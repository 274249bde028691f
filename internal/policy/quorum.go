package policy

import (
	"math/bits"
	"slices"
)

// Set is a set of a chain's organisations: bit i is the i-th in the chain's list. MaxOrganisations is 64.
type Set uint64

// Has reports whether the set holds the i-th organisation.
func (s Set) Has(i int) bool { return s&(1<<i) != 0 }

// With returns the set and the i-th organisation.
func (s Set) With(i int) Set { return s | 1<<i }

// Without returns the set less the i-th organisation.
func (s Set) Without(i int) Set { return s &^ (1 << i) }

// Len returns the number of organisations in the set.
func (s Set) Len() int { return bits.OnesCount64(uint64(s)) }

// Subject is what the count of a transaction's endorsements depends on beside the chain's policy.
type Subject struct {
	// Submitter is the organisation that the term "submitter" means; empty when it is not one of the chain's.
	Submitter Set
	// Required are organisations that must endorse whatever the policy says; usually empty.
	Required Set
}

// Quorum is a policy bound to the organisations of a chain. It is not changed once made.
type Quorum struct {
	organisations []string
	submitter     bool        // the policy has the term "submitter"
	thresholds    []threshold // the other terms
}

// threshold is a term: at least n of these organisations.
type threshold struct {
	n  int
	of Set
}

// Quorum binds the policy to a chain's organisations, at most MaxOrganisations and all different. Organisations that
// the policy names and the chain does not have never count.
func (p Policy) Quorum(organisations []string) Quorum {
	q := Quorum{organisations: organisations, thresholds: make([]threshold, 0, len(p.terms))}
	all := q.All()
	for _, t := range p.terms {
		switch t.kind {
		case termSubmitter:
			q.submitter = true
			continue
		case termAny:
			t.n = 1
		case termMajority:
			t.n = len(organisations)/2 + 1
		case termAll:
			t.n = max(len(organisations), 1) // a chain without organisations satisfies no policy
		case termOrg:
			t.n = 1
		}
		of := all
		if t.names != nil {
			of = 0
			for _, name := range t.names {
				of |= q.Set(name)
			}
		}
		q.thresholds = append(q.thresholds, threshold{t.n, of})
	}
	return q
}

// All returns the set of all organisations of the chain.
func (q *Quorum) All() Set {
	return 1<<len(q.organisations) - 1 // with 64, 1<<64 is 0 and the difference has all bits
}

// Set returns the set of the one organisation with this id; empty when the chain does not have it.
func (q *Quorum) Set(id string) Set {
	i := slices.Index(q.organisations, id)
	if i < 0 {
		return 0
	}
	return 1 << i
}

// Satisfied reports whether the endorsements of the organisations in signed are enough. A further endorsement never
// makes a satisfied policy unsatisfied.
func (q *Quorum) Satisfied(s Subject, signed Set) bool {
	if s.Required&^signed != 0 || q.submitter && s.Submitter&signed == 0 {
		return false
	}
	for _, t := range q.thresholds {
		if (signed & t.of).Len() < t.n {
			return false
		}
	}
	return q.submitter || len(q.thresholds) > 0
}

// Possible reports whether the endorsements can still become enough without those of the organisations that refused.
func (q *Quorum) Possible(s Subject, refused Set) bool { return q.Satisfied(s, q.All()&^refused) }

// Missing returns the organisations whose endorsement is lacking: the required ones that have neither signed nor
// refused, or, when there are none, all such organisations of the chain.
func (q *Quorum) Missing(s Subject, signed, refused Set) Set {
	if required := s.Required &^ (signed | refused); required != 0 {
		return required
	}
	return q.All() &^ (signed | refused)
}

// Satisfiable reports whether the policy holds for this submitter when every organisation of the chain endorses.
func (p Policy) Satisfiable(submitter string, organisations []string) bool {
	q := p.Quorum(organisations)
	return q.Satisfied(Subject{Submitter: q.Set(submitter)}, q.All())
}
