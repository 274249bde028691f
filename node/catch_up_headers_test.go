package node

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/raft"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/query"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// rewritten is a ledger of the same transactions as l's, endorsed at other times: every block is valid alone, and is
// none of l's.
func rewritten(t *testing.T, l *lone) *store.Store {
	t.Helper()
	db := openStore(t, l.world, filepath.Join(l.dir, "rewritten"), l.endorsements)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	for n := uint64(1); n < l.store.Sequence(); n++ {
		b, err := l.store.BlockAt(n)
		if err != nil {
			t.Fatal(err)
		}
		if len(b.GetBatches()) == 0 {
			continue // block 0 of a chain is made with the block that creates the chain
		}
		var batches []*ltlv1.Batch
		for _, old := range b.GetBatches() {
			batches = append(batches, offline.Batch(l.world.network, old.GetChainId(), endorsedMs+1, old.GetTransactions(),
				l.world.signers))
		}
		entry := &ltlv1.Entry{Entry: &ltlv1.Entry_Batches{Batches: &ltlv1.OrderedBatches{Batches: batches}}}
		if _, err := db.Apply([]store.Entry{{Index: n, Entry: entry}}); err != nil {
			t.Fatal(err)
		}
	}
	if db.Sequence() != l.store.Sequence() {
		t.Fatalf("%d blocks were rewritten, want %d", db.Sequence(), l.store.Sequence())
	}
	return db
}

// peersOf serves stores under names, and counts what each was asked for.
type peersOf struct {
	headers, blocks map[raft.ServerID]*store.Store
	mu              sync.Mutex
	gaveBlocks      map[raft.ServerID]int
}

func (p *peersOf) fetch(_ context.Context, peer raft.ServerID, from uint64, headersOnly bool,
	fn func(uint64, *ltlv1.Block) error) error {
	s := p.blocks[peer]
	if headersOnly {
		s = p.headers[peer]
	}
	for n := from; ; n++ {
		b, err := s.BlockAt(n)
		if err != nil {
			return err
		}
		if headersOnly {
			b = &ltlv1.Block{Header: b.GetHeader()}
		} else {
			p.mu.Lock()
			p.gaveBlocks[peer]++
			p.mu.Unlock()
		}
		if err := fn(n, b); err != nil {
			return err
		}
	}
}

// TestCatchUpFromWrongPeers: a peer with another history of the same endorsed batches, which execution reproduces,
// gets no block of it into the ledger: neither when it shows its own headers, nor when it shows the right ones first.
// Where this ledger itself differs, it stops.
func TestCatchUpFromWrongPeers(t *testing.T) {
	for _, c := range []wrongPeersCase{
		{"another history", []raft.ServerID{"liar", "honest"}, false, []raft.ServerID{"liar"}, nil},
		{"another history behind the right headers", []raft.ServerID{"turncoat", "liar", "honest"}, false, nil, nil},
		{"the honest one first", []raft.ServerID{"honest", "liar"}, false, []raft.ServerID{"liar"}, nil},
		{"this ledger", []raft.ServerID{"liar", "honest"}, true, []raft.ServerID{"liar", "honest"}, errDiverged},
	} {
		t.Run(c.what, func(t *testing.T) {
			runLone(t, c.run)
		})
	}
}

// wrongPeersCase is a catch-up from peers, some of which have another history of the same batches.
type wrongPeersCase struct {
	what    string
	peers   []raft.ServerID
	own     bool            // this ledger has the other history
	none    []raft.ServerID // peers that must not be asked for a block, because their headers are wrong
	stopped error
}

func (c wrongPeersCase) run(t *testing.T, l *lone) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 20 {
		if _, err := l.submit(l.world.batch(l.world.chain, l.world.record(rng, "x"))); err != nil {
			t.Fatal(err)
		}
	}
	target, err := newTarget(l.store)
	if err != nil {
		t.Fatal(err)
	}
	other := rewritten(t, l)
	db := openStore(t, l.world, filepath.Join(l.dir, "other"), l.endorsements)
	defer db.Close()
	if c.own {
		for n := range other.Sequence() / 2 {
			b, err := other.BlockAt(n)
			if err == nil {
				err = db.Append([]*ltlv1.Block{b})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	peers := &peersOf{
		headers:    map[raft.ServerID]*store.Store{"honest": l.store, "turncoat": l.store, "liar": other},
		blocks:     map[raft.ServerID]*store.Store{"honest": l.store, "turncoat": other, "liar": other},
		gaveBlocks: map[raft.ServerID]int{},
	}
	p := dependencies{id: "me", store: db, dir: t.TempDir(), fetch: peers.fetch, logger: quiet()}
	for _, id := range c.peers {
		p.servers = append(p.servers, raft.Server{ID: id})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var halted error
	u := newCatchUp(ctx, &p, func(err error) error { halted = err; cancel(); return err })
	before := db.Sequence()
	if err := u.start(target); err != nil {
		t.Fatal(err)
	}
	err = u.wait(ctx)
	cancel()
	u.close()
	if c.stopped != nil {
		if !errors.Is(halted, c.stopped) || db.Sequence() != before {
			t.Errorf("it ends with %v, and %d blocks more; want %v and none", halted, db.Sequence()-before, c.stopped)
		}
	} else if err := errors.Join(err, halted, target.check(db)); err != nil || db.AppliedIndex() != target.applied {
		t.Errorf("applied %d, want %d: %v", db.AppliedIndex(), target.applied, err)
	}
	for _, id := range c.none {
		if n := peers.gaveBlocks[id]; n > 0 {
			t.Errorf("%s was asked for %d blocks", id, n)
		}
	}
	for _, id := range []raft.ServerID{"turncoat", "liar"} {
		if n := peers.gaveBlocks[id]; n > 1 {
			t.Errorf("%s was asked for %d blocks, want none after the first", id, n)
		}
	}
}

// TestHeaderLinks: headers that leave one out, or repeat one, are the peer's fault and never this ledger's.
func TestHeaderLinks(t *testing.T) {
	chain := []ledger.Header{{ChainID: "1000000000000001"}}
	for i := range 5 {
		h := chain[i]
		chain = append(chain, ledger.Header{ChainID: h.ChainID, Height: h.Height + 1, Sequence: h.Sequence + 1,
			Previous: ledger.BlockHash(h.Encode())})
	}
	tip := func(i int) targetTip {
		return targetTip{id: chain[i].ChainID, height: chain[i].Height, hash: ledger.BlockHash(chain[i].Encode())}
	}
	alien := targetTip{id: chain[0].ChainID, height: 1, hash: ledger.Hash{1}}
	for _, c := range []struct {
		what string
		own  []targetTip
		send []int
		want error
	}{
		{"all", nil, []int{0, 1, 2, 3, 4, 5}, nil},
		{"the rest", []targetTip{tip(2)}, []int{3, 4, 5}, nil},
		{"nothing is missing", []targetTip{tip(5)}, nil, nil},
		{"one left out", []targetTip{tip(2)}, []int{3, 5}, errWrongBlocks},
		{"the first left out", []targetTip{tip(2)}, []int{4, 5}, errWrongBlocks},
		{"one twice", []targetTip{tip(2)}, []int{3, 3, 4, 5}, errWrongBlocks},
		{"too few", []targetTip{tip(2)}, []int{3, 4}, errWrongBlocks},
		{"none", []targetTip{tip(2)}, nil, errWrongBlocks},
		{"a chain from its middle", nil, []int{3, 4, 5}, errWrongBlocks},
		{"this ledger is another", []targetTip{alien}, []int{2, 3, 4, 5}, errDiverged},
		{"this ledger is another, and one is left out", []targetTip{alien}, []int{2, 4, 5}, errWrongBlocks},
		{"this ledger is another, and the end is not reached", []targetTip{alien}, []int{2, 3}, errWrongBlocks},
	} {
		l := newHeaderLinks(c.own)
		var err error
		for n, i := range c.send {
			sequence := uint64(n)
			if len(c.own) > 0 {
				sequence += c.own[0].height + 1
			}
			if _, addErr := l.add(sequence, chain[i].Encode()); addErr != nil && err == nil {
				err = addErr
			}
		}
		if err == nil {
			err = l.checkEnd([]targetTip{tip(5)})
		}
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
	if _, err := newHeaderLinks(nil).add(0, []byte("short")); !errors.Is(err, errWrongBlocks) {
		t.Errorf("no header: %v", err)
	}
}

// TestHeaderLinksKeepTheOrder: headers of two chains in another order than that of their execution are the peer's
// fault, although each continues its own chain.
func TestHeaderLinksKeepTheOrder(t *testing.T) {
	a := ledger.Header{ChainID: "1000000000000001", Sequence: 4}
	b := ledger.Header{ChainID: "1000000000000002", Sequence: 5}
	l := newHeaderLinks(nil)
	if _, err := l.add(4, b.Encode()); !errors.Is(err, errWrongBlocks) {
		t.Errorf("the second block first: %v, want %v", err, errWrongBlocks)
	}
	for i, h := range []ledger.Header{a, b} {
		if _, err := l.add(uint64(4+i), h.Encode()); err != nil {
			t.Error(err)
		}
	}
}

// followStream keeps what a server sends, and ends after a number of messages.
type followStream struct {
	grpc.ServerStream
	ctx  context.Context
	want int
	got  []*ltlv1.FollowResponse
}

func (f *followStream) Context() context.Context { return f.ctx }

func (f *followStream) Send(m *ltlv1.FollowResponse) error {
	if f.got = append(f.got, m); len(f.got) == f.want {
		return errFetched
	}
	return nil
}

// TestFollowHeadersOnly: the headers are those of the blocks, and come without them.
func TestFollowHeadersOnly(t *testing.T) {
	runLone(t, func(t *testing.T, l *lone) {
		if _, err := l.submit(l.world.batch(l.world.chain, l.world.record(rand.New(rand.NewPCG(9, 9)), "x"))); err != nil {
			t.Fatal(err)
		}
		n := int(l.store.Sequence())
		stream := &followStream{ctx: t.Context(), want: n}
		if err := query.New(l.store, query.Options{}).Follow(&ltlv1.FollowRequest{HeadersOnly: true},
			stream); !errors.Is(err, errFetched) {
			t.Fatal(err)
		}
		for i, m := range stream.got {
			b, err := l.store.BlockAt(uint64(i))
			if err != nil || m.GetSequence() != uint64(i) || !proto.Equal(m.GetBlock(), &ltlv1.Block{Header: b.GetHeader()}) {
				t.Errorf("sequence %d: %v, %v", i, m, err)
			}
		}
	})
}
