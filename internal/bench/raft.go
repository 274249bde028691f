package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// The shape of the ceiling's load.
const (
	ceilingNodes        = 3
	ceilingBatch        = 500
	ceilingTransaction  = 300
	ceilingElection     = 20 * time.Second
	ceilingTimeout      = 10 * time.Second
	ceilingAppend       = 1024
	ceilingPool         = 3
	ceilingLeaderPoll   = 20 * time.Millisecond
	ceilingNoSnapshot   = 1 << 40
	ceilingStepsOfLoad  = 5 // 1, 2, 4, 8, 16 entries in flight
	ceilingShortestStep = 200 * time.Millisecond
)

// Ceiling is what the Raft library alone reaches: three nodes in one process over TCP, raft-boltdb, nothing executed.
// It is the best of several numbers of entries in flight.
type Ceiling struct {
	TransactionsPerSecond float64 `json:"transactionsPerSecond"`
	EntriesPerSecond      float64 `json:"entriesPerSecond"`
	P50Ms                 float64 `json:"p50Ms"`
	P99Ms                 float64 `json:"p99Ms"`
	EntriesInFlight       int     `json:"entriesInFlight"`
	BatchTransactions     int     `json:"batchTransactions"`
	TransactionBytes      int     `json:"transactionBytes"`
}

// ceiling measures in dir, which must be on the disk of the network, and removes it.
func ceiling(ctx context.Context, o Options, dir string) (_ *Ceiling, err error) {
	fmt.Fprintf(o.Progress, "Raft library alone: entries of %d transactions of %d bytes\n", ceilingBatch,
		ceilingTransaction)
	if err := os.RemoveAll(dir); err != nil {
		return nil, fmt.Errorf("couldn't empty the directory of the bare Raft: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	cluster, err := newBareCluster(dir)
	defer func() { err = errors.Join(err, cluster.close()) }()
	if err != nil {
		return nil, err
	}
	leader, err := cluster.leader(ctx)
	if err != nil {
		return nil, err
	}
	var best *Ceiling
	step := max(o.Duration/ceilingStepsOfLoad, ceilingShortestStep)
	for i := range ceilingStepsOfLoad {
		if c := bareLoad(ctx, leader, 1<<i, step); best == nil || c.TransactionsPerSecond > best.TransactionsPerSecond {
			best = c
		}
	}
	if best.EntriesPerSecond == 0 {
		return nil, errors.New("the bare Raft committed nothing; is the disk full or very slow?")
	}
	return best, nil
}

// bareLoad keeps a number of entries in flight for a while.
func bareLoad(ctx context.Context, leader *raft.Raft, inFlight int, duration time.Duration) *Ceiling {
	entry := make([]byte, ceilingBatch*ceilingTransaction)
	begin := time.Now().Add(duration / warmUpShare)
	end := begin.Add(duration)
	counted := make([]counts, inFlight)
	var wg sync.WaitGroup
	for i := range counted {
		wg.Go(func() {
			counted[i].run(ctx, func(context.Context) error { return leader.Apply(entry, ceilingTimeout).Error() }, begin, end)
		})
	}
	wg.Wait()
	l := summarise(counted, duration, nil, nil)
	return &Ceiling{
		TransactionsPerSecond: l.PerSecond * ceilingBatch, EntriesPerSecond: l.PerSecond, P50Ms: l.P50Ms, P99Ms: l.P99Ms,
		EntriesInFlight: inFlight, BatchTransactions: ceilingBatch, TransactionBytes: ceilingTransaction,
	}
}

// bareCluster is three Raft nodes that only agree on entries.
type bareCluster struct {
	nodes      []*raft.Raft
	transports []*raft.NetworkTransport
	stores     []*raftboltdb.BoltStore
}

// newBareCluster starts the nodes. On an error it returns the part that was started, for close.
func newBareCluster(dir string) (*bareCluster, error) {
	c := &bareCluster{}
	var servers []raft.Server
	for i := range ceilingNodes {
		transport, err := raft.NewTCPTransport("127.0.0.1:0", nil, ceilingPool, ceilingTimeout, io.Discard)
		if err != nil {
			return c, fmt.Errorf("couldn't open a transport for the bare Raft: %w", err)
		}
		c.transports = append(c.transports, transport)
		servers = append(servers, raft.Server{ID: raft.ServerID(strconv.Itoa(i)), Address: transport.LocalAddr()})
	}
	for i := range ceilingNodes {
		if err := c.add(filepath.Join(dir, strconv.Itoa(i)), i, servers); err != nil {
			return c, fmt.Errorf("couldn't start the bare Raft: %w", err)
		}
	}
	return c, nil
}

// add starts node i. It takes no snapshots, as a run is short.
func (c *bareCluster) add(dir string, i int, servers []raft.Server) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := raftboltdb.New(raftboltdb.Options{
		Path:        filepath.Join(dir, "raft.db"),
		BoltOptions: &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType},
	})
	if err != nil {
		return err
	}
	c.stores = append(c.stores, db)
	config := raft.DefaultConfig()
	config.LocalID = servers[i].ID
	config.Logger = hclog.NewNullLogger()
	config.MaxAppendEntries = ceilingAppend
	config.BatchApplyCh = true
	config.SnapshotThreshold = ceilingNoSnapshot
	snapshots := raft.NewDiscardSnapshotStore()
	if err := raft.BootstrapCluster(config, db, db, snapshots, c.transports[i],
		raft.Configuration{Servers: servers}); err != nil {
		return err
	}
	node, err := raft.NewRaft(config, nothing{}, db, db, snapshots, c.transports[i])
	if err != nil {
		return err
	}
	c.nodes = append(c.nodes, node)
	return nil
}

// leader waits until one of the nodes leads.
func (c *bareCluster) leader(ctx context.Context) (*raft.Raft, error) {
	ctx, cancel := context.WithTimeout(ctx, ceilingElection)
	defer cancel()
	ticker := time.NewTicker(ceilingLeaderPoll)
	defer ticker.Stop()
	for {
		for _, n := range c.nodes {
			if n.State() == raft.Leader {
				return n, nil
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("the bare Raft elected no leader: %w", ctx.Err())
		}
	}
}

func (c *bareCluster) close() error {
	var errs []error
	for _, n := range c.nodes {
		errs = append(errs, n.Shutdown().Error())
	}
	for _, t := range c.transports {
		t.CloseStreams() // Close leaves idle connections open, and with them the goroutines at their other ends
		errs = append(errs, t.Close())
	}
	for _, s := range c.stores {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// nothing is a state machine without state.
type nothing struct{}

// Apply implements raft.FSM.
func (nothing) Apply(*raft.Log) any { return nil }

// Snapshot implements raft.FSM.
func (nothing) Snapshot() (raft.FSMSnapshot, error) { return nothing{}, nil }

// Restore implements raft.FSM.
func (nothing) Restore(r io.ReadCloser) error { return r.Close() }

// Persist implements raft.FSMSnapshot.
func (nothing) Persist(s raft.SnapshotSink) error { return s.Close() }

// Release implements raft.FSMSnapshot.
func (nothing) Release() {}
