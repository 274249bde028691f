package houserules

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
)

// document is a Markdown file without its code blocks.
type document struct {
	path    string // relative to the root of the repository, with slashes
	text    string
	anchors map[string]bool
}

// link matches the target of a Markdown link, and nothing else in parentheses.
var link = regexp.MustCompile(`\]\(([^()\s]+)\)`)

// TestLinks: every relative link of every document leads to a file, and its fragment to a heading of that file.
func TestLinks(t *testing.T) {
	all := documents(t)
	if len(all) < 20 {
		t.Fatalf("found %d documents", len(all))
	}
	for _, d := range all {
		for _, m := range link.FindAllStringSubmatch(d.text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			path, fragment, _ := strings.Cut(m[1], "#")
			target := d.path
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(d.path), path))
			}
			if _, err := os.Stat(filepath.Join(root, target)); err != nil {
				t.Errorf("%s links to %s: %v", d.path, m[1], err)
				continue
			}
			if to, isDocument := all[target]; fragment != "" && isDocument && !to.anchors[fragment] {
				t.Errorf("%s links to %s: no heading of %s has this anchor", d.path, m[1], target)
			}
		}
	}
}

// documents returns all Markdown files of the repository by path.
func documents(t *testing.T) map[string]*document {
	t.Helper()
	all := map[string]*document{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		text := withoutCode(string(raw))
		name := filepath.ToSlash(relative)
		all[name] = &document{path: name, text: text, anchors: anchorsOf(text)}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// withoutCode returns a document's text with its fenced code blocks left out.
func withoutCode(text string) string {
	var kept []string
	inside := false
	for _, line := range strings.Split(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			inside = !inside
			continue
		}
		if !inside {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

// anchorsOf returns the anchors that GitHub gives to the headings of a text: lower case, punctuation left out, spaces
// as hyphens; a heading that repeats gets a number.
func anchorsOf(text string) map[string]bool {
	anchors := map[string]bool{}
	seen := map[string]int{}
	for _, m := range regexp.MustCompile(`(?m)^#{1,6} (.+)$`).FindAllStringSubmatch(text, -1) {
		var b strings.Builder
		for _, r := range strings.ToLower(strings.TrimSpace(m[1])) {
			switch {
			case r == ' ':
				b.WriteByte('-')
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				b.WriteRune(r)
			}
		}
		anchor := b.String()
		if n := seen[anchor]; n > 0 {
			anchors[anchor+"-"+strconv.Itoa(n)] = true
		} else {
			anchors[anchor] = true
		}
		seen[b.String()]++
	}
	return anchors
}
