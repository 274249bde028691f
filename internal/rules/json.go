package rules

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxJSONDepth bounds the nesting of a value that is skipped.
const maxJSONDepth = 32

// jsonReader reads JSON (RFC 8259) from s, strictly: text that is not UTF-8, a control character in a string and half
// of a surrogate pair are refused.
type jsonReader struct {
	s  string
	at int
}

// jsonMember is a known member of an object: a string, or a value that read reads.
type jsonMember struct {
	name string
	text *string
	read func() error
	seen bool
}

func (r *jsonReader) fault(what string) error {
	return fmt.Errorf("%w: at byte %d: %s", ErrPhaseList, r.at, what)
}

func (r *jsonReader) space() {
	for r.at < len(r.s) && strings.IndexByte(" \t\r\n", r.s[r.at]) >= 0 {
		r.at++
	}
}

// peek returns the next byte; 0 at the end, which is not valid anywhere in JSON.
func (r *jsonReader) peek() byte {
	if r.at < len(r.s) {
		return r.s[r.at]
	}
	return 0
}

// expect reads c, with the space before and after it.
func (r *jsonReader) expect(c byte) error {
	r.space()
	if r.peek() != c {
		return r.fault(fmt.Sprintf("%q should stand here", c))
	}
	r.at++
	r.space()
	return nil
}

// literal reads a word if it comes next.
func (r *jsonReader) literal(word string) bool {
	if !strings.HasPrefix(r.s[r.at:], word) {
		return false
	}
	r.at += len(word)
	return true
}

// series reads the elements of an array or an object, from its opening bracket to the closing one.
func (r *jsonReader) series(closing byte, element func() error) error {
	r.at++
	r.space()
	if r.peek() == closing {
		r.at++
		return nil
	}
	for {
		if err := element(); err != nil {
			return err
		}
		switch r.space(); r.peek() {
		case closing:
			r.at++
			return nil
		case ',':
			r.at++
			r.space()
		default:
			return r.fault(fmt.Sprintf("a comma or %q should stand here", closing))
		}
	}
}

// object reads an object. Members that are not listed are skipped.
func (r *jsonReader) object(members []jsonMember) error {
	if r.space(); r.peek() != '{' {
		return r.fault("an object should stand here")
	}
	return r.series('}', func() error {
		name, err := r.text()
		if err != nil {
			return err
		}
		if err := r.expect(':'); err != nil {
			return err
		}
		for i := range members {
			if members[i].name == name {
				return r.member(&members[i])
			}
		}
		return r.skip(0)
	})
}

func (r *jsonReader) member(m *jsonMember) (err error) {
	if m.seen {
		return r.fault(fmt.Sprintf("%q stands twice in one object", m.name))
	}
	m.seen = true
	switch {
	case r.literal("null"):
	case m.read != nil:
		err = m.read()
	default:
		*m.text, err = r.text()
	}
	return err
}

// text reads a string.
func (r *jsonReader) text() (string, error) {
	if r.peek() != '"' {
		return "", r.fault("a string should stand here")
	}
	r.at++
	start := r.at
	var b []byte // what came before start, when there were escapes
	for {
		c := r.peek()
		switch {
		case c == '"':
			s := r.s[start:r.at]
			r.at++
			if b == nil {
				return s, nil
			}
			return string(append(b, s...)), nil
		case c < ' ':
			return "", r.fault("the string must end before this, and a control character in it must be written as \\u and four digits")
		case c == '\\':
			b = append(b, r.s[start:r.at]...)
			v, err := r.escape()
			if err != nil {
				return "", err
			}
			b, start = utf8.AppendRune(b, v), r.at
		case c < utf8.RuneSelf:
			r.at++
		default:
			v, n := utf8.DecodeRuneInString(r.s[r.at:])
			if v == utf8.RuneError && n == 1 {
				return "", r.fault("this is no UTF-8")
			}
			r.at += n
		}
	}
}

// escape reads an escape sequence.
func (r *jsonReader) escape() (rune, error) {
	if r.at++; r.peek() != 'u' {
		at := strings.IndexByte(`"\/bfnrt`, r.peek())
		if at < 0 {
			return 0, r.fault("there is no such escape in JSON")
		}
		r.at++
		return rune("\"\\/\b\f\n\r\t"[at]), nil
	}
	v, err := r.unit()
	if err != nil || v < 0xd800 || v > 0xdfff {
		return v, err
	}
	if v > 0xdbff || !r.literal("\\") || r.peek() != 'u' {
		return 0, r.fault("half of a surrogate pair stands here alone")
	}
	low, err := r.unit()
	if err == nil && (low < 0xdc00 || low > 0xdfff) {
		err = r.fault("half of a surrogate pair stands here alone")
	}
	return 0x10000 + (v-0xd800)<<10 + (low - 0xdc00), err
}

// unit reads u and four hexadecimal digits.
func (r *jsonReader) unit() (rune, error) {
	if r.at+5 > len(r.s) {
		return 0, r.fault("four hexadecimal digits should follow")
	}
	digits := r.s[r.at+1 : r.at+5]
	v, err := strconv.ParseUint(digits, 16, 16)
	if err != nil {
		return 0, r.fault("four hexadecimal digits should follow")
	}
	r.at += 5
	return rune(v), nil
}

// skip skips any value.
func (r *jsonReader) skip(depth int) error {
	if depth > maxJSONDepth {
		return r.fault(fmt.Sprintf("values are nested more than %d deep", maxJSONDepth))
	}
	switch c := r.peek(); {
	case c == '"':
		_, err := r.text()
		return err
	case c == '[':
		return r.series(']', func() error { return r.skip(depth + 1) })
	case c == '{':
		return r.series('}', func() error {
			if _, err := r.text(); err != nil {
				return err
			}
			if err := r.expect(':'); err != nil {
				return err
			}
			return r.skip(depth + 1)
		})
	case c == '-' || '0' <= c && c <= '9':
		return r.skipNumber()
	case r.literal("true"), r.literal("false"), r.literal("null"):
		return nil
	}
	return r.fault("a value should stand here")
}

func (r *jsonReader) skipNumber() error {
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else if r.digits() == 0 {
		return r.fault("a digit should stand here")
	}
	if r.peek() == '.' {
		if r.at++; r.digits() == 0 {
			return r.fault("a digit should stand here")
		}
	}
	if r.peek()|0x20 == 'e' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		if r.digits() == 0 {
			return r.fault("a digit should stand here")
		}
	}
	return nil
}

// digits skips digits and counts them.
func (r *jsonReader) digits() int {
	start := r.at
	for c := r.peek(); '0' <= c && c <= '9'; c = r.peek() {
		r.at++
	}
	return r.at - start
}
