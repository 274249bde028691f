package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// operatorsPage is the section of docs/operate/commands.md about the operators' commands.
func operatorsPage(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate", "commands.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, page, found := strings.Cut(string(raw), "\n## Operators' commands\n")
	page, _, _ = strings.Cut(page, "\n## ")
	if !found {
		t.Fatal("docs/operate/commands.md has no section on the operators' commands")
	}
	return page
}

// TestDocumentedCommands: every operators' command has a row with an example, and the example's options exist.
func TestDocumentedCommands(t *testing.T) {
	page := operatorsPage(t)
	for _, group := range newRoot().Commands() {
		switch group.Name() {
		case "up", "endorser", "facade", "health", "setup", "pki", "status", "call", "audit", "backup", "restore", "bench",
			"version": // other pages have them
			continue
		}
		commands := group.Commands()
		if len(commands) == 0 {
			commands = append(commands, group)
		}
		for _, c := range group.Commands() {
			commands = append(commands, c.Commands()...)
		}
		for _, c := range commands {
			if c.HasSubCommands() || c.Name() == "unlock" || c.Name() == "enable" || c.Name() == "demote" { // in the rows of their opposites
				continue
			}
			if !strings.Contains(page, "\n| `"+c.CommandPath()) {
				t.Errorf("docs/operate/commands.md has no row for %s", c.CommandPath())
			}
		}
	}
	examples := regexp.MustCompile("(?m)^\\| `ltl .*\\| `ltl ([^`]+)` \\|$").FindAllStringSubmatch(page, -1)
	if len(examples) < 20 {
		t.Fatalf("%d examples", len(examples))
	}
	for _, m := range examples {
		args := strings.Fields(m[1])
		found, rest, err := newRoot().Find(args)
		if err != nil {
			t.Errorf("ltl %s: %v", m[1], err)
			continue
		}
		for _, a := range rest {
			if name, isOption := strings.CutPrefix(a, "--"); isOption && found.Flags().Lookup(name) == nil && found.InheritedFlags().Lookup(name) == nil {
				t.Errorf("ltl %s: there is no option %s", m[1], a)
			}
		}
	}
}

// TestCommandsOfAllDocuments: every command that any document names is there, and has the options that stand behind it on
// the same line, in code blocks as well as in the text. "list|show" names two commands; a comment ends a command.
func TestCommandsOfAllDocuments(t *testing.T) {
	checked := 0
	for path, text := range allDocuments(t) {
		for line := range strings.Lines(text) {
			line, _, _ = strings.Cut(line, " # ")
			for _, m := range commandLine.FindAllStringSubmatch(line, -1) {
				for _, wrong := range wrongCommand(m[1]) {
					t.Errorf("%s: ltl %s: %s", path, strings.TrimSpace(m[1]), wrong)
				}
				checked++
			}
		}
	}
	if checked < 300 {
		t.Errorf("checked %d commands, want at least 300", checked)
	}
	for _, s := range []string{"device lst", "device list --iot K", "node list|show", "nodes"} {
		if len(wrongCommand(s)) == 0 {
			t.Errorf("ltl %s is taken for a command", s)
		}
	}
}

// commandLine matches a call of the program after the start of a line, a space, a backtick or a directory.
var commandLine = regexp.MustCompile("(?:^|[`/$ (])ltl ([a-z][^`\n]*)")

// wrongCommand says what is wrong with the words after "ltl", as a document has them.
func wrongCommand(words string) (wrong []string) {
	words, _, _ = strings.Cut(words, " &&")
	at := []*cobra.Command{newRoot()}
	args := strings.Fields(words)
	for len(args) > 0 && at[0].HasSubCommands() && regexp.MustCompile(`^[a-z][a-z|-]*$`).MatchString(args[0]) {
		var next []*cobra.Command
		for name := range strings.SplitSeq(args[0], "|") {
			found, rest, err := at[0].Find([]string{name})
			if err != nil || len(rest) > 0 {
				return []string{name + " is no command"}
			}
			next = append(next, found)
		}
		at, args = next, args[1:]
	}
	for _, m := range regexp.MustCompile(`(?:^|[ \[(])--([a-z][a-z-]*)`).FindAllStringSubmatch(strings.Join(args, " "), -1) {
		for _, c := range at {
			c.InitDefaultHelpFlag()
			if c.Flags().Lookup(m[1]) == nil && c.InheritedFlags().Lookup(m[1]) == nil {
				wrong = append(wrong, c.CommandPath()+" has no option --"+m[1])
			}
		}
	}
	return wrong
}

// allDocuments returns the text of the Markdown files of the repository, without those that tell its history, by path.
func allDocuments(t *testing.T) map[string]string {
	t.Helper()
	root, all := filepath.Join("..", ".."), map[string]string{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md" || entry.Name() == "CHANGELOG.md":
			return nil
		}
		raw, err := os.ReadFile(path)
		all[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestGovernancePage: every command of docs/operate/governance.md exists with its options, and runs as it stands there on
// a proposal of the common network, one directory deeper.
func TestGovernancePage(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "operate", "governance.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, session, _ := strings.Cut(string(raw), "\n```\n")
	session, _, found := strings.Cut(session, "\n```\n")
	lines := strings.Split(session, "\n")
	if !found || len(lines) != 5 {
		t.Fatalf("the session is %q", session)
	}
	pki, id := filepath.Join(common.dir, "pki"), ""
	for i, line := range lines {
		args := strings.Fields(line)[1:]
		for j, a := range args {
			switch {
			case a == "ID":
				args[j] = id
			case a == "trust.json":
				args[j] = filepath.Join(pki, a)
			case a == "operators/org1":
				args[j] = filepath.Join(pki, "operator")
			case strings.HasPrefix(a, "operators/"):
				args[j] = filepath.Join(pki, a)
			}
		}
		if args[0] == "approve" { // the removal is not to happen on a network that other tests use
			args[0] = "proposals"
		}
		if i == len(lines)-1 { // it is closed by the rejection before
			if _, said, err := ltlCommand(t, args...); err == nil || !strings.Contains(said, "409") {
				t.Errorf("ltl %s: %v, %q", strings.Join(args, " "), err, said)
			}
			continue
		}
		out := mustLTL(t, append(args, "--output", "json")...)
		if i == 0 {
			var row proposalRow
			if err := json.Unmarshal([]byte(out), &row); err != nil {
				t.Fatal(err)
			}
			id = row.ID
		}
	}
}

// TestDocumentedNames: the names in JSON are those that docs/operate/commands.md promises, and no others.
func TestDocumentedNames(t *testing.T) {
	page := operatorsPage(t)
	for what, row := range map[string]any{
		"organisation": orgRow{}, "certificate": certRow{}, "chain": chainRow{}, "type code": typeCodeRow{},
		"member": memberRow{}, "account": accountRow{}, "AccessKey": keyResult{}, "proposal": proposalRow{},
		"correction": correctedRow{}, "import": importReport{}, "refused row": importRefusal{}, "export": exportReport{},
		"exported record": exportRow{}, "manifest": manifest{}, "checked file": checkedFile{}, "device": deviceRow{},
		"product": productRow{}, "device group": groupRow{}, "node": nodeRow{}, "successor": successionRow{},
		"trust file": trustRow{},
	} {
		_, line, found := strings.Cut(page, "\n| "+what+" | ")
		line, _, _ = strings.Cut(line, "\n")
		if !found {
			t.Errorf("no row of names for %s", what)
			continue
		}
		promised := map[string]bool{}
		line = regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(line, "")
		for _, m := range regexp.MustCompile("`([a-zA-Z0-9]+)`").FindAllStringSubmatch(line, -1) {
			promised[m[1]] = true
		}
		kind := reflect.TypeOf(row)
		for i := range kind.NumField() {
			name, _, _ := strings.Cut(kind.Field(i).Tag.Get("json"), ",")
			if !promised[name] {
				t.Errorf("%s: %q is printed and not documented", what, name)
			}
			delete(promised, name)
		}
		for name := range promised {
			t.Errorf("%s: %q is documented and not printed", what, name)
		}
	}
}
