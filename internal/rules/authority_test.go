package rules

import (
	"fmt"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// enters gives a change the authority of a name, with its signature.
func (w *world) enters(m *ltlv1.ModifyOrganisation, name string, serial byte) *ltlv1.ModifyOrganisation {
	m.AddAuthority = offline.Authority(name, serial)
	m.AuthorityPossession = offline.Possession(w.id, m.GetId(), name, m.AddAuthority)
	return m
}

// TestAuthorityNeedsPossession: who reads in an open proposal which authority an organisation will have cannot enter it
// as its own, so it does not keep that organisation out; nor does a signature for another network, organisation or
// certificate count.
func TestAuthorityNeedsPossession(t *testing.T) {
	w := bare(t)
	four := offline.Organisation("o4")
	der := four.CaCertificate
	twin := w.id
	twin[0] ^= 1
	for what, signature := range map[string][]byte{
		"none":                  make([]byte, 64),
		"that of the proposal":  offline.Invitation(w.id, four).AuthorityPossession,
		"by another key":        ledger.SignAuthority(offline.Key("o1"), w.id, "o1", der),
		"for another network":   offline.Possession(twin, "o1", "o4", der),
		"over another of a key": offline.Possession(w.id, "o1", "o4", offline.Authority("o4", 2)),
	} {
		m := &ltlv1.ModifyOrganisation{Id: "o1", AddAuthority: der, AuthorityPossession: signature}
		w.refused(what, w.operator(modified(m)), Forbidden, reasonAuthorityPossession)
	}
	m := &ltlv1.ModifyOrganisation{Id: "o1", AddAuthority: der}
	w.want("no signature", w.operator(modified(m)), OutOfRange)
	name := "x"
	w.want("a signature over nothing", w.operator(modified(&ltlv1.ModifyOrganisation{Id: "o1", Name: &name,
		AuthorityPossession: make([]byte, 64)})), OutOfRange)
	c := offline.Invitation(w.id, four)
	c.AuthorityPossession = offline.Possession(w.id, "o1", "o4", der)
	w.refused("an invitation with a signature for o1",
		w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: c}), Forbidden, reasonAuthorityPossession)
	w.must(w.operator(w.joins("o4")))
}

// TestAuthorityKeyIsEnteredOnce: another certificate of a key that an organisation has or had is no new authority, neither
// after the key was retired, nor for another organisation that has the key too.
func TestAuthorityKeyIsEnteredOnce(t *testing.T) {
	w := bare(t)
	change := func(id, name string, serial byte) *ltlv1.Transaction {
		return by(id, w.operator(modified(w.enters(&ltlv1.ModifyOrganisation{Id: id}, name, serial))))
	}
	w.refused("of the genesis", change("o1", "o1", 2), Conflict, reasonAuthorityKnown)
	w.refused("of the genesis, for another", change("o2", "o1", 2), Conflict, fmt.Sprintf(reasonAuthorityForeign, "o1"))
	w.must(change("o1", "second", 1))
	w.refused("in force", change("o1", "second", 2), Conflict, reasonAuthorityKnown)
	w.must(by("o1", w.operator(modified(&ltlv1.ModifyOrganisation{Id: "o1",
		RetireAuthority: sha256Of(offline.Authority("second", 1))}))))
	w.refused("retired", change("o1", "second", 2), Conflict, reasonAuthorityKnown)
	w.refused("retired, the same bytes", change("o1", "second", 1), Conflict, reasonAuthorityKnown)
	w.refused("retired, for another", change("o2", "second", 2), Conflict, fmt.Sprintf(reasonAuthorityForeign, "o1"))
	five := offline.Organisation("o5")
	five.CaCertificate = offline.Authority("second", 3)
	c := offline.Invitation(w.id, five)
	c.AuthorityPossession = offline.Possession(w.id, "o5", "second", five.CaCertificate)
	w.refused("retired, for one that is invited", w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: c}),
		Conflict, fmt.Sprintf(reasonAuthorityForeign, "o1"))

	g := offline.Genesis("o1", "o2")
	g.Organisations[1].CaCertificate = offline.Authority("o1", 2)
	if _, err := GenesisBlock(offline.GenesisPayload(t, g)); err == nil {
		t.Error("a genesis gives two organisations one authority's key")
	}
}
