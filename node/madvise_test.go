package node

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"github.com/hashicorp/raft"
)

// TestRelief reads a whole log, which makes it resident, and gives it back: the mapping's memory shrinks, and what is
// read afterwards is the same.
func TestRelief(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft.db")
	l, err := openLog(path, logOptions{cacheBytes: 1, noSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.stable.SetUint64([]byte(currentTermKey), 1); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, 256<<10)
	const entries = 64
	for i := range uint64(entries) {
		if err := l.StoreLog(&raft.Log{Index: i + 1, Term: 1, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	read := func() {
		t.Helper()
		for i := range uint64(entries) {
			var entry raft.Log
			if err := l.GetLog(i+1, &entry); err != nil || len(entry.Data) != len(data) {
				t.Fatalf("entry %d: %d bytes, %v", i+1, len(entry.Data), err)
			}
		}
	}
	read()
	before := residentKB(t, path)
	if l.mapping == nil {
		t.Fatal("the mapping was not found")
	}
	l.mapping.dropPageCache()
	if after := residentKB(t, path); before == 0 || after > before/4 {
		t.Errorf("%d kB of the log are resident after relief, %d kB before", after, before)
	}
	read()
}

// residentKB is the resident memory of this process's mapping of a file.
func residentKB(t *testing.T, path string) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)` + regexp.QuoteMeta(path) + `\n.*?Rss: +(\d+) kB`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no mapping of %s", path)
	}
	n, err := strconv.Atoi(string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
