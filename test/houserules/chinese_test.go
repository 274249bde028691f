package houserules

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// rewriteChinese makes TestChineseAPI write the generated parts of docs/zh/api.md instead of comparing them.
var rewriteChinese = flag.Bool("rewrite", false, "rewrite the generated parts of docs/zh/api.md")

// chinesePages are the pages that users of the API read in Chinese, by the page that each is a translation of.
func chinesePages() map[string]string {
	return map[string]string{
		"docs/zh/README.md":     "README.md",
		"docs/zh/quickstart.md": "docs/quickstart.md",
		"docs/zh/concepts.md":   "docs/concepts.md",
		"docs/zh/api.md":        "docs/api.md",
		"docs/zh/console.md":    "docs/console.md",
		"docs/zh/devices.md":    "docs/devices.md",
		"docs/zh/install.md":    "docs/operate/install.md",
		"docs/zh/governance.md": "docs/operate/governance.md",
		"docs/zh/for-courts.md": "docs/for-courts.md",
	}
}

// outline is what a page and its translation have in common.
type outline struct {
	headings []string // the levels, in order: "#", "##"
	tables   []string // columns of each row of each table: "||||", a line each; tables are separated by an empty line
	code     []string // lines of the code blocks, without their comments
}

// TestChinesePages: a page and its translation have the same headings, tables with the same rows and columns, and the
// same code.
func TestChinesePages(t *testing.T) {
	for chinese, english := range chinesePages() {
		got, want := outlineOf(t, chinese), outlineOf(t, english)
		compareLines(t, chinese, english, "heading", got.headings, want.headings)
		compareLines(t, chinese, english, "row of a table", got.tables, want.tables)
		compareLines(t, chinese, english, "line of code", got.code, want.code)
	}
}

// compareLines reports the first line that differs.
func compareLines(t *testing.T, chinese, english, what string, got, want []string) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Errorf("%s differs from %s: %s %d is %q, in the English page %q", chinese, english, what, i+1, got[i], want[i])
			return
		}
	}
	if len(got) != len(want) {
		t.Errorf("%s differs from %s: it has %d times a %s, the English page %d", chinese, english, len(got), what, len(want))
	}
}

// comment matches a comment at the end of a line of code, with the spaces before it. "://" and "#" in a word are
// none.
var comment = regexp.MustCompile(`(^|\s+)(#|//) .*$`)

// outlineOf reads a page's outline.
func outlineOf(t *testing.T, page string) *outline {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	o := &outline{}
	inCode := false
	for _, line := range strings.Split(string(raw), "\n") {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		switch {
		case fence:
			inCode = !inCode
			o.code = append(o.code, strings.TrimSpace(line))
		case inCode:
			o.code = append(o.code, comment.ReplaceAllString(line, ""))
		case strings.HasPrefix(line, "#"):
			level, _, _ := strings.Cut(line, " ")
			o.headings = append(o.headings, level)
		case strings.HasPrefix(line, "|"):
			columns := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
			o.tables = append(o.tables, strings.Repeat("|", columns))
		case len(o.tables) > 0 && o.tables[len(o.tables)-1] != "":
			o.tables = append(o.tables, "")
		}
	}
	return o
}

// generatedPart matches a generated part of docs/api.md with its marks.
var generatedPart = regexp.MustCompile(`(?s)<!-- generated: ([a-z ]+) -->\n(.*?)<!-- end of generated: [a-z ]+ -->\n`)

// TestChineseAPI: the generated parts of docs/zh/api.md are those of docs/api.md, sentence by sentence in the words
// of docs/zh/api.tsv. After a change of docs/api.md: add what is missing to docs/zh/api.tsv and run
//
//	go test ./test/houserules -run TestChineseAPI -rewrite
func TestChineseAPI(t *testing.T) {
	words, used := chineseWords(t), map[string]bool{}
	english, err := os.ReadFile(filepath.Join(root, "docs/api.md"))
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(root, "docs/zh/api.md")
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	for _, part := range generatedPart.FindAllStringSubmatch(string(english), -1) {
		name, want := part[1], translate(t, part[0], words, used)
		var old string
		for _, m := range generatedPart.FindAllStringSubmatch(text, -1) {
			if m[1] == name {
				old = m[0]
			}
		}
		switch {
		case old == "":
			t.Errorf("docs/zh/api.md lacks the marks of %q", name)
		case old != want && *rewriteChinese:
			text = strings.Replace(text, old, want, 1)
		case old != want:
			t.Errorf("%q of docs/zh/api.md does not follow docs/api.md; run this test with -rewrite", name)
		}
	}
	for sentence := range words {
		if !used[sentence] {
			t.Errorf("docs/zh/api.tsv translates %q, which docs/api.md does not say", sentence)
		}
	}
	if *rewriteChinese && !t.Failed() {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// chineseWords reads the table of sentences; a sentence whose translation is "=" stays as it is.
func chineseWords(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "docs/zh/api.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		english, chinese, found := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !found || words[english] != "" {
			t.Fatalf("docs/zh/api.tsv: no tab, or a second translation: %q", line)
		}
		if chinese == "=" {
			chinese = english
		}
		words[english] = chinese
	}
	return words
}

// plain matches what is the same in both languages: names, numbers, codes, links to Actions, rulers of tables, and
// nothing at all.
var plain = regexp.MustCompile(`^(-*|-?\d+|[A-Z][A-Za-z0-9.]*|\[\w+\]\(#\w+\))$`)

// translate returns a generated part in Chinese. Code blocks and headings stay as they are.
func translate(t *testing.T, part string, words map[string]string, used map[string]bool) string {
	t.Helper()
	word := func(s string) string {
		if to, ok := words[s]; ok {
			used[s] = true
			return to
		}
		if !plain.MatchString(s) {
			t.Errorf("docs/zh/api.tsv lacks a translation of %q", s)
		}
		return s
	}
	lines := strings.Split(part, "\n")
	inCode := false
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, "```"):
			inCode = !inCode
		case inCode, line == "", strings.HasPrefix(line, "#"), strings.HasPrefix(line, "<!--"):
		case strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for j, c := range cells {
				if text := strings.TrimSpace(c); text != "" {
					cells[j] = strings.Replace(c, text, word(text), 1)
				}
			}
			lines[i] = "|" + strings.Join(cells, "|") + "|"
		default:
			lines[i] = paragraph(line, word)
		}
	}
	return strings.Join(lines, "\n")
}

// paragraph translates the line below the heading of an Action: what it does, and the roles that may call it.
func paragraph(line string, word func(string) string) string {
	for _, roles := range []string{"Administrator only.", "Administrator and members."} {
		if does, found := strings.CutSuffix(line, " "+roles); found {
			return word(does) + word(roles)
		}
	}
	return word(line)
}
