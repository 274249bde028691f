package facade

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// hardTexts are texts of every Unicode plane and of all characters with a meaning in one of the encodings on the way.
func hardTexts() []string {
	planes := make([]rune, 0, 3*17)
	for plane := range rune(17) {
		planes = append(planes, plane<<16|0x21, plane<<16|0xabcd, plane<<16|0xfffd)
	}
	controls := make([]byte, 33)
	for i := range controls {
		controls[i] = byte(i)
	}
	return []string{
		string(planes), string(controls) +
			"\x7f", `<&>'"/\`, "]]>", `\u503c\n`, "%41+%2B&a=b;c #?", "\u2028\u2029\u0085\ufeff\ufffe\uffff", "e\u0301 é",
		"null",
		strings.Repeat("值", 2048), strings.Repeat(`"`, 4096), "a", " ", "\n",
	}
}

// record and reference are the elements of the list parameters, as callers write them.
type reference struct {
	Phase string `json:"relatedPhaseId"`
	Key   string `json:"relatedDataKey"`
	Data  string `json:"relatedPhaseData"`
	Seq   string `json:"relatedDataSeq,omitempty"`
}

type recordItem struct {
	Key     string      `json:"dataKey"`
	Data    string      `json:"phaseData"`
	Seq     string      `json:"dataSeq,omitempty"`
	Related []reference `json:"relatedDataList,omitempty"`
}

// randomItems are n items that the ledger accepts.
func randomItems(r *rand.Rand, n int) []recordItem {
	texts := hardTexts()
	name := func(s string) string { return s + strconv.Itoa(r.IntN(1000)) }
	items := make([]recordItem, n)
	for i := range items {
		items[i] = recordItem{Key: name("k"), Data: texts[r.IntN(len(texts))]}
		if r.IntN(2) == 0 {
			items[i].Seq = "s" + strconv.Itoa(i)
		}
		for range r.IntN(13) {
			items[i].Related = append(items[i].Related,
				reference{Phase: phaseTwo, Key: name("r"), Data: texts[len(texts)-1-r.IntN(4)]})
			if r.IntN(2) == 0 {
				items[i].Related[len(items[i].Related)-1].Seq = name("q")
			}
		}
	}
	return items
}

// raw is the JSON text of v as most libraries write it. That of Go escapes <, > and &, as Gson does.
func raw(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return b.String()
}

func escaped(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// numberedList is the JSON object that the Go clients make of a list: numbers as names, sorted as texts, so that "10"
// precedes "2".
func numberedList[T any](list []T, base int) map[string]any {
	out := map[string]any{}
	for i, v := range list {
		out[strconv.Itoa(base+i)] = v
	}
	return out
}

// flattened adds a list in the form of other clients: name.1.member.
func flattened(v url.Values, name string, items []recordItem) {
	for i, item := range items {
		at := name + "." + strconv.Itoa(i+1) + "."
		v.Set(at+"dataKey", item.Key)
		v.Set(at+"phaseData", item.Data)
		if item.Seq != "" {
			v.Set(at+"dataSeq", item.Seq)
		}
		flattenedRelated(v, at+"relatedDataList", item.Related)
	}
}

func flattenedRelated(v url.Values, name string, items []reference) {
	for i, d := range items {
		at := name + "." + strconv.Itoa(i+1) + "."
		v.Set(at+"relatedPhaseId", d.Phase)
		v.Set(at+"relatedDataKey", d.Key)
		v.Set(at+"relatedPhaseData", d.Data)
		v.Set(at+"relatedDataSeq", d.Seq) // empty means absent
	}
}

// listForms are functions that add the same list to a request, each in another form.
func listForms[T any](name string, items []T, flat func(url.Values)) map[string]func(url.Values) {
	text := func(s string) func(url.Values) { return func(v url.Values) { v.Set(name, s) } }
	return map[string]func(url.Values){
		"array": text(raw(items)), "escaped": text(escaped(items)), "from 0": text(escaped(numberedList(items, 0))),
		"from 1": text(raw(numberedList(items, 1))), "spaced": text(" \n\t" + raw(items) + "\r\n"), "flattened": flat,
	}
}

// same calls an Action with a list in each form and returns the upload, which must be equal for all.
func same(t *testing.T, f *testFacade, action string, pairs []string, forms map[string]func(url.Values)) *ltlv1.UploadPhaseData {
	t.Helper()
	var first *ltlv1.UploadPhaseData
	for form, enter := range forms {
		v := f.params("member", action, pairs...)
		enter(v)
		if r := f.post(t, v); r.code() != "200" {
			t.Fatalf("%s: %.300s", form, r.body)
		}
		u := f.net.last.GetUploadPhaseData()
		if first == nil {
			first = u
		}
		if !proto.Equal(first, u) {
			t.Fatalf("%s makes %.1000s\nanother form %.1000s", form, u, first)
		}
	}
	return first
}

// TestListFormsAgree: all forms of a list make the same transaction, which holds the caller's bytes.
func TestListFormsAgree(t *testing.T) {
	f := newCollaboration(t)
	r := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		items := randomItems(r, 1+r.IntN(12))
		u := same(t, f, "BatchUploadMPCoSPhaseTextInfo", in(),
			listForms("PhaseDataList", items, func(v url.Values) { flattened(v, "PhaseDataList", items) }))
		if len(u.GetItems()) != len(items) {
			t.Fatalf("%d items, want %d", len(u.GetItems()), len(items))
		}
		for i, item := range items {
			got := u.GetItems()[i]
			if got.GetDataKey() != item.Key || got.GetPhaseData() != item.Data || got.GetDataSeq() != item.Seq ||
				len(got.GetRelated()) != len(item.Related) {
				t.Fatalf("item %d is %v, want %v", i, got, item)
			}
			for j, d := range item.Related {
				if g := got.GetRelated()[j]; g.GetPhaseId() != d.Phase || g.GetDataKey() != d.Key || g.GetPhaseData() != d.Data ||
					g.GetDataSeq() != d.Seq {
					t.Fatalf("item %d refers to %v, want %v", i, g, d)
				}
			}
		}
		if len(items[0].Related) == 0 {
			continue
		}
		forms := listForms("RelatedDataList", items[0].Related,
			func(v url.Values) { flattenedRelated(v, "RelatedDataList", items[0].Related) })
		single := same(t, f, "UploadMPCoSPhaseTextInfo", in("DataKey", items[0].Key, "PhaseData", items[0].Data, "DataSeq",
			items[0].Seq), forms)
		if !proto.Equal(single.GetItems()[0], u.GetItems()[0]) {
			t.Fatalf("single upload %v\nthe same in a batch %v", single.GetItems()[0], u.GetItems()[0])
		}
	}
}

// TestAuthorizedPhaseListForms: the same for a list of texts. Two of the forms can be empty.
func TestAuthorizedPhaseListForms(t *testing.T) {
	f := newCollaboration(t)
	ids := make([]string, 12)
	for i := range ids {
		ids[i] = fmt.Sprintf("%016d", i)
	}
	forms := listForms("AuthorizedPhaseList", ids, func(v url.Values) {
		for i, id := range ids {
			v.Set("AuthorizedPhaseList."+strconv.Itoa(i+1), id)
		}
	})
	for form, enter := range forms {
		v := f.params("admin", "UpdateMPCoSAuthorizedInfo", on("PhaseGroupId", groupID, "MemberId", memberID)...)
		enter(v)
		if r := f.post(t, v); r.code() != "200" || !slices.Equal(f.net.last.GetAuthorizePhases().GetPhaseIds(), ids) {
			t.Errorf("%s: %s %v", form, r.body, f.net.last)
		}
	}
	for _, empty := range []string{"[]", "{}", " [ ] "} {
		r := f.act(t, "admin", "UpdateMPCoSAuthorizedInfo", on("PhaseGroupId", groupID, "MemberId", memberID,
			"AuthorizedPhaseList", empty)...)
		if r.code() != "200" || len(f.net.last.GetAuthorizePhases().GetPhaseIds()) != 0 {
			t.Errorf("%s: %s", empty, r.body)
		}
	}
}

// TestRecordedLists: lists in recorded requests of real clients are decoded, in the form of each client.
func TestRecordedLists(t *testing.T) {
	ids, references := 0, 0
	for _, v := range recordedRequests(t) {
		s := new(scratch)
		f := newTestFacade(t)
		if err := s.request.parse(v.request(), f.memory); err != nil {
			t.Fatal(v.name, err)
		}
		if l, present, err := s.request.decodeList("AuthorizedPhaseList"); present {
			if all, ok := l.strings(); err != nil || !ok || all[0] != "196487512811" {
				t.Errorf("%s: %v %v", v.name, l, err)
			}
			ids++
		}
		if len(s.request.under("RelatedDataList")) > 0 {
			items, _, err := phaseUpload{}.read(&call{q: &s.request})
			if d := items[0].GetRelated(); err != nil || len(d) != 1 || d[0].GetDataKey() != "be" ||
				d[0].GetPhaseData() != "某" || d[0].GetPhaseId() != "98" {
				t.Errorf("%s: %v %v", v.name, items, err)
			}
			references++
		}
	}
	if ids != 5 || references != 1 {
		t.Errorf("%d and %d lists", ids, references)
	}
}

// TestPythonsForm: a batch as Python writes a list is taken, and its error names the place; one that a device signed must
// be JSON, because the ledger reads the text that was signed.
func TestPythonsForm(t *testing.T) {
	f := newCollaboration(t)
	python := []string{"PhaseDataList", `[{'dataKey': 'a', 'phaseData': 'it is 5', 'relatedDataList': []}]`}
	if r := f.act(t, "member", "BatchUploadMPCoSPhaseTextInfo", in(python...)...); r.code() != "200" ||
		f.net.last.GetUploadPhaseData().GetItems()[0].GetPhaseData() != "it is 5" {
		t.Errorf("%s", r.body)
	}
	for text, want := range map[string]string{`[{'dataKey': 'a', phaseData: 'd'}]`: "byte", `[{"dataKey":["a"]}]`: "byte"} {
		r := f.act(t, "member", "BatchUploadMPCoSPhaseTextInfo", in("PhaseDataList", text)...)
		if r.code() != "InvalidPhaseDataList" || !strings.Contains(r.body, want) {
			t.Errorf("%s: %s", text, r.body)
		}
	}
	signed := f.act(t, "member", "BatchUploadMPCoSPhaseTextInfoByDevice",
		in(append(signedBy(python[1]), python...)...)...)
	if signed.code() != "InvalidPhaseDataList" {
		t.Errorf("a list that a device signed: %s", signed.body)
	}
}

// TestBadLists: a list in two forms, with gaps or with conflicting members is refused, and nothing is submitted.
func TestBadLists(t *testing.T) {
	for name, pairs := range map[string][]string{
		"both forms":     {"PhaseDataList", `[{"dataKey":"a","phaseData":"d"}]`, "PhaseDataList.1.dataKey", "a"},
		"empty and flat": {"PhaseDataList", "", "PhaseDataList.1.dataKey", "a", "PhaseDataList.1.phaseData", "d"},
		"a gap":          {"PhaseDataList.1.dataKey", "a", "PhaseDataList.3.dataKey", "a"},
		"not from 1":     {"PhaseDataList.2.dataKey", "a"},
		"no number":      {"PhaseDataList.x.dataKey", "a"},
		"leading zero":   {"PhaseDataList.01.dataKey", "a"},
		"no member":      {"PhaseDataList.1", "a"},
		"member is list": {"PhaseDataList.1.dataKey.1", "a"},
		"related is text": {"PhaseDataList.1.dataKey", "a", "PhaseDataList.1.phaseData", "d",
			"PhaseDataList.1.relatedDataList", "x"},
		"related's gap": {"PhaseDataList.1.dataKey", "a", "PhaseDataList.1.phaseData", "d",
			"PhaseDataList.1.relatedDataList.2.relatedDataKey", "x"},
		"twice a member": {"PhaseDataList", `[{"dataKey":"a","dataKey":"b","phaseData":"d"}]`},
		"object's gap":   {"PhaseDataList", `{"0":{"dataKey":"a","phaseData":"d"},"2":{"dataKey":"a","phaseData":"d"}}`},
		"trailing text":  {"PhaseDataList", `[{"dataKey":"a","phaseData":"d"}]x`},
		"half a pair":    {"PhaseDataList", `[{"dataKey":"a","phaseData":"\ud800"}]`},
	} {
		f := newCollaboration(t)
		r := f.act(t, "member", "BatchUploadMPCoSPhaseTextInfo", in(pairs...)...)
		if r.code() != "InvalidPhaseDataList" || r.status != 400 || f.net.last != nil {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	f := newCollaboration(t)
	v := f.params("member", "BatchUploadMPCoSPhaseTextInfo", in()...)
	flattened(v, "PhaseDataList", randomItems(rand.New(rand.NewPCG(3, 4)), 51))
	if r := f.post(t, v); r.code() != "-221" {
		t.Errorf("51 flattened items: %s", r.body)
	}
	for n, want := range map[int]string{50: "200", 51: "InvalidPhaseDataList"} {
		v := f.params("member", "BatchUploadMPCoSPhaseTextInfo", in()...)
		flattened(v, "PhaseDataList",
			[]recordItem{{Key: "k", Data: "d", Related: slices.Repeat([]reference{{phaseTwo, "k", "d", ""}}, n)}})
		if r := f.post(t, v); r.code() != want {
			t.Errorf("%d flattened related data: %s", n, r.body)
		}
	}
}

// FuzzPhaseDataList: a list decoded from a text, encoded again in every form, decodes to the same records.
func FuzzPhaseDataList(f *testing.F) {
	f.Add(`[{"dataKey":"a","phaseData":"\u503c","relatedDataList":{"1":{"relatedPhaseId":"1","relatedDataKey":"b","relatedPhaseData":"c"}}}]`)
	f.Add(`{"0":{"dataKey":"a"},"1":{"phaseData":null,"x":[1e9,true,{"y":"\ud83d\ude00"}]}}`)
	for _, s := range hardTexts() {
		f.Add(escaped([]recordItem{{Key: "k", Data: s, Related: []reference{{Data: s}}}}))
	}
	f.Fuzz(func(t *testing.T, text string) {
		batch := phaseUpload{batch: true}
		first, payload, err := batch.read(&call{q: &request{params: []param{{name: "PhaseDataList", value: text}}}})
		if err != nil {
			return
		}
		if payload != text || len(first) > rules.MaxPhaseItems {
			t.Fatalf("%d items of %q", len(first), payload)
		}
		if len(first) == 0 {
			return
		}
		items := make([]recordItem, len(first))
		for i, item := range first {
			items[i] = recordItem{Key: item.GetDataKey(), Data: item.GetPhaseData(), Seq: item.GetDataSeq()}
			for _, d := range item.GetRelated() {
				items[i].Related = append(items[i].Related, reference{d.GetPhaseId(), d.GetDataKey(), d.GetPhaseData(),
					d.GetDataSeq()})
			}
		}
		for form, enter := range listForms("PhaseDataList", items,
			func(v url.Values) { flattened(v, "PhaseDataList", items) }) {
			v := url.Values{}
			enter(v)
			q := &request{}
			for name := range v {
				q.params = append(q.params, param{name: name, value: v.Get(name)})
			}
			if err := q.sort(); err != nil {
				return // more members than a request may have parameters
			}
			again, _, err := batch.read(&call{q: q})
			if err != nil || len(again) != len(first) {
				t.Fatalf("%s of %q: %v", form, text, err)
			}
			for i := range again {
				if !proto.Equal(again[i], first[i]) {
					t.Fatalf("%s of %q: %v, want %v", form, text, again[i], first[i])
				}
			}
		}
	})
}
