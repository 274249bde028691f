package main

import (
	"context"
	_ "embed" // the hook
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// hookFile is where the copy of the tree gets the hook. What runs in it is not counted.
const hookFile = "cmd/ltl/trace_hook.go"

//go:embed testdata/hook.go
var hook []byte

// build compiles the program of the tree at source, with counters in every package of the module, and returns its path.
func build(ctx context.Context, source, dir string) (string, error) {
	tree := filepath.Join(dir, "tree")
	if err := copyTree(source, tree); err != nil {
		return "", fmt.Errorf("couldn't copy the tree: %w", err)
	}
	if err := os.WriteFile(filepath.Join(tree, hookFile), hook, 0o600); err != nil {
		return "", fmt.Errorf("couldn't add the hook: %w", err)
	}
	binary := filepath.Join(dir, "ltl")
	// The compiler's cache is shared with other trees only when paths are trimmed.
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-cover", "-covermode=atomic",
		"-coverpkg=ltl/...", "-o", binary, "./cmd/ltl")
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}

// copyTree copies what the compiler needs: no hidden directory, no test, no data directory of a network at the root.
func copyTree(from, to string) error {
	return fs.WalkDir(os.DirFS(from), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || path == "bin" || path == "ltl-data"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o700)
		case !d.Type().IsRegular() || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		raw, err := os.ReadFile(filepath.Join(from, path))
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), raw, 0o600)
	})
}
