package proof_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"

	evidence "ltl/client/proof"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// rootOf is the RFC 6962 root over leaf hashes, by the definition.
func rootOf(leaves []ledger.Hash) ledger.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := 1
	for 2*k < len(leaves) {
		k *= 2
	}
	left, right := rootOf(leaves[:k]), rootOf(leaves[k:])
	return ledger.Hash(rfc6962.DefaultHasher.HashChildren(left[:], right[:]))
}

// prefix begins origins and names of the world.
func (w *world) prefix() string { return "ltl/" + hex.EncodeToString(w.id[:16]) + "/" }

// line is a cosignature line of a name under a key, made by the words of C2SP's tlog-cosignature.
func (w *world) line(name, key, body string) string {
	private := w.keys[key]
	id := sha256.Sum256(append([]byte(name+"\n\x04"), private.Public().(ed25519.PublicKey)...))
	const seconds = clockMs/1000 + 1
	signature := ed25519.Sign(private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, body))
	raw := binary.BigEndian.AppendUint64(bytes.Clone(id[:4]), seconds)
	return "— " + name + " " + base64.StdEncoding.EncodeToString(append(raw, signature...)) + "\n"
}

// certified adds a checkpoint of so many blocks, signed by these.
func (w *world) certified(c *evidence.Certificate, blocks int, signers ...string) *evidence.Certificate {
	return w.certifiedAfter("", c, blocks, signers...)
}

// certifiedAfter is certified under an origin that ends in a restoration.
func (w *world) certifiedAfter(restoration string, c *evidence.Certificate, blocks int, signers ...string) *evidence.Certificate {
	leaves := make([]ledger.Hash, blocks)
	for i := range leaves {
		leaves[i] = ledger.Hash{byte(i), byte(i >> 8), 9}
	}
	height := int(binary.BigEndian.Uint64(c.Block.Header[49:]))
	leaves[height] = ledger.BlockHash(c.Block.Header)
	c.LogPath = ledger.Path(leaves, height)
	root := rootOf(leaves)
	body := fmt.Sprintf("%s\n%d\n%s\n", w.prefix()+chain+restoration, blocks, base64.StdEncoding.EncodeToString(root[:]))
	c.Checkpoint = w.signed(body, signers...)
	return c
}

func (w *world) signed(body string, signers ...string) string {
	text := body + "\n"
	for _, s := range signers {
		kind := "org/" + s[:min(4, len(s))]
		if strings.HasPrefix(s, "node") {
			kind = "node/" + s
		}
		text += w.line(w.prefix()+kind, s, body)
	}
	return text
}

// TestLevels: a majority of nodes and a majority of organisations make the levels, and nothing else does.
func TestLevels(t *testing.T) {
	w := newWorld(t, 4, 3, 4)
	w.newKey("stra")
	for _, one := range []struct {
		signers  []string
		level    evidence.Level
		reserved string
	}{
		{[]string{"node1", "node2", "node3", "org1", "org2"}, evidence.Witnessed, ""},
		{[]string{"node1", "node2", "node4", "org3", "org2", "org1"}, evidence.Witnessed, ""},
		{[]string{"node1", "node2", "node3", "org1"}, evidence.Certified, "not-witnessed"},
		{[]string{"node1", "node2", "org1", "org2", "org3"}, evidence.InBlock, "not-certified"},
		{[]string{"node1", "node1", "node1", "org1", "org2"}, evidence.InBlock, "not-certified"},
		{[]string{"node1", "node2", "stra", "org1", "org2"}, evidence.InBlock, "not-certified"},
		{[]string{"stra"}, evidence.InBlock, "not-certified"},
	} {
		v := evidence.Verify(w.encoded(w.certified(w.certificate(w.ordinary()), 9, one.signers...)), w.trust(nil))
		if v.Failure != nil || v.Level != one.level || strings.Join(v.Reservations, ",") != one.reserved {
			t.Errorf("%v: %s %v %v", one.signers, v.Level, v.Failure, v.Reservations)
		}
		if text := v.Text(evidence.Chinese); v.Failure == nil && !strings.Contains(text, "检查点") {
			t.Errorf("%v: %s", one.signers, text)
		}
	}
}

// TestCheckpointFailures: what can be wrong with a checkpoint has its word.
func TestCheckpointFailures(t *testing.T) {
	w, twin := newWorld(t, 1, 3, 3), newWorld(t, 2, 3, 3)
	all := []string{"node1", "node2", "org1", "org2"}
	replace := func(from, to string) func(*evidence.Certificate) {
		return func(c *evidence.Certificate) { c.Checkpoint = strings.Replace(c.Checkpoint, from, to, 1) }
	}
	for name, one := range map[string]struct {
		word  string
		spoil func(*evidence.Certificate)
	}{
		"no note":               {"checkpoint", func(c *evidence.Certificate) { c.Checkpoint = "hello" }},
		"a line too many":       {"checkpoint", func(c *evidence.Certificate) { c.Checkpoint = w.signed("a\n1\n2\n3\n") }},
		"size with a zero":      {"checkpoint-signature", replace("\n9\n", "\n09\n")},
		"size raised":           {"checkpoint-signature", replace("\n9\n", "\n10\n")},
		"unsigned, size raised": {"log-path", func(c *evidence.Certificate) { w.certified(c, 9, "stra"); replace("\n9\n", "\n64\n")(c) }},
		"of another chain": {"origin", func(c *evidence.Certificate) {
			body, _, _ := strings.Cut(strings.Replace(c.Checkpoint, chain, "0000000000000043", 1), "\n\n")
			c.Checkpoint = w.signed(body+"\n", all...)
		}},
		"of another network": {"origin", func(c *evidence.Certificate) { twin.certified(c, 9, all...) }},
		"path cut":           {"log-path", func(c *evidence.Certificate) { c.LogPath = c.LogPath[32:] }},
		"path longer":        {"log-path", func(c *evidence.Certificate) { c.LogPath = append(c.LogPath, make([]byte, 32)...) }},
		"path of another":    {"log-path", func(c *evidence.Certificate) { c.LogPath[0] ^= 1 }},
		"header changed": {"log-path", func(c *evidence.Certificate) {
			c.Block.Header[70] ^= 1
		}},
		"block not covered": {"log-path", func(c *evidence.Certificate) { c.Block.Header[56] = 9 }},
		"one signature":     {"checkpoint-signature", func(c *evidence.Certificate) { spoilLine(c, 1) }},
		"of the right name with another's signature": {"checkpoint-signature", func(c *evidence.Certificate) {
			body, _, _ := strings.Cut(c.Checkpoint, "\n\n")
			c.Checkpoint = w.signed(body+"\n", "node1")
			other := strings.Fields(w.line(w.prefix()+"node/node1", "node2", body+"\n"))[2]
			own := strings.Fields(strings.SplitN(c.Checkpoint, "\n\n", 2)[1])[2]
			rawOther, _ := base64.StdEncoding.DecodeString(other)
			rawOwn, _ := base64.StdEncoding.DecodeString(own)
			c.Checkpoint = strings.Replace(c.Checkpoint, own, base64.StdEncoding.EncodeToString(append(rawOwn[:4], rawOther[4:]...)), 1)
		}},
	} {
		w.keys["stra"] = twin.keys["org1"]
		c := w.certified(w.certificate(w.ordinary()), 9, all...)
		one.spoil(c)
		if v := evidence.Verify(w.encoded(c), w.trust(nil)); wordOf(v) != one.word {
			t.Errorf("%s: %v, want %s", name, v.Failure, one.word)
		}
	}
}

// spoilLine changes the signature of a line.
func spoilLine(c *evidence.Certificate, line int) {
	body, lines, _ := strings.Cut(c.Checkpoint, "\n\n")
	all := strings.SplitAfter(lines, "\n")
	b := []byte(all[line])
	at := len(b) - 10
	b[at] = map[bool]byte{true: 'B', false: 'A'}[b[at] == 'A']
	all[line] = string(b)
	c.Checkpoint = body + "\n\n" + strings.Join(all, "")
}

// TestReplacedNodes: a checkpoint counts that was signed by the nodes and keys of one later height; signers of two
// different times do not add up to a majority.
func TestReplacedNodes(t *testing.T) {
	type object = map[string]any
	w := newWorld(t, 6, 3, 3)
	for _, id := range []string{"org1new", "node4", "node5"} {
		w.newKey(id)
	}
	h := w.history(true) // org1 got another key at height 10
	nodes := h["nodes"].([]object)
	for i := range 2 { // node4 and node5 took the places of node1 and node2 at 12
		nodes[i]["voter"] = []object{{"from": 0, "until": 12}}
		id := fmt.Sprintf("node%d", 4+i)
		nodes = append(nodes, object{"id": id, "organisation": "org1", "key": keyText(w, id), "voter": []object{{"from": 12}}})
	}
	h["nodes"] = nodes
	trust := w.trust(h)
	for _, one := range []struct {
		system  uint64
		signers string
		level   evidence.Level
	}{
		{5, "node1 node2 org1 org2", evidence.Witnessed},
		{5, "node4 node5 org1new org2", evidence.Witnessed},
		{5, "node1 node2 org1new org2", evidence.Witnessed}, // from 10 to 12 these were together
		{5, "node1 node4 org2 org3", evidence.InBlock},
		{5, "node4 node5 org1 org2", evidence.Certified}, // when these nodes came, that key had gone
		{11, "node1 node2 org1 org2", evidence.Certified},
		{12, "node1 node2 org2 org3", evidence.InBlock},
		{12, "node4 node3 org2 org3", evidence.Witnessed},
	} {
		s := w.ordinary()
		s.systemHeight, s.endorsers = one.system, []string{"org2"}
		s.change = func(tx *ltlv1.Transaction) { tx.Submitter = "org2/facade/facade2" }
		v := evidence.Verify(w.encoded(w.certified(w.certificate(s), 20, strings.Fields(one.signers)...)), trust)
		if v.Failure != nil || v.Level != one.level {
			t.Errorf("system height %d, %s: %s %v, want %s", one.system, one.signers, v.Level, v.Failure, one.level)
		}
	}
}

// TestEveryBitOfCertified: of certificates of all kinds with a checkpoint no bit may be changed; what verifies still is
// the same certificate, except that a signer may have become unknown, or that info for people differs. Every bit is
// changed of one certificate of each kind in the smallest network, and one in sixty of many in a larger one.
func TestEveryBitOfCertified(t *testing.T) {
	certificates := uint64(kinds + 40)
	if testing.Short() {
		certificates = kinds + 6
	}
	for seed := range certificates {
		w, signers := newWorld(t, 1000+seed, 1, 1), []string{"node1", "org1"}
		s := w.draw()
		if seed < kinds {
			s.kind = int(seed)
			s.batch, s.index, s.before, s.after = 3, 1, 1, 1
		} else {
			w, signers = newWorld(t, 1000+seed, 3, 3), []string{"node1", "node2", "org1", "org2"}
			s = w.draw()
		}
		c := w.certified(w.certificate(s), 8+w.rand.IntN(600), signers...)
		file := w.encoded(c)
		trust := w.trust(nil)
		if v := evidence.Verify(file, trust); v.Level != evidence.Witnessed {
			t.Fatalf("seed %d: %s %v", seed, v.Level, v.Failure)
		}
		for i := range 8 * len(file) {
			if (seed >= kinds || testing.Short()) && w.rand.IntN(60) != 0 {
				continue
			}
			changed := bytes.Clone(file)
			changed[i/8] ^= 1 << (i % 8)
			v := evidence.Verify(changed, trust)
			if v.Failure != nil {
				continue
			}
			got, err := evidence.ParseCertificate(changed)
			if err != nil {
				t.Fatal(err)
			}
			lost := v.Level != evidence.Witnessed
			got.Checkpoint = c.Checkpoint
			if !bytes.Equal(w.encoded(got), file) || v.Checkpoint.Size == 0 || !lost && !slices.Equal(changed, file) {
				t.Fatalf("seed %d: bit %d of byte %d may be changed: %q, %q, %s", seed, i%8, i/8,
					file[max(0, i/8-20):min(len(file), i/8+20)], changed[max(0, i/8-20):min(len(file), i/8+20)], v.Level)
			}
		}
	}
}

// TestConsistency: the proof between two sizes, and that no other passes.
func TestConsistency(t *testing.T) {
	w := newWorld(t, 1, 2, 1)
	c := w.certified(w.certificate(w.ordinary()), 9, "node1")
	a, err := w.trust(nil).Checkpoint(c.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	b := *a
	if !evidence.VerifyConsistency(a, &b, nil) {
		t.Error("a checkpoint is not consistent with itself")
	}
	b.Root[0] ^= 1
	if evidence.VerifyConsistency(a, &b, nil) {
		t.Error("two roots of one size are consistent")
	}
	b = *a
	b.Origin += "x"
	if evidence.VerifyConsistency(a, &b, nil) {
		t.Error("checkpoints of two chains are consistent")
	}
}

// TestBudget: an ordinary certificate of two nodes and two organisations has at most 4 KB and is verified within 10 ms.
func TestBudget(t *testing.T) {
	w := newWorld(t, 1, 3, 3)
	for _, one := range []struct{ batch, blocks int }{{1, 1000}, {16, 10_000}, {128, 100_000}} {
		s := w.ordinary()
		s.batch, s.index, s.value = one.batch, one.batch/2, strings.Repeat("v", 128)
		file := w.encoded(w.certified(w.certificate(s), one.blocks, "node1", "node2", "org1", "org2"))
		trust := w.trust(nil)
		best := time.Hour
		for range 20 {
			began := time.Now()
			if v := evidence.Verify(file, trust); v.Level != evidence.Witnessed {
				t.Fatal(v.Failure)
			}
			best = min(best, time.Since(began))
		}
		t.Logf("batch of %d, %d blocks: %d bytes, %v", one.batch, one.blocks, len(file), best)
		if len(file) > 4<<10 || best > 10*time.Millisecond {
			t.Errorf("batch of %d, %d blocks: %d bytes, verified in %v", one.batch, one.blocks, len(file), best)
		}
	}
}
