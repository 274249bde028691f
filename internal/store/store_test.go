package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRoundTrip(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	o := quiet(t)
	o.NoSync, o.FlushEntries = false, 32
	s := m.filled(dir, o, m.mixed(30))
	if s.db.NoSync || s.db.NoGrowSync || s.index.noSync {
		t.Fatal("the store does not sync")
	}
	if err := s.Verify(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	before := s.contents(t)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(ledger.SystemChain, []byte("g")); !errors.Is(err, ErrClosed) {
		t.Fatalf("Get after Close: %v", err)
	}
	again := openTest(t, dir, o)
	if diff := equalContents(before, again.contents(t)); diff != "" {
		t.Fatal(diff)
	}
	last := uint64(0)
	if err := again.Verify(context.Background(), func(done, total uint64) { last = done*1000 + total }); err != nil {
		t.Fatal(err)
	}
	if n := again.Sequence(); last != n*1001 {
		t.Fatalf("progress ended at %d for %d blocks", last, n)
	}
}

func TestInit(t *testing.T) {
	s := openTest(t, t.TempDir(), quiet(t))
	if _, err := s.Apply([]Entry{{Index: 1}}); !errors.Is(err, ErrNotInitialised) {
		t.Fatal(err)
	}
	if err := s.Append([]*ltlv1.Block{{}}); !errors.Is(err, ErrNotInitialised) {
		t.Fatal(err)
	}
	if err := s.Init([]byte("nonsense")); err == nil {
		t.Fatal("nonsense is a genesis")
	}
	payload := genesisPayload(t, "one")
	for range 2 {
		if err := s.Init(payload); err != nil {
			t.Fatal(err)
		}
	}
	if s.Sequence() != 1 || s.NetworkID() != ledger.NetworkID(payload) {
		t.Fatal("sequence", s.Sequence())
	}
	if err := s.Init(genesisPayload(t, "two")); !errors.Is(err, ErrOtherNetwork) {
		t.Fatal(err)
	}
}

func TestSecondOpenIsRefused(t *testing.T) {
	dir := t.TempDir()
	openTest(t, dir, quiet(t))
	if s, err := Open(dir, quiet(t)); err == nil {
		_ = s.Close()
		t.Fatal("two stores in one directory")
	}
}

// Known transactions are answered with the first result, block hash and time included, and entries are applied once.
func TestDuplicatesAndReplay(t *testing.T) {
	m := newMaker(t)
	b := m.batch(m.set(0, "x", "value"), m.attach(0, "y", "value"))
	e := m.ordered(b)
	s := m.filled(t.TempDir(), quiet(t), nil)
	first, err := s.Apply([]Entry{e})
	if err != nil {
		t.Fatal(err)
	}
	n, applied := s.Sequence(), s.AppliedIndex()
	again, err := s.Apply([]Entry{e})
	if err != nil || again[0].Results != nil || s.Sequence() != n {
		t.Fatal("an entry was applied twice", err)
	}
	wholly, err := s.Apply([]Entry{m.ordered(b)})
	if err != nil || s.Sequence() != n || s.AppliedIndex() == applied {
		t.Fatal("a known batch made a block", err)
	}
	partly, err := s.Apply([]Entry{m.ordered(b, m.batch(m.set(0, "z", "value")))})
	if err != nil || s.Sequence() != n+1 {
		t.Fatal(err)
	}
	for i, r := range first[0].Results[0] {
		if r.GetCode() != rules.OK || len(r.GetBlockHash()) != 32 || r.GetTimeMs() == 0 {
			t.Fatal(r)
		}
		if !proto.Equal(r, wholly[0].Results[0][i]) || !proto.Equal(r, partly[0].Results[0][i]) {
			t.Fatalf("first %v\nthen %v\nand %v", r, wholly[0].Results[0][i], partly[0].Results[0][i])
		}
	}
	tip, _ := s.Tip(m.chains[0].ID)
	if z := partly[0].Results[1][0]; ledger.Hash(z.GetBlockHash()) != tip.Hash || z.GetBlockHeight() != tip.Header.Height {
		t.Fatal(z)
	}
}

// The order of chains in an entry: the system chain first, the others by their first batch; one block per chain.
func TestOrderInEntry(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	start := s.Sequence()
	account := m.batch(m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: "3000000000000000", Name: "someone", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "o1"}}}))
	chain := m.batch(m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateChain{CreateChain: &ltlv1.CreateChain{Name: "third-chain", Service: ltlv1.ChainService_CHAIN_SERVICE_PROOF, AdministratorUid: rootUID}}}))
	r, err := s.Apply([]Entry{m.ordered(m.batch(m.set(1, "x", "1")), account, m.batch(m.set(0, "x", "2")),
		m.batch(m.set(1, "y", "3")), chain, &ltlv1.Batch{ChainId: "bad"},
		&ltlv1.Batch{ChainId: "9999999999999999", Transactions: [][]byte{{1}, {2}}})})
	if err != nil {
		t.Fatal(err)
	}
	created := r[0].Results[4][0].GetOutput()
	want := []string{ledger.SystemChain, created, m.chains[1].ID, m.chains[0].ID}
	if got := s.Sequence(); got != start+uint64(len(want)) {
		t.Fatalf("%d blocks", got-start)
	}
	for i, id := range want {
		b, err := s.BlockAt(start + uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		h, _ := ledger.ParseHeader(b.GetHeader())
		system, _ := s.Tip(ledger.SystemChain)
		if h.ChainID != id || h.SystemHeight != system.Header.Height {
			t.Fatalf("block %d is of chain %s at system height %d", i, h.ChainID, h.SystemHeight)
		}
	}
	if r[0].Results[0][0].GetBlockHeight() != r[0].Results[3][0].GetBlockHeight() || len(r[0].Results[5]) != 0 {
		t.Fatal("one chain made two blocks")
	}
	for _, unknown := range r[0].Results[6] {
		if unknown.GetCode() != rules.NotFound {
			t.Fatal(unknown)
		}
	}
}

// However entries are grouped into transactions, the ledger is the same to the byte.
func TestGroupingDoesNotMatter(t *testing.T) {
	m := newMaker(t)
	entries := append(append([]Entry(nil), m.setup...), m.mixed(40)...)
	var want map[string]string
	for _, group := range []int{1, 7, len(entries)} {
		o := quiet(t)
		o.FlushEntries = 20 * group
		s := openTest(t, t.TempDir(), o)
		if err := s.Init(m.genesis); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(entries); i += group {
			from := max(0, i-2) // overlap, as after a restart
			if _, err := s.Apply(entries[from:min(i+group, len(entries))]); err != nil {
				t.Fatal(err)
			}
		}
		got := s.contents(t)
		if want == nil {
			want = got
		} else if diff := equalContents(want, got); diff != "" {
			t.Fatalf("groups of %d: %s", group, diff)
		}
	}
}

func TestReads(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	id := m.chains[0].ID
	one, two := m.batch(m.set(0, "1", "one")), m.batch(m.set(0, "2", "two"), m.set(0, "2", "refused"))
	if _, err := s.Apply([]Entry{m.ordered(one, two)}); err != nil {
		t.Fatal(err)
	}
	two.Openings = nil // they are stored beside it
	tip, _ := s.Tip(id)
	payload, result, batch, header, hash, err := s.Transaction(id, tip.Header.Height, 2)
	if err != nil || string(payload) != string(two.GetTransactions()[1]) || result != rules.DuplicateKey ||
		!proto.Equal(batch, two) || header != tip.Header || hash != tip.Hash {
		t.Fatal(result, err)
	}
	for name, err := range map[string]error{
		"beyond the tip":   second(s.Block(id, tip.Header.Height+1)),
		"unknown chain":    second(s.Block("9999999999999999", 0)),
		"unknown sequence": second(s.BlockAt(s.Sequence())),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, _, _, _, err := s.Transaction(id, tip.Header.Height, 3); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	for _, key := range []string{"T", "m/no-member", "zzz"} {
		for _, chain := range []string{id, "9999999999999999", "bad"} {
			if v, err := s.Get(chain, []byte(key)); v != nil || err != nil {
				t.Error(key, v, err)
			}
		}
	}
	if err := s.Scan(id, []byte("K"), nil); err == nil {
		t.Error("an indexed class was scanned")
	}
	stop := errors.New("stop")
	if err := s.Scan(ledger.SystemChain, []byte("o/"), func(_, _ []byte) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}

func second[T any](_ T, err error) error { return err }

// A scan longer than a page sees every key once, in order.
func TestScanPages(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	n := 2*scanKeys + 3
	for i := 0; i < n; {
		var txs []*ltlv1.Transaction
		for ; i < n && len(txs) < 500; i++ {
			txs = append(txs, m.system(&ltlv1.Transaction{Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{Uid: fmt.Sprintf("30000000000%05d", i), Name: "someone", Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "o1"}}}))
		}
		if _, err := s.Apply([]Entry{m.entry(txs...)}); err != nil {
			t.Fatal(err)
		}
	}
	last, seen := "", 0
	if err := s.Scan(ledger.SystemChain, []byte("a/3"), func(k, _ []byte) error {
		if string(k) <= last {
			t.Fatalf("%q after %q", k, last)
		}
		last = string(k)
		seen++
		return nil
	}); err != nil || seen != n {
		t.Fatal(seen, err)
	}
}

func TestWaiters(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	n, index := s.Sequence(), s.AppliedIndex()
	done := make(chan error, 3)
	go func() { done <- s.WaitSequence(ctx, n+1) }()
	go func() { done <- s.WaitApplied(ctx, index+3) }()
	go func() { done <- s.WaitAccessKeys(ctx, 0) }()
	if _, err := s.Apply([]Entry{m.entry(m.set(0, "1", "one")), m.accessKey("k")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	short, stop := context.WithCancel(ctx)
	stop()
	if err := s.WaitSequence(short, n+100); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	go func() { done <- s.WaitSequence(ctx, n+100) }()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
}

func TestAccessKeys(t *testing.T) {
	m := newMaker(t)
	dir := t.TempDir()
	s := m.filled(dir, quiet(t), nil)
	var entries []Entry
	for i := range 25 {
		entries = append(entries, m.accessKey(fmt.Sprint("key", i%10)))
	}
	entries = append(entries, m.accessKey(""), m.accessKey("unknown"), m.accessKey("key1"))
	entries[27].Entry.GetSealed().Sealed = []byte("sealed key2") // the ledger commits to other bytes
	r, err := s.Apply(entries)
	if err != nil || r[24].SealedCode != rules.OK || r[25].SealedCode != rules.NotFound ||
		r[26].SealedCode != rules.NotFound || r[27].SealedCode != rules.Conflict {
		t.Fatal(r, err)
	}
	check := func(s *Store) {
		t.Helper()
		var all []*ltlv1.SealedKey
		after := uint64(0)
		for {
			page, newest, err := s.AccessKeys(after, 3)
			if err != nil || newest != 25 {
				t.Fatal(newest, err)
			}
			if len(page) == 0 {
				break
			}
			all, after = append(all, page...), page[len(page)-1].GetVersion()
		}
		if len(all) != 10 {
			t.Fatalf("%d keys", len(all))
		}
		for i, k := range all {
			if k.GetVersion() != uint64(16+i) || k.GetAccessKeyId() != fmt.Sprint("key", (15+i)%10) ||
				string(k.GetSealed()) != "sealed "+k.GetAccessKeyId() {
				t.Fatal(k)
			}
		}
	}
	check(s)
	keys, _, err := s.AccessKeys(0, 100)
	if err != nil {
		t.Fatal(err)
	}
	second := m.filled(t.TempDir(), quiet(t), []Entry{m.accessKey("gone")})
	if err := second.RestoreAccessKeys(keys); err != nil {
		t.Fatal(err)
	}
	check(second)
	if err := second.RestoreAccessKeys(append(keys, keys[0])); !errors.Is(err, ErrBadAccessKeys) {
		t.Fatal(err)
	}
	if err := second.SetApplied(12345); err != nil || second.AppliedIndex() != 12345 {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	check(openTest(t, dir, quiet(t)))
}

// TestBlockHash: the hash of every block is that of its header, and above the tip there is none.
func TestBlockHash(t *testing.T) {
	m := newMaker(t)
	s := m.filled(t.TempDir(), quiet(t), m.mixed(6))
	for _, tip := range s.Tips() {
		for height := range tip.Header.Height + 1 {
			b, err := s.Block(tip.ChainID, height)
			if err != nil {
				t.Fatal(err)
			}
			if hash, err := s.BlockHash(tip.ChainID, height); err != nil || hash != ledger.BlockHash(b.GetHeader()) {
				t.Errorf("block %d of chain %s: %x, %v", height, tip.ChainID, hash, err)
			}
		}
		if _, err := s.BlockHash(tip.ChainID, tip.Header.Height+1); !errors.Is(err, ErrNotFound) {
			t.Errorf("above the tip of chain %s: %v", tip.ChainID, err)
		}
	}
	if _, err := s.BlockHash("9999999999999999", 0); !errors.Is(err, ErrNotFound) {
		t.Errorf("a chain that does not exist: %v", err)
	}
}
