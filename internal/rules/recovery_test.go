package rules

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// withRecoveryKey gives o1 the recovery key of that name, its first one.
func (w *world) withRecoveryKey(name string) {
	w.must(w.operator(&ltlv1.Transaction_ModifyOrganisation{
		ModifyOrganisation: &ltlv1.ModifyOrganisation{Id: "o1", RecoveryKey: offline.PublicKey(name)},
	}))
}

// recovery gives o1 the endorser key of that name, signed by a recovery key.
func (w *world) recovery(signer, key string, number uint32) *ltlv1.RecoverOrganisation {
	o, err := GetOrganisation(w.state, "o1")
	if err != nil {
		w.t.Fatal(err)
	}
	r := &ltlv1.RecoverOrganisation{Id: o.ID, Number: number, EndorserKey: offline.PublicKey(key)}
	r.Possession = ledger.SignNewKey(offline.Key(key), w.id, o.ID, ledger.KeyID(o.EndorserKey))
	w.signRecovery(r, signer)
	return r
}

func (w *world) signRecovery(r *ltlv1.RecoverOrganisation, signer string) {
	signed := ledger.Recovery{Network: w.id, Organisation: r.GetId(), Number: r.GetNumber(), EndorserKey: r.GetEndorserKey(),
		Authority: r.GetAuthority(), RetireAuthorities: r.GetRetireAuthorities()}
	r.Signature = signed.Sign(offline.Key(signer))
}

func recovers(r *ltlv1.RecoverOrganisation) *ltlv1.Transaction_RecoverOrganisation {
	return &ltlv1.Transaction_RecoverOrganisation{RecoverOrganisation: r}
}

// TestRecovery: what an operator of another organisation submits and one endorsement of another organisation is enough
// for, given the recovery key's signature; at once the former key counts for nothing.
func TestRecovery(t *testing.T) {
	w := newWorld(t)
	w.refused("without a recovery key", by("o2", w.operator(recovers(w.recovery("r", "new", 1)))), Forbidden, reasonNoRecoveryKey)
	w.withRecoveryKey("r")
	for what, spoil := range map[string]func(r *ltlv1.RecoverOrganisation){
		"another signer":      func(r *ltlv1.RecoverOrganisation) { w.signRecovery(r, "stranger") },
		"another number":      func(r *ltlv1.RecoverOrganisation) { r.Number = 2; w.signRecovery(r, "r") },
		"a number not signed": func(r *ltlv1.RecoverOrganisation) { r.Number = 2 },
		"another authority": func(r *ltlv1.RecoverOrganisation) {
			r.Authority = offline.Authority("mine", 1)
			r.AuthorityPossession = offline.Possession(w.id, "o1", "mine", r.Authority)
		},
		"another organisation": func(r *ltlv1.RecoverOrganisation) { w.signRecovery(r, "r"); r.Signature = otherOrganisation(w, r) },
		"a twin network":       func(r *ltlv1.RecoverOrganisation) { r.Signature = twinNetwork(w, r) },
	} {
		r := w.recovery("r", "new", 1)
		spoil(r)
		w.refused(what, by("o2", w.operator(recovers(r))), Forbidden, fmt.Sprintf(reasonRecovery, 1))
	}
	for what, spoil := range map[string]func(r *ltlv1.RecoverOrganisation){
		"nothing to change": func(r *ltlv1.RecoverOrganisation) { r.EndorserKey, r.Possession = nil, nil },
		"small order":       func(r *ltlv1.RecoverOrganisation) { r.EndorserKey = make([]byte, 32) },
		"no possession":     func(r *ltlv1.RecoverOrganisation) { r.Possession = nil },
		"short signature":   func(r *ltlv1.RecoverOrganisation) { r.Signature = r.Signature[1:] },
		"nothing to retire": func(r *ltlv1.RecoverOrganisation) { r.RetireAuthorities = true },
	} {
		r := w.recovery("r", "new", 1)
		spoil(r)
		w.want(what, by("o2", w.operator(recovers(r))), OutOfRange)
	}
	stolen := w.recovery("r", "new", 1)
	stolen.EndorserKey, stolen.Possession = offline.PublicKey("o2"), w.recovery("r", "o2", 1).GetPossession()
	w.signRecovery(stolen, "r")
	w.refused("another's key", by("o2", w.operator(recovers(stolen))), Conflict, reasonKeyUsed)

	for _, retire := range []bool{false, true} {
		r := w.recovery("r", "new", 1)
		r.Authority, r.RetireAuthorities = offline.Authority("o2", 1), retire
		r.AuthorityPossession = offline.Possession(w.id, "o1", "o2", r.Authority)
		w.signRecovery(r, "r")
		w.refused("another's authority", by("o2", w.operator(recovers(r))), Conflict, fmt.Sprintf(reasonAuthorityForeign, "o2"))
	}

	tx := by("o2", w.operator(recovers(w.recovery("r", "new", 1))))
	w.want("endorsed by all", tx, OK)
	own := by("o1", w.operator(recovers(w.recovery("r", "new", 1))))
	forged := by("o1", w.operator(recovers(w.recovery("stranger", "new", 1))))
	for _, c := range []struct {
		what string
		tx   *ltlv1.Transaction
		org  string
		want int32
	}{
		{"without the submitter's organisation", tx, "o3", NotEndorsed},
		{"by its own operator", own, "o3", OK},
		{"in the name of its own operator", forged, "o3", NotEndorsed},
		{"by its own operator, endorsed by itself", forged, "o1", Forbidden},
	} {
		if got := w.codes(w.batch(ledger.SystemChain, [][]byte{marshal(t, c.tx)}, c.org)); got[0] != c.want {
			t.Errorf("%s: %d, want %d", c.what, got[0], c.want)
		}
	}
	x := w.execute(ledger.SystemChain, w.batch(ledger.SystemChain, [][]byte{marshal(t, tx)}, "o2"))
	if got := x.Results[0][0].GetCode(); got != OK {
		t.Fatal(got, x.Results[0][0].GetReason())
	}
	w.commit(ledger.SystemChain, x)
	former, err := GetFormerKey(w.state, ledger.KeyID(offline.PublicKey("o1")))
	if err != nil || former == nil || former.UntilMs != 0 {
		t.Errorf("the former key: %+v, %v", former, err)
	}
	write := func() int32 {
		p := marshal(t, w.tx(m1UID, set(w.key(m1UID, "a"), "v")))
		return w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{p}, "o1", "o2")).Results[0][0].GetCode()
	}
	if got := write(); got != NotEndorsed {
		t.Errorf("with the lost key: %d", got)
	}
	w.keys["o1"] = offline.Key("new")
	if got := write(); got != OK {
		t.Errorf("with the new key: %d", got)
	}
	w.refused("again", by("o2", w.operator(recovers(w.recovery("r", "newer", 1)))), Forbidden, fmt.Sprintf(reasonRecovery, 2))
}

// possessed is r with a signature by its authority.
func possessed(r *ltlv1.RecoverOrganisation, signature []byte) *ltlv1.RecoverOrganisation {
	r.AuthorityPossession = signature
	return r
}

// otherOrganisation is the recovery key's signature over the same for o2.
func otherOrganisation(w *world, r *ltlv1.RecoverOrganisation) []byte {
	signed := ledger.Recovery{Network: w.id, Organisation: "o2", Number: r.GetNumber(), EndorserKey: r.GetEndorserKey()}
	return signed.Sign(offline.Key("r"))
}

// twinNetwork is the recovery key's signature over the same in a network with other genesis and the same keys.
func twinNetwork(w *world, r *ltlv1.RecoverOrganisation) []byte {
	twin := w.id
	twin[0] ^= 1
	signed := ledger.Recovery{Network: twin, Organisation: "o1", Number: r.GetNumber(), EndorserKey: r.GetEndorserKey()}
	return signed.Sign(offline.Key("r"))
}

// TestRecoverAuthority: an authority is added, or takes the place of all others.
func TestRecoverAuthority(t *testing.T) {
	w := newWorld(t)
	w.withRecoveryKey("r")
	recover := func(number uint32, authority string, retire bool) {
		r := &ltlv1.RecoverOrganisation{Id: "o1", Number: number, Authority: offline.Authority(authority, 1), RetireAuthorities: retire}
		w.signRecovery(r, "r")
		w.refused("without possession", by("o3", w.operator(recovers(possessed(r, make([]byte, 64))))), Forbidden,
			reasonAuthorityPossession)
		possessed(r, offline.Possession(w.id, "o1", authority, r.Authority))
		w.signRecovery(r, "r")
		w.must(by("o3", w.operator(recovers(r))))
	}
	want := func(all ...string) {
		t.Helper()
		o, err := GetOrganisation(w.state, "o1")
		if err != nil {
			t.Fatal(err)
		}
		got, err := Authorities(w.state, o)
		var ders [][]byte
		for _, name := range all {
			ders = append(ders, offline.Authority(name, 1))
		}
		if err != nil || fmt.Sprintf("%x", got) != fmt.Sprintf("%x", ders) || string(o.CACertificate) != string(ders[len(ders)-1]) {
			t.Errorf("authorities %x, newest %x, %v; want %s", got, o.CACertificate, err, all)
		}
	}
	recover(1, "second", false)
	want("o1", "second")
	recover(2, "only", true)
	want("only")
	for _, retire := range []bool{false, true} { // the recovery retired both
		r := &ltlv1.RecoverOrganisation{Id: "o1", Number: 3, Authority: offline.Authority("o1", 2), RetireAuthorities: retire}
		w.signRecovery(r, "r")
		possessed(r, offline.Possession(w.id, "o1", "o1", r.Authority))
		w.refused("a retired key again", by("o3", w.operator(recovers(r))), Conflict, reasonAuthorityKnown)
	}
}

// TestRecoveryKey: the first recovery key is the organisation's act, and only the present one names the next: not the
// operator with the endorser, which may be stolen.
func TestRecoveryKey(t *testing.T) {
	w := newWorld(t)
	modify := func(signer, fresh string, number uint32) *ltlv1.Transaction {
		m := &ltlv1.ModifyOrganisation{Id: "o1", RecoveryKey: offline.PublicKey(fresh)}
		if signer != "" {
			m.RecoverySignature = ledger.SignNewRecoveryKey(offline.Key(signer), w.id, "o1", number, m.GetRecoveryKey())
		}
		return w.operator(&ltlv1.Transaction_ModifyOrganisation{ModifyOrganisation: m})
	}
	w.want("small order", w.operator(&ltlv1.Transaction_ModifyOrganisation{
		ModifyOrganisation: &ltlv1.ModifyOrganisation{Id: "o1", RecoveryKey: make([]byte, 32)},
	}), OutOfRange)
	w.want("a signature without a key", w.operator(&ltlv1.Transaction_ModifyOrganisation{
		ModifyOrganisation: &ltlv1.ModifyOrganisation{Id: "o1", Name: proto.String("x"), RecoverySignature: make([]byte, 64)},
	}), OutOfRange)
	w.must(modify("", "r", 0))
	w.refused("without the former one", modify("", "mine", 0), Forbidden, reasonNewRecoveryKey)
	w.refused("by itself", modify("mine", "mine", 1), Forbidden, reasonNewRecoveryKey)
	w.refused("by the former one, with another number", modify("r", "s", 2), Forbidden, reasonNewRecoveryKey)
	w.must(modify("r", "s", 1))
	w.refused("by a recovery key that was replaced", modify("r", "t", 2), Forbidden, reasonNewRecoveryKey)
	w.must(by("o2", w.operator(recovers(w.recovery("s", "new", 2)))))
}
