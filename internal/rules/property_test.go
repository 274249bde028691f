package rules

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
)

// model says in the plainest words what records do.
type model struct {
	kind     map[string]string // Key → "single" or "many"
	versions map[string]int
	business map[string]bool
	nonces   map[string]bool
	count    map[string]Usage // by account
	quota    uint64
}

func newModel(quota uint64) *model {
	return &model{map[string]string{}, map[string]int{}, map[string]bool{}, map[string]bool{}, map[string]Usage{}, quota}
}

// record is one attempt to write.
type record struct {
	uid, key, value, business, nonce string
	attach                           bool
	owner                            string // uid whose type code is in the key
	bad                              int32  // what the form of the key is worth
}

func (m *model) write(r record) int32 {
	if r.nonce != "" {
		if m.nonces[r.uid+r.nonce] {
			return NonceUsed
		}
		m.nonces[r.uid+r.nonce] = true
	}
	switch {
	case r.uid == freeUID:
		return Forbidden
	case r.bad != 0:
		return r.bad
	case r.owner != r.uid:
		return BadTypeCode
	case r.value == "":
		return BadValue
	case len(r.value) > 256:
		return ValueTooLong
	case r.business != "" && len(r.business) != 64:
		return OutOfRange
	}
	kind := "single"
	if r.attach {
		kind = "many"
	}
	id := r.key + " " + strings.ToLower(r.business)
	if m.kind[r.key] != "" && (kind == "single" || m.kind[r.key] == "single") || r.business != "" && m.business[id] {
		return DuplicateKey
	}
	if m.count[""].Count+1 > m.quota {
		return QuotaExceeded
	}
	m.kind[r.key] = kind
	m.versions[r.key]++
	m.business[id] = true
	for _, uid := range []string{"", r.uid} {
		u := m.count[uid]
		u.Count++
		u.Bytes += uint64(len(r.value))
		m.count[uid] = u
	}
	return OK
}

func drawRecord(rt *rapid.T, w *world) record {
	r := record{
		uid: rapid.SampledFrom([]string{m1UID, m1UID, m1UID, m2UID, rootUID, freeUID}).Draw(rt, "uid"),
		value: rapid.SampledFrom([]string{"v", "数据", strings.Repeat("v", 256), strings.Repeat("v", 257), ""}).Draw(rt,
			"value"),
		nonce: rapid.SampledFrom([]string{"", "", "", "n1", "n2"}).Draw(rt, "nonce"),
		business: rapid.SampledFrom([]string{"", business, strings.ToLower(business), strings.Repeat("0", 64),
			"short"}).Draw(rt, "business"),
		attach: rapid.Bool().Draw(rt, "attach"),
		owner:  rootUID,
	}
	if r.uid != freeUID {
		r.owner = r.uid
	}
	if rapid.IntRange(0, 9).Draw(rt, "foreign") == 0 {
		r.owner = m2UID
	}
	r.key = w.key(r.owner, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "id"))
	switch rapid.IntRange(0, 19).Draw(rt, "form") {
	case 0:
		r.key, r.bad = r.key+"_", BadKey
	case 1:
		r.key, r.bad = strings.Replace(r.key, w.chain.Code, w.chain.Code[1:], 1), BadChainCode
	case 2:
		r.key, r.bad = strings.Replace(r.key, w.chain.Code, swapCase(w.chain.Code), 1), ChainCodeDiffers
	}
	if !r.attach {
		r.business = ""
	}
	return r
}

func (w *world) payload(r record) []byte {
	tx := w.tx(r.uid, set(r.key, r.value))
	if r.attach {
		tx = w.tx(r.uid, attach(r.key, r.value, r.business))
	}
	if r.nonce != "" {
		signed(tx, r.nonce)
	}
	return marshal(w.t, tx)
}

// smallWorld has a chain with room for 12 records.
func smallWorld(t testing.TB) *world {
	w := newWorld(t)
	c := proofChain()
	c.CountQuota = 12
	w.onChain(w.must(w.operator(&ltlv1.Transaction_CreateChain{CreateChain: c}))[0].GetOutput())
	w.must(w.tx(rootUID, member(m1UID)), w.tx(rootUID, member(m2UID)))
	return w
}

// copy is the world as it is now, to go on with differently.
func (w *world) copy() *world {
	c := *w
	c.state = memory{}
	for chain, m := range w.state {
		c.state[chain] = maps.Clone(m)
	}
	c.tips = maps.Clone(w.tips)
	return &c
}

// TestModel: any sequence of records, cut into blocks anyhow and with repetitions, ends as the model says; the same
// sequence cut differently leaves the same state, but for the places of the transactions.
func TestModel(t *testing.T) {
	base := smallWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		w, other := base.copy(), base.copy()
		m := newModel(12)
		var payloads [][]byte
		want := map[ledger.Hash]int32{}
		n := rapid.IntRange(1, 40).Draw(rt, "n")
		for range n {
			if len(payloads) > 0 && rapid.IntRange(0, 7).Draw(rt, "repeat") == 0 {
				payloads = append(payloads, rapid.SampledFrom(payloads).Draw(rt, "again"))
				continue
			}
			r := drawRecord(rt, w)
			p := w.payload(r)
			want[ledger.TransactionID(p)] = m.write(r)
			payloads = append(payloads, p)
		}
		other.nonce = w.nonce
		runCut(rt, w, payloads, want, "cut")
		runCut(rt, other, payloads, want, "other cut")
		for uid, u := range m.count {
			got, err := GetUsage(w.state, w.chain.ID, uid)
			if u.Members = got.Members; err != nil || got != u {
				rt.Fatalf("usage of %q: %+v, %v, want %+v", uid, got, err, u)
			}
		}
		for key, v := range m.versions {
			l, err := LocateVersion(w.state, w.chain.ID, key, uint32(v))
			if err != nil || l == nil {
				rt.Fatalf("version %d of %s: %v, %v", v, key, l, err)
			}
			if l, err = LocateVersion(w.state, w.chain.ID, key, uint32(v+1)); err != nil || l != nil {
				rt.Fatalf("version %d of %s: %v, %v", v+1, key, l, err)
			}
		}
		if a, b := placeless(w), placeless(other); !maps.Equal(a, b) {
			rt.Fatalf("cut differently:\n%v\n%v", a, b)
		}
	})
}

// runCut executes the payloads, cut into blocks and batches, and checks every result.
func runCut(rt *rapid.T, w *world, payloads [][]byte, want map[ledger.Hash]int32, label string) {
	for len(payloads) > 0 {
		var batches []*ltlv1.Batch
		for len(payloads) > 0 {
			n := rapid.IntRange(1, len(payloads)).Draw(rt, label)
			batches = append(batches, w.batch(w.chain.ID, payloads[:n], "o1", "o2", "o3"))
			payloads = payloads[n:]
			if rapid.Bool().Draw(rt, label+" block") {
				break
			}
		}
		in := w.input(w.chain.ID, batches...)
		x, err := Execute(in, w.state, ledger.VerifyEndorsement)
		if err != nil {
			rt.Fatal(err)
		}
		if y, err := Execute(in, w.state, ledger.VerifyEndorsement); err != nil || y.Hash != x.Hash {
			rt.Fatalf("the second time %x, %v, the first time %x", y.Hash, err, x.Hash)
		}
		for i, b := range batches {
			for j, p := range b.GetTransactions() {
				if got := x.Results[i][j].GetCode(); got != want[ledger.TransactionID(p)] {
					rt.Fatalf("batch %d, transaction %d: %d, want %d", i, j, got, want[ledger.TransactionID(p)])
				}
			}
		}
		checkBlock(rt, in, x)
		w.commit(w.chain.ID, x)
	}
}

// checkBlock recomputes what a block says of itself from its parts.
func checkBlock(rt *rapid.T, in Input, x *Executed) {
	if x.Block == nil {
		if len(x.Writes)+len(x.IDs) != 0 {
			rt.Fatal("no block, but writes")
		}
		return
	}
	var outcomes []ledger.Outcome
	var hashes []ledger.Hash
	for _, b := range x.Block.GetBatches() {
		var ids []ledger.Hash
		for _, p := range b.GetTransactions() {
			ids = append(ids, ledger.TransactionID(p))
		}
		root := ledger.BatchRoot(ids)
		for _, id := range ids {
			if x.IDs[len(outcomes)] != id {
				rt.Fatal("an id is wrong")
			}
			outcomes = append(outcomes, ledger.Outcome{ID: id, Code: x.Block.GetResults()[len(outcomes)], BatchRoot: root})
		}
		hashes = append(hashes, ledger.BatchHash(root, len(ids), b.GetEndorsements()))
	}
	want := ledger.Header{
		NetworkID: in.NetworkID, ChainID: in.ChainID, Height: in.Height, TimeMs: x.Header.TimeMs, Previous: in.Previous,
		Count:  uint32(len(outcomes)),
		TxRoot: ledger.TransactionsRoot(outcomes), BatchesHash: ledger.BatchesHash(hashes),
		WritesHash: ledger.WritesHash(x.Writes), SystemHeight: in.SystemHeight,
		Sequence: in.Sequence, ReferenceMs: x.Header.ReferenceMs,
	}
	got, err := ledger.ParseHeader(x.Block.GetHeader())
	if err != nil || got != want || x.Header != want || len(x.Block.GetResults()) != len(outcomes) ||
		x.Hash != ledger.BlockHash(x.Block.GetHeader()) {
		rt.Fatalf("header %+v, %v, want %+v", got, err, want)
	}
}

// placeless is a chain's state without the places of its transactions.
func placeless(w *world) map[string]string {
	all := map[string]string{}
	for k, v := range w.state[w.chain.ID] {
		if k[0] >= 'A' && k[0] <= 'Z' {
			l, err := ParseLocator(v)
			if err != nil {
				w.t.Fatal(err)
			}
			all[k] = fmt.Sprint(l.Extra)
		} else {
			all[k] = string(v)
		}
	}
	return all
}

// TestPreviewAgrees: the endorser's dry run comes to what execution will, for any batch.
func TestPreviewAgrees(t *testing.T) {
	base := smallWorld(t)
	rapid.Check(t, func(rt *rapid.T) {
		w := base.copy()
		var payloads [][]byte
		for range rapid.IntRange(1, 30).Draw(rt, "n") {
			payloads = append(payloads, w.payload(drawRecord(rt, w)))
		}
		in := w.input(w.chain.ID, w.batch(w.chain.ID, payloads, "o1", "o2", "o3"))
		codes, err := previewCodes(in, w.now, payloads, w.state)
		if err != nil {
			rt.Fatal(err)
		}
		x, err := Execute(in, w.state, ledger.VerifyEndorsement)
		if err != nil || !equal(codes, x.Block.GetResults()) {
			rt.Fatalf("Preview %v, Execute %v, %v", codes, x.Block.GetResults(), err)
		}
		for i, p := range payloads {
			tx, err := Decode(p)
			if err != nil {
				rt.Fatal(err)
			}
			if c := Check(tx); c != OK && codes[i] == OK {
				rt.Fatalf("Check says %d of what execution takes", c)
			}
		}
	})
}
