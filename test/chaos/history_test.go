package chaos

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestHistory: what is read from the file is what was kept in memory; and of a file that ends anywhere, every call that
// is in it is one that was made, with its outcome or an unknown one.
func TestHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.jsonl")
	h, err := NewHistory(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		o := &Op{Client: i % 3, Action: SetData, Key: fmt.Sprint("k", i), Value: "v"}
		h.begin(o)
		if i%10 != 0 {
			h.end(o, func() { o.Outcome, o.Attempts = OK, 1 })
		}
	}
	ops, err := h.Close()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read, err := ReadHistory(bytes.NewReader(raw))
	if err != nil || !reflect.DeepEqual(read, ops) {
		t.Errorf("%d calls were read of %d (%v)", len(read), len(ops), err)
	}
	if ops[10].Outcome != Unknown || ops[11].Outcome != OK || ops[11].Return < ops[11].Call {
		t.Errorf("outcomes are %+v and %+v", ops[10], ops[11])
	}
	for cut := 0; cut <= len(raw); cut += 37 {
		part, err := ReadHistory(bytes.NewReader(raw[:cut]))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		for i, o := range part {
			if o.Key != ops[i].Key || o.Outcome != Unknown && o.Outcome != ops[i].Outcome {
				t.Fatalf("cut at %d: call %d is %+v", cut, i, o)
			}
		}
	}
	if _, err := NewHistory(path); err == nil {
		t.Error("a history was overwritten")
	}
	for _, bad := range []string{"{\"id\":0}\n{\"id\":7}\n", "not a history\n{}"} {
		if _, err := ReadHistory(strings.NewReader(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// TestJudge: which answers end a call, and as what.
func TestJudge(t *testing.T) {
	set, get := &Op{Action: SetData}, &Op{Action: GetData}
	for _, c := range []struct {
		op     *Op
		status int
		body   string
		want   Outcome
		final  bool
	}{
		{set, 200, `{"Code":200,"Success":true,"Data":""}`, OK, true},
		{get, 200, `{"Code":200,"Success":true,"Data":"v"}`, OK, true},
		{set, 200, `{"Code":-317,"Success":false}`, Exists, true},
		{get, 200, `{"Code":-317,"Success":false}`, Wrong, true},
		{get, 200, `{"Code":404,"Success":false}`, Absent, true},
		{set, 200, `{"Code":404,"Success":false}`, Wrong, true},
		{get, 200, `{"Code":-320,"Success":false}`, Unknown, false},
		{set, 503, `{"Code":"ServiceUnavailable"}`, Unknown, false},
		{set, 400, `{"Code":"Throttling"}`, Unknown, false},
		{set, 500, `{"Code":"InternalError"}`, Wrong, true},
		{set, 200, `<html>`, Wrong, true},
		{set, 200, `{}`, Wrong, true},
	} {
		outcome, final := judge(c.op, parseAnswer(c.status, []byte(c.body)))
		if outcome != c.want || final != c.final {
			t.Errorf("%s of %s is %s, final %t; want %s, %t", c.body, c.op.Action, outcome, final, c.want, c.final)
		}
	}
	if outcome, final := judge(set, answered{text: "connection refused"}); outcome != Unknown || final {
		t.Errorf("no answer is %s, final %t", outcome, final)
	}
}

// TestStatistics: what a report counts, on a sample that can be counted by hand.
func TestStatistics(t *testing.T) {
	f := sample()
	got := statistics(f, new(Processes).How)
	want := Statistic{
		Fault: "kill leader", How: "kill -9", Runs: 1, Acknowledged: 1, RecoveredP50: 1000, RecoveredMax: 1000,
		ReadyP50: 2000, ReadyMax: 2000, SilentP50: 2000, SilentMax: 2000,
	}
	if len(got) != 1 || got[0] != want {
		t.Errorf("statistics are %+v, want %+v", got, want)
	}
	delete(f.Copies[0].Ledger.Records, "hot")
	if got := statistics(f, new(Processes).How)[0]; got.Lost != 1 {
		t.Errorf("a lost record is counted %d times", got.Lost)
	}
	if s := silence([]int64{5, 6, 20}, 0, 22); s != 14 {
		t.Errorf("the silence is %d, want 14", s)
	}
	for _, c := range []struct{ p, want int64 }{{50, 2}, {100, 4}, {99, 4}, {1, 1}} {
		if got := percentile([]int64{4, 1, 3, 2}, int(c.p)); got != c.want {
			t.Errorf("percentile %d is %d, want %d", c.p, got, c.want)
		}
	}
	sec := seconds(f.Ops)
	if len(sec) != 21 || sec[2].Acknowledged != 1 || sec[11].Read != 5 || sec[20].Failed != 2 || sec[2].P50 != 1000 {
		t.Errorf("seconds are %+v", sec)
	}
}

// TestReport: the page stands alone, names everything that is wrong, and shows each fault; also after an hour.
func TestReport(t *testing.T) {
	f := sample()
	f.Audits[0].Error = "block <7> does not link"
	f.Ops = append(f.Ops, &Op{ID: len(f.Ops), Action: SetData, Key: "late", Call: 1, Return: int64(time.Hour),
		Outcome: Unknown})
	r := &Results{Scenario: "sample", Seed: 42, Command: "make chaos SEED=42", Checks: Checks(f),
		Faults: statistics(f, new(Processes).How), Made: f.Injections, Usage: f.Usage, Seconds: seconds(f.Ops)}
	dir := t.TempDir()
	if err := r.save(dir); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, want := range []string{"kill leader", "block &lt;7&gt; does not link", "make chaos SEED=42", "violated", "<svg",
		"I11"} {
		if !strings.Contains(page, want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	for _, never := range []string{"<script", "src=", "@import", "url(", "<link"} {
		if strings.Contains(page, never) {
			t.Errorf("the report has %q: a browser may have to fetch something", never)
		}
	}
	if err := r.Wrong(); err == nil || !strings.Contains(err.Error(), "I3") ||
		!strings.Contains(err.Error(), "block <7>") {
		t.Errorf("the error is %v", err)
	}
	if n := strings.Count(page, "<rect"); n > 3*mostPoints+10 {
		t.Errorf("an hour has %d boxes", n)
	}
}
