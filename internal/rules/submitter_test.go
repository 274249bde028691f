package rules

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

func delegates(facades ...string) *ltlv1.Transaction_SetDelegates {
	return &ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{Facades: facades}}
}

// TestNotEntitledWritesNothing: a process that may not speak for an account uses up neither the nonce that it names nor
// the transaction: the right facade uses the nonce afterwards, and the same bytes succeed once they may.
func TestNotEntitledWritesNothing(t *testing.T) {
	w := newWorld(t)
	stolen := w.tx(m1UID, set(w.key(m1UID, "a"), "v"))
	signed(stolen, "n").Submitter = "o2/facade/evil"
	byClient := w.tx(m2UID, set(w.key(m2UID, "a"), "v"))
	byClient.Submitter, byClient.AccessKeyId, byClient.SignatureNonce = "o2/client/c", keyOf(m1UID), "n"
	x := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{marshal(t, stolen), marshal(t, byClient)}, "o1", "o2", "o3"))
	if got := x.Block.GetResults(); !equal(got, []int32{NotEntitled, NotEntitled}) || len(x.Writes) != 0 {
		t.Fatalf("codes %v, writes %v", got, x.Writes)
	}
	if r := x.Results[0]; r[0].GetReason() != fmt.Sprintf(reasonSubmitter, "o2/facade/evil", "o1") ||
		r[1].GetReason() != reasonKeyNotFacade {
		t.Errorf("reasons: %v", r)
	}
	w.commit(w.chain.ID, x)
	right := w.tx(m1UID, set(w.key(m1UID, "b"), "v"))
	w.must(signed(right, "n"))
	stolen.SignatureNonce = "another"
	w.want("before the delegation", stolen, NotEntitled)
	w.must(by("o1", w.operator(delegates("o2/facade/evil"))))
	w.want("the same bytes after the delegation", stolen, OK)
	w.must(by("o1", w.operator(delegates())))
	w.want("after its end", stolen, NotEntitled)
}

// TestSetDelegates: what may be delegated to, and by whom.
func TestSetDelegates(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		what    string
		facades []string
		want    int32
	}{
		{"none", nil, OK},
		{"two", []string{"o1/facade/a", "o3/facade/b"}, OK},
		{"not in order", []string{"o3/facade/b", "o1/facade/a"}, OutOfRange},
		{"twice", []string{"o1/facade/a", "o1/facade/a"}, OutOfRange},
		{"a client", []string{"o1/client/a"}, OutOfRange},
		{"no identity", []string{"o1/facade"}, OutOfRange},
		{"its own", []string{"o2/facade/f"}, OutOfRange},
		{"an organisation to come", []string{"o9/facade/f"}, NotFound},
	} {
		w.want(c.what, by("o2", w.operator(delegates(c.facades...))), c.want)
	}
	var many []string
	for i := range MaxDelegates + 1 {
		many = append(many, fmt.Sprint("o1/facade/", i))
	}
	w.want("too many", by("o2", w.operator(delegates(many...))), OutOfRange)
	w.must(by("o2", w.operator(delegates(many[1:]...))))
	facts, err := GetOrganisationFacts(w.state, "o2")
	if err != nil || len(facts.Delegates) != MaxDelegates || facts.Standing != StandingActive {
		t.Errorf("facts %+v, %v", facts, err)
	}
	alone := w.batch(ledger.SystemChain, [][]byte{marshal(t, by("o2", w.operator(delegates())))}, "o1", "o3")
	if got := w.codes(alone); got[0] != NotEndorsed {
		t.Errorf("without its own endorsement: %v", got)
	}
}

// TestSpeaksForProperty: whatever delegates there are, a submitter speaks for an account if and only if it is a client,
// operator or facade of the account's organisation, or a facade that the account's organisation names.
func TestSpeaksForProperty(t *testing.T) {
	w := newWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		world := w.copy()
		named := map[string][]string{}
		for _, o := range organisations() {
			var list []string
			for _, f := range []string{"o1/facade/a", "o1/facade/b", "o2/facade/a", "o3/facade/a"} {
				if f[:2] != o && rapid.Bool().Draw(rt, o+" names "+f) {
					list = append(list, f)
				}
			}
			named[o] = list
			world.must(by(o, world.operator(delegates(list...))))
		}
		organisation := rapid.SampledFrom(organisations()).Draw(rt, "organisation")
		role := rapid.SampledFrom([]string{"facade", "client", "operator", "node", "endorser"}).Draw(rt, "role")
		name := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "name")
		uid := rapid.SampledFrom([]string{m1UID, m2UID}).Draw(rt, "uid")
		tx := world.tx(uid, set(world.key(uid, "id"), "v"))
		tx.Submitter = organisation + "/" + role + "/" + name
		owner := map[string]string{m1UID: "o1", m2UID: "o2"}[uid]
		want := organisation == owner && role != "node" && role != "endorser"
		for _, f := range named[owner] {
			want = want || f == tx.Submitter
		}
		if got := world.code(tx); (got == OK) != want || got != OK && got != NotEntitled {
			rt.Fatalf("%s for an account of %s, which names %v: %d", tx.Submitter, owner, named[owner], got)
		}
	})
}
