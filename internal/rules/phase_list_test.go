package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

func TestParsePhaseDataList(t *testing.T) {
	a, b := &ltlv1.PhaseItem{DataKey: "a"}, &ltlv1.PhaseItem{DataKey: "b"}
	for _, c := range []struct {
		text string
		want []*ltlv1.PhaseItem // nil: refused
	}{
		{`[]`, []*ltlv1.PhaseItem{}},
		{`{}`, []*ltlv1.PhaseItem{}},
		{" \t\r\n[ \t\r\n{ \"dataKey\" : \"a\" } , {\"dataKey\":\"b\"} ]\n", []*ltlv1.PhaseItem{a, b}},
		{`{"0":{"dataKey":"a"},"1":{"dataKey":"b"}}`, []*ltlv1.PhaseItem{a, b}},
		{`{"2":{"dataKey":"b"},"1":{"dataKey":"a"}}`, []*ltlv1.PhaseItem{a, b}},
		{`[{"dataKey":"\u0061"}]`, []*ltlv1.PhaseItem{a}},
		{`[{"other":[1,-0.5e+3,{"x":[true,false,null]},"\n"],"dataKey":"a","DataKey":"x","other":2}]`, []*ltlv1.PhaseItem{a}},
		{`[{"dataKey":"a","dataSeq":null,"phaseData":null,"relatedDataList":null}]`, []*ltlv1.PhaseItem{a}},
		{`[{"phaseData":"\"\\\/\b\f\n\r\t\ud842\udfb7米𠮷\u007f` + "\x7f" + `"}]`,
			[]*ltlv1.PhaseItem{{PhaseData: "\"\\/\b\f\n\r\t𠮷米𠮷\x7f\x7f"}}},
		{`[{"relatedDataList":[{"relatedPhaseId":"1","relatedDataKey":"2","relatedPhaseData":"3","relatedDataSeq":"4"}]}]`,
			[]*ltlv1.PhaseItem{{Related: []*ltlv1.RelatedData{{PhaseId: "1", DataKey: "2", PhaseData: "3", DataSeq: "4"}}}}},
		{`[{"relatedDataList":{"1":{"relatedDataKey":"2"},"0":{"relatedDataKey":"1"}}}]`,
			[]*ltlv1.PhaseItem{{Related: []*ltlv1.RelatedData{{DataKey: "1"}, {DataKey: "2"}}}}},
		{``, nil}, {` `, nil}, {`null`, nil}, {`"[]"`, nil}, {`[] []`, nil}, {`[],`, nil}, {`[`, nil}, {`{`, nil}, {`[{}`,
			nil}, {`[{},]`, nil}, {`[,{}]`, nil},
		{`{"dataKey":"a"}`, nil}, {`{"0":{},"2":{}}`, nil}, {`{"2":{},"3":{}}`, nil}, {`{"1":{},"1":{}}`,
			nil}, {`{"00":{}}`, nil}, {`{"-0":{}}`, nil},
		{`{"+1":{}}`, nil}, {`{" 1":{}}`, nil}, {`{"99999999999999999999":{}}`, nil}, {`{"0" {}}`, nil}, {`{0:{}}`, nil},
		{`[{"dataKey":"a","dataKey":"a"}]`, nil}, {`[{"dataKey":"a","data\u004bey":null}]`,
			nil}, {`[{"relatedDataList":[],"relatedDataList":[]}]`, nil},
		{`[{"dataKey":1}]`, nil}, {`[{"dataKey":["a"]}]`, nil}, {`[{"dataKey":true}]`, nil}, {`["a"]`, nil}, {`[null]`,
			nil}, {`[[]]`, nil},
		{`[{"relatedDataList":""}]`, nil}, {`[{"relatedDataList":["a"]}]`,
			nil}, {`[{"relatedDataList":[{"relatedDataKey":"a","relatedDataKey":"b"}]}]`, nil},
		{`[{"dataKey":"` + "\n" + `"}]`, nil}, {`[{"dataKey":"` + "\x00" + `"}]`, nil}, {`[{"dataKey":"` + "\xff" + `"}]`,
			nil}, {`[{"dataKey":"\x41"}]`, nil},
		{`[{"dataKey":"\ud842"}]`, nil}, {`[{"dataKey":"\udfb7"}]`, nil}, {`[{"dataKey":"\ud842\u0041"}]`,
			nil}, {`[{"dataKey":"\u+041"}]`, nil},
		{`[{"dataKey":"\u00"}]`, nil}, {`[{"dataKey":"\u`, nil}, {`[{"dataKey":"a`, nil}, {`[{"dataKey":"a\`,
			nil}, {`[{'dataKey':"a"}]`, nil},
		{`[{"x":01}]`, nil}, {`[{"x":1.}]`, nil}, {`[{"x":.5}]`, nil}, {`[{"x":1e}]`, nil}, {`[{"x":-}]`,
			nil}, {`[{"x":+1}]`, nil}, {`[{"x":NaN}]`, nil}, {`[{"x":tru}]`, nil},
		{"\ufeff[]", nil}, {`[{"x":` + strings.Repeat("[", 34) + strings.Repeat("]", 34) + `}]`,
			nil}, {"[" + strings.Repeat(" ", MaxTransaction) + "]", nil},
	} {
		got, err := ParsePhaseDataList(c.text)
		name := c.text[:min(len(c.text), 80)]
		if c.want == nil {
			if !errors.Is(err, ErrPhaseList) {
				t.Errorf("%s: %v, %v, want a refusal", name, got, err)
			}
			continue
		}
		same := err == nil && len(got) == len(c.want)
		for i := 0; same && i < len(got); i++ {
			same = proto.Equal(got[i], c.want[i])
		}
		if !same {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// TestPhaseListBounds: at the largest number of elements, and one past it; the two lists have different errors.
func TestPhaseListBounds(t *testing.T) {
	list := func(n int) string { return "[" + strings.Repeat(",{}", n)[1:] + "]" }
	numbered := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"%d":{}`, n-i)
		}
		return "{" + b.String()[1:] + "}"
	}
	for _, spell := range []func(int) string{list, numbered} {
		if got, err := ParsePhaseDataList(spell(MaxPhaseItems)); err != nil || len(got) != MaxPhaseItems {
			t.Errorf("%d items: %d, %v", MaxPhaseItems, len(got), err)
		}
		if _, err := ParsePhaseDataList(spell(MaxPhaseItems + 1)); !errors.Is(err, ErrPhaseListLong) {
			t.Errorf("one item more: %v", err)
		}
		if got, err := ParseRelatedDataList(spell(MaxRelated)); err != nil || len(got) != MaxRelated {
			t.Errorf("%d related: %d, %v", MaxRelated, len(got), err)
		}
		if _, err := ParsePhaseDataList(`[{"relatedDataList":` + spell(MaxRelated+1) + `}]`); !errors.Is(err, ErrPhaseList) {
			t.Errorf("one related more: %v", err)
		}
	}
}

// FuzzParsePhaseDataList: what is read is what encoding/json reads; it is written and read again as the same; nothing
// but the two errors comes back.
func FuzzParsePhaseDataList(f *testing.F) {
	for _, s := range []string{
		`[]`, `{"1":{"dataKey":"a","phaseData":"\ud842\udfb7\n"},"2":{"dataSeq":"x","relatedDataList":{"0":{"relatedPhaseId":"1"}}}}`,
		`[{"dataKey":"a","x":[1,-0.5e+3,{"y":null}],"relatedDataList":[{"relatedDataKey":"k","relatedPhaseData":"米"}]}]`,
		`[{"dataKey":null}]`,
		`[{"dataKey":"a","dataKey":"b"}]`, `{"1":{},"0":{}}`, "[{\"dataKey\":\"\u2028\"}]", `[{"x":1.5e-7}]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := ParsePhaseDataList(text)
		if err != nil {
			if !errors.Is(err, ErrPhaseList) && !errors.Is(err, ErrPhaseListLong) {
				t.Fatal(err)
			}
			return
		}
		var tree any
		if err := json.Unmarshal([]byte(text), &tree); err != nil {
			t.Fatalf("encoding/json refuses what was read: %v", err)
		}
		want := oracleItems(t, tree)
		if len(got) != len(want) || len(got) > MaxPhaseItems {
			t.Fatalf("%d items, want %d", len(got), len(want))
		}
		for i, item := range got {
			if !proto.Equal(item, want[i]) {
				t.Fatalf("item %d: %v, want %v", i, item, want[i])
			}
			if !utf8.ValidString(item.GetPhaseData() + item.GetDataKey() + item.GetDataSeq()) {
				t.Fatalf("item %d is no UTF-8", i)
			}
		}
		again, err := ParsePhaseDataList(spellItems(t, got))
		if err != nil || len(again) != len(got) {
			t.Fatalf("written and read again: %v, %v", again, err)
		}
		for i := range got {
			if !proto.Equal(again[i], got[i]) {
				t.Fatalf("item %d became %v from %v", i, again[i], got[i])
			}
		}
	})
}

// elements are those of a list in either form.
func elements(t *testing.T, tree any) (all []any) {
	switch v := tree.(type) {
	case nil:
	case []any:
		all = v
	case map[string]any:
		first := 1
		if _, ok := v["0"]; ok {
			first = 0
		}
		for i := range len(v) {
			e, ok := v[fmt.Sprint(first+i)]
			if !ok {
				t.Fatalf("element %d is missing in %v", first+i, v)
			}
			all = append(all, e)
		}
	default:
		t.Fatalf("%v is no list", tree)
	}
	return all
}

func oracleItems(t *testing.T, tree any) (items []*ltlv1.PhaseItem) {
	text := func(m map[string]any, name string) string {
		s, ok := m[name].(string)
		if !ok && m[name] != nil {
			t.Fatalf("%s is %v, and was read as text", name, m[name])
		}
		return s
	}
	for _, e := range elements(t, tree) {
		m := e.(map[string]any)
		item := &ltlv1.PhaseItem{DataKey: text(m, "dataKey"), PhaseData: text(m, "phaseData"), DataSeq: text(m, "dataSeq")}
		for _, e := range elements(t, m["relatedDataList"]) {
			r := e.(map[string]any)
			item.Related = append(item.Related, &ltlv1.RelatedData{
				PhaseId: text(r, "relatedPhaseId"), DataKey: text(r, "relatedDataKey"), PhaseData: text(r,
					"relatedPhaseData"), DataSeq: text(r, "relatedDataSeq"),
			})
		}
		items = append(items, item)
	}
	return items
}

// spellItems writes items as JSON.
func spellItems(t *testing.T, items []*ltlv1.PhaseItem) string {
	list := []any{}
	for _, item := range items {
		related := []any{}
		for _, r := range item.GetRelated() {
			related = append(related, map[string]any{
				"relatedPhaseId": r.GetPhaseId(), "relatedDataKey": r.GetDataKey(), "relatedPhaseData": r.GetPhaseData(),
				"relatedDataSeq": r.GetDataSeq(),
			})
		}
		list = append(list, map[string]any{
			"dataKey": item.GetDataKey(), "phaseData": item.GetPhaseData(), "dataSeq": item.GetDataSeq(),
			"relatedDataList": related,
		})
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
