package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"ltl/test/testkit/quick"
)

// The budget: what one write may run, so that it can be read in one sitting. The aims of the design are 60 files, 9
// packages and 60 %. A change that needs more says why in its commit; a change that needs less lowers the figure here.
const (
	// 3 more than is measured in most runs are allowed: timers run little of some files, and not in every run
	maxFiles    = 112  // who may speak for an account, block time, shares of callers took 15, openings 8, terms 1
	maxPackages = 14   // internal/skew compares clocks of the network, internal/admission holds the shares
	minShare    = 0.75 // of the lines that ran, in the files that ARCHITECTURE.md lists
)

func TestBudgetOfAWrite(t *testing.T) {
	quick.Skip(t)
	const root = "../.."
	traces, err := measure(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := listedFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, trace := range traces {
		var out strings.Builder
		if err := trace.print(&out, listed, false); err != nil {
			t.Error(err)
		}
		t.Log(out.String())
		if len(trace.files) < 5 {
			t.Errorf("one %s runs lines of %d files: the counters do not count", trace.name, len(trace.files))
		}
	}
	write := traces[0]
	if len(write.files) > maxFiles {
		t.Errorf("one write runs lines of %d files, the budget is %d", len(write.files), maxFiles)
	}
	if packages := write.packages(); len(packages) > maxPackages {
		t.Errorf("one write runs lines of %d packages, the budget is %d: %v", len(packages), maxPackages, packages)
	}
	if share := write.share(listed); share < minShare {
		t.Errorf("the files that ARCHITECTURE.md lists hold %.0f %% of the lines that one write runs, want at least %.0f %%",
			100*share, 100*minShare)
	}
	for _, path := range listed {
		if !slices.ContainsFunc(write.files, func(f fileTrace) bool { return f.path == path }) {
			t.Errorf("ARCHITECTURE.md lists %s as a part of the way of a write, and a write runs no line of it", path)
		}
	}
}

func TestProfile(t *testing.T) {
	path := t.TempDir() + "/profile"
	text := "mode: atomic\nltl/client/write.go:3.2,5.10 2 7\nltl/client/write.go:7.1,7.9 1 0\nltl/node/fsm.go:1.1,2.2 1 1\nltl/" + hookFile + ":1.1,9.9 1 1\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := readProfile(path)
	if err != nil {
		t.Fatal(err)
	}
	write := block{"client/write.go", 3, 5, "3.2,5.10"}
	if len(p) != 2 || p[write] != 7 || p[block{"node/fsm.go", 1, 2, "1.1,2.2"}] != 1 {
		t.Errorf("the profile reads as %v", p)
	}
	p.subtract(profile{write: 1})
	if len(p) != 1 {
		t.Errorf("after subtraction the profile is %v", p)
	}
	if err := os.WriteFile(path, []byte("ltl/client/write.go:3.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readProfile(path); err == nil {
		t.Error("half a line is read")
	}
}

func TestShareAndRanges(t *testing.T) {
	tr := &trace{"write", []fileTrace{{"a/a.go", 9, []int{1, 2, 3}}, {"b/b.go", 9, []int{5}},
		{"b/c.go", 9, []int{7, 8, 9, 12}}}}
	if share := tr.share([]string{"a/a.go", "b/b.go"}); share != 0.5 {
		t.Errorf("the share is %v, want 0.5", share)
	}
	if whole, ran := tr.lines(); whole != 27 || ran != 8 || len(tr.packages()) != 2 {
		t.Errorf("%d lines in %v, of which %d ran", whole, tr.packages(), ran)
	}
	if got := ranges([]int{1, 2, 3, 5, 7, 8}); got != "1-3 5 7-8" {
		t.Errorf("ranges are %q", got)
	}
	var out strings.Builder
	if err := tr.print(&out, []string{"b/c.go"}, true); err != nil || !strings.Contains(out.String(), "* c.go") {
		t.Errorf("printed %q, error %v", out.String(), err)
	}
}
