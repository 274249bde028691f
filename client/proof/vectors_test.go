package proof_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	evidence "ltl/client/proof"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

var rewrite = flag.Bool("rewrite", false, "rewrite docs/vectors/evidence")

const vectorFile = "../../docs/vectors/evidence/vectors.json"

// vectors are certificates with what a verifier has to say of them.
type vectors struct {
	Trust        map[string]string `json:"trust"`
	TrustFiles   []trustVector     `json:"trustFiles"`
	Certificates []vector          `json:"certificates"`
	// Files are consistency and misbehaviour files.
	Files []vector `json:"files"`
}

// trustVector is a trust file, and whether a verifier takes it.
type trustVector struct {
	Name  string `json:"name"`
	File  string `json:"file"`
	Taken bool   `json:"taken"`
}

type vector struct {
	Name  string `json:"name"`
	Trust string `json:"trust"`
	File  string `json:"file"`
	verdict
}

type verdict struct {
	Outcome      evidence.Outcome `json:"outcome"`
	Word         string           `json:"word,omitempty"`
	Level        evidence.Level   `json:"level,omitempty"`
	Reservations []string         `json:"reservations,omitempty"`
	Kind         evidence.Kind    `json:"kind,omitempty"`
	Signer       string           `json:"signer,omitempty"`
	Key          string           `json:"key,omitempty"`
}

func verdictOf(v *evidence.Verdict) verdict {
	if v.Failure != nil {
		return verdict{Outcome: v.Outcome, Word: v.Failure.Word}
	}
	return verdict{Outcome: v.Outcome, Level: v.Level, Reservations: v.Reservations}
}

func readVectors(t *testing.T) (v vectors) {
	t.Helper()
	b, err := os.ReadFile(vectorFile)
	if err == nil {
		err = json.Unmarshal(b, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVectors: the vectors are those that the package and the code that makes blocks give. With -rewrite it writes
// them.
func TestVectors(t *testing.T) {
	var made bytes.Buffer
	encoder := json.NewEncoder(&made)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(makeVectors(t)); err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.WriteFile(vectorFile, made.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := os.ReadFile(vectorFile); err != nil || !bytes.Equal(b, made.Bytes()) {
		t.Errorf("%s is out of date: run go test ./client/proof -run TestVectors -rewrite, and look at what changed", vectorFile)
	}
}

func makeVectors(t *testing.T) vectors {
	w := newWorld(t, 9, 3, 3)
	w.newKey("org1new")
	v := vectors{Trust: map[string]string{"genesis": string(w.trustFile(nil)),
		"rotated": string(w.trustFile(w.history(false))), "compromised": string(w.trustFile(w.history(true))),
		"restored": string(w.trustFile(w.restored([2]int{1, 12}, [2]int{4, 20})))}}
	add := func(name, trust string, file []byte) {
		parsed, err := evidence.ParseTrust([]byte(v.Trust[trust]))
		if err != nil {
			t.Fatal(err)
		}
		v.Certificates = append(v.Certificates, vector{Name: name, Trust: trust, File: string(file),
			verdict: verdictOf(evidence.Verify(file, parsed))})
	}
	of := func(change func(*shape)) *evidence.Certificate {
		s := w.ordinary()
		change(&s)
		return w.certificate(s)
	}
	for kind, name := range []string{"SetData", "AttachData", "item of an upload", "list", "no record", "correction",
		"correction of a phase's record"} {
		add(name, "genesis", w.encoded(of(func(s *shape) { s.kind = kind })))
	}
	add("refused", "genesis", w.encoded(of(func(s *shape) { s.code = -317 })))
	add("batch of one", "genesis", w.encoded(of(func(s *shape) { s.batch, s.index, s.before, s.after = 1, 0, 0, 0 })))
	signers := []string{"node1", "node2", "org1", "org2"}
	add("witnessed", "genesis", w.encoded(w.certified(of(func(*shape) {}), 9, signers...)))
	add("certified", "genesis", w.encoded(w.certified(of(func(s *shape) { s.kind = 1 }), 300, signers[:3]...)))
	add("one node signed", "genesis", w.encoded(w.certified(of(func(*shape) {}), 8, "node3", "org1", "org2")))
	add("trust file too old", "genesis", w.encoded(w.certified(of(func(s *shape) { s.systemHeight = 1 }), 9, signers...)))
	for _, trust := range []string{"rotated", "compromised"} {
		for i, name := range []string{"below a change of key", "across a change of key", "above a change of key"} {
			at := [][2]uint64{{9, 9}, {9, 10}, {10, 10}}[i]
			add(name, trust, w.encoded(of(func(s *shape) { s.signed, s.systemHeight = at[0], at[1] })))
		}
	}
	add("late", "genesis", w.encoded(of(func(s *shape) { s.clock = -120_000 })))
	add("block below what was verified", "genesis", w.encoded(of(func(s *shape) {
		s.header = func(h *ledger.Header) { h.Height = 2 }
	})))
	add("other chain", "genesis", w.encoded(of(func(s *shape) {
		s.header = func(h *ledger.Header) { h.ChainID = ledger.SystemChain }
	})))
	restorationVectors(w, add)
	twice := of(func(*shape) {})
	twice.Endorsements[1] = twice.Endorsements[0]
	add("organisation twice", "genesis", w.encoded(twice))
	twice.Endorsements = append(twice.Endorsements, of(func(s *shape) { s.clock = 1 }).Endorsements[1])
	add("organisation twice, and an endorsement of another batch", "genesis", w.encoded(twice))
	for _, v := range submitterVectors(w) {
		add(v.name, "genesis", v.file)
	}
	payloadVectors(w, add)
	fileVectors(w, add)
	noteVectors(w, add)
	actionVectors(w, add)
	for _, v := range timeVectors(w) {
		add(v.name, "genesis", v.file)
	}
	next := newSuccessor(t, 12, w, func(*ltlv1.Genesis) {})
	v.Trust["successor"] = string(next.trustFile(nil))
	add("a certificate of the predecessor", "successor", w.encoded(w.certificate(w.ordinary())))
	add("a certificate of the successor", "successor", next.encoded(next.certificate(next.ordinary())))
	add("a certificate of the successor under the predecessor's trust file", "genesis",
		next.encoded(next.certificate(next.ordinary())))
	v.TrustFiles = append(trustVectors(w), successionVectors(w)...)
	forkVectors(w, func(name, trust string, file []byte) {
		parsed, err := evidence.ParseTrust([]byte(v.Trust[trust]))
		if err != nil {
			t.Fatal(err)
		}
		v.Files = append(v.Files, vector{Name: name, Trust: trust, File: string(file), verdict: verdictOfFile(file, parsed)})
	})
	return v
}

// restored is a history without changes of keys, and with restorations as number and blocks.
func (w *world) restored(restorations ...[2]int) map[string]any {
	h := w.history(false)
	var all []any
	for _, r := range restorations {
		all = append(all, map[string]any{"number": r[0], "blocks": r[1]})
	}
	h["restorations"] = all
	return h
}

// restorationVectors are certificates of blocks that a network kept and lost when it was restored with 12 blocks, and
// again, under number 4, with 20.
func restorationVectors(w *world, add func(name, trust string, file []byte)) {
	signers := []string{"node1", "node2", "org1", "org2"}
	for _, sequence := range []uint64{11, 12, 19, 20} {
		for _, origin := range []string{"", "/r1", "/r4", "/r2", "/r01", "/r", "/r0", "/r5"} {
			s := w.ordinary()
			s.header = func(h *ledger.Header) { h.Sequence = sequence }
			file := w.encoded(w.certifiedAfter(origin, w.certificate(s), 9, signers...))
			add(fmt.Sprintf("block number %d under the origin %q", sequence, origin), "restored", file)
		}
	}
}

// successionVectors are trust files of networks that continue another one, and of some that only say so.
func successionVectors(w *world) (all []trustVector) {
	for _, one := range []struct {
		name   string
		change func(*ltlv1.Genesis)
	}{
		{"a successor", func(*ltlv1.Genesis) {}},
		{"a successor without a signature", func(g *ltlv1.Genesis) { g.Successions = g.Successions[:1] }},
		{"a successor without signatures", func(g *ltlv1.Genesis) { g.Successions = nil }},
		{"signatures without a predecessor", func(g *ltlv1.Genesis) { g.Predecessor = nil }},
		{"an empty predecessor", func(g *ltlv1.Genesis) { g.Predecessor = &ltlv1.Predecessor{} }},
		{"another predecessor", func(g *ltlv1.Genesis) { g.Predecessor.NetworkId[3] ^= 1 }},
		{"a predecessor of a block more", func(g *ltlv1.Genesis) { g.Predecessor.Blocks++ }},
		{"a predecessor of no blocks", func(g *ltlv1.Genesis) { g.Predecessor.Blocks = 0 }},
		{"a predecessor with other heads", func(g *ltlv1.Genesis) { g.Predecessor.Heads[3] ^= 1 }},
		{"a predecessor with short heads", func(g *ltlv1.Genesis) { g.Predecessor.Heads = g.Predecessor.Heads[1:] }},
		{"a predecessor without a block hash", func(g *ltlv1.Genesis) { g.Predecessor.BlockHash = nil }},
		{"signatures in another order", func(g *ltlv1.Genesis) {
			g.Successions[0], g.Successions[1] = g.Successions[1], g.Successions[0]
		}},
		{"a signature twice", func(g *ltlv1.Genesis) { g.Successions[1] = g.Successions[0] }},
		{"a signature too many", func(g *ltlv1.Genesis) { g.Successions = append(g.Successions, g.Successions[1]) }},
		{"a signature that was changed", func(g *ltlv1.Genesis) { g.Successions[0].Signature[5] ^= 1 }},
		{"a short signature of a successor", func(g *ltlv1.Genesis) { g.Successions[0].Signature = g.Successions[0].Signature[1:] }},
		{"a signature without a key", func(g *ltlv1.Genesis) { g.Successions[0].FormerKey = nil }},
		{"a signature by a key of small order", func(g *ltlv1.Genesis) {
			g.Successions[0].FormerKey = append([]byte{1}, make([]byte, 31)...)
		}},
		{"a signature under another genesis", func(g *ltlv1.Genesis) { g.Network, g.CreatedMs = "test", 2 }},
	} {
		file := newSuccessor(w.t, 13, w, one.change).trustFile(nil)
		_, err := evidence.ParseTrust(file)
		all = append(all, trustVector{Name: one.name, File: string(file), Taken: err == nil})
	}
	if all[0].Taken != true || slices.ContainsFunc(all[1:], func(v trustVector) bool { return v.Taken }) {
		w.t.Error("the successor is not taken, or one that is none is")
	}
	return all
}

// submitterVectors are certificates of transactions whose submitter's organisation signed or did not.
func submitterVectors(w *world) (all []saidVector) {
	add := func(name, submitter, want string, action func(*ltlv1.Transaction), onChain string) {
		s := w.ordinary()
		s.endorsers, s.chain = w.organisations[1:], onChain
		s.change = func(tx *ltlv1.Transaction) {
			tx.Submitter = submitter
			if action != nil {
				tx.ChainId = onChain
				action(tx)
			}
		}
		if action != nil {
			s.kind = 4
		}
		all = append(all, saidVector{name, w.encoded(w.certificate(s)), want})
	}
	accept := func(tx *ltlv1.Transaction) {
		tx.Action = &ltlv1.Transaction_AcceptMembership{AcceptMembership: &ltlv1.AcceptMembership{}}
	}
	regain := func(tx *ltlv1.Transaction) {
		tx.Action = &ltlv1.Transaction_RecoverOrganisation{RecoverOrganisation: &ltlv1.RecoverOrganisation{}}
	}
	add("the submitter's organisation signed", "org3/facade/f", "not-certified", nil, chain)
	add("the submitter's organisation did not sign", "org1/facade/f", "submitter", nil, chain)
	add("a submitter of a longer name", "org22/facade/f", "submitter", nil, chain)
	add("a submitter of a shorter name", "org/facade/f", "submitter", nil, chain)
	add("a submitter without an organisation", "/org2/f", "submitter", nil, chain)
	add("a submitter that is an organisation", "org2", "not-certified", nil, chain)
	add("a submitter that is none", "org\xc3\xa4", "submitter", nil, chain)
	add("an acceptance in the newcomer's name", "org1/operator/o", "not-certified", accept, ledger.SystemChain)
	add("a recovery in the organisation's name", "org1/operator/o", "not-certified", regain, ledger.SystemChain)
	add("an acceptance on a business chain", "org1/operator/o", "submitter", accept, chain)
	add("a recovery on a business chain", "org1/operator/o", "submitter", regain, chain)
	add("another act in the organisation's name", "org1/operator/o", "submitter", func(tx *ltlv1.Transaction) {
		tx.Action = &ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{}}
	}, ledger.SystemChain)
	return all
}

// TestSubmitterSigned: nothing stands in the name of an organisation that did not sign it, but for what the
// organisation signed inside.
func TestSubmitterSigned(t *testing.T) {
	w := newWorld(t, 9, 3, 3)
	trust := w.trust(nil)
	for _, c := range submitterVectors(w) {
		if got := saidOf(evidence.Verify(c.file, trust)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// saidOf is the word of a verdict, or its reservations.
func saidOf(v *evidence.Verdict) string {
	if v.Failure != nil {
		return v.Failure.Word
	}
	return strings.Join(v.Reservations, " ")
}

// saidVector is a certificate with what a verifier has to say of it.
type saidVector struct {
	name string
	file []byte
	want string // the word, or the reservations
}

// timeVectors are certificates whose clocks are far from the times of the block.
func timeVectors(w *world) (all []saidVector) {
	add := func(name, want string, change func(*shape)) {
		s := w.ordinary()
		change(&s)
		all = append(all, saidVector{name, w.encoded(w.certificate(s)), want})
	}
	vote := func(s *shape, action func(*ltlv1.Transaction)) {
		s.kind, s.clock, s.chain = 4, -86_400_000, ledger.SystemChain
		s.change = func(tx *ltlv1.Transaction) { tx.ChainId = s.chain; action(tx) }
	}
	id := make([]byte, 32)
	for _, tx := range []*ltlv1.Transaction{
		{Action: &ltlv1.Transaction_Propose{Propose: &ltlv1.Propose{NetworkId: id}}},
		{Action: &ltlv1.Transaction_Approve{Approve: &ltlv1.Approve{NetworkId: id}}},
		{Action: &ltlv1.Transaction_Reject{Reject: &ltlv1.Reject{NetworkId: id}}},
		{Action: &ltlv1.Transaction_Withdraw{Withdraw: &ltlv1.Withdraw{NetworkId: id}}},
	} {
		add(fmt.Sprintf("%T while the time is ahead", tx.Action), "not-certified time-ahead", func(s *shape) {
			vote(s, func(to *ltlv1.Transaction) { to.Action = tx.Action })
		})
	}
	add("SetDelegates while the time is ahead", "time", func(s *shape) {
		vote(s, func(tx *ltlv1.Transaction) {
			tx.Action = &ltlv1.Transaction_SetDelegates{SetDelegates: &ltlv1.SetDelegates{}}
		})
	})
	add("ActivateRules while the time is ahead", "time", func(s *shape) {
		vote(s, func(tx *ltlv1.Transaction) {
			tx.Action = &ltlv1.Transaction_ActivateRules{ActivateRules: &ltlv1.ActivateRules{}}
		})
	})
	add("Approve of a business chain", "time", func(s *shape) {
		vote(s, func(tx *ltlv1.Transaction) { tx.Action = &ltlv1.Transaction_Approve{Approve: &ltlv1.Approve{}} })
		s.chain = chain
	})
	add("Approve at the bound", "not-certified", func(s *shape) {
		vote(s, func(tx *ltlv1.Transaction) { tx.Action = &ltlv1.Transaction_Approve{Approve: &ltlv1.Approve{}} })
		s.clock = -120_000 + 5
	})
	add("clocks a minute after the block", "not-certified", func(s *shape) { s.clock = 60_005 })
	add("clocks more than a minute after the block", "not-certified time-stands", func(s *shape) { s.clock = 60_006 })
	add("a block before the reference time", "not-certified time-stands", func(s *shape) {
		s.header = func(h *ledger.Header) { h.TimeMs -= 60_010 }
		s.clock = 0
	})
	return all
}

// TestTimesOfCertificates: a vote on the network's time stays a sound proof although its clocks are far before its
// block, and nothing else does; a block far before all clocks is one of a chain whose time stood. Both are said.
func TestTimesOfCertificates(t *testing.T) {
	w := newWorld(t, 9, 3, 3)
	trust, err := evidence.ParseTrust(w.trustFile(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range timeVectors(w) {
		v := evidence.Verify(c.file, trust)
		if got := saidOf(v); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
		for _, l := range []evidence.Language{evidence.English, evidence.Chinese} {
			if text := v.Text(l); strings.Count(text, "time-") != strings.Count(c.want, "time-") {
				t.Errorf("%s: %s", c.name, text)
			}
		}
	}
}

// trustVectors are trust files at the bounds of their form.
func trustVectors(w *world) (all []trustVector) {
	good := string(w.trustFile(w.history(false)))
	add := func(name, from, to string) {
		file := strings.Replace(good, from, to, 1)
		if file == good {
			w.t.Errorf("%s: nothing was changed", name)
		}
		_, err := evidence.ParseTrust([]byte(file))
		all = append(all, trustVector{Name: name, File: file, Taken: err == nil})
	}
	key, later := keyText(w, "org1new"), `"key":"`+keyText(w, "org1new")
	node := `"key":"` + keyText(w, "node3") + `","organisation":"org1","voter":[{"from":0}`
	for _, one := range [][3]string{
		{"a restoration", `{"height"`, `{"restorations":[{"number":1,"blocks":9}],"height"`},
		{"no restoration", `{"height"`, `{"restorations":[],"height"`},
		{"a restoration of number 0", `{"height"`, `{"restorations":[{"number":0,"blocks":9}],"height"`},
		{"a restoration of no blocks", `{"height"`, `{"restorations":[{"number":1,"blocks":0}],"height"`},
		{"the largest number of a restoration", `{"height"`, `{"restorations":[{"number":4294967295,"blocks":9}],"height"`},
		{"too large a number", `{"height"`, `{"restorations":[{"number":4294967296,"blocks":9}],"height"`},
		{"restorations of one number", `{"height"`, `{"restorations":[{"number":1,"blocks":9},{"number":1,"blocks":10}],"height"`},
		{"restorations with equal blocks", `{"height"`, `{"restorations":[{"number":1,"blocks":9},{"number":2,"blocks":9}],"height"`},
		{"a restoration with a stranger", `{"height"`, `{"restorations":[{"number":1,"blocks":9,"x":1}],"height"`},
		{"white space", "{", " {"}, {"keys overlap", `"from":10`, `"from":9`},
		{"a gap between keys", `"from":10`, `"from":11`}, {"a key after one that has no end", `,"until":10`, ``},
		{"a key that ends as it begins", `"until":10`, `"until":0`}, {"untilMs below 0", `"untilMs":`, `"untilMs":-`},
		{"untilMs of 0", fmt.Sprintf(`"untilMs":%d`, clockMs+60_000), `"untilMs":0`},
		{"untilMs of a key in force", later, `"untilMs":5,` + later}, {"untilMs absent", fmt.Sprintf(`,"untilMs":%d`, clockMs+60_000), ``},
		{"a key in capitals", key, strings.ToUpper(key)}, {"a key too short", key, key[2:]},
		{"a key of y = 0", key, strings.Repeat("00", 32)}, {"a key of y = 1", key, "01" + strings.Repeat("00", 31)},
		{"a key of y = 1 and the other sign", key, "01" + strings.Repeat("00", 30) + "80"},
		{"a key of y = -1", key, "ec" + strings.Repeat("ff", 30) + "7f"},
		{"a key of y = 2^255-19", key, "ed" + strings.Repeat("ff", 30) + "7f"},
		{"a key of y = 2^255-21", key, "eb" + strings.Repeat("ff", 30) + "7f"},
		{"a key of order 8", key, "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"},
		{"a key of order 8, the other", key, "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"},
		{"a key that is no point", key, "02" + strings.Repeat("00", 31)},
		{"a key of two holders", key, keyText(w, "node1")}, {"an organisation twice", `{"id":"org3"`, `{"id":"org2"`},
		{"a node twice", `"id":"node3"`, `"id":"node2"`}, {"a node of the genesis with another id", `"id":"node3"`, `"id":"node4"`},
		{"another name of the network", `"network":"test"`, `"network":"tests"`}, {"an unknown name", `"network":`, `"extra":1,"network":`},
		{"ranges of a voter", node, node[:len(node)-1] + `,"until":3},{"from":3,"until":5},{"from":9}`},
		{"ranges of a voter overlap", node, node[:len(node)-1] + `,"until":4},{"from":3}`},
		{"a voter's range after one without end", node, node + `,{"from":3}`},
		{"no range of a voter", node, node[:len(node)-len(`{"from":0}`)]},
		{"an organisation without a key", `{"id":"org2"`, `{"id":"org4","keys":[]},{"id":"org2"`},
		{"an organisation without an id", `{"id":"org2"`, fmt.Sprintf(`{"id":"","keys":[{"from":0,"key":"%s"}]},{"id":"org2"`, "05"+strings.Repeat("00", 31))},
	} {
		add(one[0], one[1], one[2])
	}
	return all
}

// payloadVectors are payloads at the bounds of their form, as protobuf libraries make and read them.
func payloadVectors(w *world, add func(name, trust string, file []byte)) {
	for _, one := range []struct {
		name   string
		kind   int
		change func(*ltlv1.Transaction)
	}{
		{"version 2 of a payload", 0, func(tx *ltlv1.Transaction) { tx.Version = 2 }},
		{"no submitter", 0, func(tx *ltlv1.Transaction) { tx.Submitter = "" }},
		{"short nonce", 0, func(tx *ltlv1.Transaction) { tx.Nonce = tx.Nonce[1:] }},
		{"negative time", 0, func(tx *ltlv1.Transaction) { tx.CreatedMs = -1 }},
		{"negative form", 3, func(tx *ltlv1.Transaction) { tx.GetUploadPhaseData().Form = -1 }},
	} {
		c := w.certificate(shape{kind: one.kind, batch: 1, code: 200, value: "v", endorsers: w.organisations, change: one.change})
		add(one.name, "genesis", w.encoded(c))
	}
	for _, one := range [][2]string{
		{"form beyond its type", "\x18\x80\x80\x80\x80\x10\x32\x02vv"}, {"truth of 2", "\x18\x01\x20\x02\x32\x04vvvv"},
	} {
		c := w.certificate(shape{kind: 3, batch: 1, code: 200, value: "vvvv", endorsers: w.organisations})
		c.Payload = bytes.Replace(c.Payload, []byte("\x18\x01\x20\x01\x32\x04vvvv"), []byte(one[1]), 1)
		add(one[0], "genesis", w.encoded(c))
	}
}

// fileVectors are files whose JSON or version is not that of a certificate.
func fileVectors(w *world, add func(name, trust string, file []byte)) {
	plain := string(w.encoded(w.certificate(w.ordinary())))
	body := strings.TrimPrefix(strings.TrimSpace(plain), "{")
	for _, one := range [][2]string{
		{"empty", ""}, {"a list", "[]"}, {"null", "null"}, {"no certificate", "{}"},
		{"white space", " \t\r\n" + plain + "\n"}, {"byte order mark", "\ufeff" + plain}, {"two values", plain + "{}"},
		{"name twice", `{"item":0,"item":0,` + body}, {"name twice by an escape", `{"item":0,"\u0069tem":0,` + body},
		{"item 0", `{"item":0,` + body}, {"null item", `{"item":null,` + body}, {"item -0", `{"item":-0,` + body},
		{"item 0.0", `{"item":0.0,` + body}, {"item 0e0", `{"item":0e0,` + body}, {"item 00", `{"item":00,` + body},
		{"item -1", `{"item":-1,` + body}, {"unknown name", `{"other":0,` + body}, {"name in capitals", `{"Item":0,` + body},
		{"info", `{"info":{"a":[1,true,"\ud83d\ude00"]},` + body}, {"info of null", `{"info":null,` + body},
		{"info nested 7 deep", `{"info":[[[[[[[]]]]]]],` + body}, {"info nested 8 deep", `{"info":[[[[[[[[]]]]]]]],` + body},
		{"info nested 9 deep", `{"info":[[[[[[[[[]]]]]]]]],` + body}, {"a text", `"a"`}, {"a truth", "true"},
		{"half a surrogate pair", `{"info":"\ud83d",` + body}, {"raw control character", "{\"info\":\"\x01\"," + body},
		{"raw delete character", "{\"info\":\"\x7f\"," + body}, {"name twice in info", `{"info":{"a":1,"a":1},` + body},
		{"unknown escape", `{"info":"\x41",` + body}, {"comma at the end", `{"info":[1,],` + body},
		{"number too large", `{"info":9007199254740992,` + body}, {"largest number", `{"info":9007199254740991,` + body},
		{"version 2", strings.Replace(plain, "certificate/1", "certificate/2", 1)},
		{"version as a number", strings.Replace(plain, `"certificate/1"`, "1", 1)},
		{"version 2 with other names", `{"ltl":"certificate/2","new":{"x":[]}}`},
		{"info of a name like a property", `{"info":{"__proto__":1,"constructor":{}},` + body},
		{"stranger like a property", `{"__proto__":{},` + body},
	} {
		add(one[0], "genesis", []byte(one[1]))
	}
}

// noteVectors are checkpoints at the bounds of their form.
func noteVectors(w *world, add func(name, trust string, file []byte)) {
	const stranger = "\u2014 stranger AAAAAAA=\n"
	signed := func() *evidence.Certificate {
		return w.certified(w.certificate(w.ordinary()), 9, "node1", "node2", "org1", "org2")
	}
	for _, lines := range []string{
		strings.Repeat(stranger, 96), strings.Repeat(stranger, 97), "\n", "\u2014 stranger AAAAAA==\n", "\u2014 stra+nger AAAAAAA=\n",
		"\u2014 a\u00a0 AAAAAAA=\n", "\u2014 a\u0085 AAAAAAA=\n", "\u2014 a\ufeff AAAAAAA=\n", "\u2014 a\x7f AAAAAAA=\n",
		"\u2014 a b AAAAAAA=\n", "- a AAAAAAA=\n", "\u2014 a AAAAAAB=\n",
	} {
		c := signed()
		c.Checkpoint += lines
		add(fmt.Sprintf("note with %d more lines, %.30q", strings.Count(lines, "\n"), lines), "genesis", w.encoded(c))
	}
	one := signed()
	whole := one.Checkpoint
	first, _, _ := strings.Cut(whole[strings.Index(whole, "\n\n")+2:], "\n")
	for i, again := range []string{first, first[:len(first)-6] + "AAAA=="} {
		one.Checkpoint = whole + again + "\n"
		add([]string{"line twice", "line again with another signature"}[i], "genesis", w.encoded(one))
	}
	const root = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	for _, text := range []string{
		"a\n1\n" + root + "\n", "\n1\n" + root + "\n", "a\n0\n" + root + "\n", "a\n01\n" + root + "\n", "a\n+1\n" + root + "\n",
		"a\n1\n" + root + "\nmore\n", "a\n9007199254740991\n" + root + "\n", "a\n9007199254740992\n" + root + "\n",
		"a\n18446744073709551617\n" + root + "\n", "a\t\n1\n" + root + "\n", "a\r\n1\n" + root + "\n", "a\n1\n" + root[4:] + "\n",
	} {
		c := signed()
		c.Checkpoint = text + "\n" + stranger
		add(fmt.Sprintf("note of the text %.30q", text), "genesis", w.encoded(c))
	}
}

// actionVectors are payloads whose action no verifier reads, or that have not one action.
func actionVectors(w *world, add func(name, trust string, file []byte)) {
	for _, action := range []string{
		"", "\x9a\x01\x00", "\x8a\x03\x00", "\x9a\x06\x00", "\xaa\x03\x01\xff", "\xaa\x03\x02\xff", "\xa8\x03\x01", "\xa2\x01\x00",
		"\x8a\x02\x00", "\xa2\x01\x00\xaa\x01\x00", "\xfa\xff\xff\xff\x0f\x00", "\x82\x80\x80\x80\x80\x80\x01\x00",
	} {
		c := w.certificate(w.ordinary())
		before, _, _ := bytes.Cut(c.Payload, []byte("\xa2\x01"))
		c.Payload, c.Openings = append(bytes.Clone(before), action...), nil
		add(fmt.Sprintf("action %x", action), "genesis", w.encoded(c))
	}
}
