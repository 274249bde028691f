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
//	submitter           the submitter's organisation
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
