package conformance

import (
	"strings"
	"testing"
)

// testRoles calls every Action as the administrator, a member, a locked member, a member of other chains, and an
// account on no chain, with parameters that are otherwise valid. Reads and writes alike say why they are refused.
func (w *world) testRoles(t *testing.T) {
	for _, a := range w.table {
		asMember := "200"
		if a.adminOnly() {
			asMember = "403"
		}
		elsewhere := "403"
		if a.onChain() == nil {
			elsewhere = "200"
		}
		for _, x := range []struct {
			who  *user
			code string
		}{{w.admin, "200"}, {w.member, asMember}, {w.locked, elsewhere}, {w.outsider, elsewhere}, {w.unknown, "-339"}} {
			r := w.wants(t, x.who, a.Name, "otherwise right", w.call(a, x.who, nil), x.code)
			why := map[*user]string{w.member: "Only the administrator", w.locked: "is locked", w.outsider: "is not a member"}
			if x.code == "403" && !strings.Contains(r.message, why[x.who]) {
				t.Errorf("%s by %s does not say %q: %s", a.Name, x.who.name, why[x.who], r)
			}
			if (x.who == w.locked || x.who == w.outsider) && x.code == "200" && len(r.rows()) != 0 {
				t.Errorf("%s by %s lists a chain that it cannot use: %s", a.Name, x.who.name, r)
			}
		}
	}
}
