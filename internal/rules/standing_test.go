package rules

import (
	"errors"
	"reflect"
	"testing"

	"ltl/internal/ledger"
	"ltl/test/testkit/offline"
)

// TestOrganisationFacts: what is written is read, an organisation of which nothing was recorded is active, and other
// bytes are corrupt.
func TestOrganisationFacts(t *testing.T) {
	state := memory{}
	if f, err := GetOrganisationFacts(state, "o1"); err != nil || f.Standing != StandingActive {
		t.Errorf("facts of which nothing was recorded: %+v, %v", f, err)
	}
	want := &OrganisationFacts{Standing: StandingInvited, LapsesMs: 5, RecoveryKey: offline.PublicKey("r"), Recoveries: 3,
		Delegates: []string{"o2/facade/f1"}}
	put := func(f *OrganisationFacts) {
		state.store(ledger.SystemChain, []ledger.Write{{Key: []byte("zr/o1"), Value: f.encode()}})
	}
	put(want)
	if f, err := GetOrganisationFacts(state, "o1"); err != nil || !reflect.DeepEqual(f, want) {
		t.Errorf("%+v, %v; want %+v", f, err, want)
	}
	for what, spoil := range map[string]func(f *OrganisationFacts){
		"no standing":        func(f *OrganisationFacts) { f.Standing = 0 },
		"unknown standing":   func(f *OrganisationFacts) { f.Standing = StandingRemoved + 1 },
		"short recovery key": func(f *OrganisationFacts) { f.RecoveryKey = f.RecoveryKey[1:] },
		"too many delegates": func(f *OrganisationFacts) { f.Delegates = make([]string, MaxDelegates+1) },
	} {
		bad := *want
		spoil(&bad)
		put(&bad)
		if f, err := GetOrganisationFacts(state, "o1"); !errors.Is(err, ErrState) {
			t.Errorf("%s: %+v, %v", what, f, err)
		}
	}
}
