package rules

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPolicySatisfied(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		policy string
		orgs   []string
		signed string
		want   bool
	}{
		{"submitter", four, "a", true}, {"submitter", four, "b", false}, {"submitter", []string{"b"}, "a", false},
		{"any", four, "d", true}, {"any", four, "", false}, {"any", four, "x", false}, {"any", nil, "a", false},
		{"majority", four, "a b", false}, {"majority", four, "b c d", true}, {"majority", []string{"a"}, "a", true}, {"majority", nil, "", false},
		{"majority", four, "a b x y", false}, {"majority", []string{"a", "b", "c"}, "b c", true},
		{"all", four, "a b c d", true}, {"all", four, "a b c", false}, {"all", nil, "", false},
		{"2-of", four, "c d", true}, {"2-of", four, "c", false}, {"2-of", four, "c x", false},
		{"2-of(b,c)", four, "b c", true}, {"2-of(b,c)", four, "a b", false}, {"1-of(x,b)", four, "x", false},
		{"org(d)", four, "d", true}, {"org(d)", four, "a b c", false}, {"org(x)", four, "x", false},
		{"submitter & majority", four, "b c d", false}, {"submitter & majority", four, "a c d", true}, {"", four, "a c d", true}, {"", four, "a", false},
		{"any&org(b)", four, "b", true}, {"any&org(b)", four, "a", false},
	} {
		p, err := ParsePolicy(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		signed := map[string]bool{"z": false}
		for _, o := range strings.Fields(c.signed) {
			signed[o] = true
		}
		if got := p.Satisfied("a", c.orgs, signed); got != c.want {
			t.Errorf("%q of %v, signed %q: %v", c.policy, c.orgs, c.signed, got)
		}
	}
	if (Policy{}).Satisfied("a", four, map[string]bool{"a": true, "b": true, "c": true, "d": true}) {
		t.Error("the zero policy is satisfied")
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	for _, s := range []string{
		" ", "&", "submitter &", "nobody", "Any", "0-of", "-1-of", "+1-of", "01-of", "65-of", "2-of()", "2-of(a)", "1-of(a,a)", "1-of(A)", "1-of(a", "1-of(a))", "-of", "of", "x-of",
		"org", "org()", "org(a,b)", "org(a)x", "any any", "any()", "any(a)", "1-of(a,,b)", strings.Repeat("any&", MaxPolicy/4) + "any",
	} {
		if p, err := ParsePolicy(s); !errors.Is(err, ErrPolicy) {
			t.Errorf("%q is %q, %v", s, p, err)
		}
	}
}

// TestPolicyMonotone: a further signature never spoils a policy.
func TestPolicyMonotone(t *testing.T) {
	term := rapid.SampledFrom([]string{"submitter", "any", "majority", "all", "1-of", "2-of", "3-of", "1-of(a,b)", "2-of(b,c,d)", "org(a)", "org(e)"})
	rapid.Check(t, func(rt *rapid.T) {
		p, err := ParsePolicy(strings.Join(rapid.SliceOfN(term, 1, 4).Draw(rt, "terms"), "&"))
		if err != nil {
			rt.Fatal(err)
		}
		orgs := rapid.SliceOfDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), rapid.ID[string]).Draw(rt, "orgs")
		signed := map[string]bool{}
		before := p.Satisfied("a", orgs, signed)
		for _, o := range rapid.Permutation([]string{"a", "b", "c", "d", "e"}).Draw(rt, "order") {
			signed[o] = true
			after := p.Satisfied("a", orgs, signed)
			if before && !after {
				rt.Fatalf("%s of %v: %s spoils it", p, orgs, o)
			}
			before = after
		}
		if before != p.satisfiable("a", orgs) {
			rt.Fatalf("%s of %v: satisfiable %v", p, orgs, p.satisfiable("a", orgs))
		}
	})
}
