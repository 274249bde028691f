package proof

import (
	"errors"
	"unicode/utf8"
)

// errPayload is returned for bytes that are not a canonical encoding, as docs/bytes.md asks for.
var errPayload = errors.New("the payload is not in canonical form")

// message is a decoded protobuf message: its fields in their order. A field of bytes has data, a number has value.
type message []wireField

type wireField struct {
	number int
	data   []byte // nil for a number
	value  uint64
}

// parseMessage reads the fields of a message. Numbers ascend, and only those in repeated stand more than once;
// varints have no needless bytes. Whether a default value stands where none may is for the caller to judge.
func parseMessage(b []byte, repeated ...int) (message, error) {
	var m message
	last := 0
	for len(b) > 0 {
		tag, rest, ok := varint(b)
		number := int(tag >> 3)
		if !ok || tag>>3 == 0 || tag>>3 > 1<<20 || number < last || number == last && !contains(repeated, number) {
			return nil, errPayload
		}
		last, b = number, rest
		switch tag & 7 {
		case 0:
			v, rest, ok := varint(b)
			if !ok {
				return nil, errPayload
			}
			m, b = append(m, wireField{number: number, value: v}), rest
		case 2:
			n, rest, ok := varint(b)
			if !ok || n > uint64(len(rest)) {
				return nil, errPayload
			}
			m, b = append(m, wireField{number: number, data: rest[:n:n]}), rest[n:]
			if m[len(m)-1].data == nil {
				m[len(m)-1].data = []byte{}
			}
		default:
			return nil, errPayload
		}
	}
	return m, nil
}

func contains(numbers []int, n int) bool {
	for _, other := range numbers {
		if other == n {
			return true
		}
	}
	return false
}

// varint reads a number of at most 64 bits in its shortest form.
func varint(b []byte) (v uint64, rest []byte, ok bool) {
	for i := range min(len(b), 10) {
		c := b[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c&0x80 != 0 {
			continue
		}
		if i > 0 && c == 0 || i == 9 && c > 1 {
			return 0, nil, false
		}
		return v, b[i+1:], true
	}
	return 0, nil, false
}

// fields takes fields out of a message. The first wrong one sets bad.
type fields struct {
	message
	used int
	bad  bool
}

// bytes is the field of a number, nil when it is absent. Empty bytes are a default that is not written.
func (f *fields) bytes(number int) []byte {
	for _, x := range f.message {
		if x.number == number {
			f.used++
			f.bad = f.bad || len(x.data) == 0
			return x.data
		}
	}
	return nil
}

func (f *fields) text(number int) string {
	b := f.bytes(number)
	f.bad = f.bad || !utf8.Valid(b)
	return string(b)
}

func (f *fields) number(number int) uint64 {
	for _, x := range f.message {
		if x.number == number {
			f.used++
			f.bad = f.bad || x.data != nil || x.value == 0
			return x.value
		}
	}
	return 0
}

// messages are the encoded messages of a field, which may be empty ones.
func (f *fields) messages(number int) (all [][]byte) {
	for _, x := range f.message {
		if x.number == number {
			f.used++
			f.bad = f.bad || x.data == nil
			all = append(all, x.data)
		}
	}
	return all
}

// done reports whether every field was asked for and right.
func (f *fields) done() bool { return !f.bad && f.used == len(f.message) }
