package scrub

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"ltl/internal/ledger"
	"ltl/internal/query"
	"ltl/internal/rules"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
	"ltl/test/testkit/offline"
)

// blocks is how many blocks a ledger has above its genesis block. Block n creates the account of number n.
const blocks = 12

func genesis(t *testing.T) []byte { return offline.GenesisPayload(t, offline.Genesis("o1")) }

// submitter is in the bytes of block n, as often as the block has transactions, and nowhere else in the database.
func submitter(n uint64) string { return fmt.Sprintf("o1/operator/olga-%04d", n) }

// entry is the n-th entry of a ledger. Entries of different histories make blocks that differ in one character.
func entry(t *testing.T, network ledger.Hash, history string, n uint64) store.Entry {
	t.Helper()
	nonce := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	payload := offline.Encode(t, &ltlv1.Transaction{Version: 1, ChainId: ledger.SystemChain, Nonce: nonce[:16],
		CreatedMs: offline.StartMs, Submitter: submitter(n), Action: &ltlv1.Transaction_CreateAccount{CreateAccount: &ltlv1.CreateAccount{
			Uid: fmt.Sprintf("%016d", n), Name: history, Type: ltlv1.AccountType_ACCOUNT_TYPE_RAM, Organisation: "o1"}}})
	batch := offline.Batch(network, ledger.SystemChain, offline.StartMs+int64(n), [][]byte{payload},
		offline.Signers("o1"))
	return store.Entry{Index: n, Entry: &ltlv1.Entry{Entry: &ltlv1.Entry_Batches{
		Batches: &ltlv1.OrderedBatches{Batches: []*ltlv1.Batch{batch}}}}}
}

// newLedger is a store on disk with a genesis block and the blocks of one history. Two of one history are equal to the
// byte.
func newLedger(t *testing.T, history string) (*store.Store, string) {
	t.Helper()
	dir := t.TempDir()
	// Eight entries a run: the index is on disk, in several files.
	s, err := store.Open(dir, store.Options{NoSync: true, FlushEntries: 8, Logger: quiet(),
		Fatal: func(err error) { t.Error("Fatal:", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	payload := genesis(t)
	if err := s.Init(payload); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(blocks) {
		results, err := s.Apply([]store.Entry{entry(t, ledger.NetworkID(payload), history, n+1)})
		if err != nil {
			t.Fatal(err)
		}
		if code := results[0].Results[0][0].GetCode(); code != rules.OK {
			t.Fatalf("account %d: %d %s", n+1, code, rules.Message(code))
		}
	}
	return s, dir
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// copyServer serves a ledger to scrubbers and counts the blocks that it is asked for.
type copyServer struct {
	ltlv1.LedgerServer
	asked atomic.Int32
	// alter, unless nil, changes every block before it is sent; a nil block ends the call with an error.
	alter func(b *ltlv1.Block) *ltlv1.Block
}

// Blocks implements ltlv1.LedgerServer.
func (c *copyServer) Blocks(in *ltlv1.BlocksRequest, stream ltlv1.Ledger_BlocksServer) error {
	c.asked.Add(1)
	if c.alter == nil {
		return c.LedgerServer.Blocks(in, stream)
	}
	return c.LedgerServer.Blocks(in, &alteredStream{stream, c.alter})
}

// alteredStream changes blocks on their way to the client.
type alteredStream struct {
	ltlv1.Ledger_BlocksServer
	alter func(b *ltlv1.Block) *ltlv1.Block
}

// Send implements ltlv1.Ledger_BlocksServer.
func (s *alteredStream) Send(m *ltlv1.BlocksResponse) error {
	b := s.alter(proto.CloneOf(m.GetBlock()))
	if b == nil {
		return fmt.Errorf("this copy does not answer")
	}
	return s.Ledger_BlocksServer.Send(&ltlv1.BlocksResponse{Block: b})
}

// newSource serves a store's blocks over gRPC, as a node does.
func newSource(
	t *testing.T, name string, s *store.Store, alter func(b *ltlv1.Block) *ltlv1.Block,
) (Source, *copyServer) {
	t.Helper()
	served := &copyServer{LedgerServer: query.New(s, query.Options{}), alter: alter}
	listener := bufconn.Listen(1 << 16)
	server := grpc.NewServer()
	ltlv1.RegisterLedgerServer(server, served)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	conn, err := grpc.NewClient("passthrough:///"+name, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return Source{Name: name, Ledger: ltlv1.NewLedgerClient(conn)}, served
}

// flip changes one bit at every place where a file holds the pattern, offset bytes into it, under the running store.
func flip(t *testing.T, path string, pattern []byte, offset int) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	places := 0
	for at := 0; ; places++ {
		i := bytes.Index(content[at:], pattern)
		if i < 0 {
			break
		}
		at += i
		if _, err := f.WriteAt([]byte{content[at+offset] ^ 4}, int64(at+offset)); err != nil {
			t.Fatal(err)
		}
		at++
	}
	if places == 0 {
		t.Fatalf("%q is not in %s", pattern, path)
	}
}

// damageBlock flips a bit in the bytes of a block.
func damageBlock(t *testing.T, dir string, height uint64) {
	t.Helper()
	flip(t, filepath.Join(dir, "ledger.db"), []byte(submitter(height)), 3)
}

// fileSums are the checksums of all files of a ledger.
func fileSums(t *testing.T, dir string) map[string][32]byte {
	t.Helper()
	sums := map[string][32]byte{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		sums[path] = sha256.Sum256(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}
