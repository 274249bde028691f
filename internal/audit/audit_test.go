package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"ltl/client"
	"ltl/internal/identity"
	"ltl/internal/ledger"
	"ltl/internal/rules"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit"
)

const records = 30

// fixture is a small network with records on it, and a connection to its node.
type fixture struct {
	network *testkit.Network
	peer    ltlv1.LedgerClient
	trust   *identity.Trust
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	n := testkit.Start(t, testkit.Options{Nodes: 1, Orgs: 1})
	c := n.Client(identity.RoleOperator)
	for i := range records {
		key := fmt.Sprintf("0001_%s_%s_%032d", n.ChainCode, n.Admin.TypeCode, i)
		r, err := c.Submit(t.Context(), &ltlv1.Transaction{
			ChainId: n.ChainID, AccountUid: n.Admin.UID,
			Action:   &ltlv1.Transaction_SetData{SetData: &ltlv1.SetData{Key: key}},
			Openings: client.Values(fmt.Sprintf("the value of record %d", i)),
		})
		if err != nil || r.GetCode() != rules.OK {
			t.Fatalf("record %d: %v, %v", i, r, err)
		}
	}
	trust := n.Trust()
	credentials, err := identity.LoadCredentials(filepath.Join(n.Dir, "operator"), trust)
	if err != nil {
		t.Fatal(err)
	}
	node := trust.Genesis().GetNodes()[0]
	conn, err := grpc.NewClient(node.GetAddress(), credentials.DialOptions(identity.RoleNode, node.GetId())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return &fixture{network: n, peer: ltlv1.NewLedgerClient(conn), trust: trust}
}

// liar is a copy that does not tell what it holds.
type liar struct {
	ltlv1.LedgerClient
	block  func(*ltlv1.FollowResponse) // changes an answer of Follow
	status func(*ltlv1.StatusResponse) // changes the answer of Status
}

func (l *liar) Status(
	ctx context.Context, in *ltlv1.StatusRequest, o ...grpc.CallOption,
) (*ltlv1.StatusResponse, error) {
	res, err := l.LedgerClient.Status(ctx, in, o...)
	if err == nil && l.status != nil {
		l.status(res)
	}
	return res, err
}

func (l *liar) Follow(
	ctx context.Context, in *ltlv1.FollowRequest, o ...grpc.CallOption,
) (grpc.ServerStreamingClient[ltlv1.FollowResponse], error) {
	stream, err := l.LedgerClient.Follow(ctx, in, o...)
	return &lyingStream{ServerStreamingClient: stream, block: l.block}, err
}

type lyingStream struct {
	grpc.ServerStreamingClient[ltlv1.FollowResponse]
	block func(*ltlv1.FollowResponse)
}

func (s *lyingStream) Recv() (*ltlv1.FollowResponse, error) {
	res, err := s.ServerStreamingClient.Recv()
	if err == nil && s.block != nil {
		s.block(res)
	}
	return res, err
}

func TestPeer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir()) // other programs audit at the same time
	f := newFixture(t)
	report, err := Peer(t.Context(), f.peer, f.trust)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, c := range report.Chains {
		found = found || c.ID == f.network.ChainID && c.Transactions >= records && c.Height > 0 && c.Refused == 0 &&
			len(c.BlockHash) == 64
	}
	if !found || len(report.Chains) != 2 {
		t.Fatalf("the report is %+v", report)
	}
	for name, lie := range f.lies() {
		t.Run(name, func(t *testing.T) {
			lie.LedgerClient = f.peer
			if report, err := Peer(t.Context(), lie, f.trust); !errors.Is(err, ErrWrong) {
				t.Errorf("a copy that lies passes: %+v, %v", report, err)
			} else {
				t.Log(err)
			}
		})
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "ltl-audit-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the audits left %v, %v", left, err)
	}
}

// lies change one thing in a block with a record of the business chain, or in what the copy says of itself.
func (f *fixture) lies() map[string]*liar {
	inRecord := func(change func(b *ltlv1.Block)) *liar {
		return &liar{block: func(r *ltlv1.FollowResponse) {
			h, err := ledger.ParseHeader(r.GetBlock().GetHeader())
			if err == nil && h.ChainID == f.network.ChainID && h.Height == 5 {
				change(r.GetBlock())
			}
		}}
	}
	return map[string]*liar{
		"another Key": inRecord(func(b *ltlv1.Block) {
			tx := b.GetBatches()[0].GetTransactions()
			tx[0] = bytes.Replace(tx[0], []byte("_00000000"), []byte("_10000000"), 1)
		}),
		"another result":       inRecord(func(b *ltlv1.Block) { b.Results[0] = rules.Forbidden }),
		"an endorsement less":  inRecord(func(b *ltlv1.Block) { b.Batches[0].Endorsements = nil }),
		"a forged endorsement": inRecord(func(b *ltlv1.Block) { b.Batches[0].Endorsements[0].Signature[7] ^= 1 }),
		"a transaction twice": inRecord(func(b *ltlv1.Block) {
			b.Batches = append(b.Batches, b.Batches[0])
			b.Results = append(b.Results, b.Results...)
		}),
		"another time":          inRecord(func(b *ltlv1.Block) { b.Header[1+32+ledger.ChainIDLen+8+7] ^= 1 }),
		"another previous hash": inRecord(func(b *ltlv1.Block) { b.Header[1+32+ledger.ChainIDLen+16] ^= 1 }),
		"another state":         inRecord(func(b *ltlv1.Block) { b.Header[ledger.HeaderLen-25] ^= 1 }),
		"no block at all":       inRecord(func(b *ltlv1.Block) { proto.Reset(b) }),
		"a block left out": {block: func(r *ltlv1.FollowResponse) {
			if r.Sequence > 5 {
				r.Sequence++
			}
		}},
		"another genesis": {block: func(r *ltlv1.FollowResponse) {
			if r.GetSequence() == 0 {
				r.Block.Batches[0].Transactions[0][3] ^= 1
			}
		}},
		"a tip that is not its own": {status: func(r *ltlv1.StatusResponse) { r.Chains[1].BlockHash[0] ^= 1 }},
		"a fault of its own":        {status: func(r *ltlv1.StatusResponse) { r.Fault = "block 7 does not verify" }},
	}
}

// TestStored: a stopped copy passes; with one flipped byte it passes only if that byte means nothing, and never when
// the byte is a record's.
func TestStored(t *testing.T) {
	f := newFixture(t)
	if _, err := Stored(t.Context(), f.network.NodeDir(0), f.trust); err == nil || errors.Is(err, ErrWrong) {
		t.Errorf("the ledger of a running process is not refused: %v", err)
	}
	f.network.StopNode(0)
	clean, err := Stored(t.Context(), f.network.NodeDir(0), f.trust)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Stored(t.Context(), t.TempDir(), f.trust); !errors.Is(err, ErrNoStore) {
		t.Errorf("a directory without a ledger gives %v", err)
	}
	t.Run("a record's byte", func(t *testing.T) {
		dir := copyOf(t, f.network.NodeDir(0))
		path := filepath.Join(dir, ledgerDir, databaseFile)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := bytes.Index(raw, []byte("_00000000000000000000000000000017"))
		if at < 0 {
			t.Fatal("no record is in the file")
		}
		// bbolt leaves old pages behind: every copy of the Key is changed, as the newest is among them.
		if err := os.WriteFile(path, bytes.ReplaceAll(raw, []byte("_00000000000000000000000000000017"),
			[]byte("_00000000000000000000000000000071")), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Stored(t.Context(), dir, f.trust); !errors.Is(err, ErrWrong) {
			t.Errorf("a changed record gives %v", err)
		} else {
			t.Log(err)
		}
	})
	t.Run("a value's byte", func(t *testing.T) {
		dir := copyOf(t, f.network.NodeDir(0))
		path := filepath.Join(dir, ledgerDir, "openings", "00000000.openings")
		raw, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(raw, []byte("the value of record 17")) {
			t.Fatalf("no value is in the file: %v", err)
		}
		if err := os.WriteFile(path, bytes.Replace(raw, []byte("the value of record 17"),
			[]byte("the value of record 71"), 1), 0o600); err != nil {
			t.Fatal(err)
		}
		if report, err := Stored(t.Context(), dir, f.trust); err != nil || report.Lacking != 1 || clean.Lacking != 0 {
			t.Errorf("a changed value gives %+v, %v", report, err)
		}
	})
	t.Run("any byte", func(t *testing.T) { f.flipAnywhere(t, clean) })
	f.network.RestartNode(0)
}

// flipAnywhere flips one byte somewhere in the files of the copy, again and again.
func (f *fixture) flipAnywhere(t *testing.T, clean *Report) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	noticed := 0
	for range 25 {
		dir := copyOf(t, f.network.NodeDir(0))
		where := flip(t, filepath.Join(dir, ledgerDir), random)
		report, err := Stored(t.Context(), dir, f.trust)
		if err != nil {
			noticed++
			continue
		}
		report.Took, report.Source = clean.Took, clean.Source
		if strings.Contains(where, ".openings") { // what is damaged there is lacking: the blocks are right without it
			noticed += report.Lacking
			report.Lacking = 0
		}
		if !reflect.DeepEqual(report, clean) {
			t.Errorf("%s: the audit passes and reports %+v, not %+v", where, report, clean)
		}
	}
	t.Logf("%d of 25 flips were noticed; the others hit bytes that mean nothing", noticed)
	if noticed == 0 {
		t.Error("not one of 25 flips was noticed")
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// flip changes one bit of one file that is not empty.
func flip(t *testing.T, dir string, random *rand.Rand) string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 && !strings.HasSuffix(path, "lock") {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("files to damage: %v, %v", files, err)
	}
	path := files[random.IntN(len(files))]
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := random.IntN(len(raw))
	for raw[at] == 0 { // most of a young database is empty space
		at = random.IntN(len(raw))
	}
	raw[at] ^= 1 << random.IntN(8)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("byte %d of %s", at, filepath.Base(path))
}
