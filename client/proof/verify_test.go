package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	evidence "ltl/client/proof"
	"ltl/internal/ledger"
)

// TestEveryKindVerifies: certificates of all kinds and shapes verify, and say what they were made of.
func TestEveryKindVerifies(t *testing.T) {
	for seed := range uint64(200) {
		w := newWorld(t, seed, 3, 3)
		s := w.draw()
		c := w.certificate(s)
		v := evidence.Verify(w.encoded(c), w.trust(nil))
		want := evidence.Reserved // no checkpoint
		if s.code != 200 {
			want = evidence.Refused
		}
		if v.Outcome != want || v.Level != evidence.InBlock || len(v.Endorsers) != len(s.endorsers) {
			t.Fatalf("seed %d: %s %v %v", seed, v.Outcome, v.Failure, v.Endorsers)
		}
		if s.kind != 4 && string(v.Value) != s.value || v.Header.Height != 7 || v.Transaction.ID != evidence.TransactionID(c.Payload) {
			t.Fatalf("seed %d: value %q, height %d", seed, v.Value, v.Header.Height)
		}
		for _, l := range []evidence.Language{evidence.English, evidence.Chinese} {
			text := v.Text(l)
			if (s.kind >= 5) != strings.Contains(text, "mistyped") || !strings.Contains(text, s.endorsers[0]) || strings.Contains(text, "%!") {
				t.Fatalf("seed %d: %s", seed, text)
			}
		}
	}
}

// TestConcurrent: one trust file serves many verifications at a time.
func TestConcurrent(t *testing.T) {
	w := newWorld(t, 8, 3, 3)
	file, trust := w.encoded(w.certified(w.certificate(w.ordinary()), 9, "node1", "node2", "org1", "org2")), w.trust(nil)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				if v := evidence.Verify(file, trust); v.Level != evidence.Witnessed {
					t.Error(v.Failure)
				}
			}
		})
	}
	wg.Wait()
}

// TestSoundKey: the keys of a trust file are judged as those of the ledger are.
func TestSoundKey(t *testing.T) {
	w := newWorld(t, 5, 2, 2)
	w.newKey("org1new")
	good, old := string(w.trustFile(w.history(false))), keyText(w, "org1new")
	key := make([]byte, ed25519.PublicKeySize)
	sound := 0
	for _, fill := range []byte{0, 0xff} {
		for low := range 256 {
			for _, top := range []byte{fill & 0x7f, fill | 0x80} {
				for i := range key {
					key[i] = fill
				}
				key[0], key[31] = byte(low), top
				_, err := evidence.ParseTrust([]byte(strings.Replace(good, old, hex.EncodeToString(key), 1)))
				if (err == nil) != ledger.ValidKey(key) {
					t.Errorf("key %x: %v", key, err)
				}
				if err == nil {
					sound++
				}
			}
		}
	}
	if sound < 500 {
		t.Errorf("only %d keys are taken", sound)
	}
}

// TestFailures: each thing that can be wrong with a certificate has its word.
func TestFailures(t *testing.T) {
	w := newWorld(t, 1, 3, 3)
	twin := newWorld(t, 2, 3, 3)
	for name, one := range map[string]struct {
		word  string
		shape func(*shape)
		spoil func(*evidence.Certificate)
	}{
		"payload cut":    {"payload", nil, func(c *evidence.Certificate) { c.Payload = c.Payload[:len(c.Payload)-1] }},
		"payload longer": {"payload", nil, func(c *evidence.Certificate) { c.Payload = append(bytes.Clone(c.Payload), 0) }},
		"payload twice":  {"payload", nil, func(c *evidence.Certificate) { c.Payload = append(bytes.Clone(c.Payload), c.Payload...) }},
		"no such item":   {"payload", nil, func(c *evidence.Certificate) { c.Item = 1 }},
		"other value":    {"opening", nil, func(c *evidence.Certificate) { c.Openings[0].Value = []byte("paid 0") }},
		"other slot":     {"opening", nil, func(c *evidence.Certificate) { c.Openings[0].Slot = 1 }},
		"no salt":        {"opening", nil, func(c *evidence.Certificate) { c.Openings[0].Salt = nil }},
		"other salt":     {"opening", nil, func(c *evidence.Certificate) { c.Openings[0].Salt[15] ^= 1 }},
		"salt cut":       {"json", nil, func(c *evidence.Certificate) { c.Openings[0].Salt = c.Openings[0].Salt[:15] }},
		"value twice": {"opening", nil, func(c *evidence.Certificate) {
			c.Openings = append(c.Openings, c.Openings[0])
		}},
		"value longer": {"opening", nil, func(c *evidence.Certificate) {
			c.Openings[0].Value = append(bytes.Clone(c.Openings[0].Value), 0)
		}},
		"no list": {"opening", func(s *shape) { s.kind = 3 }, func(c *evidence.Certificate) { c.Openings = nil }},
		"a salt for a list": {"opening", func(s *shape) { s.kind = 3 }, func(c *evidence.Certificate) {
			c.Openings[0].Salt = make([]byte, 16)
		}},
		"header cut":          {"header", nil, func(c *evidence.Certificate) { c.Block.Header = c.Block.Header[:220] }},
		"header version":      {"header", nil, func(c *evidence.Certificate) { c.Block.Header[0] = 1 }},
		"another chain":       {"chain", func(s *shape) { s.header = func(h *ledger.Header) { h.ChainID = "0000000000000043" } }, nil},
		"another network":     {"network", func(s *shape) { s.header = func(h *ledger.Header) { h.NetworkID = twin.id } }, nil},
		"place in the batch":  {"path", nil, func(c *evidence.Certificate) { c.BatchCount = 9 }},
		"beyond the batch":    {"index", nil, func(c *evidence.Certificate) { c.BatchIndex = 4 }},
		"sibling's place":     {"batch-root", nil, func(c *evidence.Certificate) { c.BatchIndex = 3 }},
		"huge batch":          {"index", nil, func(c *evidence.Certificate) { c.BatchCount = 1 << 52 }},
		"path longer":         {"path", nil, func(c *evidence.Certificate) { c.BatchPath = append(bytes.Clone(c.BatchPath), make([]byte, 32)...) }},
		"statement cut":       {"statement", nil, func(c *evidence.Certificate) { c.Endorsements[0].Statement = c.Endorsements[0].Statement[:97] }},
		"flags":               {"statement", nil, func(c *evidence.Certificate) { c.Endorsements[0].Flags = 2 }},
		"flag":                {"batch-root", nil, func(c *evidence.Certificate) { c.Endorsements[0].Flags = 1 }},
		"bitmap longer":       {"statement", nil, func(c *evidence.Certificate) { c.Endorsements[0].Bitmap = []byte{0xf0, 0} }},
		"spare bit":           {"statement", nil, func(c *evidence.Certificate) { c.Endorsements[0].Bitmap = []byte{0xf8} }},
		"bit cleared":         {"batch-root", nil, func(c *evidence.Certificate) { c.Endorsements[0].Bitmap = []byte{0xd0} }},
		"leaf's place":        {"batch-root", nil, func(c *evidence.Certificate) { c.Endorsements[0].Index = 0 }},
		"height raised":       {"batch-root", nil, func(c *evidence.Certificate) { c.Endorsements[0].Height++ }},
		"signature":           {"endorsement-signature", nil, func(c *evidence.Certificate) { c.Endorsements[1].Signature[3] ^= 1 }},
		"signature of other":  {"endorsement-signature", nil, func(c *evidence.Certificate) { c.Endorsements[1].Signature = c.Endorsements[0].Signature }},
		"signs twice":         {"twice", nil, func(c *evidence.Certificate) { c.Endorsements[1] = c.Endorsements[0] }},
		"block of the past":   {"height", func(s *shape) { s.header = func(h *ledger.Header) { h.Height = 2 } }, nil},
		"late":                {"time", func(s *shape) { s.clock = -120_000 }, nil},
		"late by reference":   {"time", func(s *shape) { s.header = func(h *ledger.Header) { h.ReferenceMs += 120_000 } }, nil},
		"other result":        {"block-path", nil, func(c *evidence.Certificate) { c.Block.Result = 201 }},
		"a refusal as record": {"block-path", func(s *shape) { s.code = 429 }, func(c *evidence.Certificate) { c.Block.Result = 200 }},
		"place in the block":  {"block-path", nil, func(c *evidence.Certificate) { c.Block.Index++ }},
		"beyond the block":    {"block-path", nil, func(c *evidence.Certificate) { c.Block.Index = 7 }},
		"block path cut":      {"block-path", nil, func(c *evidence.Certificate) { c.Block.Path = c.Block.Path[32:] }},
	} {
		s := w.ordinary()
		if one.shape != nil {
			one.shape(&s)
		}
		c := w.certificate(s)
		if one.spoil != nil {
			one.spoil(c)
		}
		v := evidence.Verify(w.encoded(c), w.trust(nil))
		if v.Failure == nil || v.Failure.Word != one.word || v.Outcome != evidence.Invalid {
			t.Errorf("%s: %s %v, want %s", name, v.Outcome, v.Failure, one.word)
		}
	}
	if v := evidence.Verify(w.encoded(w.certificate(w.ordinary())), twin.trust(nil)); v.Failure == nil || v.Failure.Word != "network" {
		t.Errorf("under the trust file of another network: %v", v.Failure)
	}
}

// history is the history of a trust file in which org1 got another key at height 10.
func (w *world) history(compromised bool) map[string]any {
	type object = map[string]any
	key := func(id string) string { return keyText(w, id) }
	old := object{"key": key("org1"), "from": 0, "until": 10}
	if !compromised {
		old["untilMs"] = clockMs + 60_000
	}
	organisations := []object{{"id": "org1", "keys": []object{old, {"key": key("org1new"), "from": 10}}}}
	for _, o := range w.organisations[1:] {
		organisations = append(organisations, object{"id": o, "keys": []object{{"key": key(o), "from": 0}}})
	}
	nodes := []object{}
	for _, n := range w.nodes {
		nodes = append(nodes, object{"id": n, "organisation": "org1", "key": key(n), "voter": []object{{"from": 0}}})
	}
	return object{"height": 20, "organisations": organisations, "nodes": nodes}
}

func keyText(w *world, id string) string {
	return hex.EncodeToString(w.keys[id].Public().(ed25519.PublicKey))
}

// TestRotatedKey: a key counts at its heights, and in the minute after it was replaced, unless it was compromised.
func TestRotatedKey(t *testing.T) {
	w := newWorld(t, 3, 3, 3)
	w.newKey("org1new")
	w.newKey("org1stranger")
	for _, one := range []struct {
		name, signer  string
		signed, block uint64
		clock         int64
		compromised   bool
		word          string
	}{
		{"before", "org1", 9, 9, 0, true, ""},
		{"in grace", "org1", 9, 10, 0, false, ""},
		{"in grace, compromised", "org1", 9, 10, 0, true, "key-expired"},
		{"compromised, clock at 0", "org1", 9, 10, -clockMs, true, "key-expired"},
		{"in grace, signed after the change", "org1", 10, 10, 0, false, "key-expired"},
		{"after grace", "org1", 9, 10, 60_001, false, "key-expired"},
		{"at the end of grace", "org1", 9, 10, 60_000, false, ""},
		{"the new key", "org1new", 10, 10, 0, true, ""},
		{"the new key too early", "org1new", 9, 9, 0, true, "key-expired"},
		{"a stranger's key", "org1stranger", 9, 9, 0, true, "key-unknown"},
	} {
		s := w.ordinary()
		s.endorsers, s.signed, s.systemHeight, s.clock = []string{one.signer, "org2"}, one.signed, one.block, one.clock
		s.header = func(h *ledger.Header) { h.TimeMs, h.ReferenceMs = clockMs+one.clock, clockMs+one.clock }
		v := evidence.Verify(w.encoded(w.certificate(s)), w.trust(w.history(one.compromised)))
		if word := wordOf(v); word != one.word {
			t.Errorf("%s: %v, want %q", one.name, v.Failure, one.word)
		}
	}
}

func wordOf(v *evidence.Verdict) string {
	if v.Failure == nil {
		return ""
	}
	return v.Failure.Word
}

// TestEveryBitCounts: no certificate with one bit changed verifies and says something else. Fields of the header that
// only a checkpoint covers are left out: without one nothing stands for them, as the reservation says.
func TestEveryBitCounts(t *testing.T) {
	for kind := range kinds {
		w := newWorld(t, uint64(kind), 1, 1)
		s := w.draw()
		s.kind = kind
		s.batch, s.index, s.before, s.after = 3, 1, 1, 1
		file := w.encoded(w.certificate(s))
		trust := w.trust(nil)
		honest, err := evidence.ParseCertificate(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 * len(file) {
			if testing.Short() && w.rand.IntN(60) != 0 {
				continue
			}
			changed := bytes.Clone(file)
			changed[i/8] ^= 1 << (i % 8)
			if evidence.Verify(changed, trust).Failure != nil {
				continue
			}
			c, err := evidence.ParseCertificate(changed)
			if err != nil {
				t.Fatalf("kind %d: it verifies and does not parse: %v", kind, err)
			}
			copy(c.Block.Header[49:101], honest.Block.Header[49:101])
			copy(c.Block.Header[133:], honest.Block.Header[133:])
			if !bytes.Equal(w.encoded(c), w.encoded(honest)) {
				t.Fatalf("kind %d: bit %d of byte %d may be changed: %q", kind, i%8, i/8, file[max(0, i/8-20):i/8+20])
			}
		}
	}
}
