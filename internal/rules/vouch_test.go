package rules

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// ran reports whether a result code says that a transaction was judged by more than its form and its endorsements: that
// it stands on the ledger in its submitter's name, or that its submitter was looked at.
func ran(code int32) bool {
	return !slices.Contains([]int32{NotEndorsed, EndorsementExpired, Malformed, ClocksDisagree, TooFewClocks, Duplicate}, code)
}

// TestSubmitterVouches: for all policies, submitters and accounts, and whichever organisations endorse which transactions
// of a batch, none is judged that its submitter's own organisation has not endorsed. The leader and
// execution agree.
func TestSubmitterVouches(t *testing.T) {
	terms := []string{"submitter", "any", "majority", "all", "1-of", "2-of", "3-of", "1-of(o2,o3)", "2-of(o1,o3)", "org(o3)"}
	submitters := []string{"o1/facade/f1", "o1/client/c", "o2/facade/evil", "o2/client/c", "o3/operator/o", "o4/client/c"}
	base := newWorld(t)
	base.must(by("o1", base.operator(delegates("o2/facade/evil"))))
	judged := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := base.copy()
		c := *base.chain
		c.Policy = strings.Join(rapid.SliceOfN(rapid.SampledFrom(terms), 1, 3).Draw(rt, "policy"), " & ")
		c.Organisations = rapid.SliceOfNDistinct(rapid.SampledFrom(organisations()), 1, 3, rapid.ID[string]).Draw(rt, "chain")
		w.chain = &c
		w.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(prefixChain + c.ID), Value: c.encode()}})
		var payloads [][]byte
		for i, submitter := range submitters {
			uid := rapid.SampledFrom([]string{rootUID, m1UID, m2UID}).Draw(rt, "account")
			tx := w.tx(uid, set(w.key(uid, fmt.Sprint("id", i)), "v"))
			tx.Submitter = submitter
			payloads = append(payloads, marshal(t, tx))
		}
		for signers := range 1 << len(c.Organisations) {
			b := w.batch(c.ID, payloads)
			accepted := map[string][]bool{}
			for at, o := range c.Organisations {
				if signers>>at&1 == 1 {
					s := w.statement(b, o)
					accepted[o] = rapid.SliceOfN(rapid.Bool(), len(submitters), len(submitters)).Draw(rt, o+" accepts")
					if rapid.Bool().Draw(rt, o+" accepts all") {
						accepted[o] = slices.Repeat([]bool{true}, len(submitters))
					}
					s.Accepted = ledger.Bitmap(accepted[o])
					b.Endorsements = append(b.Endorsements, s.Sign(w.keys[o]))
				}
			}
			for i, code := range w.codes(b) {
				own, _, _ := strings.Cut(submitters[i], "/")
				if ran(code) && (len(accepted[own]) == 0 || !accepted[own][i]) {
					rt.Fatalf("policy %q of %v: %d for %s, accepted by %v", c.Policy, c.Organisations, code, submitters[i], accepted)
				}
				if ran(code) {
					judged++
				}
			}
		}
	})
	if judged == 0 {
		t.Error("no transaction was endorsed")
	}
}

// TestForgedSubmitter: on a chain whose policy one organisation meets alone, that one writes nothing in the name of
// another one's process, also not a refusal, and uses up no nonce. The answer names whose endorsement is lacking.
func TestForgedSubmitter(t *testing.T) {
	for _, policy := range []string{"any", "1-of", "org(o3)", "1-of(o2,o3)"} {
		w := onPolicy(t, policy)
		forged := signed(w.record("forged"), "n") // through o1/facade/f1
		p := marshal(t, forged)
		b := w.batch(w.chain.ID, [][]byte{p, marshal(t, w.tx(m1UID, set("no key", "v")))}, "o2", "o3")
		x := w.execute(w.chain.ID, b)
		if got := x.Block.GetResults(); !equal(got, []int32{NotEndorsed, NotEndorsed}) || len(x.Writes) != 0 {
			t.Fatalf("%s: codes %v, writes %v", policy, got, x.Writes)
		}
		a, err := Admit(w.input(w.chain.ID, b), w.state, ledger.VerifyEndorsement)
		want := fmt.Sprintf(reasonSubmitterSilent, "o1", "facade", "o1")
		if err != nil || a.Reasons[0] != want || x.Results[0][0].GetReason() != want {
			t.Errorf("%s: %v, %v, %q", policy, a, err, x.Results[0][0].GetReason())
		}
		w.commit(w.chain.ID, x)
		if got := w.codes(w.batch(w.chain.ID, [][]byte{p}, "o1", "o3")); got[0] != OK {
			t.Errorf("%s: by the right one: %v", policy, got)
		}
	}
}

// TestDelegateVouches: for a facade that writes for another organisation's account its own organisation endorses. The
// account's is asked only where the policy says so: that it named the facade on the ledger is its consent.
func TestDelegateVouches(t *testing.T) {
	for policy, want := range map[string]map[string]int32{
		"any":                  {"o2": OK, "o1": NotEndorsed, "o1 o3": NotEndorsed},
		"submitter":            {"o2": NotEndorsed, "o1": NotEndorsed, "o1 o2": OK},
		"submitter & majority": {"o2 o3": NotEndorsed, "o1 o3": NotEndorsed, "o1 o2": OK},
	} {
		w := onPolicy(t, policy)
		w.must(by("o1", w.operator(delegates("o2/facade/f2"))))
		tx := w.record("delegated")
		tx.Submitter = "o2/facade/f2"
		for signers, code := range want {
			b := w.batch(w.chain.ID, [][]byte{marshal(t, tx)}, strings.Fields(signers)...)
			if got := w.codes(b); got[0] != code {
				t.Errorf("%s, endorsed by %s: %d, want %d", policy, signers, got[0], code)
			}
		}
	}
}

// TestSeveralSubmitters: a batch whose transactions have submitters of several organisations needs the endorsement of
// each of them for its own.
func TestSeveralSubmitters(t *testing.T) {
	w := onPolicy(t, "any")
	second := w.tx(m2UID, set(w.key(m2UID, "second"), "v"))
	second.Submitter = "o2/client/c"
	payloads := [][]byte{marshal(t, w.record("first")), marshal(t, second)}
	for signers, want := range map[string][]int32{
		"o1": {OK, NotEndorsed}, "o2": {NotEndorsed, OK}, "o3": {NotEndorsed, NotEndorsed}, "o1 o2": {OK, OK},
	} {
		if got := w.codes(w.batch(w.chain.ID, payloads, strings.Fields(signers)...)); !equal(got, want) {
			t.Errorf("endorsed by %s: %v, want %v", signers, got, want)
		}
	}
}

// TestSubmitterOffTheChain: a process whose organisation does not endorse on the chain gets that as the reason before
// anyone signs, and nothing of it is taken whatever is signed. Where it may not write at all, that is the reason.
func TestSubmitterOffTheChain(t *testing.T) {
	w := onPolicy(t, "any")
	w.chain.Organisations = []string{"o1", "o3"}
	w.state.store(ledger.SystemChain, []ledger.Write{{Key: []byte(prefixChain + w.chain.ID), Value: w.chain.encode()}})
	tx := w.tx(m2UID, set(w.key(m2UID, "id"), "v"))
	tx.Submitter = "o2/client/c"
	w.refused("a client", tx, NotEndorsed, SubmitterOffChain("o2", "client", []string{"o1", "o3"}))
	tx.Submitter = "o2/node/n2"
	w.refused("a node", tx, NotEndorsed, fmt.Sprintf(reasonSubmitter, "o2/node/n2", "o2"))
	tx.Submitter = "o1/facade/f1" // o2 delegates to it
	w.want("a facade of an organisation that does", tx, OK)
	after := w.tx(m2UID, set(w.key(m2UID, "id"), "w"))
	after.Submitter = "o1/facade/f1"
	tx.Submitter = "o2/client/c"
	codes, err := previewCodes(w.input(w.chain.ID), w.now, [][]byte{marshal(t, tx), marshal(t, after)}, w.state)
	if err != nil || !equal(codes, []int32{NotEndorsed, OK}) {
		t.Errorf("what is refused so stands in the way of the next: %v, %v", codes, err)
	}
}

// TestSubmitterVouchesOnTheSystemChain: whichever organisations endorse which act of which one, nothing is judged that its
// submitter's own organisation has not endorsed, except what that organisation signed inside the action; that is judged.
func TestSubmitterVouchesOnTheSystemChain(t *testing.T) {
	base := newWorld(t)
	base.withRecoveryKey("r")
	base.must(base.operator(base.joins("o4")))
	actions := []any{
		account("", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM), &ltlv1.Transaction_CreateChain{CreateChain: proofChain()},
		delegates("o3/facade/f"), removeOrg("o3"), base.modifyChain(func(*ltlv1.ModifyChain) {}),
		recovers(base.recovery("stranger", "new", 1)), base.acceptance("o4", "o2").GetAction(),
		recovers(base.recovery("r", "new", 1)), base.acceptance("o4", "o4").GetAction(),
	}
	signed := map[int]string{len(actions) - 2: "o1", len(actions) - 1: "o4"} // by whom, inside
	judged := 0
	for at, action := range actions {
		for _, submitter := range []string{"o1", "o2", "o3", "o4"} {
			tx := base.plain(submitter, action)
			for set := range 1 << len(organisations()) {
				var signers []string
				for i, o := range organisations() {
					if set>>i&1 == 1 {
						signers = append(signers, o)
					}
				}
				code := base.codes(base.batch(ledger.SystemChain, [][]byte{marshal(t, tx)}, signers...))[0]
				vouched := slices.Contains(signers, submitter)
				if inside := signed[at] == submitter; inside && len(signers) > 0 && !ran(code) || !inside && ran(code) && !vouched {
					t.Errorf("%d for %s by an operator of %s, endorsed by %v", code, kindOf(tx).name, submitter, signers)
				}
				if ran(code) {
					judged++
				}
			}
		}
	}
	if judged == 0 {
		t.Error("nothing was judged")
	}
}
