package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// Block is a block of one chain, decoded.
type Block struct {
	ChainID string
	// Height counts the blocks of the chain from 0, without gaps.
	Height uint64
	// Sequence is the number of blocks, over all chains, that were executed before this one.
	Sequence uint64
	// Time is the block's time, which the clocks of the endorsing organisations give it.
	Time time.Time
	// Hash is the block's hash, Previous that of the block below it; zero at height 0.
	Hash, Previous [32]byte
	// Transactions are in the order in which they were executed.
	Transactions []BlockTransaction
	// count is the number of transactions of a block whose content was not asked for.
	count int
}

// BlockTransaction is a transaction in a block.
type BlockTransaction struct {
	// ID is the transaction's id, which the API calls transactionHash.
	ID [32]byte
	// Code is the result of its execution; CodeOK means that it took effect.
	Code int32
	// Transaction is its content. Its openings are the values that it commits to: none where they are withheld, erased, or
	// were refused. ValueOf reads them.
	Transaction *ltlv1.Transaction
}

// ParseBlock decodes a block. It returns an error when the content is not what the header's hashes cover, so what it
// returns is covered by Block.Hash. That the endorsements and results are right is not checked; "ltl audit" does that.
func ParseBlock(in *ltlv1.Block) (*Block, error) {
	header, err := ledger.ParseHeader(in.GetHeader())
	if err != nil {
		return nil, fmt.Errorf("client: block: %w", err)
	}
	b := &Block{
		ChainID: header.ChainID, Height: header.Height, Sequence: header.Sequence, Time: time.UnixMilli(header.TimeMs),
		Hash: ledger.BlockHash(in.GetHeader()), Previous: header.Previous,
	}
	var outcomes []ledger.Outcome
	var batches []ledger.Hash
	for _, batch := range in.GetBatches() {
		ids := make([]ledger.Hash, len(batch.GetTransactions()))
		for i, payload := range batch.GetTransactions() {
			ids[i] = ledger.TransactionID(payload)
		}
		root := ledger.BatchRoot(ids)
		batches = append(batches, ledger.BatchHash(root, len(ids), batch.GetEndorsements()))
		for i, payload := range batch.GetTransactions() {
			at := len(outcomes)
			if at >= len(in.GetResults()) {
				return nil, fmt.Errorf("client: block %d of chain %s has fewer results than transactions", b.Height, b.ChainID)
			}
			tx, err := rules.Decode(payload)
			if err != nil {
				return nil, fmt.Errorf("client: block %d of chain %s: transaction %d: %w", b.Height, b.ChainID, at, err)
			}
			if err := open(tx, batch, i); err != nil {
				return nil, fmt.Errorf("client: block %d of chain %s: transaction %d: %w", b.Height, b.ChainID, at, err)
			}
			outcomes = append(outcomes, ledger.Outcome{ID: ids[i], Code: in.GetResults()[at], BatchRoot: root})
			b.Transactions = append(b.Transactions, BlockTransaction{ID: ids[i], Code: in.GetResults()[at], Transaction: tx})
		}
	}
	if ledger.TransactionsRoot(outcomes) != header.TxRoot || ledger.BatchesHash(batches) != header.BatchesHash {
		return nil, fmt.Errorf("client: block %d of chain %s does not match the hashes in its header", b.Height, b.ChainID)
	}
	return b, nil
}

// open adds to transaction i of a batch the openings that stand beside it, if they do.
func open(tx *ltlv1.Transaction, batch *ltlv1.Batch, i int) error {
	if i >= len(batch.GetOpenings()) || len(batch.GetOpenings()[i].GetOpenings()) == 0 {
		return nil
	}
	if code, reason := rules.CheckOpenings(tx, batch.GetOpenings()[i]); code != rules.OK {
		return fmt.Errorf("its values are not those that it commits to: %s", reason)
	}
	tx.Openings = batch.GetOpenings()[i]
	return nil
}

// BlockHeader is what the header of a block says.
type BlockHeader struct {
	ChainID          string
	Height, Sequence uint64
	Time             time.Time
	Hash, Previous   [32]byte
	// Transactions is their number.
	Transactions int
}

// FollowHeaders is Follow for the headers alone: the nodes send nothing else.
func (l *Ledger) FollowHeaders(ctx context.Context, from uint64, fn func(BlockHeader) error) error {
	f := &follower{network: l.c.network.id, next: from, tips: map[string]*Block{}, headersOnly: true,
		fn: func(_ uint64, b *Block) error {
			return fn(BlockHeader{ChainID: b.ChainID, Height: b.Height, Sequence: b.Sequence, Time: b.Time, Hash: b.Hash,
				Previous: b.Previous, Transactions: b.count})
		}}
	return l.stream(ctx, "following headers of blocks", f.follow)
}

// Follow calls fn with the blocks of all chains in the order of their execution, from a sequence number on, and goes on
// as new blocks are made. It returns when ctx ends, the client is closed, or fn returns an error, which it returns.
//
// The sequence number counts the blocks of all chains; 0 is the genesis block. To go on later where a Follow ended,
// store the sequence of the last block that was handled and pass the one after it. StatusResponse.sequence of a node is
// the number of its next block.
//
// When a node breaks off, or sends a block that does not continue its chain, Follow goes on at another node; fn
// receives each block once.
func (l *Ledger) Follow(ctx context.Context, from uint64, fn func(sequence uint64, block *Block) error) error {
	f := &follower{network: l.c.network.id, next: from, tips: map[string]*Block{}, fn: fn}
	return l.stream(ctx, "following blocks", f.follow)
}

// follower is where a Follow has got to.
type follower struct {
	network ledger.Hash
	next    uint64
	tips    map[string]*Block // the newest block of each chain that has had one
	fn      func(sequence uint64, block *Block) error
	// headersOnly asks for blocks without their content.
	headersOnly bool
}

// follow follows the blocks of one node. It returns what fn returned, or why the stream ended.
func (f *follower) follow(ctx context.Context, n *peer) (progress bool, stop, broken error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream
	stream, err := ltlv1.NewLedgerClient(n.conn).Follow(ctx, &ltlv1.FollowRequest{FromSequence: f.next,
		HeadersOnly: f.headersOnly, Openings: !f.headersOnly})
	if err != nil {
		return false, nil, err
	}
	for {
		in, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return progress, nil, status.Error(codes.Unavailable, "the node ended the stream")
		}
		if err != nil {
			return progress, nil, err
		}
		b, err := f.check(in)
		if err != nil {
			return progress, nil, err
		}
		if err := f.fn(f.next, b); err != nil {
			return progress, err, nil
		}
		f.tips[b.ChainID] = b
		f.next++
		progress = true
	}
}

// check decodes the next block, which must continue its chain.
func (f *follower) check(in *ltlv1.FollowResponse) (*Block, error) {
	if in.GetSequence() != f.next {
		return nil, fmt.Errorf("it sent block %d in place of %d", in.GetSequence(), f.next)
	}
	parse := ParseBlock
	if f.headersOnly {
		parse = parseHeader
	}
	b, err := parse(in.GetBlock())
	if err != nil {
		return nil, err
	}
	if b.Sequence != f.next {
		return nil, fmt.Errorf("it sent block %d of chain %s, which is number %d in the order of execution, as number %d",
			b.Height, b.ChainID, b.Sequence, f.next)
	}
	if header, err := ledger.ParseHeader(in.GetBlock().GetHeader()); err != nil || header.NetworkID != f.network {
		return nil, fmt.Errorf("block %d of chain %s is of another network", b.Height, b.ChainID)
	}
	if tip := f.tips[b.ChainID]; tip != nil && (b.Height != tip.Height+1 || b.Previous != tip.Hash) {
		return nil, fmt.Errorf("block %d of chain %s does not continue block %d", b.Height, b.ChainID, tip.Height)
	}
	return b, nil
}

// parseHeader is ParseBlock for a block without its content.
func parseHeader(in *ltlv1.Block) (*Block, error) {
	h, err := ledger.ParseHeader(in.GetHeader())
	if err != nil {
		return nil, fmt.Errorf("client: block: %w", err)
	}
	return &Block{ChainID: h.ChainID, Height: h.Height, Sequence: h.Sequence, Time: time.UnixMilli(h.TimeMs),
		Hash: ledger.BlockHash(in.GetHeader()), Previous: h.Previous, count: int(h.Count)}, nil
}

// Blocks calls fn with a chain's blocks from a height up to the newest that the node has at the time of the call, which
// may be older than the network's newest. When a node breaks off, it goes on at another one; fn receives each block
// once. ParseBlock decodes them.
func (l *Ledger) Blocks(ctx context.Context, in *ltlv1.BlocksRequest, fn func(*ltlv1.Block) error) error {
	next := in.GetFromHeight()
	nodes, last := l.targets(ctx)
	for _, node := range nodes {
		var stop error // what fn returned
		last = eachBlock(ctx, node, &ltlv1.BlocksRequest{ChainId: in.GetChainId(), FromHeight: next,
			Openings: in.GetOpenings()},
			func(b *ltlv1.Block) error {
				if stop = fn(b); stop == nil {
					next++
				}
				return stop
			})
		if stop != nil {
			return stop
		}
		if last == nil || !elsewhere(last) || ctx.Err() != nil {
			break
		}
		node.breaker.record(false)
	}
	return l.c.readError(last)
}

func eachBlock(ctx context.Context, node *peer, in *ltlv1.BlocksRequest, fn func(*ltlv1.Block) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the stream when fn does
	stream, err := ltlv1.NewLedgerClient(node.conn).Blocks(ctx, in)
	if err != nil {
		return err
	}
	for {
		out, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := fn(out.GetBlock()); err != nil {
			return err
		}
	}
}
