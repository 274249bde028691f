package ledger

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"

	ltlv1 "ltl/proto/ltl/v1"
)

func drawChainID(t *rapid.T) string { return rapid.StringMatching(`[0-9]{16}`).Draw(t, "chain id") }

func drawHeader(t *rapid.T) Header {
	return Header{
		NetworkID: drawHash(t), ChainID: drawChainID(t), Height: rapid.Uint64().Draw(t, "height"),
		TimeMs: rapid.Int64Range(0, math.MaxInt64).Draw(t, "time"), Previous: drawHash(t), Count: rapid.Uint32().Draw(t,
			"count"),
		TxRoot: drawHash(t), BatchesHash: drawHash(t), WritesHash: drawHash(t), SystemHeight: rapid.Uint64().Draw(t,
			"system height"),
		Sequence: rapid.Uint64().Draw(t, "sequence"), ReferenceMs: rapid.Int64Range(0, math.MaxInt64).Draw(t, "reference"),
	}
}

func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHeader(t)
		b := h.Encode()
		if len(b) != HeaderLen {
			t.Fatalf("%d bytes, want %d", len(b), HeaderLen)
		}
		got, err := ParseHeader(b)
		if err != nil || got != h {
			t.Fatalf("%+v became %+v, %v", h, got, err)
		}
		// Every bit counts: a changed header is refused or another header, and its hash is another.
		bit := rapid.IntRange(0, HeaderLen*8-1).Draw(t, "bit")
		changed := bytes.Clone(b)
		changed[bit/8] ^= 1 << (bit % 8)
		if other, err := ParseHeader(changed); err == nil && other == h || BlockHash(changed) == BlockHash(b) {
			t.Fatalf("bit %d does not count", bit)
		}
	})
}

func TestHeaderRefused(t *testing.T) {
	good := (&Header{ChainID: SystemChain, TimeMs: 1}).Encode()
	for n := range 2 * HeaderLen {
		if _, err := ParseHeader(make([]byte, n)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%d zero bytes: %v", n, err)
		}
	}
	for name, change := range map[string]func(b []byte) []byte{
		"cut":        func(b []byte) []byte { return b[:len(b)-1] },
		"longer":     func(b []byte) []byte { return append(b, 0) },
		"version 0":  func(b []byte) []byte { b[0] = 0; return b },
		"version 1":  func(b []byte) []byte { b[0] = 1; return b },
		"chain id":   func(b []byte) []byte { b[33] = 'x'; return b },
		"version 3":  func(b []byte) []byte { b[0] = 3; return b },
		"time below": func(b []byte) []byte { b[57] = 0x80; return b },
		"reference":  func(b []byte) []byte { b[213] = 0x80; return b },
	} {
		if _, err := ParseHeader(change(bytes.Clone(good))); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add((&Header{ChainID: SystemChain}).Encode())
	f.Add((&Header{ChainID: "1234567890123456", Height: math.MaxUint64, TimeMs: math.MaxInt64,
		Count: math.MaxUint32}).Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHeader(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		if !bytes.Equal(h.Encode(), b) {
			t.Fatalf("%x is a second encoding of %+v", b, h)
		}
	})
}

func drawStatement(t *rapid.T) *Statement {
	return &Statement{
		NetworkID: drawHash(t), TreeRoot: drawHash(t), Leaves: rapid.Uint32Range(1, MaxStatementLeaves).Draw(t, "leaves"),
		SystemHeight: rapid.Uint64().Draw(t, "system height"),
		ClockMs:      rapid.Int64Range(0, math.MaxInt64).Draw(t, "clock"),
		KeyID:        [8]byte(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "key id")),
		Organisation: rapid.StringMatching(`[a-z0-9-]{1,32}`).Draw(t, "organisation"),
	}
}

func TestStatementRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawStatement(t)
		b := s.Encode()
		got, err := ParseStatement(b)
		if err != nil || *got != *s {
			t.Fatalf("%+v became %+v, %v", s, got, err)
		}
		bit := rapid.IntRange(0, len(b)*8-1).Draw(t, "bit")
		changed := bytes.Clone(b)
		changed[bit/8] ^= 1 << (bit % 8)
		if other, err := ParseStatement(changed); err == nil && *other == *s {
			t.Fatalf("bit %d does not count", bit)
		}
	})
}

func TestBitmapSaysWhatWasAccepted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		verdicts := rapid.SliceOfN(rapid.Bool(), 1, 70).Draw(t, "verdicts")
		s := Endorsement{Count: uint32(len(verdicts)), Accepted: Bitmap(verdicts)}
		if len(s.Accepted) != (len(verdicts)+7)/8 {
			t.Fatalf("%d bytes for %d verdicts", len(s.Accepted), len(verdicts))
		}
		for i, want := range verdicts {
			if s.Accepts(i) != want {
				t.Fatalf("Accepts(%d) = %v", i, !want)
			}
		}
		for _, i := range []int{-1, math.MinInt, len(verdicts), len(verdicts) + 8, math.MaxInt} {
			if s.Accepts(i) {
				t.Fatalf("Accepts(%d) of %d", i, len(verdicts))
			}
		}
	})
	if got := Bitmap([]bool{true, false, false, false, false, false, false, false, false, true}); !bytes.Equal(got,
		[]byte{0x80, 0x40}) {
		t.Errorf("Bitmap = %x, want 8040", got)
	}
}

func goodStatement() *Statement {
	return &Statement{Leaves: 1, ClockMs: 1, Organisation: "org1"}
}

func TestStatementRefused(t *testing.T) {
	good := goodStatement().Encode()
	if _, err := ParseStatement(good); err != nil {
		t.Fatal(err)
	}
	for n := range len(good) {
		if _, err := ParseStatement(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := ParseStatement(append(bytes.Clone(good), 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("one byte longer: %v", err)
	}
	for name, change := range map[string]func(s *Statement){
		"no leaves":         func(s *Statement) { s.Leaves = 0 },
		"too many leaves":   func(s *Statement) { s.Leaves = MaxStatementLeaves + 1 },
		"huge leaves":       func(s *Statement) { s.Leaves = math.MaxUint32 },
		"no organisation":   func(s *Statement) { s.Organisation = "" },
		"long organisation": func(s *Statement) { s.Organisation = string(make([]byte, MaxOrganisationID+1)) },
		"clock":             func(s *Statement) { s.ClockMs = -1 },
	} {
		s := goodStatement()
		change(s)
		if _, err := ParseStatement(s.Encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", name, err)
		}
	}
	for _, version := range []byte{0, 1, 3, 255} {
		b := bytes.Clone(good)
		b[0] = version
		if _, err := ParseStatement(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	f.Add(goodStatement().Encode())
	f.Add((&Statement{Leaves: MaxStatementLeaves, Organisation: "an-organisation-with-a-long-name"}).Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseStatement(b)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("%v is not ErrMalformed", err)
			}
			return
		}
		if !bytes.Equal(s.Encode(), b) {
			t.Fatalf("%x is a second encoding of %+v", b, s)
		}
	})
}

func TestEndorsementSignature(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	e := goodEndorsement(0).Sign(key)
	if err := VerifyEndorsement(public, e); err != nil {
		t.Fatal(err)
	}
	want := &Statement{TreeRoot: goodEndorsement(0).LeafHash(), Leaves: 1, ClockMs: 1, Organisation: "org1"}
	if !bytes.Equal(e.GetStatement(), want.Encode()) {
		t.Error("signed another statement")
	}
	refused := func(name string, key ed25519.PublicKey, e *ltlv1.Endorsement) {
		t.Helper()
		if err := VerifyEndorsement(key, e); !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v, want ErrSignature", name, err)
		}
	}
	refused("another key", other, e)
	refused("no key", nil, e)
	refused("short key", public[:31], e)
	refused("nothing", public, nil)
	refused("no signature", public, &ltlv1.Endorsement{Statement: e.GetStatement()})
	for i := range len(e.GetSignature()) * 8 {
		changed := bytes.Clone(e.GetSignature())
		changed[i/8] ^= 1 << (i % 8)
		refused("changed signature", public, &ltlv1.Endorsement{Statement: e.GetStatement(), Signature: changed})
	}
	for i := range len(e.GetStatement()) {
		changed := bytes.Clone(e.GetStatement())
		changed[i] ^= 1
		refused("changed statement", public, &ltlv1.Endorsement{Statement: changed, Signature: e.GetSignature()})
	}
	bare := ed25519.Sign(key, e.GetStatement())
	refused("signed without the domain", public, &ltlv1.Endorsement{Statement: e.GetStatement(), Signature: bare})
}
