package rules

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DefaultPolicy is the policy of a chain that names none.
const DefaultPolicy = "submitter & majority"

// ErrPolicy is returned, wrapped, for a text that is no policy.
var ErrPolicy = errors.New("malformed policy")

// Policy says whose endorsements a transaction needs: terms joined by "&", all of which must hold. Terms are
//
//	submitter           the submitter's organisation
//	any                 at least one organisation of the chain
//	majority            more than half of them
//	all                 every one
//	N-of                at least N of them, as in 2-of
//	N-of(a,b,…)         at least N of those named
//	org(a)              this one
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

// ParsePolicy reads a policy; the empty text is DefaultPolicy. It returns ErrPolicy, wrapped, for anything else that does
// not follow the grammar.
func ParsePolicy(s string) (Policy, error) {
	if len(s) > MaxPolicy {
		return Policy{}, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrPolicy, len(s), MaxPolicy)
	}
	if s == "" {
		s = DefaultPolicy
	}
	var p Policy
	for part := range strings.SplitSeq(s, "&") {
		t, err := parseTerm(strings.Trim(part, " "))
		if err != nil {
			return Policy{}, err
		}
		p.terms = append(p.terms, t)
	}
	// State keeps the canonical text, which has two spaces more for every "&": it must be readable again.
	if len(s)+2*(len(p.terms)-1) > MaxPolicy && len(p.String()) > MaxPolicy {
		return Policy{}, fmt.Errorf("%w: its canonical text has %d bytes, at most %d are allowed", ErrPolicy, len(p.String()), MaxPolicy)
	}
	return p, nil
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
			return term{}, fmt.Errorf("%w: term %q has no closing parenthesis", ErrPolicy, s)
		}
		for name := range strings.SplitSeq(inner, ",") {
			name = strings.Trim(name, " ")
			if !validID(name, MaxOrganisationID) || slices.Contains(names, name) {
				return term{}, fmt.Errorf("%w: term %q names %q, which is no organisation id or stands twice", ErrPolicy, s, name)
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
		return term{}, fmt.Errorf("%w: term %q is none of submitter, any, majority, all, N-of, N-of(a,b), org(a)", ErrPolicy, s)
	}
	if named {
		return term{kind: termOf, n: n, names: names}, nil
	}
	return term{kind: termCount, n: n}, nil
}

// String is the policy's text in its one canonical form.
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

// Satisfied reports whether the organisations in signed are enough. Only organisations of the chain count, whatever
// signed says. The zero Policy is never satisfied.
func (p Policy) Satisfied(submitterOrg string, organisations []string, signed map[string]bool) bool {
	total := 0
	for _, o := range organisations {
		if signed[o] {
			total++
		}
	}
	of := func(names []string) (n int) {
		for _, o := range names {
			if signed[o] && slices.Contains(organisations, o) {
				n++
			}
		}
		return n
	}
	for _, t := range p.terms {
		var ok bool
		switch t.kind {
		case termSubmitter:
			ok = signed[submitterOrg] && slices.Contains(organisations, submitterOrg)
		case termAny:
			ok = total > 0
		case termMajority:
			ok = 2*total > len(organisations)
		case termAll:
			ok = total > 0 && total == len(organisations)
		case termCount:
			ok = total >= t.n
		case termOf:
			ok = of(t.names) >= t.n
		case termOrg:
			ok = of(t.names) == 1
		}
		if !ok {
			return false
		}
	}
	return len(p.terms) > 0
}

// satisfiable reports whether the policy holds when every organisation of the chain has signed.
func (p Policy) satisfiable(submitterOrg string, organisations []string) bool {
	signed := make(map[string]bool, len(organisations))
	for _, o := range organisations {
		signed[o] = true
	}
	return p.Satisfied(submitterOrg, organisations, signed)
}
