package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// state is a rules.Reader in memory.
type state map[string][]byte

// Get implements rules.View.
func (s state) Get(chainID string, key []byte) ([]byte, error) { return s[chainID+string(key)], nil }

// Scan implements rules.Reader.
func (s state) Scan(chainID string, prefix []byte, fn func(key, value []byte) error) error {
	for _, k := range slices.Sorted(maps.Keys(s)) {
		if strings.HasPrefix(k, chainID+string(prefix)) {
			if err := fn([]byte(k[len(chainID):]), s[k]); err != nil {
				return err
			}
		}
	}
	return nil
}

// apply adds what a block wrote.
func (s state) apply(made *rules.Executed) {
	for _, w := range made.Writes {
		s[made.Header.ChainID+string(w.Key)] = w.Value
	}
}

// world is a network of one organisation: its genesis block, and the blocks made on top of it.
type world struct {
	t       *testing.T
	network ledger.Hash
	state   state
	system  Tip
	nonce   byte
}

func tipOf(made *rules.Executed) Tip {
	return Tip{ChainID: made.Header.ChainID, Header: made.Header, Hash: made.Hash}
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, state: state{}}
	genesis := offline.GenesisPayload(t, offline.Genesis("o1"))
	made, err := rules.GenesisBlock(genesis)
	if err != nil {
		t.Fatal(err)
	}
	w.network, w.system = ledger.NetworkID(genesis), tipOf(made)
	w.state.apply(made)
	return w
}

// batch is an endorsed batch of new accounts.
func (w *world) batch(uids ...string) *ltlv1.Batch { return w.batchAt(offline.StartMs, uids...) }

// batchAt is a batch whose endorsement states a clock.
func (w *world) batchAt(clockMs int64, uids ...string) *ltlv1.Batch {
	var payloads [][]byte
	for _, uid := range uids {
		w.nonce++
		nonce := sha256.Sum256([]byte{w.nonce})
		payloads = append(payloads, offline.Encode(w.t,
			&ltlv1.Transaction{Version: 1, ChainId: ledger.SystemChain, Nonce: nonce[:16],
				CreatedMs: offline.StartMs, Submitter: offline.Operator, Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
					Uid: uid, Name: "account", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "o1"}}}))
	}
	return offline.Batch(w.network, ledger.SystemChain, clockMs, payloads, offline.Signers("o1"))
}

// due describes the next block of the system chain.
func (w *world) due() rules.Input {
	h := &w.system.Header
	return Next(w.network, &w.system, h.Height, Log{Sequence: h.Sequence + 1, ReferenceMs: h.ReferenceMs})
}

// make executes batches as a node does, without storing what they write.
func (w *world) make(batches ...*ltlv1.Batch) *rules.Executed {
	w.t.Helper()
	in := w.due()
	in.Batches = batches
	made, err := rules.Execute(in, w.state, ledger.VerifyEndorsement)
	if err != nil || made.Block == nil {
		w.t.Fatal("execute:", err)
	}
	return made
}

// execute verifies a block on top of the world.
func (w *world) execute(b *ltlv1.Block) error {
	h, err := Header(b)
	if err != nil {
		return err
	}
	_, err = Execute(&h, b, w.due(), w.state, ledger.VerifyEndorsement)
	return err
}

// reheaded returns the block with a changed header, whose roots may be wrong or right.
func reheaded(t *testing.T, b *ltlv1.Block, change func(h *ledger.Header)) *ltlv1.Block {
	t.Helper()
	h, err := ledger.ParseHeader(b.GetHeader())
	if err != nil {
		t.Fatal(err)
	}
	change(&h)
	c := proto.CloneOf(b)
	c.Header = h.Encode()
	return c
}

// reroot gives a changed block the roots that its content has: only execution can tell that it is wrong.
func reroot(h *ledger.Header, b *ltlv1.Block) {
	var outcomes []ledger.Outcome
	var hashes []ledger.Hash
	for _, batch := range b.GetBatches() {
		var ids []ledger.Hash
		for _, payload := range batch.GetTransactions() {
			ids = append(ids, ledger.TransactionID(payload))
		}
		root := ledger.BatchRoot(ids)
		hashes = append(hashes, ledger.BatchHash(root, len(ids), batch.GetEndorsements()))
		for _, id := range ids {
			outcomes = append(outcomes, ledger.Outcome{ID: id, Code: b.GetResults()[len(outcomes)], BatchRoot: root})
		}
	}
	h.Count, h.TxRoot, h.BatchesHash = uint32(len(outcomes)), ledger.TransactionsRoot(outcomes), ledger.BatchesHash(hashes)
}

func TestExecute(t *testing.T) {
	w := newWorld(t)
	b := w.make(w.batchAt(offline.StartMs+5, "1000000000000001", "1000000000000002"), w.batch("1000000000000001")).Block
	if got := b.GetResults(); got[0] != rules.OK || got[1] != rules.OK || got[2] == rules.OK {
		t.Fatalf("results %v", got)
	}
	if err := w.execute(b); err != nil {
		t.Fatalf("the right block: %v", err)
	}
	wrong := func(name string, c *ltlv1.Block, says string) {
		t.Helper()
		if err := w.execute(c); !errors.Is(err, ErrBadBlock) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]struct {
		change func(h *ledger.Header)
		says   string
	}{
		"network":        {func(h *ledger.Header) { h.NetworkID[3]++ }, "it is of network"},
		"height":         {func(h *ledger.Header) { h.Height++ }, "out of order"},
		"previous":       {func(h *ledger.Header) { h.Previous[3]++ }, "it extends block"},
		"time back":      {func(h *ledger.Header) { h.TimeMs = offline.StartMs - 1 }, "its time is"},
		"time":           {func(h *ledger.Header) { h.TimeMs++ }, "its time is"},
		"system height":  {func(h *ledger.Header) { h.SystemHeight++ }, "system height"},
		"sequence":       {func(h *ledger.Header) { h.Sequence++ }, "in the order of execution"},
		"reference back": {func(h *ledger.Header) { h.ReferenceMs = offline.StartMs - 1 }, "its reference time is"},
		"reference":      {func(h *ledger.Header) { h.ReferenceMs++ }, "its reference time is"},
		"count":          {func(h *ledger.Header) { h.Count++ }, "its count"},
		"root":           {func(h *ledger.Header) { h.TxRoot[0]++ }, "its transaction root"},
		"batches":        {func(h *ledger.Header) { h.BatchesHash[0]++ }, "its hash of batches"},
		"writes":         {func(h *ledger.Header) { h.WritesHash[0]++ }, "its hash of writes"},
	} {
		wrong(name, reheaded(t, b, c.change), c.says)
	}
	for name, change := range map[string]func(c *ltlv1.Block){
		"a refused transaction is accepted": func(c *ltlv1.Block) { c.Results[2] = rules.OK },
		"an accepted one is refused":        func(c *ltlv1.Block) { c.Results[0] = rules.Conflict },
		"no endorsements":                   func(c *ltlv1.Block) { c.Batches[0].Endorsements = nil },
		"a signature changed":               func(c *ltlv1.Block) { c.Batches[0].Endorsements[0].Signature[5] ^= 4 },
		"a batch is gone":                   func(c *ltlv1.Block) { c.Batches, c.Results = c.Batches[:1], c.Results[:2] },
		"a batch stands twice": func(c *ltlv1.Block) {
			c.Batches, c.Results = append(c.Batches, c.Batches[1]), append(c.Results, c.Results[2])
		},
	} {
		c := proto.CloneOf(b)
		change(c)
		c = reheaded(t, c, func(h *ledger.Header) { reroot(h, c) })
		h, err := Header(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := Content(&h, c, nil); err != nil {
			t.Errorf("%s: the content belongs to the header: %v", name, err)
		}
		wrong(name, c, "block 1 of chain "+ledger.SystemChain)
	}
}

// TestExecuteAboveNewerRules: a block that this program is too old for is not a bad block.
func TestExecuteAboveNewerRules(t *testing.T) {
	w := newWorld(t)
	b := w.make(w.batch("1000000000000001")).Block
	fails := errors.New("the disk is gone")
	h, _ := Header(b)
	if _, err := Execute(&h, b, w.due(), failingView{fails}, ledger.VerifyEndorsement); err == nil {
		t.Error("a block is right although the state cannot be read")
	}
	if _, err := Execute(&h, b, w.due(), failingView{rules.ErrNewerRules}, ledger.VerifyEndorsement); !errors.Is(err,
		rules.ErrNewerRules) || errors.Is(err, ErrBadBlock) {
		t.Errorf("under newer rules: %v", err)
	}
}

// failingView is a rules.View that cannot be read.
type failingView struct{ err error }

// Get implements rules.View.
func (v failingView) Get(string, []byte) ([]byte, error) { return nil, v.err }

func TestContentAndIs(t *testing.T) {
	w := newWorld(t)
	made := w.make(w.batch("1000000000000001", "1000000000000002"), w.batch("1000000000000003"))
	b := made.Block
	if err := Is(b, made.Hash); err != nil {
		t.Fatal(err)
	}
	other := made.Hash
	other[0]++
	if err := Is(b, other); !errors.Is(err, ErrBadBlock) {
		t.Errorf("another hash: %v", err)
	}
	for name, change := range map[string]func(c *ltlv1.Block){
		"result":            func(c *ltlv1.Block) { c.Results[1]++ },
		"result added":      func(c *ltlv1.Block) { c.Results = append(c.Results, 200) },
		"transaction":       func(c *ltlv1.Block) { c.Batches[0].Transactions[1][9] ^= 4 },
		"transactions swap": func(c *ltlv1.Block) { tx := c.Batches[0].Transactions; tx[0], tx[1] = tx[1], tx[0] },
		"endorsement":       func(c *ltlv1.Block) { c.Batches[1].Endorsements[0].Signature[9] ^= 4 },
		"batch of no content": func(c *ltlv1.Block) {
			c.Batches = append(c.Batches,
				&ltlv1.Batch{ChainId: ledger.SystemChain})
		},
		"batch elsewhere": func(c *ltlv1.Block) { c.Batches[1].ChainId = "9999999999999999" },
		"header":          func(c *ltlv1.Block) { c.Header[40] ^= 1 },
		"header cut":      func(c *ltlv1.Block) { c.Header = c.Header[1:] },
	} {
		c := proto.CloneOf(b)
		change(c)
		if err := Is(c, made.Hash); !errors.Is(err, ErrBadBlock) {
			t.Errorf("%s: %v", name, err)
		}
	}
	seen := ""
	stop := errors.New("stop")
	err := Content(&made.Header, b, func(id ledger.Hash, index uint32, code int32) error {
		if id != made.IDs[index] {
			t.Errorf("transaction %d is %x", index, id)
		}
		seen += fmt.Sprint(index, " ", code, " ")
		if index == 1 {
			return stop
		}
		return nil
	})
	if !errors.Is(err, stop) || seen != "0 200 1 200 " {
		t.Errorf("each: %v after %q", err, seen)
	}
}

func TestOrder(t *testing.T) {
	network := ledger.Hash{1}
	const a, b = "1111111111111111", "2222222222222222"
	hash := func(n byte) ledger.Hash { return ledger.Hash{n} }
	sequence := uint64(0)
	header := func(chain string, height uint64, previous byte, timeMs int64, system uint64) ledger.Header {
		h := ledger.Header{NetworkID: network, ChainID: chain, Height: height, TimeMs: timeMs, SystemHeight: system,
			Sequence: sequence, ReferenceMs: timeMs}
		if height > 0 {
			h.Previous = hash(previous)
		}
		return h
	}
	o := NewOrder(network, nil)
	add := func(h ledger.Header, n byte) {
		t.Helper()
		if err := o.Add(&h, hash(n)); err != nil {
			t.Fatal(err)
		}
		sequence++
	}
	add(header(ledger.SystemChain, 0, 0, 5, 0), 10)
	add(header(ledger.SystemChain, 1, 10, 5, 1), 11)
	add(header(a, 0, 0, 5, 1), 20)
	add(header(a, 1, 20, 7, 1), 21)
	refuse := func(h ledger.Header) {
		t.Helper()
		if err := o.Add(&h, hash(99)); !errors.Is(err, ErrBadBlock) {
			t.Errorf("%+v: %v", h, err)
		}
	}
	refuse(header(a, 1, 20, 7, 1))                  // again
	refuse(header(a, 3, 21, 7, 1))                  // a gap
	refuse(header(a, 2, 20, 7, 1))                  // another block below
	refuse(header(a, 2, 21, 6, 1))                  // back in time
	refuse(header(a, 2, 21, 7, 0))                  // before a system block that came earlier
	refuse(header(ledger.SystemChain, 2, 11, 7, 1)) // a system block is made at its own height
	refuse(header(b, 1, 20, 7, 1))                  // a chain begins with block 0
	for name, change := range map[string]func(h *ledger.Header){
		"sequence left out": func(h *ledger.Header) { h.Sequence++ },
		"sequence again":    func(h *ledger.Header) { h.Sequence-- },
		"reference back":    func(h *ledger.Header) { h.ReferenceMs-- },
	} {
		h := header(a, 2, 21, 7, 1)
		change(&h)
		if err := o.Add(&h, hash(99)); !errors.Is(err, ErrBadBlock) {
			t.Errorf("%s: %v", name, err)
		}
	}
	foreign := header(a, 2, 21, 7, 1)
	foreign.NetworkID[0]++
	refuse(foreign)
	if due := o.Due(a); due.Height != 2 || due.Previous != hash(21) || due.PreviousTimeMs != 7 {
		t.Errorf("refused blocks moved the chain: %+v", due)
	}
	o.AddUnread(a)
	sequence++
	refuse(header(a, 3, 50, 6, 1))
	add(header(a, 3, 50, 7, 1), 23) // what it extends is not known
	refuse(header(a, 4, 50, 7, 1))
	add(header(a, 4, 23, 7, 1), 24)

}

// TestOrderCorrected: the reference time goes back in the system block that corrects the time and nowhere else, and each
// chain's time once after it.
func TestOrderCorrected(t *testing.T) {
	network := ledger.Hash{1}
	const a, b = "1111111111111111", "2222222222222222"
	heights, hashes := map[string]uint64{}, map[string]ledger.Hash{}
	var sequence uint64
	header := func(chain string, timeMs, reference int64) ledger.Header {
		h := ledger.Header{NetworkID: network, ChainID: chain, Height: heights[chain], Previous: hashes[chain],
			TimeMs: timeMs, ReferenceMs: reference, Sequence: sequence, SystemHeight: heights[ledger.SystemChain] - 1}
		if chain == ledger.SystemChain {
			h.SystemHeight = h.Height
		}
		return h
	}
	o := NewOrder(network, []rules.TimeCorrection{{Height: 2, ToMs: 50}, {Height: 9, ToMs: 1}})
	add := func(chain string, timeMs, reference int64) {
		t.Helper()
		h := header(chain, timeMs, reference)
		hash := ledger.BlockHash(h.Encode())
		if err := o.Add(&h, hash); err != nil {
			t.Fatal(err)
		}
		heights[chain]++
		hashes[chain] = hash
		sequence++
	}
	refuse := func(what, chain string, timeMs, reference int64) {
		t.Helper()
		h := header(chain, timeMs, reference)
		if err := o.Add(&h, ledger.Hash{9}); !errors.Is(err, ErrBadBlock) {
			t.Errorf("%s: %v", what, err)
		}
	}
	add(ledger.SystemChain, 10, 10)
	add(ledger.SystemChain, 10, 10)
	add(a, 10, 10)
	add(a, 1000, 1000)
	refuse("a business chain corrects the time", a, 1000, 50)
	refuse("the correction has another time", ledger.SystemChain, 1000, 51)
	refuse("the correction has none", ledger.SystemChain, 1000, 1000)
	refuse("its own time goes back", ledger.SystemChain, 9, 50)
	add(ledger.SystemChain, 1000, 50)
	refuse("a reference time before the correction's", a, 60, 49)
	refuse("a time before the correction's", a, 49, 60)
	add(b, 1000, 50) // block 0, made with the correction
	refuse("a time before it, above block 0", b, 49, 60)
	add(b, 55, 55)
	add(a, 60, 60)
	refuse("back again", a, 59, 60)
	refuse("back again, the other chain", b, 54, 60)
	refuse("a second correction that there was not", ledger.SystemChain, 70, 59)
	add(ledger.SystemChain, 50, 60)
	refuse("back again, the system chain", ledger.SystemChain, 49, 60)
}

// TestOrderCorrectedUnread: the block of the correction cannot be read, and those above it fit all the same.
func TestOrderCorrectedUnread(t *testing.T) {
	network := ledger.Hash{1}
	genesis := ledger.Header{NetworkID: network, ChainID: ledger.SystemChain, TimeMs: 900, ReferenceMs: 900}
	next := ledger.Header{NetworkID: network, ChainID: ledger.SystemChain, Height: 2, SystemHeight: 2, Sequence: 2, TimeMs: 50,
		ReferenceMs: 50}
	for to, want := range map[int64]bool{50: true, 51: false} {
		o := NewOrder(network, []rules.TimeCorrection{{Height: 1, ToMs: to}})
		if err := o.Add(&genesis, ledger.Hash{2}); err != nil {
			t.Fatal(err)
		}
		o.AddUnread(ledger.SystemChain)
		if err := o.Add(&next, ledger.Hash{3}); (err == nil) != want {
			t.Errorf("corrected to %d: %v", to, err)
		}
	}
}
