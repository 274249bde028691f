package client_test

import (
	"testing"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestMemberWithBadAddress: an organisation joins under an address that no connection can be made to. It is left out; the chains
// and everybody else are there.
func TestMemberWithBadAddress(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	f.joined = []*ltlv1.Organisation{{Id: "org9", Name: "org9", EndorserAddress: "%zz:1"}}
	c := f.client(nil)
	r, err := c.Submit(t.Context(), record("a", "v"))
	if err != nil || r.GetCode() != rules.OK {
		t.Fatalf("%v, %v", r, err)
	}
}
