package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
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
		case "org", "cert", "trust", "chain", "member", "account":
		default:
			continue
		}
		commands := group.Commands()
		for _, c := range group.Commands() {
			commands = append(commands, c.Commands()...)
		}
		for _, c := range commands {
			if c.HasSubCommands() || c.Name() == "unlock" || c.Name() == "enable" { // in the rows of their opposites
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

// TestDocumentedNames: the names in JSON are those that docs/operate/commands.md promises, and no others.
func TestDocumentedNames(t *testing.T) {
	page := operatorsPage(t)
	for what, row := range map[string]any{
		"organisation": orgRow{}, "certificate": certRow{}, "chain": chainRow{}, "type code": typeCodeRow{}, "member": memberRow{}, "account": accountRow{}, "AccessKey": keyResult{},
	} {
		_, line, found := strings.Cut(page, "\n| "+what+" | ")
		line, _, _ = strings.Cut(line, "\n")
		if !found {
			t.Errorf("no row of names for %s", what)
			continue
		}
		promised := map[string]bool{}
		for _, m := range regexp.MustCompile("`([a-zA-Z]+)`").FindAllStringSubmatch(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(line, ""), -1) {
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
