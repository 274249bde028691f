package facade

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// plain is a node as encoding/json decodes it; a list in the form of a numbered object is an object here.
func plain(n *node) any {
	switch n.form {
	case nodeText:
		return n.text
	case nodeList:
		out := []any{}
		for i := range n.items {
			out = append(out, plain(&n.items[i]))
		}
		return out
	}
	out := map[string]any{}
	for i := range n.members {
		out[n.members[i].name] = plain(&n.members[i].value)
	}
	return out
}

// normalise turns every numbered object into a list, so that all forms of one list become equal.
func normalise(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = normalise(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = normalise(v[k])
		}
		for _, base := range []int{0, 1} {
			var list []any
			for i := base; ; i++ {
				e, ok := v[strconv.Itoa(i)]
				if !ok {
					break
				}
				list = append(list, e)
			}
			if len(v) > 0 && len(list) == len(v) {
				return list
			}
		}
	}
	return v
}

// numbered turns every list into an object whose members are numbered from base.
func numbered(v any, base int) any {
	out := map[string]any{}
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			out[strconv.Itoa(i+base)] = numbered(e, base)
		}
		return out
	case map[string]any:
		for k, e := range v {
			out[k] = numbered(e, base)
		}
		return out
	}
	return v
}

// flatten writes v as parameters.
func flatten(to url.Values, name string, v any) {
	switch v := v.(type) {
	case []any:
		for i, e := range v {
			flatten(to, name+"."+strconv.Itoa(i+1), e)
		}
	case map[string]any:
		for k, e := range v {
			flatten(to, name+"."+k, e)
		}
	case string:
		to.Set(name, v)
	}
}

func mustJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// decode decodes the list parameter L of a request with these parameters.
func decode(t interface{ Fatal(...any) }, v url.Values) (list, bool, *gatewayError) {
	var q request
	r := httptest.NewRequest("POST", "/", strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if err := q.parse(r, newMemory(func(*request) string { return "" })); err != nil {
		t.Fatal(err)
	}
	return q.decodeList("L")
}

// TestListsMeanTheSameInEveryForm: all forms of a list of texts, or of objects with texts and lists of objects,
// decode to the same list.
func TestListsMeanTheSameInEveryForm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom([]string{"dataKey", "phaseData", "dataSeq", "名", "x-y"})
		related := rapid.MapOfN(rapid.SampledFrom([]string{"relatedPhaseId", "relatedDataKey"}), rapid.String(), 1, 2)
		object := rapid.Custom(func(t *rapid.T) any {
			o := map[string]any{}
			for k, v := range rapid.MapOfN(name, rapid.String(), 1, 3).Draw(t, "texts") {
				o[k] = v
			}
			if all := rapid.SliceOfN(related, 0, 12).Draw(t, "related"); len(all) > 0 {
				var list []any
				for _, r := range all {
					one := map[string]any{}
					for k, v := range r {
						one[k] = v
					}
					list = append(list, one)
				}
				o["relatedDataList"] = list
			}
			return o
		})
		want := rapid.OneOf(
			rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") }), 1, 30),
			rapid.SliceOfN(object, 1, 12),
		).Draw(t, "list")
		flat := url.Values{"La": {"x"}, "L-b": {"y"}, "L": nil, "K.1": {"z"}}
		flatten(flat, "L", want)
		forms := map[string]url.Values{
			"array":             {"L": {mustJSON(want)}},
			"object from 0":     {"L": {mustJSON(numbered(want, 0))}},
			"object from 1":     {"L": {" " + mustJSON(numbered(want, 1)) + "\n"}},
			"flattened":         flat,
			"flattened, from 0": {},
		}
		for k, v := range flatFromZero(flat) {
			forms["flattened, from 0"][k] = v
		}
		for form, v := range forms {
			l, present, err := decode(t, v)
			if err != nil || !present {
				t.Fatalf("%s: %v, present %v: %v", form, err, present, v)
			}
			var got []any
			for i := range l.items {
				got = append(got, normalise(plain(&l.items[i])))
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %v became %v, want %v", form, v, got, want)
			}
			if l.text != v.Get("L") {
				t.Fatalf("%s: the text is %q, want %q", form, l.text, v.Get("L"))
			}
			texts, allTexts := l.strings()
			_, isText := want[0].(string)
			if allTexts != isText || isText && len(texts) != len(want) {
				t.Fatalf("%s: texts %v", form, allTexts)
			}
		}
	})
}

// flatFromZero renumbers the outermost level of a flattened list.
func flatFromZero(v url.Values) url.Values {
	out := url.Values{}
	for k, e := range v {
		if rest, ok := strings.CutPrefix(k, "L."); ok {
			number, more, deeper := strings.Cut(rest, ".")
			n, _ := strconv.Atoi(number)
			k = "L." + strconv.Itoa(n-1)
			if deeper {
				k += "." + more
			}
		}
		out[k] = e
	}
	return out
}

func TestListsThatAreNone(t *testing.T) {
	deep := strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)
	for _, text := range []string{"", " ", "x", `"a"`, "1", "null", "true", "[true]", "[null]", "[1-]", "['a]", "['a\"]", "[u]", `['\x4']`, `['\U00110000']`, `["a",]`, `["a"`, `["a"]]`,
		`["a"] x`, `{"0":"a","2":"b"}`, `{"2":"a"}`,
		`{"1":"a","01":"b"}`, `{"0":"a","a":"b"}`, `{"0":"a","0":"b"}`, `{"a":"b"}`, `{"0":"a",}`, `{"0" "a"}`,
		`{"-0":"a"}`, `{"+1":"a"}`, `["\x"]`, `["\u12"]`,
		`["\ud800"]`, `["\udc00\ud800"]`, "[\"a\nb\"]", `["`, `["\`, `[{"a":"b","a":"c"}]`, deep, "[" + strings.Repeat(`"",`,
			maxNodes) + `""]`} {
		if _, present, err := decode(t, url.Values{"L": {text}}); !present || err == nil || err.code != "InvalidL" {
			t.Errorf("%.60q: present %v, %v", text, present, err)
		}
	}
	for name, v := range map[string]url.Values{
		"text and flattened": {"L": {`["a"]`}, "L.1": {"a"}}, "gap": {"L.1": {"a"},
			"L.3": {"b"}}, "from 2": {"L.2": {"a"}}, "no number": {"L.a": {"b"}},
		"empty name": {"L.": {"a"}}, "empty level": {"L.1..a": {"b"}}, "empty member": {"L.1.": {"b"}},
		"text and object": {"L.1": {"a"}, "L.1.b": {"c"}},
		"text and object, apart": {"L.1": {"a"}, "L.1-": {"x"},
			"L.1.b": {"c"}}, "leading zero": {"L.01": {"a"}}, "too deep": {"L.1.a.1.b.c.d": {"x"}},
	} {
		if _, present, err := decode(t, v); !present || err == nil || err.code != "InvalidL" {
			t.Errorf("%s: present %v, %v", name, present, err)
		}
	}
	for _, v := range []url.Values{{}, {"La": {"x"}, "l.1": {"y"}, "L-1": {"z"}}} {
		if _, present, err := decode(t, v); present || err != nil {
			t.Errorf("%v: present %v, %v", v, present, err)
		}
	}
	for _, text := range []string{"[]", "{}", " [ ] "} {
		if l, present, err := decode(t, url.Values{"L": {text}}); !present || err != nil || len(l.items) != 0 ||
			l.text != text {
			t.Errorf("%q: present %v, %v, %v", text, present, err, l)
		}
	}
}

// TestListsOfSDKs: lists as the SDKs of several languages make them from their own values.
func TestListsOfSDKs(t *testing.T) {
	for what, c := range map[string]struct {
		in   url.Values
		want string
	}{
		"Python's repr":                 {url.Values{"L": {`['a', "it's", 'say \'x\' and "y"', 'tab\t\x41\u503c\U0001f600']`}}, `["a","it's","say 'x' and \"y\"","tab\tA值😀"]`},
		"Python 2's repr":               {url.Values{"L": {`[u'a', u"b"]`}}, `["a","b"]`},
		"Python's repr of dictionaries": {url.Values{"L": {`[{'dataKey': 'k', 'dataSeq': None, 'relatedDataList': []}]`}}, `[{"dataKey":"k","relatedDataList":[]}]`},
		"Python's numbered dictionary":  {url.Values{"L": {`{1: 'a', 2: 'b'}`}}, `["a","b"]`},
		"numbers":                       {url.Values{"L": {`[196487512811, -1.50, 1e3]`}}, `["196487512811","-1.50","1e3"]`},
		"members that are numbers":      {url.Values{"L": {`[{"dataKey":17,"dataSeq":null}]`}}, `[{"dataKey":"17"}]`},
		"flattened": {url.Values{"L.1.dataKey": {"k"}, "L.1.relatedDataList": {"[]"}},
			`[{"dataKey":"k","relatedDataList":"[]"}]`},
	} {
		l, present, err := decode(t, c.in)
		if err != nil || !present {
			t.Errorf("%s: %v", what, err)
			continue
		}
		got := []any{}
		for i := range l.items {
			got = append(got, plain(&l.items[i]))
		}
		if text := mustJSON(got); text != mustJSON(json.RawMessage(c.want)) {
			t.Errorf("%s: %s, want %s", what, text, c.want)
		}
	}
	inner := node{text: `[{'relatedPhaseId': '1'}]`}
	if items, ok := inner.list(); !ok || len(items) != 1 || items[0].get("relatedPhaseId").text != "1" {
		t.Errorf("a list that is a text inside a flattened one: %v %v", items, ok)
	}
}

// TestListErrorsSayWhere: the error of a list names the character or the element that is wrong.
func TestListErrorsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		`["a","值",x]`: "at character 10", `["a"`: "at character 5", `['a', true]`: "at character 7",
		`{"0":"a","2":"b"}`: "numbered without a gap",
	} {
		if _, _, err := decode(t, url.Values{"L": {text}}); err == nil || !strings.Contains(err.message, want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, _, err := decode(t, url.Values{"L.1": {"a"}, "L.1.b": {"c"}}); err == nil ||
		!strings.Contains(err.message, "L.1.b does not fit") {
		t.Errorf("%v", err)
	}
}

// TestNumberedObjectsAreSortedAsNumbers: clients in Go write the members of an object in the order of their names as
// texts.
func TestNumberedObjectsAreSortedAsNumbers(t *testing.T) {
	object := map[string]string{}
	for i := range 50 {
		object[strconv.Itoa(i)] = fmt.Sprint("item ", i)
	}
	l, _, err := decode(t, url.Values{"L": {mustJSON(object)}})
	all, ok := l.strings()
	if err != nil || !ok || len(all) != 50 {
		t.Fatal(err, all)
	}
	for i, s := range all {
		if s != fmt.Sprint("item ", i) {
			t.Errorf("item %d is %q", i, s)
		}
	}
}

// listAction is an Action with a mandatory and an optional list that returns their elements.
func listAction() *action {
	return &action{name: "Lists", data: kindArray, params: []parameter{{name: "L", kind: typeList},
		{name: "M", kind: typeList, optional: true}},
		run: func(c *call) (value, error) {
			var out []value
			for _, name := range []string{"L", "M"} {
				l := c.list(name)
				all, _ := l.strings()
				for _, s := range all {
					out = append(out, text(name+s))
				}
			}
			return array(out), nil
		}}
}

func TestListParameters(t *testing.T) {
	f := newTestFacade(t)
	f.actions["Lists"] = listAction()
	f.metrics = newMetrics(append(slices.Collect(maps.Keys(f.actions)), "Lists"), func() float64 { return 0 })
	for name, c := range map[string]struct {
		pairs []string
		want  string
	}{
		"both":              {[]string{"L", `["1","2"]`, "M", `{"1":"3"}`}, `["L1","L2","M3"]`},
		"optional absent":   {[]string{"L", `[]`}, `[]`},
		"optional empty":    {[]string{"L.1", "x", "M", ""}, `["Lx"]`},
		"optional flat":     {[]string{"L.1", "x", "M.1", "y", "M.2", ""}, `["Lx","My","M"]`},
		"mandatory absent":  {[]string{"M", `[]`}, "MissingL"},
		"mandatory empty":   {[]string{"L", ""}, "InvalidL"},
		"optional is wrong": {[]string{"L", "[]", "M", "["}, "InvalidM"},
	} {
		r := f.act(t, "member", "Lists", c.pairs...)
		if !strings.Contains(r.body, `"Data":`+c.want) && r.code() != c.want {
			t.Errorf("%s: %s, want %s", name, r.body, c.want)
		}
	}
}

// FuzzList: a text that parses as a list, and is JSON of texts, is what the standard library decodes.
func FuzzList(f *testing.F) {
	for _, s := range []string{`["a","b"]`, `{"0":"a","1":"b"}`,
		`{"1":{"dataKey":"k","relatedDataList":[{"relatedPhaseId":"1"}]}}`, `["\u4e2d\ud83d\ude00\n\/"]`, `[[]]`,
		`["\ud800"]`, "[\"\xff\"]", `[{"a":"1","a":"2"}]`, "[\"\u2028\"]", strings.Repeat("[", 9)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tree, at := parseTree(s)
		if at > len(s) || at < -1 {
			t.Fatalf("%q cannot be read at byte %d", s, at)
		}
		var want any
		if at >= 0 || json.Unmarshal([]byte(s), &want) != nil || strings.ContainsAny(s, "0123456789n") {
			return // it is no list, or Python's, or has numbers or null, which are texts or absent here
		}
		if got := plain(&tree); !reflect.DeepEqual(got, want) {
			t.Fatalf("%q is read as %v, not as %v", s, got, want)
		}
		if items, ok := tree.list(); ok && tree.form == nodeObject && len(items) != len(tree.members) {
			t.Fatalf("%q loses members", s)
		}
	})
}

// FuzzFlattenedList: parameters with any names decode to a list or an error, and no text is lost or invented.
func FuzzFlattenedList(f *testing.F) {
	f.Add("L.1", "a", "L.2", "b", "L.3.x", "c")
	f.Add("L.1.relatedDataList.1.relatedPhaseId", "a", "L.1.dataKey", "b", "L", "[]")
	f.Add("L.1", "a", "L.1.b", "c", "L.1-", "d")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3 string) {
		var q request
		for _, p := range [][2]string{{n1, v1}, {n2, v2}, {n3, v3}} {
			q.params = append(q.params, param{name: p[0], value: p[1]})
		}
		if q.sort() != nil {
			return
		}
		l, present, err := q.decodeList("L")
		if err != nil || !present || l.text != "" {
			return
		}
		var want, got []string
		for _, p := range q.params {
			if strings.HasPrefix(p.name, "L.") {
				want = append(want, p.value)
			}
		}
		for i := range l.items {
			got = append(got, texts(&l.items[i])...)
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Fatalf("%v became %v", want, got)
		}
	})
}

// texts are all texts in a node.
func texts(n *node) []string {
	if n.form == nodeText {
		return []string{n.text}
	}
	var out []string
	for i := range n.items {
		out = append(out, texts(&n.items[i])...)
	}
	for i := range n.members {
		out = append(out, texts(&n.members[i].value)...)
	}
	return out
}
