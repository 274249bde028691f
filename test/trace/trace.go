package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// trace is the code that one call ran, in all processes together. Generated code does not count: it is not read.
type trace struct {
	name  string
	files []fileTrace // by path
}

// fileTrace is what ran of one file.
type fileTrace struct {
	path  string
	lines int   // of the whole file
	ran   []int // the numbers of the lines that ran
}

func newTrace(name, source string, p profile) (*trace, error) {
	ran := map[string]map[int]bool{}
	for b := range p {
		if ran[b.file] == nil {
			ran[b.file] = map[int]bool{}
		}
		for line := b.first; line <= b.last; line++ {
			ran[b.file][line] = true
		}
	}
	t := &trace{name: name}
	for _, file := range slices.Sorted(maps.Keys(ran)) {
		raw, err := os.ReadFile(filepath.Join(source, file))
		if err != nil {
			return nil, err
		}
		if bytes.HasPrefix(raw, []byte("// Code generated ")) {
			continue
		}
		t.files = append(t.files, fileTrace{file, bytes.Count(raw, []byte("\n")), slices.Sorted(maps.Keys(ran[file]))})
	}
	return t, nil
}

// packages returns the directories of the files.
func (t *trace) packages() []string {
	all := map[string]bool{}
	for _, f := range t.files {
		all[path.Dir(f.path)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// lines returns how many lines the files have, and how many of them ran.
func (t *trace) lines() (whole, ran int) {
	for _, f := range t.files {
		whole += f.lines
		ran += len(f.ran)
	}
	return whole, ran
}

// share returns the part, from 0 to 1, that some files hold of the lines that ran.
func (t *trace) share(listed []string) float64 {
	held, all := 0, 0
	for _, f := range t.files {
		all += len(f.ran)
		if slices.Contains(listed, f.path) {
			held += len(f.ran)
		}
	}
	return float64(held) / float64(max(1, all))
}

// print writes the figures, and a line for each file; with lines, also which lines of it ran. A star marks a listed
// file.
func (t *trace) print(w io.Writer, listed []string, lines bool) error {
	whole, ran := t.lines()
	var out strings.Builder
	fmt.Fprintf(&out, "%s: %d files in %d packages, %d lines, of which %d ran", t.name, len(t.files), len(t.packages()),
		whole, ran)
	if t.name == "write" {
		fmt.Fprintf(&out, "; the %d listed files hold %.0f %% of these", len(listed), 100*t.share(listed))
	}
	out.WriteString("\n")
	for _, p := range t.packages() {
		fmt.Fprintf(&out, "  %s\n", p)
		for _, f := range t.files {
			if path.Dir(f.path) != p {
				continue
			}
			mark := " "
			if slices.Contains(listed, f.path) {
				mark = "*"
			}
			fmt.Fprintf(&out, "    %s %-32s %4d of %4d lines", mark, path.Base(f.path), len(f.ran), f.lines)
			if lines {
				fmt.Fprintf(&out, ": %s", ranges(f.ran))
			}
			out.WriteString("\n")
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}

// ranges writes sorted numbers as "3-5 9".
func ranges(numbers []int) string {
	var out []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i == j {
			out = append(out, fmt.Sprint(numbers[i]))
		} else {
			out = append(out, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	return strings.Join(out, " ")
}

// listedFiles returns the files that ARCHITECTURE.md lists as the way of a write.
func listedFiles(source string) ([]string, error) {
	raw, err := os.ReadFile(filepath.Join(source, "ARCHITECTURE.md"))
	if err != nil {
		return nil, err
	}
	_, section, _ := strings.Cut(string(raw), "\n## The way of a write\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var files []string
	for _, m := range regexp.MustCompile("`([a-z0-9_/]+\\.go)`").FindAllStringSubmatch(section, -1) {
		if !slices.Contains(files, m[1]) {
			files = append(files, m[1])
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("ARCHITECTURE.md of %s lists no file as the way of a write", source)
	}
	return files, nil
}
