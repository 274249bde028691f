package rules

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// falsified are the ways in which the openings of a transaction can be wrong. other are those of another transaction
// with the same value, elsewhere those of one on another chain.
func falsified(right, other, elsewhere *ltlv1.Openings) map[string]*ltlv1.Openings {
	change := func(fn func(*ltlv1.Opening)) *ltlv1.Openings {
		o := proto.CloneOf(right)
		fn(o.Openings[0])
		return o
	}
	return map[string]*ltlv1.Openings{
		"none":                   nil,
		"an empty list":          {},
		"of another transaction": other,
		"of another chain":       elsewhere,
		"twice":                  {Openings: append(proto.CloneOf(right).GetOpenings(), right.GetOpenings()...)},
		"another value":          change(func(o *ltlv1.Opening) { o.Value = []byte("1235") }),
		"a longer value":         change(func(o *ltlv1.Opening) { o.Value = append(o.Value, 0) }),
		"no value":               change(func(o *ltlv1.Opening) { o.Value = nil }),
		"another salt":           change(func(o *ltlv1.Opening) { o.Salt[0] ^= 1 }),
		"a shorter salt":         change(func(o *ltlv1.Opening) { o.Salt = o.Salt[1:] }),
		"no salt":                change(func(o *ltlv1.Opening) { o.Salt = nil }),
		"salt moved into value": change(func(o *ltlv1.Opening) {
			o.Value, o.Salt = append(o.Salt[15:], o.Value...), o.Salt[:15]
		}),
		"another slot": change(func(o *ltlv1.Opening) { o.Slot = 1 }),
	}
}

// TestOpenings: a transaction whose openings are not exactly its values is refused before endorsers sign and before the
// leader orders, each alone and beside others; execution looks at no opening.
func TestOpenings(t *testing.T) {
	w := newWorld(t)
	salted := func(chain, salt string) (*ltlv1.Value, *ltlv1.Openings) {
		s := sha256.Sum256([]byte(salt))
		o := &ltlv1.Opening{Salt: s[:ledger.SaltLen], Value: []byte("1234")}
		c := ledger.Commitment(chain, SlotValue, o.GetSalt(), o.GetValue())
		return &ltlv1.Value{Commitment: c[:], Bytes: 4}, &ltlv1.Openings{Openings: []*ltlv1.Opening{o}}
	}
	value, right := salted(w.chain.ID, "a")
	_, other := salted(w.chain.ID, "b")
	_, elsewhere := salted("1000000000000001", "a")
	elsewhere.Openings[0].Salt = []byte("0123456789abcdef")
	tx := w.tx(m1UID, nil)
	tx.Action = &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: w.key(m1UID, "id"), Value: value}}
	if code, reason := CheckOpenings(tx, right); code != OK {
		t.Fatal(code, reason)
	}
	beside := w.tx(m1UID, set(w.key(m1UID, "beside"), "v"))
	payloads := [][]byte{marshal(t, beside), marshal(t, tx)}
	for what, openings := range falsified(right, other, elsewhere) {
		if code, reason := CheckOpenings(tx, openings); code != Malformed || reason == "" {
			t.Errorf("%s: %d %q", what, code, reason)
		}
		b := w.batch(w.chain.ID, payloads, "o1", "o2", "o3")
		b.Openings[1] = openings
		a, err := Admit(w.input(w.chain.ID, b), w.state, ledger.VerifyEndorsement)
		if err != nil || a.Codes[0] != OK || a.Codes[1] != Malformed || a.Reasons[1] == "" {
			t.Errorf("%s: the leader says %v %q, %v", what, a.Codes, a.Reasons, err)
		}
		if x := w.execute(w.chain.ID, b); x.Results[0][1].GetCode() != OK {
			t.Errorf("%s: execution says %d, which depends on openings then", what, x.Results[0][1].GetCode())
		}
	}
	for what, all := range map[string][]*ltlv1.Openings{"one of two": {right}, "three of two": {{}, right, right}} {
		b := w.batch(w.chain.ID, payloads, "o1", "o2", "o3")
		b.Openings = all
		if a, err := Admit(w.input(w.chain.ID, b), w.state, ledger.VerifyEndorsement); err != nil || a.Codes[1] != Malformed {
			t.Errorf("%s: %v, %v", what, a.Codes, err)
		}
	}
	again := w.batch(w.chain.ID, payloads, "o1", "o2", "o3")
	w.commit(w.chain.ID, w.execute(w.chain.ID, again))
	again.Openings = nil
	if a, err := Admit(w.input(w.chain.ID, again), w.state, ledger.VerifyEndorsement); err != nil || a.Codes[1] != OK {
		t.Errorf("a retry without its value of what was written: %v, %v", a.Codes, err)
	}
	if code, _ := CheckOpenings(w.tx(rootUID, member(freeUID)), right); code != Malformed {
		t.Errorf("an opening of a transaction that commits to nothing: %d", code)
	}
}

// TestValuesOfPayloads: a payload whose value has not its form is no transaction; a length that is stated wrong gets
// the code of the length, and the opening does not fit it.
func TestValuesOfPayloads(t *testing.T) {
	w := newWorld(t)
	for what, one := range map[string]struct {
		change func(*ltlv1.Value)
		code   int32
	}{
		"no commitment":      {func(v *ltlv1.Value) { v.Commitment = nil }, Malformed},
		"a short commitment": {func(v *ltlv1.Value) { v.Commitment = v.Commitment[1:] }, Malformed},
		"a length":           {func(v *ltlv1.Value) { v.Length = 1 }, Malformed},
		"no bytes":           {func(v *ltlv1.Value) { v.Bytes = 0 }, BadValue},
		"too many bytes":     {func(v *ltlv1.Value) { v.Bytes = MaxValue + 1 }, ValueTooLong},
		"fewer bytes":        {func(v *ltlv1.Value) { v.Bytes-- }, OK},
	} {
		tx := w.tx(m1UID, set(w.key(m1UID, "id"), "value"))
		openings := w.values.Openings(marshal(t, tx))[0]
		one.change(tx.GetSetData().GetValue())
		p := marshal(t, tx)
		x := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{p}, "o1", "o2", "o3"))
		if got := x.Results[0][0].GetCode(); got != one.code {
			t.Errorf("%s: %d, want %d", what, got, one.code)
		}
		if code, _ := CheckOpenings(tx, openings); code == OK && what != "a length" {
			t.Errorf("%s: the opening fits: %d", what, code)
		}
	}
	bad := w.tx(m1UID, set(w.key(m1UID, "id"), "\xff"))
	if code, _ := CheckOpenings(bad, w.values.Openings(marshal(t, bad))[0]); code != Malformed {
		t.Errorf("a value that is not UTF-8: %d", code)
	}
}

// TestPayloadTellsNoValue: nothing in the payload of a short value depends on the value but the commitment, and nothing
// in it opens the commitment.
func TestPayloadTellsNoValue(t *testing.T) {
	w := newWorld(t)
	const value = "4711"
	tx := w.tx(m1UID, attach(w.key(m1UID, "pin"), value, ""))
	payload := marshal(t, tx)
	commitment := tx.GetAttachData().GetValue().GetCommitment()
	salts := [][]byte{make([]byte, ledger.SaltLen)}
	for i := range len(payload) - ledger.SaltLen {
		salts = append(salts, payload[i:i+ledger.SaltLen])
	}
	id := ledger.TransactionID(payload)
	salts = append(salts, id[:16], id[16:])
	for _, salt := range salts {
		if c := ledger.Commitment(w.chain.ID, SlotValue, salt, []byte(value)); bytes.Equal(c[:], commitment) {
			t.Fatalf("the salt is %x, which follows from the payload", salt)
		}
	}
	digest := sha256.Sum256([]byte(value))
	for _, trace := range []string{value, string(digest[:]), fmt.Sprintf("%x", digest), fmt.Sprintf("%X", digest)} {
		if strings.Contains(string(payload), trace) {
			t.Errorf("the payload has %q", trace)
		}
	}
	other := proto.CloneOf(tx)
	other.GetAttachData().Value = offline.Text("0815")
	offline.Values{}.Commit(other)
	rest := func(p, c []byte) []byte { return bytes.Replace(p, c, nil, 1) }
	if !bytes.Equal(rest(payload, commitment), rest(marshal(t, other), other.GetAttachData().GetValue().GetCommitment())) {
		t.Error("payloads of two values of one length differ in more than the commitment")
	}
}
