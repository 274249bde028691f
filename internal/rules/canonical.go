package rules

import (
	"math"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// canonical reports whether b is the one encoding that a message has: only fields of its definition, ascending, each
// once, one of a oneof, numbers as short as they can be and within their type, no field that is at its default, lists
// of numbers packed. Only a list repeats a field. It holds for every message inside too. It depends on the definitions
// and not on what a release of the protobuf library writes, since nodes with different ones must agree.
func canonical(b []byte, d protoreflect.MessageDescriptor) bool {
	var last protowire.Number
	var chosen protoreflect.OneofDescriptor
	for len(b) > 0 {
		tag, n := shortVarint(b)
		if n == 0 || tag>>3 > math.MaxInt32 {
			return false
		}
		number := protowire.Number(tag >> 3)
		f := d.Fields().ByNumber(number)
		if f == nil || f.IsMap() || number < last || number == last && (!f.IsList() || f.IsPacked()) {
			return false
		}
		if o := f.ContainingOneof(); o != nil && !o.IsSynthetic() {
			if chosen == o {
				return false
			}
			chosen = o
		}
		last = number
		if n = canonicalField(b, n, protowire.Type(tag&7), f); n == 0 {
			return false
		}
		b = b[n:]
	}
	return true
}

// canonicalField returns where the field that starts at b, with a tag of n bytes, ends; 0 when it is not canonical.
func canonicalField(b []byte, n int, typ protowire.Type, f protoreflect.FieldDescriptor) int {
	mayBeEmpty := f.HasPresence() || f.IsList()
	if typ == protowire.VarintType {
		v, used := shortVarint(b[n:])
		if used == 0 || f.IsPacked() || v == 0 && !mayBeEmpty || !fits(v, f.Kind()) {
			return 0
		}
		return n + used
	}
	size, used := shortVarint(b[n:])
	if typ != protowire.BytesType || used == 0 || size > uint64(len(b)-n-used) {
		return 0
	}
	end := n + used + int(size)
	content := b[n+used : end]
	ok := false
	switch {
	case f.IsPacked():
		ok = canonicalPacked(content, f.Kind())
	case f.Kind() == protoreflect.StringKind:
		ok = (size > 0 || mayBeEmpty) && utf8.Valid(content)
	case f.Kind() == protoreflect.BytesKind:
		ok = size > 0 || mayBeEmpty
	case f.Kind() == protoreflect.MessageKind:
		ok = canonical(content, f.Message())
	}
	if !ok {
		return 0
	}
	return end
}

// canonicalPacked reports whether b is a list of at least one number.
func canonicalPacked(b []byte, kind protoreflect.Kind) bool {
	if len(b) == 0 {
		return false
	}
	for len(b) > 0 {
		v, n := shortVarint(b)
		if n == 0 || !fits(v, kind) {
			return false
		}
		b = b[n:]
	}
	return true
}

// fits reports whether a varint is a value of the kind, in the form that the kind has. Kinds of fixed size, of which
// transactions have none, do not fit.
func fits(v uint64, kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.BoolKind:
		return v <= 1
	case protoreflect.EnumKind, protoreflect.Int32Kind:
		return int64(int32(v)) == int64(v)
	case protoreflect.Uint32Kind, protoreflect.Sint32Kind:
		return v <= math.MaxUint32
	case protoreflect.Int64Kind, protoreflect.Uint64Kind, protoreflect.Sint64Kind:
		return true
	}
	return false
}

// shortVarint reads a varint that is as short as it can be; n is 0 when there is none.
func shortVarint(b []byte) (v uint64, n int) {
	v, n = protowire.ConsumeVarint(b)
	if n < 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}
