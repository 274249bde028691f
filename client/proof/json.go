package proof

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Bounds on a file: how deep arrays and objects may be nested, and how many names an object may have.
const (
	maxDepth = 8
	maxNames = 64
)

// maxInteger is the largest integer that every JSON reader holds exactly.
const maxInteger = 1<<53 - 1

// node is one value of a JSON text. The reader accepts one spelling only, so that no two readers see two contents:
// encoding/json takes repeated names, names in another case and unknown ones.
type node struct {
	kind   byte // '{', '[', '"', '0' for an integer, 't' for true and false
	names  []string
	items  []*node // of an object in the order of names
	text   string
	number int64
	truth  bool
	read   []bool // which names were asked for
}

// reader reads one JSON text.
type reader struct {
	text string
	at   int
}

type syntaxError struct{ reason string }

// Error says what is wrong with the text.
func (e syntaxError) Error() string { return e.reason }

// parseJSON reads a whole JSON text: UTF-8, no repeated names, no numbers but integers of at most 53 bits.
func parseJSON(b []byte) (n *node, err error) {
	if !utf8.Valid(b) {
		return nil, syntaxError{"it is not UTF-8"}
	}
	r := &reader{text: string(b)}
	defer func() {
		if e := recover(); e != nil {
			s, ok := e.(syntaxError)
			if !ok {
				panic(e)
			}
			n, err = nil, s
		}
	}()
	n = r.value(0)
	r.space()
	if r.at != len(r.text) {
		r.fail("there are bytes after its end")
	}
	return n, nil
}

func (r *reader) fail(format string, args ...any) {
	panic(syntaxError{fmt.Sprintf("byte %d: %s", r.at, fmt.Sprintf(format, args...))})
}

func (r *reader) space() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

// peek is the next byte, 0 at the end.
func (r *reader) peek() byte {
	if r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

func (r *reader) expect(word string) {
	if !strings.HasPrefix(r.text[r.at:], word) {
		r.fail("%q is missing", word)
	}
	r.at += len(word)
}

func (r *reader) value(depth int) *node {
	if depth > maxDepth {
		r.fail("nested deeper than %d", maxDepth)
	}
	r.space()
	switch c := r.peek(); {
	case c == '{':
		return r.object(depth)
	case c == '[':
		return r.array(depth)
	case c == '"':
		return &node{kind: '"', text: r.string()}
	case c == '-' || c >= '0' && c <= '9':
		return r.integer()
	case c == 't':
		r.expect("true")
		return &node{kind: 't', truth: true}
	default:
		r.expect("false")
		return &node{kind: 't'}
	}
}

func (r *reader) object(depth int) *node {
	n := &node{kind: '{'}
	r.expect("{")
	for r.space(); r.peek() != '}'; r.space() {
		if len(n.names) > 0 {
			r.expect(",")
			r.space()
		}
		if len(n.names) == maxNames {
			r.fail("more than %d names in an object", maxNames)
		}
		if r.peek() != '"' {
			r.fail("a name is missing")
		}
		name := r.string()
		for _, other := range n.names {
			if other == name {
				r.fail("%q stands there twice", name)
			}
		}
		r.space()
		r.expect(":")
		n.names, n.items = append(n.names, name), append(n.items, r.value(depth+1))
	}
	r.at++
	n.read = make([]bool, len(n.names))
	return n
}

func (r *reader) array(depth int) *node {
	n := &node{kind: '['}
	r.expect("[")
	for r.space(); r.peek() != ']'; r.space() {
		if len(n.items) > 0 {
			r.expect(",")
		}
		n.items = append(n.items, r.value(depth+1))
	}
	r.at++
	return n
}

func (r *reader) integer() *node {
	from := r.at
	if r.peek() == '-' {
		r.at++
	}
	digits := r.at
	for c := r.peek(); c >= '0' && c <= '9'; c = r.peek() {
		r.at++
	}
	text := r.text[from:r.at]
	v, err := strconv.ParseInt(text, 10, 64)
	if err != nil || v > maxInteger || v < -maxInteger || strconv.FormatInt(v, 10) != text || r.at == digits {
		r.fail("%.20q is no integer from -(2^53-1) to 2^53-1", text)
	}
	if c := r.peek(); c == '.' || c == 'e' || c == 'E' {
		r.fail("numbers are integers without an exponent")
	}
	return &node{kind: '0', number: v}
}

// string reads a string. A name or text has no unpaired surrogate and no raw control character.
func (r *reader) string() string {
	r.expect(`"`)
	var b strings.Builder
	for {
		c := r.peek()
		switch {
		case r.at == len(r.text) || c < 0x20:
			r.fail("a string does not end")
		case c == '"':
			r.at++
			return b.String()
		case c == '\\':
			b.WriteRune(r.escape())
		default:
			b.WriteByte(c)
			r.at++
		}
	}
}

func (r *reader) escape() rune {
	r.at++
	c := r.peek()
	r.at++
	if i := strings.IndexByte(`"\/bfnrt`, c); i >= 0 && c != 0 {
		return rune("\"\\/\b\f\n\r\t"[i])
	}
	if c != 'u' {
		r.at--
		r.fail("an unknown escape")
	}
	v := r.hex()
	if !utf16.IsSurrogate(v) {
		return v
	}
	if strings.HasPrefix(r.text[r.at:], `\u`) {
		r.at += 2
		if pair := utf16.DecodeRune(v, r.hex()); pair != utf8.RuneError {
			return pair
		}
	}
	r.fail("half of a surrogate pair")
	return 0
}

func (r *reader) hex() rune {
	if len(r.text)-r.at < 4 {
		r.fail("a string does not end")
	}
	v, err := strconv.ParseUint(r.text[r.at:r.at+4], 16, 16)
	if err != nil {
		r.fail("%q are not four hexadecimal digits", r.text[r.at:r.at+4])
	}
	r.at += 4
	return rune(v)
}

// The methods below take fields out of an object and panic with a syntaxError; a form is read inside form.

// form runs fn, which reads a file's fields, and returns why the file does not have its form.
func form(fn func()) (err error) {
	defer func() {
		if e := recover(); e != nil {
			s, ok := e.(syntaxError)
			if !ok {
				panic(e)
			}
			err = s
		}
	}()
	fn()
	return nil
}

func badForm(format string, args ...any) { panic(syntaxError{fmt.Sprintf(format, args...)}) }

// field is a member of an object; nil when it is absent.
func (n *node) field(name string) *node {
	if n.kind != '{' {
		badForm("an object is missing where %q should be", name)
	}
	for i, other := range n.names {
		if other == name {
			n.read[i] = true
			return n.items[i]
		}
	}
	return nil
}

// of is a member of the kind, which must be there.
func (n *node) of(name string, kind byte) *node {
	v := n.field(name)
	if v == nil || v.kind != kind {
		badForm("%q is missing or of another kind", name)
	}
	return v
}

// closed checks that no member is left that was not asked for.
func (n *node) closed() {
	for i, read := range n.read {
		if !read {
			badForm("%q is unknown", n.names[i])
		}
	}
}

func (n *node) string(name string) string { return n.of(name, '"').text }
func (n *node) object(name string) *node  { return n.of(name, '{') }
func (n *node) array(name string) []*node { return n.of(name, '[').items }
func (n *node) integer(name string) int64 { return n.of(name, '0').number }
func (n *node) has(name string) bool      { return n.field(name) != nil }
func (n *node) base64(name string) []byte { return decodeBase64(name, n.string(name)) }
func (n *node) count(name string) uint64  { return natural(name, n.integer(name)) }
func (n *node) optional(name string) int64 { // an integer that may be absent: then 0
	if !n.has(name) {
		return 0
	}
	return n.integer(name)
}

func natural(name string, v int64) uint64 {
	if v < 0 {
		badForm("%q is negative", name)
	}
	return uint64(v)
}

// decodeBase64 takes the one spelling of bytes: padded, without white space, with spare bits of zero.
func decodeBase64(name, text string) []byte {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") { // the decoder skips line ends
		badForm("%q is no base64 in its one form", name)
	}
	return b
}
