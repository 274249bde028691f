package houserules

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// maxFileBytes bounds every file of the tree. What is larger is built, or recorded data, and has a place elsewhere.
const maxFileBytes = 1 << 20

// files returns the paths of all files of the tree, from its root. Git says which these are; a source archive has no
// others.
func files(t *testing.T) []string {
	t.Helper()
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		return archiveFiles(t)
	}
	var all []string
	for file := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		// git also lists what was deleted and not yet committed
		if _, err := os.Lstat(filepath.Join(root, file)); err == nil {
			all = append(all, file)
		}
	}
	if len(all) < 100 {
		t.Fatalf("git lists only %d files", len(all))
	}
	return all
}

func archiveFiles(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (file == "bin" || file == "ltl-data" || file == ".git" || file == "client/device/c/build"):
			return fs.SkipDir
		case !d.IsDir():
			all = append(all, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestNoLargeFilesAndNoExecutables: the tree holds sources. A script may be executable; a program that was built may
// not be there.
func TestNoLargeFilesAndNoExecutables(t *testing.T) {
	for _, file := range files(t) {
		info, err := os.Lstat(filepath.Join(root, file))
		if err != nil {
			t.Error(err)
			continue
		}
		if !info.Mode().IsRegular() {
			t.Errorf("%s is a link or a special file", file)
			continue
		}
		if info.Size() > maxFileBytes {
			t.Errorf("%s has %d bytes, more than %d; remove it and add it to .gitignore", file, info.Size(), maxFileBytes)
		}
		head := readHead(t, file)
		if binaryProgram(head) {
			t.Errorf("%s is a program for a machine; remove it and add it to .gitignore", file)
		}
		if script := bytes.HasPrefix(head, []byte("#!")); info.Mode()&0o111 != 0 && !script {
			t.Errorf("%s is executable and no script; chmod -x it", file)
		}
	}
}

func readHead(t *testing.T, file string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 8)
	n, _ := f.Read(head) // an empty file has no head
	return head[:n]
}

// binaryProgram reports whether a file begins as ELF, Mach-O, PE or an archive of objects does.
func binaryProgram(head []byte) bool {
	for _, magic := range []string{"\x7fELF", "\xcf\xfa\xed\xfe", "\xca\xfe\xba\xbe", "MZ", "!<arch>"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

func TestBinaryProgram(t *testing.T) {
	own, err := os.Executable() // this test, which is a program
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(own)
	if err != nil || !binaryProgram(raw) || binaryProgram([]byte("package main\n")) {
		t.Errorf("a program is not known from a source: %v", err)
	}
}

// The share of longer lines in all Go code, tests included, generated code not. The aim is 0.005; the figure is what is
// reached.
const (
	maxColumns   = 120
	maxLongShare = 0.006
)

// TestLongLines: few lines are longer than a window is wide.
func TestLongLines(t *testing.T) {
	byDir, long, all := map[string]int{}, 0, 0
	for _, file := range files(t) {
		if path.Ext(file) != ".go" || strings.HasSuffix(file, ".pb.go") {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(raw)) {
			all++
			if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > maxColumns {
				long++
				byDir[path.Dir(file)]++
			}
		}
	}
	if share := float64(long) / float64(all); share > maxLongShare {
		t.Errorf("%d of %d lines are longer than %d columns: %.2f %%, at most %.2f %% may be; by directory: %v",
			long, all, maxColumns, 100*share, 100*maxLongShare, byDir)
	}
}
