package main

import (
	"fmt"
	"os"
	"strings"
)

// block is a piece of code that the compiler counts as one: no jump leads into it or out of it.
type block struct {
	file        string // from the module's root
	first, last int    // lines
	place       string // of its beginning and end, to the column
}

// profile says how often blocks ran. A block that did not run is absent.
type profile map[block]int

// readProfile reads the text form of coverage counters: "ltl/FILE:LINE.COLUMN,LINE.COLUMN STATEMENTS COUNT" a line.
func readProfile(path string) (profile, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := profile{}
	for line := range strings.Lines(string(raw)) {
		file, rest, found := strings.Cut(strings.TrimPrefix(line, "ltl/"), ":")
		if !found || file == "mode" || file == hookFile {
			continue
		}
		b := block{file: file}
		var c, d, statements, count int
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.first, &c, &b.last, &d, &statements, &count); err != nil {
			return nil, fmt.Errorf("line %q of a coverage profile: %w", line, err)
		}
		b.place, _, _ = strings.Cut(rest, " ")
		if count > 0 {
			p[b] += count
		}
	}
	return p, nil
}

// subtract removes the blocks that ran in other too.
func (p profile) subtract(other profile) {
	for b := range other {
		delete(p, b)
	}
}

func (p profile) dropBelow(count int) {
	for b, n := range p {
		if n < count {
			delete(p, b)
		}
	}
}

// union returns the blocks that ran in any process.
func union(all map[int]profile) profile {
	u := profile{}
	for _, p := range all {
		for b, n := range p {
			u[b] += n
		}
	}
	return u
}
