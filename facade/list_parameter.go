package facade

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// list is a decoded list parameter.
type list struct {
	name  string
	items []node
	// text is the JSON text of the list. It is empty for a flattened list, which has no text that a device could have
	// signed.
	text string
}

// strings are the elements of a list of texts; ok is false when an element is no text.
func (l *list) strings() (all []string, ok bool) {
	all = make([]string, 0, len(l.items))
	for i := range l.items {
		if l.items[i].form != nodeText {
			return nil, false
		}
		all = append(all, l.items[i].text)
	}
	return all, true
}

// decodeList decodes a list parameter. The official clients send it as the JSON text of an array, as the JSON text of
// an object whose members are numbered from 0 or 1, as Python writes a list (single quotes, None), or flattened: Name.1,
// Name.2, or Name.1.member, with a list that is empty as the text []. present is false when there is none in any form.
func (q *request) decodeList(name string) (l list, present bool, err *gatewayError) {
	l.name = name
	text, whole := q.get(name)
	flat := q.under(name)
	switch {
	case whole && len(flat) > 0:
		return l, true, invalid(name)
	case whole:
		tree, at := parseTree(text)
		if at >= 0 {
			return l, true, unreadable(name, text, at)
		}
		var ok bool
		if l.items, ok = tree.list(); !ok {
			return l, true, invalidBecause(name, "it is no list; its members must be numbered without a gap from 0 or 1")
		}
		l.text = text
		return l, true, nil
	case len(flat) == 0:
		return l, false, nil
	}
	root := node{form: nodeObject}
	for _, p := range flat {
		if !root.put(p.name[len(name)+1:], p.value, 0) {
			return l, true, invalidBecause(name, clip(p.name, maxEchoedName)+" does not fit the other members")
		}
	}
	items, ok := root.list()
	if !ok {
		return l, true, invalidBecause(name, "its members must be numbered without a gap from 0 or 1")
	}
	l.items = items
	return l, true, nil
}

// under are the parameters whose names begin with name and a dot, sorted by name.
func (q *request) under(name string) []param {
	prefix := name + "."
	from, _ := slices.BinarySearchFunc(q.params, prefix,
		func(p param, prefix string) int { return cmp.Compare(p.name, prefix) })
	to := from
	for to < len(q.params) && strings.HasPrefix(q.params[to].name, prefix) {
		to++
	}
	return q.params[from:to]
}

// put stores a text at a path of names joined by dots. It fails where another value is stored already. The paths of
// one parameter come in sorted order, so that what two paths share was stored last; there are no more of them than
// maxParams.
func (n *node) put(path, text string, depth int) bool {
	name, rest, deeper := strings.Cut(path, ".")
	if name == "" || depth > maxDepth {
		return false
	}
	at := n.last(name)
	if !deeper {
		if at != nil {
			return false
		}
		n.members = append(n.members, member{name, node{text: text}})
		return true
	}
	if at == nil {
		n.members = append(n.members, member{name, node{form: nodeObject}})
		at = &n.members[len(n.members)-1].value
	}
	return at.form == nodeObject && at.put(rest, text, depth+1)
}

// last is the member of that name; it looks at the member stored last first.
func (n *node) last(name string) *node {
	if i := len(n.members) - 1; i >= 0 && n.members[i].name == name {
		return &n.members[i].value
	}
	return n.get(name)
}

// node is a part of a structured parameter: a text, a list, or an object with named members. Other JSON values are
// refused, because no parameter of the API has them.
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
	nodeAbsent // null
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

// list is the node as a list: a list, or an object whose members are numbered without a gap from 0 or from 1, in any
// order.
func (n *node) list() (items []node, ok bool) {
	switch n.form {
	case nodeList:
		return n.items, true
	case nodeText: // of a flattened list, whose inner lists some clients write as texts
		tree, at := parseTree(n.text)
		if at >= 0 || tree.form == nodeText {
			return nil, false
		}
		return tree.list()
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

// unreadable is the error of a text that is no list; at is the byte where it cannot be read.
func unreadable(name, text string, at int) *gatewayError {
	return invalidBecause(name, "it cannot be read as a list at character "+
		strconv.Itoa(utf8.RuneCountInString(text[:at])+1))
}

// invalidBecause is invalid with a reason.
func invalidBecause(name, why string) *gatewayError {
	e := invalid(name)
	e.message = strings.TrimSuffix(e.message, ".") + ": " + why + "."
	return e
}

// parseTree parses one text of strings, arrays and objects, in JSON or as Python writes them. A number is the text of
// its digits; a member that is null is absent. It refuses duplicate members, trailing text, more than maxNodes nodes and
// more than maxDepth levels: then at is the byte where it cannot go on, else -1.
func parseTree(s string) (n node, at int) {
	p := treeParser{rest: s}
	n, ok := p.value(0)
	p.space()
	if ok && p.rest == "" && n.form != nodeAbsent {
		return n, -1
	}
	return n, len(s) - len(p.rest)
}

type treeParser struct {
	rest  string
	nodes int
}

// space skips white space.
func (p *treeParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

// take consumes c if it is next after white space.
func (p *treeParser) take(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// value parses one value; depth is the number of lists and objects around it.
func (p *treeParser) value(depth int) (node, bool) {
	p.nodes++
	if p.nodes > maxNodes || depth > maxDepth {
		return node{}, false
	}
	switch {
	case p.take('['):
		return p.array(depth)
	case p.take('{'):
		return p.object(depth)
	case p.word("null"), p.word("None"):
		return node{form: nodeAbsent}, true
	}
	s, ok := p.text()
	return node{text: s}, ok
}

// word consumes a word if it is next.
func (p *treeParser) word(w string) (ok bool) {
	p.rest, ok = strings.CutPrefix(p.rest, w)
	return ok
}

// text parses a string in either quotes, which Python 2 writes with a u before it, or a number.
func (p *treeParser) text() (string, bool) {
	if strings.HasPrefix(p.rest, "u'") || strings.HasPrefix(p.rest, `u"`) {
		p.rest = p.rest[1:]
	}
	switch {
	case p.take('"'):
		return p.quoted('"')
	case p.take('\''):
		return p.quoted('\'')
	}
	end := 0
	for end < len(p.rest) && strings.IndexByte("+-.0123456789Ee", p.rest[end]) >= 0 {
		end++
	}
	if _, err := strconv.ParseFloat(p.rest[:end], 64); err != nil {
		return "", false
	}
	s := p.rest[:end]
	p.rest = p.rest[end:]
	return s, true
}

// array parses the rest of an array after its opening bracket.
func (p *treeParser) array(depth int) (node, bool) {
	n := node{form: nodeList}
	if p.take(']') {
		return n, true
	}
	for {
		v, ok := p.value(depth + 1)
		if !ok || v.form == nodeAbsent {
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

// object parses the rest of an object after its opening brace.
func (p *treeParser) object(depth int) (node, bool) {
	n := node{form: nodeObject}
	if p.take('}') {
		return n, true
	}
	names := map[string]struct{}{}
	for {
		p.space()
		name, ok := p.text()
		if _, twice := names[name]; !ok || twice || !p.take(':') {
			return n, false
		}
		names[name] = struct{}{}
		v, ok := p.value(depth + 1)
		if !ok {
			return n, false
		}
		if v.form != nodeAbsent {
			n.members = append(n.members, member{name, v})
		}
		if p.take('}') {
			return n, true
		}
		if !p.take(',') {
			return n, false
		}
	}
}

// quoted reads the rest of a string after its opening quote.
func (p *treeParser) quoted(quote byte) (string, bool) {
	stops := string([]byte{quote, '\\'})
	end := strings.IndexAny(p.rest, stops)
	if end < 0 {
		return "", false
	}
	if p.rest[end] == quote { // no escapes, no copy
		s := p.rest[:end]
		p.rest = p.rest[end+1:]
		return s, printable(s)
	}
	var b []byte
	for {
		end = strings.IndexAny(p.rest, stops)
		if end < 0 || !printable(p.rest[:end]) {
			return "", false
		}
		b = append(b, p.rest[:end]...)
		closed := p.rest[end] == quote
		p.rest = p.rest[end+1:]
		if closed {
			return string(b), true
		}
		var ok bool
		if b, ok = p.escape(b); !ok {
			return "", false
		}
	}
}

// printable reports whether s may be part of a JSON string without an escape: UTF-8 without control characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// escape appends the character that an escape stands for, after its backslash. Half a surrogate pair is refused.
func (p *treeParser) escape(b []byte) ([]byte, bool) {
	if p.rest == "" {
		return b, false
	}
	c := p.rest[0]
	p.rest = p.rest[1:]
	switch c {
	case 'x', 'U': // Python's
		r, ok := p.hex(map[byte]int{'x': 2, 'U': 8}[c])
		return utf8.AppendRune(b, r), ok && utf8.ValidRune(r)
	case 'u':
		r, ok := p.hex(4)
		if ok && utf16.IsSurrogate(r) {
			if !strings.HasPrefix(p.rest, `\u`) {
				return b, false
			}
			p.rest = p.rest[2:]
			var low rune
			low, ok = p.hex(4)
			r = utf16.DecodeRune(r, low)
			ok = ok && r != utf8.RuneError
		}
		return utf8.AppendRune(b, r), ok
	}
	at := strings.IndexByte(`"'\/bfnrt`, c)
	if at < 0 {
		return b, false
	}
	return append(b, "\"'\\/\b\f\n\r\t"[at]), true
}

// hex reads n hexadecimal digits.
func (p *treeParser) hex(n int) (rune, bool) {
	if len(p.rest) < n {
		return 0, false
	}
	var r rune
	for i := range n {
		d := unhex(p.rest[i])
		if d > 15 {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	p.rest = p.rest[n:]
	return r, true
}
