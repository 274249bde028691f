package testkit

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"ltl/internal/identity"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// status returns nil when the process does not answer.
func (n *Network) status(peer string) *ltlv1.StatusResponse {
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	st, err := n.Client(identity.RoleOperator).Ledger().Status(ctx, peer)
	if err != nil {
		return nil
	}
	return st
}

// CheckLedgers waits until all running nodes and endorsers have the same number of blocks and compares their newest
// blocks. The cleanup compares every block, on the disks.
func (n *Network) CheckLedgers(t testing.TB) {
	t.Helper()
	var peers []string
	for i, g := range n.genesis.GetNodes() {
		if n.nodes[i] != nil {
			peers = append(peers, g.GetId())
		}
	}
	for i, g := range n.genesis.GetOrganisations() {
		if n.endorsers[i] != nil {
			peers = append(peers, "endorser/"+g.GetId())
		}
	}
	var all []*ltlv1.StatusResponse
	WaitFor(t, equalTimeout, "the same number of blocks everywhere", func() bool {
		all = nil
		for _, p := range peers {
			st := n.status(p)
			if st == nil || len(all) > 0 && st.GetSequence() != all[0].GetSequence() {
				return false
			}
			all = append(all, st)
		}
		return true
	})
	for i, st := range all {
		if f := st.GetFault(); f != "" {
			t.Errorf("%s: fault: %s", peers[i], f)
		}
		for j, c := range st.GetChains() {
			if !proto.Equal(c, all[0].GetChains()[j]) {
				t.Errorf("%s has %v, %s has %v", peers[i], c, peers[0], all[0].GetChains()[j])
			}
		}
	}
}

// finish is the cleanup: it checks, stops everything, and compares what is on the disks.
func (n *Network) finish() {
	if !n.t.Failed() && !n.t.Skipped() {
		n.CheckLedgers(n.t)
	}
	n.mu.Lock()
	for _, c := range n.clients {
		if err := c.Close(); err != nil {
			n.t.Errorf("close client: %v", err)
		}
	}
	for _, c := range n.others {
		if err := c.Close(); err != nil {
			n.t.Errorf("close client: %v", err)
		}
	}
	n.mu.Unlock()
	for i := range n.endorsers {
		n.StopEndorser(i)
	}
	for i := range n.nodes {
		n.StopNode(i)
	}
	if !n.t.Failed() && !n.t.Skipped() {
		n.compareStores()
	}
}

// compareStores opens every ledger, verifies it, and compares its blocks with those of the longest one. A process that
// was stopped earlier may have fewer.
func (n *Network) compareStores() {
	var stores []*store.Store
	longest := 0
	for i := range len(n.nodes) + len(n.endorsers) {
		dir := filepath.Join(n.NodeDir(i), "ledger")
		if i >= len(n.nodes) {
			dir = n.EndorserDir(i - len(n.nodes))
		}
		s, err := store.Open(dir, store.Options{Logger: n.logger, Fatal: n.fatal(dir)})
		if err != nil {
			n.t.Errorf("open %s: %v", dir, err)
			continue
		}
		defer func() {
			if err := s.Close(); err != nil {
				n.t.Errorf("close %s: %v", dir, err)
			}
		}()
		if err := s.Verify(context.Background(), nil); err != nil {
			n.t.Errorf("verify %s: %v", dir, err)
		}
		stores = append(stores, s)
		if s.Sequence() > stores[longest].Sequence() {
			longest = len(stores) - 1
		}
	}
	for i, s := range stores {
		for sequence := range s.Sequence() {
			if !bytes.Equal(blockAt(n.t, s, sequence), blockAt(n.t, stores[longest], sequence)) {
				n.t.Errorf("ledger %d differs from ledger %d in the block of sequence %d", i, longest, sequence)
				break
			}
		}
	}
}

func blockAt(t testing.TB, s *store.Store, sequence uint64) []byte {
	block, err := s.BlockAt(sequence)
	if err != nil {
		t.Errorf("block of sequence %d: %v", sequence, err)
		return nil
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(block)
	if err != nil {
		t.Errorf("encode block: %v", err)
	}
	return b
}

// Blocks returns the blocks of a chain, from any node, at least up to the newest one that a running node had at the time
// of the call; so those of all acknowledged writes are among them.
func (n *Network) Blocks(chainID string) []*ltlv1.Block {
	n.t.Helper()
	var newest uint64
	for i, g := range n.genesis.GetNodes() {
		if n.nodes[i] == nil {
			continue
		}
		for _, c := range n.status(g.GetId()).GetChains() {
			if c.GetChainId() == chainID {
				newest = max(newest, c.GetHeight())
			}
		}
	}
	var blocks []*ltlv1.Block
	var err error
	WaitFor(n.t, equalTimeout, fmt.Sprintf("a node serves chain %s up to block %d", chainID, newest), func() bool {
		blocks = nil
		err = n.Client(identity.RoleOperator).Ledger().Blocks(context.Background(),
			&ltlv1.BlocksRequest{ChainId: chainID, Openings: true}, func(b *ltlv1.Block) error {
				blocks = append(blocks, b)
				return nil
			})
		return err == nil && uint64(len(blocks)) > newest || err != nil && status.Code(err) != codes.NotFound
	})
	if err != nil {
		n.t.Fatalf("blocks of %s: %v", chainID, err)
	}
	return blocks
}
