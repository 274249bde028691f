package houserules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// module is the path that own imports begin with.
const module = "ltl/"

// root is the module's directory, seen from this package's.
const root = "../.."

// source is one Go file.
type source struct {
	path      string // from the module's root
	test      bool
	generated bool
	lines     int
	ast       *ast.File
}

// pkg is a directory with Go files.
type pkg struct {
	path  string // from the module's root, "cmd/ltl"
	files []*source
	fset  *token.FileSet
}

// code returns the files that people wrote and that are not tests.
func (p *pkg) code() []*source {
	var out []*source
	for _, f := range p.files {
		if !f.test && !f.generated {
			out = append(out, f)
		}
	}
	return out
}

func (p *pkg) at(n ast.Node) string {
	pos := p.fset.Position(n.Pos())
	return pos.Filename + ":" + strconv.Itoa(pos.Line)
}

// load parses the module. It fails the test when it finds suspiciously little: then the rules would hold for nothing.
func load(t *testing.T) []*pkg {
	t.Helper()
	packages, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 10 {
		t.Fatalf("found only %d packages below %s", len(packages), root)
	}
	return packages
}

// loaded parses the module once for all tests, which only read what it returns.
var loaded = sync.OnceValues(parseModule)

func parseModule() ([]*pkg, error) {
	packages := map[string]*pkg{}
	err := fs.WalkDir(os.DirFS(root), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || file == "tools" ||
			file == "bin") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(file, ".go") {
			return nil
		}
		return parse(packages, file)
	})
	out := make([]*pkg, 0, len(packages))
	for _, p := range packages {
		out = append(out, p)
	}
	return out, err
}

func parse(packages map[string]*pkg, file string) error {
	dir := path.Dir(file)
	p := packages[dir]
	if p == nil {
		p = &pkg{path: dir, fset: token.NewFileSet()}
		packages[dir] = p
	}
	raw, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		return err
	}
	f, err := parser.ParseFile(p.fset, file, raw, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	p.files = append(p.files, &source{
		path: file, test: strings.HasSuffix(file, "_test.go"), generated: ast.IsGenerated(f),
		lines: strings.Count(string(raw), "\n"), ast: f,
	})
	return nil
}

// imports returns the paths that a file imports.
func imports(f *ast.File) []string {
	var out []string
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		if err == nil {
			out = append(out, p)
		}
	}
	return out
}
