package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ltl/internal/localnet"
)

// writeFile writes a file in a directory of the test.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// linesOf reads the objects of a file of JSON Lines.
func linesOf[T any](t *testing.T, path string) (all []T) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		var v T
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatalf("%s: %v: %s", path, err, line)
		}
		all = append(all, v)
	}
	return all
}

// importedFrom runs an import, which ends with a status, and returns the report.
func importedFrom(t *testing.T, status int, args ...string) (r importReport) {
	t.Helper()
	args = append([]string{"import", "--dir", common.dir, "--output", "json"}, args...)
	out, said, err := ltlCommand(t, args...)
	ended := 0
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		ended = exit.ExitCode()
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil || ended != status {
		t.Fatalf("ltl %s ends with %d, want %d: %v\n%s%s", strings.Join(args, " "), ended, status, err, out, said)
	}
	return r
}

// exported exports a chain to a file of JSON Lines.
func exported(t *testing.T, chain string, args ...string) []exportRow {
	t.Helper()
	path := filepath.Join(t.TempDir(), "export.jsonl")
	mustLTL(t, append([]string{"export", "--dir", common.dir, "--chain", chain, "--out", path}, args...)...)
	return linesOf[exportRow](t, path)
}

// TestImport: the good rows of a file are written, and the others reported with their lines; a second run writes none.
func TestImport(t *testing.T) {
	chain := sharedChain(t, "import")
	var text strings.Builder
	text.WriteString("\ufeffid,value,businessId\r\n")
	for i := range 300 {
		fmt.Fprintf(&text, "row-%d,\"value %d, with \"\"quotes\"\"\",\r\n", i, i)
	}
	text.WriteString("row-0,\"value 0, with \"\"quotes\"\"\",\r\n")  // 302: there already
	text.WriteString("row-0,another,\r\n")                           // 303
	text.WriteString("row-301,,\r\n")                                // 304: no value
	text.WriteString("row-302,two\r\n")                              // 305: a field less
	text.WriteString("row 303,a blank in the id,\r\n")               // 306
	fmt.Fprintf(&text, "row-304,%s,\r\n", strings.Repeat("x", 5000)) // 307
	fmt.Fprintf(&text, "many,one,%064d\r\nmany,two,%064d\r\n", 1, 2) // 308, 309
	text.WriteString("many,three,x\r\n")                             // 310: no BusinessId
	file, refusals := writeFile(t, "records.csv", text.String()), filepath.Join(t.TempDir(), "refused.jsonl")
	args := []string{file, "--chain", chain, "--refusals", refusals}
	for _, want := range []importReport{
		{Rows: 309, Written: 302, Present: 1, Refused: 6, Refusals: refusals},
		{Rows: 309, Written: 0, Present: 303, Refused: 6, Refusals: refusals},
	} {
		if got := importedFrom(t, 1, args...); got != want {
			t.Errorf("the report is %+v, want %+v", got, want)
		}
		wrong := map[int]int32{}
		for _, r := range linesOf[importRefusal](t, refusals) {
			if wrong[r.Line] = r.Code; r.Message == "" {
				t.Errorf("line %d is refused without a reason", r.Line)
			}
		}
		want := map[int]int32{303: -317, 304: 0, 305: 0, 306: -102, 307: -220, 310: 400}
		if fmt.Sprint(wrong) != fmt.Sprint(want) {
			t.Errorf("refused lines with codes are %v, want %v", wrong, want)
		}
	}
	if rows := exported(t, chain); len(rows) != 302 {
		t.Errorf("the chain has %d records", len(rows))
	}
	own := writeFile(t, "own.csv", "id,value\nown,1\n")
	if said := refusedLTL(t, "import", own, "--refusals", own, "--dir", common.dir, "--chain", chain); !strings.Contains(said,
		"is the file that is imported") {
		t.Errorf("refusals into the input: %q", said)
	}
	bad := writeFile(t, "records.csv", "id,vlaue\n1,2\n")
	if said := refusedLTL(t, "import", bad, "--dir", common.dir, "--chain", chain); !strings.Contains(said, "vlaue") {
		t.Errorf("an unknown column: %q", said)
	}
	c, _ := common.file(t).Chain(localnet.ServiceCollaboration)
	said := refusedLTL(t, "import", file, "--dir", common.dir, "--chain", c.BizChainID)
	if !strings.Contains(said, "proof") {
		t.Errorf("a collaboration chain: %q", said)
	}
}

// TestImportKilled: an import that is killed in the middle and run again has written every row once, and the records of
// a Key in the order of the file, although nothing but the file names them.
func TestImportKilled(t *testing.T) {
	chain := sharedChain(t, "importkilled")
	type row struct {
		ID    string `json:"id"`
		Value any    `json:"value"`
	}
	var rows []string
	want := map[string][]string{} // id to values
	for i := range 400 {
		r := row{ID: fmt.Sprintf("meter-%d", i%50), Value: i % 3} // many rows are the same
		if i%4 == 0 {
			r = row{ID: "meter", Value: i}
		}
		line, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(line)+"\n")
		want[r.ID] = append(want[r.ID], fmt.Sprint(r.Value))
	}
	pipe := filepath.Join(t.TempDir(), "readings.jsonl")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	first := exec.Command(binary, "import", pipe, "--dir", common.dir, "--chain", chain, "--history")
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	in, err := os.OpenFile(pipe, os.O_RDWR, 0) // does not wait for the reader
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out := bufio.NewWriter(in)
	for _, r := range rows[:300] {
		if _, err := io.WriteString(out, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := out.Flush(); err != nil {
		t.Fatal(err)
	}
	await(t, "some records", func() bool { return jsonOf[chainRow](t, "chain", "show", chain).Records >= 20 })
	if err := first.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil {
		t.Error("the import ended before it was killed")
	}
	file := writeFile(t, "readings.jsonl", strings.Join(rows, "")) // of the same name
	args := []string{file, "--chain", chain, "--history"}
	again := importedFrom(t, 0, args...)
	if again.Present < 20 || again.Written < 100 || again.Present+again.Written != len(rows) {
		t.Errorf("after the kill: %+v", again)
	}
	if third := importedFrom(t, 0, args...); third.Present != len(rows) {
		t.Errorf("a third run: %+v", third)
	}
	got := map[string][]string{}
	for _, r := range exported(t, chain) {
		id := r.Key[strings.LastIndexByte(r.Key, '_')+1:]
		got[id] = append(got[id], r.Value)
	}
	for id, values := range want {
		if !slices.Equal(got[id], values) {
			t.Errorf("%s has %v, want %v", id, got[id], values)
		}
	}
	if other := importedFrom(t, 0, append(args, "--source", "another")...); other.Written != len(rows) {
		t.Errorf("rows of another file: %+v", other)
	}
}

// TestImportRows: what is no record is reported with its line; numbers keep their text.
func TestImportRows(t *testing.T) {
	for _, c := range []struct{ format, text, want string }{
		{formatJSONL, "{\"id\":\"a\",\"value\":21.50}\n\n{\"key\":\"k\",\"value\":\"v\",\"businessId\":\"b\"}",
			"1 a|21.50| 3 k|v|b"},
		{formatJSONL, "[]\n{\"id\":\"a\",\"value\":{}}\n{\"id\":\"a\",\"vaule\":1}\n{\"id\":\"\xff\",\"value\":\"v\"}",
			"1 ! 2 ! 3 ! 4 !"},
		{formatJSONL, "{\"value\":\"v\"}\n{\"id\":\"a\"}\n{\"id\":\"a\",\"value\":null}\n", "1 ! 2 ! 3 !"},
		{formatCSV, "value,id,endorsers\n\"a\nb\",1,x\nv,2,\n", "2 1|a\nb| 4 2|v|"},
		{formatCSV, "id,value\n1\n\xff,v\n1,2,3\n", "2 ! 3 ! 4 !"},
		{formatCSV, "id,value\n1,\"open\n", "2? end"},
		{formatCSV, "id,value\n1,a \"quoted\" b\n2,v\n", "2 ! 3 2|v|"},
		{formatJSONL, strings.Repeat(" ", maxRowBytes+1) + "\n{\"id\":\"a\",\"value\":\"v\"}\n", "1 ! 2 a|v|"},
	} {
		next, err := newRowReader(strings.NewReader(c.text), c.format)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			r, err := next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				got = append(got, "2? end")
				break
			}
			text := fmt.Sprintf("%d %s%s|%s|%s", r.line, r.id, r.key, r.value, r.businessID)
			if r.wrong != "" {
				text = fmt.Sprintf("%d !", r.line)
			}
			got = append(got, text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%q is read as %q, want %q", c.text, strings.Join(got, " "), c.want)
		}
	}
}
