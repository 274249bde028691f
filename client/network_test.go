package client_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

func (n *fakeNode) GetNetwork(context.Context, *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	if err := n.readable(); err != nil {
		return nil, err
	}
	out := n.f.network()
	if lie := n.network.Load(); lie != nil {
		(*lie)(out)
	}
	return out, nil
}

// network is what an honest process says of the network.
func (f *fake) network() *ltlv1.GetNetworkResponse {
	g := f.trust.Genesis()
	id := f.trust.NetworkID()
	f.mu.Lock()
	joined := slices.Clone(f.joined)
	f.mu.Unlock()
	out := &ltlv1.GetNetworkResponse{
		NetworkId: id[:], Network: "fake", Organisations: slices.Concat(g.GetOrganisations(), joined),
		Nodes: g.GetNodes(), TotalChains: 1,
		Chains: []*ltlv1.ChainInfo{{ChainId: ledger.SystemChain, Height: uint64(10 + len(joined)),
			Chain: &ltlv1.CreateChain{Organisations: f.orgs}}},
	}
	if !f.unlisted.Load() {
		out.Chains = append(out.Chains, f.chain())
	}
	return proto.CloneOf(out) // the caller may change it
}

// fakeCopy is the copy of the ledger that an endorser has.
type fakeCopy struct {
	ltlv1.UnimplementedLedgerServer
	f      *fake
	silent *atomic.Bool
}

func (c *fakeCopy) GetNetwork(ctx context.Context, _ *ltlv1.GetNetworkRequest) (*ltlv1.GetNetworkResponse, error) {
	if c.silent.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return c.f.network(), nil
}

// chain is the business chain of the fake network.
func (f *fake) chain() *ltlv1.ChainInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	orgs := f.orgs
	if f.onChain != nil {
		orgs = f.onChain
	}
	return &ltlv1.ChainInfo{ChainId: testChain, ChainCode: testCode,
		Chain: &ltlv1.CreateChain{Policy: f.policy, Organisations: orgs}}
}

func (n *fakeNode) GetChain(_ context.Context, in *ltlv1.GetChainRequest) (*ltlv1.GetChainResponse, error) {
	if err := n.readable(); err != nil {
		return nil, err
	}
	n.f.asked.Add(1)
	if in.GetChainId() != testChain {
		return &ltlv1.GetChainResponse{Code: rules.NotFound}, nil
	}
	return &ltlv1.GetChainResponse{Code: rules.OK, Chain: n.f.chain()}, nil
}

// TestChainsBeyondTheFirst: a chain that nodes do not report together with the others is asked for alone, once, and
// again when its policy has changed. A chain that does not exist is not found.
func TestChainsBeyondTheFirst(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	c := f.client(nil)
	missing := record("a", "v")
	missing.ChainId = "1000000000000002"
	if r, err := c.Submit(t.Context(), missing); err != nil || r.GetCode() != rules.NotFound || f.asked.Load() != 0 {
		t.Errorf("a chain that does not exist: %v, %v after %d requests; want none, because all chains were reported", r, err,
			f.asked.Load())
	}
	f.unlisted.Store(true)
	c = f.client(nil)
	for range 20 {
		r, err := c.Submit(t.Context(), record("a", "v"))
		wantOK(t, r, err)
	}
	if n := f.asked.Load(); n != 1 {
		t.Errorf("the chain was asked for %d times, want once", n)
	}
	f.mu.Lock()
	f.policy = "all" // the client still knows the former one
	f.mu.Unlock()
	f.endorsers[1].set(func(e *fakeEndorser) {
		e.block = func(context.Context) error { time.Sleep(100 * time.Millisecond); return nil }
	})
	r, err := c.Submit(t.Context(), record("a", "v"))
	wantOK(t, r, err)
	if n := f.asked.Load(); n != 2 {
		t.Errorf("after endorsements that the ledger found too few it was asked for %d times, want twice", n)
	}
	missing = record("a", "v")
	missing.ChainId = "1000000000000002"
	if r, err := c.Submit(t.Context(), missing); err != nil || r.GetCode() != rules.NotFound {
		t.Errorf("a chain that does not exist: %v, %v", r, err)
	}
}

// TestMemberWithBadAddress: an organisation joins under an address that no connection can be made to. It is left out.
// The chains and the other members are there.
func TestMemberWithBadAddress(t *testing.T) {
	f := startFake(t, 3, "submitter & majority")
	f.joined = []*ltlv1.Organisation{{Id: "org9", Name: "org9", EndorserAddress: "%zz:1"}}
	c := f.client(nil)
	r, err := c.Submit(t.Context(), record("a", "v"))
	if err != nil || r.GetCode() != rules.OK {
		t.Fatalf("%v, %v", r, err)
	}
}
