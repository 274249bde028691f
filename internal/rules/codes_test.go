package rules

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// codeConstants returns the names of the constants of codes.go, in their order.
func codeConstants(t *testing.T) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				names = append(names, s.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	return names
}

// TestCodeTable: the table has each constant once, in order, with a message of its own, and says how the API answers
// it.
func TestCodeTable(t *testing.T) {
	var names []string
	codes, messages := map[int32]bool{}, map[string]bool{Message(0): true}
	for _, c := range Codes() {
		names = append(names, c.Name)
		if codes[c.Code] || messages[c.Message] || !strings.HasSuffix(c.Message, ".") {
			t.Errorf("%s: code %d or message %q occurs twice, or the message is not a sentence", c.Name, c.Code, c.Message)
		}
		codes[c.Code], messages[c.Message] = true, true
		if (c.Answer == 0) != (c.Gateway != "") || (c.Answer == 0) != (c.HTTPStatus != 200) {
			t.Errorf("%s: answer %d, gateway error %q and status %d contradict one another", c.Name, c.Answer, c.Gateway,
				c.HTTPStatus)
		}
		if (c.Meaning != "") != (c.Answer == c.Code && c.Code != OK) {
			t.Errorf("%s: answer %d, but its meaning for the documents is %q", c.Name, c.Answer, c.Meaning)
		}
	}
	if want := codeConstants(t); !slices.Equal(names, want) {
		t.Errorf("the table has the codes %q\nthe constants are %q", names, want)
	}
	if Recorded(Malformed) || !Recorded(OK) || !Recorded(NonceUsed) {
		t.Error("a malformed transaction is recorded, or one that succeeded or repeats a nonce is not")
	}
}
