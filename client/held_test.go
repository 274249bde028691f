package client

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"ltl/client/proof"
	"ltl/internal/identity"
)

// TestHeldCheckpoint: the checkpoint that is held is replaced by one of more blocks that is shown to continue it, after a
// restoration by any, and by no other.
func TestHeldCheckpoint(t *testing.T) {
	c := &Client{log: slog.New(slog.DiscardHandler), peers: newPeers(nil, "", "")}
	c.base, c.cancel = context.WithCancel(t.Context())
	defer c.cancel()
	v := &verifier{c: c, chains: map[string]*heldCheckpoint{}}
	v.trust.Store(exampleTrustOf(t))
	of := func(origin string, size uint64, root byte) *signed {
		return &signed{checkpoint: &proof.Checkpoint{Origin: origin, Size: size, Root: proof.Hash{root}}}
	}
	h := v.chain("1000000000000001")
	first := of("a", 8, 1)
	if err := v.advance(t.Context(), "1000000000000001", h, first); err != nil || h.newest.Load() != first {
		t.Fatalf("the first one: %v", err)
	}
	for what, next := range map[string]*signed{"fewer blocks": of("a", 7, 1), "another root": of("a", 8, 2),
		"more blocks, and no process shows that they continue these": of("a", 9, 3)} {
		err := v.advance(t.Context(), "1000000000000001", h, next)
		if !errors.Is(err, ErrUnverified) || h.newest.Load() != first {
			t.Errorf("%s: %v, holds %v", what, err, h.newest.Load())
		}
	}
	restored := of("a/r1", 3, 4)
	if err := v.advance(t.Context(), "1000000000000001", h, restored); err != nil || h.newest.Load() != restored {
		t.Errorf("after a restoration: %v", err)
	}
}

// TestInventedChains: chains that nodes invent do not fill the memory, and those of which a checkpoint is held stay.
func TestInventedChains(t *testing.T) {
	v := &verifier{chains: map[string]*heldCheckpoint{}}
	v.chain("real").newest.Store(&signed{})
	for i := range 3 * maxHeldChains {
		v.chain(string(rune(i + 1)))
	}
	if len(v.chains) > maxHeldChains || v.chains["real"] == nil {
		t.Errorf("%d chains are remembered", len(v.chains))
	}
}

// exampleTrustOf is the trust of a new network.
func exampleTrustOf(t *testing.T) *proof.Trust {
	t.Helper()
	dir := t.TempDir() + "/net"
	err := identity.CreateNetwork(dir, identity.NetworkSpec{Network: "n", Organisations: []identity.OrgSpec{{ID: "org1",
		Name: "org1", EndorserAddress: "127.0.0.1:1"}}, Nodes: []identity.NodeSpec{{ID: "n1", Organisation: "org1",
		Address: "127.0.0.1:2"}}})
	if err != nil {
		t.Fatal(err)
	}
	trust, err := identity.LoadTrust(dir + "/trust.json")
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := trust.Encode()
	if err != nil {
		t.Fatal(err)
	}
	out, err := proof.ParseTrust(encoded)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
