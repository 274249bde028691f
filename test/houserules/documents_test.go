package houserules

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWayOfAWrite: each file that ARCHITECTURE.md lists as a part of the way of a write exists. How much of a write's
// code they hold, and how much there is, is measured by test/trace.
func TestWayOfAWrite(t *testing.T) {
	section := sectionOf(t, "ARCHITECTURE.md", "## The way of a write")
	files := map[string]bool{}
	for _, m := range regexp.MustCompile("`([a-z0-9_/]+\\.go)`").FindAllStringSubmatch(section, -1) {
		files[m[1]] = true
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("ARCHITECTURE.md sends a write through %s: %v", m[1], err)
		}
	}
	if len(files) == 0 {
		t.Error("ARCHITECTURE.md lists no file as the way of a write")
	}
}

// TestEveryPackageIsInTheArchitecture: the table of packages is whole, and names no package that is gone.
func TestEveryPackageIsInTheArchitecture(t *testing.T) {
	section := sectionOf(t, "ARCHITECTURE.md", "## Packages")
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z0-9_/-]+)` \\|").FindAllStringSubmatch(section, -1) {
		listed[m[1]] = true
	}
	for _, p := range load(t) {
		if !listed[p.path] {
			t.Errorf("ARCHITECTURE.md does not list the package %s", p.path)
		}
		delete(listed, p.path)
	}
	for path := range listed {
		t.Errorf("ARCHITECTURE.md lists the package %s, which is not there", path)
	}
}

// sectionOf returns what stands below a heading of level two.
func sectionOf(t *testing.T, document, heading string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(raw), "\n"+heading+"\n")
	if !found {
		t.Fatalf("%s has no section %q", document, heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	return section
}
