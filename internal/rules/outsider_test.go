package rules

import (
	"testing"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestMemberOfAnOrganisationThatDoesNotEndorse: such a member reads; it writes exactly where the policy does not ask
// for its organisation.
func TestMemberOfAnOrganisationThatDoesNotEndorse(t *testing.T) {
	for policy, want := range map[string]int32{"submitter & majority": NotEndorsed, "majority": OK} {
		w := newWorld(t)
		c := proofChain()
		c.Policy, c.Organisations = policy, []string{"o1", "o3"} // m2 is o2's
		w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput())
		x := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{marshal(t, w.tx(rootUID, member(m2UID)))}, "o1", "o3"))
		w.commit(w.chain.ID, x)
		if m, err := GetMember(w.state, w.chain, m2UID); err != nil || m == nil || m.Status != StatusUnlock {
			t.Fatalf("%s: the member is %+v, %v", policy, m, err)
		}
		x = w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{marshal(t, w.tx(m2UID, set(w.key(m2UID, "id"), "v")))},
			"o1", "o3"))
		if got := x.Results[0][0].GetCode(); got != want {
			t.Errorf("%s: its record, endorsed by all, gives %d, want %d", policy, got, want)
		}
	}
}
