package rules

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	ltlv1 "ltl/proto/ltl/v1"
)

// FuzzDecode: the fast decoder, where it speaks, says what the library says, and nothing makes Check or the rules fail.
func FuzzDecode(f *testing.F) {
	w := newWorld(f)
	tx := w.tx(m1UID, attach(w.key(m1UID, "k"), "值", business))
	tx.AccessKeyId, tx.SignatureNonce = "ak", "n"
	record := marshal(f, tx)
	twoActions := append(append([]byte(nil), record...), 0xa2, 0x01, 0x02, 0x0a, 0x00)
	f.Add(record)
	f.Add(twoActions)
	f.Add(marshal(f, w.tx(m1UID, set(w.key(m1UID, "k"), "v"))))
	f.Add(marshal(f, w.tx(rootUID, member(freeUID))))
	signed := set(w.key(m1UID, "k"), "v")
	signed.SetData.Device = eccDevice(f, iotID).proof(f, "v")
	f.Add(marshal(f, w.tx(m1UID, signed)))
	signedAttach := attach(w.key(m1UID, "k"), "v", "")
	signedAttach.AttachData.Device = signed.SetData.Device
	f.Add(marshal(f, w.tx(m1UID, signedAttach)))
	f.Add(genesisPayload(f))
	merged := marshal(f, w.tx(m1UID, set("k", "")))
	f.Add(append(merged, 0xa2, 0x01, 0x03, 0x12, 0x01, 'v')) // a second SetData is merged into the first
	f.Add(append(bytes.Clone(record), 0x28, 0x01))           // nonce as a number
	f.Add([]byte{0x80})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		slow, err := decodeAny(b)
		if err != nil && !errors.Is(err, ErrMalformed) {
			t.Fatal(err)
		}
		// What decodes is what the library encodes to the same bytes: neither more nor less.
		m := &ltlv1.Transaction{}
		same := false
		if (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m) == nil {
			again, marshalErr := proto.MarshalOptions{Deterministic: true}.Marshal(m)
			same = marshalErr == nil && bytes.Equal(again, b)
		}
		if same != (err == nil) {
			t.Fatalf("encoded again to the same bytes: %v; decoded: %v", same, err)
		}
		if fast := decodeRecord(b); fast != nil && (err != nil || !proto.Equal(fast, slow)) {
			t.Fatalf("fast %v\nlibrary %v, %v", fast, slow, err)
		}
		got, err2 := Decode(b)
		if (err2 == nil) != (err == nil && len(b) <= MaxTransaction) {
			t.Fatalf("Decode %v, library %v", err2, err)
		}
		if err2 == nil {
			if !proto.Equal(got, slow) {
				t.Fatalf("Decode %v\nlibrary %v", got, slow)
			}
			if c := Check(got); Message(c) == Message(0) {
				t.Fatalf("Check gives %d", c)
			}
		}
		codes, err := previewCodes(w.input(w.chain.ID), [][]byte{b}, w.state)
		if err != nil || (err2 != nil && codes[0] != Malformed) {
			t.Fatal(codes, err)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the payload was changed")
		}
	})
}

// FuzzState: what a state parser takes, its encoder gives back byte for byte; nothing else is taken.
func FuzzState(f *testing.F) {
	d := eccDevice(f, iotID)
	w, _ := deviceWorld(f, d)
	w.must(w.signed(m1UID, "a", "v", d.proof(f, "v")), w.tx(rootUID, w.modify(w.member(m1UID).ID, freeUID)))
	for _, chain := range w.state {
		for k, v := range chain {
			if k[0] >= 'a' {
				f.Add(v)
			}
		}
	}
	f.Add([]byte{stateVersion, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		check := func(kind string, encode func() []byte, err error) {
			if err != nil {
				if !errors.Is(err, ErrState) {
					t.Fatalf("%s: %v", kind, err)
				}
				return
			}
			if !bytes.Equal(encode(), b) {
				t.Fatalf("%s: %x became %x", kind, b, encode())
			}
		}
		n, err := parseNetwork(b)
		check("network", n.encode, err)
		o, err := parseOrganisation(b)
		check("organisation", o.encode, err)
		nd, err := parseNode(b)
		check("node", nd.encode, err)
		a, err := parseAccount(b)
		check("account", a.encode, err)
		c, err := parseChain(b)
		check("chain", c.encode, err)
		m, err := parseMember(b)
		check("member", m.encode, err)
		u, err := parseUsage(b)
		check("usage", func() []byte { return u.append(nil) }, err)
		if e, err := parseEntry(b); e != nil || err != nil {
			check("entry", e.encode, err)
		} else if string(b) != former {
			t.Fatalf("%x is taken for a former member", b)
		}
		g, err := parseDeviceGroup(b)
		check("device group", g.encode, err)
		d, err := parseDevice(b)
		check("device", d.encode, err)
		en, err := parseEnrolment(b)
		check("enrolment", en.encode, err)
		l, err := ParseLocator(b)
		check("locator", func() []byte { return l.Append(nil) }, err)
	})
}
