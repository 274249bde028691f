// Package policy decides whether a set of endorsements satisfies a chain's endorsement policy. It is the only place
// that counts endorsements: the rules use it to execute a block, a node's leader to admit a batch, and the client to
// choose endorsers and to know when it has enough answers.
//
// A Policy is a parsed text. Policy.Quorum binds it to a chain's organisations; then a set of organisations is one
// word, and an answer costs a few instructions per term and no allocation.
//
// Everything here is pure: no clock, no randomness, no I/O, no state. All functions may be called concurrently.
package policy

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"ltl/internal/ledger"
)

const (
	// Default is the policy of a chain that names none.
	Default = "submitter & majority"
	// MaxText is the longest text of a policy, in bytes.
	MaxText = 4096
	// MaxOrganisations is the largest number of organisations on a chain: the bits of a Set.
	MaxOrganisations = 64
)

// Err is returned, wrapped, for a text that is not a policy.
var Err = errors.New("malformed policy")

// Policy says whose endorsements a transaction needs: terms joined by "&", all of which must hold. The terms are
//
//	submitter           the organisation of the account that the transaction is for
//	any                 at least one organisation of the chain
//	majority            more than half of them
//	all                 all of them
//	N-of                at least N of them, as in 2-of
//	N-of(a,b,…)         at least N of those named
//	org(a)              this one
//
// The zero Policy is never satisfied.
type Policy struct{ terms []term }

type termKind uint8

const (
	termSubmitter termKind = iota + 1
	termAny
	termMajority
	termAll
	termCount
	termOf
	termOrg
)

type term struct {
	kind  termKind
	n     int
	names []string
}

// Parse reads a policy; the empty text is Default. It returns Err, wrapped, for a text that does not follow the
// grammar.
func Parse(s string) (Policy, error) {
	if len(s) > MaxText {
		return Policy{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", Err, len(s), MaxText)
	}
	if s == "" {
		s = Default
	}
	var p Policy
	for part := range strings.SplitSeq(s, "&") {
		t, err := parseTerm(strings.Trim(part, " "))
		if err != nil {
			return Policy{}, err
		}
		p.terms = append(p.terms, t)
	}
	// State keeps the canonical text, which has two spaces more for every "&". It must be readable again.
	if len(s)+2*(len(p.terms)-1) > MaxText && len(p.String()) > MaxText {
		return Policy{}, fmt.Errorf("%w: its canonical text has %d bytes, at most %d are allowed", Err, len(p.String()),
			MaxText)
	}
	return p, nil
}

// Organisation is the policy that needs one organisation's endorsement.
func Organisation(id string) Policy {
	return Policy{terms: []term{{kind: termOrg, n: 1, names: []string{id}}}}
}

// Of is the policy that needs at least n of the organisations named. It is never satisfied when there are fewer.
func Of(n int, names ...string) Policy {
	return Policy{terms: []term{{kind: termOf, n: n, names: names}}}
}

// And is the policy that needs both.
func (p Policy) And(other Policy) Policy { return Policy{terms: slices.Concat(p.terms, other.terms)} }

// Demanding is the policy that needs this organisation's endorsement too.
func (p Policy) Demanding(organisation string) Policy {
	for _, t := range p.terms {
		if t.kind == termOrg && t.names[0] == organisation {
			return p
		}
	}
	return p.And(Organisation(organisation))
}

// Threshold returns how many of n organisations the policy needs, whichever they are; 1 at least.
func (p Policy) Threshold(n int) int {
	most := 1
	for _, t := range p.terms {
		switch t.kind {
		case termMajority:
			most = max(most, n/2+1)
		case termAll:
			most = max(most, n)
		case termCount:
			most = max(most, t.n)
		}
	}
	return most
}

func parseTerm(s string) (term, error) {
	switch s {
	case "submitter":
		return term{kind: termSubmitter}, nil
	case "any":
		return term{kind: termAny}, nil
	case "majority":
		return term{kind: termMajority}, nil
	case "all":
		return term{kind: termAll}, nil
	}
	head, list, named := strings.Cut(s, "(")
	var names []string
	if named {
		inner, closed := strings.CutSuffix(list, ")")
		if !closed {
			return term{}, fmt.Errorf("%w: term %q has no closing parenthesis", Err, s)
		}
		for name := range strings.SplitSeq(inner, ",") {
			name = strings.Trim(name, " ")
			if !ledger.ValidID(name, ledger.MaxOrganisationID) {
				return term{}, fmt.Errorf("%w: term %q names %q, which is not an organisation id", Err, s, name)
			}
			if slices.Contains(names, name) {
				return term{}, fmt.Errorf("%w: term %q names %q twice", Err, s, name)
			}
			names = append(names, name)
		}
	}
	if head == "org" && len(names) == 1 {
		return term{kind: termOrg, names: names}, nil
	}
	digits, isCount := strings.CutSuffix(head, "-of")
	n, err := strconv.Atoi(digits)
	if !isCount || err != nil || n < 1 || n > MaxOrganisations || strconv.Itoa(n) != digits || (named && n > len(names)) {
		return term{}, fmt.Errorf("%w: term %q is not one of submitter, any, majority, all, N-of, N-of(a,b), org(a)", Err, s)
	}
	if named {
		return term{kind: termOf, n: n, names: names}, nil
	}
	return term{kind: termCount, n: n}, nil
}

// String returns the policy's text in its one canonical form.
func (p Policy) String() string {
	parts := make([]string, len(p.terms))
	for i, t := range p.terms {
		switch t.kind {
		case termSubmitter:
			parts[i] = "submitter"
		case termAny:
			parts[i] = "any"
		case termMajority:
			parts[i] = "majority"
		case termAll:
			parts[i] = "all"
		case termCount:
			parts[i] = strconv.Itoa(t.n) + "-of"
		case termOf:
			parts[i] = strconv.Itoa(t.n) + "-of(" + strings.Join(t.names, ",") + ")"
		case termOrg:
			parts[i] = "org(" + t.names[0] + ")"
		}
	}
	return strings.Join(parts, " & ")
}

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
	// Submitter is the organisation of the process that submitted it. It must endorse whatever the policy says: no other
	// organisation's endorser can know that the process did. Where it is empty, because the organisation is not one of the
	// chain's, nothing is enough.
	Submitter Set
	// Account is the organisation that the term "submitter" means: that of the account. It differs from Submitter for a
	// facade that writes for another organisation's account. Empty when it is not one of the chain's.
	Account Set
	// Required are further organisations that must endorse whatever the policy says; usually empty.
	Required Set
}

// Own is the subject of a transaction for an account of the submitter's own organisation.
func (q *Quorum) Own(organisation string) Subject {
	set := q.Set(organisation)
	return Subject{Submitter: set, Account: set}
}

// must returns the organisations without which nothing is enough, whatever the policy says.
func (s *Subject) must() Set { return s.Submitter | s.Required }

// Quorum is a policy bound to the organisations of a chain. It is not changed once made.
type Quorum struct {
	organisations []string
	act           bool        // the policy names all that must endorse: no submitter is asked beside it
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

// Act is Quorum for a policy of the system chain, which says of one transaction all that it needs. Its Subject is not
// looked at.
func (p Policy) Act(organisations []string) Quorum {
	q := p.Quorum(organisations)
	q.act = true
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
	if !q.act && (s.Submitter == 0 || s.must()&^signed != 0) || q.submitter && s.Account&signed == 0 {
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

// Missing returns the organisations whose endorsement is lacking: those without which nothing is enough that have neither
// signed nor refused, or, when there are none, all such organisations that would bring the policy nearer to being satisfied.
func (q *Quorum) Missing(s Subject, signed, refused Set) Set {
	if must := s.must() &^ (signed | refused); must != 0 && !q.act {
		return must
	}
	var useful Set
	if q.submitter {
		useful = s.Account
	}
	for _, t := range q.thresholds {
		if (signed & t.of).Len() < t.n {
			useful |= t.of
		}
	}
	return useful &^ (signed | refused)
}

// Satisfiable reports whether the policy holds for an account of this organisation when every organisation of the chain
// endorses. Its own processes can write for it only where the chain has the organisation.
func (p Policy) Satisfiable(organisation string, organisations []string) bool {
	q := p.Quorum(organisations)
	return q.Satisfied(Subject{Submitter: q.All(), Account: q.Set(organisation)}, q.All())
}
