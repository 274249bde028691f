package node

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/status"

	"ltl/internal/ledger"
	"ltl/internal/store"
	ltlv1 "ltl/proto/ltl/v1"
)

// damageable is a cluster that scrubs without a pause and cuts its logs often, with some records.
func damageable(t *testing.T) *cluster {
	t.Helper()
	c := newCluster(t, func(cfg *Config) {
		cfg.ScrubInterval = 200 * time.Millisecond
		cfg.SnapshotThreshold, cfg.TrailingLogs, cfg.SnapshotInterval = 8, 4, 50*time.Millisecond
	})
	rng := rand.New(rand.NewPCG(3, 3))
	for range 20 {
		c.write(rng)
	}
	c.settle()
	return c
}

// flipIn flips a bit wherever the file holds the text, and returns how often that is.
func flipIn(t *testing.T, path string, text []byte) (flipped int) {
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
	for at := 0; ; at++ {
		i := bytes.Index(content[at:], text)
		if i < 0 {
			return flipped
		}
		at += i
		if _, err := f.WriteAt([]byte{content[at] ^ 1}, int64(at)); err != nil {
			t.Fatal(err)
		}
		flipped++
	}
}

func (c *cluster) database(i int) string { return filepath.Join(c.cfgs[i].Dir, ledgerDir, "ledger.db") }

// payload is the first transaction of a block.
func (c *cluster) payload(i int, height uint64) []byte {
	c.t.Helper()
	b, err := c.node(i).store.Block(c.world.chain, height)
	if err != nil {
		c.t.Fatal(err)
	}
	return b.GetBatches()[0].GetTransactions()[0]
}

// restartWhenAsked opens a node again when it asks for it, as `ltl node` does.
func (c *cluster) restartWhenAsked(i int) {
	c.t.Helper()
	select {
	case <-c.node(i).Restart():
	case <-time.After(20 * time.Second):
		c.t.Fatal("the node does not ask to be opened again")
	}
	c.stop(i)
	c.start(i)
}

// awaitWhole waits until a node has rebuilt its ledger.
func (c *cluster) awaitWhole(i int) {
	c.t.Helper()
	eventually(c.t, 30*time.Second, "the ledger is whole again", func() bool { return c.node(i).rebuild.now() == nil })
	for _, name := range []string{damagedDir, rebuildFile} {
		if _, err := os.Stat(filepath.Join(c.cfgs[i].Dir, name)); !errors.Is(err, fs.ErrNotExist) {
			c.t.Errorf("after the rebuild %s is there: %v", name, err)
		}
	}
	if err := c.node(i).store.Verify(c.t.Context(), nil); err != nil {
		c.t.Errorf("the rebuilt ledger: %v", err)
	}
}

// A damaged block of a running node is never served, and soon repaired from the others; that of all nodes is named
// and not served.
func TestDamagedBlock(t *testing.T) {
	c := damageable(t)
	const height = 4
	payload := c.payload(1, height)
	if flipIn(t, c.database(1), payload) == 0 {
		t.Fatal("the block is not in the file")
	}
	eventually(t, 20*time.Second, "the block is repaired", func() bool {
		b, err := c.node(1).store.Block(c.world.chain, height)
		if err != nil && !errors.Is(err, store.ErrCorrupt) {
			t.Fatal(err)
		}
		if err == nil && !bytes.Equal(b.GetBatches()[0].GetTransactions()[0], payload) {
			t.Fatal("a damaged block is served")
		}
		return err == nil && c.node(1).scrubber.Fault() == ""
	})
	c.write(rand.New(rand.NewPCG(4, 4)))
	c.settle()

	for i := range 3 {
		c.stop(i)
		flipIn(t, c.database(i), payload)
	}
	for i := range 3 {
		c.start(i)
	}
	for i := range 3 {
		eventually(t, 20*time.Second, "the damage is reported", func() bool {
			st, err := ltlv1.NewLedgerClient(c.facade(i)).Status(t.Context(), &ltlv1.StatusRequest{})
			return err == nil && strings.Contains(st.GetFault(), "block 4 of chain "+c.world.chain)
		})
		if b, err := c.node(i).store.Block(c.world.chain, height); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("node %d serves a block that is damaged everywhere: %v, %v", i, b, err)
		}
	}
	c.write(rand.New(rand.NewPCG(5, 5))) // other chains are still written
	broken := bytes.Clone(payload)
	broken[0] ^= 1
	for i := range 3 { // the same bit again, so that the ledgers can be compared; a running node may write to the page
		c.stop(i)
		flipIn(t, c.database(i), broken)
		c.start(i)
	}
}

// Damaged state of a stopped node: the next start moves the ledger away and rebuilds it. It votes meanwhile, serves
// nothing wrong, and says what it does.
func TestDamagedStateIsMadeAnew(t *testing.T) {
	c := damageable(t)
	want := c.node(2).store.Tips()
	c.stop(2)
	if flipIn(t, c.database(2), []byte("Company o3")) == 0 {
		t.Fatal("the state is not in the file")
	}
	rng := rand.New(rand.NewPCG(6, 6))
	c.write(rng)
	c.start(2)
	c.awaitWhole(2)
	c.settle()
	for _, tip := range want {
		b, err := c.node(2).store.Block(tip.ChainID, tip.Header.Height)
		if err != nil || ledger.BlockHash(b.GetHeader()) != tip.Hash {
			t.Errorf("block %d of chain %s: %v", tip.Header.Height, tip.ChainID, err)
		}
	}
}

// Damaged state of a running node: it leaves when the others can do without it, and not before.
func TestDamagedStateWhileRunning(t *testing.T) {
	c := damageable(t)
	c.stop(0)
	if flipIn(t, c.database(1), []byte("Company o3")) == 0 {
		t.Fatal("the state is not in the file")
	}
	eventually(t, 20*time.Second, "the damage is reported", func() bool { return c.node(1).scrubber.Fault() != "" })
	select {
	case <-c.node(1).Restart():
		t.Fatal("the node leaves two of three without a majority")
	case <-time.After(time.Second):
	}
	c.start(0)
	c.restartWhenAsked(1)
	c.awaitWhole(1)
	c.write(rand.New(rand.NewPCG(7, 7)))
}

// With a damaged ledger and a damaged Raft log it is unknown which votes and entries the node has acknowledged.
func TestNothingIsMadeAnewOutOfNothing(t *testing.T) {
	c := damageable(t)
	// The newest snapshot reaches all that was executed: raft alone would want no more.
	if err := c.node(1).replica.current.raft.Snapshot().Error(); err != nil {
		t.Log(err) // there was one already
	}
	c.stop(1)
	dir := c.cfgs[1].Dir
	damage := map[string]func() error{
		"the Raft log is gone": func() error { return os.Remove(filepath.Join(dir, raftLogName)) },
		"the Raft log is gone and the ledger is damaged": func() error {
			flipIn(t, c.database(1), []byte("Company o3"))
			return os.Remove(filepath.Join(dir, raftLogName))
		},
		"the Raft log is empty":     func() error { return os.Truncate(filepath.Join(dir, raftLogName), 0) },
		"the Raft log is cut short": func() error { return os.Truncate(filepath.Join(dir, raftLogName), 8192) },
		"the meta pages are damaged": func() error {
			f, err := os.OpenFile(c.database(1), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt(make([]byte, 512), 0)
			return errors.Join(err, f.Close())
		},
	}
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(saved))); err != nil {
			t.Fatal(err)
		}
	}
	for name, do := range damage {
		if err := do(); err != nil {
			t.Fatal(err)
		}
		n, err := Open(t.Context(), c.cfgs[1])
		if err == nil {
			err = n.Close()
			t.Errorf("%s: the node starts, %v", name, err)
		} else if !errors.Is(err, errReplace) {
			t.Errorf("%s: %v", name, err)
		}
		restore()
	}
}

// A Raft log that does not reach what a damaged ledger had executed is not one to make a new ledger from.
func TestOldLogIsNoBasis(t *testing.T) {
	c := newCluster(t, nil)
	rng := rand.New(rand.NewPCG(10, 10))
	c.write(rng)
	c.settle()
	c.stop(1)
	path := filepath.Join(c.cfgs[1].Dir, raftLogName)
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c.start(1)
	c.write(rng)
	c.settle()
	c.stop(1)
	young, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	state := []byte("Company o3")
	flipIn(t, c.database(1), state)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	for turn := range 2 { // the second time the damaged ledger has been put aside already
		if n, err := Open(t.Context(), c.cfgs[1]); err == nil {
			_ = n.Close()
			t.Fatalf("turn %d: the node starts", turn)
		} else if !errors.Is(err, errReplace) {
			t.Errorf("turn %d: %v", turn, err)
		}
	}
	if err := os.WriteFile(path, young, 0o600); err != nil {
		t.Fatal(err)
	}
	c.start(1)
	c.awaitWhole(1)
}

// The error of a damaged read makes the client ask another node.
func TestDamagedBlockIsToldToClients(t *testing.T) {
	c := damageable(t)
	c.cfgs[1].ScrubInterval = time.Hour
	c.stop(1)
	c.start(1)
	payload := c.payload(1, 4)
	flipIn(t, c.database(1), payload)
	stream, err := ltlv1.NewLedgerClient(c.facade(1)).Blocks(t.Context(), &ltlv1.BlocksRequest{ChainId: c.world.chain,
		FromHeight: 4})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := stream.Recv(); err == nil || !strings.Contains(status.Convert(err).Message(), "corrupt") {
		t.Errorf("%v, %v", m, err)
	}
	// That read was reason enough to look, an hour before the next scrub.
	eventually(t, 20*time.Second, "the block is repaired", func() bool {
		_, err := c.node(1).store.Block(c.world.chain, 4)
		return err == nil
	})
}
