package facade

import (
	"math"
	"strconv"
	"unicode/utf8"
)

// kind says which member of a value counts.
type kind uint8

const (
	// kindNone is no value: the member is left out.
	kindNone kind = iota
	kindString
	kindInt
	kindObject
	kindArray
	// kindTable is an array in JSON, and the JSON text of that array in XML.
	kindTable
)

// value is the Data of an answer, written as JSON or as XML without reflection.
type value struct {
	kind   kind
	text   string
	number int64
	fields []field
	items  []value
}

// field is one member of an object.
type field struct {
	name  string
	value value
}

func text(s string) value               { return value{kind: kindString, text: s} }
func integer(n int64) value             { return value{kind: kindInt, number: n} }
func object(fields ...field) value      { return value{kind: kindObject, fields: fields} }
func array(items []value) value         { return value{kind: kindArray, items: items} }
func table(items []value) value         { return value{kind: kindTable, items: items} }
func textField(name, s string) field    { return field{name, text(s)} }
func intField(name string, n int) field { return field{name, integer(int64(n))} }

// longField is a member that counts something; the API has signed numbers of 64 bits.
func longField(name string, n uint64) field {
	return field{name, integer(int64(min(n, math.MaxInt64)))}
}

// appendJSON writes v as JSON.
func (v *value) appendJSON(b []byte) []byte {
	switch v.kind {
	case kindString:
		return appendJSONString(b, v.text)
	case kindInt:
		return strconv.AppendInt(b, v.number, 10)
	case kindObject:
		b = append(b, '{')
		for i := range v.fields {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSONString(b, v.fields[i].name)
			b = append(b, ':')
			b = v.fields[i].value.appendJSON(b)
		}
		return append(b, '}')
	case kindArray, kindTable:
		b = append(b, '[')
		for i := range v.items {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.items[i].appendJSON(b)
		}
		return append(b, ']')
	}
	return append(b, "null"...)
}

const hexLower = "0123456789abcdef"

// appendJSONString writes a JSON string in raw UTF-8: only what JSON demands is escaped, since one of the official clients does
// not undo more. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(b, s[start:i]...)
				b = utf8.AppendRune(b, utf8.RuneError)
				start = i + 1
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		b = appendJSONEscape(b, c)
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}

// appendJSONEscape writes a control character, quote or backslash.
func appendJSONEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	}
	return append(b, '\\', 'u', '0', '0', hexLower[c>>4], hexLower[c&15])
}

// appendXML writes v as the element name; an array is the element repeated, so an empty one is nothing.
func (v *value) appendXML(b []byte, name string) []byte {
	if v.kind == kindArray {
		for i := range v.items {
			b = v.items[i].appendXML(b, name)
		}
		return b
	}
	if v.kind == kindNone {
		return b
	}
	b = append(b, '<')
	b = append(b, name...)
	b = append(b, '>')
	switch v.kind {
	case kindString:
		b = appendXMLText(b, v.text)
	case kindInt:
		b = strconv.AppendInt(b, v.number, 10)
	case kindObject:
		for i := range v.fields {
			b = v.fields[i].value.appendXML(b, v.fields[i].name)
		}
	case kindTable:
		b = appendXMLText(b, string(v.appendJSON(nil)))
	}
	b = append(b, '<', '/')
	b = append(b, name...)
	return append(b, '>')
}

// appendXMLText writes character data. What XML 1.0 cannot carry at all becomes U+FFFD; a carriage return is written as a
// reference, because a reader would otherwise turn it into a line feed.
func appendXMLText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '\r':
			b = append(b, "&#xD;"...)
		case r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF, r == utf8.RuneError:
			b = utf8.AppendRune(b, utf8.RuneError)
		default:
			b = append(b, s[i:i+n]...)
		}
		i += n
	}
	return b
}
