package client_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// fakeBlocks makes a chain of n blocks with one record each.
func fakeBlocks(t *testing.T, network ledger.Hash, n int) []*ltlv1.Block {
	t.Helper()
	var blocks []*ltlv1.Block
	var previous ledger.Hash
	for i := range n {
		values := offline.Values{}
		tx := values.Commit(record("a", fmt.Sprint(i)))
		tx.Version, tx.Nonce = 1, make([]byte, rules.NonceLen)
		payload, err := proto.MarshalOptions{Deterministic: true}.Marshal(tx)
		if err != nil {
			t.Fatal(err)
		}
		id := ledger.TransactionID(payload)
		root := ledger.BatchRoot([]ledger.Hash{id})
		h := ledger.Header{
			NetworkID: network, ChainID: testChain, Height: uint64(i), Sequence: uint64(i),
			TimeMs: int64(1000 + i), Previous: previous, Count: 1,
			TxRoot:      ledger.TransactionsRoot([]ledger.Outcome{{ID: id, Code: rules.OK, BatchRoot: root}}),
			BatchesHash: ledger.BatchesHash([]ledger.Hash{ledger.BatchHash(root, 1, nil)}),
		}
		b := &ltlv1.Block{
			Header: h.Encode(), Results: []int32{rules.OK},
			Batches: []*ltlv1.Batch{values.Open(&ltlv1.Batch{ChainId: testChain, Transactions: [][]byte{payload}})},
		}
		previous = ledger.BlockHash(b.GetHeader())
		blocks = append(blocks, b)
	}
	return blocks
}

func (n *fakeNode) Follow(in *ltlv1.FollowRequest, s ltlv1.Ledger_FollowServer) error {
	stream := n.follow.Load()
	if stream == nil {
		return status.Error(codes.Unavailable, "down")
	}
	return (*stream)(in, s)
}

// follows makes a node stream these blocks.
func (n *fakeNode) follows(blocks []*ltlv1.Block, breakOff int) *atomic.Int32 {
	var calls atomic.Int32
	stream := func(in *ltlv1.FollowRequest, s ltlv1.Ledger_FollowServer) error {
		calls.Add(1)
		for i := in.GetFromSequence(); i < uint64(len(blocks)); i++ {
			if i == uint64(breakOff) {
				return status.Error(codes.Unavailable, "this node breaks off")
			}
			if err := s.Send(&ltlv1.FollowResponse{Sequence: i, Block: blocks[i]}); err != nil {
				return err
			}
		}
		<-s.Context().Done()
		return s.Context().Err()
	}
	n.follow.Store(&stream)
	return &calls
}

// TestFollow: every block arrives once and in order, though one node breaks off and another one sends a block of
// another chain of hashes.
func TestFollow(t *testing.T) {
	f := startFake(t, 3, "any")
	good := fakeBlocks(t, f.trust.NetworkID(), 6)
	other := fakeBlocks(t, ledger.Hash{1}, 6)
	forged := append(append([]*ltlv1.Block{}, good[:3]...), other[3:]...)
	f.nodes[0].follows(good, 2)
	liar := f.nodes[1].follows(forged, -1)
	f.nodes[2].follows(good, -1)
	enough := errors.New("enough")
	var seen []string
	err := f.client(nil).Ledger().Follow(t.Context(), 1, func(sequence uint64, b *client.Block) error {
		seen = append(seen, fmt.Sprintf("%d:%d:%s", sequence, b.Height,
			valueOf(b.Transactions[0].Transaction)))
		if b.Transactions[0].Code != client.CodeOK || b.Time.UnixMilli() != int64(1000+b.Height) || b.ChainID != testChain {
			t.Errorf("block %+v", b)
		}
		if sequence == 5 {
			return enough
		}
		return nil
	})
	if want := "[1:1:1 2:2:2 3:3:3 4:4:4 5:5:5]"; !errors.Is(err, enough) || fmt.Sprint(seen) != want {
		t.Errorf("saw %v, error %v; want %s", seen, err, want)
	}
	if liar.Load() == 0 {
		t.Error("the node with the forged block was not asked")
	}
}

// TestParseBlockRefuses: a block whose content was changed does not match its header.
func TestParseBlockRefuses(t *testing.T) {
	for name, change := range map[string]func(b *ltlv1.Block){
		"no header":    func(b *ltlv1.Block) { b.Header = nil },
		"no result":    func(b *ltlv1.Block) { b.Results = nil },
		"other result": func(b *ltlv1.Block) { b.Results[0] = rules.Forbidden },
		"no batch":     func(b *ltlv1.Block) { b.Batches = nil },
		"endorsement":  func(b *ltlv1.Block) { b.Batches[0].Endorsements = []*ltlv1.Endorsement{{Statement: []byte("s")}} },
		"garbage":      func(b *ltlv1.Block) { b.Batches[0].Transactions[0] = []byte{0xff} },
	} {
		b := fakeBlocks(t, ledger.Hash{1}, 1)[0]
		if _, err := client.ParseBlock(b); err != nil {
			t.Fatal(err)
		}
		change(b)
		if got, err := client.ParseBlock(b); err == nil {
			t.Errorf("%s: accepted as %+v", name, got)
		}
	}
}
