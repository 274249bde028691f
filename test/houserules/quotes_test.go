package houserules

import (
	"go/ast"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// goFile matches the path of a Go file in a document; "*" stands for several.
var goFile = regexp.MustCompile("`([a-z][a-z0-9_]*/[a-z0-9_/*]+\\.go)`")

// TestNamedFiles: every Go file that a document names is there.
func TestNamedFiles(t *testing.T) {
	for _, d := range documents(t) {
		for _, m := range goFile.FindAllStringSubmatch(d.text, -1) {
			if found, err := filepath.Glob(filepath.Join(root, m[1])); err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which is not there", d.path, m[1])
			}
		}
	}
}

// TestNamedTests: every test, benchmark and fuzz target that a document names is there. A name that ends in "…" stands for
// several.
func TestNamedTests(t *testing.T) {
	var declared []string
	for _, p := range load(t) {
		for _, f := range p.files {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					declared = append(declared, fn.Name.Name)
				}
			}
		}
	}
	named := regexp.MustCompile(`\b((?:Test|Benchmark|Fuzz)[A-Z][A-Za-z0-9]*)(…?)`)
	checked := 0
	for _, d := range documents(t) {
		for _, m := range named.FindAllStringSubmatch(d.text, -1) {
			checked++
			if !slices.ContainsFunc(declared, func(name string) bool {
				return name == m[1] || m[2] != "" && strings.HasPrefix(name, m[1])
			}) {
				t.Errorf("%s names %s, which is not there", d.path, m[1])
			}
		}
	}
	if checked < 100 {
		t.Errorf("checked %d names of tests, want at least 100", checked)
	}
}

// quoted matches a message in backticks: more than one word of plain text.
var quoted = regexp.MustCompile("`([A-Za-z…][A-Za-z0-9…:;,.'# -]* [A-Za-z0-9…:;,.'# -]+)`")

// verb matches a verb of fmt, in whose place a document may write "…" or an example.
var verb = regexp.MustCompile(`%[+#]?[a-z]`)

// TestQuotedMessages: every message that the tables of the operators' pages quote is one that the program has. A
// message stands in the first column. Where the program fills something in, the page has "…" or an example.
func TestQuotedMessages(t *testing.T) {
	source := sourceText(t)
	checked := 0
	pages := []string{
		"docs/operate/run.md", "docs/operate/backup.md", "docs/operate/upgrade.md", "docs/devices.md", "docs/zh/devices.md",
		"docs/operate/monitor.md",
	}
	for _, page := range pages {
		raw, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| `ltl ") && !strings.Contains(line, ": `") {
				continue
			}
			first, _, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
			for _, m := range quoted.FindAllStringSubmatch(first, -1) {
				if strings.HasPrefix(m[1], "ltl ") {
					continue
				}
				checked++
				if !hasMessage(source, m[1]) {
					t.Errorf("%s quotes %q, which no message of the program has", page, m[1])
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("checked %d messages, want at least 20", checked)
	}
}

// separator splits a message where the program puts it together: at what it fills in, and at the joints of wrapped
// errors.
var separator = regexp.MustCompile(`…|: |, and |\b[0-9]+\b|\bnode[0-9]\b`)

// hasMessage reports whether the source has every part of a message. "address already in use" is the operating
// system's.
func hasMessage(source, message string) bool {
	for _, part := range separator.Split(message, -1) {
		part = strings.Trim(part, " :,;.")
		if len(part) < 4 || part == "address already in use" {
			continue
		}
		if !strings.Contains(source, part) {
			return false
		}
	}
	return true
}

// sourceText returns the text of all Go files that are not tests, with each verb of fmt as "…" and lines of one
// string joined.
func sourceText(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "test"):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		raw, err := os.ReadFile(path)
		b.Write(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	joined := regexp.MustCompile(`"\s*\+\s*"`).ReplaceAllString(b.String(), "")
	return verb.ReplaceAllString(joined, "…")
}

// TestReadmeExample: the README shows the program of examples/write, which another test runs.
func TestReadmeExample(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(filepath.Join(root, "examples/write/main.go"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## With the Go library\n")
	_, code, _ := strings.Cut(section, "```go\n")
	code, _, _ = strings.Cut(code, "```")
	if lines := strings.Count(code, "\n"); lines < 5 || lines > 15 {
		t.Errorf("the README's example has %d lines, want 5 to 15", lines)
	}
	if !strings.Contains(string(program), code) {
		t.Errorf("the README's example is not in examples/write/main.go:\n%s", code)
	}
}
