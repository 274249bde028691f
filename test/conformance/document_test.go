package conformance

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ltl/client/device"
	"ltl/facade"
	"ltl/internal/rules"
)

// rewrite makes TestDocument write the generated parts instead of comparing them.
var rewrite = flag.Bool("rewrite", false, "rewrite the generated parts of docs/api.md")

const document = "../../docs/api.md"

// TestDocument: the generated parts of docs/api.md are equal to the responses of a network and to the tables. After
// an intended change run: go test ./test/conformance -run TestDocument -rewrite
func TestDocument(t *testing.T) {
	raw, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	w := start(t)
	for name, part := range map[string]string{
		"actions": actionTable(w.table), "reference": w.reference(t), "errors": codeTable(),
		"gateway errors": gatewayTable(), "go": goExample(t),
	} {
		begin, end := "<!-- generated: "+name+" -->\n", "<!-- end of generated: "+name+" -->"
		before, rest, found := strings.Cut(text, begin)
		old, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Errorf("docs/api.md has no marks for part %q", name)
			continue
		}
		if old != part && !*rewrite {
			t.Errorf("part %q of docs/api.md is out of date; %s\nrewrite it as TestDocument says", name,
				difference(old, part))
		}
		text = before + begin + part + end + after
	}
	if *rewrite && !t.Failed() {
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// difference is the first line that differs.
func difference(old, now string) string {
	a, b := strings.Split(old, "\n"), strings.Split(now, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n%s\nand should be\n%s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("it has %d lines and should have %d", len(a), len(b))
}

// goExample is the example in Go, from its source.
func goExample(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(raw), "\t// docs/api.md: begin\n")
	code, _, ended := strings.Cut(rest, "\t// docs/api.md: end\n")
	if !found || !ended {
		t.Fatal("example_test.go has no marks")
	}
	return "```go\n" + strings.TrimPrefix(strings.ReplaceAll("\n"+code, "\n\t", "\n"), "\n") + "```\n"
}

// actionTable is the table of all Actions.
func actionTable(table []*action) string {
	var b strings.Builder
	b.WriteString("| Action | service | role | what it does |\n|---|---|---|---|\n")
	for _, a := range table {
		role := "both"
		if a.adminOnly() {
			role = "administrator"
		}
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s | %s |\n", a.Name, strings.ToLower(a.Name), a.Service, role, a.Summary)
	}
	return b.String()
}

// codeTable is the table of the API's result codes, from that of the ledger.
func codeTable() string {
	var b strings.Builder
	b.WriteString("| Code | meaning | what to do |\n|---|---|---|\n")
	for _, c := range rules.Codes() {
		if c.Meaning != "" {
			fmt.Fprintf(&b, "| %d | %s | %s |\n", c.Code, c.Meaning, c.Remedy)
		}
	}
	return b.String()
}

// gatewayTable is the table of gateway errors, from the facade's.
func gatewayTable() string {
	var b strings.Builder
	b.WriteString("| Code | HTTP | Message | meaning | what to do |\n|---|---|---|---|---|\n")
	for _, e := range facade.GatewayErrors() {
		message := cmp.Or(e.Message, "(says what is wrong)")
		fmt.Fprintf(&b, "| %s | %d | %s | %s | %s |\n", e.Code, e.Status, message, e.Meaning, e.Recommend)
	}
	return strings.ReplaceAll(b.String(), "<", `\<`) // <Name> would be an HTML element
}

// reference is the section of each Action: its parameters and an example.
func (w *world) reference(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	for _, a := range w.table {
		role := "Administrator and members."
		if a.adminOnly() {
			role = "Administrator only."
		}
		fmt.Fprintf(&b, "### %s\n\n%s %s\n\n| parameter | type | required | value |\n|---|---|---|---|\n", a.Name, a.Summary,
			role)
		for _, p := range a.Parameters {
			required := map[bool]string{true: "yes"}[p.Required]
			if p.Absent != 0 {
				required += ", else " + strconv.Itoa(p.Absent)
			}
			rule := p.Rule
			if rule == "time" && p.Required {
				rule = "time of both bounds"
			}
			meaning, known := meanings()[rule]
			if !known {
				t.Errorf("meanings has no entry for the rule %s", p.Rule)
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", p.Name, p.Type, required, strings.ReplaceAll(meaning, "%s", p.Name))
		}
		p := w.call(a, w.admin, nil)
		r := w.must(t, w.admin, a.Name, p)
		n := &normaliser{w: w, seen: map[string]string{}}
		for _, data := range []string{"某公司某业务数据。", "first"} {
			for _, digest := range []string{device.Digest(data), strings.ToLower(device.Digest(data))} {
				n.seen[digest] = digest // a reader may recompute these, so that they stay
			}
		}
		var request strings.Builder
		fmt.Fprintf(&request, "Action=%s\nApiVersion=1.0.0\n", a.Name)
		for _, name := range slices.Sorted(maps.Keys(p)) {
			fmt.Fprintf(&request, "%s=%s\n", name, p[name])
		}
		var answer bytes.Buffer
		if err := json.Indent(&answer, r.body, "", "  "); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n```\n%s```\n\n```json\n%s\n```\n\n", n.normal(request.String()), n.normal(answer.String()))
	}
	return b.String()
}

// meanings are the explanations of the rules of parameters.
func meanings() map[string]string {
	iot := "as the device SDK returned it"
	return map[string]string{
		"chain": "BizChainId of the chain", "chainCode": "BizChainCode of the chain: 16 characters",
		"name":   "2 to 30 Chinese characters, English letters, digits, `_`, `-`, `.`, `(`, `)`",
		"phone":  "1 to 20 digits and `-`",
		"uid":    "UID of a RAM user: 16 to 18 digits",
		"remark": "at most 100 characters",
		"filter": "only rows with exactly this %s; all if absent or empty",
		"page":   "number of the page, from 1", "size": "rows per page, 1 to 100",
		"time":                "milliseconds since 1970; both bounds are part of the window, which is open where a bound is absent",
		"time of both bounds": "milliseconds since 1970; both bounds are part of the window",
		"memberId":            "MemberId from CreateMember or ListMember",
		"deviceGroupId":       "DeviceGroupId from RegisterDeviceGroup or ListDeviceGroup",
		"deviceId":            "DeviceId from ListDevice",
		"phaseGroupId":        "PhaseGroupId from CreateMPCoSPhaseGroup or ListMPCoSPhaseGroup",
		"phaseId":             "PhaseId from CreateMPCoSPhase or ListMPCoSPhase",
		"authorizeType":       "`ID2`",
		"productKey":          "product key of the devices, not of the chain: 1 to 64 letters, digits, `-`, `.`, `_`",
		"key":                 "`0001_<BizChainCode>_<DataTypeCode>_<ID>`; ID is 1 to 64 letters, digits, `-`, `.`",
		"value":               "1 to 256 bytes of UTF-8",
		"businessId":          "64 hexadecimal characters; if absent, the ledger assigns 16 digits",
		"corrects":            "transactionHash of a record of this chain that this one declares wrong and replaces; with CorrectsReason",
		"correctsReason":      "why that record is wrong: 1 to 200 characters",
		"correctsDataKey":     "DataKey of that record; needed where its upload holds several records that are not told apart otherwise",
		"correctsDataSeq":     "DataSeq of that record; needed where its upload holds several records that are not told apart otherwise",
		"businessIdRead":      "BusinessId of a record; if absent, the newest record",
		"phaseText":           "length 1 to 4096, where a character of ASCII counts 1 and any other 2",
		"phaseDigest":         "64 hexadecimal characters, the SHA-256 of the data",
		"phaseTexts":          "list of 1 to 50 objects: `dataKey`, `phaseData`, optional `dataSeq`, `relatedDataList`",
		"phaseDigests":        "list of 1 to 50 objects: `dataKey`, `phaseData` (a digest), optional `dataSeq`, `relatedDataList`",
		"dataKey":             "1 to 64 letters, digits, `-`, `.`",
		"dataSeq":             "1 to 64 letters, digits, `-`, `.`; if absent, a write gets 64 from the ledger, a read the newest record",
		"relatedDataList":     "list of objects: `relatedPhaseId`, `relatedDataKey`, `relatedPhaseData`, optional `relatedDataSeq`",
		"authorizedPhaseList": "list of PhaseIds",
		"iotAuthType":         "`ID2`", "iotDataDigest": iot, "iotId": iot, "iotSignature": iot,
		"iotIdServiceProvider": iot + ": the product key of the device's group",
		"iotIdSource":          "`1` device authentication platform, `2` IoT platform",
	}
}
