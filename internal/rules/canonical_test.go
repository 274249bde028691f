package rules

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	ltlv1 "ltl/proto/ltl/v1"
)

// TestOnlyOneEncodingDecodes: other encodings of the same transaction, which a protobuf library would take, are
// refused, at the top and inside.
func TestOnlyOneEncodingDecodes(t *testing.T) {
	w := newWorld(t)
	record := marshal(t, w.tx(m1UID, set(w.key(m1UID, "k"), "v")))
	nested := marshal(t, w.tx(m1UID, &ltlv1.Transaction_CreateMember{CreateMember: &ltlv1.CreateMember{
		MemberUid: freeUID, Name: "n", Contact: "c", Phone: "p"}}))
	inner := func(b []byte) []byte { // a transaction whose SetData has these bytes
		out := marshal(t, w.tx(m1UID, nil))
		return protowire.AppendBytes(protowire.AppendTag(out, fieldSetData, protowire.BytesType), b)
	}
	text := func(field protowire.Number, s string) []byte {
		return protowire.AppendString(protowire.AppendTag(nil, field, protowire.BytesType), s)
	}
	value := func(b []byte) []byte { // a transaction whose value has these bytes
		return inner(protowire.AppendBytes(protowire.AppendTag(nil, fieldValue, protowire.BytesType), b))
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for what, good := range map[string][]byte{
		"a record": record, "a member": nested, "nothing": inner(nil),
		"key and value": inner(join(text(1, "k"), text(2, string(text(1, "c"))))), "an empty value": value(nil),
		"length of a value": value([]byte{0x10, 1, 0x18, 1}),
	} {
		if _, err := Decode(good); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	for what, bad := range map[string][]byte{
		"a second SetData":         join(record, []byte{0xa2, 0x01, 0x02, 0x12, 0x00}),
		"two actions":              join(record, []byte{0xaa, 0x01, 0x00}),
		"a field behind":           join(record, text(2, "x")),
		"an unknown field":         join(record, []byte{0xf8, 0x7f, 1}),
		"a long version":           join([]byte{0x08, 0x81, 0x00}, record[2:]),
		"a long tag":               join([]byte{0x88, 0x00, 0x01}, record[2:]),
		"a version twice":          join([]byte{0x08, 0x01}, record),
		"a version of 33 bits":     join([]byte{0x08, 0x81, 0x80, 0x80, 0x80, 0x10}, record[2:]),
		"an empty chain id":        join([]byte{0x08, 0x01, 0x12, 0x00}, inner(text(1, "k"))[2:]),
		"a key twice":              inner(join(text(1, "k"), text(1, "k"))),
		"value before key":         inner(join(text(2, ""), text(1, "k"))),
		"an empty commitment":      value(text(1, "")),
		"a length of 0":            value([]byte{0x10, 0}),
		"a length of 33 bits":      value([]byte{0x10, 0x81, 0x80, 0x80, 0x80, 0x10}),
		"a long length of a value": value([]byte{0x10, 0x81, 0}),
		"a text in a value":        value(text(2, "v")),
		"a field of an opening":    value(text(4, "v")),
		"a long length":            inner([]byte{0x0a, 0x81, 0x00, 'k'}),
		"bad UTF-8":                inner(text(1, "\xff")),
		"an unknown field inside":  inner(join(text(1, "k"), []byte{0x98, 0x06, 1})),
		"a group":                  inner([]byte{0x0b, 0x0c}),
	} {
		if tx, err := Decode(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, %v", what, tx, err)
		}
	}
}
