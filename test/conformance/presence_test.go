package conformance

import (
	"strconv"
	"testing"
)

// testPresence: the absence of each mandatory parameter has its own error, and every optional parameter may be absent.
func (w *world) testPresence(t *testing.T) {
	for _, a := range w.table {
		t.Run(a.Name, func(t *testing.T) {
			var optional []string
			for _, p := range a.Parameters {
				if !p.Required {
					optional = append(optional, p.Name)
					continue
				}
				code, status := "Missing"+p.Name, 400
				if p.Absent != 0 {
					code, status = strconv.Itoa(p.Absent), 200
				}
				r := w.wants(t, w.admin, a.Name, "without "+p.Name, w.call(a, w.admin, nil).without(p.Name), code)
				if r.status != status || status == 400 && r.message != p.Name+" is mandatory for this action." {
					t.Errorf("without %s: %s", p.Name, r)
				}
			}
			if len(optional) > 1 {
				w.wants(t, w.admin, a.Name, "without all that is optional", w.call(a, w.admin, nil).without(optional...), "200")
			}
			for _, name := range optional {
				code := "200"
				if name == "CorrectsTransactionHash" || name == "CorrectsReason" {
					code = "400" // both or neither
				}
				w.wants(t, w.admin, a.Name, "without "+name, w.call(a, w.admin, nil).without(name), code)
				if name != "IotId" && name != "Name" && name != "ProductKey" && name != "MemberUid" {
					w.wants(t, w.admin, a.Name, "with an empty "+name, w.call(a, w.admin, nil).with(name, ""), code)
				}
			}
			w.wants(t, w.admin, a.Name, "with an unknown parameter",
				w.call(a, w.admin, nil).with("RegionId", "cn-shanghai"), "200")
			r := w.wants(t, w.admin, a.Name, "without ApiVersion", w.call(a, w.admin, nil).with("ApiVersion", ""), "-113")
			if r.status != 200 {
				t.Error(r)
			}
		})
	}
}
