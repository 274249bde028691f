package rules

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"testing"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// codes executes one batch and returns the codes of its results, after checking that Admit agrees about endorsement.
func (w *world) codes(b *ltlv1.Batch) []int32 {
	w.t.Helper()
	in := w.input(b.GetChainId(), w.values.Open(b))
	x, err := Execute(in, w.state, ledger.VerifyEndorsement)
	if err != nil {
		w.t.Fatal(err)
	}
	admitted, err := Admit(in, w.state, ledger.VerifyEndorsement)
	if err != nil {
		w.t.Fatal(err)
	}
	codes := make([]int32, len(x.Results[0]))
	for i, r := range x.Results[0] {
		codes[i] = r.GetCode()
		refused := codes[i] == NotEndorsed || codes[i] == EndorsementExpired || codes[i] == Malformed ||
			codes[i] == NotFound || codes[i] == ClocksDisagree || codes[i] == TooFewClocks
		if refused && admitted.Codes[i] != codes[i] || !refused && admitted.Codes[i] != OK {
			w.t.Errorf("transaction %d: Admit says %d, Execute %d", i, admitted.Codes[i], codes[i])
		}
	}
	return codes
}

func TestWhichEndorsementsCount(t *testing.T) {
	w := newWorld(t)
	payloads := [][]byte{marshal(t, w.tx(m1UID, set(w.key(m1UID, "id"), "v")))}
	late := w.ahead()
	for _, c := range []struct {
		what   string
		change func(*ledger.Endorsement)
		want   int32
	}{
		{"as it is", func(*ledger.Endorsement) {}, OK},
		{"another network", func(s *ledger.Endorsement) { s.NetworkID[0]++ }, NotEndorsed},
		{"another chain", func(s *ledger.Endorsement) { s.ChainID = "1234567890123456" }, NotEndorsed},
		{"another root", func(s *ledger.Endorsement) { s.Root[0]++ }, NotEndorsed},
		{"another count", func(s *ledger.Endorsement) { s.Count++ }, NotEndorsed},
		{"another key", func(s *ledger.Endorsement) { s.KeyID[0]++ }, NotEndorsed},
		{"another organisation", func(s *ledger.Endorsement) { s.Organisation = "o3" }, NotEndorsed},
		{"an unknown organisation", func(s *ledger.Endorsement) { s.Organisation = "o9" }, NotEndorsed},
		{"not accepted", func(s *ledger.Endorsement) { s.Accepted = []byte{0} }, NotEndorsed},
		{"expires now", func(s *ledger.Endorsement) { s.ClockMs = late + 1 }, OK},
		{"expired", func(s *ledger.Endorsement) { s.ClockMs = late }, EndorsementExpired},
		{"expired and not accepted", func(s *ledger.Endorsement) { s.ClockMs, s.Accepted = late, []byte{0} },
			NotEndorsed},
		{"this height", func(s *ledger.Endorsement) { s.Height++ }, OK},
		{"a height to come", func(s *ledger.Endorsement) { s.Height += 2 }, NotEndorsed},
		{"a system height to come", func(s *ledger.Endorsement) { s.SystemHeight++ }, NotEndorsed},
		{"an old height", func(s *ledger.Endorsement) { s.Height, s.SystemHeight = 0, 0 }, OK},
	} {
		b := w.batch(w.chain.ID, payloads, "o1")
		s := w.statement(b, "o2")
		c.change(s)
		b.Endorsements = append(b.Endorsements, s.Sign(w.keys["o2"]))
		if got := w.codes(b); got[0] != c.want {
			t.Errorf("%s: %d, want %d", c.what, got[0], c.want)
		}
	}
	b := w.batch(w.chain.ID, payloads, "o1", "o2")
	b.Endorsements[1].Signature[0]++
	if got := w.codes(b); got[0] != NotEndorsed {
		t.Errorf("a wrong signature: %d", got[0])
	}
	b = w.batch(w.chain.ID, payloads, "o1", "o1", "o1")
	if got := w.codes(b); got[0] != NotEndorsed {
		t.Errorf("one organisation three times: %d", got[0])
	}
	// Enough are right, but one beside them is not: readers of the block would take it for a signature.
	forged := w.statement(b, "o3").Sign(w.keys["o2"])
	foreign := w.statement(w.batch(w.chain.ID, [][]byte{payloads[0], payloads[0]}, "o1"), "o3").Sign(w.keys["o3"])
	early := w.statement(b, "o3")
	early.Height, early.SystemHeight = 1<<40, 1<<40
	b = w.batch(w.chain.ID, payloads, "o1", "o2")
	b.Endorsements = append(b.Endorsements, early.Sign(w.keys["o3"]))
	if got := w.codes(b); got[0] != OK {
		t.Errorf("with one of a height to come beside them: %d", got[0])
	}
	for i, noise := range []*ltlv1.Endorsement{nil, {}, {Statement: []byte("x")}, forged, foreign} {
		for _, first := range []bool{true, false} {
			b = w.batch(w.chain.ID, payloads, "o1", "o2")
			if first {
				b.Endorsements = append([]*ltlv1.Endorsement{noise}, b.Endorsements...)
			} else {
				b.Endorsements = append(b.Endorsements, noise)
			}
			if got := w.codes(b); got[0] != NotEndorsed {
				t.Errorf("with noise %d beside them: %d", i, got[0])
			}
		}
	}
	b = w.batch(w.chain.ID, payloads, slices.Repeat([]string{"o1", "o2"}, MaxEndorsements/2)...)
	if got := w.codes(b); got[0] != OK {
		t.Errorf("as many as may be: %d", got[0])
	}
	b.Endorsements = append(b.Endorsements, b.Endorsements[0])
	if got := w.codes(b); got[0] != NotEndorsed {
		t.Errorf("one too many: %d", got[0])
	}
}

func TestPolicyInForce(t *testing.T) {
	for _, c := range []struct {
		policy string
		orgs   []string
		signed string
		want   int32 // for a transaction of o1's administrator
	}{
		{"", nil, "o1 o2", OK}, {"", nil, "o2 o3", NotEndorsed}, {"", nil, "o1", NotEndorsed},
		{"any", nil, "o1", OK}, {"any", nil, "o2 o3", NotEndorsed}, {"any", []string{"o1", "o2"}, "o3", NotEndorsed},
		{"all", nil, "o1 o2", NotEndorsed}, {"all", nil, "o1 o2 o3", OK}, {"all", []string{"o1", "o2"}, "o1 o2", OK},
		{"2-of", nil, "o1 o3", OK}, {"2-of", nil, "o2 o3", NotEndorsed}, {"2-of(o2,o3)", nil, "o2 o3", NotEndorsed},
		{"2-of(o2,o3)", nil, "o1 o2 o3", OK}, {"2-of(o1,o2)", nil, "o1 o3", NotEndorsed},
		{"majority", nil, "o2 o3", NotEndorsed}, {"org(o3)", nil, "o3", NotEndorsed}, {"org(o3)", nil, "o1 o3", OK},
		{"org(o3) & submitter", nil, "o1 o3", OK},
	} {
		w := newWorld(t)
		chain := proofChain()
		chain.Policy, chain.Organisations = c.policy, c.orgs
		w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: chain}))[0].GetOutput())
		p := marshal(t, w.tx(rootUID, set(w.key(rootUID, "id"), "v")))
		var signed []string
		for _, o := range []string{"o1", "o2", "o3"} {
			for i := 0; i+2 <= len(c.signed); i += 3 {
				if c.signed[i:i+2] == o {
					signed = append(signed, o)
				}
			}
		}
		if got := w.codes(w.batch(w.chain.ID, [][]byte{p}, signed...)); got[0] != c.want {
			t.Errorf("policy %q of %v, signed %v: %d, want %d", c.policy, c.orgs, signed, got[0], c.want)
		}
	}
}

// TestPartlyAccepted: each transaction of a batch stands for itself, and its submitter's organisation with it.
func TestPartlyAccepted(t *testing.T) {
	w := newWorld(t)
	second := func(id string) []byte {
		tx := w.tx(m2UID, set(w.key(m2UID, id), "v"))
		tx.Submitter = "o2/client/c"
		return marshal(t, tx)
	}
	payloads := [][]byte{
		marshal(t, w.tx(m1UID, set(w.key(m1UID, "0"), "v"))),
		second("1"),
		marshal(t, w.tx(m1UID, set(w.key(m1UID, "2"), "v"))),
		[]byte("noise"),
		second("4"),
	}
	b := w.batch(w.chain.ID, payloads, "o3")
	s1, s2 := w.statement(b, "o1"), w.statement(b, "o2")
	s1.Accepted = ledger.Bitmap([]bool{true, true, false, true, false})
	s2.Accepted = ledger.Bitmap([]bool{false, true, true, true, true})
	s2.ClockMs = w.ahead()
	b.Endorsements = append(b.Endorsements, s1.Sign(w.keys["o1"]), s2.Sign(w.keys["o2"]))
	// 0: o1, o3. 1: o1, o3 and o2 too late, of whom o2 is the submitter's. 2: o3, o2 too late. 4: o3, o2 too late.
	want := []int32{OK, EndorsementExpired, NotEndorsed, Malformed, EndorsementExpired}
	if got := w.codes(b); !equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	x := w.execute(w.chain.ID, b)
	for i, k := range payloads {
		id := ledger.TransactionID(k)
		found := false
		for _, wr := range x.Writes {
			found = found || string(wr.Key) == string(TransactionKey(id))
		}
		if found != (want[i] == OK) {
			t.Errorf("transaction %d wrote its id: %v", i, found)
		}
	}
	if !equal(x.Block.GetResults(), want) || x.Header.Count != 5 || len(x.IDs) != 5 {
		t.Errorf("block %v", x.Block.GetResults())
	}
}

// TestNeighboursDiffer: the judgement of one transaction is not that of its neighbour, whichever part of it differs.
func TestNeighboursDiffer(t *testing.T) {
	w := newWorld(t)
	var payloads [][]byte
	for i := range 4 {
		payloads = append(payloads, marshal(t, w.tx(m1UID, set(w.key(m1UID, fmt.Sprint(i)), "v"))))
	}
	b := w.batch(w.chain.ID, payloads, "o1")
	inTime, tardy := w.statement(b, "o3"), w.statement(b, "o2")
	inTime.Accepted = ledger.Bitmap([]bool{true, false, false, true})
	tardy.Accepted, tardy.ClockMs = ledger.Bitmap([]bool{true, true, false, true}), w.ahead()
	b.Endorsements = append(b.Endorsements, inTime.Sign(w.keys["o3"]), tardy.Sign(w.keys["o2"]))
	if got, want := w.codes(b), []int32{OK, EndorsementExpired, NotEndorsed, OK}; !equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}

	// Submitters that take turns.
	payloads = nil
	var want []int32
	for i := range 6 {
		tx := w.tx(m1UID, set(w.key(m1UID, fmt.Sprint("turn", i)), "v"))
		tx.Submitter = []string{"o1/client/a", "o2/client/b"}[i%2]
		payloads = append(payloads, marshal(t, tx))
		want = append(want, []int32{OK, NotEntitled}[i%2])
	}
	if got := w.codes(w.batch(w.chain.ID, payloads, "o1", "o2")); !equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	// Noise twice is not known the second time.
	noise := w.batch(w.chain.ID, [][]byte{[]byte("x"), []byte("x")}, "o1", "o2")
	if got := w.execute(w.chain.ID, noise, noise).Block.GetResults(); !equal(got,
		[]int32{Malformed, Malformed, Malformed, Malformed}) {
		t.Errorf("noise: %v", got)
	}
	late := w.batch(w.chain.ID, [][]byte{payloads[0]})
	for _, o := range []string{"o1", "o2"} {
		s := w.statement(late, o)
		s.ClockMs = startMs - EndorsementLifeMs - 1
		late.Endorsements = append(late.Endorsements, s.Sign(w.keys[o]))
	}
	if got := w.execute(w.chain.ID, late, w.batch(w.chain.ID, payloads[:1], "o1", "o2")).Block.GetResults(); !equal(got,
		[]int32{EndorsementExpired, OK}) {
		t.Errorf("late, then in time: %v", got)
	}
}

func TestKnownTransactions(t *testing.T) {
	w := newWorld(t)
	pay := func(id string) []byte { return marshal(t, w.tx(m1UID, attach(w.key(m1UID, id), "v", ""))) }
	a, b, c := pay("a"), pay("b"), pay("c")
	taken := w.key(m1UID, "taken")
	w.must(w.tx(m1UID, set(taken, "v")))
	refused := marshal(t, w.tx(m1UID, set(taken, "v")))
	batch := w.batch(w.chain.ID, [][]byte{a, b, refused}, "o1", "o2")
	first := w.execute(w.chain.ID, batch)
	w.commit(w.chain.ID, first)

	// All known: nothing to store, the first results again; endorsements do not matter.
	again := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{refused, b, a}))
	if again.Block != nil || len(again.IDs) != 0 || len(again.Writes) != 0 {
		t.Errorf("a known batch made a block: %v", again.Block)
	}
	for i, j := range []int{2, 1, 0} {
		g, f := again.Results[0][i], first.Results[0][j]
		if g.GetCode() != f.GetCode() || g.GetBlockHeight() != f.GetBlockHeight() ||
			g.GetTransactionIndex() != f.GetTransactionIndex() ||
			g.GetOutput() != f.GetOutput() || g.GetChainId() != w.chain.ID {
			t.Errorf("result %v, the first time %v", g, f)
		}
	}
	if first.Results[0][2].GetCode() != DuplicateKey || first.Results[0][0].GetOutput() == "" ||
		string(first.Results[0][0].GetBlockHash()) != string(first.Hash[:]) {
		t.Errorf("first results %v", first.Results[0])
	}

	// Partly known: the block says Duplicate, the caller gets the first result.
	mixed := w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{b, c, c}, "o1", "o2"))
	if !equal(mixed.Block.GetResults(), []int32{Duplicate, OK, Duplicate}) {
		t.Errorf("block %v", mixed.Block.GetResults())
	}
	r := mixed.Results[0]
	if r[0].GetCode() != OK || r[0].GetBlockHeight() != first.Header.Height || r[0].GetTransactionIndex() != 1 ||
		r[1].GetTransactionIndex() != 1 ||
		r[1].GetBlockHeight() != mixed.Header.Height || r[2].GetTransactionIndex() != 1 || r[2].GetCode() != OK {
		t.Errorf("results %v", r)
	}

	// The same batch twice in one block: the second is left out.
	two := w.batch(w.chain.ID, [][]byte{c}, "o1", "o2")
	x := w.execute(w.chain.ID, two, two, w.batch(w.chain.ID, nil), batch)
	if len(x.Block.GetBatches()) != 1 || len(x.Results) != 4 || x.Results[1][0].GetTransactionIndex() != 0 ||
		x.Results[3][1].GetBlockHeight() != first.Header.Height {
		t.Errorf("batches %d, results %v", len(x.Block.GetBatches()), x.Results)
	}
	// What was not endorsed is not known: it may come again with endorsements.
	x = w.execute(w.chain.ID, w.batch(w.chain.ID, [][]byte{c}), two)
	if !equal(x.Block.GetResults(), []int32{NotEndorsed, OK}) || x.Results[0][0].GetCode() != NotEndorsed {
		t.Errorf("block %v", x.Block.GetResults())
	}
	codes, err := previewCodes(w.input(w.chain.ID), w.now, [][]byte{a, c, c, []byte("x")}, w.state)
	if err != nil || !equal(codes, []int32{Duplicate, OK, Duplicate, Malformed}) {
		t.Errorf("Preview %v, %v", codes, err)
	}
	// Known transactions are let through to execution, whatever their endorsements.
	admitted, err := Admit(w.input(w.chain.ID, w.batch(w.chain.ID, [][]byte{a, c})), w.state, ledger.VerifyEndorsement)
	if err != nil || !equal(admitted.Codes, []int32{OK, NotEndorsed}) {
		t.Errorf("Admit %+v, %v", admitted, err)
	}
}

// TestLastingOutputs: every retry returns the output of the first execution.
func TestLastingOutputs(t *testing.T) {
	w := newWorld(t)
	for _, tx := range []*ltlv1.Transaction{
		w.operator(account2("")), w.operator(&ltlv1.Transaction_CreateChain{CreateChain: proofChain()}),
		w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: offline.Invitation(w.id, offline.Organisation("o4"))}),
		w.tx(rootUID, member(freeUID)), w.tx(m1UID, attach(w.key(m1UID, "k"), "v", "")), w.tx(m1UID,
			attach(w.key(m1UID, "k"), "v", business)),
	} {
		r := w.must(tx)[0]
		x := w.execute(tx.GetChainId(), w.batch(tx.GetChainId(), [][]byte{marshal(t, tx)}))
		if x.Block != nil || r.GetOutput() == "" || x.Results[0][0].GetOutput() != r.GetOutput() {
			t.Errorf("%T: %q, then %v", tx.GetAction(), r.GetOutput(), x.Results[0])
		}
	}
}

func TestOversizeBatch(t *testing.T) {
	w := newWorld(t)
	var payloads [][]byte
	for range MaxBatch/MaxTransaction + 1 {
		payloads = append(payloads, make([]byte, MaxTransaction))
	}
	payloads = append(payloads, marshal(t, w.tx(m1UID, set(w.key(m1UID, "id"), "v"))))
	for i, c := range w.codes(w.batch(w.chain.ID, payloads, "o1", "o2")) {
		if c != Malformed {
			t.Errorf("transaction %d of an oversize batch: %d", i, c)
		}
	}
}

func TestUnknownChain(t *testing.T) {
	w := newWorld(t)
	tx := w.tx(m1UID, set(w.key(m1UID, "id"), "v"))
	tx.ChainId = "1234567890123456"
	p := marshal(t, tx)
	if got := w.codes(w.batch(tx.ChainId, [][]byte{p}, "o1", "o2")); !equal(got, []int32{NotFound}) {
		t.Errorf("%v", got)
	}
	if codes, err := previewCodes(w.input(tx.ChainId), w.now, [][]byte{p}, w.state); err != nil ||
		!equal(codes, []int32{NotFound}) {
		t.Errorf("Preview %v, %v", codes, err)
	}
}

func TestBrokenInvariants(t *testing.T) {
	w := newWorld(t)
	in := w.input(w.chain.ID, w.batch("1234567890123456", nil))
	if _, err := Execute(in, w.state, ledger.VerifyEndorsement); !errors.Is(err, ErrInvariant) {
		t.Errorf("a batch for another chain: %v", err)
	}
	in = w.input(w.chain.ID)
	in.Height = 0
	if _, err := Execute(in, w.state, ledger.VerifyEndorsement); !errors.Is(err, ErrInvariant) {
		t.Errorf("height 0: %v", err)
	}
	if _, err := Execute(w.input(ledger.SystemChain), memory{}, ledger.VerifyEndorsement); !errors.Is(err, ErrInvariant) {
		t.Errorf("no genesis: %v", err)
	}
	if _, err := Admit(w.input(w.chain.ID), w.state, ledger.VerifyEndorsement); !errors.Is(err, ErrInvariant) {
		t.Errorf("nothing to admit: %v", err)
	}
}

var errDisk = errors.New("disk")

// failing is a View that fails at the n-th read.
type failing struct {
	View
	left *int
}

func (f failing) Get(chainID string, key []byte) ([]byte, error) {
	if *f.left--; *f.left < 0 {
		return nil, errDisk
	}
	return f.View.Get(chainID, key)
}

// TestViewErrors: whichever read fails, nothing is decided.
func TestViewErrors(t *testing.T) {
	w := newWorld(t)
	request := w.tx(m1UID, attach(w.key(m1UID, "k"), "v", business))
	request.AccessKeyId, request.SignatureNonce = keyOf(m1UID), "n"
	w.must(w.tx(m1UID, attach(w.key(m1UID, "k"), "v", "")))
	batches := []*ltlv1.Batch{
		w.batch(w.chain.ID, [][]byte{marshal(t, request), marshal(t, w.tx(m1UID, set(w.key(m1UID, "s"), "v"))),
			marshal(t, w.tx(rootUID, member(freeUID)))}, "o1", "o2"),
		w.batch(ledger.SystemChain, [][]byte{
			marshal(t, w.operator(account2(""))), marshal(t, w.operator(account2("1234567890123456"))),
			marshal(t, w.operator(&ltlv1.Transaction_CreateChain{CreateChain: proofChain()})),
			marshal(t, w.operator(&ltlv1.Transaction_CreateOrganisation{CreateOrganisation: offline.Invitation(w.id, offline.Organisation("o4"))})),
		}, "o1", "o2"),
	}
	for _, b := range batches {
		in := w.input(b.GetChainId(), b)
		for what, run := range map[string]func(View) error{
			"Execute": func(v View) error { _, err := Execute(in, v, ledger.VerifyEndorsement); return err },
			"Preview": func(v View) error { _, err := previewCodes(in, w.now, b.GetTransactions(), v); return err },
			"Admit":   func(v View) error { _, err := Admit(in, v, ledger.VerifyEndorsement); return err },
		} {
			reads := 0
			for n := 0; ; n++ {
				left := n
				err := run(failing{w.state, &left})
				if left >= 0 {
					if err != nil {
						t.Errorf("%s with %d reads: %v", what, n, err)
					}
					break
				}
				if !errors.Is(err, errDisk) {
					t.Fatalf("%s: read %d failed, and the answer is %v", what, n, err)
				}
				reads++
			}
			if reads < 3 {
				t.Errorf("%s read %d times", what, reads)
			}
		}
	}
}

// TestCorruptState: bytes that do not parse stop execution too.
func TestCorruptState(t *testing.T) {
	w := newWorld(t)
	tx := w.tx(m1UID, attach(w.key(m1UID, "k"), "v", business))
	signed(tx, "n")
	w.must(w.tx(m1UID, attach(w.key(m1UID, "k"), "v", "")))
	p := marshal(t, tx)
	for _, k := range []struct{ chain, key string }{
		{ledger.SystemChain, prefixChain + w.chain.ID}, {ledger.SystemChain, prefixAccount + m1UID}, {ledger.SystemChain,
			prefixOrganisation + "o2"}, {ledger.SystemChain, accessKeyKey(keyOf(m1UID))},
		{w.chain.ID, prefixMember + m1UID}, {w.chain.ID, prefixUsage}, {w.chain.ID, prefixUsage + m1UID},
		{w.chain.ID, string(NewestKey(w.key(m1UID, "k")))}, {w.chain.ID, string(TransactionKey(ledger.TransactionID(p)))},
		{w.chain.ID, string(appendNonceKey(nil, keyOf(m1UID), "n"))}, {w.chain.ID, string(BusinessKey(w.key(m1UID, "k"), business))},
	} {
		good, had := w.state[k.chain][k.key]
		w.state[k.chain][k.key] = []byte("?")
		_, err := Execute(w.input(w.chain.ID, w.batch(w.chain.ID, [][]byte{p}, "o1", "o2")), w.state,
			ledger.VerifyEndorsement)
		if !errors.Is(err, ErrState) {
			t.Errorf("key %q: %v", k.key, err)
		}
		delete(w.state[k.chain], k.key)
		if had {
			w.state[k.chain][k.key] = good
		}
	}
}

func TestTimeNeverGoesBack(t *testing.T) {
	w := newWorld(t)
	w.now += 5000
	w.must(w.tx(m1UID, set(w.key(m1UID, "1"), "v")))
	w.now -= 4000
	r := w.must(w.tx(m1UID, set(w.key(m1UID, "2"), "v")))
	if r[0].GetTimeMs() != startMs+5000 {
		t.Errorf("block time %d, want that of the block below", r[0].GetTimeMs())
	}
}

// TestVerifyIsAskedOnce: one signature check an endorsement and batch, none for endorsements that cannot count.
func TestVerifyIsAskedOnce(t *testing.T) {
	w := newWorld(t)
	var payloads [][]byte
	for i := range 10 {
		payloads = append(payloads, marshal(t, w.tx(m1UID, set(w.key(m1UID, fmt.Sprint(i)), "v"))))
	}
	b := w.batch(w.chain.ID, payloads, "o1", "o2", "o3")
	late := w.statement(b, "o1")
	late.Root[0]++
	b.Endorsements = append(b.Endorsements, late.Sign(w.keys["o1"]))
	asked := 0
	verify := func(key ed25519.PublicKey, e *ltlv1.Endorsement) error {
		asked++
		return ledger.VerifyEndorsement(key, e)
	}
	if _, err := Execute(w.input(w.chain.ID, b), w.state, verify); err != nil || asked != 3 {
		t.Errorf("%d checks, %v", asked, err)
	}
}

func TestChainBlock0(t *testing.T) {
	by := &ledger.Header{NetworkID: ledger.Hash{1}, TimeMs: 99, Height: 7, ReferenceMs: 101}
	x := ChainBlock0(by, "1234567890123456", 5)
	h, err := ledger.ParseHeader(x.Block.GetHeader())
	if err != nil || h != x.Header || h.Height != 0 || h.TimeMs != 99 || h.SystemHeight != 7 || h.Count != 0 ||
		h.Sequence != 5 || h.ReferenceMs != 101 ||
		h.ChainID != "1234567890123456" ||
		h.Previous != (ledger.Hash{}) || x.Hash != ledger.BlockHash(x.Block.GetHeader()) ||
		len(x.Writes)+len(x.Results)+len(x.IDs) != 0 {
		t.Errorf("%+v, %v", x, err)
	}
}

// TestGatheredEndorsements: one statement stands for batches of two chains, and counts on each as one of its own does.
func TestGatheredEndorsements(t *testing.T) {
	w := newWorld(t)
	batches := []*ltlv1.Batch{
		{ChainId: w.chain.ID, Transactions: [][]byte{marshal(t, w.tx(m1UID, set(w.key(m1UID, "a"), "v")))}},
		{ChainId: ledger.SystemChain, Transactions: [][]byte{
			marshal(t, w.operator(account("1000000000000077", "o1", ltlv1.AccountType_ACCOUNT_TYPE_RAM)))}},
		{ChainId: w.chain.ID, Transactions: [][]byte{marshal(t, w.tx(m1UID, set(w.key(m1UID, "b"), "v")))}},
	}
	for _, o := range []string{"o1", "o2", "o3"} {
		var all []*ledger.Endorsement
		for _, b := range batches {
			all = append(all, w.statement(b, o))
		}
		for i, e := range ledger.Gather(w.keys[o], all...) {
			batches[i].Endorsements = append(batches[i].Endorsements, e)
		}
	}
	for i, b := range batches {
		if got := w.codes(b); got[0] != OK {
			t.Errorf("batch %d: %d", i, got[0])
		}
	}
	// The endorsements of one batch do not count for another one, not even on the same chain.
	batches[0].Endorsements = batches[2].Endorsements
	if got := w.codes(batches[0]); got[0] != NotEndorsed {
		t.Errorf("with the endorsements of another batch: %d", got[0])
	}
}
