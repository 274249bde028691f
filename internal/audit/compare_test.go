package audit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"

	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
)

// deaf is a node that does not answer.
type deaf struct{ ltlv1.LedgerClient }

func (deaf) Status(context.Context, *ltlv1.StatusRequest, ...grpc.CallOption) (*ltlv1.StatusResponse, error) {
	return nil, errors.New("no answer")
}

// forked serves the blocks of another history.
type forked struct{ liar }

func (f *forked) Blocks(
	ctx context.Context, in *ltlv1.BlocksRequest, o ...grpc.CallOption,
) (grpc.ServerStreamingClient[ltlv1.BlocksResponse], error) {
	stream, err := f.LedgerClient.Blocks(ctx, in, o...)
	return &forkedStream{stream}, err
}

type forkedStream struct {
	grpc.ServerStreamingClient[ltlv1.BlocksResponse]
}

func (s *forkedStream) Recv() (*ltlv1.BlocksResponse, error) {
	res, err := s.ServerStreamingClient.Recv()
	if err == nil {
		res.Block.Header[40] ^= 1
	}
	return res, err
}

// on returns a change of what a status says of one chain.
func on(chainID string, change func(*ltlv1.ChainStatus)) func(*ltlv1.StatusResponse) {
	return func(r *ltlv1.StatusResponse) {
		for _, c := range r.GetChains() {
			if c.GetChainId() == chainID {
				change(c)
			}
		}
	}
}

// TestCompare: other nodes that are ahead, behind, gone, or of another history.
func TestCompare(t *testing.T) {
	f := newFixture(t)
	chain := f.network.ChainID
	blocks := f.network.Blocks(chain)
	ahead := on(chain, func(c *ltlv1.ChainStatus) { c.Height, c.BlockHash = c.Height+2, make([]byte, 32) })
	behind := on(chain, func(c *ltlv1.ChainStatus) {
		c.Height -= 3
		hash := ledger.BlockHash(blocks[c.Height].GetHeader())
		c.BlockHash = hash[:]
	})
	report, err := Peer(t.Context(), f.peer, f.trust,
		Other{"same", f.peer}, Other{"deaf", deaf{}}, Other{"ahead",
			&liar{LedgerClient: f.peer, status: ahead}}, Other{"behind", &liar{LedgerClient: f.peer, status: behind}},
		Other{"new chain", &liar{LedgerClient: f.peer, status: func(r *ltlv1.StatusResponse) {
			r.Chains = append(r.Chains, &ltlv1.ChainStatus{ChainId: "9999999999999999", Height: 4})
		}}})
	if err != nil {
		t.Fatal(err)
	}
	height := uint64(len(blocks) - 1)
	want := []Comparison{
		{Name: "same"}, {Name: "deaf", Error: "no answer"}, {Name: "ahead", Behind: 2,
			Chains: []Lag{{chain, height + 2, 2}}}, {Name: "behind"},
		{Name: "new chain", Behind: 5, Chains: []Lag{{"9999999999999999", 4, 5}}},
	}
	if fmt.Sprint(report.Compared) != fmt.Sprint(want) {
		t.Errorf("compared %+v, want %+v", report.Compared, want)
	}
	flip := func(c *ltlv1.ChainStatus) { c.BlockHash[5] ^= 1 }
	for name, tc := range map[string]struct {
		other  ltlv1.LedgerClient
		height uint64
	}{
		"same height": {&liar{LedgerClient: f.peer, status: on(chain, flip)}, height},
		"lower": {&liar{LedgerClient: f.peer, status: func(r *ltlv1.StatusResponse) { behind(r); on(chain, flip)(r) }},
			height - 3},
		"higher": {&forked{liar{LedgerClient: f.peer, status: ahead}}, height},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Peer(t.Context(), f.peer, f.trust, Other{"same", f.peer}, Other{"forked", tc.other})
			if !errors.Is(err, ErrDiffers) || !strings.Contains(err.Error(), fmt.Sprintf("at height %d of chain %s forked has",
				tc.height, chain)) {
				t.Errorf("%+v, %v; want ErrDiffers at height %d", report, err, tc.height)
			}
		})
	}
}

// TestCompareBackup: an old copy is right as far as it goes, and the audit says how far that is.
func TestCompareBackup(t *testing.T) {
	f := newFixture(t)
	f.network.StopNode(0)
	dir := copyOf(t, f.network.NodeDir(0))
	f.network.RestartNode(0)
	before := 0
	for i := range 3 {
		r := f.network.Submit(identity.RoleFacade, f.network.SetData(f.network.Admin, fmt.Sprint("later", i), "x"))
		if r.GetCode() != rules.OK {
			t.Fatal(r)
		}
		if i == 0 {
			before = int(r.GetBlockHeight()) - 1
		}
	}
	report, err := Stored(t.Context(), dir, f.trust, Other{"node1", f.peer})
	if err != nil {
		t.Fatal(err)
	}
	height := len(f.network.Blocks(f.network.ChainID)) - 1
	want := []Comparison{{Name: "node1", Behind: uint64(height - before),
		Chains: []Lag{{f.network.ChainID, uint64(height), uint64(height - before)}}}}
	if fmt.Sprint(report.Compared) != fmt.Sprint(want) || height <= before {
		t.Errorf("compared %+v, want %+v", report.Compared, want)
	}
}
