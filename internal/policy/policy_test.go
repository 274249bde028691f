package policy

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// satisfied is the count as a reader would write it down: organisations by name in a map. It is the model for Quorum.
// submitter is the process' organisation, account that of the account.
func satisfied(p Policy, submitter, account string, organisations []string, signed map[string]bool) bool {
	of := func(names []string) (n int) {
		for _, o := range names {
			if signed[o] && slices.Contains(organisations, o) {
				n++
			}
		}
		return n
	}
	total := of(organisations)
	for _, t := range p.terms {
		var ok bool
		switch t.kind {
		case termSubmitter:
			ok = of([]string{account}) == 1
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
	return len(p.terms) > 0 && of([]string{submitter}) == 1
}

// setOf returns the set of the named organisations; those that the chain does not have are left out.
func setOf(q *Quorum, names ...string) (s Set) {
	for _, n := range names {
		s |= q.Set(n)
	}
	return s
}

func TestSatisfied(t *testing.T) {
	four := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		policy string
		orgs   []string
		signed string
		want   bool
	}{
		{"submitter", four, "a", true}, {"submitter", four, "b", false}, {"submitter", []string{"b"}, "a", false},
		{"any", four, "a", true}, {"any", four, "b c d", false}, {"any", []string{"b"}, "b", false},
		{"any", four, "", false}, {"any", four, "x", false}, {"any", nil, "a", false},
		{"majority", four, "a b", false}, {"majority", four, "a c d", true}, {"majority", four, "b c d", false},
		{"majority", []string{"a"}, "a", true}, {"majority", nil, "", false},
		{"majority", four, "a b x y", false}, {"majority", []string{"a", "b", "c"}, "a c", true},
		{"all", four, "a b c d", true}, {"all", four, "a b c", false}, {"all", nil, "", false},
		{"2-of", four, "a d", true}, {"2-of", four, "a", false}, {"2-of", four, "a x", false}, {"2-of", four, "c d", false},
		{"2-of(b,c)", four, "a b c", true}, {"2-of(b,c)", four, "a b", false}, {"2-of(b,c)", four, "b c", false},
		{"1-of(x,b)", four, "a x", false},
		{"org(d)", four, "a d", true}, {"org(d)", four, "a b c", false}, {"org(d)", four, "d", false},
		{"org(x)", four, "a x", false},
		{"submitter & majority", four, "b c d", false}, {"submitter & majority", four, "a c d", true},
		{"", four, "a c d", true}, {"", four, "a", false},
		{"any&org(b)", four, "a b", true}, {"any&org(b)", four, "a", false},
		{"org(b)&any", four, "a b", true}, {"org(b)&any", four, "a", false},
	} {
		p, err := Parse(c.policy)
		if err != nil {
			t.Fatal(err)
		}
		q := p.Quorum(c.orgs)
		signed := map[string]bool{"z": false}
		for _, o := range strings.Fields(c.signed) {
			signed[o] = true
		}
		if got := satisfied(p, "a", "a", c.orgs, signed); got != c.want {
			t.Errorf("model: %q of %v, signed %q: %v", c.policy, c.orgs, c.signed, got)
		}
		set := setOf(&q, strings.Fields(c.signed)...)
		if got := q.Satisfied(q.Own("a"), set); got != c.want {
			t.Errorf("%q of %v, signed %q: %v", c.policy, c.orgs, c.signed, got)
		}
	}
	var zero Policy
	if zero.Satisfiable("a", four) {
		t.Error("the zero policy can be satisfied")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, s := range []string{
		" ", "&", "submitter &", "nothing", "Any", "0-of", "-1-of", "+1-of", "01-of", "65-of", "2-of()", "2-of(a)",
		"1-of(a,a)",
		"1-of(A)", "1-of(a", "1-of(a))", "-of", "of", "x-of", "org", "org()", "org(a,b)", "org(a)x", "any any", "any()",
		"any(a)",
		"1-of(a,,b)", strings.Repeat("any&", MaxText/4) + "any",
	} {
		if p, err := Parse(s); !errors.Is(err, Err) {
			t.Errorf("%q is %q, %v", s, p, err)
		}
	}
}

// TestCanonicalLength: a chain keeps the canonical text, which is longer than the text given. It must be readable
// again.
func TestCanonicalLength(t *testing.T) {
	for _, n := range []int{1, 10, 683, 684, 1024} {
		p, err := Parse(strings.Repeat("any&", n-1) + "any")
		if err != nil {
			continue
		}
		if _, err := Parse(p.String()); err != nil {
			t.Errorf("%d terms are accepted, but their canonical text is not: %v", n, err)
		}
	}
}

// FuzzParse: a policy's canonical text is a fixed point and has the same meaning.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", Default, "any&all", "2-of", " 2-of(a, b ,c-1) & org(x)", "0-of", "3-of(a,b)", "org()", "org(a", "&", "submitter&",
		"1-of(a,a)", "01-of",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(s)
		if err != nil {
			if !errors.Is(err, Err) {
				t.Fatal(err)
			}
			return
		}
		q, err := Parse(p.String())
		if err != nil || !reflect.DeepEqual(p, q) || q.String() != p.String() {
			t.Fatalf("%q became %q became %q, %v", s, p, q, err)
		}
	})
}

// drawPolicy draws a policy of up to four terms over the organisations a to e.
func drawPolicy(rt *rapid.T) Policy {
	term := rapid.SampledFrom([]string{
		"submitter", "any", "majority", "all", "1-of", "2-of", "3-of", "1-of(a,b)", "2-of(b,c,d)", "org(a)", "org(e)",
	})
	p, err := Parse(strings.Join(rapid.SliceOfN(term, 1, 4).Draw(rt, "terms"), "&"))
	if err != nil {
		rt.Fatal(err)
	}
	return p
}

// TestQuorumCountsLikeTheModel: for every set of signatures the bit sets and the model by names agree, a further
// endorsement never makes a satisfied policy unsatisfied, and Possible and Missing agree with trying every set.
func TestQuorumCountsLikeTheModel(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPolicy(rt)
		orgs := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(rt, "organisations")
		q := p.Quorum(orgs)
		submitter := rapid.SampledFrom(names).Draw(rt, "submitter")
		account := rapid.SampledFrom(names).Draw(rt, "account")
		required := rapid.SampledFrom(append([]string{""}, names...)).Draw(rt, "required")
		s := Subject{Submitter: q.Set(submitter), Account: q.Set(account), Required: q.Set(required)}
		must := s.Submitter | s.Required
		model := func(set Set) bool {
			signed := map[string]bool{}
			for i, o := range orgs {
				signed[o] = set.Has(i)
			}
			return satisfied(p, submitter, account, orgs, signed) && (!slices.Contains(orgs, required) || signed[required])
		}
		for set := range q.All() + 1 {
			if q.Satisfied(s, set) != model(set) {
				rt.Fatalf("%s of %v by %s for %s, required %q, signed %b: %v", p, orgs, submitter, account, required, set,
					q.Satisfied(s, set))
			}
			for i := range orgs {
				if model(set.Without(i)) && !q.Satisfied(s, set.With(i)) {
					rt.Fatalf("%s of %v: %s makes it unsatisfied", p, orgs, orgs[i])
				}
			}
			if q.Possible(s, set) != model(q.All()&^set) {
				rt.Fatalf("%s of %v, refused by %b: possible is %v", p, orgs, set, q.Possible(s, set))
			}
			missing := q.Missing(s, set, 0)
			if missing&set != 0 || q.Possible(s, 0) && !q.Satisfied(s, set) && missing == 0 {
				rt.Fatalf("%s of %v, signed %b: missing %b", p, orgs, set, missing)
			}
			if must&^set != 0 && missing != must&^set {
				rt.Fatalf("%s of %v, signed %b: missing %b, needed whatever the policy says is %b", p, orgs, set, missing, must)
			}
		}
		if s.Submitter != 0 && q.Satisfied(s, q.All()) != p.Satisfiable(account, orgs) {
			rt.Fatalf("%s of %v for %s: satisfiable is %v", p, orgs, account, p.Satisfiable(account, orgs))
		}
	})
}

// TestSubmitterEndorses: whatever the policy, the account and what else is required, no set of endorsements is enough
// without that of the submitter's organisation, and none where the chain does not have it.
func TestSubmitterEndorses(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(rt *rapid.T) {
		p := drawPolicy(rt)
		orgs := rapid.SliceOfDistinct(rapid.SampledFrom(names), rapid.ID[string]).Draw(rt, "organisations")
		q := p.Quorum(orgs)
		submitter := q.Set(rapid.SampledFrom(append(names, "")).Draw(rt, "submitter"))
		s := Subject{Submitter: submitter, Account: q.Set(rapid.SampledFrom(names).Draw(rt, "account")),
			Required: q.Set(rapid.SampledFrom(names).Draw(rt, "required"))}
		for set := range q.All() + 1 {
			if q.Satisfied(s, set) && (submitter == 0 || set&submitter == 0) {
				rt.Fatalf("%s of %v by %b is satisfied by %b", p, orgs, submitter, set)
			}
		}
		if submitter == 0 && q.Possible(s, 0) {
			rt.Fatalf("%s of %v is possible without a submitter", p, orgs)
		}
	})
}

// TestAct: a policy that says of one transaction all that it needs is counted alone.
func TestAct(t *testing.T) {
	p := Organisation("a").And(Of(2, "b", "c"))
	if text := p.Demanding("a").String(); text != "org(a) & 2-of(b,c)" {
		t.Errorf("it demands twice: %s", text)
	}
	if text := p.Demanding("b").String(); text != "org(a) & 2-of(b,c) & org(b)" {
		t.Errorf("it does not demand: %s", text)
	}
	q := p.Act([]string{"a", "b", "c"})
	for set, want := range map[Set]bool{0b111: true, 0b110: false, 0b101: false, 0b001: false} {
		if q.Satisfied(Subject{}, set) != want {
			t.Errorf("signed %b: %v", set, !want)
		}
	}
	if missing := q.Missing(Subject{Submitter: q.Set("b")}, 0b010, 0); missing != 0b101 {
		t.Errorf("missing %b", missing)
	}
}

// TestLargestChain: the 64th organisation counts like any other.
func TestLargestChain(t *testing.T) {
	orgs := make([]string, MaxOrganisations)
	for i := range orgs {
		orgs[i] = fmt.Sprintf("o%d", i)
	}
	for policy, least := range map[string]int{"all": 64, "majority": 33, "any": 1, "64-of": 64, "org(o63)": 1} {
		p, err := Parse(policy)
		if err != nil {
			t.Fatal(err)
		}
		q := p.Quorum(orgs)
		if q.All().Len() != MaxOrganisations {
			t.Fatalf("the set of all organisations has %d", q.All().Len())
		}
		var set Set
		own := q.Own("o63")
		for n := range MaxOrganisations {
			if q.Satisfied(own, set) != (n >= least) {
				t.Errorf("%s with %d endorsements: %v", policy, n, q.Satisfied(own, set))
			}
			set = set.With(MaxOrganisations - 1 - n)
		}
		if !q.Satisfied(own, set) {
			t.Errorf("%s is not satisfied by all", policy)
		}
	}
}

func BenchmarkSatisfied(b *testing.B) {
	p, err := Parse(Default)
	if err != nil {
		b.Fatal(err)
	}
	q := p.Quorum([]string{"a", "b", "c"})
	s := q.Own("a")
	b.ReportAllocs()
	for b.Loop() {
		if !q.Satisfied(s, 3) {
			b.Fatal("not satisfied")
		}
	}
}
