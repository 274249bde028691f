package endorser

import (
	"errors"
	"fmt"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// errFork says that the own copy is another history than that of most nodes.
var errFork = errors.New("this copy of the ledger is another history than that of most nodes")

// maxCompared bounds the blocks that are compared each time. Where to begin moves on, so that every chain has its turn.
const maxCompared = 64

// compare holds the newest blocks that the nodes tell against the own copy. Executing a block again proves that it follows from what is
// in it, not that it is the block that a quorum committed: a lying node could change its time, or leave out a batch, and compute the
// rest anew. So a copy that differs from more than half of all nodes ends the signing; fewer that differ are named in the log.
func (e *Endorser) compare(answers []*ltlv1.StatusResponse, turn int) error {
	differ := map[string][]string{} // chain → nodes that have another block where the own copy has one
	for i, a := range answers {
		chains := a.GetChains()
		for j := range min(len(chains), maxCompared) {
			c := chains[(turn*maxCompared+j)%len(chains)]
			own, known, err := e.hashAt(c.GetChainId(), c.GetHeight())
			if err != nil {
				return err
			}
			if known && string(own[:]) != string(c.GetBlockHash()) {
				differ[c.GetChainId()] = append(differ[c.GetChainId()], e.nodes[i].ID)
				e.log.Warn("a node has another block than this copy", "node", e.nodes[i].ID, "chain", c.GetChainId(), "height", c.GetHeight(),
					"own", fmt.Sprintf("%x", own), "node_has", fmt.Sprintf("%x", c.GetBlockHash()))
			}
		}
	}
	for chain, nodes := range differ {
		if 2*len(nodes) > len(e.nodes) {
			return fmt.Errorf("%w: chain %s differs from nodes %v; find out which node served it, then move %s away and start again",
				errFork, chain, nodes, e.cfg.Dir)
		}
	}
	return nil
}

// hashAt is the hash of the own block; known is false beyond the tip.
func (e *Endorser) hashAt(chainID string, height uint64) (hash ledger.Hash, known bool, err error) {
	tip, ok := e.store.Tip(chainID)
	switch {
	case !ok || height > tip.Header.Height:
		return hash, false, nil
	case height == tip.Header.Height:
		return tip.Hash, true, nil
	}
	block, err := e.store.Block(chainID, height)
	if errors.Is(err, store.ErrClosed) {
		return hash, false, nil
	}
	if err != nil {
		return hash, false, fmt.Errorf("block %d of chain %s: %w", height, chainID, err)
	}
	return ledger.BlockHash(block.GetHeader()), true, nil
}
