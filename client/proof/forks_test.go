package proof_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	evidence "ltl/client/proof"
	"ltl/internal/ledger"
)

// history is what a chain has as blocks: from a height on those of a fork.
func history(fork, forkedAt, blocks int) []ledger.Hash {
	leaves := make([]ledger.Hash, blocks)
	for i := range leaves {
		leaves[i] = ledger.Hash{byte(i), byte(i >> 8), 9}
		if i >= forkedAt {
			leaves[i][3] = byte(fork)
		}
	}
	return leaves
}

// beginning is the consistency proof of RFC 6962, section 2.1.2, by its definition.
func beginning(m int, leaves []ledger.Hash) []byte { return subproof(m, leaves, true) }

func subproof(m int, leaves []ledger.Hash, known bool) []byte {
	n := len(leaves)
	if m == n {
		if known {
			return nil
		}
		root := rootOf(leaves)
		return root[:]
	}
	k := 1
	for 2*k < n {
		k *= 2
	}
	if m <= k {
		right := rootOf(leaves[k:])
		return append(subproof(m, leaves[:k], known), right[:]...)
	}
	left := rootOf(leaves[:k])
	return append(subproof(m-k, leaves[k:], false), left[:]...)
}

// note is the checkpoint of a history, signed by these.
func (w *world) note(leaves []ledger.Hash, signers ...string) string {
	return w.noteOf(chain, leaves, signers...)
}

func (w *world) noteOf(log string, leaves []ledger.Hash, signers ...string) string {
	root := rootOf(leaves)
	return w.signed(fmt.Sprintf("%s\n%d\n%s\n", w.prefix()+log, len(leaves), base64.StdEncoding.EncodeToString(root[:])),
		signers...)
}

// consistency is the file for the first blocks of a history and all of it.
func (w *world) consistency(first int, leaves []ledger.Hash, signers ...string) *evidence.Consistency {
	return &evidence.Consistency{From: w.note(leaves[:first], signers...), To: w.note(leaves, signers...),
		Path: beginning(first, leaves)}
}

// convicted are the files that convict the signers of two histories.
func (w *world) convicted(
	trust *evidence.Trust, first, second []ledger.Hash, signers ...string,
) []*evidence.Misbehaviour {
	var root, path []byte
	if len(first) < len(second) {
		r := rootOf(second[:len(first)])
		root, path = r[:], beginning(len(first), second)
	}
	return trust.Misbehaviours(w.note(first, signers...), w.note(second, signers...), root, path)
}

type encoder interface{ Encode() ([]byte, error) }

func (w *world) file(e encoder) []byte {
	w.t.Helper()
	b, err := e.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// TestConsistencyFiles: for all sizes the definition's proof verifies, and no proof of other sizes or another history
// does.
func TestConsistencyFiles(t *testing.T) {
	w := newWorld(t, 20, 3, 3)
	trust := w.trust(nil)
	all := []string{"node1", "node2", "org1", "org2"}
	for n := 1; n <= 17; n++ {
		leaves := history(0, 0, n)
		for m := 1; m <= n; m++ {
			c := w.consistency(m, leaves, all...)
			if d := evidence.VerifyConsistencyFile(w.file(c), trust); d.Level != evidence.Witnessed || d.Outcome != evidence.Valid {
				t.Fatalf("%d of %d: %s %v", m, n, d.Level, d.Failure)
			}
			c.From = w.note(history(1, m-1, m), all...)
			if d := evidence.VerifyConsistencyFile(w.file(c), trust); d.Failure == nil || d.Failure.Word != "consistency-path" {
				t.Fatalf("%d of %d, another history: %v", m, n, d.Failure)
			}
			if m < n {
				c.From = w.note(leaves[:m+1], all...)
				if d := evidence.VerifyConsistencyFile(w.file(c), trust); d.Failure == nil {
					t.Fatalf("the proof for %d of %d serves for %d", m, n, m+1)
				}
			}
		}
	}
}

// TestMisbehaviours: a key that signed two histories is convicted, of whatever sizes these are, and one that signed one
// is not.
func TestMisbehaviours(t *testing.T) {
	w := newWorld(t, 21, 3, 3)
	trust := w.trust(nil)
	made := 0
	for n := 1; n <= 9; n++ {
		for m := 1; m <= n; m++ {
			for fork := 0; fork <= n; fork++ {
				first, second := history(0, 0, m), history(1, fork, n)
				all := w.convicted(trust, first, second, "org2", "node1")
				if lied := fork < m; lied != (len(all) == 2) {
					t.Fatalf("%d blocks, and %d with a fork at %d: %d files", m, n, fork, len(all))
				}
				for i, one := range all {
					v := evidence.VerifyMisbehaviour(w.file(one), trust)
					kind := evidence.Inconsistent
					if m == n {
						kind = evidence.TwoRoots
					}
					if v.Outcome != evidence.Valid || v.Kind != kind || v.Signer != []string{"org/org2", "node/node1"}[i] ||
						v.Key != keyText(w, v.Signer[strings.Index(v.Signer, "/")+1:]) || v.Chain != chain {
						t.Fatalf("%d blocks, and %d with a fork at %d: %+v", m, n, fork, v)
					}
					made++
				}
			}
		}
	}
	if made < 250 {
		t.Errorf("only %d convictions", made)
	}
	fork, own := history(1, 3, 9), history(0, 0, 9)
	if all := trust.Misbehaviours(w.note(own, "node1"), w.note(fork, "node2"), nil, nil); len(all) != 0 {
		t.Error("two signers of a history each are convicted")
	}
	if all := trust.Misbehaviours("x", w.note(fork, "node2"), nil, nil); len(all) != 0 {
		t.Error("a signer is convicted by no checkpoint")
	}
}

// TestEveryBitOfMisbehaviour: no bit of a file that convicts may be changed, and of a consistency file none but such
// that make a signer unknown.
func TestEveryBitOfMisbehaviour(t *testing.T) {
	w := newWorld(t, 22, 2, 2)
	trust := w.trust(nil)
	for k, forkedAt := range [][2]int{{9, 9}, {5, 9}, {8, 9}, {1, 70}} {
		file := w.file(w.convicted(trust, history(0, 0, forkedAt[0]), history(1, 0, forkedAt[1]), "node2")[0])
		if v := evidence.VerifyMisbehaviour(file, trust); v.Failure != nil {
			t.Fatal(v.Failure)
		}
		for i := range 8 * len(file) {
			if (k > 1 || testing.Short()) && w.rand.IntN(20) != 0 {
				continue
			}
			changed := bytes.Clone(file)
			changed[i/8] ^= 1 << (i % 8)
			if v := evidence.VerifyMisbehaviour(changed, trust); v.Failure == nil || v.Signer != "" || v.Outcome != evidence.Invalid {
				t.Fatalf("%v: bit %d of byte %d may be changed: %q", forkedAt, i%8, i/8, changed[max(0, i/8-20):min(len(file), i/8+20)])
			}
		}
	}
	c := w.consistency(5, history(0, 0, 9), "node1", "node2", "org1", "org2")
	file := w.file(c)
	for i := range 8 * len(file) {
		if w.rand.IntN(8) != 0 {
			continue
		}
		changed := bytes.Clone(file)
		changed[i/8] ^= 1 << (i % 8)
		d := evidence.VerifyConsistencyFile(changed, trust)
		if d.Failure != nil {
			continue
		}
		got, err := evidence.ParseConsistency(changed)
		if err != nil || d.Level == evidence.Witnessed {
			t.Fatalf("bit %d of byte %d may be changed: %v", i%8, i/8, err)
		}
		if got.From, got.To = c.From, c.To; !bytes.Equal(w.file(got), file) {
			t.Fatalf("bit %d of byte %d may be changed", i%8, i/8)
		}
	}
}

// TestForkWords: both languages name the convicted one, and no verb is left without its value.
func TestForkWords(t *testing.T) {
	w := newWorld(t, 23, 3, 3)
	w.newKey("org1new")
	trust := w.trust(w.history(true))
	for _, l := range []evidence.Language{evidence.English, evidence.Chinese} {
		for _, m := range []int{4, 9} {
			file := w.file(w.convicted(trust, history(0, 0, m), history(1, 2, 9), "org1")[0])
			v := evidence.VerifyMisbehaviour(file, trust)
			if text := v.Text(l); !strings.Contains(text, "org/org1") || !strings.Contains(text, v.Key) || strings.Contains(text, "%!") ||
				!strings.Contains(text, "key-compromised") {
				t.Error(text)
			}
			if text := evidence.VerifyMisbehaviour(file[1:], trust).Text(l); !strings.Contains(text, "json") {
				t.Error(text)
			}
			for _, signers := range [][]string{{"node1"}, {"node1", "node2"}, {"node1", "node2", "org2", "org3"}} {
				d := evidence.VerifyConsistencyFile(w.file(w.consistency(m, history(0, 0, 9), signers...)), trust)
				if text := d.Text(l); d.Failure != nil || !strings.Contains(text, "node/node1") || strings.Contains(text, "%!") ||
					strings.Contains(text, "not-") != (len(signers) < 4) {
					t.Error(text)
				}
			}
		}
		if text := evidence.VerifyConsistencyFile([]byte("{}"), trust).Text(l); !strings.Contains(text, "version") {
			t.Error(text)
		}
	}
}

// forkVectors are consistency and misbehaviour files, right and wrong in each way.
func forkVectors(w *world, add func(name, trust string, file []byte)) {
	all, own := []string{"node1", "node2", "org1", "org2"}, history(0, 0, 21)
	for _, m := range []int{1, 4, 5, 8, 16, 20, 21} {
		add(fmt.Sprintf("the first %d of 21", m), "genesis", w.file(w.consistency(m, own, all...)))
	}
	add("consistency, not witnessed", "genesis", w.file(w.consistency(5, own, all[:3]...)))
	add("consistency, not certified", "genesis", w.file(w.consistency(5, own, "node1", "org1", "org2")))
	good := w.consistency(5, own, all...)
	mixed := *good
	mixed.From = w.note(own[:5], "node1", "node2")
	add("consistency, one of two witnessed", "genesis", w.file(&mixed))
	add("consistency under other keys", "compromised", w.file(good))
	changed := func(name string, change func(*evidence.Consistency)) {
		c := *good
		c.Path = bytes.Clone(c.Path)
		change(&c)
		add("consistency, "+name, "genesis", w.file(&c))
	}
	changed("path cut", func(c *evidence.Consistency) { c.Path = c.Path[32:] })
	changed("path not whole", func(c *evidence.Consistency) { c.Path = c.Path[1:] })
	changed("path longer", func(c *evidence.Consistency) { c.Path = append(c.Path, make([]byte, 32)...) })
	changed("path changed", func(c *evidence.Consistency) { c.Path[33] ^= 1 })
	changed("no path", func(c *evidence.Consistency) { c.Path = nil })
	changed("swapped", func(c *evidence.Consistency) { c.From, c.To = c.To, c.From })
	changed("a path between equal sizes", func(c *evidence.Consistency) { c.From = c.To })
	changed("another history", func(c *evidence.Consistency) { c.From = w.note(history(1, 0, 5), all...) })
	changed("no note", func(c *evidence.Consistency) { c.To = "hello" })
	changed("a wrong signature", func(c *evidence.Consistency) { c.To = strings.Replace(c.To, "\n21\n", "\n22\n", 1) })
	for _, log := range []string{"0000000000000043", chain + "/r1", chain + "/r0", chain + "/r01", chain + "/r4294967295",
		chain + "/r4294967296", chain + "/r", chain + "/r1/r2", "network", "42", ""} {
		changed("origin "+log, func(c *evidence.Consistency) {
			c.From, c.To = w.noteOf(log, own[:5], all...), w.noteOf(log, own, all...)
		})
	}
	changed("two chains", func(c *evidence.Consistency) { c.To = w.noteOf("0000000000000043", own, all...) })
	misbehaviourVectors(w, add)
}

func misbehaviourVectors(w *world, add func(name, trust string, file []byte)) {
	own, fork := history(0, 0, 21), history(1, 3, 21)
	trust := w.trust(nil)
	two := w.convicted(trust, own, fork, "node3")[0]
	add("two roots", "genesis", w.file(two))
	for _, m := range []int{4, 5, 8, 20} {
		add(fmt.Sprintf("inconsistent at %d", m), "genesis", w.file(w.convicted(trust, own[:m], fork, "org2")[0]))
	}
	old := w.convicted(trust, own, fork, "org1")[0]
	for _, trust := range []string{"genesis", "rotated", "compromised"} {
		add("a key that was replaced", trust, w.file(old))
	}
	none := w.convicted(trust, own[:4], fork, "node3")[0]
	bad := func(name string, from *evidence.Misbehaviour, change func(*evidence.Misbehaviour)) {
		m := *from
		m.Path, m.Root = bytes.Clone(m.Path), bytes.Clone(m.Root)
		change(&m)
		add("misbehaviour, "+name, "genesis", w.file(&m))
	}
	bad("equal roots", two, func(m *evidence.Misbehaviour) { m.Second = m.First })
	bad("two sizes as two roots", two, func(m *evidence.Misbehaviour) { m.First = w.note(own[:4], "node3") })
	bad("two signers", two, func(m *evidence.Misbehaviour) { m.Second = w.note(fork, "node2") })
	bad("two lines", two, func(m *evidence.Misbehaviour) { m.Second = w.note(fork, "node3", "node2") })
	bad("a line of a stranger beside", two, func(m *evidence.Misbehaviour) { m.Second += "\u2014 stranger AAAAAAA=\n" })
	bad("a stranger", two, func(m *evidence.Misbehaviour) {
		m.First, m.Second = w.note(own, "org1new"), w.note(fork, "org1new")
	})
	bad("two chains", two, func(m *evidence.Misbehaviour) { m.Second = w.noteOf("0000000000000043", fork, "node3") })
	bad("before and after a restoration", two, func(m *evidence.Misbehaviour) { m.Second = w.noteOf(chain+"/r1", fork, "node3") })
	bad("after a restoration", two, func(m *evidence.Misbehaviour) {
		m.First, m.Second = w.noteOf(chain+"/r3", own, "node3"), w.noteOf(chain+"/r3", fork, "node3")
	})
	bad("a wrong signature", two, func(m *evidence.Misbehaviour) { m.Second = strings.Replace(m.Second, "\n21\n", "\n22\n", 1) })
	bad("no note", two, func(m *evidence.Misbehaviour) { m.First = "" })
	bad("unknown kind", two, func(m *evidence.Misbehaviour) { m.Kind = "late" })
	bad("kind of another form", two, func(m *evidence.Misbehaviour) { m.Kind = evidence.Inconsistent })
	bad("sizes swapped", none, func(m *evidence.Misbehaviour) { m.First, m.Second = m.Second, m.First })
	bad("path cut", none, func(m *evidence.Misbehaviour) { m.Path = m.Path[32:] })
	bad("path changed", none, func(m *evidence.Misbehaviour) { m.Path[3] ^= 1 })
	bad("root cut", none, func(m *evidence.Misbehaviour) { m.Root = m.Root[:31] })
	bad("root changed", none, func(m *evidence.Misbehaviour) { m.Root[0] ^= 1 })
	bad("the beginning", none, func(m *evidence.Misbehaviour) {
		root := rootOf(own[:4])
		m.Second, m.Root, m.Path = w.note(own, "node3"), root[:], beginning(4, own)
	})
	text := string(w.file(none))
	for _, one := range [][2]string{{`"kind":"inconsistent"`, `"kind":"two-roots"`}, {`"ltl":"misbehaviour/1"`, `"ltl":"misbehaviour/2"`},
		{`"ltl":"misbehaviour/1"`, `"ltl":"consistency/1"`}, {`"ltl":"misbehaviour/1"`, `"info":{},"ltl":"misbehaviour/1"`},
		{`"kind":"inconsistent",`, ``}, {`"kind":"inconsistent"`, `"kind":["inconsistent"]`}, {"{", " {"}, {"{", "{{"}} {
		add("misbehaviour, "+one[1], "genesis", []byte(strings.Replace(text, one[0], one[1], 1)))
	}
}

// verdictOfFile is what the package says of a file of any format.
func verdictOfFile(file []byte, t *evidence.Trust) verdict {
	of := func(o evidence.Outcome, f *evidence.Failure, made verdict) verdict {
		if f != nil {
			return verdict{Outcome: o, Word: f.Word}
		}
		return made
	}
	switch evidence.FormatOf(file) {
	case evidence.ConsistencyFormat:
		d := evidence.VerifyConsistencyFile(file, t)
		return of(d.Outcome, d.Failure, verdict{Outcome: d.Outcome, Level: d.Level, Reservations: d.Reservations})
	case evidence.MisbehaviourFormat:
		v := evidence.VerifyMisbehaviour(file, t)
		return of(v.Outcome, v.Failure, verdict{Outcome: v.Outcome, Reservations: v.Reservations, Kind: v.Kind, Signer: v.Signer,
			Key: v.Key})
	}
	return verdictOf(evidence.Verify(file, t))
}

// FuzzForks: no bytes crash the readers of consistency and misbehaviour files, what parses has one encoding, and none
// is convicted by a file that was not made.
func FuzzForks(f *testing.F) {
	w := newWorld(&testing.T{}, 24, 2, 2)
	trust := w.trust(nil)
	f.Add(w.file(w.consistency(5, history(0, 0, 9), "node1")))
	known := map[string]bool{}
	for _, m := range []int{5, 9} {
		file := w.file(w.convicted(trust, history(0, 0, m), history(1, 2, 9), "node1")[0])
		known[string(file)] = true
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = evidence.VerifyConsistencyFile(b, trust).Text(evidence.English)
		v := evidence.VerifyMisbehaviour(b, trust)
		_ = v.Text(evidence.Chinese)
		for _, e := range parsed(b) {
			again, err := e.Encode()
			if err != nil || !json.Valid(again) {
				t.Fatal(err)
			}
			if _, conviction := e.(*evidence.Misbehaviour); conviction && v.Failure == nil && !known[string(again)] {
				t.Fatalf("it convicts: %s", again)
			}
		}
	})
}

func parsed(b []byte) (all []encoder) {
	if c, err := evidence.ParseConsistency(b); err == nil {
		all = append(all, c)
	}
	if m, err := evidence.ParseMisbehaviour(b); err == nil {
		all = append(all, m)
	}
	return all
}
