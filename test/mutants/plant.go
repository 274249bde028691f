package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// plant returns the files that the mutant changes, by path below root, with their new content. A text that is not there
// exactly once is an error: the source has moved on, and the mutant has to follow it.
func plant(root string, m mutant) (map[string][]byte, error) {
	changed := map[string][]byte{}
	for _, e := range m.edits {
		content, ok := changed[e.file]
		if !ok {
			var err error
			if content, err = os.ReadFile(filepath.Join(root, e.file)); err != nil {
				return nil, fmt.Errorf("mutant %s is stale: %w", m.name, err)
			}
		}
		if n := bytes.Count(content, []byte(e.from)); n != 1 {
			return nil, fmt.Errorf("mutant %s is stale: the text it replaces is %d times in %s, want once:\n%s", m.name, n,
				e.file, e.from)
		}
		changed[e.file] = bytes.Replace(content, []byte(e.from), []byte(e.to), 1)
	}
	return changed, nil
}

// verdict is what became of a mutant: the first test that failed, empty when none did.
type verdict struct {
	killer string
	took   time.Duration
}

// judge runs the mutant's tests with the fault in place.
func judge(m mutant) (verdict, error) {
	dir, err := os.MkdirTemp("", "ltl-mutant-")
	if err != nil {
		return verdict{}, err
	}
	defer os.RemoveAll(dir)
	overlay, err := writeOverlay(dir, m)
	if err != nil {
		return verdict{}, err
	}
	began := time.Now()
	r, err := goTest(m, overlay)
	if err != nil {
		return verdict{}, err
	}
	if r.broken {
		return verdict{}, fmt.Errorf("the mutant does not compile:\n%s", r.output)
	}
	return verdict{killer: r.failed, took: time.Since(began)}, nil
}

// writeOverlay writes the changed files and the list of them that the go command reads.
func writeOverlay(dir string, m mutant) (string, error) {
	changed, err := plant(".", m)
	if err != nil {
		return "", err
	}
	replace := map[string]string{}
	for file, content := range changed {
		from, err := filepath.Abs(file)
		if err != nil {
			return "", err
		}
		replace[from] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		if err := os.WriteFile(replace[from], content, 0o600); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o600)
}

// baseline shows that the tests which are to kill mutants pass without one.
func baseline(mutants []mutant) error {
	done := map[string]bool{}
	for _, m := range mutants {
		id := m.pkg + " " + m.run
		if done[id] {
			continue
		}
		done[id] = true
		r, err := goTest(m, "")
		switch {
		case err != nil:
			return err
		case r.failed != "" || r.broken:
			return fmt.Errorf("%s -run '%s' fails without any mutant:\n%s", m.pkg, m.run, r.output)
		case r.passed == 0:
			return fmt.Errorf("%s -run '%s' runs no test (it may need root)", m.pkg, m.run)
		}
	}
	return nil
}

// testRun is the outcome of one go test.
type testRun struct {
	passed int
	failed string // the first test that failed, or what else ended the run
	broken bool   // it did not compile
	output string
}

// goTest runs the tests of m. The overlay is in the environment, so that a test which builds the program itself builds
// the mutant.
func goTest(m mutant, overlay string) (testRun, error) {
	// beyond go test's own limit: it builds first
	ctx, cancel := context.WithTimeout(context.Background(), m.limit+time.Minute)
	defer cancel()
	args := []string{"test", "-json", "-short", "-timeout", m.limit.String(), "-run", m.run}
	if overlay != "" {
		args = append(args, "-count=1", "-failfast")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.pkg)...)
	cmd.Env = os.Environ()
	if overlay != "" {
		cmd.Env = append(cmd.Env, "GOFLAGS=-overlay="+overlay)
	}
	out, err := cmd.CombinedOutput()
	r := readEvents(out)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		r.failed = "time limit"
	case err != nil && !errors.As(err, &exit):
		return r, err
	case err != nil && !r.broken && r.failed == "": // a time limit, or a check after the last test
		r.failed = "end of the test program"
	}
	return r, nil
}

// readEvents understands the output of go test -json.
func readEvents(out []byte) (r testRun) {
	var text strings.Builder
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			text.WriteString(lines.Text() + "\n")
			continue
		}
		text.WriteString(e.Output)
		switch {
		case e.Action == "build-fail":
			r.broken = true
		case e.Action == "pass" && e.Test != "":
			r.passed++
		case e.Action == "fail" && e.Test != "" && r.failed == "":
			r.failed, _, _ = strings.Cut(e.Test, "/")
		}
	}
	r.output = text.String()
	return r
}
