package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ltl/internal/ledger"
)

// allowedImports are all packages that the product code of this package and of internal/policy may import.
var allowedImports = []string{
	"bytes", "cmp", "crypto", "crypto/aes", "crypto/ecdsa", "crypto/ed25519", "crypto/elliptic", "crypto/rsa",
	"crypto/sha256", "crypto/subtle", "encoding/base64", "encoding/binary", "encoding/hex", "errors", "fmt", "math",
	"math/big", "math/bits", "slices", "strconv", "strings", "time", "unicode/utf8",
	"google.golang.org/protobuf/encoding/protowire", "google.golang.org/protobuf/proto",
	"google.golang.org/protobuf/reflect/protoreflect",
	"ltl/internal/ledger", "ltl/internal/policy", "ltl/proto/ltl/v1",
}

// TestPure: no import and no name by which the outside world, chance or the scheduler could get in.
func TestPure(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.go", "../policy/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) < 2 {
			t.Fatal(found, err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			if path, err := strconv.Unquote(i.Path.Value); err != nil || !slices.Contains(allowedImports, path) {
				t.Errorf("%s imports %s", name, i.Path.Value)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if what := impure(n); what != "" {
				t.Errorf("%s: %s", name, what)
			}
			return true
		})
		for _, d := range f.Decls {
			g, ok := d.(*ast.GenDecl)
			if !ok || g.Tok != token.VAR {
				continue
			}
			for _, s := range g.Specs {
				if v := s.(*ast.ValueSpec); !strings.HasPrefix(v.Names[0].Name, "Err") && !arrayLiteral(v) {
					t.Errorf("%s: package variable %s", name, v.Names[0].Name)
				}
			}
		}
	}
}

// arrayLiteral reports whether a variable is a table. test/houserules checks that nothing changes one.
func arrayLiteral(v *ast.ValueSpec) bool {
	if len(v.Values) != 1 {
		return false
	}
	c, ok := v.Values[0].(*ast.CompositeLit)
	if !ok {
		return false
	}
	a, ok := c.Type.(*ast.ArrayType)
	return ok && a.Len != nil
}

// impure says what is wrong with one node; empty when nothing is.
func impure(n ast.Node) string {
	switch n := n.(type) {
	case *ast.GoStmt:
		return "a goroutine"
	case *ast.SelectStmt, *ast.ChanType, *ast.SendStmt:
		return "a channel"
	case *ast.BasicLit:
		if n.Kind == token.FLOAT {
			return "a floating-point number"
		}
	case *ast.Ident:
		if n.Name == "float64" || n.Name == "float32" {
			return n.Name
		}
	case *ast.SelectorExpr:
		x, ok := n.X.(*ast.Ident)
		if ok && x.Name == "time" && n.Sel.Name != "UnixMilli" {
			return "time." + n.Sel.Name
		}
		if ok && x.Name == "ed25519" && n.Sel.Name != "PublicKey" && n.Sel.Name != "PublicKeySize" &&
			n.Sel.Name != "SignatureSize" {
			return "ed25519." + n.Sel.Name
		}
	}
	return ""
}

// TestNoMapOrder: one input, one header, however the maps inside are ordered.
func TestNoMapOrder(t *testing.T) {
	w := newWorld(t)
	var batches [][][]byte
	for i := range 4 {
		var payloads [][]byte
		for j := range 40 {
			id := string(rune('a'+j%13)) + strconv.Itoa(i%2)
			switch j % 5 {
			case 0:
				payloads = append(payloads, marshal(t, w.tx(m1UID, set(w.key(m1UID, id), "v"))))
			case 1, 2:
				payloads = append(payloads, marshal(t, w.tx(m2UID, attach(w.key(m2UID, id), "v", ""))))
			case 3:
				tx := w.tx(rootUID, attach(w.key(rootUID, id), "v", business))
				payloads = append(payloads, marshal(t, signed(tx, strconv.Itoa(j%10))))
			default:
				payloads = append(payloads, marshal(t, w.tx(rootUID, member(freeUID))))
			}
		}
		batches = append(batches, payloads)
	}
	var hash ledger.Hash
	for run := range 20 {
		in := w.input(w.chain.ID)
		for _, p := range batches {
			in.Batches = append(in.Batches, w.batch(w.chain.ID, p, "o1", "o2", "o3"))
		}
		x, err := Execute(in, w.state, ledger.VerifyEndorsement)
		if err != nil {
			t.Fatal(err)
		}
		if run == 0 {
			hash = x.Hash
			seen := map[string]bool{}
			for _, wr := range x.Writes {
				if seen[string(wr.Key)] {
					t.Errorf("key %q is written twice", wr.Key)
				}
				if seen[string(wr.Key)] = true; len(wr.Value) == 0 {
					t.Errorf("key %q has no value", wr.Key)
				}
			}
		}
		if x.Hash != hash {
			t.Fatalf("run %d: block %x, the first run made %x", run, x.Hash, hash)
		}
	}
}
