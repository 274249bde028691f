package houserules

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// The shape of the code: what can be read in one sitting.
const (
	maxFunctionLines = 70
	maxFileLines     = 500
)

func TestShape(t *testing.T) {
	for _, p := range load(t) {
		for _, f := range p.code() {
			if f.lines > maxFileLines {
				t.Errorf("%s has %d lines, more than %d", f.path, f.lines, maxFileLines)
			}
			for _, d := range f.ast.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if lines := p.fset.Position(fn.End()).Line - p.fset.Position(fn.Pos()).Line + 1; lines > maxFunctionLines {
					t.Errorf("%s: %s has %d lines, more than %d", p.at(fn), fn.Name.Name, lines, maxFunctionLines)
				}
				if fn.Name.Name == "init" && fn.Recv == nil {
					t.Errorf("%s: init runs without a call, before main; call a function instead", p.at(fn))
				}
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	for _, p := range load(t) {
		var want, doc string
		generatedOnly := true
		for _, f := range p.files {
			if f.test {
				continue
			}
			generatedOnly = generatedOnly && f.generated
			want = "Package " + f.ast.Name.Name + " "
			if f.ast.Name.Name == "main" {
				want = "Command "
			}
			if f.ast.Doc != nil {
				doc += f.ast.Doc.Text()
			}
		}
		if !generatedOnly && !strings.HasPrefix(doc, want) {
			t.Errorf("%s has no comment that begins with %q and says what it is for and what it promises", p.path, want)
		}
	}
}

func TestNoSleep(t *testing.T) {
	for _, p := range load(t) {
		if p.path == "test/testkit" {
			continue // the harness of tests: like them, it may sleep between two looks at a condition
		}
		for _, f := range p.code() {
			ast.Inspect(f.ast, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok || s.Sel.Name != "Sleep" {
					return true
				}
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
					t.Errorf("%s: time.Sleep cannot be ended; wait for a condition, a timer or a context", p.at(n))
				}
				return true
			})
		}
	}
}

func TestExportedNamesAreDocumented(t *testing.T) {
	for _, p := range load(t) {
		for _, f := range p.code() {
			for _, d := range f.ast.Decls {
				switch d := d.(type) {
				case *ast.FuncDecl:
					if d.Name.IsExported() && exportedReceiver(d) && d.Doc == nil {
						t.Errorf("%s: %s has no comment", p.at(d), d.Name.Name)
					}
				case *ast.GenDecl:
					checkDocs(t, p, d)
				}
			}
		}
	}
}

// exportedReceiver reports whether a function is none of an unexported type's methods.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	receiver := d.Recv.List[0].Type
	for {
		switch x := receiver.(type) {
		case *ast.StarExpr:
			receiver = x.X
		case *ast.IndexExpr:
			receiver = x.X
		case *ast.IndexListExpr:
			receiver = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// checkDocs wants a comment on each exported name, or on the group that declares it.
func checkDocs(t *testing.T, p *pkg, d *ast.GenDecl) {
	t.Helper()
	if d.Tok == token.IMPORT || d.Doc != nil {
		return
	}
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && s.Doc == nil {
				t.Errorf("%s: %s has no comment", p.at(s), s.Name.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				if name.IsExported() && s.Doc == nil && s.Comment == nil {
					t.Errorf("%s: %s has no comment", p.at(s), name.Name)
				}
			}
		}
	}
}
