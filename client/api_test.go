package client_test

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"ltl/client"
	"ltl/internal/rules"
)

// internalPath begins the import paths that a program outside this module cannot import.
const internalPath = "ltl/internal/"

// TestExportedAPI: no exported name of the client or the device library needs a type that a program outside this module
// cannot name.
func TestExportedAPI(t *testing.T) {
	for _, path := range []string{"ltl/client", "ltl/client/device"} {
		w := &apiWalk{t: t, path: path, seen: map[types.Type]bool{}}
		scope := importPackage(t, path).Scope()
		exported := 0
		for _, name := range scope.Names() {
			if o := scope.Lookup(name); o.Exported() {
				exported++
				w.object(path+"."+name, o)
			}
		}
		if exported < 10 {
			t.Errorf("%s has %d exported names; the test does not see its API", path, exported)
		}
	}
	for _, dir := range []string{".", "device"} {
		checkTypeDeclarations(t, dir)
	}
}

// importPackage reads the compiler's description of a package.
func importPackage(t *testing.T, path string) *types.Package {
	t.Helper()
	out, err := exec.Command("go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}", path).Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	files := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		files[name] = file
	}
	lookup := func(path string) (io.ReadCloser, error) { return os.Open(files[path]) }
	p, err := importer.ForCompiler(token.NewFileSet(), "gc", lookup).Import(path)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// apiWalk visits every type that the API of a package exposes.
type apiWalk struct {
	t    *testing.T
	path string
	seen map[types.Type]bool
}

func (w *apiWalk) object(at string, o types.Object) {
	w.visit(at, o.Type())
	named, ok := o.Type().(*types.Named)
	if _, isType := o.(*types.TypeName); !isType || !ok {
		return
	}
	for m := range named.Methods() {
		if m.Exported() {
			w.visit(at+"."+m.Name(), m.Type())
		}
	}
}

// visit visits a type and what it exposes: exported fields and methods of the package's own types, nothing of those of
// others.
func (w *apiWalk) visit(at string, typ types.Type) {
	if w.seen[typ] {
		return
	}
	w.seen[typ] = true
	switch typ := typ.(type) {
	case *types.Named:
		w.name(at, typ.Obj())
		for arg := range typ.TypeArgs().Types() {
			w.visit(at, arg)
		}
		if typ.Obj().Pkg() != nil && typ.Obj().Pkg().Path() == w.path {
			w.visit(at, typ.Underlying())
		}
	case *types.Alias:
		w.name(at, typ.Obj())
		w.visit(at, typ.Rhs())
	case *types.Struct:
		for f := range typ.Fields() {
			if f.Exported() || f.Embedded() {
				w.visit(at+"."+f.Name(), f.Type())
			}
		}
	case *types.Interface:
		for m := range typ.Methods() {
			w.visit(at+"."+m.Name(), m.Type())
		}
	case *types.Signature:
		for v := range typ.Params().Variables() {
			w.visit(at, v.Type())
		}
		for v := range typ.Results().Variables() {
			w.visit(at, v.Type())
		}
	case *types.Map:
		w.visit(at, typ.Key())
		w.visit(at, typ.Elem())
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		w.visit(at, typ.Elem())
	}
}

func (w *apiWalk) name(at string, o *types.TypeName) {
	if o.Pkg() != nil && strings.HasPrefix(o.Pkg().Path(), internalPath) {
		w.t.Errorf("%s exposes %s.%s, which a program outside this module cannot name", at, o.Pkg().Path(), o.Name())
	}
}

// checkTypeDeclarations refuses exported types that are defined as an internal type: their documentation shows it, and
// the compiler's description does not.
func checkTypeDeclarations(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+e.Name(), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		internal := map[string]bool{}
		for _, i := range file.Imports {
			if path := strings.Trim(i.Path.Value, `"`); strings.HasPrefix(path, internalPath) {
				internal[path[strings.LastIndex(path, "/")+1:]] = true
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || !spec.Name.IsExported() {
				return true
			}
			if s, ok := spec.Type.(*ast.SelectorExpr); ok && internal[fmt.Sprint(s.X)] {
				t.Errorf("type %s is defined as %v.%s, which is internal", spec.Name, s.X, s.Sel)
			}
			return false
		})
	}
}

// TestExamples: every exported function and method has an example, which pkg.go.dev shows beside it.
func TestExamples(t *testing.T) {
	for dir, path := range map[string]string{".": "ltl/client", "device": "ltl/client/device"} {
		examples := exampleNames(t, dir)
		scope := importPackage(t, path).Scope()
		for _, name := range scope.Names() {
			o := scope.Lookup(name)
			switch o.(type) {
			case *types.Func:
				if o.Exported() && !examples["Example"+name] {
					t.Errorf("%s.%s has no example", path, name)
				}
			case *types.TypeName:
				named, ok := o.Type().(*types.Named)
				if !ok || !o.Exported() {
					continue
				}
				for m := range named.Methods() {
					if m.Exported() && !examples["Example"+name+"_"+m.Name()] {
						t.Errorf("%s.%s.%s has no example", path, name, m.Name())
					}
				}
			}
		}
	}
}

// exampleNames returns the names of the examples in a directory.
func exampleNames(t *testing.T, dir string) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), dir+"/"+e.Name(), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Example") {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// TestCodes: the client's result codes are those of the ledger, all of them, and each has a message.
func TestCodes(t *testing.T) {
	scope := importPackage(t, "ltl/client").Scope()
	all := rules.Codes()
	if len(all) < 30 {
		t.Fatalf("the ledger has %d codes; the test does not see them", len(all))
	}
	for _, want := range all {
		c, ok := scope.Lookup("Code" + want.Name).(*types.Const)
		if !ok {
			t.Errorf("client has no constant Code%s = %d", want.Name, want.Code)
			continue
		}
		if c.Val().String() != fmt.Sprint(want.Code) {
			t.Errorf("Code%s is %s, want %d", want.Name, c.Val(), want.Code)
		}
		if client.Message(want.Code) != want.Message {
			t.Errorf("the message of code %d is %q, want %q", want.Code, client.Message(want.Code), want.Message)
		}
	}
	for _, name := range scope.Names() {
		if rest, ok := strings.CutPrefix(name, "Code"); ok && !containsName(all, rest) {
			t.Errorf("client has %s, and the ledger has no code of this name", name)
		}
	}
}

func containsName(all []rules.CodeInfo, name string) bool {
	for _, c := range all {
		if c.Name == name {
			return true
		}
	}
	return false
}
