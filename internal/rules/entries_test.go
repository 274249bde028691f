package rules

import (
	"fmt"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestEntriesOfOneOrganisation: an organisation fills none of the tables that all enter things in. It gets its last entry
// and no more, also when it gave one away; nothing is written then, and the others can still enter theirs.
func TestEntriesOfOneOrganisation(t *testing.T) {
	w := newWorld(t)
	has := func(organisation string) entered {
		n, err := parseEntered(w.state[ledger.SystemChain][prefixEntered+organisation])
		if err != nil {
			t.Fatal(err)
		}
		return *n
	}
	w.must(w.by("o1", claimProduct("first", "")), w.by("o2", claimProduct("q", "")))
	if got, want := has("o1"), (entered{2, 1, 1}); got != want {
		t.Errorf("o1 has entered %v, want %v", got, want)
	}
	almost := entered{MaxAccounts - 1, MaxChains - 1, MaxProducts - 1}
	w.state[ledger.SystemChain][prefixEntered+"o1"] = almost.encode()
	account := func(organisation string) *ltlv1.Transaction_CreateAccount {
		return &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Name: "张三", Type: 2,
			Organisation: organisation}}
	}
	chain := &ltlv1.Transaction_CreateChain{CreateChain: proofChain()}
	w.must(w.by("o1", account("o1")), w.by("o1", chain), w.by("o1", claimProduct("last", "")))

	full := func(table sharedTable) string {
		things, most := table.bound()
		return fmt.Sprintf(reasonEntered, "o1", most, things)
	}
	d := eccDevice(t, iotID)
	d.productKey = "unclaimed"
	w.must(w.by("o1", moveProduct("last", "o2", "o1")))
	w.refused("an account", w.by("o1", account("o1")), QuotaExceeded, full(tableAccounts))
	w.refused("a chain", w.by("o1", chain), QuotaExceeded, full(tableChains))
	w.refused("a product", w.by("o1", claimProduct("p", "")), QuotaExceeded, full(tableProducts))
	w.refused("a device", w.by("o1", enroll(d.enrolment())), QuotaExceeded, full(tableProducts))
	if w.product("p") != nil || w.product("unclaimed") != nil {
		t.Error("a product was claimed beyond the bound")
	}
	if v, err := GetEnrolment(w.state, d.productKey, iotID); v != nil || err != nil {
		t.Errorf("a device of it was enrolled: %+v, %v", v, err)
	}
	d.productKey = "first"
	w.must(w.by("o1", enroll(d.enrolment())), w.by("o2", account("o2")), w.by("o2", claimProduct("p", "")))
	if got, want := has("o1"), (entered{MaxAccounts, MaxChains, MaxProducts}); got != want {
		t.Errorf("o1 has entered %v, want %v", got, want)
	}
}
