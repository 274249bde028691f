package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ltl/test/testkit/quick"
)

const root = "../.."

// The table keeps up with the source: each mutant's text is there exactly once, and the tests that are to kill it exist.
// That they do kill it, `make mutants` shows.
func TestMutantsCanBePlanted(t *testing.T) {
	mutants := table()
	if len(mutants) < 40 {
		t.Fatalf("the table has only %d mutants", len(mutants))
	}
	for _, m := range mutants {
		if _, err := plant(root, m); err != nil {
			t.Error(err)
		}
		if !hasTest(t, m) {
			t.Errorf("mutant %s: %s has no test that matches %s", m.name, m.pkg, m.run)
		}
	}
}

// Every mutant compiles.
func TestMutantsCompile(t *testing.T) {
	quick.Skip(t)
	c, err := newChecker(root)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.all(table()); err != nil {
		t.Error(err)
	}
}

// A stale mutant is named, and one that does not compile is no fault.
func TestBadMutantsAreRefused(t *testing.T) {
	quick.Skip(t)
	c, err := newChecker(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]edit{
		"text is gone":        {"internal/ledger/ledger.go", "no such text", ""},
		"text is there twice": {"internal/ledger/ledger.go", "\treturn ", "\t "},
		"file is gone":        {"internal/ledger/gone.go", "x", "y"},
		"wrong type":          {"internal/ledger/ledger.go", "nodePrefix = 1\n", "nodePrefix = \"1\"\n"},
	} {
		if err := c.all([]mutant{{name: name, edits: []edit{e}}}); err == nil {
			t.Errorf("%s: the mutant is accepted", name)
		}
	}
}

func hasTest(t *testing.T, m mutant) bool {
	t.Helper()
	name, _, _ := strings.Cut(m.run, "/") // what follows names a part of the test
	pattern := regexp.MustCompile(name)
	files, err := filepath.Glob(filepath.Join(root, m.pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(content, -1) {
			if pattern.Match(found[1]) {
				return true
			}
		}
	}
	return false
}
