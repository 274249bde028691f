package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/internal/audit"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/insider"
	"ltl/test/testkit"
)

// fixture is a network of three nodes and connections to them.
type fixture struct {
	t       *testing.T
	network *testkit.Network
	trust   *identity.Trust
	nodes   []audit.Other
	written int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, network: testkit.Start(t, testkit.Options{Nodes: 3, Orgs: 1})}
	f.trust = f.network.Trust()
	credentials := f.network.Credentials("operator", f.trust)
	for _, n := range f.trust.Genesis().GetNodes() {
		conn, err := grpc.NewClient(n.GetAddress(), credentials.DialOptions(identity.RoleNode, n.GetId())...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		})
		f.nodes = append(f.nodes, audit.Other{Name: n.GetId(), Ledger: ltlv1.NewLedgerClient(conn)})
	}
	return f
}

// write makes n more records, one block each.
func (f *fixture) write(n int) {
	f.t.Helper()
	for range n {
		f.written++
		f.network.Submit(identity.RoleFacade, f.network.SetData(f.network.Admin, fmt.Sprintf("%032d", f.written),
			fmt.Sprintf("the value of record %d", f.written)))
	}
}

// config copies from the first node, or from another ledger in its place.
func (f *fixture) config(dir string, source ltlv1.LedgerClient) Config {
	if source == nil {
		source = f.nodes[0].Ledger
	}
	return Config{Dir: dir, Trust: f.trust, Source: audit.Other{Name: f.nodes[0].Name, Ledger: source},
		Others:     f.nodes[1:],
		AccessKeys: f.network.Client(identity.RoleOperator).WatchSealed}
}

func (f *fixture) run(dir string) *Report {
	f.t.Helper()
	r, err := Run(f.t.Context(), f.config(dir, nil))
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// passes checks that a backup is what its report says, block by block what node 2 has, and right.
func (f *fixture) passes(r *Report) {
	f.t.Helper()
	m, err := Check(r.Dir)
	if err != nil || m.Blocks != r.Blocks {
		f.t.Fatalf("manifest %+v, %v; the report is %+v", m, err, r)
	}
	if _, err := audit.Stored(f.t.Context(), r.Dir, f.trust, f.nodes...); err != nil {
		f.t.Fatal(err)
	}
	s, err := openStore(filepath.Join(r.Dir, ledgerName))
	if err != nil {
		f.t.Fatal(err)
	}
	defer s.Close()
	if s.Sequence() != r.Blocks {
		f.t.Fatalf("%d blocks, the report says %d", s.Sequence(), r.Blocks)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	defer cancel()
	stream, err := f.nodes[1].Ledger.Follow(ctx, &ltlv1.FollowRequest{})
	if err != nil {
		f.t.Fatal(err)
	}
	for i := range r.Blocks {
		want, err := stream.Recv()
		if err != nil {
			f.t.Fatal(err)
		}
		have, err := s.BlockAt(i)
		if err != nil || !proto.Equal(have, want.GetBlock()) {
			f.t.Fatalf("block %d of the order of execution is %v, %v; node 2 has %v", i, have, err, want.GetBlock())
		}
	}
}

// putKey puts a version of an AccessKey of the administrator's account on the ledger, and its sealed secret to the nodes.
func (f *fixture) putKey(id string, version uint64) []byte {
	f.t.Helper()
	sealed := f.network.Seal(f.network.Admin, id, "secret", version)
	operator := f.network.Client(identity.RoleOperator)
	f.network.SubmitAs(operator, insider.PutAccessKey(f.network.Admin.UID, id,
		ltlv1.AccessKeyState_ACCESS_KEY_STATE_DISABLED, version, ledger.SealedCommitment(sealed)))
	if err := operator.PutSealed(f.t.Context(), id, sealed); err != nil {
		f.t.Fatal(err)
	}
	return sealed
}

// TestUnderLoad: a backup taken while others write is a whole beginning of what the nodes have, and the next run goes
// on with it.
func TestUnderLoad(t *testing.T) {
	f := newFixture(t)
	f.putKey("keyone", 1)
	f.write(20)
	dir := filepath.Join(t.TempDir(), "backup")
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				tx := f.network.SetData(f.network.Admin, fmt.Sprintf("%016d%016d", w+1, i), "under load")
				if r, err := f.network.Client(identity.RoleFacade).Submit(ctx, tx); ctx.Err() == nil &&
					(err != nil || r.GetCode() != rules.OK) {
					t.Errorf("record %d of writer %d: %v, %v", i, w, r, err)
					return
				}
			}
		})
	}
	var before uint64
	for turn := range 5 {
		r := f.run(dir)
		if r.Blocks != before+r.Added || r.Blocks < 20 || len(r.Chains) != 2 || len(r.ComparedWith) != 2 ||
			r.AccessKeys.Count != 1+turn {
			t.Errorf("run %d: %+v after %d blocks", turn, r, before)
		}
		if turn > 0 && r.Added == 0 {
			t.Errorf("run %d: nothing is new under load", turn)
		}
		before = r.Blocks
		f.passes(r)
		f.putKey(fmt.Sprint("key", turn), 1)
	}
	cancel()
	writers.Wait()
	newestSealed := f.putKey("keyone", 2)
	r := f.run(dir)
	s, err := openStore(filepath.Join(dir, ledgerName))
	if err != nil {
		t.Fatal(err)
	}
	keys, newest, err := s.AccessKeys(0, 100)
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if len(keys) != 6 || newest != r.AccessKeys.Version || keys[5].GetAccessKeyId() != "keyone" ||
		!bytes.Equal(keys[5].GetSealed(), newestSealed) {
		t.Errorf("the AccessKeys are %v up to %d, the report says %+v", keys, newest, r.AccessKeys)
	}
}

// source is a ledger that is not what it should be.
type source struct {
	ltlv1.LedgerClient
	change func(*ltlv1.FollowResponse)         // an answer of Follow
	status func(*ltlv1.StatusResponse)         // the answer of Status
	sent   func(r *ltlv1.FollowResponse) error // called before an answer is given
	from   uint64                              // where the last Follow began
}

func (s *source) Status(
	ctx context.Context, in *ltlv1.StatusRequest, o ...grpc.CallOption,
) (*ltlv1.StatusResponse, error) {
	res, err := s.LedgerClient.Status(ctx, in, o...)
	if err == nil && s.status != nil {
		s.status(res)
	}
	return res, err
}

func (s *source) Follow(
	ctx context.Context, in *ltlv1.FollowRequest, o ...grpc.CallOption,
) (grpc.ServerStreamingClient[ltlv1.FollowResponse], error) {
	s.from = in.GetFromSequence()
	stream, err := s.LedgerClient.Follow(ctx, in, o...)
	return &sourceStream{ServerStreamingClient: stream, s: s}, err
}

type sourceStream struct {
	grpc.ServerStreamingClient[ltlv1.FollowResponse]
	s *source
}

func (s *sourceStream) Recv() (*ltlv1.FollowResponse, error) {
	res, err := s.ServerStreamingClient.Recv()
	if err == nil && s.s.change != nil {
		s.s.change(res)
	}
	if err == nil && s.s.sent != nil {
		err = s.s.sent(res)
	}
	return res, err
}

// lies change one thing behind a height of the business chain, or in what the source says of itself.
func (f *fixture) lies(height uint64) map[string]*source {
	in := func(change func(b *ltlv1.Block)) *source {
		return &source{LedgerClient: f.nodes[0].Ledger, change: func(r *ltlv1.FollowResponse) {
			if h, err := ledger.ParseHeader(r.GetBlock().GetHeader()); err == nil && h.ChainID == f.network.ChainID &&
				h.Height == height {
				change(r.GetBlock())
			}
		}}
	}
	return map[string]*source{
		"another result":       in(func(b *ltlv1.Block) { b.Results[0] = rules.Forbidden }),
		"a forged endorsement": in(func(b *ltlv1.Block) { b.Batches[0].Endorsements[0].Signature[7] ^= 1 }),
		"no block":             in(func(b *ltlv1.Block) { proto.Reset(b) }),
		// Execution reproduces a block with another time: only its hash tells.
		"another time": in(func(b *ltlv1.Block) { b.Header[1+32+ledger.ChainIDLen+8+7] ^= 1 }),
		"a block left out": {LedgerClient: f.nodes[0].Ledger, change: func(r *ltlv1.FollowResponse) {
			if r.Sequence > height {
				r.Sequence++
			}
		}},
		"a tip that is not its own": {LedgerClient: f.nodes[0].Ledger,
			status: func(r *ltlv1.StatusResponse) { r.Chains[1].BlockHash[0] ^= 1 }},
	}
}

// TestWrongSource: a source that lies is named, and the backup stays what it was, in the first run and in a later one.
func TestWrongSource(t *testing.T) {
	f := newFixture(t)
	f.write(10)
	for name, lie := range f.lies(7) {
		dir := t.TempDir()
		_, err := Run(t.Context(), f.config(dir, lie))
		if !errors.Is(err, ErrSource) || !strings.Contains(err.Error(), f.nodes[0].Name) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, ledgerName)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: blocks of the first run are kept: %v", name, err)
		}
		if _, err := Check(dir); !errors.Is(err, ErrUnfinished) {
			t.Errorf("%s: a backup without a whole run passes: %v", name, err)
		}
		f.passes(f.run(dir))
	}
	f.putKey("keyone", 1)
	base := t.TempDir()
	had := f.run(base)
	f.write(10)
	for name, lie := range f.lies(17) {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(base)); err != nil {
			t.Fatal(err)
		}
		if _, err := Run(t.Context(), f.config(dir, lie)); !errors.Is(err, ErrSource) {
			t.Errorf("%s, later: %v", name, err)
			continue
		}
		had.Dir = dir
		f.passes(had)
		if r := f.run(dir); r.Added == 0 || r.AccessKeys.Count != 1 {
			t.Errorf("%s: afterwards %+v", name, r)
		}
	}
}
