package facade

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"
)

// TestTable: the table of Actions is equal to that of the API document and the conformance tests, except for the
// order of parameters.
func TestTable(t *testing.T) {
	type row struct {
		Name       string
		Roles      []string
		Parameters []struct {
			Name, Type string
			Required   bool
			Absent     int32
		}
		Data struct{ Type string }
	}
	raw, err := os.ReadFile("../test/conformance/testdata/actions.json")
	if err != nil {
		t.Fatal(err)
	}
	var document struct{ Actions []row }
	if err := json.Unmarshal(raw, &document); err != nil {
		t.Fatal(err)
	}
	left := map[string]action{}
	for _, a := range actions() {
		left[a.name] = a
	}
	kinds := map[string]kind{"String": kindString, "Empty": kindString, "Json": kindString, "Struct": kindObject,
		"List": kindArray}
	for _, want := range document.Actions {
		a, ok := left[want.Name]
		if !ok {
			t.Errorf("no row for %s", want.Name)
			continue
		}
		delete(left, want.Name)
		if a.admin == slices.Contains(want.Roles, "MEMBER") || a.data != kinds[want.Data.Type] ||
			len(a.params) != len(want.Parameters) {
			t.Errorf("%s: admin %v, Data of kind %d, %d parameters; documented is %+v", a.name, a.admin, a.data, len(a.params),
				want)
		}
		for _, p := range want.Parameters {
			i := slices.IndexFunc(a.params, func(x parameter) bool { return x.name == p.Name })
			if i < 0 {
				t.Errorf("%s lacks %s", a.name, p.Name)
				continue
			}
			types := map[string][]parameterType{"String": {0}, "Integer": {typeInteger}, "Long": {typeLong},
				"List": {typeList, typeRecords}}
			if got := a.params[i]; got.optional == p.Required || got.absent != p.Absent ||
				!slices.Contains(types[p.Type], got.kind) {
				t.Errorf("%s of %s is %+v, documented is %+v", p.Name, a.name, got, p)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(left)) {
		t.Errorf("%s is not documented", name)
	}
}
