package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
)

// checker compiles mutants as far as types go: much quicker than building each, and enough to tell a fault from a
// typing error.
type checker struct {
	root     string
	exports  map[string]string   // import path to the file with its compiled declarations
	files    map[string][]string // directory below root to its Go files
	packages map[string]string   // directory below root to its import path
}

// newChecker has the go command compile the module at root, which its build cache makes cheap.
func newChecker(root string) (*checker, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export,Dir,GoFiles", "./...")
	cmd.Dir, cmd.Stderr = root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	full, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	c := &checker{root: root, exports: map[string]string{}, files: map[string][]string{}, packages: map[string]string{}}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath, Export, Dir string
			GoFiles                 []string
		}
		if err := in.Decode(&p); err == io.EOF {
			return c, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		c.exports[p.ImportPath] = p.Export
		if dir, err := filepath.Rel(full, p.Dir); err == nil {
			c.files[dir], c.packages[dir] = p.GoFiles, p.ImportPath
		}
	}
}

// all checks that every mutant can be planted and compiles, and returns the first that does not.
func (c *checker) all(mutants []mutant) error {
	names := map[string]bool{}
	for _, m := range mutants {
		if names[m.name] {
			return fmt.Errorf("two mutants are called %s", m.name)
		}
		names[m.name] = true
		changed, err := plant(c.root, m)
		if err != nil {
			return err
		}
		for file := range changed {
			if err := c.compile(path.Dir(file), changed); err != nil {
				return fmt.Errorf("mutant %s does not compile: %w", m.name, err)
			}
		}
	}
	return nil
}

// compile checks the types of one package with some of its files changed.
func (c *checker) compile(dir string, changed map[string][]byte) error {
	set := token.NewFileSet()
	var files []*ast.File
	for _, name := range c.files[dir] {
		var source any
		if content, ok := changed[path.Join(dir, name)]; ok {
			source = content
		}
		f, err := parser.ParseFile(set, filepath.Join(c.root, dir, name), source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, f)
	}
	load := func(path string) (io.ReadCloser, error) { return os.Open(c.exports[path]) }
	config := types.Config{Importer: importer.ForCompiler(set, "gc", load)}
	_, err := config.Check(c.packages[dir], set, files, nil)
	return err
}
