package store

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestDropPageCache reads a whole ledger, which makes it resident, and drops its pages: the resident memory shrinks,
// and reads return the same as before.
func TestDropPageCache(t *testing.T) {
	dir, o, truth := victim(t)
	s, err := open(dir, o, seams{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	read := func() {
		t.Helper()
		c, err := s.readAll()
		if err != nil {
			t.Fatal(err)
		}
		if lie := equalContents(truth, c); lie != "" {
			t.Fatal(lie)
		}
	}
	read()
	before := resident(t, databaseName, dir)
	s.dropPageCache()
	after := resident(t, databaseName, dir)
	if before == 0 || after > before/4 {
		t.Errorf("%d kB of the database are resident after dropping pages, %d kB before", after, before)
	}
	read()
}

// resident is the resident memory in kB of this process's mappings of a file of the directory.
func resident(t *testing.T, name, dir string) (kB int) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Skip("no /proc/self/smaps here:", err)
	}
	defer f.Close()
	inside := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) >= 5 && strings.Contains(fields[0], "-"):
			inside = len(fields) == 6 && strings.HasPrefix(fields[5], dir) && strings.HasSuffix(fields[5], name)
		case inside && len(fields) >= 2 && fields[0] == "Rss:":
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			kB += n
		}
	}
	return kB
}
