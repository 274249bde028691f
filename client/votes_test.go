package client

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"pgregory.net/rapid"

	"ltl/internal/identity"
	"ltl/internal/policy"
	"ltl/internal/rules"
)

// testChainOf makes a chain with a policy.
func testChainOf(p policy.Policy, organisations []string) *chain {
	return &chain{id: "1", policy: p, quorum: p.Quorum(organisations), organisations: organisations}
}

// TestVotesDecided: a count is decided exactly when no outcome of the open votes changes what becomes of any
// submission.
func TestVotesDecided(t *testing.T) {
	policies := []string{"submitter & majority", "majority", "any", "all", "2-of", "1-of(a,b) & org(c)", "submitter"}
	rapid.Check(t, func(rt *rapid.T) {
		parsed, err := policy.Parse(rapid.SampledFrom(policies).Draw(rt, "policy"))
		if err != nil {
			rt.Fatal(err)
		}
		ch := testChainOf(parsed, []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(rt, "organisations")])
		n := len(ch.organisations)
		submissions := make([]*submission, rapid.IntRange(1, 3).Draw(rt, "submissions"))
		for i := range submissions {
			submissions[i] = &submission{organisation: rapid.SampledFrom([]string{"a", "b", "e"}).Draw(rt, "submitter")}
		}
		own := rapid.SampledFrom([]string{"a", "b", "e"}).Draw(rt, "own")
		votes := newVoteCount(ch, identity.Identity{Organisation: own}, submissions)
		votes.open = ch.quorum.All()
		for o := range n {
			switch rapid.IntRange(0, 2).Draw(rt, "vote") {
			case 0: // still open
			case 1:
				votes.add(vote{organisation: o, err: errInvalidResponse})
			case 2:
				v := vote{organisation: o, accepted: make([]bool, len(submissions)), codes: make([]int32, len(submissions))}
				for i := range submissions {
					v.accepted[i], v.codes[i] = rapid.Bool().Draw(rt, "accepts"), rules.Forbidden
				}
				votes.add(v)
			}
		}
		if got, want := votes.decided(), !mayChange(votes, own); got != want {
			rt.Fatalf("decided is %v, want %v: %+v", got, want, votes)
		}
	})
}

// mayChange tries every outcome of the open votes on each submission: it is endorsed, refused for good (also if all
// that did not answer had accepted), or neither. That it may be refused for good counts once an organisation has
// refused it.
func mayChange(t *voteCount, own string) bool {
	for i, k := range t.submissions {
		fates := map[string]bool{}
		for mask := range policy.Set(1 << len(t.chain.organisations)) {
			signed := t.signed[i] | t.open&mask
			willing := t.chain.quorum.All() &^ t.refused[i] &^ (t.open &^ mask)
			q := t.chain.quorum
			satisfied := func(by policy.Set) bool {
				return q.Satisfied(policy.Subject{Submitter: q.Set(own), Account: q.Set(k.organisation)}, by)
			}
			switch {
			case satisfied(signed):
				fates["endorsed"] = true
			case t.refused[i] != 0 && !satisfied(willing):
				fates["refused"] = true
			default:
				fates["neither"] = true
			}
		}
		if len(fates) > 1 {
			return true
		}
	}
	return false
}

func TestRefusalCode(t *testing.T) {
	parsed, err := policy.Parse("all")
	if err != nil {
		t.Fatal(err)
	}
	ch := testChainOf(parsed, []string{"a", "b", "c", "d"})
	for _, tc := range []struct {
		submitter string
		codes     []int32 // 0 for no answer
		want      int32
	}{
		{"a", []int32{rules.NotFound, rules.Forbidden, rules.Forbidden, 0}, rules.NotFound},
		{"d", []int32{rules.NotFound, rules.Forbidden, rules.Forbidden, 0}, rules.Forbidden},
		{"d", []int32{rules.Forbidden, rules.NotFound, rules.OK, rules.OK}, rules.Forbidden},
		{"x", []int32{rules.OK, rules.OK, rules.QuotaExceeded, rules.OK}, rules.QuotaExceeded},
		{"x", []int32{0, 0, 0, 0}, rules.NotEndorsed},
	} {
		votes := newVoteCount(ch, identity.Identity{Organisation: tc.submitter}, []*submission{{organisation: tc.submitter}})
		for o, code := range tc.codes {
			if code != 0 {
				votes.add(vote{organisation: o, accepted: []bool{code == rules.OK}, codes: []int32{code}})
			}
		}
		if got := votes.refusalCode(0); got != tc.want {
			t.Errorf("submitter %s, codes %v: %d, want %d", tc.submitter, tc.codes, got, tc.want)
		}
	}
}

func TestMissingReportsOverload(t *testing.T) {
	parsed, err := policy.Parse("all")
	if err != nil {
		t.Fatal(err)
	}
	votes := newVoteCount(testChainOf(parsed, []string{"a", "b"}), identity.Identity{Organisation: "b"}, []*submission{{organisation: "b"}})
	votes.add(vote{organisation: 0, err: status.Error(codes.Unavailable, "down")})
	if err := votes.missing(0); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	votes.add(vote{organisation: 1, err: status.Error(codes.ResourceExhausted, "busy")})
	if err := votes.missing(0); !errors.Is(err, ErrOverloaded) {
		t.Error(err)
	}
}

// TestNamesCountForDevicesOnly: whatever the answers name, a transaction that no device signed needs what the policy
// says and no more. One that a device signed needs that, and all named organisations unless the answers contradict one
// another.
func TestNamesCountForDevicesOnly(t *testing.T) {
	parsed, err := policy.Parse("2-of")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		ch := testChainOf(parsed, []string{"a", "b", "c", "d"})
		submissions := []*submission{{organisation: "a"},
			{organisation: "a", device: true, ledgerDecides: rapid.Bool().Draw(rt, "disputed")}}
		own := rapid.SampledFrom([]string{"a", "b", "e"}).Draw(rt, "own")
		votes := newVoteCount(ch, identity.Identity{Organisation: own}, submissions)
		votes.open = ch.quorum.All()
		named, silent := map[string]bool{}, false
		for o := range ch.organisations {
			v := vote{organisation: o, accepted: make([]bool, 2), codes: []int32{rules.Forbidden, rules.Forbidden}}
			for i := range submissions {
				v.accepted[i] = rapid.Bool().Draw(rt, "accepts")
			}
			for range rapid.IntRange(0, 3).Draw(rt, "names") {
				v.required = append(v.required, rapid.SampledFrom([]string{"", "a", "d", "x"}).Draw(rt, "name"))
			}
			known := len(v.required) == 2 && (v.required[1] == "a" || v.required[1] == "d")
			if known {
				named[v.required[1]] = true
			}
			silent = silent || v.accepted[1] && !known
			votes.add(v)
		}
		for mask := range policy.Set(1 << len(ch.organisations)) {
			if votes.complete(0, mask) != votes.enough(0, mask) {
				rt.Fatalf("a record without a device is judged by what is named: %+v", votes.subjects)
			}
			want := votes.enough(1, mask) && (!named["a"] || mask.Has(0)) && (!named["d"] || mask.Has(3))
			if votes.complete(1, mask) != want {
				rt.Fatalf("a device's upload with signatures %b is complete: %v, want %v: %+v", mask, !want, want, votes.subjects)
			}
		}
		if got, want := votes.disputed(1), !submissions[1].ledgerDecides &&
			(len(named) > 1 || len(named) == 1 && silent); got != want || votes.disputed(0) {
			rt.Fatalf("disputed is %v, want %v: %+v", got, want, votes.subjects)
		}
	})
}
