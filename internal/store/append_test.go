package store

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	"ltl/internal/verify"
	ltlv1 "ltl/proto/ltl/v1"
)

// blocks reads the blocks [from, to) in the order of execution.
func (s *Store) blocks(t testing.TB, from, to uint64) []*ltlv1.Block {
	t.Helper()
	var all []*ltlv1.Block
	for n := from; n < to; n++ {
		b, err := s.BlockAt(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.AddOpenings(b); err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return all
}

// A copy made by Append serves the same as the original, whatever the groups, and takes blocks that it has again.
func TestAppend(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), m.mixed(30))
	blocks := s.blocks(t, 0, s.Sequence())
	want := s.contents(t)
	delete(want, "head") // the applied index and AccessKeys are not on the chains
	delete(want, "keys")
	for _, group := range []int{1, 3, len(blocks)} {
		o := quiet(t)
		o.FlushEntries = 16
		c := openTest(t, t.TempDir(), o)
		if err := c.Init(m.genesis); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(blocks); i += group {
			if err := c.Append(blocks[max(0, i-1):min(i+group, len(blocks))]); err != nil {
				t.Fatal(err)
			}
		}
		got := c.contents(t)
		delete(got, "head")
		delete(got, "keys")
		if diff := equalContents(want, got); diff != "" {
			t.Fatalf("groups of %d: %s", group, diff)
		}
	}
}

// timeAt is where a header has its time.
const timeAt = 1 + 32 + ledger.ChainIDLen + 8

// mutations are blocks with one thing changed.
func mutations(t *testing.T, b *ltlv1.Block) map[string]*ltlv1.Block {
	all := make(map[string]*ltlv1.Block)
	change := func(name string, fn func(*ltlv1.Block)) {
		c := proto.Clone(b).(*ltlv1.Block)
		fn(c)
		if proto.Equal(b, c) {
			t.Fatalf("%s changes nothing", name)
		}
		all[name] = c
	}
	for i := range b.GetHeader() {
		if i >= timeAt && i < timeAt+8 {
			continue // see TestAppendCannotJudgeTime
		}
		change(fmt.Sprint("header byte ", i), func(c *ltlv1.Block) { c.Header[i] ^= 1 << (i % 8) })
	}
	change("header cut", func(c *ltlv1.Block) { c.Header = c.Header[1:] })
	change("header longer", func(c *ltlv1.Block) { c.Header = append(c.Header, 0) })
	for i := range b.GetResults() {
		change(fmt.Sprint("result ", i), func(c *ltlv1.Block) { c.Results[i]++ })
	}
	change("result added", func(c *ltlv1.Block) { c.Results = append(c.Results, 200) })
	change("batch added", func(c *ltlv1.Block) {
		c.Batches = append(c.Batches, &ltlv1.Batch{ChainId: b.GetBatches()[0].GetChainId()})
	})
	change("batch twice", func(c *ltlv1.Block) { c.Batches = append(c.Batches, c.Batches[0]) })
	change("batch gone", func(c *ltlv1.Block) { c.Batches = c.Batches[1:] })
	for i, batch := range b.GetBatches() {
		name := func(s string) string { return fmt.Sprintf("batch %d: %s", i, s) }
		change(name("other chain"), func(c *ltlv1.Block) { c.Batches[i].ChainId = ledger.SystemChain })
		change(name("transaction gone"), func(c *ltlv1.Block) { c.Batches[i].Transactions = c.Batches[i].Transactions[1:] })
		change(name("transaction added"), func(c *ltlv1.Block) { c.Batches[i].Transactions = append(c.Batches[i].Transactions, []byte{1}) })
		change(name("endorsement gone"), func(c *ltlv1.Block) { c.Batches[i].Endorsements = c.Batches[i].Endorsements[1:] })
		change(name("no endorsements"), func(c *ltlv1.Block) { c.Batches[i].Endorsements = nil })
		change(name("endorsement added"), func(c *ltlv1.Block) {
			c.Batches[i].Endorsements = append(c.Batches[i].Endorsements, &ltlv1.Endorsement{})
		})
		change(name("transaction changed"), func(c *ltlv1.Block) { c.Batches[i].Transactions[0][9] ^= 4 })
		change(name("statement changed"), func(c *ltlv1.Block) { c.Batches[i].Endorsements[1].Statement[90] ^= 4 })
		change(name("signature changed"), func(c *ltlv1.Block) { c.Batches[i].Endorsements[2].Signature[5] ^= 4 })
		if len(batch.GetTransactions()) > 1 {
			change(name("transactions swapped"), func(c *ltlv1.Block) {
				tx := c.Batches[i].Transactions
				tx[0], tx[1] = tx[1], tx[0]
			})
		}
	}
	return all
}

func TestAppendRefusesMutations(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	n := s.Sequence()
	if _, err := s.Apply([]Entry{m.ordered(m.batch(m.set(0, "1", "one"), m.set(0, "1", "refused")),
		m.batch(m.attach(0, "2", "two")))}); err != nil {
		t.Fatal(err)
	}
	block := s.blocks(t, n, n+1)[0]
	below := s.blocks(t, 0, n)
	c := openTest(t, t.TempDir(), quiet(t)) // quiet: a bad block must not be fatal
	if err := c.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	if err := c.Append(below); err != nil {
		t.Fatal(err)
	}
	before := c.contents(t)
	all := mutations(t, block)
	for name, bad := range all {
		for _, group := range [][]*ltlv1.Block{{bad}, {below[n-1], bad}} {
			err := c.Append(group)
			if !errors.Is(err, verify.ErrBadBlock) {
				t.Fatalf("%s: %v", name, err)
			}
			if len(bad.GetHeader()) == ledger.HeaderLen && !strings.Contains(err.Error(), "chain") &&
				!errors.Is(err, ledger.ErrMalformed) {
				t.Fatalf("%s: the error names no chain: %v", name, err)
			}
		}
	}
	if err := c.Append([]*ltlv1.Block{nil}); !errors.Is(err, verify.ErrBadBlock) {
		t.Fatal(err)
	}
	if diff := equalContents(before, c.contents(t)); diff != "" {
		t.Fatalf("a refused block left a trace: %s", diff)
	}
	if err := c.Append([]*ltlv1.Block{block}); err != nil {
		t.Fatal(err)
	}
	for name, bad := range all { // the same once the height is taken
		if err := c.Append([]*ltlv1.Block{bad}); !errors.Is(err, verify.ErrBadBlock) {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if c.contents(t)["tips"] != s.contents(t)["tips"] {
		t.Fatal("the copy differs")
	}
}

// A block's time and the reference time follow from its batches: nothing in a header is taken on trust.
func TestAppendJudgesTime(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), []Entry{m.entry(m.set(0, "1", "one")), m.entry(m.set(0, "2", "two"))})
	n := s.Sequence()
	blocks := s.blocks(t, 0, n)
	retimed := func(ms int64) *ltlv1.Block {
		h, err := ledger.ParseHeader(blocks[n-2].GetHeader())
		if err != nil {
			t.Fatal(err)
		}
		h.TimeMs += ms
		h.ReferenceMs = h.TimeMs
		return &ltlv1.Block{Header: h.Encode(), Batches: blocks[n-2].GetBatches(), Results: blocks[n-2].GetResults()}
	}
	c := openTest(t, t.TempDir(), quiet(t))
	if err := c.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	if err := c.Append(blocks[:n-2]); err != nil {
		t.Fatal(err)
	}
	for _, ms := range []int64{-1000, -startMs - 1, -1, 1, 4_000_000} {
		if err := c.Append([]*ltlv1.Block{retimed(ms)}); !errors.Is(err, verify.ErrBadBlock) {
			t.Fatalf("%d ms: %v", ms, err)
		}
	}
	if err := c.Append(blocks[n-2:]); err != nil {
		t.Fatal(err)
	}
}

// Blocks of other chains may not pass a system block: their system height tells.
func TestAppendOrder(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	n := s.Sequence()
	account := m.batch(m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: "3000000000000000", Name: "someone", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "o1"}}}))
	if _, err := s.Apply([]Entry{m.ordered(account, m.batch(m.set(0, "1", "one"))),
		m.ordered(m.batch(m.set(0, "2", "two")))}); err != nil {
		t.Fatal(err)
	}
	blocks := s.blocks(t, n, s.Sequence())
	c := openTest(t, t.TempDir(), quiet(t))
	if err := c.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	if err := c.Append(s.blocks(t, 0, n)); err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]int{{1}, {1, 0}, {0, 2}, {2}} {
		var group []*ltlv1.Block
		for _, i := range order {
			group = append(group, blocks[i])
		}
		if err := c.Append(group); !errors.Is(err, verify.ErrBadBlock) {
			t.Fatalf("order %v: %v", order, err)
		}
	}
	if err := c.Append(blocks); err != nil {
		t.Fatal(err)
	}
	unknown := rules.ChainBlock0(&ledger.Header{NetworkID: m.network, TimeMs: startMs, Height: 3}, "9999999999999999", 0)
	if err := c.Append([]*ltlv1.Block{unknown.Block}); !errors.Is(err, verify.ErrBadBlock) {
		t.Fatal(err)
	}
}

// What a client or peer puts beside the defined fields is not stored, so that copies agree to the byte.
func TestUnknownFieldsAreNotStored(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	n := s.Sequence()
	b := m.batch(m.set(0, "1", "one"))
	b.ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 0x01})
	b.GetEndorsements()[0].ProtoReflect().SetUnknown([]byte{0xf8, 0x07, 0x01})
	if _, err := s.Apply([]Entry{m.ordered(b)}); err != nil {
		t.Fatal(err)
	}
	stored := s.blocks(t, n, n+1)[0]
	if len(stored.GetBatches()[0].ProtoReflect().GetUnknown()) > 0 ||
		len(stored.GetBatches()[0].GetEndorsements()[0].ProtoReflect().GetUnknown()) > 0 {
		t.Fatal("unknown fields were stored")
	}
	c := openTest(t, t.TempDir(), quiet(t))
	if err := c.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	if err := c.Append(append(s.blocks(t, 0, n), stored)); err != nil {
		t.Fatal(err)
	}
}

// TestAppendKeepsTheOrderOfExecution: two good blocks of two chains in the other order are refused, so that the copy
// cannot get into an order that the ledger does not have.
func TestAppendKeepsTheOrderOfExecution(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	n := s.Sequence()
	if _, err := s.Apply([]Entry{m.ordered(m.batch(m.set(0, "1", "one")), m.batch(m.set(1, "1", "one"))),
		m.ordered(m.batch(m.set(0, "2", "two")))}); err != nil {
		t.Fatal(err)
	}
	honest := s.blocks(t, n, s.Sequence())
	c := openTest(t, t.TempDir(), quiet(t))
	if err := c.Init(m.genesis); err != nil {
		t.Fatal(err)
	}
	if err := c.Append(s.blocks(t, 0, n)); err != nil {
		t.Fatal(err)
	}
	err := c.Append(honest[1:2])
	if !errors.Is(err, verify.ErrBadBlock) || !strings.Contains(err.Error(), "in the order of execution") ||
		c.Sequence() != n {
		t.Errorf("the second block first: %v, %d blocks more", err, c.Sequence()-n)
	}
	if err := c.Append(honest); err != nil || c.Sequence() != n+3 {
		t.Errorf("the blocks in their order: %v, %d blocks more", err, c.Sequence()-n)
	}
}
