package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// ErrDiffers is returned, wrapped, when another node has another block at a height where the copy under audit has a
// right one: the network has two histories. An audit of the other node may show which one is right.
var ErrDiffers = errors.New("two copies of the ledger differ")

// askTimeout bounds each call to another node.
const askTimeout = 3 * time.Second

// Other is a node to compare the copy under audit with.
type Other struct {
	Name   string
	Ledger ltlv1.LedgerClient
}

// Lag is how far the copy under audit is behind another node on one chain.
type Lag struct {
	ChainID string `json:"chainId"`
	Height  uint64 `json:"height"` // the other node's
	Blocks  uint64 `json:"blocks"`
}

// Comparison is the result of comparing the copy with another node.
type Comparison struct {
	Name string `json:"name"`
	// Behind is the number of blocks that the node had when the audit began and the copy under audit lacks; Chains counts
	// them per chain.
	Behind uint64 `json:"behind"`
	Chains []Lag  `json:"chains,omitempty"`
	// Error is why the comparison was not possible; empty when it was.
	Error string `json:"error,omitempty"`
}

// Answer is the status of another node.
type Answer struct {
	Other
	// Status is nil when the node did not answer; Err is the reason.
	Status *ltlv1.StatusResponse
	Err    error
}

// Ask reads the status of the others, all at once, and waits three seconds at most. It is called before an audit or a
// copy, so that blocks written meanwhile do not count as missing.
func Ask(ctx context.Context, others []Other) []Answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	answers := make([]Answer, len(others))
	var group sync.WaitGroup
	for i, o := range others {
		answers[i].Other = o
		group.Go(func() { answers[i].Status, answers[i].Err = o.Ledger.Status(ctx, &ltlv1.StatusRequest{}) })
	}
	group.Wait()
	return answers
}

// Compare compares a verified copy with the answers of others: ErrDiffers (wrapped) when one has another block at a
// height that the copy has. The result names nodes that do not answer.
func Compare(ctx context.Context, s *store.Store, answers []Answer) ([]Comparison, error) {
	out := make([]Comparison, len(answers))
	for i, o := range answers {
		out[i].Name = o.Name
		if err := o.Err; err != nil {
			out[i].Error = err.Error()
			continue
		}
		for _, c := range o.Status.GetChains() {
			err := compareChain(ctx, s, o.Other, c, &out[i])
			if errors.Is(err, ErrDiffers) {
				return nil, err
			}
			if err != nil {
				out[i].Error = err.Error()
			}
		}
	}
	return out, nil
}

// compareChain compares the newest block that both copies have of a chain. Each block has the hash of the one below,
// so when these two are equal, all blocks below are.
func compareChain(ctx context.Context, s *store.Store, o Other, c *ltlv1.ChainStatus, out *Comparison) error {
	tip, ok := s.Tip(c.GetChainId())
	if !ok {
		out.lacks(c, c.GetHeight()+1)
		return nil
	}
	height, own, hash := tip.Header.Height, tip.Hash, c.GetBlockHash()
	if c.GetHeight() > height {
		out.lacks(c, c.GetHeight()-height)
		block, err := blockOf(ctx, o, c.GetChainId(), height)
		if err != nil {
			return fmt.Errorf("couldn't read its block %d of chain %s: %w", height, c.GetChainId(), err)
		}
		h := ledger.BlockHash(block.GetHeader())
		hash = h[:]
	} else if c.GetHeight() < height {
		height = c.GetHeight()
		var err error
		if own, err = s.BlockHash(c.GetChainId(), height); err != nil {
			return fmt.Errorf("couldn't read block %d of chain %s again: %w", height, c.GetChainId(), err)
		}
	}
	if !bytes.Equal(own[:], hash) {
		return fmt.Errorf("%w: at height %d of chain %s %s has the block hash %x, and this copy %x",
			ErrDiffers, height, c.GetChainId(), o.Name, hash, own)
	}
	return nil
}

func (c *Comparison) lacks(s *ltlv1.ChainStatus, blocks uint64) {
	c.Behind += blocks
	c.Chains = append(c.Chains, Lag{ChainID: s.GetChainId(), Height: s.GetHeight(), Blocks: blocks})
}

// blockOf reads one block of another node.
func blockOf(ctx context.Context, o Other, chainID string, height uint64) (*ltlv1.Block, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel() // ends the stream
	stream, err := o.Ledger.Blocks(ctx, &ltlv1.BlocksRequest{ChainId: chainID, FromHeight: height})
	if err != nil {
		return nil, err
	}
	res, err := stream.Recv()
	if err != nil {
		return nil, err
	}
	return res.GetBlock(), nil
}
