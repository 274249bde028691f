package facade

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// node is a piece of a structured parameter: a text, a list, or an object with named members. Anything else that JSON has is
// refused, because no parameter of the API holds it.
type node struct {
	form nodeForm
	text string
	// items are the elements of a list; members those of an object, in the order of the text.
	items   []node
	members []member
}

type nodeForm uint8

const (
	nodeText nodeForm = iota
	nodeList
	nodeObject
)

// member is one member of an object.
type member struct {
	name  string
	value node
}

// get is the member of that name, or nil.
func (n *node) get(name string) *node {
	for i := range n.members {
		if n.members[i].name == name {
			return &n.members[i].value
		}
	}
	return nil
}

// string is the text of the member of that name; absent is empty. ok is false when the member is no text.
func (n *node) string(name string) (s string, ok bool) {
	m := n.get(name)
	if m == nil {
		return "", true
	}
	return m.text, m.form == nodeText
}

// list is the node as a list: a list, or an object whose members are numbered without a gap from 0 or from 1, in any order.
func (n *node) list() (items []node, ok bool) {
	switch n.form {
	case nodeList:
		return n.items, true
	case nodeText:
		return nil, false
	}
	count := len(n.members)
	base := 1
	if n.get("0") != nil {
		base = 0
	}
	items = make([]node, count)
	seen := make([]bool, count)
	for i := range n.members {
		at, err := strconv.Atoi(n.members[i].name)
		at -= base
		if err != nil || at < 0 || at >= count || seen[at] || strconv.Itoa(at+base) != n.members[i].name {
			return nil, false
		}
		items[at], seen[at] = n.members[i].value, true
	}
	return items, true
}

// parseTree reads one JSON text made of strings, arrays and objects. It refuses duplicate members, trailing text, more than maxNodes
// pieces and more than maxDepth levels.
func parseTree(s string) (node, bool) {
	p := treeParser{rest: s}
	n, ok := p.value(0)
	p.space()
	return n, ok && p.rest == ""
}

type treeParser struct {
	rest  string
	nodes int
}

func (p *treeParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take consumes c if it comes next after white space.
func (p *treeParser) take(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *treeParser) value(depth int) (node, bool) {
	p.nodes++
	if p.nodes > maxNodes || depth > maxDepth {
		return node{}, false
	}
	switch {
	case p.take('"'):
		s, ok := p.quoted()
		return node{text: s}, ok
	case p.take('['):
		return p.array(depth)
	case p.take('{'):
		return p.object(depth)
	}
	return node{}, false
}

func (p *treeParser) array(depth int) (node, bool) {
	n := node{form: nodeList}
	if p.take(']') {
		return n, true
	}
	for {
		v, ok := p.value(depth + 1)
		if !ok {
			return n, false
		}
		n.items = append(n.items, v)
		if p.take(']') {
			return n, true
		}
		if !p.take(',') {
			return n, false
		}
	}
}

func (p *treeParser) object(depth int) (node, bool) {
	n := node{form: nodeObject}
	if p.take('}') {
		return n, true
	}
	names := map[string]struct{}{}
	for {
		if !p.take('"') {
			return n, false
		}
		name, ok := p.quoted()
		if _, twice := names[name]; !ok || twice || !p.take(':') {
			return n, false
		}
		names[name] = struct{}{}
		v, ok := p.value(depth + 1)
		if !ok {
			return n, false
		}
		n.members = append(n.members, member{name, v})
		if p.take('}') {
			return n, true
		}
		if !p.take(',') {
			return n, false
		}
	}
}

// quoted reads the rest of a string after its opening quote.
func (p *treeParser) quoted() (string, bool) {
	end := strings.IndexAny(p.rest, "\"\\")
	if end < 0 {
		return "", false
	}
	if p.rest[end] == '"' { // the usual case needs no copy
		s := p.rest[:end]
		p.rest = p.rest[end+1:]
		return s, printable(s)
	}
	var b []byte
	for {
		end = strings.IndexAny(p.rest, "\"\\")
		if end < 0 || !printable(p.rest[:end]) {
			return "", false
		}
		b = append(b, p.rest[:end]...)
		quote := p.rest[end] == '"'
		p.rest = p.rest[end+1:]
		if quote {
			return string(b), true
		}
		var ok bool
		if b, ok = p.escape(b); !ok {
			return "", false
		}
	}
}

// printable reports whether s may stand in a JSON string as it is: UTF-8 without control characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// escape appends what follows a backslash. Half a surrogate pair stands for no character and is refused.
func (p *treeParser) escape(b []byte) ([]byte, bool) {
	if p.rest == "" {
		return b, false
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	if c == 'u' {
		r, ok := p.hex4()
		if ok && utf16.IsSurrogate(r) {
			if !strings.HasPrefix(p.rest, `\u`) {
				return b, false
			}
			p.rest = p.rest[2:]
			var low rune
			low, ok = p.hex4()
			r = utf16.DecodeRune(r, low)
			ok = ok && r != utf8.RuneError
		}
		return utf8.AppendRune(b, r), ok
	}
	at := strings.IndexByte(`"\/bfnrt`, c)
	if at < 0 {
		return b, false
	}
	return append(b, "\"\\/\b\f\n\r\t"[at]), true
}

// hex4 reads four hexadecimal digits.
func (p *treeParser) hex4() (rune, bool) {
	if len(p.rest) < 4 {
		return 0, false
	}
	var r rune
	for i := range 4 {
		d := unhex(p.rest[i])
		if d > 15 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	p.rest = p.rest[4:]
	return r, true
}
