package houserules

import (
	"go/ast"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRaceRun: every test runs at full length, and every goroutine under the race detector. `make test` runs the lists
// of the Makefile without the detector; with it and -short it runs all but the first two, so the third must have the
// packages whose tests then do less.
func TestRaceRun(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	lists := map[string][]string{}
	for line := range strings.Lines(string(raw)) {
		if name, value, ok := strings.Cut(line, " := "); ok {
			lists[name] = slices.Sorted(slices.Values(strings.Fields(value)))
		}
	}
	if !slices.Equal(lists["pure"], purePackages()) {
		t.Errorf("the Makefile has the pure packages %q, those of TestRulesArePure are %q", lists["pure"], purePackages())
	}
	known, want := map[string]bool{}, []string(nil)
	for _, p := range load(t) {
		known[p.path] = true
		pure, driver := slices.Contains(lists["pure"], p.path), slices.Contains(lists["drivers"], p.path)
		if pure {
			startsNone(t, p)
		}
		if !pure && !driver && doesLess(p) {
			want = append(want, p.path)
		}
	}
	slices.Sort(want)
	if !slices.Equal(lists["shortened"], want) {
		t.Errorf("the Makefile has the shortened packages %q, those with testing.Short, rapid or a constraint are %q",
			lists["shortened"], want)
	}
	for _, path := range lists["drivers"] {
		if !known[path] {
			t.Errorf("the Makefile's drivers have %s, which is no package", path)
		}
	}
}

// doesLess reports whether tests of a package do less with -short or under the race detector: rapid draws a fifth.
func doesLess(p *pkg) bool {
	less := false
	for _, f := range p.files {
		less = less || f.test && slices.Contains(imports(f.ast), "pgregory.net/rapid")
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, _ := n.(*ast.SelectorExpr)
			id, _ := n.(*ast.Ident)
			less = less || s != nil && s.Sel.Name == "Short" || id != nil && id.Name == "raceDetector"
			return true
		})
	}
	return less
}

// startsNone fails the test when a package starts a goroutine, its tests included.
func startsNone(t *testing.T, p *pkg) {
	t.Helper()
	for _, f := range p.files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			s, selects := n.(*ast.SelectorExpr)
			if _, ok := n.(*ast.GoStmt); ok || selects && (s.Sel.Name == "Go" || s.Sel.Name == "Parallel") {
				t.Errorf("%s: a goroutine; take %s from the Makefile's list of pure packages or do without", p.at(n), p.path)
			}
			return true
		})
	}
}
