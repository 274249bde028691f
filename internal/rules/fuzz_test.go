package rules

import (
	"bytes"
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// FuzzDecode: the fast decoder, where it speaks, says what the library says, and nothing makes Check or the rules fail.
func FuzzDecode(f *testing.F) {
	w := newWorld(f)
	tx := w.tx(m1UID, attach(w.key(m1UID, "k"), "值", business))
	signed(tx, "n")
	record := marshal(f, tx)
	twoActions := append(append([]byte(nil), record...), 0xa2, 0x01, 0x02, 0x0a, 0x00)
	f.Add(record)
	f.Add(twoActions)
	f.Add(marshal(f, w.tx(m1UID, set(w.key(m1UID, "k"), "v"))))
	f.Add(marshal(f, w.tx(rootUID, member(freeUID))))
	byDevice := set(w.key(m1UID, "k"), "v")
	byDevice.SetData.Device = eccDevice(f, iotID).proof(f, "v")
	f.Add(marshal(f, w.tx(m1UID, byDevice)))
	signedAttach := attach(w.key(m1UID, "k"), "v", "")
	signedAttach.AttachData.Device = byDevice.SetData.Device
	f.Add(marshal(f, w.tx(m1UID, signedAttach)))
	f.Add(genesisPayload(f))
	f.Add(successor(f, func(*ltlv1.Genesis) {}))
	for _, action := range []any{w.joins("o4"), removeOrg("o3"), w.repolicy("any"),
		changeNode("n1", ltlv1.NodeMembership_NODE_MEMBERSHIP_REMOVED)} {
		f.Add(marshal(f, w.proposal("o2", action)))
	}
	f.Add(marshal(f, w.approval("o2", make([]byte, 32))))
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
			same = marshalErr == nil && bytes.Equal(again, b) && m.GetOpenings() == nil
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
		for _, chain := range []string{w.chain.ID, ledger.SystemChain} {
			codes, err := previewCodes(w.input(chain), w.now, [][]byte{b}, w.state)
			if err != nil || (err2 != nil && codes[0] != Malformed) {
				t.Fatal(codes, err)
			}
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
	w.alone(w.approval("o2", w.proposed("o2", w.joins("o4"))))
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
		var check stateCheck = func(kind string, encode func() []byte, err error) {
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
		checkObjects(b, check)
		checkFacts(b, check)
	})
}

// stateCheck fails the test when bytes that a parser took are not what their encoder gives.
type stateCheck func(kind string, encode func() []byte, err error)

// checkObjects parses bytes as each object that has an id of its own.
func checkObjects(b []byte, check stateCheck) {
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
	g, err := parseDeviceGroup(b)
	check("device group", g.encode, err)
	d, err := parseDevice(b)
	check("device", d.encode, err)
	pg, err := parsePhaseGroup(b)
	check("phase group", pg.encode, err)
	ph, err := parsePhase(b)
	check("phase", ph.encode, err)
	p, err := parseProposal(b)
	check("proposal", p.encode, err)
	k, err := parseAccessKey(b)
	check("access key", k.encode, err)
	pr, err := parseProduct(b)
	check("product", pr.encode, err)
	en, err := parseEnrolment(b)
	check("enrolment", en.encode, err)
}

// checkFacts parses bytes as each value that says something about an object.
func checkFacts(b []byte, check stateCheck) {
	u, err := parseUsage(b)
	check("usage", func() []byte { return u.append(nil) }, err)
	if e, err := parseEntry(b); e != nil || err != nil {
		check("entry", e.encode, err)
	} else {
		check("entry of a former member", func() []byte { return []byte(former) }, nil)
	}
	if g, err := parseGroupEntry(b); g != nil || err != nil {
		check("entry of a device group", g.encode, err)
	} else {
		check("entry of a former device group", func() []byte { return []byte(former) }, nil)
	}
	open, err := parseOpenProposals(b)
	check("open proposals", func() []byte { return encodeOpenProposals(*open) }, err)
	l, err := ParseLocator(b)
	check("locator", func() []byte { return l.Append(nil) }, err)
	t, err := parsePhaseTotals(b)
	check("totals of a phase", t.encode, err)
	pm, err := parsePermission(b)
	check("permission", pm.encode, err)
	list, err := parseIDs(b)
	check("ids", list.encode, err)
	owner, err := parseAuthorityKey(b)
	check("authority key", func() []byte { return encodeAuthorityKey(*owner) }, err)
	nf, err := parseNodeFacts(b)
	check("node facts", nf.encode, err)
	cr, err := parseCredentials(b)
	check("credentials", cr.encode, err)
	fk, err := parseFormerKey(b)
	check("former key", fk.encode, err)
	rv, err := parseRevocation(b)
	check("revocation", rv.encode, err)
	of, err := parseOrganisationFacts(b)
	check("facts of an organisation", of.encode, err)
	rs, err := parseRestorations(b)
	check("restorations", func() []byte { return encodeRestorations(*rs) }, err)
	n, err := parseEntered(b)
	check("entries", n.encode, err)
}
