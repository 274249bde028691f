package console

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"time"

	"ltl/client"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// blockRow is a block in a list. It has nothing that a member of the chain may not see.
type blockRow struct {
	Height, Sequence uint64
	Time             time.Time
	Hash, Previous   string
	Transactions     int
	Refused          int
	// Organisations endorsed something of it, in the order of their ids.
	Organisations []string
}

// errEnough ends a stream of blocks.
var errEnough = errors.New("enough")

// fetch reads up to n blocks of the chain from a height on, each of which is what its header's hashes cover.
func (v *visit) fetch(from uint64, n int, fn func(*client.Block, *ltlv1.Block) error) error {
	ctx, cancel := context.WithCancel(v.r.Context())
	defer cancel()
	next := from
	err := v.ledger.Blocks(ctx, &ltlv1.BlocksRequest{ChainId: v.chain.info.GetChainId(), FromHeight: from},
		func(in *ltlv1.Block) error {
			b, err := client.ParseBlock(in)
			if err != nil {
				return err
			}
			if b.ChainID != v.chain.info.GetChainId() || b.Height != next {
				return errors.New("a node answered with another block than was asked for")
			}
			if err := fn(b, in); err != nil {
				return err
			}
			if next++; next == from+uint64(n) {
				return errEnough
			}
			return nil
		})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// readBlocks reads up to n blocks from a height on, the newest first.
func (v *visit) readBlocks(from uint64, n int) ([]*blockRow, error) {
	var rows []*blockRow
	err := v.fetch(from, n, func(b *client.Block, in *ltlv1.Block) error {
		rows = append(rows, rowOf(b, in))
		return nil
	})
	slices.Reverse(rows)
	return rows, err
}

func rowOf(b *client.Block, in *ltlv1.Block) *blockRow {
	row := &blockRow{Height: b.Height, Sequence: b.Sequence, Time: b.Time, Hash: hex.EncodeToString(b.Hash[:]),
		Previous: hex.EncodeToString(b.Previous[:]), Transactions: len(b.Transactions)}
	for _, t := range b.Transactions {
		if t.Code != rules.OK {
			row.Refused++
		}
	}
	for _, batch := range in.GetBatches() {
		for _, e := range endorsementsOf(b.ChainID, batch) {
			row.Organisations = append(row.Organisations, e.Organisation)
		}
	}
	slices.Sort(row.Organisations)
	row.Organisations = slices.Compact(row.Organisations)
	return row
}

// endorsementsOf are the endorsements of a batch that are about it.
func endorsementsOf(chainID string, batch *ltlv1.Batch) []*ledger.Endorsement {
	ids := make([]ledger.Hash, len(batch.GetTransactions()))
	for i, payload := range batch.GetTransactions() {
		ids[i] = ledger.TransactionID(payload)
	}
	root := ledger.BatchRoot(ids)
	var all []*ledger.Endorsement
	for _, in := range batch.GetEndorsements() {
		if e, err := ledger.ParseEndorsement(in, chainID, root, len(ids)); err == nil {
			all = append(all, e)
		}
	}
	return all
}

// blocksView is a page of blocks.
type blocksView struct {
	Tip, From    uint64
	Blocks       []*blockRow
	Newer, Older string
}

// blocks lists blocks, the newest first. The parameter height is that of the first row.
func (v *visit) blocks() (*view, error) {
	tip := v.chain.info.GetHeight()
	top := tip
	if h, err := strconv.ParseUint(v.r.URL.Query().Get("height"), 10, 64); err == nil {
		top = min(h, tip)
	}
	from := top - min(top, blocksPerPage-1)
	rows, err := v.readBlocks(from, int(top-from)+1)
	if err != nil {
		return nil, err
	}
	out := &blocksView{Tip: tip, From: top, Blocks: rows}
	at := func(height uint64) string { return v.r.URL.Path + "?height=" + strconv.FormatUint(height, 10) }
	if top < tip {
		out.Newer = at(min(tip, top+blocksPerPage))
	}
	if from > 0 {
		out.Older = at(from - 1)
	}
	return &view{name: "blocks", title: "blocks.title", data: out}, nil
}

// blockView is the page of a block.
type blockView struct {
	*blockRow
	Batches []batchRow
	// Below and Above are the addresses of the blocks beside it; empty where there is none.
	Below, Above string
}

// batchRow is a batch of a block.
type batchRow struct {
	Number       int
	Transactions []*transactionRow
	Endorsements []endorsementRow
}

// endorsementRow is what an organisation signed about a batch.
type endorsementRow struct {
	Organisation         string
	Accepted, Count      int
	Height, SystemHeight uint64
	Clock                time.Time
	KeyID                string
}

// transactionRow is a transaction in a list. Kind and Key are empty where the account may not see its content.
type transactionRow struct {
	ID      string
	Code    int32
	Message string
	Sealed  bool
	Kind    string
	Key     string
}

// block shows a block: its header, its batches with what was signed about them, and its transactions.
func (v *visit) block() (*view, error) {
	height, err := strconv.ParseUint(v.r.PathValue("height"), 10, 64)
	if err != nil || height > v.chain.info.GetHeight() {
		return nil, errNothing
	}
	out := &blockView{}
	at := func(height uint64) string { return Prefix + joinPath([]any{"c", v.chain.ID(), "blocks", height}) }
	if height > 0 {
		out.Below = at(height - 1)
	}
	if height < v.chain.info.GetHeight() {
		out.Above = at(height + 1)
	}
	err = v.fetch(height, 1, func(b *client.Block, in *ltlv1.Block) error {
		out.blockRow = rowOf(b, in)
		next := 0
		for i, batch := range in.GetBatches() {
			row := batchRow{Number: i + 1}
			for range batch.GetTransactions() {
				row.Transactions = append(row.Transactions, v.chain.rowOf(&b.Transactions[next]))
				next++
			}
			for _, e := range endorsementsOf(b.ChainID, batch) {
				row.Endorsements = append(row.Endorsements, signedRow(e))
			}
			out.Batches = append(out.Batches, row)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if out.blockRow == nil {
		return nil, errNothing
	}
	return &view{name: "block", title: "block.title", data: out}, nil
}

func signedRow(e *ledger.Endorsement) endorsementRow {
	row := endorsementRow{Organisation: e.Organisation, Count: int(e.Count), Height: e.Height,
		SystemHeight: e.SystemHeight, Clock: time.UnixMilli(e.ClockMs), KeyID: hex.EncodeToString(e.KeyID[:])}
	for i := range row.Count {
		if e.Accepts(i) {
			row.Accepted++
		}
	}
	return row
}

// rowOf is a transaction as the account may see it.
func (r *reader) rowOf(t *client.BlockTransaction) *transactionRow {
	row := &transactionRow{ID: hex.EncodeToString(t.ID[:]), Code: t.Code}
	if !r.sees(t.ID, t.Transaction, t.Code) {
		row.Sealed = true
		return row
	}
	if t.Code != rules.OK {
		row.Message = rules.Message(t.Code)
	}
	row.Kind = kindOf(t.Transaction)
	row.Key, _, _, _ = rules.ProofRecord(t.Transaction, t.ID)
	return row
}
