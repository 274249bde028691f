package houserules

import (
	"errors"
	"go/ast"
	"go/token"
	"go/types"
	"testing"
)

// TestNoMutablePackageVariables: a package variable is a sentinel error or a table. It has a value where it is
// declared, and nothing in its package assigns to it, to a part of it, or takes its address.
func TestNoMutablePackageVariables(t *testing.T) {
	for _, p := range load(t) {
		var files []*ast.File
		for _, f := range p.files {
			if !f.test && !f.generated {
				files = append(files, f.ast)
			}
		}
		if len(files) == 0 {
			continue
		}
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
		// Only names within the package matter: imports stay unresolved, and the errors that this makes are ignored.
		conf := types.Config{Error: func(error) {}, Importer: noImporter{}}
		checked, _ := conf.Check(p.path, p.fset, files, info)
		v := &variables{t: t, p: p, info: info, scope: checked.Scope()}
		for _, f := range files {
			v.declarations(f)
			ast.Inspect(f, v.inspect)
		}
	}
}

type noImporter struct{}

func (noImporter) Import(string) (*types.Package, error) { return nil, errors.New("not needed") }

type variables struct {
	t     *testing.T
	p     *pkg
	info  *types.Info
	scope *types.Scope
}

func (v *variables) declarations(f *ast.File) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, s := range g.Specs {
			if s, ok := s.(*ast.ValueSpec); ok && len(s.Values) == 0 && !embedded(g) {
				v.t.Errorf("%s: package variable %s has no value where it is declared, so code must change it later", v.p.at(s),
					s.Names[0].Name)
			}
		}
	}
}

// embedded reports whether the compiler fills the variable, by go:embed.
func embedded(g *ast.GenDecl) bool {
	if g.Doc == nil {
		return false
	}
	for _, c := range g.Doc.List {
		if len(c.Text) > 10 && c.Text[:10] == "//go:embed" {
			return true
		}
	}
	return false
}

func (v *variables) inspect(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, lhs := range n.Lhs {
			v.changed(lhs, "assigned to")
		}
	case *ast.IncDecStmt:
		v.changed(n.X, "counted")
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			v.changed(n.X, "pointed to")
		}
	case *ast.CallExpr:
		if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "delete" || f.Name == "clear") && len(n.Args) > 0 {
			v.changed(n.Args[0], "changed by "+f.Name)
		}
	}
	return true
}

// changed reports expr when it is a package variable or a part of one.
func (v *variables) changed(expr ast.Expr, how string) {
	for {
		switch x := expr.(type) {
		case *ast.IndexExpr:
			expr = x.X
		case *ast.SelectorExpr:
			expr = x.X
		case *ast.StarExpr:
			expr = x.X
		case *ast.ParenExpr:
			expr = x.X
		case *ast.Ident:
			object, ok := v.info.Uses[x].(*types.Var)
			if ok && object.Parent() == v.scope {
				v.t.Errorf("%s: package variable %s is %s", v.p.at(x), x.Name, how)
			}
			return
		default:
			return
		}
	}
}
