package conformance

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"
)

// testShapes: the response of every Action has the members of the table, in its order, with its types, in JSON and
// XML.
func (w *world) testShapes(t *testing.T) {
	for _, a := range w.table {
		t.Run(a.Name, func(t *testing.T) {
			inJSON := w.must(t, w.admin, a.Name, w.call(a, w.admin, nil))
			checkJSON(t, a.Name+": Data", a.Data, inJSON.data())
			for _, format := range []string{"xml", "XML"} {
				status, body := w.send(t, w.admin, w.call(a, w.admin, nil).with("Action", a.Name, "Format", format))
				root, err := parseXML(body)
				if err != nil || status != 200 || !strings.HasPrefix(string(body), `<?xml version="1.0" encoding="utf-8"?>`) {
					t.Fatalf("HTTP %d, %v: %s", status, err, body)
				}
				data := member{Name: "Data", Type: a.Data.Type, Members: a.Data.Members}
				checkXML(t, root, a.Name+"Response", []member{
					{Name: "Message", Type: "Empty"}, {Name: "RequestId", Type: "String"}, data, {Name: "Code",
						Type: "Integer"}, {Name: "Success", Type: "Boolean"},
				})
			}
		})
	}
}

// checkJSON checks the type of a value.
func checkJSON(t *testing.T, at string, m member, n *node) {
	t.Helper()
	if n == nil {
		t.Errorf("%s is missing", at)
		return
	}
	kind := map[string]byte{"String": '"', "Empty": '"', "Json": '"', "Integer": '#', "Long": '#', "Struct": '{',
		"List": '[', "Table": '['}[m.Type]
	if n.kind != kind {
		t.Errorf("%s is a %q, want a %s", at, n.kind, m.Type)
		return
	}
	switch m.Type {
	case "Empty":
		if n.text != "" {
			t.Errorf("%s is %q, want nothing", at, n.text)
		}
	case "Integer", "Long":
		if _, err := strconv.ParseInt(n.text, 10, 64); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	case "Json":
		inner, err := parseJSON([]byte(n.text))
		if err != nil {
			t.Errorf("%s: %v", at, err)
			return
		}
		checkJSON(t, at, member{Type: "Struct", Members: m.Members}, inner)
	case "Struct":
		var want []string
		for _, x := range m.Members {
			want = append(want, x.Name)
		}
		if fmt.Sprint(n.names) != fmt.Sprint(want) {
			t.Errorf("%s has the members %v, want %v", at, n.names, want)
			return
		}
		for i, x := range m.Members {
			checkJSON(t, at+"."+x.Name, x, n.items[i])
		}
	case "List", "Table":
		if len(n.items) == 0 {
			t.Errorf("%s is empty, so that its rows cannot be checked", at)
		}
		for i, row := range n.items {
			checkJSON(t, fmt.Sprintf("%s[%d]", at, i), member{Type: "Struct", Members: m.Members}, row)
		}
	}
}

// element is an XML element.
type element struct {
	name, text string
	children   []*element
}

// parseXML parses a whole document. Elements have children or text, not both.
func parseXML(b []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(b))
	top := &element{}
	open := []*element{top}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		here := open[len(open)-1]
		switch v := token.(type) {
		case xml.StartElement:
			if len(v.Attr) > 0 {
				return nil, fmt.Errorf("%s has attributes", v.Name.Local)
			}
			child := &element{name: v.Name.Local}
			here.children, open = append(here.children, child), append(open, child)
		case xml.EndElement:
			if here.text != "" && len(here.children) > 0 {
				return nil, fmt.Errorf("%s has children and text", here.name)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			if here != top {
				here.text += string(v)
			}
		}
	}
	if len(top.children) != 1 {
		return nil, fmt.Errorf("%d roots", len(top.children))
	}
	return top.children[0], nil
}

// checkXML checks that an element has the expected members, in order. A list repeats its name.
func checkXML(t *testing.T, e *element, name string, members []member) {
	t.Helper()
	if e.name != name {
		t.Errorf("the element %s, want %s", e.name, name)
	}
	rest := e.children
	for _, m := range members {
		count := 0
		for len(rest) > 0 && rest[0].name == m.Name {
			one := rest[0]
			rest = rest[1:]
			count++
			switch m.Type {
			case "Struct", "List":
				checkXML(t, one, m.Name, m.Members)
			case "Table":
				rows, err := parseJSON([]byte(one.text))
				if err != nil {
					t.Errorf("%s: %v", m.Name, err)
					continue
				}
				checkJSON(t, m.Name, m, rows)
			default:
				checkText(t, name, m, one)
			}
		}
		if m.Type != "List" && count != 1 || m.Type == "List" && count == 0 {
			t.Errorf("%s has %d elements %s in the right place", name, count, m.Name)
		}
	}
	if len(rest) > 0 {
		t.Errorf("%s: %s in the wrong place", name, rest[0].name)
	}
}

// checkText checks the text of an element by its type.
func checkText(t *testing.T, in string, m member, e *element) {
	t.Helper()
	if len(e.children) > 0 {
		t.Errorf("%s of %s has children", m.Name, in)
	}
	value := &node{kind: '"', text: e.text}
	switch m.Type {
	case "Boolean":
		if e.text != "true" {
			t.Errorf("%s of %s is %q", m.Name, in, e.text)
		}
		return
	case "Integer", "Long":
		value.kind = '#'
	}
	checkJSON(t, in+"."+m.Name, m, value)
}
