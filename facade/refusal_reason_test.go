package facade

import (
	"strings"
	"testing"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// TestReadsSayWhyTheyAreForbidden: the ledger refuses a read with the code alone, and the answer has the reason that
// holds; also where a form error asks for the refusal that precedes it. Nothing but an administrator's Action is
// "only for the administrator", and no reason is guessed that does not hold.
func TestReadsSayWhyTheyAreForbidden(t *testing.T) {
	own, foreign := keyOf("0X58", "1"), keyOf("4R98", "1")
	page := []string{"CurrentPage", "1", "PageSize", "10"}
	const code = "another member's data type code, 4R98; this account reads Keys with its own, 0X58"
	f := newTestFacade(t)
	f.net.set(func(n *fakeNetwork) {
		n.accounts["100000000000000009"] = ltlv1.AccountType_ACCOUNT_TYPE_RAM
		n.chains[1].members["100000000000000009"] = membership{"MEMBER", "BB09"}
		n.chains[1].members[memberUID] = membership{"MEMBER", "BB08"}
	})
	f.net.answer(&ltlv1.ListMembersResponse{Code: rules.Forbidden})
	check := func(what, action, want string, pairs ...string) {
		t.Helper()
		r := f.act(t, "member", action, pairs...)
		if message, _ := r.json["Message"].(string); r.code() != "403" || !strings.Contains(message, want) {
			t.Errorf("%s: %s, want 403 and %q", what, r.body, want)
		}
	}
	for _, a := range []string{"GetData", "GetBlockChainInfo", "GetHistoryDataCount"} {
		check("another's Key", a, code, read(foreign, chainA)...)
	}
	check("another's history", "GetHistoryDataList", code, read(foreign, chainA, page...)...)
	check("before a form error", "GetData", code, read(foreign, chainA, "BusinessId", "x")...)
	check("a list", "ListMember", rules.ReasonAdministrator, valid("ListMember")...)
	f.net.set(func(n *fakeNetwork) { n.locked = map[string]bool{memberUID: true} })
	for _, a := range []string{"GetData", "GetHistoryDataCount"} {
		check("locked", a, rules.ReasonLocked, read(own, chainA)...)
		check("locked, another's Key", a, rules.ReasonLocked, read(foreign, chainA)...)
	}
	check("locked, a capacity", "DescribeCapacityInfo", rules.ReasonLocked, chainOf(proofID)...)
	f.net.set(func(n *fakeNetwork) { delete(n.chains[0].members, memberUID) })
	check("no member", "GetData", rules.ReasonNotMember, read(own, chainA)...)
	// Nothing holds that the answer could name.
	f.net.set(func(n *fakeNetwork) { n.chains[0].members[memberUID] = membership{"MEMBER", "0X58"} })
	f.net.set(func(n *fakeNetwork) { n.locked = nil })
	f.net.answer(&ltlv1.ListDeviceGroupsResponse{Code: rules.Forbidden})
	check("unlocked in between", "ListDeviceGroup", rules.Message(rules.Forbidden), valid("ListDeviceGroup")...)
}
