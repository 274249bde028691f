package conformance

import (
	"encoding/json"
	"os"
	"slices"
	"testing"
)

// member is a member of an answer. Its type is String, Integer, Long, Struct, List (of Struct), Table (a list of
// Struct in JSON, its JSON text in XML), Json (a Struct as JSON text in a string), or Empty (an empty string).
type member struct {
	Name    string   `json:"name"`
	Type    string   `json:"type"`
	Members []member `json:"members"`
}

// parameter is one parameter of an Action. Rule names what its value must be; see value and bounds.
type parameter struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Rule     string `json:"rule"`
	Required bool   `json:"required"`
	// Absent is the result code for its absence; 0 if that is a gateway error.
	Absent int `json:"absent"`
}

// action is one row of the table. ApiVersion and the common parameters are not in it: every Action has them.
type action struct {
	Name       string      `json:"name"`
	Service    string      `json:"service"`
	Roles      []string    `json:"roles"`
	Writes     bool        `json:"writes"`
	Summary    string      `json:"summary"`
	Parameters []parameter `json:"parameters"`
	Data       member      `json:"data"`
}

// loadTable reads the table of Actions.
func loadTable(t testing.TB) []*action {
	t.Helper()
	raw, err := os.ReadFile("testdata/actions.json")
	if err != nil {
		t.Fatal(err)
	}
	var table struct{ Actions []*action }
	if err := json.Unmarshal(raw, &table); err != nil {
		t.Fatal(err)
	}
	if len(table.Actions) != 45 {
		t.Fatalf("the table has %d Actions, want 45", len(table.Actions))
	}
	return table.Actions
}

// rule is the first parameter with one of these rules; nil if the Action has none.
func (a *action) rule(rules ...string) *parameter {
	for i := range a.Parameters {
		if slices.Contains(rules, a.Parameters[i].Rule) {
			return &a.Parameters[i]
		}
	}
	return nil
}

// byDevice reports whether a device signs what the Action uploads.
func (a *action) byDevice() bool { return a.rule("iotSignature") != nil }

// adminOnly reports whether only the administrator may call the Action.
func (a *action) adminOnly() bool { return !slices.Contains(a.Roles, "MEMBER") }

// onChain is the parameter that names the chain; nil for Actions on the caller's chains.
func (a *action) onChain() *parameter { return a.rule("chain", "chainCode") }

// payload is the parameter with the uploaded data, which a device digests; nil for Actions that upload nothing.
func (a *action) payload() *parameter {
	return a.rule("value", "phaseText", "phaseDigest", "phaseTexts", "phaseDigests")
}

// batch reports whether the Action uploads a list of records.
func (a *action) batch() bool { return a.rule("phaseTexts", "phaseDigests") != nil }
