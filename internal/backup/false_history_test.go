package backup

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"ltl/internal/audit"
	"ltl/internal/ledger"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// falseHistory is a source that has another block in the place of the newest one of the business chain, and stands by it:
// execution reproduces that block, and its hash is what the source claims.
func (f *fixture) falseHistory() *source {
	f.t.Helper()
	st, err := f.nodes[0].Ledger.Status(f.t.Context(), &ltlv1.StatusRequest{})
	if err != nil {
		f.t.Fatal(err)
	}
	var height uint64
	for _, c := range st.GetChains() {
		if c.GetChainId() == f.network.ChainID {
			height = c.GetHeight()
		}
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	stream, err := f.nodes[0].Ledger.Blocks(ctx, &ltlv1.BlocksRequest{ChainId: f.network.ChainID, FromHeight: height})
	if err != nil {
		f.t.Fatal(err)
	}
	res, err := stream.Recv()
	if err != nil {
		f.t.Fatal(err)
	}
	twin := offline.Twin(f.t, res.GetBlock())
	hash := ledger.BlockHash(twin.GetHeader())
	return &source{
		LedgerClient: f.nodes[0].Ledger,
		change: func(r *ltlv1.FollowResponse) {
			h, err := ledger.ParseHeader(r.GetBlock().GetHeader())
			if err == nil && h.ChainID == f.network.ChainID && h.Height == height {
				r.Block = twin
			}
		},
		status: func(r *ltlv1.StatusResponse) {
			for _, c := range r.GetChains() {
				if c.GetChainId() == f.network.ChainID {
					c.BlockHash = hash[:]
				}
			}
		},
	}
}

// TestFalseHistory: another history that nothing but other nodes contradicts is not kept; where no other node could be
// asked, the report says so, and the next run finds it.
func TestFalseHistory(t *testing.T) {
	f := newFixture(t)
	f.write(5)
	base := t.TempDir()
	had := f.run(base)
	f.write(5)
	f.network.CheckLedgers(t)
	lie := f.falseHistory()
	_, err := Run(t.Context(), f.config(base, lie))
	if !errors.Is(err, ErrSource) || !errors.Is(err, audit.ErrDiffers) ||
		!strings.Contains(err.Error(), "copied from "+f.nodes[0].Name) {
		t.Errorf("it ends with %v", err)
	}
	f.passes(had)

	alone := filepath.Join(t.TempDir(), "alone")
	cfg := f.config(alone, lie)
	cfg.Others = nil
	if r, err := Run(t.Context(), cfg); err != nil || len(r.ComparedWith) != 0 {
		t.Fatalf("without another node: %+v, %v", r, err)
	}
	f.write(1)
	if _, err := Run(t.Context(), f.config(alone, nil)); !errors.Is(err, ErrSource) || !errors.Is(err, audit.ErrDiffers) {
		t.Errorf("the next run ends with %v", err)
	}
}
